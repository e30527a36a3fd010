"""A receipt for every payment by card, once, with what the card had not to pay."""

from datetime import UTC, datetime

import pytest

from billing import cards, collecting, issuing, mail, settling
from billing.models import Invoice, Mail, Payment

pytestmark = pytest.mark.usefixtures("fake_stripe")


@pytest.fixture
def customer(make_customer):
    found = make_customer()
    cards.save(customer=found, payment_method="pm_card_visa", now=found.now, actor="system")
    return found


@pytest.fixture
def invoice(customer, subscribe):
    return subscribe(customer).invoices.get()


def pay(invoice):
    return collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")


def receipt() -> Mail:
    letter = Mail.objects.select_related("customer", "invoice", "document").get(template="receipt")
    mail.deliver(letter, now=datetime.now(UTC))
    letter.refresh_from_db()
    return letter


def test_a_charge_brings_its_receipt(invoice, mailoutbox):
    payment = pay(invoice)
    letter = receipt()
    assert (letter.event, letter.recipient, letter.invoice_id) == (
        payment.pk,
        invoice.customer.email,
        invoice.pk,
    )
    assert letter.subject == f"Receipt for {invoice.number}: $107.01"
    for part in (letter.text, letter.html):
        assert "Visa ending 4242" in part
        assert "$107.01" in part
        assert f"/portal/invoices/{invoice.pk}/" in part
        assert "Credit and earlier payments" not in part
        assert "next charge" not in part
    [sent] = mailoutbox
    assert [name for name, _, _ in sent.attachments] == [f"{invoice.number}.pdf"]


def test_it_is_written_once_however_often_the_payment_is_heard_of(invoice):
    payment = pay(invoice)
    fresh = Payment.objects.get(pk=payment.pk)
    collecting.look(fresh, now=invoice.issued_at, actor="system")
    collecting.reconcile(now=datetime.now(UTC))
    assert Mail.objects.filter(template="receipt").count() == 1


def test_a_card_that_declines_brings_none(make_customer, subscribe):
    poor = make_customer()
    cards.save(customer=poor, payment_method="pm_card_chargeCustomerFail", now=poor.now, actor="system")
    assert pay(subscribe(poor).invoices.get()).status == "failed"
    assert not Mail.objects.filter(template="receipt").exists()


def test_a_transfer_brings_none(invoice):
    given = {"paid_at": invoice.issued_at, "now": invoice.issued_at, "actor": "system", "reference": "T-1"}
    collecting.record_transfer(invoice=invoice, amount=invoice.amount_due, **given)
    assert Invoice.objects.get(pk=invoice.pk).status == "paid"
    assert not Mail.objects.filter(template="receipt").exists()


def test_what_credit_had_paid_is_said(customer, invoice):
    issuing.add_balance(customer, 50_00, "USD", reason="Goodwill", now=invoice.issued_at)
    settling.use_balance(
        customer=customer, now=invoice.issued_at, actor="system", invoices=Invoice.objects.all(), most=50_00
    )
    invoice.refresh_from_db()
    pay(invoice)
    letter = receipt()
    assert "Credit and earlier payments: -$50.00" in letter.text.replace("−", "-")
    assert "Total paid: $57.01" in letter.text
