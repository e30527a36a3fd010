"""A disputed card payment, as a program follows it that knows nothing but the API and our webhooks."""

from datetime import datetime

import pytest
import stripe

from billing.fakestripe import FakeStripeHTTPClient
from tests.fixtures_stripe import KEY

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(api, make_customer, clock, fake_stripe, run_jobs):
    """An invoice of 107.01 USD that a card paid."""
    customer = make_customer(clock, external_id="acme").pk
    api.post(f"customers/{customer}/payment_methods", payment_method="pm_card_visa")
    made = api.post("subscriptions", customer="acme", plan="pro", quantity=3).json()
    run_jobs()
    return made["latest_invoice"]


@pytest.fixture
def opened(paid, fake_stripe, told):
    told()
    row = fake_stripe.dispute(fake_stripe.rows("charge")[-1]["id"], reason="product_not_received")
    told()
    return row


def shown(api, invoice):
    """(what the invoice says, its one payment, the dispute of that)."""
    body = api.get(f"invoices/{invoice}").json()
    [payment] = body["payments"]
    [dispute] = payment["disputes"]
    return body, payment, dispute


def heard(api):
    """Oldest first, what facts said of the dispute."""
    listed = api.get("events", type="payment.disputed", after=0).json()["results"]
    return [event["data"] for event in listed]


def figures(api):
    """What no dispute changes: who is subscribed, and what was invoiced."""
    subscriptions = [(s["status"], s["mrr"]) for s in api.get("subscriptions").json()["results"]]
    asked = {"from": "2026-01-01", "to": "2026-02-01", "currency": "USD"}
    return subscriptions, api.get("metrics/hybrid", **asked).json(), api.get("metrics/mrr", **asked).json()


@pytest.fixture
def answer(fake_stripe, opened, told):
    """answer(field=text): evidence goes to the bank, and what that led to comes back."""
    client = stripe.StripeClient(KEY, http_client=FakeStripeHTTPClient(fake_stripe))

    def send(**evidence):
        client.v1.disputes.update(opened["id"], {"evidence": evidence})
        told(duplicate=2, shuffle=1)

    return send


def test_an_opened_one_is_told_with_what_has_to_be_done(api, paid, opened):
    invoice, payment, dispute = shown(api, paid)
    assert (invoice["status"], invoice["amount_due"]) == ("paid", "0.00")
    assert (payment["status"], payment["dispute_status"]) == ("succeeded", "needs_response")
    assert (dispute["amount"], dispute["withdrawn"], dispute["fee"]) == (invoice["total"],) * 2 + ("15.00",)
    assert dispute["closed_at"] is None
    [said] = heard(api)
    assert (said["from"], said["to"], said["reason"]) == (None, "needs_response", "product_not_received")
    assert (said["amount"], said["currency"]) == (invoice["total"], "USD")
    assert (said["dispute"], said["invoice"]) == (dispute["id"], paid)
    due, told = (datetime.fromisoformat(at["evidence_due_at"]) for at in (dispute, said))
    assert due == told


def test_what_the_bank_holds_is_not_given_back_a_second_time(api, paid, opened, fake_stripe, code):
    _, payment, _ = shown(api, paid)
    assert code(api.post(f"payments/{payment['id']}/refund")) == (409, "not_refundable")
    whole = {"invoice": paid, "amount": payment["amount"], "to": "refund", "reason": "disputed"}
    assert code(api.post("credit_notes", whole)) == (409, "not_refundable")
    assert code(api.post(f"invoices/{paid}/pay")) == (409, "nothing_due")
    assert api.get("credit_notes").json()["results"] == fake_stripe.rows("refund") == []


@pytest.mark.parametrize(
    ("text", "end", "withdrawn"), [("winning_evidence", "won", "0.00"), ("losing_evidence", "lost", "107.01")]
)
def test_evidence_decides_it_once(api, paid, answer, books, text, end, withdrawn):
    before = figures(api)
    assert before[1]["revenue"] != "0.00"
    answer(product_description="Three seats, used daily")
    assert shown(api, paid)[2]["status"] == "under_review"
    answer(uncategorized_text=text)
    invoice, payment, dispute = shown(api, paid)
    assert (dispute["status"], dispute["withdrawn"], payment["dispute_status"]) == (end, withdrawn, end)
    assert dispute["closed_at"]
    assert (invoice["status"], invoice["amount_due"], invoice["amount_credited"]) == ("paid", "0.00", "0.00")
    assert [said["to"] for said in heard(api)] == ["needs_response", "under_review", end]
    assert figures(api) == before
