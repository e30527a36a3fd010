"""The page of one invoice in a real browser: a stranger with its address reads it, has a card refused, and pays."""

import pytest
from playwright.sync_api import expect

from billing import hosted, logos
from billing.models import Seller
from tests.billing.test_logos import picture
from tests.browser.looking import sound
from tests.browser.test_checkout import type_card
from tests.browser.test_portal import NAME

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def invoice(site, make_customer, subscribe):
    """By transfer, of a seller with a logo in white on nothing."""
    seller = Seller.objects.get()
    seller.iban, seller.bic, seller.bank_name = "DE02120300000000202051", "BYLADEM1001", "Musterbank"
    logos.put_on(seller, logos.drawn(picture((900, 200), colour="#ffffff", box=(20, 20, 700, 160))))
    seller.save()
    terms = {"collection_method": "send_invoice", "net_days": 30, "payment_rule_override": "agreed"}
    return subscribe(make_customer(name=NAME), **terms).invoices.get()


def test_a_stranger_pays_with_the_second_card(open_page, invoice):
    page = open_page(f"/invoices/{hosted.token(invoice)}/", 390)
    expect(page.locator(".brand__logo--light")).to_be_visible()
    sound(page, "invoice-open")
    type_card(page, "4000000000000002")
    page.get_by_role("button", name="Pay $").click()
    expect(page.locator(".alert--bad, #card-error:not(:empty)").first).to_be_visible()
    page.complaints[:] = [words for words in page.complaints if "status of 4" not in words]
    sound(page, "invoice-declined")
    type_card(page, "5555555555554444")
    page.get_by_role("button", name="Pay $").click()
    expect(page.get_by_text("Thank you.", exact=False).first).to_be_visible()
    expect(page.locator("#card-form")).to_have_count(0)
    sound(page, "invoice-paid")
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_due) == ("paid", 0)
