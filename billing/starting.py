"""A subscription from nothing to its first invoice in one call, for those who have no checkout to go
through."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django_q.tasks import async_task

from billing import cards, choosing, falling_due, pausing, subscribing, timelines, trialing, wishes
from billing.maths.periods import MONTHS, Interval
from billing.models import Customer, Invoice, PaymentMethod, Plan, Seller, Subscription
from billing.timelines import PhaseSpec


@transaction.atomic
def start(
    *,
    customer: Customer,
    plan: Plan,
    now: datetime,
    actor: str,
    origin: str,
    interval: str | None = None,
    card: PaymentMethod | None = None,
    **terms: Any,
) -> Subscription:
    """Subscribe, bill the first day, and have the invoice collected by a job, from `card` and from now on if one is
    given. `terms` and errors as `subscribing.subscribe`."""
    interval = interval or choosing.cadence(plan, customer.currency)
    bought = choosing.choose_items(plan, interval=interval, currency=customer.currency)
    choosing.refuse_uncounted(
        plan, [price for price, _ in bought], terms.get("quantity"), terms.get("quantities")
    )
    if card is not None:
        cards.make_default(payment_method=card, now=now, actor=actor)
    subscription = subscribing.subscribe(
        customer=customer, plan=plan, interval=interval, now=now, actor=actor, origin=origin, **terms
    )
    collect_soon(subscribing.bill_now(subscription=subscription, now=now, actor=actor).invoice)
    subscription.refresh_from_db()
    return subscription


@transaction.atomic
def change(*, subscription: Subscription, now: datetime, actor: str, **wished: Any) -> subscribing.Change:
    """`subscribing.change` with the invoice after it, and its own collected by a job. Without `effective` less than
    before waits for the period's end (or as the seller has it), and everything else begins now."""
    subscription = falling_due.current(subscription, now)
    wished.setdefault("effective", usual(subscription, now, wished))
    changed = subscribing.change(subscription=subscription, now=now, actor=actor, with_next=True, **wished)
    collect_soon(changed.invoice)
    return changed


def preview(*, subscription: Subscription, now: datetime, **wished: Any) -> subscribing.Change:
    """The figures of `change`; writes nothing."""
    with falling_due.as_current(subscription, now) as row:
        wished.setdefault("effective", usual(row, now, wished))
        return subscribing.preview(subscription=row, now=now, with_next=True, **wished)


@transaction.atomic
def change_trial(
    *, subscription: Subscription, trial_end: trialing.TrialEnd, now: datetime, actor: str
) -> subscribing.Change:
    """`trialing.change_end` with the invoice after it, and its own collected by a job."""
    changed = trialing.change_end(
        subscription=subscription, trial_end=trial_end, now=now, actor=actor, with_next=True
    )
    collect_soon(changed.invoice)
    return changed


@transaction.atomic
def resume(*, subscription: Subscription, now: datetime, actor: str) -> subscribing.Change:
    """`pausing.resume`, and its invoice collected by a job."""
    changed = pausing.resume(subscription=subscription, now=now, actor=actor)
    collect_soon(changed.invoice)
    return changed


# -- When, where nothing is said ----------------------------------------------------------------------------


def usual(subscription: Subscription, now: datetime, wished: dict[str, Any]) -> subscribing.Effective:
    """More starts at once, less at the end of what is paid; what is free or no more or less starts now."""
    specs = timelines.specs_of(subscription)
    day = max(timelines.reached(subscription, specs, now), subscription.start_on)
    old = timelines.spec_on(specs, day)
    if old is None or old.free or wished.get("anchor") is not None:
        return "now"
    terms = {name: value for name, value in wished.items() if name in wishes.Wish.__dataclass_fields__}
    new = wishes.terms(old, wishes.Wish(**terms), day)
    waits = _size(PhaseSpec(start_on=day, end_on=None, **new)) < _size(old)
    return "period_end" if waits and not Seller.objects.get().downgrades_at_once else "now"


def size(plan: Plan, interval: str, seats: Decimal | int | None) -> tuple[Any, ...]:
    """What decides whether terms are less than others: the rank of the plan, then the length of the period, then the
    seats. Less waits for the end of what is paid, more begins now."""
    return plan.rank, MONTHS.get(Interval(interval), 0), seats or 0


def _size(spec: PhaseSpec) -> tuple[Any, ...]:
    """And then what a year costs; a discount is no reason to wait."""
    seats = choosing.seats(spec.items)
    year = timelines.committed(replace(spec, discount=None))[1]
    return (*size(spec.plan, choosing.interval_of(spec), seats), year)


def collect_soon(invoice: Invoice | None) -> None:
    """Have a new invoice charged or sent as soon as a worker is free. Commits with the invoice."""
    if invoice is not None:
        async_task("billing.tasks.after_issue", invoice.customer.test_clock_id)
