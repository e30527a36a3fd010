"""Saved cards and card payments over the API, against the in-house Stripe."""

import pytest

from billing import collecting
from billing.models import Event, Payment, PaymentMethod

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(make_customer, clock, fake_stripe):
    return make_customer(clock)


def save(api, customer, card="pm_card_visa", **fields):
    return api.post(f"customers/{customer.pk}/payment_methods", payment_method=card, **fields)


def test_it_saves_a_card_and_shows_only_what_may_be_shown(api, customer, fake_stripe):
    answer = save(api, customer)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["brand"], body["last4"], body["default"]) == ("visa", "4242", True)
    assert body.keys() == {"id", "brand", "last4", "exp_month", "exp_year", "default", "created_at"}
    assert Event.objects.get(type="payment_method.attached").data["last4"] == "4242"
    customer.refresh_from_db()
    assert customer.provider_id.startswith("cus_")


def test_the_newest_default_replaces_the_one_before(api, customer):
    first = save(api, customer).json()
    second = save(api, customer, "pm_card_mastercard").json()
    third = save(api, customer, "pm_card_amex", default=False).json()
    shown = api.get(f"customers/{customer.pk}/payment_methods").json()["results"]
    assert [(row["id"], row["default"]) for row in shown] == [
        (third["id"], False), (second["id"], True), (first["id"], False),
    ]  # fmt: skip


def test_a_card_that_is_refused_or_unknown_is_named(api, customer, code, fake_stripe):
    fake_stripe.declines_attach = True
    assert code(save(api, customer, "pm_card_chargeDeclined")) == (422, "card_declined")
    assert code(save(api, customer, "pm_nothing")) == (422, "unknown_payment_method")
    assert not PaymentMethod.objects.exists()


def test_it_pays_an_invoice(api, customer, subscribe, books):
    invoice = subscribe(customer).invoices.get()
    save(api, customer)
    payment = api.post(f"invoices/{invoice.pk}/pay").json()
    assert (payment["status"], payment["amount"], payment["method"]) == ("succeeded", "107.01", "card")
    assert api.get(f"invoices/{invoice.pk}").json()["status"] == "paid"
    assert api.get(f"payments/{payment['id']}").json() == {**payment, "refunds": [], "disputes": []}
    assert api.get("payments", customer=customer.pk).json()["results"] == [payment]


def test_the_same_key_charges_once(api, customer, subscribe, fake_stripe):
    invoice = subscribe(customer).invoices.get()
    save(api, customer)
    answers = [api.post(f"invoices/{invoice.pk}/pay", key="k") for _ in range(3)]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert Payment.objects.count() == len(fake_stripe.rows("charge")) == 1


def test_a_decline_is_an_answer_not_an_error(api, customer, subscribe):
    invoice = subscribe(customer).invoices.get()
    save(api, customer, "pm_card_chargeCustomerFail")
    answer = api.post(f"invoices/{invoice.pk}/pay")
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["decline_code"]


def test_a_paid_invoice_is_not_paid_again(api, customer, subscribe, code):
    invoice = subscribe(customer).invoices.get()
    save(api, customer)
    api.post(f"invoices/{invoice.pk}/pay")
    assert code(api.post(f"invoices/{invoice.pk}/pay")) == (409, "nothing_due")


def test_a_subscription_is_charged_by_a_job_at_the_time_of_its_clock(api, customer, run_jobs):
    save(api, customer)
    made = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=1).json()
    assert api.get(f"invoices/{made['latest_invoice']}").json()["status"] == "open"
    run_jobs()
    paid = api.get(f"invoices/{made['latest_invoice']}").json()
    assert (paid["status"], paid["paid_at"]) == ("paid", "2026-01-15T12:00:00Z")


def test_it_forgets_a_card_unless_something_is_charged_to_it(api, customer, subscribe, code):
    card = save(api, customer).json()["id"]
    path = f"customers/{customer.pk}/payment_methods/{card}"
    subscription = subscribe(customer)
    assert code(api.delete(path)) == (409, "card_needed")
    other = save(api, customer, "pm_card_mastercard").json()["id"]
    assert api.delete(path).status_code == 204
    assert code(api.delete(path)) == (404, "not_found")
    assert [row["id"] for row in api.get(path.rpartition("/")[0]).json()["results"]] == [other]
    assert Event.objects.filter(type="payment_method.detached").count() == 1
    assert subscription.is_live


def test_an_answer_that_is_lost_is_not_charged_twice(api, customer, subscribe, fake_stripe, code):
    invoice = subscribe(customer).invoices.get()
    save(api, customer)
    fake_stripe.faults.add("lose_answer")
    unknown = api.post(f"invoices/{invoice.pk}/pay", key="k-1").json()
    assert unknown["status"] == "unknown"
    assert code(api.post(f"invoices/{invoice.pk}/pay", key="k-2")) == (409, "payment_in_progress")
    assert len(fake_stripe.rows("charge")) == 1


def test_the_network_being_away_is_a_503(api, customer, fake_stripe):
    fake_stripe.faults.add("refused")
    answer = api.client.post(
        f"/api/v1/customers/{customer.pk}/payment_methods", {"payment_method": "pm_card_visa"},
        content_type="application/json", headers=api.headers,
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unreachable")


def test_cards_are_found_on_their_own_customer_only(api, customer, make_customer, subscribe, code):
    other = make_customer()
    card = save(api, other).json()["id"]
    invoice = subscribe(customer).invoices.get()
    assert code(api.post(f"invoices/{invoice.pk}/pay", payment_method=card)) == (
        422,
        "unknown_payment_method",
    )
    assert code(api.delete(f"customers/{customer.pk}/payment_methods/{card}")) == (404, "not_found")


# -- What only the customer can do ----------------------------------------------------------------------


@pytest.fixture
def waits(api, customer, subscribe):
    """waits() -> what the API says of the invoice and of its subscription, which agree."""
    subscription = subscribe(customer)
    invoice = subscription.invoices.get()

    def ask():
        said = api.get(f"invoices/{invoice.pk}").json()["needs_card"]
        assert api.get(f"subscriptions/{subscription.pk}").json()["needs_card"] == said
        return said

    ask.invoice = invoice
    return ask


def test_it_says_that_there_is_no_card(api, customer, waits):
    said = waits()
    assert (said["reason"], said["message"]) == ("no_card", "Please add a card that we can charge.")
    assert said["pay_url"].endswith(f"/portal/invoices/{waits.invoice.pk}/")
    save(api, customer)
    assert waits() is None


def test_it_says_that_the_card_is_no_use(api, customer, waits):
    save(api, customer, "pm_card_chargeDeclinedExpiredCard")
    api.post(f"invoices/{waits.invoice.pk}/pay")
    said = waits()
    assert (said["reason"], said["action_url"]) == ("card_declined", "")
    assert "expired" in said["message"]
    save(api, customer)
    assert waits() is None
    api.post(f"invoices/{waits.invoice.pk}/pay")
    assert waits() is None


def test_a_card_that_is_tried_again_by_itself_waits_for_nobody(api, customer, waits):
    save(api, customer, "pm_card_chargeDeclinedInsufficientFunds")
    api.post(f"invoices/{waits.invoice.pk}/pay")
    assert waits() is None
    waits.invoice.refresh_from_db()
    assert waits.invoice.next_attempt_at
    type(waits.invoice).objects.update(next_attempt_at=None)
    assert waits()["reason"] == "card_declined"


def test_it_says_that_the_bank_asks(api, customer, waits):
    save(api, customer, "pm_card_authenticationRequired")
    api.post(f"invoices/{waits.invoice.pk}/pay")
    said = waits()
    assert (said["reason"], said["action_url"]) == ("authentication_required", "")
    collecting.attempt(
        invoice=waits.invoice,
        now=customer.now,
        actor="member:1",
        off_session=False,
        return_url="https://a.example/",
    )
    assert "/challenge/" in waits()["action_url"]


def test_a_trial_without_a_card_waits_for_one(api, customer, subscribe):
    trial = subscribe(customer, trial_days=14)
    said = api.get(f"subscriptions/{trial.pk}").json()["needs_card"]
    assert (said["reason"], said["invoice"]) == ("no_card", None)
    save(api, customer)
    assert api.get(f"subscriptions/{trial.pk}").json()["needs_card"] is None


def test_nobody_waits_for_a_card_of_who_pays_by_invoice(api, customer, subscribe):
    by_invoice = subscribe(customer, collection_method="send_invoice", payment_rule_override="agreed")
    assert api.get(f"subscriptions/{by_invoice.pk}").json()["needs_card"] is None
