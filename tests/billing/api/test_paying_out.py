"""Credit paid out, and refunds made elsewhere explained, over the API and on the customer's pages."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from billing import cards, collecting, issuing, noticing
from billing.maths.money import to_major
from billing.models import CreditNote, IdempotentRequest, Payment, Refund, Seller, SignOff, User


@pytest.fixture
def acme(make_customer, subscribe, fake_stripe):
    """Has paid 29.00 by card, and has 40.00 on the balance."""
    customer = make_customer(external_id="acme", tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    invoice = subscribe(customer, quantity=1).invoices.get()
    collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
    issuing.add_balance(customer, 40_00, "USD", reason="kind", now=customer.now)
    return customer


def test_it_pays_out_to_the_card_and_by_transfer(api, acme, fake_stripe):
    short = api.post("customers/acme/pay_out")
    assert (short.status_code, short.json()["errors"][0]["field"]) == (409, "amount")
    back = api.post("customers/acme/pay_out", amount="29.00")
    assert back.status_code == 201
    [refund] = back.json()["refunds"]
    assert (refund["status"], refund["amount"], refund["credit_note"]) == ("succeeded", "29.00", None)
    bank = {"amount": "11.00", "method": "bank_transfer"}
    assert api.post("customers/acme/pay_out", **bank).json()["code"] == "reference_missing"
    [booked] = api.post("customers/acme/pay_out", **bank, reference="SEPA 7").json()["refunds"]
    assert (booked["payment"], booked["reference"]) == (None, "SEPA 7")
    assert api.get("customers/acme").json()["balance"] == "0.00"
    assert api.post("customers/acme/pay_out").json()["code"] == "balance_too_small"


def test_a_repeated_request_pays_out_once(api, acme, fake_stripe):
    for _ in range(2):
        answer = api.post("customers/acme/pay_out", amount="5.00", key="once")
        assert answer.status_code == 201
    assert [row["amount"] for row in fake_stripe.rows("refund")] == [5_00]


def test_a_refund_made_at_stripe_is_explained(api, acme, fake_stripe):
    fake_stripe.refund(fake_stripe.rows("charge")[-1]["id"], 10_00)
    noticing.reconcile(now=timezone.now())
    address = f"refunds/{Refund.objects.get().pk}/explain"
    assert api.post(address, by="magic").status_code == 400
    done = api.post(address, by="balance").json()
    assert (done["elsewhere"], done["unexplained"]) == (True, False)
    assert api.post(address, by="balance").json()["code"] == "nothing_to_explain"
    assert api.get("customers/acme").json()["balance"] == "30.00"


def test_staff_pay_out_on_the_customers_page(acme):
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss@tandem.example"))
    where = f"/admin/billing/customer/{acme.pk}/change/"
    assert "Pay it out" in browser.get(where).text
    refused = browser.post(where, {"action": "pay_out", "amount": "50.00", "reference": "SEPA 9"})
    assert refused.status_code == 422
    assert "There is 40.00 USD on the balance." in refused.text
    assert 'value="SEPA 9"' in refused.text
    assert browser.post(where, {"action": "pay_out", "amount": "29.00"}).status_code == 302
    assert browser.post(where, {"action": "pay_out", "amount": "11", "reference": "S"}).status_code == 302
    acme.refresh_from_db()
    assert acme.balance == 0
    assert "Pay it out" not in browser.get(where).text


# -- A process that is killed when money is reserved and before it has answered ----------------------------------


def killed(monkeypatch, where, api, path, **body):
    """The first request, which leaves its row in progress; then time passes."""
    with monkeypatch.context() as patched:
        patched.setattr(where, raises_exit)
        with pytest.raises(SystemExit):
            api.post(path, body, key="once")
    IdempotentRequest.objects.update(locked_at=F("locked_at") - timedelta(minutes=5))


def raises_exit(*args, **kwargs):
    raise SystemExit


REFUND = "billing.refunding.send"


def test_a_pay_out_that_was_killed_goes_on_where_it_was(api, acme, fake_stripe, monkeypatch):
    killed(monkeypatch, REFUND, api, "customers/acme/pay_out", amount="5.00")
    [refund] = api.post("customers/acme/pay_out", {"amount": "5.00"}, key="once").json()["refunds"]
    assert (refund["status"], refund["amount"]) == ("succeeded", "5.00")
    assert [row["amount"] for row in fake_stripe.rows("refund")] == [5_00]
    assert api.get("customers/acme").json()["balance"] == "35.00"


def test_a_refund_that_was_killed_credits_once(api, acme, fake_stripe, monkeypatch):
    path = f"payments/{Payment.objects.get(method='card').pk}/refund"
    killed(monkeypatch, REFUND, api, path, amount="3.00")
    assert api.post(path, {"amount": "3.00"}, key="once").json()["status"] == "succeeded"
    assert (CreditNote.objects.count(), len(fake_stripe.rows("refund"))) == (1, 1)


@pytest.mark.parametrize("to", ["refund", "balance"])
def test_a_credit_note_that_was_killed_is_one(api, acme, fake_stripe, monkeypatch, to):
    body = {"invoice": acme.invoices.get().pk, "amount": "3.00", "to": to, "reason": "sorry"}
    where = REFUND if to == "refund" else "billing.api.idempotency.keep"
    killed(monkeypatch, where, api, "credit_notes", **body)
    assert api.post("credit_notes", body, key="once").status_code == 201
    assert CreditNote.objects.count() == 1


@pytest.mark.parametrize("where", ["billing.collecting.call", "billing.collecting.apply"])
def test_a_payment_that_was_killed_says_what_came_of_it(
    api, acme, subscribe, fake_stripe, monkeypatch, where
):
    invoice = subscribe(acme, quantity=3).invoices.get(amount_due__gt=0)
    path = f"invoices/{invoice.pk}/pay"
    killed(monkeypatch, where, api, path)
    answer = api.post(path, {}, key="once")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert len(fake_stripe.rows("charge")) == 2
    assert api.post(path, {}, key="once").content == answer.content


def test_what_is_above_the_limit_waits_for_a_second_person(api, acme, fake_stripe):
    """202 with the wish, the same bytes when it is asked again; with a key nobody signs."""
    Seller.objects.update(sign_off_over=20_00)
    given = {"amount": "21.00"}
    first = api.post("customers/acme/pay_out", given, key="once")
    wishes = api.get("sign_offs", customer="acme", status="waiting").json()["results"]
    assert (first.status_code, [first.json()]) == (202, wishes)
    [wish] = wishes
    assert (wish["kind"], wish["amount"], wish["decided_by"]) == ("pay_out", "21.00", None)
    assert api.post("customers/acme/pay_out", given, key="once").content == first.content
    other = api.post("customers/acme/pay_out", amount="22.00")
    assert (other.status_code, other.json()["code"]) == (409, "sign_off_waits")
    assert api.post("customers/acme/pay_out", given).json() == wish
    assert api.get(f"sign_offs/{wish['id']}").json() == wish
    assert (api.get("customers/acme").json()["balance"], fake_stripe.rows("refund")) == ("40.00", [])


def test_refunds_credit_notes_and_write_offs_wait_too(api, acme, subscribe, fake_stripe):
    Seller.objects.update(sign_off_over=20_00)
    paid = Payment.objects.get(status="succeeded")
    open_one = subscribe(acme, quantity=3).invoices.get()

    def asked(path, **given):
        answer = api.post(path, **given)
        SignOff.objects.all().delete()
        return answer.status_code, answer.json()["kind"], answer.json()["amount"]

    assert asked(f"payments/{paid.pk}/refund") == (202, "refund", "29.00")
    back = {"invoice": paid.invoice_id, "to": "refund", "amount": "25.00"}
    assert asked("credit_notes", **back) == (202, "credit_note", "25.00")
    given_up = asked(f"invoices/{open_one.pk}/mark_uncollectible", reason="Gone")
    assert given_up == (202, "write_off", to_major(open_one.amount_due, "USD"))
    assert (fake_stripe.rows("refund"), CreditNote.objects.count()) == ([], 0)
