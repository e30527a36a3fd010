"""Credit for time that was not paid for: off the invoice that asks for it, before it is money."""

from datetime import timedelta

import pytest

from billing import collecting, correcting, ending, pausing, subscribing
from billing.models import CreditNote, Customer, Event, Payment, Subscription

pytestmark = pytest.mark.django_db
STAFF = "user:1"
LATER = {"collection_method": "send_invoice", "payment_rule_override": "agreed"}


@pytest.fixture
def sold(clock, make_customer, subscribe, advance):
    """Ten seats of Pro at 29.00 from 15 January, untaxed, and 16 of its 31 days later: an open invoice of 290.00."""
    subscription = subscribe(make_customer(clock, tax_exempt=True), quantity=10, **LATER)
    advance(clock, days=16)
    return subscription


def pay(invoice, amount, clock):
    invoice.refresh_from_db()
    collecting.record_transfer(
        invoice=invoice, amount=amount, reference="T", paid_at=clock.now, now=clock.now, actor=STAFF
    )


def seats(subscription, clock, quantity):
    wish = {"subscription": subscription, "now": clock.now, "actor": STAFF, "quantity": quantity}
    shown = subscribing.preview(**{name: wish[name] for name in ("subscription", "now", "quantity")})
    done = subscribing.change(**wish)
    same = ("total", "due_now", "credit_to_balance", "credit_to_invoices")
    assert [getattr(shown, name) for name in same] == [getattr(done, name) for name in same]
    return done


# 15 of 31 days: ten seats give back 140.32, two ask 28.06.
@pytest.mark.parametrize(
    ("paid", "to_invoices", "to_balance", "due"),
    [(0, 112_26, 0, 177_74), (290_00, 0, 112_26, 0), (200_00, 90_00, 22_26, 0), (177_74, 112_26, 0, 0)],
    ids=["unpaid", "paid", "mostly paid", "just enough"],
)
def test_it_lowers_what_is_due_for_the_very_time(sold, clock, books, paid, to_invoices, to_balance, due):
    invoice = sold.invoices.get()
    if paid:
        pay(invoice, paid, clock)
    done = seats(sold, clock, 2)
    invoice.refresh_from_db()
    assert (done.total, done.credit_to_invoices, done.credit_to_balance) == (
        -112_26,
        to_invoices,
        to_balance,
    )
    assert (invoice.amount_due, invoice.amount_credited) == (due, to_invoices)
    assert Customer.objects.get().balance == to_balance
    assert CreditNote.objects.get().to == ("balance" if to_balance else "invoice")


def test_it_stops_reminders_when_nothing_is_due_and_the_subscription_runs_again(sold, clock, books):
    invoice = sold.invoices.get()
    pay(invoice, 200_00, clock)
    collecting.send(invoice=invoice, now=clock.now, actor=STAFF)
    collecting.overdue(now=clock.now + timedelta(days=40), clock=clock)
    sold.refresh_from_db()
    assert sold.status == "past_due"
    seats(sold, clock, 2)
    invoice.refresh_from_db()
    sold.refresh_from_db()
    assert (invoice.status, invoice.next_reminder_at, invoice.next_attempt_at) == ("paid", None, None)
    assert sold.status == "active"
    assert Event.objects.filter(type="invoice.paid", object_id=invoice.pk).count() == 1


def test_it_cancels_one_that_was_late_with_its_credit(sold, clock, books):
    """The invoice is paid by the credit, so that the subscription runs again, and ends, in one transaction."""
    invoice = sold.invoices.get()
    pay(invoice, 200_00, clock)
    collecting.overdue(now=clock.now + timedelta(days=40), clock=clock)
    done = ending.cancel(subscription=sold, now=clock.now, actor=STAFF, effective="now")
    assert (done.credit_to_invoices, done.credit_to_balance) == (90_00, 40_97)
    assert Subscription.objects.get().status == "canceled"


def test_it_leaves_an_invoice_for_other_time_as_it_was(sold, clock, advance, books):
    """January is unpaid, February is paid and given back: January stays what it was."""
    january = sold.invoices.get()
    advance(clock, days=20)
    pay(sold.invoices.exclude(pk=january.pk).get(), 290_00, clock)
    done = seats(sold, clock, 2)
    january.refresh_from_db()
    assert (done.credit_to_invoices, january.amount_due) == (0, 290_00)
    assert Customer.objects.get().balance == done.credit_to_balance > 0


def test_it_leaves_an_invoice_alone_while_a_payment_is_on_its_way(sold, clock):
    invoice = sold.invoices.get()
    Payment.objects.create(
        customer=sold.customer, invoice=invoice, amount=290_00, currency="USD", key="k", status="sent"
    )
    done = seats(sold, clock, 2)
    assert (done.credit_to_invoices, done.credit_to_balance) == (0, 112_26)


@pytest.mark.parametrize(("refused", "to_invoices"), [(False, 0), (True, 112_26)])
def test_it_takes_what_a_card_is_to_be_charged_for_as_paid_until_it_is_refused(
    clock, make_customer, subscribe, advance, refused, to_invoices
):
    subscription = subscribe(make_customer(clock, tax_exempt=True), quantity=10)
    advance(clock, days=16)
    invoice = subscription.invoices.get()
    if refused:
        Payment.objects.create(
            customer=subscription.customer, invoice=invoice, amount=290_00, currency="USD", key="k", status="failed"
        )  # fmt: skip
    done = seats(subscription, clock, 2)
    assert (done.credit_to_invoices, done.credit_to_balance) == (to_invoices, 112_26 - to_invoices)


def test_it_gives_no_money_back_for_what_was_given_up(sold, clock, books):
    invoice = sold.invoices.get()
    correcting.mark_uncollectible(invoice=invoice, now=clock.now, actor=STAFF)
    done = ending.cancel(subscription=sold, now=clock.now, actor=STAFF, effective="now")
    invoice.refresh_from_db()
    assert (done.credit_to_invoices, done.credit_to_balance) == (130_97, 0)
    assert (invoice.status, invoice.amount_due) == ("uncollectible", 290_00 - 130_97)


def test_it_takes_the_days_of_a_pause_off_the_invoice(sold, clock, books):
    done = pausing.pause(subscription=sold, now=clock.now, actor=STAFF, reason="winter")
    assert (done.credit_to_invoices, done.credit_to_balance) == (140_32, 0)


def test_it_says_what_both_papers_say_of_two_unpaid_invoices(sold, clock, advance, books):
    """Seats were added on an invoice of their own: the newest is lowered first, then the other, and no balance grows."""
    advance(clock, days=1)
    seats(sold, clock, 20)
    first, added = sold.invoices.order_by("sequence")
    done = seats(sold, clock, 2)
    first.refresh_from_db()
    added.refresh_from_db()
    assert done.credit_to_invoices == -done.total > added.total
    assert (added.amount_due, added.status) == (0, "paid")
    assert first.amount_due == first.total + added.total + done.total
    assert Customer.objects.get().balance == 0


def test_it_is_not_used_twice(sold, clock, books):
    """What lowered the invoice cannot be given back once more, nor can a transfer pay it again unseen."""
    invoice = sold.invoices.get()
    seats(sold, clock, 2)
    pay(invoice, 290_00, clock)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_paid, invoice.amount_credited) == ("paid", 177_74, 112_26)
    assert Customer.objects.get().balance == 112_26
    done = ending.cancel(subscription=sold, now=clock.now, actor=STAFF, effective="now")
    assert (done.credit_to_invoices, done.credit_to_balance) == (0, 26_19)
