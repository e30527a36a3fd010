"""Refunds made in Stripe's own pages: told by webhook in any order, any number of times, before our own commit; and
explained afterwards."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import collecting, noticing, refunding, tasks
from billing.models import CreditNote, Customer, Event, Mail, Posting, ProviderEvent, Refund

pytestmark = pytest.mark.usefixtures("fake_stripe")
STAFF = "user:1"


def give_back(fake_stripe, amount=None):
    return fake_stripe.refund(fake_stripe.rows("charge")[-1]["id"], amount)


def account(name):
    return sum(Posting.objects.filter(account=name).values_list("amount", flat=True))


def balance():
    return Customer.objects.get().balance


def test_it_books_what_left_and_asks_why(payment, invoice, fake_stripe, told, books):
    made = give_back(fake_stripe, 10_00)
    told()
    row = Refund.objects.get()
    assert (row.elsewhere, row.status, row.amount, row.provider_id) == (True, "succeeded", 10_00, made["id"])
    payment.refresh_from_db()
    assert payment.amount_refunded == 10_00
    assert (account("refunds_elsewhere"), account("cash")) == (10_00, payment.amount - 10_00)
    assert (balance(), CreditNote.objects.count()) == (0, 0)
    fact = Event.objects.get(type="payment.refunded")
    assert (fact.object_id, fact.data["amount"], fact.data["elsewhere"]) == (payment.pk, 10_00, True)
    written = Mail.objects.get(template="refund_elsewhere")
    assert made["id"] in written.text
    assert invoice.number in written.text


@pytest.mark.parametrize("seed", [1, 2])
def test_order_and_number_of_events_do_not_matter(payment, fake_stripe, told, books, seed):
    give_back(fake_stripe, 10_00)
    give_back(fake_stripe, 5_00)
    told(duplicate=3, shuffle=seed)
    for event in ProviderEvent.objects.all():
        noticing.apply_provider_event(event.payload, datetime.now(UTC))
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [5_00, 10_00]
    assert Mail.objects.filter(template="refund_elsewhere").count() == 2


def test_it_comes_before_the_answer_to_the_charge(invoice, fake_stripe, told, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    payment = collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
    assert payment.status == "unknown"
    give_back(fake_stripe, 10_00)
    told(only="charge.refunded")
    payment.refresh_from_db()
    assert (payment.status, payment.amount_refunded) == ("succeeded", 10_00)
    told()
    assert Refund.objects.count() == 1


def test_a_refund_of_ours_is_not_noticed_as_another(payment, fake_stripe, told, books):
    """Not even where its answer was lost and the webhook is first."""
    fake_stripe.faults.add("lose_answer", path="/v1/refunds", times=1)
    made = refunding.refund(payment=payment, amount=7_00, now=payment.created_at, actor=STAFF)
    assert made.status == "unknown"
    told(duplicate=2)
    row = Refund.objects.get()
    assert (row.pk, row.status, row.elsewhere) == (made.pk, "succeeded", False)


def test_it_waits_for_a_refund_of_ours_that_stands_in_the_way(
    payment, fake_stripe, stripe_door, run_jobs, books
):
    """Ours has reserved everything when somebody gives everything back there: ours fails, then theirs is booked."""
    fake_stripe.faults.add("unavailable", method="POST", path="/v1/refunds", times=3)
    ours = refunding.refund(payment=payment, now=payment.created_at, actor=STAFF)
    assert ours.status in ("new", "unknown")
    give_back(fake_stripe)
    assert set(stripe_door.deliver()) <= {200}
    with pytest.raises(noticing.RefundNotSettled):
        run_jobs()
    fake_stripe.faults.clear()
    assert refunding.reconcile(now=datetime.now(UTC) + timedelta(minutes=5)) == 1
    tasks._again_what_waits(datetime.now(UTC) + timedelta(minutes=10))
    assert set(Refund.objects.values_list("elsewhere", "status")) == {(False, "failed"), (True, "succeeded")}


def test_what_no_webhook_told_of_is_found(payment, fake_stripe, books):
    give_back(fake_stripe, 10_00)
    assert tasks.reconcile_refunds() == 1
    assert tasks.reconcile_refunds() == 1
    assert Refund.objects.get().amount == 10_00


def test_one_that_fails_after_all_is_taken_back(payment, fake_stripe, told, books):
    made = give_back(fake_stripe, 10_00)
    told()
    fake_stripe.settle_refund(made["id"], ok=False)
    told()
    payment.refresh_from_db()
    assert (Refund.objects.get().status, payment.amount_refunded) == ("failed", 0)
    assert (account("refunds_elsewhere"), account("cash"), balance()) == (0, payment.amount, 0)
    with pytest.raises(noticing.NothingToExplain):
        noticing.explain(refund=Refund.objects.get(), by="balance", now=payment.created_at, actor=STAFF)


# -- Explaining ------------------------------------------------------------------------------------------------


def test_a_credit_note_explains_it(payment, invoice, fake_stripe, told, books):
    give_back(fake_stripe, 10_00)
    told()
    now = invoice.issued_at
    row = noticing.explain(refund=Refund.objects.get(), by="credit_note", now=now, actor=STAFF)
    note = CreditNote.objects.get()
    assert (row.credit_note, note.total, note.to, row.unexplained) == (note, 10_00, "refund", False)
    assert (account("refunds_elsewhere"), balance()) == (0, 0)
    with pytest.raises(noticing.NothingToExplain):
        noticing.explain(refund=row, by="credit_note", now=now, actor=STAFF)


def test_credit_on_the_balance_explains_it_as_far_as_there_is_any(payment, invoice, fake_stripe, told, books):
    give_back(fake_stripe, 10_00)
    told()
    row, now = Refund.objects.get(), invoice.issued_at
    with pytest.raises(refunding.NotRefundable):
        noticing.explain(refund=row, by="balance", now=now, actor=STAFF)
    noticing.correcting.credit(invoice=invoice, amount=12_00, reason="sorry", now=now, actor=STAFF)
    noticing.explain(refund=row, by="balance", now=now, actor=STAFF)
    assert (account("refunds_elsewhere"), balance()) == (0, 2_00)
    assert CreditNote.objects.count() == 1
    assert Event.objects.get(type="payment.refund_explained").data["by"] == "balance"
