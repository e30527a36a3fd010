"""The end of a running trial, moved: made longer or shorter, or ended today.

What comes of it is what the same trial would have come to with that end from the start: the first paid day, the
anchor that was the trial's end, and the discounts that count from the first paid day move with it. A change that
waits for the day after the trial moves with it too; one that waits for another day keeps it, and costs nothing if the
trial now holds it. Contracts keep their days.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Literal

from django.db import transaction

from billing import discounting, invoicing, moves, planning, subscribing, timelines, wishes
from billing.choosing import anchored, interval_of
from billing.events import record
from billing.falling_due import as_current, begin_phase, current
from billing.maths.periods import local_date, midnight
from billing.models import Subscription
from billing.planning import InvalidTrial
from billing.refusals import Refused
from billing.subscribing import Change, ChangeWaits, answer, settle_derived
from billing.timelines import PhaseSpec

type TrialEnd = Literal["now"] | date | datetime


class NotTrialing(Refused):
    code = "subscription_not_trialing"


class CancellationPending(Refused):
    """It ends with its cancellation; a trial of another length would say something else."""

    code = "cancellation_pending"


class TrialAgreed(Refused):
    """The terms that follow were agreed for their days, as in a quote."""

    code = "trial_agreed"


@dataclass(frozen=True, slots=True)
class _Plan:
    """The phases before and after, when the trial ends, and the day of it."""

    before: list[PhaseSpec]
    after: list[PhaseSpec]
    at: datetime
    on: date


@transaction.atomic
def change_end(
    *, subscription: Subscription, trial_end: TrialEnd, now: datetime, actor: str, with_next: bool = False
) -> Change:
    """The trial ends now, billed at once, or on another day after today (a time counts by its local day, and is when
    that day is billed).

    Raises NotTrialing, CancellationPending, TrialAgreed, ChangeWaits, InvalidTrial.
    """
    subscription = current(subscription, now)
    plan = _planned(subscription, trial_end, now)
    was, mrr_before = subscription.trial_end_at, subscription.mrr
    timelines.write(subscription, plan.after)
    moves.change(subscription, trial_end_at=plan.at, noticed_at=now)
    result = invoicing.nothing()
    if _over(subscription, plan, now):
        begin_phase(
            subscription, _running(plan.before, plan.on), _first_paid(plan.after), now=now, actor=actor
        )
        result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="trial's end changed")
    data = {
        "effective_on": plan.on.isoformat(), "trial_end": plan.at.isoformat(),
        "trial_end_before": was and was.isoformat(), "mrr_before": mrr_before, "mrr_after": subscription.mrr,
        "currency": subscription.currency, "upgrade": False,
    }  # fmt: skip
    record("subscription.changed", subject=subscription, actor=actor, now=now, data=data)
    return answer(plan.on, result, next=subscribing.next_paper(subscription, now) if with_next else None)


def preview_end(
    *, subscription: Subscription, trial_end: TrialEnd, now: datetime, with_next: bool = False
) -> Change:
    """The figures of `change_end`; writes nothing."""
    with as_current(subscription, now) as found:
        plan, row = _planned(found, trial_end, now), copy(found)
        row.trial_end_at = plan.at
        specs, result = timelines.with_end(row, plan.after), invoicing.nothing()
        if _over(row, plan, now):
            result = invoicing.draft(subscription=row, specs=specs, now=now)
        return answer(
            plan.on, result, next=subscribing.next_after(row, specs, result, now) if with_next else None
        )


def _over(subscription: Subscription, plan: _Plan, now: datetime) -> bool:
    return plan.on <= timelines.local_day(subscription, now)


def _planned(subscription: Subscription, trial_end: TrialEnd, now: datetime) -> _Plan:
    if subscription.status != Subscription.Status.TRIALING:
        raise NotTrialing(f"The subscription is {subscription.get_status_display().lower()}, not in a trial.")
    if subscription.canceled_at is not None:
        raise CancellationPending("The subscription is canceled. Take that back first.")
    specs, today = timelines.planned(subscription), timelines.local_day(subscription, now)
    _refuse_agreed(subscription, specs, today)
    at = _end_at(subscription, trial_end, now)
    on = local_date(at, subscription.timezone)
    if on == today:
        subscribing.refuse_before_another(subscription, specs, now, field="trial_end")
    return _Plan(specs, moved(specs, on, at, today), at, on)


def _refuse_agreed(subscription: Subscription, specs: Sequence[PhaseSpec], today: date) -> None:
    paid = _first_paid(specs)
    if any(spec.wishes is None for spec in specs if spec is paid or spec.start_on > today):
        raise TrialAgreed("What follows the trial was agreed for its days.", field="trial_end")
    if subscription.billed_through is not None and subscription.billed_through >= paid.start_on:
        raise TrialAgreed("The first paid day has been billed.", field="trial_end")


def _end_at(subscription: Subscription, trial_end: TrialEnd, now: datetime) -> datetime:
    if trial_end == "now":
        return now
    if not isinstance(trial_end, date):
        raise InvalidTrial("now, a day or a time.", field="trial_end")
    tz = subscription.timezone
    at = trial_end if isinstance(trial_end, datetime) else midnight(trial_end, tz)
    on = local_date(at, tz)
    if on <= timelines.local_day(subscription, now):
        raise InvalidTrial("A trial ends now, or on a day after today.", field="trial_end")
    planning.refuse_longer(subscription.started_at, at)
    over = subscription.contract_end_on
    if over is not None and on >= over:
        raise InvalidTrial(f"The contract's term ends on {over}: a trial ends within it.", field="trial_end")
    return at


# -- The phases ---------------------------------------------------------------------------------------------


def moved(specs: Sequence[PhaseSpec], on: date, at: datetime, today: date) -> list[PhaseSpec]:
    """The phases with the trial's end on another day, which is `today` or after it. Raises ChangeWaits."""
    old = _first_paid(specs)
    begun = [spec for spec in specs if spec.start_on <= today and spec is not old]
    waiting = [
        replace(spec, wishes=_asked(spec))
        for spec in specs
        if spec.start_on > today and spec is not old and _asked(spec)
    ]
    before = [*begun, *(spec for spec in waiting if spec.start_on < on)]
    paid = _paid(specs, old, on, at, waiting)
    if on <= today:
        paid = wishes.on_top(before, paid)
    after = [spec for spec in waiting if spec.start_on > on]
    laid = _touching([*before, paid, *after], specs[-1].end_on)
    return _lasting(wishes.follow(laid, today), _running(specs, today), today, len(begun))


def _first_paid(specs: Sequence[PhaseSpec]) -> PhaseSpec:
    return next(spec for spec in specs if not spec.empty and not (spec.free and not spec.paused))


def _running(specs: Sequence[PhaseSpec], today: date) -> PhaseSpec:
    """The trial as it is today; on the day on which it was to end, as it was before."""
    return [spec for spec in specs if spec.start_on <= today and spec.free and not spec.empty][-1]


def _asked(spec: PhaseSpec) -> Mapping[str, Any]:
    """What somebody asked for on that day, without what ends on it."""
    return {name: value for name, value in (spec.wishes or {}).items() if name != "ends"}


def _paid(
    specs: Sequence[PhaseSpec], old: PhaseSpec, on: date, at: datetime, waiting: Sequence[PhaseSpec]
) -> PhaseSpec:
    """The first paid phase on its new day, not worked out yet."""
    said = _asked(old)
    there = next((spec for spec in waiting if spec.start_on == on), None)
    if there is not None and said:
        raise ChangeWaits("Another change waits for that day. Remove it first.", field="trial_end")
    rule = _anchor_rule(specs, old)
    ends = planning.trial_ends(anchored(interval_of(specs[0]), on, rule), rule)
    base = there or replace(old, row=None)
    return replace(
        base, start_on=on, starts_at=at, wishes={**(there.wishes or {} if there else said), "ends": ends}
    )


def _anchor_rule(specs: Sequence[PhaseSpec], old: PhaseSpec) -> str | int:
    """How the anchor was chosen; where that was not kept, the day itself unless it was the trial's end."""
    ends, first = (old.wishes or {}).get("ends", {}), specs[0]
    if "anchor" in ends:
        return ends["anchor"]  # type: ignore[no-any-return]
    kept = ends.get("anchor_on", old.start_on.isoformat())
    from_start = first.anchor_on == first.start_on and kept == old.start_on.isoformat()
    return "start" if from_start else kept


def _touching(specs: Sequence[PhaseSpec], end: date | None) -> list[PhaseSpec]:
    """Each lasts until the next begins; what was replaced on the day it began stays without days."""
    found = [spec if spec.empty else replace(spec, end_on=after.start_on) for spec, after in pairwise(specs)]
    return [*found, replace(specs[-1], end_on=end)]


def _lasting(specs: Sequence[PhaseSpec], running: PhaseSpec, today: date, begun: int) -> list[PhaseSpec]:
    """With the ends of discounts: all that hold in the trial count from the first paid day, and those that a change
    gives later from its own."""
    days = [spec.start_on for spec in specs[begun:] if "discount" in (spec.wishes or {})]
    given = discounting.fresh(running.discount)
    found = wishes.follow(discounting.lasting(specs, running, given), today)
    for day in days:
        at = next(n for n, spec in enumerate(found) if spec.start_on == day and not spec.empty)
        given = discounting.fresh(found[at].discount, found[at - 1].discount)
        found = wishes.follow(discounting.lasting(found, found[at], given), today)
    return found
