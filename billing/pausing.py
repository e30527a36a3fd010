"""A pause: days that cost nothing in the middle of a subscription, and the way back.

What was paid for the days of the pause is given back to the balance on the day it begins, and the rest of the
period is asked for again on the day it ends, by the same count of days; the billing day stays. What is used in
a pause is not billed. Changes that wait keep their days. A pause may wait for a later day itself; there is one
at a time, so the next takes the place of one that waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from billing import invoicing, subscribing, timelines, wishes
from billing.events import record
from billing.falling_due import as_current, current
from billing.maths.periods import ONE_DAY, local_date
from billing.models import Subscription
from billing.moves import move
from billing.refusals import Refused
from billing.subscribing import Change, Effective, InvalidDate, NotLive, answer, settle_derived
from billing.timelines import PhaseSpec

LONGEST_PAUSE = timedelta(days=730)


class NotPaused(Refused):
    code = "subscription_not_paused"


class TrialNotPaused(Refused):
    """A trial costs nothing: there is nothing to pause."""

    code = "trial_not_paused"


@dataclass(frozen=True, slots=True)
class _Plan:
    """The phases with the pause in them; its first day, whether that has come, and what is told of it."""

    specs: list[PhaseSpec]
    on: date
    begins: bool
    facts: dict[str, Any]


@transaction.atomic
def pause(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    effective: Effective = "now",
    resume_at: datetime | date | None = None,
    reason: str = "",
) -> Change:
    """Stop from today, from the period's or contract's end or from a later day, which is already free, until a day, or
    until somebody resumes it. One that waits can be removed like a change (`subscribing.remove_change`).

    Raises NotLive, TrialNotPaused, ChangeWaits, InvalidDate.
    """
    subscription = current(subscription, now)
    plan = _paused(subscription, now, effective, resume_at, reason)
    timelines.write(subscription, plan.specs)
    if not plan.begins:
        return _pause_later(subscription, plan, now=now, actor=actor)
    result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    move(subscription, "paused", event="subscription.paused", actor=actor, now=now, data=plan.facts)
    settle_derived(subscription, now=now, actor=actor, why="paused")
    return answer(plan.on, result)


def _pause_later(subscription: Subscription, plan: _Plan, *, now: datetime, actor: str) -> Change:
    settle_derived(subscription, now=now, actor=actor, why="pause scheduled")
    data = {"effective_on": plan.on.isoformat(), "pause": plan.facts, "upgrade": False}
    record("subscription.changed", subject=subscription, actor=actor, now=now, data=data)
    return answer(
        plan.on, invoicing.nothing(), next=subscribing.next_paper(subscription, now),
        phase=subscribing.waiting(subscription, plan.on, now, pause=True),
    )  # fmt: skip


def preview_pause(
    *,
    subscription: Subscription,
    now: datetime,
    effective: Effective = "now",
    resume_at: datetime | date | None = None,
) -> Change:
    """The figures of `pause`; writes nothing."""
    with as_current(subscription, now) as row:
        plan, result = _paused(row, now, effective, resume_at, ""), invoicing.nothing()
        specs = timelines.with_end(row, plan.specs)
        if not plan.begins:
            return answer(plan.on, result, next=subscribing.next_after(row, specs, result, now))
        return answer(plan.on, invoicing.draft(subscription=row, specs=specs, now=now))


def _paused(
    subscription: Subscription,
    now: datetime,
    effective: Effective,
    resume_at: datetime | date | None,
    reason: str,
) -> _Plan:
    if subscription.status == Subscription.Status.TRIALING:
        raise TrialNotPaused("A trial costs nothing. Pause it when it has ended, or cancel it.")
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    today = timelines.local_day(subscription, now)
    specs = timelines.planned(subscription)
    specs = _without_another(specs, timelines.reached(subscription, specs, now))
    on = subscribing.effective_day(subscription, specs, effective, now)
    if on == today:
        subscribing.refuse_before_another(subscription, specs, now, field="effective")
    until = local_date(resume_at, subscription.timezone) if isinstance(resume_at, datetime) else resume_at
    _refuse_days(subscription, on, until, today)
    facts = {"resume_on": until.isoformat() if until else None, "reason": reason}
    starts_at = effective if isinstance(effective, datetime) and on > today else None
    specs = timelines.split(specs, on, wishes=wishes.pausing(facts), source="pause", starts_at=starts_at)
    if until is not None:
        specs = timelines.split(specs, until, wishes=wishes.GOES_ON, source="pause", starts_at=None)
    free = [
        _free(spec) if spec.start_on >= on and (until is None or spec.start_on < until) else spec
        for spec in specs
    ]
    return _Plan(wishes.follow(free, until - ONE_DAY) if until else free, on, on <= today, facts)


def _without_another(specs: Sequence[PhaseSpec], reached: date) -> list[PhaseSpec]:
    other = next((spec for spec in specs if spec.start_on > reached and wishes.pauses(spec)), None)
    return list(specs) if other is None else wishes.without(specs, other)


def _refuse_days(subscription: Subscription, on: date, until: date | None, today: date) -> None:
    if on < today:
        raise InvalidDate("A pause begins today or later.", field="effective")
    if subscription.end_on is not None and on >= subscription.end_on:
        raise InvalidDate("The subscription has ended by then.", field="effective")
    if until is not None and until <= on:
        after = "today" if on == today else f"{on}, the day it begins"
        raise InvalidDate(f"A pause ends after {after}.", field="resume_at")
    if until is not None and until > on + LONGEST_PAUSE:
        raise InvalidDate(f"A pause has at most {LONGEST_PAUSE.days} days.", field="resume_at")


def _free(spec: PhaseSpec) -> PhaseSpec:
    return spec if spec.empty else replace(spec, free=True, paused=True, prorate=True)


@transaction.atomic
def resume(*, subscription: Subscription, now: datetime, actor: str) -> Change:
    """End the pause today, which is billed again to the end of its period; what waits for a later hour of today begins
    with it. Raises NotPaused."""
    subscription = current(subscription, now)
    specs = _resumed(subscription, now)
    timelines.write(subscription, specs)
    move(subscription, "active", event="subscription.resumed", actor=actor, now=now)
    result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="resumed")
    return answer(timelines.local_day(subscription, now), result)


def preview_resume(*, subscription: Subscription, now: datetime) -> Change:
    """The figures of `resume`; writes nothing."""
    with as_current(subscription, now) as row:
        specs = timelines.with_end(row, _resumed(row, now))
        return answer(timelines.local_day(row, now), invoicing.draft(subscription=row, specs=specs, now=now))


def _resumed(subscription: Subscription, now: datetime) -> list[PhaseSpec]:
    if subscription.status != Subscription.Status.PAUSED:
        raise NotPaused("The subscription is not paused.")
    today = timelines.local_day(subscription, now)
    specs = timelines.without_hours(subscription, timelines.planned(subscription), now)
    specs = timelines.split(specs, today, wishes=wishes.GOES_ON, source="resume", starts_at=None)
    going_on = [
        replace(spec, free=False, paused=False)
        if spec.paused and spec.start_on >= today and not spec.empty
        else spec
        for spec in specs
    ]
    return wishes.without_way_back(going_on, today)
