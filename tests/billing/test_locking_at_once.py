"""Whoever waits for a customer holds nothing of that customer's: so nobody can wait for each other."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import OperationalError, transaction

from billing import (
    cards,
    collecting,
    correcting,
    customers,
    dunning,
    ending,
    pausing,
    refunding,
    running,
    settling,
    subscribing,
    switching,
)
from billing.models import Customer, Invoice, NumberSeries, Payment, PaymentMethod, Refund, Subscription
from tests.races import at_once, beside

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = "user:1"


@pytest.fixture
def paid_and_open(make_customer, subscribe, stripe_in_a_file):
    """A customer with credit, two subscriptions, an invoice that its card paid and one that is open."""
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    first, second = subscribe(customer, quantity=9), subscribe(customer, quantity=20)
    collecting.attempt(invoice=first.invoices.get(), now=customer.now, actor="system")
    pausing.pause(subscription=first, now=customer.now + timedelta(days=3), actor=ACTOR)
    return first, second, second.invoices.get()


def deeds(first, second, invoice):
    now = invoice.issued_at + timedelta(days=5)
    by = {"now": now, "actor": ACTOR}
    paid = Payment.objects.get(method="card", status="succeeded")
    booked = {"amount": 999_00, "reference": "T", "paid_at": now}
    return {
        "transfer": partial(collecting.record_transfer, invoice=invoice, **booked, **by),
        "charge": partial(collecting.attempt, invoice=invoice, **by),
        "no card": partial(dunning.ask_for_card, invoice=invoice, **by),
        "overdue": partial(collecting._say_overdue, invoice, now),
        "void": partial(correcting.void, invoice=invoice, **by),
        "give up": partial(correcting.mark_uncollectible, invoice=invoice, **by),
        "credit": partial(correcting.credit, invoice=invoice, reason="sorry", amount=1, **by),
        "refund": partial(refunding.refund, payment=paid, amount=1, **by),
        "use balance": partial(settling.use_balance, customer=invoice.customer, **by),
        "change": partial(subscribing.change, subscription=second, quantity=2, **by),
        "cancel": partial(ending.cancel, subscription=second, effective="now", **by),
        "resume": partial(pausing.resume, subscription=first, **by),
        "switch": partial(switching.switch, customer=invoice.customer, method="send_invoice", override="ok", **by),
    }  # fmt: skip


OWNED = (Subscription, Invoice, Payment, Refund, PaymentMethod, NumberSeries)


NAMES = (
    "transfer", "charge", "no card", "overdue", "void", "give up", "credit", "refund", "use balance", "change", "cancel",
    "resume", "switch",
)  # fmt: skip


def test_it_waits_for_the_customer_with_empty_hands(paid_and_open):
    found = deeds(*paid_and_open)
    assert set(NAMES) == set(found)
    for name in NAMES:
        with beside(partial(customers.hold, paid_and_open[0].customer_id), found[name]) as answers:
            for model in OWNED:
                list(model.objects.select_for_update(nowait=True).values_list("pk"))
        assert not [each for each in answers if isinstance(each, OperationalError)], name


def test_a_run_leaves_out_who_is_held(paid_and_open):
    """It waits for nobody: the next run bills what this one could not have."""
    second = paid_and_open[1]
    due = second.next_due_at
    with transaction.atomic():
        customers.hold(second.customer_id)
        [result] = at_once(partial(running.run, now=due))
        assert (result.subscriptions, result.failures) == (0, 0)
    assert running.run(now=due).invoices == 1


def test_an_over_payment_and_the_use_of_credit_do_not_wait_for_each_other(paid_and_open, books):
    """One writes the invoice and then the balance, the other the balance and then the invoice."""
    deed = deeds(*paid_and_open)
    with beside(partial(customers.hold, paid_and_open[0].customer_id), deed["transfer"]) as answers:
        deed["use balance"]()
    assert [each.status for each in answers] == ["succeeded"]
    assert Invoice.objects.get(pk=paid_and_open[2].pk).amount_due == 0
    assert Customer.objects.get().balance > 0
