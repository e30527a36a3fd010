"""The end of a subscription: scheduled, undone, come, and a new one taken up after it.

Like the other verbs, none computes money: `billing.invoicing.bill` says what the end gives back and still asks for.
"""

from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from billing import invoicing, timelines, wishes
from billing.choosing import interval_of, seats
from billing.events import record
from billing.falling_due import current, finish
from billing.maths.periods import ONE_DAY
from billing.models import Subscription
from billing.planning import InvalidDate
from billing.refusals import Refused
from billing.subscribing import (
    Change,
    Effective,
    NotLive,
    answer,
    effective_day,
    settle_derived,
    subscribe,
)
from billing.timelines import PhaseSpec


class NothingToUndo(Refused):
    code = "nothing_to_undo"


@transaction.atomic
def cancel(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    effective: Effective = "period_end",
    reason: str = "",
    credit_unused: bool = True,
) -> Change:
    """End it now (today still counts as used), at the period's or contract's end, or on a day, which is the first
    without service. Undo while it is pending. What was paid beyond the end is given back unless `credit_unused` is
    False. Raises NotLive, InvalidDate, TooFarBack.
    """
    subscription = current(subscription, now)
    if subscription.status == Subscription.Status.CANCELED:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    specs = _planned(subscription, effective, now)
    on = _ends(subscription, specs, effective, now)
    subscription.end_on, subscription.cancel_reason = on, reason
    subscription.credit_unused, subscription.canceled_at = credit_unused, now
    subscription.save(update_fields=["end_on", "cancel_reason", "credit_unused", "canceled_at"])
    if subscription.status == Subscription.Status.INCOMPLETE and on <= subscription.start_on:
        finish(subscription, now=now, actor=actor)
        return answer(on, invoicing.nothing())
    today = timelines.reached(subscription, specs, now)
    if on > today + timedelta(days=effective == "now"):
        return _cancel_later(subscription, on, now=now, actor=actor)
    subscription.reopened_on = on if on < today else None
    timelines.write(subscription, timelines.ended(specs, on))
    result = _last_papers(subscription, on, now=now, actor=actor)
    finish(subscription, now=now, actor=actor)
    return answer(on, result)


def _last_papers(subscription: Subscription, on: date, *, now: datetime, actor: str) -> invoicing.Result:
    """What was paid beyond the end comes back on a note of its own; the rest is then asked for, and the balance pays
    it. One paper with both would hide the one in the other."""
    until = max(on, timelines.local_day(subscription, now))
    returned = invoicing.bill(subscription=subscription, now=now, actor=actor, until=until, returns_only=True)
    rest = invoicing.bill(subscription=subscription, now=now, actor=actor, until=until)
    return invoicing.joined(returned, rest)


def _planned(subscription: Subscription, effective: Effective, now: datetime) -> list[PhaseSpec]:
    """The phases that it ends; what waits for a later hour of the day on which it ends at once never begins."""
    specs = timelines.planned(subscription)
    if effective != "now":
        return specs
    for row in [spec.row for spec in timelines.later_today(subscription, specs, now)]:
        specs = wishes.without(specs, next(spec for spec in specs if spec.row == row))
    return timelines.without_hours(subscription, specs, now)


def _ends(subscription: Subscription, specs: list[PhaseSpec], effective: Effective, now: datetime) -> date:
    """The first day without service. Nobody is billed for a day of a start that lay ahead."""
    on = effective_day(subscription, specs, effective, now)
    if subscription.status == Subscription.Status.INCOMPLETE:
        return on
    if on == subscription.start_on and effective != "now":
        raise InvalidDate("It ends after the day on which it started.", field="effective")
    if effective == "now":
        return max(timelines.reached(subscription, specs, now), subscription.start_on) + ONE_DAY
    return on


def _cancel_later(subscription: Subscription, on: date, *, now: datetime, actor: str) -> Change:
    settle_derived(subscription, now=now, actor=actor, why="cancellation scheduled")
    record(
        "subscription.cancel_scheduled", subject=subscription, actor=actor, now=now,
        data={"end_on": on.isoformat(), "reason": subscription.cancel_reason},
    )  # fmt: skip
    return answer(on, invoicing.nothing())


@transaction.atomic
def undo_cancel(*, subscription: Subscription, now: datetime, actor: str) -> Change:
    """Take a pending cancellation back; what it had given back beforehand is asked for again. A contract that is
    not renewed still ends with its term. Raises NothingToUndo."""
    subscription = current(subscription, now)
    if subscription.canceled_at is None or subscription.status == Subscription.Status.CANCELED:
        raise NothingToUndo("There is no cancellation to undo.")
    subscription.end_on = None if subscription.auto_renew else subscription.contract_end_on
    subscription.canceled_at, subscription.cancel_reason, subscription.credit_unused = None, "", True
    subscription.save(update_fields=["end_on", "canceled_at", "cancel_reason", "credit_unused"])
    result = invoicing.nothing()
    if subscription.billed_through is not None:
        result = invoicing.bill(subscription=subscription, now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="cancellation undone")
    record(
        "subscription.changed",
        subject=subscription,
        actor=actor,
        now=now,
        data={"undo": "cancel", "upgrade": False},
    )
    return answer(timelines.local_day(subscription, now), result)


@transaction.atomic
def restart(*, subscription: Subscription, now: datetime, actor: str, **terms: Any) -> Subscription:
    """A canceled subscription taken up again: a new one on the plan, interval and quantities that the old one ended
    with, at today's prices, without its trial. It starts when the days that were paid for are over. `terms` and
    errors as `subscribe`; NotLive while the old one is not canceled."""
    subscription = current(subscription, now)
    if subscription.status != Subscription.Status.CANCELED:
        raise NotLive("Only a canceled subscription is taken up again.")
    last = [spec for spec in timelines.specs_of(subscription) if not spec.empty][-1]
    today = timelines.local_day(subscription, now)
    paid = {"start_at": subscription.end_on} if subscription.end_on and subscription.end_on > today else {}
    return subscribe(
        customer=subscription.customer, now=now, actor=actor, origin=subscription.origin,
        **{"plan": last.plan, "interval": interval_of(last), "quantity": seats(last.items), "trial_days": 0,
           "collection_method": last.collection_method, "net_days": last.net_days, **paid, **terms},
    )  # fmt: skip
