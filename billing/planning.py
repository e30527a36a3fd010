"""The phases that a new subscription is made of: a trial, the periods that a discount lasts, and the rest.

Checkout, the API and staff all start subscriptions from here, and the offer that was shown before was priced
from the same phases.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from billing import discounting, wishes
from billing.choosing import anchored, interval_of
from billing.maths.periods import local_date, midnight
from billing.models import Customer, Phase, Plan
from billing.refusals import Refused
from billing.timelines import PhaseSpec

LONGEST_BACKDATE = timedelta(days=366)
FURTHEST_START = timedelta(days=2 * 366)
LONGEST_TRIAL = timedelta(days=730)


class InvalidDate(Refused):
    code = "invalid_date"


class TooFarBack(InvalidDate):
    code = "too_far_back"


class InvalidTrial(Refused):
    code = "invalid_trial"


def phases(
    spec: PhaseSpec, *, trial_end: datetime | None, tz: str, anchor: str | int = "start"
) -> list[PhaseSpec]:
    """`spec` says the terms and the start; what comes of it in time order."""
    starts = [spec] if trial_end is None else _after_trial(spec, trial_end, tz)
    interval = interval_of(spec)
    *trial, paid = [replace(s, anchor_on=anchored(interval, s.start_on, anchor)) for s in starts]
    if trial:
        paid = replace(paid, wishes={"ends": trial_ends(paid.anchor_on, anchor)})
    lasting = discounting.lasting([*trial, paid], paid, discounting.fresh(paid.discount))
    return wishes.follow(lasting, paid.start_on)


def _after_trial(spec: PhaseSpec, trial_end: datetime, tz: str) -> list[PhaseSpec]:
    end_on = local_date(trial_end, tz)
    paid = replace(spec, start_on=end_on, starts_at=trial_end)
    return [paid] if end_on == spec.start_on else [replace(spec, end_on=end_on, free=True), paid]


def trial_ends(anchor_on: date, anchor: str | int) -> dict[str, Any]:
    """What changes on the day after a trial, whatever is chosen in it. `anchor`: the rule that `anchor_on` comes of,
    for a trial that is made longer or shorter."""
    return {"free": False, "anchor_on": anchor_on.isoformat(), "anchor": anchor}


# -- When ---------------------------------------------------------------------------------------------------


def start_instant(start_at: datetime | date | None, *, now: datetime, tz: str) -> datetime:
    """When it starts; a day without a time starts at its midnight. Raises TooFarBack, InvalidDate."""
    if start_at is None:
        return now
    at = start_at if isinstance(start_at, datetime) else _beginning(start_at, now, tz)
    if at < now - LONGEST_BACKDATE:
        raise TooFarBack(f"At most {LONGEST_BACKDATE.days} days back.", field="start_at")
    if at > now + FURTHEST_START:
        raise InvalidDate(f"At most {FURTHEST_START.days} days ahead.", field="start_at")
    return at


def _beginning(day: date, now: datetime, tz: str) -> datetime:
    return now if day == local_date(now, tz) else midnight(day, tz)


def trial_end_of(
    *,
    customer: Customer,
    plan: Plan,
    start: datetime,
    trial_days: int | None,
    trial_end: datetime | date | None,
) -> datetime | None:
    """When the trial ends; None without one. Raises InvalidTrial.

    What is asked for wins over what the plan grants, and the plan grants its trial once to a customer.
    """
    if trial_end is not None:
        if trial_days is not None:
            raise InvalidTrial("Give trial_days or trial_end, not both.", field="trial_end")
        at = trial_end if isinstance(trial_end, datetime) else midnight(trial_end, customer.timezone)
        if at <= start:
            raise InvalidTrial("A trial ends after the start.", field="trial_end")
        refuse_longer(start, at)
        return at
    days = granted_days(customer, plan) if trial_days is None else trial_days
    return start + timedelta(days=days) if days else None


def refuse_longer(start: datetime, trial_end: datetime) -> None:
    """Raises InvalidTrial."""
    if trial_end > start + LONGEST_TRIAL:
        raise InvalidTrial(f"A trial has at most {LONGEST_TRIAL.days} days.", field="trial_end")


def granted_days(customer: Customer, plan: Plan) -> int:
    """The days of trial that the plan grants to this customer."""
    if not plan.trial_days:
        return 0
    tried = Phase.objects.filter(subscription__customer=customer, plan=plan, free=True, paused=False)
    return 0 if tried.exists() else plan.trial_days
