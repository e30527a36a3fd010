"""Paying one invoice from several places at the same moment, and changing what is being renewed."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from billing import cards, collecting, running, subscribing
from billing.models import Invoice, Payment
from billing.refusals import Refused
from tests.races import ROUNDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake_stripe(stripe_in_a_file):
    return stripe_in_a_file


@pytest.fixture
def owing(make_customer, subscribe, fake_stripe):
    """owing() -> an open invoice of another customer with a card, whose time to be charged has come."""

    def make():
        customer = make_customer()
        cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
        invoice = subscribe(customer).invoices.get()
        Invoice.objects.filter(pk=invoice.pk).update(next_attempt_at=invoice.issued_at)
        return invoice

    return make


def unexpected(answers):
    return [each for each in answers if isinstance(each, Exception) and not isinstance(each, Refused)]


def test_the_customer_pays_while_the_card_is_charged_by_itself(owing, fake_stripe, books):
    for _ in range(ROUNDS):
        invoice = owing()
        press = partial(
            collecting.attempt, invoice=invoice, now=invoice.issued_at, actor="member:1", off_session=False
        )
        collect = partial(collecting.collect_due, now=invoice.issued_at)
        assert unexpected(at_once(press, collect, press, collect)) == []
        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_paid) == ("paid", invoice.total)
    assert Payment.objects.filter(status="succeeded").count() == ROUNDS
    assert len(fake_stripe.rows("charge")) == ROUNDS


def test_the_bank_is_answered_while_the_payment_is_given_up(owing, fake_stripe, books):
    """The buyer comes back from the bank just as the hour is over and the saved card is charged instead: one of the two
    moves money, and both pages and the provider's webhook say so."""
    for _ in range(ROUNDS):
        invoice = owing()
        typed = cards.for_once(
            customer=invoice.customer,
            payment_method="pm_card_threeDSecure2Required",
            now=invoice.customer.now,
        )
        waiting = collecting.attempt(
            invoice=invoice, now=invoice.issued_at, actor="buyer", payment_method=typed, off_session=False,
            return_url="https://shop.example/",
        )  # fmt: skip
        over = waiting.recorded_at + timedelta(hours=1)
        give_up = partial(collecting.give_up_unconfirmed, now=over)
        answer = partial(_answered, fake_stripe, waiting, over)
        assert unexpected(at_once(give_up, answer, partial(collecting.collect_due, now=over), give_up)) == []
        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_paid) == ("paid", invoice.total)
        assert invoice.customer.balance == 0
    assert Payment.objects.filter(status="succeeded").count() == ROUNDS
    assert len([row for row in fake_stripe.rows("charge") if row["paid"]]) == ROUNDS


def _answered(fake_stripe, waiting, now):
    """The challenge is passed, unless it is too late, and the buyer's page asks what became of it."""
    fake_stripe.authenticate(waiting.provider_id, ok=True)
    collecting.look(waiting, now=now, actor="buyer")


def test_a_transfer_comes_while_the_card_is_charged(owing, fake_stripe, books):
    """Both may arrive: nothing is lost, what is over is the customer's."""
    for n in range(ROUNDS):
        invoice = owing()
        at = invoice.issued_at
        book = partial(
            collecting.record_transfer, invoice=invoice, amount=invoice.total, reference=f"T-{n}", paid_at=at,
            now=at, actor="user:1",
        )  # fmt: skip
        assert unexpected(at_once(book, partial(collecting.collect_due, now=at), book)) == []
        invoice.refresh_from_db()
        invoice.customer.refresh_from_db()
        came = sum(invoice.payments.filter(status="succeeded").values_list("amount", flat=True))
        assert invoice.status == "paid"
        assert came == invoice.total + invoice.customer.balance


def test_an_answer_that_was_lost_is_found_by_everybody_at_once(owing, fake_stripe, books):
    """The reconciler, the webhook and the customer's page ask about the same attempt."""
    for _ in range(ROUNDS):
        invoice = owing()
        fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
        payment = collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
        assert payment.status == "unknown"
        look = partial(collecting.look, payment, now=invoice.issued_at, actor="provider")
        settle = partial(
            collecting.reconcile, now=timezone.now() + timedelta(minutes=2), older_than=timedelta(0)
        )
        assert unexpected(at_once(look, settle, look, settle)) == []
        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_paid) == ("paid", invoice.total)
    assert len(fake_stripe.rows("charge")) == ROUNDS


def test_an_upgrade_while_it_is_renewed(make_customer, subscribe, fake_stripe, books):
    """Two workers bill the month that begins, while the customer buys seats in it."""
    for n in range(ROUNDS):
        customer = make_customer(country="")
        subscription = subscribe(customer)
        renewal = subscription.next_due_at
        more = partial(
            subscribing.change, subscription=subscription, now=renewal, actor="member:1", quantity=5 + n % 3
        )
        assert (
            unexpected(at_once(partial(running.run, now=renewal), more, partial(running.run, now=renewal)))
            == []
        )
        running.run(now=renewal)
        said = customer.invoices.filter(period_start__gte=subscription.current_period_end)
        assert sum(said.values_list("subtotal", flat=True)) == 2900 * (5 + n % 3)
