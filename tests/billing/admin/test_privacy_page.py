"""The page of a privacy request, by everybody who can open it."""

import io
import zipfile

import pytest
from django.contrib.auth.models import Group

from billing import customers, tasks
from billing.models import PrivacyRequest, User
from tests.fixtures_billing import NOON
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
JANE = "jane@nova.example"
ASK = "/admin/billing/privacyrequest/add/"


@pytest.fixture
def company(make_customer):
    company = make_customer(name="Nova Works", email="accounts@nova.example")
    customers.add_member(
        customer=company, email=JANE, role="owner", name="Jane Doe", now=NOON, actor="user:1"
    )
    return company


@pytest.fixture
def keeper():
    return signed_in("add_privacyrequest", "view_privacyrequest", "export_person", "erase_person")


@pytest.fixture
def asked(company, keeper):
    answer = keeper.post(ASK, {"address": JANE.upper(), "reason": "By letter of 3 March"})
    assert answer.status_code == 302
    return answer["Location"]


def test_it_shows_what_is_held_and_what_would_stay(asked, keeper):
    page = keeper.get(asked)
    assert page.status_code == 200
    for words in (JANE, "Jane Doe", "By letter of 3 March", "Members", "Erase for good"):
        assert words in page.text


def test_a_stranger_and_a_missing_reason_are_told_beside_their_fields(company, keeper):
    page = keeper.post(ASK, {"address": "nobody@body.example", "reason": "x"})
    assert page.status_code == 422
    assert "Nothing tells of this address." in page.text
    page = keeper.post(ASK, {"address": JANE, "reason": ""})
    assert page.status_code == 422
    assert f'value="{JANE}"' in page.text


def test_the_archive_is_downloaded(asked, keeper):
    answer = keeper.post(asked, {"action": "export"})
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        assert JANE in pack.read("person.json").decode()
    assert "Exported on" in keeper.get(asked).text


def test_a_person_is_erased_once_the_address_is_typed_again(asked, keeper):
    page = keeper.post(asked, {"action": "erase", "address": "jane@other.example"})
    assert page.status_code == 422
    assert "not the address of the request" in page.text
    assert User.objects.filter(email=JANE).exists()
    assert keeper.post(asked, {"action": "erase", "address": JANE}).status_code == 302
    assert "Being erased" in keeper.get(asked).text
    assert tasks.erase_people() == 1
    page = keeper.get(asked)
    assert "The person is erased" in page.text
    assert "no paper was issued" in page.text
    assert JANE not in page.text
    assert not User.objects.filter(email=JANE).exists()
    assert tasks.erase_people() == 0


def test_an_address_of_an_account_says_so(make_customer, keeper):
    account = make_customer(name="Jane Trades", email=JANE)
    where = keeper.post(ASK, {"address": JANE, "reason": "By letter"})["Location"]
    assert "Jane Trades" in keeper.get(where).text
    page = keeper.post(where, {"action": "erase", "address": JANE})
    assert page.status_code == 422
    assert "address of the account Jane Trades" in page.text
    keeper.post(where, {"action": "erase", "address": JANE, "with_accounts": "on"})
    tasks.erase_people()
    account.refresh_from_db()
    assert (account.name, account.email) == ("Deleted customer", "")


def test_what_became_impossible_meanwhile_is_told_and_tried_again(asked, keeper, make_customer):
    keeper.post(asked, {"action": "erase", "address": JANE})
    later = make_customer(name="Late", email=JANE)
    assert tasks.erase_people() == 0
    assert "address of the account Late" in keeper.get(asked).text
    customers.update(customer=later, email="other@late.example", now=NOON, actor="user:1")
    assert tasks.erase_people() == 1


def test_each_group_does_what_it_may_whatever_it_posts(asked, sales_catalogue, client):
    for group in Group.objects.all():
        user = User.objects.create_user(f"{group.pk}@seller.example", is_staff=True)
        user.groups.set([group])
        client.force_login(user)
        may = group.name == "Admins"
        page = client.get(asked)
        assert (page.status_code, "Export everything" in page.text, "Erase for good" in page.text) == (
            200,
            may,
            may,
        )
        assert (client.get(ASK).status_code == 200) == may, group
        if not may:
            assert JANE not in page.text
            assert client.post(asked, {"action": "export"}).status_code == 403, group
            assert client.post(asked, {"action": "erase", "address": JANE}).status_code == 403, group
    assert PrivacyRequest.objects.get().state == "open"
