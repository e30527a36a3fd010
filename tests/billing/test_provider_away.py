"""Hours in which the provider answers wrongly: nobody is told that a card was declined, and nothing is charged twice."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import cards, collecting, dunning
from billing.gateway import Outcome
from billing.models import Event, Mail, Payment, Seller

pytestmark = pytest.mark.usefixtures("fake_stripe")


@pytest.fixture
def invoice(make_customer, subscribe):
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    return subscribe(customer).invoices.get()


@pytest.mark.parametrize(
    "mode", ["error_500", "error_500_after", "unavailable", "rate_limited", "conflict", "time_out"]
)
def test_six_hours_of_errors_are_no_decline(invoice, fake_stripe, stripe_clock, books, mode):
    fake_stripe.faults.add(mode, path="/v1/payment_intents", method="")
    real, moment = datetime.now(UTC), invoice.issued_at
    for minutes in range(0, 360, 20):  # what the clock calls every few minutes
        later = timedelta(minutes=minutes)
        collecting.collect_due(now=moment + later)
        collecting.reconcile(now=real + later)
        dunning.remind(now=moment + later)
        stripe_clock.advance(minutes=20)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.attempts, invoice.payments.count()) == ("open", 0, 1)
    assert not Mail.objects.filter(template__startswith="payment_").exists()
    assert not Event.objects.filter(type__in=("payment.failed", "invoice.payment_failed")).exists()
    fake_stripe.faults.clear()
    collecting.reconcile(now=real + timedelta(hours=6))
    for minutes in range(360, 480, 10):
        collecting.collect_due(now=moment + timedelta(minutes=minutes))
    invoice.refresh_from_db()
    assert (invoice.status, invoice.payments.get(status="succeeded").amount) == ("paid", invoice.total)
    assert not Mail.objects.filter(template="payment_failed").exists()
    assert [row["amount"] for row in fake_stripe.rows("charge") if row["paid"]] == [invoice.total]


def failed(invoice, now, code="never_made"):
    """One attempt that is due, and what is said of it in the end. Whether it was due."""
    collecting.collect_due(now=now)
    open_one = invoice.payments.filter(status__in=Payment.OPEN).first()
    if open_one is None:
        return False
    said = Outcome(state="failed", decline_code=code)
    collecting.apply(payment_id=open_one.pk, outcome=said, now=now, actor="system")
    return True


def test_what_never_reaches_the_provider_is_tried_for_two_weeks_and_then_told(invoice, fake_stripe, books):
    fake_stripe.faults.add("unavailable", path="/v1/payment_intents", method="")
    start = invoice.issued_at
    tries = [hours for hours in range(40 * 24) if failed(invoice, start + timedelta(hours=hours))]
    assert tries == [*range(25), *range(48, 15 * 24, 24)]
    invoice.refresh_from_db()
    assert (invoice.status, invoice.attempts, invoice.next_attempt_at) == ("open", 0, None)
    told = Mail.objects.get(template="payment_not_made")
    assert invoice.number in told.text
    assert told.recipient == Seller.objects.get().email
    assert not Mail.objects.filter(template="payment_failed").exists()
    assert invoice.subscription.status == "active"
    fake_stripe.faults.clear()
    cards.save(
        customer=invoice.customer,
        payment_method="pm_card_mastercard",
        now=start + timedelta(days=41),
        actor="member:1",
    )
    assert collecting.collect_due(now=start + timedelta(days=41)) == 1
    invoice.refresh_from_db()
    assert invoice.status == "paid"


def test_the_two_weeks_begin_anew_once_a_card_was_asked(invoice, fake_stripe):
    fake_stripe.faults.add("unavailable", path="/v1/payment_intents", method="")
    start = invoice.issued_at
    failed(invoice, start)
    failed(invoice, start + timedelta(hours=1), code="insufficient_funds")
    assert failed(invoice, start + timedelta(days=15))
    invoice.refresh_from_db()
    assert invoice.next_attempt_at == start + timedelta(days=15, hours=1)
