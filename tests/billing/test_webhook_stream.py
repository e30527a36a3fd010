"""Stripe's stream of events, repeated, shuffled and cut off: the money ends the same every time."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random

import pytest
from django.db import connection, transaction

from billing import cards, collecting, disputing, tasks
from billing.models import ProviderEvent
from tests.races import ROUNDS

MONEY = """
select string_agg(t, '|' order by t) from (
    select concat('i', number, status, amount_paid, amount_due) t from billing_invoice
    union all select concat('p', key, status, amount_refunded, dispute_status) from billing_payment
    union all select concat('d', provider_id, status, withdrawn, fee, movements) from billing_dispute
    union all select concat('j', account, currency, sum(amount)) from billing_posting group by account, currency
    union all select concat('m', event, template) from billing_mail where template <> 'payment_disputed'
    union all select concat('e', type, object_id, count(*)) from billing_event
        where type <> 'payment.disputed' group by type, object_id) s
"""


def checksum():
    with connection.cursor() as cursor:
        cursor.execute(MONEY)
        return sha256(cursor.fetchone()[0].encode()).hexdigest()


@pytest.fixture
def told(make_customer, subscribe, fake_stripe):
    """Three invoices: an answer lost and then disputed, one declined, one paid, disputed and won; nothing told yet."""
    for n, card in enumerate(("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_visa")):
        customer = make_customer()
        cards.save(customer=customer, payment_method=card, now=customer.now, actor="system")
        invoice = subscribe(customer).invoices.get()
        if n != 1:
            fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
        collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
    lost, _, won = fake_stripe.rows("charge")
    fake_stripe.dispute(lost["id"])
    fake_stripe.close_dispute(fake_stripe.dispute(won["id"])["id"], won=True)
    return fake_stripe.rows("event")


def live_through(events, stripe_door, run_jobs):
    """Deliver these, run their jobs, then what runs by itself; answer what the money looks like, and forget it."""
    with transaction.atomic():
        assert set(stripe_door.replay(events)) <= {200}
        run_jobs()
        collecting.reconcile(now=datetime.now(UTC) + timedelta(minutes=2))
        disputing.reconcile(now=datetime.now(UTC))
        for waiting in ProviderEvent.objects.filter(applied_at=None):
            tasks.apply_stripe_event(waiting.provider_id)
        found = checksum()
        transaction.set_rollback(True)
    return found


def test_order_number_and_gaps_change_nothing(told, stripe_door, run_jobs, monkeypatch, books):
    monkeypatch.setattr(
        "billing.webhooks_in.mirror", lambda id: None
    )  # what nothing depends on, and takes longest
    in_order = live_through(told, stripe_door, run_jobs)
    for seed in range(ROUNDS):
        random = Random(seed)
        stream = [event for event in told for _ in range(random.randint(0, 4))]
        random.shuffle(stream)
        assert live_through(stream, stripe_door, run_jobs) == in_order, seed
