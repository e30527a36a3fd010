"""Cards, how the customer pays, and billing details."""

import pytest
from django.db import transaction
from django.urls import reverse

from billing import cards, issuing, paying_out
from billing.models import Customer, PaymentMethod

pytestmark = pytest.mark.django_db
GOOD = {
    "name": "Nova Robotics", "email": "bills@nova.example", "line1": "1 Quay",
    "line2": "", "postal_code": "D02",
    "city": "Dublin", "state": "", "country": "IE", "tax_id": "",
}  # fmt: skip


def at(card, name):
    return reverse(f"portal:{name}", args=[card.pk])


def test_it_saves_a_card(alice, nova, fake_stripe):
    answer = alice.post("/portal/payment/card/", {"payment_method": "pm_card_visa"}, follow=True)
    assert "is saved" in answer.text
    assert nova.payment_methods.get().is_default


def test_a_card_that_the_bank_asks_about_is_saved_afterwards(alice, nova, fake_stripe):
    asked = alice.post("/portal/payment/card/", {"payment_method": "pm_card_authenticationRequired"})
    assert "challenge" in asked.url
    assert not nova.payment_methods.exists()
    fake_stripe.authenticate(alice.session["portal_setup"]["id"], ok=True)
    assert alice.get("/portal/payment/card/back/").status_code == 200
    assert not nova.payment_methods.exists()
    alice.post("/portal/payment/card/back/")
    assert nova.payment_methods.get().is_default


@pytest.mark.parametrize("token", ["", "4242424242424242", "pm_../x", "seti_1"])
def test_what_is_no_token_is_refused(alice, nova, fake_stripe, token):
    assert alice.post("/portal/payment/card/", {"payment_method": token}).status_code == 422
    assert not nova.payment_methods.exists()


def test_a_declined_card_is_said_in_words(alice, nova, fake_stripe):
    answer = alice.post("/portal/payment/card/", {"payment_method": "pm_card_chargeDeclined"})
    assert answer.status_code == 422
    assert "declined" in answer.text


def test_another_card_becomes_the_default_and_the_first_can_go(alice, nova, card):
    other = cards.save(
        customer=nova, payment_method="pm_card_mastercard", now=nova.now, actor="system", default=False
    )
    alice.post(at(other, "default_card"))
    other.refresh_from_db()
    assert other.is_default
    alice.post(at(card, "remove_card"))
    assert PaymentMethod.objects.get(pk=card.pk).detached_at is not None


def test_removing_a_card_is_asked_twice(alice, card):
    before, _, after = alice.get("/portal/payment/").text.partition(f'action="{at(card, "remove_card")}"')
    assert before.rpartition("<details")[2].count("</details>") == 0
    assert "you type it anew" in after


def test_the_card_that_is_charged_stays(alice, card):
    answer = alice.post(at(card, "remove_card"), follow=True)
    assert "Save another card first" in answer.text


def test_small_customers_ask_for_invoices(alice, nova):
    alice.post("/portal/payment/method/", {"method": "send_invoice"})
    nova.refresh_from_db()
    assert nova.collection_method == "charge_automatically"
    assert nova.handoff_tasks.get().reason == "Asked to pay by invoice"
    assert "You asked to pay by invoice" in alice.get("/portal/payment/").text


def test_larger_customers_switch_by_themselves(enter, make_customer, clock, subscribe, sales_catalogue):
    customer = make_customer(clock)
    subscribe(customer, quantity=40)
    enter(customer).post("/portal/payment/method/", {"method": "send_invoice"})
    customer.refresh_from_db()
    assert customer.collection_method == "send_invoice"


def test_who_has_no_plan_yet_switches_as_well(enter, make_customer, clock, sales_catalogue):
    customer = make_customer(clock, collection_method="send_invoice")
    browser = enter(customer)
    answer = browser.post("/portal/payment/method/", {"method": "charge_automatically"}, follow=True)
    assert "Save a card first." in answer.text
    customer.refresh_from_db()
    assert customer.collection_method == "send_invoice"


def test_details_are_kept(alice, nova):
    assert alice.post("/portal/details/", GOOD).status_code == 302
    nova = Customer.objects.get(pk=nova.pk)
    assert (nova.email, nova.billing_address["city"]) == ("bills@nova.example", "Dublin")


def test_everything_that_is_wrong_is_said_at_once_and_kept(alice, nova):
    wrong = {**GOOD, "email": "bills@", "country": "DE", "tax_id": "DE123", "line1": "x" * 201, "name": ""}
    answer = alice.post("/portal/details/", wrong)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"email", "tax_id", "line1", "name"}
    assert 'value="DE123"' in answer.text
    nova.refresh_from_db()
    assert nova.email == "billing@nova.example"


def test_it_asks_for_one_invoice_for_all_plans_and_takes_it_back(alice, nova):
    alice.post("/portal/details/", {**GOOD, "consolidate_invoices": "on"})
    nova.refresh_from_db()
    assert nova.consolidate_invoices
    assert "checked" in alice.get("/portal/details/").text
    alice.post("/portal/details/", GOOD)
    nova.refresh_from_db()
    assert not nova.consolidate_invoices


def test_credit_that_was_paid_out_is_shown(alice, nova):
    with transaction.atomic():
        issuing.add_balance(nova, 40_00, nova.currency, reason="kind", now=nova.now)
        paying_out.by_transfer(customer=nova, amount=15_00, reference="SEPA 7", now=nova.now, actor="user:1")
    page = alice.get("/portal/payment/").text
    assert "By bank transfer" in page
    assert "SEPA 7" in page
    assert "25.00" in page
