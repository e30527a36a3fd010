"""Staff let a buyer past sales."""

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from billing.models import User
from checkout import sessions

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(catalogue):
    return sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)


@pytest.fixture
def sign_in(client):
    def make(*permissions):
        user = User.objects.create_user("sam@seller.example", name="Sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return make


def where(session):
    return f"/admin/checkout/checkoutsession/{session.pk}/change/"


def test_it_unlocks_a_session(session, sign_in):
    browser = sign_in("view_checkoutsession", "unlock_checkout")
    assert browser.post(where(session), {"action": "unlock"}).status_code == 302
    session.refresh_from_db()
    assert session.unlocked_by.startswith("user:")


def test_it_asks_for_the_permission_and_keeps_the_key_to_itself(session, sign_in):
    browser = sign_in("view_checkoutsession")
    assert session.token not in browser.get(where(session)).text
    assert browser.post(where(session), {"action": "unlock"}).status_code == 403
    session.refresh_from_db()
    assert not session.unlocked_by
