"""Disputes: told by webhook in any order, any number of times, before our own commit; and what they do to the books."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from billing import collecting, correcting, disputing, ending, refunding, subscribing, tasks
from billing.gateway import ProviderUnreachable
from billing.models import Dispute, Event, Mail, Posting, ProviderEvent, User

pytestmark = pytest.mark.usefixtures("fake_stripe")


def dispute(fake_stripe, **options):
    return fake_stripe.dispute(fake_stripe.rows("charge")[-1]["id"], **options)


def account(name, **where):
    return sum(Posting.objects.filter(account=name, **where).values_list("amount", flat=True))


def states():
    facts = Event.objects.filter(type="payment.disputed").order_by("number")
    return [(fact.data["from"], fact.data["to"]) for fact in facts]


def test_money_that_a_bank_takes_is_gone_and_the_invoice_stays_paid(
    payment, invoice, fake_stripe, told, books
):
    dispute(fake_stripe, reason="product_not_received")
    told()
    row = Dispute.objects.get()
    assert (row.status, row.amount, row.withdrawn, row.fee) == (
        "needs_response",
        payment.amount,
        payment.amount,
        1500,
    )
    assert row.evidence_due_at > datetime.now(UTC) + timedelta(days=8)
    payment.refresh_from_db()
    invoice.refresh_from_db()
    assert (payment.status, payment.dispute_status) == ("succeeded", "needs_response")
    assert (invoice.status, invoice.amount_due) == ("paid", 0)
    assert account("cash") == -1500
    assert account("disputed_payments") == payment.amount
    assert account("payment_fees") == 1500
    fact = Event.objects.get(type="payment.disputed")
    assert (fact.object_id, fact.data["reason"], fact.data["invoice"]) == (
        payment.pk,
        "product_not_received",
        invoice.pk,
    )
    written = Mail.objects.get(template="payment_disputed")
    assert "disputes a payment" in written.subject
    assert row.provider_id in written.text


@pytest.mark.parametrize(
    ("won", "taken_as", "cash"), [(True, "payment_fees", "amount"), (False, "bad_debt", 0)]
)
def test_it_ends_won_or_lost(payment, fake_stripe, told, books, won, taken_as, cash):
    told()
    opened = dispute(fake_stripe)
    told()
    fake_stripe.close_dispute(opened["id"], won=won)
    told()
    row = Dispute.objects.get()
    assert (row.status, row.closed_at is None) == ("won" if won else "lost", False)
    assert account("disputed_payments") == 0
    assert account("cash") == (payment.amount if cash else 0) - 1500
    assert account(taken_as) == (1500 if won else payment.amount)
    assert states() == [(None, "needs_response"), ("needs_response", row.status)]
    assert Mail.objects.filter(template="payment_disputed").count() == 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_order_and_number_of_events_do_not_matter(payment, fake_stripe, told, books, seed):
    opened = dispute(fake_stripe)
    fake_stripe.close_dispute(opened["id"], won=seed != 2)
    told(duplicate=3, shuffle=seed)
    for event in ProviderEvent.objects.all():
        disputing.apply_provider_event(event.payload, datetime.now(UTC))
    row = Dispute.objects.get()
    assert row.status == ("lost" if seed == 2 else "won")
    assert states() == [(None, row.status)]
    assert Posting.objects.filter(memo__startswith="Dispute").count() == 2 + 2 * (seed == 2)


def test_an_older_answer_takes_nothing_back(payment, fake_stripe, told, books, card_gateway):
    opened = dispute(fake_stripe)
    before = card_gateway.dispute(opened["id"])
    fake_stripe.close_dispute(opened["id"], won=True)
    told()
    now = datetime.now(UTC)
    disputing.write(payment_id=payment.pk, facts=before, now=now, actor="provider")
    row = Dispute.objects.get()
    assert (row.status, row.withdrawn, row.movements) == ("won", 0, 2)


def test_it_comes_before_the_answer_to_the_charge(invoice, fake_stripe, told, books):
    """The charge went through, its answer was lost, and the dispute is told of first."""
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    payment = collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
    assert (payment.status, payment.provider_id) == ("unknown", None)
    dispute(fake_stripe)
    told(only="charge.dispute")
    payment.refresh_from_db()
    assert (payment.status, payment.dispute_status) == ("succeeded", "needs_response")
    told()
    assert Dispute.objects.count() == 1


def test_an_event_that_could_not_be_acted_on_is_tried_again(
    payment, fake_stripe, stripe_door, run_jobs, books
):
    dispute(fake_stripe)
    stripe_door.deliver(only="charge.dispute")
    fake_stripe.faults.add("unavailable", method="GET", path="/v1/disputes", times=3)
    with pytest.raises(ProviderUnreachable):
        tasks.apply_stripe_event(ProviderEvent.objects.order_by("pk")[0].provider_id)
    ProviderEvent.objects.update(received_at=datetime.now(UTC) - timedelta(minutes=6))
    tasks.reconcile_payments()
    assert ProviderEvent.objects.filter(applied_at=None).count() == 2
    tasks.reconcile_payments()
    assert not ProviderEvent.objects.filter(applied_at=None).exists()
    assert Dispute.objects.get().status == "needs_response"


def test_what_no_webhook_told_of_is_found_every_day(payment, fake_stripe, books):
    opened = dispute(fake_stripe)
    assert tasks.reconcile_disputes() == 1
    fake_stripe.close_dispute(opened["id"], won=False)
    assert tasks.reconcile_disputes() == 1
    assert Dispute.objects.get().status == "lost"


def test_a_dispute_of_somebody_elses_charge_is_left_alone(fake_stripe, card_gateway, told, catalogue):
    customer = card_gateway.create_customer(key="c", name="A", email="a@a.example", reference="x")
    asked = {"customer": customer, "amount": 2000, "currency": "USD", "reference": "x"}
    card_gateway.charge(key="p", payment_method="pm_card_visa", **asked)
    dispute(fake_stripe)
    told()
    assert not Dispute.objects.exists()
    assert not ProviderEvent.objects.filter(applied_at=None).exists()


def test_disputed_money_is_not_refunded_as_well(payment, invoice, fake_stripe, told, books):
    opened = dispute(fake_stripe)
    told()
    now = invoice.issued_at
    payment.refresh_from_db()
    invoice.refresh_from_db()
    with pytest.raises(refunding.NotRefundable, match="bank has taken"):
        refunding.refund(payment=payment, now=now, actor="system")
    with pytest.raises(refunding.NotRefundable):
        refunding.credit_and_refund(invoice=invoice, reason="x", now=now, actor="system")
    assert not invoice.credit_notes.exists()
    fake_stripe.close_dispute(opened["id"], won=True)
    told()
    payment.refresh_from_db()
    assert refunding.refund(payment=payment, now=now, actor="system", amount=100).status in (
        "succeeded",
        "failed",
    )


def test_the_admin_shows_it_with_the_way_to_its_evidence(payment, invoice, fake_stripe, told):
    opened = dispute(fake_stripe)
    told()
    boss, browser = User.objects.create_superuser("boss@tandem.example", "x"), Client()
    browser.force_login(boss)
    address = f"https://dashboard.stripe.com/test/disputes/{opened['id']}"
    for path in ("dispute/", f"dispute/{Dispute.objects.get().pk}/change/", f"invoice/{invoice.pk}/change/"):
        page = browser.get(f"/admin/billing/{path}")
        assert page.status_code == 200
        assert address in page.content.decode()


def test_the_database_refuses_a_bank_that_holds_more_than_was_asked(payment, fake_stripe, told):
    from django.db import IntegrityError, transaction

    dispute(fake_stripe)
    told()
    with pytest.raises(IntegrityError), transaction.atomic():
        Dispute.objects.update(withdrawn=payment.amount + 1)


# -- Credit for what the bank has taken ---------------------------------------------------------------------


def cancel(invoice, now=None):
    return ending.cancel(
        subscription=invoice.subscription, now=now or invoice.issued_at, actor="member:1", effective="now"
    )


def balance(invoice):
    invoice.customer.refresh_from_db()
    return invoice.customer.balance


@pytest.mark.parametrize("first", ["dispute", "cancel"])
@pytest.mark.parametrize("won", [True, False])
def test_who_disputes_and_cancels_gets_the_money_once(payment, invoice, fake_stripe, told, books, first, won):
    """From the bank or as credit, whatever comes first; what the bank gives back to us is credit again."""
    credit = 0
    if first == "cancel":
        credit = cancel(invoice).credit_to_balance
        assert balance(invoice) == credit > 0
    opened = dispute(fake_stripe)
    told()
    if first == "dispute":
        done = cancel(invoice)
        credit = done.credit_held_back
        assert (done.credit_to_balance, credit) == (0, -done.total)
    assert balance(invoice) == 0
    told()
    fake_stripe.close_dispute(opened["id"], won=won)
    told()
    assert balance(invoice) == (credit if won else 0)
    assert account("bad_debt") == (0 if won else payment.amount - credit)
    books()


def test_only_what_still_stands_on_the_balance_is_taken(
    payment, invoice, subscribe, fake_stripe, told, books
):
    credit = cancel(invoice).credit_to_balance
    other = subscribe(invoice.customer, plan="starter", quantity=None).invoices.get()
    assert other.amount_paid > 0
    dispute(fake_stripe)
    told()
    assert balance(invoice) == 0
    assert account("bad_debt") == -(credit - other.amount_paid)


@pytest.mark.parametrize("taken", [10_00, 107_01])
def test_a_preview_foresees_what_is_held_back(payment, invoice, fake_stripe, told, taken):
    """Fewer seats are foreseen to the cent, whether the bank has taken all of the credit or a part."""
    wish = {"subscription": invoice.subscription, "now": invoice.issued_at, "effective": "now"}
    dispute(fake_stripe)
    told()
    Dispute.objects.update(withdrawn=taken)
    for seats in (2, 1):
        before, foreseen = balance(invoice), subscribing.preview(**wish, quantity=seats)
        done = subscribing.change(**wish, quantity=seats, actor="user:1", source="portal")
        figures = [(c.credit_held_back, c.credit_to_balance, c.credit_to_invoices) for c in (foreseen, done)]
        assert figures[0] == figures[1]
        assert sum(figures[0]) == -done.total > 0
        assert balance(invoice) - before == done.credit_to_balance
        assert figures[0][0] == (-done.total if taken == payment.amount else 10_00 if seats == 2 else 0)


def test_a_credit_note_of_staffs_for_it_lowers_the_loss_too(payment, invoice, fake_stripe, told, books):
    opened = dispute(fake_stripe)
    told()
    fake_stripe.close_dispute(opened["id"], won=False)
    told()
    correcting.credit(invoice=invoice, amount=10_00, reason="Sorry", now=invoice.issued_at, actor="user:1")
    assert (balance(invoice), account("bad_debt")) == (0, payment.amount - 10_00)


def test_what_another_payment_brought_is_credit_all_the_same(
    payment, invoice, subscribe, fake_stripe, told, books
):
    other = subscribe(invoice.customer, plan="starter", quantity=None).invoices.get()
    dispute(fake_stripe)
    collecting.attempt(invoice=other, now=other.issued_at, actor="system")
    told()
    assert cancel(other).credit_to_balance == balance(other) > 0
