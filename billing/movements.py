"""MRR movements: each change of a subscription's committed revenue as a row, so that every figure of the past can be
added up again. Written by whoever changes the subscription, in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self

from django.db.models import QuerySet

from billing import timelines
from billing.models import MrrMovement, Subscription
from billing.timelines import PhaseSpec

Kind, Cause = MrrMovement.Kind, MrrMovement.Cause


class Level(NamedTuple):
    """MRR and ARR in minor units."""

    mrr: int
    arr: int

    @classmethod
    def of(cls, subscription: Subscription) -> Self:
        return cls(subscription.mrr, subscription.arr)


@dataclass(frozen=True, slots=True)
class Step:
    """A subscription whose level was `before` and now is what the row says, under these phases."""

    subscription: Subscription
    before: Level
    specs: Sequence[PhaseSpec]
    now: datetime
    first: bool = False
    """The subscription has just been made: nothing can have moved before."""
    last: Sequence[MrrMovement] | None = None
    """The row before (`last_of`), where the caller has read it."""


def note(steps: Sequence[Step]) -> None:
    """Write a movement for each step that moved anything; at most two statements for any number of steps."""
    if rows := of(steps):
        MrrMovement.objects.bulk_create(rows)


def of(steps: Sequence[Step]) -> list[MrrMovement]:
    """A movement for each step that moved anything; not stored yet."""
    moved = [step for step in steps if Level.of(step.subscription) != step.before]
    last = _last_movements([step.subscription.pk for step in moved if not step.first and step.last is None])
    last |= {row.subscription_id: row for step in moved for row in step.last or ()}
    return [_movement(step, last.get(step.subscription.pk)) for step in moved]


def last_of(subscription: Subscription) -> QuerySet[MrrMovement]:
    """Its newest movement, for one `bulk.read`."""
    return MrrMovement.objects.filter(subscription=subscription).order_by("-id")[:1]


def _last_movements(subscriptions: Sequence[str]) -> dict[str, MrrMovement]:
    if not subscriptions:
        return {}
    rows = MrrMovement.objects.filter(subscription__in=subscriptions)
    return {row.subscription_id: row for row in rows.order_by("subscription", "-id").distinct("subscription")}


def _movement(step: Step, last: MrrMovement | None) -> MrrMovement:
    row = step.subscription
    spec = timelines.spec_on(step.specs, timelines.local_day(row, step.now)) or step.specs[-1]
    seats = next((q for p, q in spec.items if p.kind == "recurring" and p.model != "flat"), None)
    kind = _kind(step.before.mrr, row.mrr, last)
    return MrrMovement(
        customer_id=row.customer_id, subscription=row, at=step.now, kind=kind, cause=_cause(kind, spec, seats, last),
        motion=spec.motion, plan=spec.plan, seats=seats, mrr=row.mrr - step.before.mrr, arr=row.arr - step.before.arr,
        currency=row.currency, livemode=row.customer.livemode,
    )  # fmt: skip


def _kind(before: int, after: int, last: MrrMovement | None) -> str:
    if before == 0:
        return Kind.NEW if last is None else Kind.REACTIVATION
    if after == 0:
        return Kind.CHURN
    return Kind.EXPANSION if after >= before else Kind.CONTRACTION


def _cause(kind: str, spec: PhaseSpec, seats: Decimal | None, last: MrrMovement | None) -> str:
    """Why: the plan if it is another, else the seats, else the price (a discount, a ramp, a new interval)."""
    if kind in (Kind.NEW, Kind.REACTIVATION):
        return Cause.START
    if kind == Kind.CHURN:
        return Cause.END
    if last is None or last.plan_id != spec.plan.pk:
        return Cause.PLAN
    return Cause.SEATS if last.seats != seats else Cause.PRICE
