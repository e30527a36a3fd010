"""What a subscription says beforehand: that its trial or its contract ends. Instants, worked out from the row."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from billing.maths.periods import local_date, midnight
from billing.models import Subscription

TRIAL_DAYS = (3, 1, 0)
CONTRACT_DAYS = (90, 60, 30)
OF_CONTRACT = ("renewal_approaching", "contract_over")


class Notice(NamedTuple):
    """`days` before the end, 0 on its day. `contract_over`: the term is up, and another begins."""

    at: datetime
    kind: Literal["trial_ending", "renewal_approaching", "contract_over"]
    days: int


def notices(subscription: Subscription) -> list[Notice]:
    """Every notice of the running trial and contract, in time order."""
    return sorted({*_of_trial(subscription), *_of_contract(subscription)})


def due(subscription: Subscription, now: datetime) -> list[Notice]:
    """Those whose time has come and that were not given yet. Of a contract's the last: after a cancellation that was
    undone, 90 days are no news when 30 have begun."""
    found = [notice for notice in _not_given(subscription) if notice.at <= now]
    last = max((notice.at for notice in found if notice.kind in OF_CONTRACT), default=now)
    return [notice for notice in found if notice.kind != "renewal_approaching" or notice.at == last]


def next_notice(subscription: Subscription) -> datetime | None:
    """When the next one is due."""
    return next((notice.at for notice in _not_given(subscription)), None)


def _not_given(subscription: Subscription) -> list[Notice]:
    """What lies after the last one, in time order. A term that is over renews however long ago that was, as one that
    was agreed afterwards may be: doing it moves the end on."""
    given = subscription.noticed_at or subscription.started_at
    return [notice for notice in notices(subscription) if notice.at > given or notice.kind == "contract_over"]


def _of_trial(row: Subscription) -> Iterator[Notice]:
    """Who has canceled by then has been heard: nothing goes on after the trial."""
    if row.trial_end_at is None or row.status not in ("trialing", "incomplete"):
        return
    ends_on = local_date(row.trial_end_at, row.timezone)
    if row.end_on is not None and row.end_on <= ends_on:
        return
    for days in TRIAL_DAYS[:-1]:
        yield Notice(row.trial_end_at - timedelta(days=days), "trial_ending", days)
    yield Notice(midnight(ends_on, row.timezone), "trial_ending", 0)


def _of_contract(row: Subscription) -> Iterator[Notice]:
    """A customer who has canceled has been heard: nothing about a renewal."""
    if row.contract_end_on is None or row.canceled_at is not None:
        return
    for days in CONTRACT_DAYS:
        day = row.contract_end_on - timedelta(days=days)
        yield Notice(midnight(day, row.timezone), "renewal_approaching", days)
    if row.auto_renew:
        yield Notice(midnight(row.contract_end_on, row.timezone), "contract_over", 0)
