"""Money and credit counted to an invoice, and what follows when nothing is due any more."""

from datetime import datetime

from django.db.models import F

from billing.models import Invoice, Subscription
from billing.moves import move


def count(invoice: Invoice, amount: int, *, now: datetime, actor: str) -> None:
    """Money arrived for the invoice. In a transaction that holds it."""
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid=F("amount_paid") + amount)
    _close(invoice, now, actor)


def count_credit(invoice: Invoice, amount: int, *, now: datetime, actor: str) -> None:
    """A credit note takes from what is due. In a transaction that holds the invoice."""
    Invoice.objects.filter(pk=invoice.pk).update(amount_credited=F("amount_credited") + amount)
    _close(invoice, now, actor)


def _close(invoice: Invoice, now: datetime, actor: str) -> None:
    """Paid when nothing is due: retries and reminders stop, and the subscription is no longer late."""
    invoice.refresh_from_db()
    if invoice.amount_due != 0:
        return
    data = {
        "number": invoice.number, "total": invoice.total, "currency": invoice.currency, "motion": invoice.motion,
    }  # fmt: skip
    move(
        invoice, "paid", event="invoice.paid", actor=actor, now=now, paid_at=now, next_attempt_at=None,
        next_reminder_at=None, data=data,
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
