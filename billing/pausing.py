"""A pause: days that cost nothing in the middle of a subscription, and the way back.

What was paid for the days of the pause is given back to the balance on the day it begins, and the rest of the
period is asked for again on the day it ends, by the same count of days; the billing day stays. What is used in
a pause is not billed. Changes that wait keep their days.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta

from django.db import transaction

from billing import invoicing, timelines, wishes
from billing.maths.periods import ONE_DAY, local_date
from billing.models import Subscription
from billing.moves import move
from billing.refusals import Refused
from billing.subscribing import Change, InvalidDate, NotLive, answer, locked, settle_derived
from billing.timelines import PhaseSpec

PAUSES = {"ends": {"free": True, "paused": True}}
GOES_ON = {"ends": {"free": False, "paused": False}}
LONGEST_PAUSE = timedelta(days=730)


class NotPaused(Refused):
    code = "subscription_not_paused"


class TrialNotPaused(Refused):
    """A trial costs nothing: there is nothing to pause."""

    code = "trial_not_paused"


@transaction.atomic
def pause(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    resume_at: datetime | date | None = None,
    reason: str = "",
) -> Change:
    """Stop from today until a day, or until somebody resumes it; today is already free.

    Raises NotLive, TrialNotPaused, InvalidDate.
    """
    subscription = locked(subscription)
    specs, until = _paused(subscription, now, resume_at)
    timelines.write(subscription, specs)
    result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    data = {"resume_on": until.isoformat() if until else None, "reason": reason}
    move(subscription, "paused", event="subscription.paused", actor=actor, now=now, data=data)
    settle_derived(subscription, now=now, actor=actor, why="paused")
    return answer(timelines.local_day(subscription, now), result)


def preview_pause(
    *, subscription: Subscription, now: datetime, resume_at: datetime | date | None = None
) -> Change:
    """The figures of `pause`; writes nothing."""
    specs, _ = _paused(subscription, now, resume_at)
    result = invoicing.draft(
        subscription=subscription, specs=timelines.with_end(subscription, specs), now=now
    )
    return answer(timelines.local_day(subscription, now), result)


def _paused(
    subscription: Subscription, now: datetime, resume_at: datetime | date | None
) -> tuple[list[PhaseSpec], date | None]:
    """(the phases with the pause in them, the day on which it ends)."""
    if subscription.status == Subscription.Status.TRIALING:
        raise TrialNotPaused("A trial costs nothing. Pause it when it has ended, or cancel it.")
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    today = timelines.local_day(subscription, now)
    until = local_date(resume_at, subscription.timezone) if isinstance(resume_at, datetime) else resume_at
    if until is not None and until <= today:
        raise InvalidDate("A pause ends after today.", field="resume_at")
    if until is not None and until > today + LONGEST_PAUSE:
        raise InvalidDate(f"A pause has at most {LONGEST_PAUSE.days} days.", field="resume_at")
    specs = timelines.split(
        timelines.planned(subscription), today, wishes=PAUSES, source="pause", starts_at=None
    )
    if until is not None:
        specs = timelines.split(specs, until, wishes=GOES_ON, source="pause")
    free = [
        _free(spec) if spec.start_on >= today and (until is None or spec.start_on < until) else spec
        for spec in specs
    ]
    return wishes.follow(free, until - ONE_DAY) if until else free, until


def _free(spec: PhaseSpec) -> PhaseSpec:
    return spec if spec.empty else replace(spec, free=True, paused=True, prorate=True)


@transaction.atomic
def resume(*, subscription: Subscription, now: datetime, actor: str) -> Change:
    """End the pause today, which is billed again to the end of its period. Raises NotPaused."""
    subscription = locked(subscription)
    specs = _resumed(subscription, now)
    timelines.write(subscription, specs)
    move(subscription, "active", event="subscription.resumed", actor=actor, now=now)
    result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="resumed")
    return answer(timelines.local_day(subscription, now), result)


def preview_resume(*, subscription: Subscription, now: datetime) -> Change:
    """The figures of `resume`; writes nothing."""
    specs = timelines.with_end(subscription, _resumed(subscription, now))
    return answer(
        timelines.local_day(subscription, now),
        invoicing.draft(subscription=subscription, specs=specs, now=now),
    )


def _resumed(subscription: Subscription, now: datetime) -> list[PhaseSpec]:
    if subscription.status != Subscription.Status.PAUSED:
        raise NotPaused("The subscription is not paused.")
    today = timelines.local_day(subscription, now)
    specs = timelines.split(
        timelines.planned(subscription), today, wishes=GOES_ON, source="resume", starts_at=None
    )
    return [
        replace(spec, free=False, paused=False)
        if spec.paused and spec.start_on >= today and not spec.empty
        else spec
        for spec in specs
    ]
