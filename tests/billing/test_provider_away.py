"""Hours in which the provider answers wrongly: nobody is told that a card was declined, and nothing is charged twice."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import cards, collecting, dunning
from billing.models import Event, Mail

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
