"""A subscription from nothing to its first invoice in one call, for those who have no checkout to go
through."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django_q.tasks import async_task

from billing import subscribing
from billing.models import Customer, Invoice, Plan, Subscription


@transaction.atomic
def start(
    *, customer: Customer, plan: Plan, interval: str, now: datetime, actor: str, origin: str, **terms: Any
) -> Subscription:
    """Subscribe, bill the first day, and have the invoice collected by a job. `terms` and errors as
    `subscribing.subscribe`."""
    subscription = subscribing.subscribe(
        customer=customer, plan=plan, interval=interval, now=now, actor=actor, origin=origin, **terms
    )
    collect_soon(subscribing.bill_now(subscription=subscription, now=now, actor=actor).invoice)
    subscription.refresh_from_db()
    return subscription


@transaction.atomic
def change(*, subscription: Subscription, now: datetime, actor: str, **wishes: Any) -> subscribing.Change:
    """`subscribing.change`, and its invoice collected by a job."""
    changed = subscribing.change(subscription=subscription, now=now, actor=actor, **wishes)
    collect_soon(changed.invoice)
    return changed


def collect_soon(invoice: Invoice | None) -> None:
    """Have a new invoice charged or sent as soon as a worker is free. Commits with the invoice."""
    if invoice is not None:
        async_task("billing.tasks.after_issue", invoice.customer.test_clock_id)
