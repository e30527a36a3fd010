"""The page of a sign-off, by everybody who can open it: who may only read, who asked, who may sign."""

import pytest
from django.contrib.auth.models import Group

from billing import carrying_out
from billing.models import Invoice, Seller, SignOff, User
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
MAY_SIGN = {"Finance", "Directors", "Admins"}


@pytest.fixture
def wish(make_customer, subscribe):
    """A write-off of 87.00 that a program asks for, above the limit of 50.00."""
    Seller.objects.update(sign_off_over=50_00)
    invoice = subscribe(make_customer(tax_exempt=True), quantity=3).invoices.get()
    return carrying_out.write_off(invoice=invoice, now=invoice.customer.now, actor="key:tk_test_abcd")


def page(wish):
    return f"/admin/billing/signoff/{wish.pk}/change/"


def press(browser, wish, action):
    return browser.post(page(wish), {"action": action})


def test_each_group_does_what_it_may_whatever_it_posts(wish, sales_catalogue, client):
    for group in Group.objects.all():
        user = User.objects.create_user(f"{group.pk}@seller.example", is_staff=True)
        user.groups.set([group])
        client.force_login(user)
        may = group.name in MAY_SIGN
        assert ("Sign and do it" in client.get(page(wish)).text) == may, group
        if not may:
            assert press(client, wish, "give").status_code == 403, group
            assert press(client, wish, "refuse").status_code == 403, group
        assert press(client, wish, "take_back").status_code == 403, group
    assert SignOff.objects.get().status == "waiting"
    assert Invoice.objects.get().status == "open"


def test_whoever_may_look_at_nothing_sees_nothing(wish):
    assert signed_in().get(page(wish)).status_code == 403
    assert press(signed_in("give_sign_off"), wish, "give").status_code == 403
    assert SignOff.objects.get().status == "waiting"


def test_it_is_signed_and_done(wish):
    browser = signed_in("view_signoff", "give_sign_off", "view_invoice")
    assert press(browser, wish, "give").status_code == 302
    assert "Signed and done" in browser.get(page(wish)).text
    assert (SignOff.objects.get().status, Invoice.objects.get().status) == ("done", "uncollectible")
    assert press(browser, wish, "give").status_code == 302
    assert "Nothing was done" in browser.get(page(wish)).text


def test_who_asked_takes_it_back_and_never_signs(wish, client):
    mine = signed_in("view_signoff", "give_sign_off", "record_payment")
    me = User.objects.order_by("pk").last()
    SignOff.objects.update(asked_by=f"user:{me.pk}")
    assert "somebody else has to sign" in mine.get(page(wish)).text
    assert press(mine, wish, "give").status_code == 422
    assert press(mine, wish, "take_back").status_code == 302
    assert (SignOff.objects.get().status, Invoice.objects.get().status) == ("refused", "open")
