"""Deleting a customer, or a sandbox clock with its customers. Papers and facts stay for ever, so what has papers
stays too; the rest is emptied, and what pointed to it points to an empty row."""

from datetime import datetime
from typing import Any

from django.db import transaction

from billing import clocks
from billing.events import record
from billing.models import Customer, Member, PortalLink, Subscription, TestClock
from billing.refusals import Refused

EMPTY: dict[str, Any] = {
    "name": "Deleted customer", "email": "", "external_id": None, "domain": "", "industry": "", "tax_id": "",
    "employees": None, "billing_address": {}, "metadata": {}, "owner": None, "mrr": 0, "arr": 0,
}  # fmt: skip


class HasPapers(Refused):
    """Invoices or payments exist: the law keeps them, and with them whose they are."""

    code = "customer_has_papers"


class HasSubscriptions(Refused):
    """Something is still being sold to the customer; cancel it first."""

    code = "customer_has_subscriptions"


@transaction.atomic
def delete_customer(*, customer: Customer, now: datetime, actor: str) -> None:
    """Empty the row and take everybody's access away. Raises HasPapers, HasSubscriptions."""
    row = Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer.pk)
    if row.invoices.exists() or row.payments.exists() or row.balance_entries.exists():
        raise HasPapers("Invoices or payments of this customer exist: it is kept with them.")
    if row.joined.exists():
        raise HasPapers("Other accounts are parts of this one: it is kept with them.")
    if row.subscriptions.exclude(status=Subscription.Status.CANCELED).exists():
        raise HasSubscriptions("Cancel the customer's subscriptions first.")
    empty(customer=row, now=now, actor=actor)


def empty(*, customer: Customer, now: datetime, actor: str) -> None:
    """Empty the row and take everybody's access away, whatever papers there are; it is held. Inside a transaction."""
    _shut(customer, now)
    Customer.objects.filter(pk=customer.pk).update(deleted_at=now, **EMPTY)
    data = {"before": {"deleted": False}, "after": {"deleted": True}}
    record("customer.updated", subject=customer, customer=customer, actor=actor, now=now, data=data)


def _shut(customer: Customer, now: datetime) -> None:
    Member.objects.filter(customer=customer, removed_at__isnull=True).update(removed_at=now)
    PortalLink.objects.filter(customer=customer).delete()
    customer.payment_methods.filter(detached_at__isnull=True).update(detached_at=now, is_default=False)


def delete_clock(*, clock: TestClock, actor: str, now: datetime) -> None:
    """The clock and its customers are gone from everywhere; nothing more happens to them. Repeatable.

    Raises clocks.Moving while it is being moved: what happens on the way would find them half gone.
    """
    with clocks.held(clock), transaction.atomic():
        if not TestClock.objects.filter(pk=clock.pk, deleted_at__isnull=True).update(deleted_at=now):
            return
        for customer in (
            Customer.objects.select_for_update(no_key=True).filter(test_clock=clock).order_by("pk")
        ):
            _shut(customer, now)
        Subscription.objects.filter(test_clock=clock).update(next_due_at=None)
        Customer.objects.filter(test_clock=clock).update(deleted_at=now, external_id=None)
        record("test_clock.deleted", subject=clock, actor=actor, now=clock.now, data={"name": clock.name})
