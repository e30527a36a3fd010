"""Money and credit counted to an invoice, and what follows when nothing is due any more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from billing import bulk, journal
from billing.events import record
from billing.maths.periods import local_date
from billing.models import BalanceEntry, Customer, Dispute, Invoice, Payment, Posting, Seller, Subscription
from billing.moves import move


def count(invoice: Invoice, amount: int, *, now: datetime, actor: str) -> None:
    """Money arrived for the invoice, at most what is due. In a transaction that has just read and holds it."""
    if amount == invoice.amount_due:
        _paid(invoice, now, actor, amount_paid=invoice.amount_paid + amount)
        invoice.amount_due = 0
        return
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid=F("amount_paid") + amount)
    invoice.refresh_from_db(fields=["amount_paid", "amount_due"])


def count_credit(invoice: Invoice, amount: int, *, now: datetime, actor: str) -> None:
    """A credit note takes from what is due. In a transaction that holds the invoice."""
    Invoice.objects.filter(pk=invoice.pk).update(amount_credited=F("amount_credited") + amount)
    invoice.refresh_from_db()
    if invoice.amount_due == 0:
        _paid(invoice, now, actor)


def _paid(invoice: Invoice, now: datetime, actor: str, **fields: Any) -> None:
    """Nothing is due any more: retries and reminders stop, and its subscriptions are no longer late."""
    data = {
        "number": invoice.number, "total": invoice.total, "currency": invoice.currency, "motion": invoice.motion,
    }  # fmt: skip
    move(
        invoice, "paid", event="invoice.paid", actor=actor, now=now, paid_at=now, next_attempt_at=None,
        next_reminder_at=None, data=data, **fields,
    )  # fmt: skip
    no_longer_late(invoice, now=now, actor=actor)


def no_longer_late(invoice: Invoice, *, now: datetime, actor: str) -> None:
    """Its subscriptions run as they should again, except where another invoice is late."""
    others = Invoice.objects.filter(status="open", attempts__gt=0).exclude(pk=invoice.pk)
    for subscription in invoice.subscriptions:
        if subscription.status == Subscription.Status.PAST_DUE and not others.of(subscription).exists():
            move(subscription, "active", event=None, actor=actor, now=now)
            data = {"status_before": "past_due", "status_after": "active", "upgrade": False}
            record("subscription.changed", subject=subscription, actor=actor, now=now, data=data)


@transaction.atomic
def use_balance(
    *,
    customer: Customer,
    now: datetime,
    actor: str,
    invoices: QuerySet[Invoice] | None = None,
    most: int | None = None,
) -> int:
    """Pay what is open from the customer's credit, the oldest invoice first: of certain `invoices`, and at `most` so
    much, where that is said. Returns what was used, in minor units."""
    left = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk).balance
    left = left if most is None else min(left, most)
    used = 0
    among = Invoice.objects.all() if invoices is None else invoices
    open_ones = among.filter(customer=customer, status=Invoice.Status.OPEN, amount_due__gt=0)
    held = open_ones.select_for_update(of=("self",), no_key=True).select_related("subscription")
    for invoice in held.exclude(payments__status__in=Payment.OPEN).order_by("issued_at", "id"):
        amount = min(left - used, invoice.amount_due)
        if amount > 0:
            _pay_from_balance(invoice, amount, now, actor)
            used += amount
    return used


def _pay_from_balance(invoice: Invoice, amount: int, now: datetime, actor: str) -> None:
    number = invoice.payments.filter(method=Payment.Method.BALANCE).count() + 1
    payment = Payment.objects.create(
        customer_id=invoice.customer_id, invoice=invoice, livemode=invoice.livemode, status="succeeded", method="balance",
        amount=amount, currency=invoice.currency, key=f"balance-{invoice.pk}-{number}", created_at=now, settled_at=now,
    )  # fmt: skip
    BalanceEntry.objects.create(
        customer_id=invoice.customer_id, amount=-amount, currency=invoice.currency, reason=f"Used for {invoice.number}",
        invoice=invoice, payment=payment, at=now,
    )  # fmt: skip
    Customer.objects.filter(pk=invoice.customer_id).update(balance=F("balance") - amount)
    on = local_date(now, Seller.objects.get().timezone)
    row = {"id": invoice.pk, "issued_on": on, **{name: getattr(invoice, name) for name in _PAPER}}
    bulk.copy(Posting, list(journal.of_balance_use(row, payment.pk, amount)))
    count(invoice, amount, now=now, actor=actor)


# -- What the bank has taken back ------------------------------------------------------------------------------


def hold_back(invoice: Invoice, *, now: datetime) -> int:
    """Credit for what a bank has taken back from us is not money: the card holder has it already. As far as it stands on
    the balance it lowers the loss instead; what the bank gives back comes back. Answers how much was taken off the
    balance, below zero what came back. In a transaction that holds the customer. A second call changes nothing."""
    amount = _to_hold(invoice, _balance(invoice.customer_id))
    if amount:
        _held(invoice, amount, now)
    return amount


def would_hold_back(customer: Customer, credits: Sequence[tuple[Invoice, int]]) -> int:
    """What `hold_back` would take off the balance, were these amounts credited to it now: invoices that a bank has taken
    back, and others, each with its credit."""
    there, held = _balance(customer.pk) + sum(amount for _invoice, amount in credits), 0
    for invoice, amount in credits:
        held += _to_hold(invoice, there - held, more=amount)
    return held


def _balance(customer_id: str) -> int:
    return Customer.objects.values_list("balance", flat=True).get(pk=customer_id)


def _to_hold(invoice: Invoice, there: int, more: int = 0) -> int:
    """What is to leave the balance that is `there` because a bank took it, with `more` credited about the invoice."""
    entries = BalanceEntry.objects.filter(customer=invoice.customer_id)
    held = -_sum(entries.filter(invoice=invoice, payment=None), "amount")
    taken = _sum(Dispute.objects.filter(payment__invoice=invoice), "withdrawn")
    credited = _sum(entries.filter(credit_note__invoice=invoice), "amount") + more
    return min(min(taken, max(credited, 0)) - held, max(there, 0))


def _sum(rows: QuerySet[Any], field: str) -> int:
    return int(rows.aggregate(sum=Sum(field, default=0))["sum"])


def _held(invoice: Invoice, amount: int, now: datetime) -> None:
    """A negative amount is given back."""
    words = f"The bank {'took' if amount > 0 else 'gave'} back what had paid {invoice.number}"
    BalanceEntry.objects.create(
        customer_id=invoice.customer_id, amount=-amount, currency=invoice.currency, reason=words, invoice=invoice, at=now
    )  # fmt: skip
    Customer.objects.filter(pk=invoice.customer_id).update(balance=F("balance") - amount)
    on = local_date(now, Seller.objects.get().timezone)
    bulk.copy(Posting, list(journal.of_held_back(invoice, amount, on, words)))


_PAPER = ("customer_id", "currency", "livemode", "number")
