"""Money and credit counted to an invoice, and what follows when nothing is due any more."""

from datetime import datetime
from typing import Any

from django.db.models import F

from billing.models import Invoice, Subscription
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
    """Nothing is due any more: retries and reminders stop, and the subscription is no longer late."""
    data = {
        "number": invoice.number, "total": invoice.total, "currency": invoice.currency, "motion": invoice.motion,
    }  # fmt: skip
    move(
        invoice, "paid", event="invoice.paid", actor=actor, now=now, paid_at=now, next_attempt_at=None,
        next_reminder_at=None, data=data, **fields,
    )  # fmt: skip
    no_longer_late(invoice, now=now, actor=actor)


def no_longer_late(invoice: Invoice, *, now: datetime, actor: str) -> None:
    """The subscription runs as it should again, unless another invoice of it is late."""
    subscription = invoice.subscription
    if subscription is None or subscription.status != Subscription.Status.PAST_DUE:
        return
    still_late = subscription.invoices.filter(status="open", attempts__gt=0).exclude(pk=invoice.pk)
    if not still_late.exists():
        data = {"upgrade": False}
        move(subscription, "active", event="subscription.changed", actor=actor, now=now, data=data)
