"""Credit paid out: back to the cards, or by a transfer that was made; never more than there is."""

from datetime import timedelta
from functools import partial

import pytest

from billing import cards, collecting, correcting, paying_out, refunding
from billing.models import Customer, Event, Payment, Posting, Refund
from billing.refunding import NotRefundable
from tests.races import ROUNDS, at_once

pytestmark = pytest.mark.django_db
STAFF = "user:1"


@pytest.fixture
def rich(make_customer, subscribe, fake_stripe):
    """Two invoices paid by card, 29.00 and 58.00 and tax, and 60.00 of them credited to the balance."""
    return made_rich(make_customer, subscribe)


def made_rich(make_customer, subscribe):
    customer = make_customer(tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    for n in (1, 2):
        invoice = subscribe(customer, quantity=n).invoices.get()
        at = invoice.issued_at + timedelta(hours=n)
        collecting.attempt(invoice=invoice, now=at, actor="system")
    correcting.credit(invoice=invoice, amount=58_00, reason="sorry", now=at, actor=STAFF)
    customer.refresh_from_db()
    return customer


def account(name):
    return sum(Posting.objects.filter(account=name).values_list("amount", flat=True))


def left():
    return Customer.objects.get().balance


def test_it_goes_back_to_the_oldest_payment_first(rich, fake_stripe, books):
    rows = paying_out.to_cards(customer=rich, now=rich.now, actor=STAFF)
    assert [(row.amount, row.status) for row in rows] == [(29_00, "succeeded"), (29_00, "succeeded")]
    assert [row.payment.amount for row in rows] == [29_00, 58_00]
    assert [row["amount"] for row in fake_stripe.rows("refund")] == [29_00, 29_00]
    assert (left(), account("customer_balance"), account("cash")) == (0, 0, 29_00)
    fact = Event.objects.get(type="customer.balance_paid_out")
    assert (fact.data["amount"], fact.data["method"], fact.data["refunds"]) == (
        58_00,
        "card",
        [row.pk for row in rows],
    )


def test_it_pays_a_part(rich, books):
    [row] = paying_out.to_cards(customer=rich, amount=10_00, now=rich.now, actor=STAFF)
    assert (row.amount, left()) == (10_00, 48_00)


@pytest.mark.parametrize("amount", [58_01, 0, -1])
def test_it_pays_no_more_than_there_is(rich, amount):
    for pay in (paying_out.to_cards, partial(paying_out.by_transfer, reference="T")):
        with pytest.raises(paying_out.NothingToPayOut):
            pay(customer=rich, amount=amount, now=rich.now, actor=STAFF)
    assert Refund.objects.count() == 0


def test_it_leaves_out_what_was_refunded_before(rich, books):
    refunding.refund(payment=Payment.objects.get(amount=29_00), now=rich.now, actor=STAFF)
    rich.refresh_from_db()
    assert paying_out.payable(rich) == 58_00
    [row] = paying_out.to_cards(customer=rich, now=rich.now, actor=STAFF)
    assert row.amount == 58_00
    with pytest.raises(paying_out.NothingToPayOut):
        paying_out.to_cards(customer=rich, now=rich.now, actor=STAFF)


def test_what_a_card_does_not_take_stands_on_the_balance_again(rich, fake_stripe, books):
    [row] = paying_out.to_cards(customer=rich, amount=10_00, now=rich.now, actor=STAFF)
    fake_stripe.settle_refund(row.provider_id, ok=False)
    found = refunding.gateway().look_up_refund(key=row.key, payment_intent=row.payment.provider_id)
    refunding.apply(refund_id=row.pk, outcome=found, now=rich.now, actor="provider")
    assert left() == 58_00


def test_an_answer_that_is_lost_pays_out_once(rich, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/refunds", times=1)
    [row] = paying_out.to_cards(customer=rich, amount=10_00, now=rich.now, actor=STAFF)
    assert (row.status, left()) == ("unknown", 48_00)
    refunding.reconcile(now=row.recorded_at + timedelta(minutes=5))
    row.refresh_from_db()
    assert (row.status, len(fake_stripe.rows("refund"))) == ("succeeded", 1)


def test_a_transfer_is_booked_once_by_its_reference(rich, books):
    pay = partial(paying_out.by_transfer, customer=rich, reference="SEPA 7", now=rich.now, actor=STAFF)
    row = pay(amount=20_00)
    assert pay(amount=20_00) == row
    assert (left(), account("customer_balance"), account("cash")) == (38_00, -38_00, 87_00 - 20_00)
    with pytest.raises(paying_out.ReferenceMissing):
        paying_out.by_transfer(customer=rich, reference=" ", now=rich.now, actor=STAFF)


def test_a_disputed_payment_takes_nothing(rich, books):
    Payment.objects.update(dispute_status="needs_response")
    with pytest.raises(NotRefundable, match="bank transfer"):
        paying_out.to_cards(customer=rich, now=rich.now, actor=STAFF)
    Payment.objects.update(dispute_status="")
    assert left() == 58_00


@pytest.mark.django_db(transaction=True)
def test_two_who_pay_out_at_once_pay_out_once(make_customer, subscribe, stripe_in_a_file, books):
    for _ in range(ROUNDS):
        customer = made_rich(make_customer, subscribe)
        pay = partial(paying_out.to_cards, customer=customer, now=customer.now, actor=STAFF)
        book = partial(
            paying_out.by_transfer,
            customer=customer,
            reference="T",
            now=customer.now,
            actor=STAFF,
            amount=58_00,
        )
        answers = at_once(pay, book, pay)
        assert sum(isinstance(each, paying_out.NothingToPayOut) for each in answers) == 2, answers
        customer.refresh_from_db()
        assert customer.balance == 0
