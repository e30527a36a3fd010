"""What is said beforehand and what renews itself: trials that end, contracts that come up for renewal.

One pass for test clocks and for the live world: each subscription whose next notice is due is claimed, every notice
given once, and the next one set.
"""

from datetime import date, datetime
from typing import Any

from django.db import transaction

from billing import customers, invoicing, mail, timelines
from billing.events import record
from billing.maths.money import to_major
from billing.maths.periods import add_months, local_date
from billing.models import CollectionMethod, Subscription, TestClock
from billing.notices import Notice, due, next_notice

CHUNK = 200


def notify(*, now: datetime, clock: TestClock | None = None) -> int:
    """Give every notice that is due. Returns how many. Safe to run twice and on several workers."""
    given = 0
    while rows := _one_chunk(now, clock):
        given += sum(rows)
    return given


def is_due(row: Subscription, now: datetime) -> bool:
    """Whether the row's contract has come to the end of its term, and nobody has looked since."""
    return any(notice.kind == "contract_over" for notice in _all_due(row, now))


def renew(row: Subscription, now: datetime) -> None:
    """What `notify` does, for a row that the caller holds; nothing unless its contract is over."""
    if is_due(row, now):
        _notify(row, now)


@transaction.atomic
def _one_chunk(now: datetime, clock: TestClock | None) -> list[int]:
    rows = (
        Subscription.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        .filter(next_notice_at__lte=now, test_clock=clock)
        .select_related("customer__test_clock")
        .order_by("next_notice_at", "id")[:CHUNK]
    )
    return [_notify(row, now) for row in rows]


def _notify(row: Subscription, now: datetime) -> int:
    """All that is due, in order: what a renewal brings may be due as well."""
    given = 0
    while found := _due(row, now):
        for notice in found:
            _ACTS[notice.kind](row, notice, now)
        row.noticed_at, given = max(found[0].at, row.noticed_at or found[0].at), given + len(found)
    row.next_notice_at = None if row.status == Subscription.Status.CANCELED else next_notice(row)
    row.save(update_fields=["noticed_at", "next_notice_at"])
    return given


def _due(row: Subscription, now: datetime) -> list[Notice]:
    """The notices of the earliest instant that is due."""
    found = _all_due(row, now)
    return [notice for notice in found if notice.at == found[0].at]


def _all_due(row: Subscription, now: datetime) -> list[Notice]:
    return [] if row.status == Subscription.Status.CANCELED else due(row, now)


def _trial_ending(row: Subscription, notice: Notice, now: datetime) -> None:
    assert row.trial_end_at is not None
    ends_on = local_date(row.trial_end_at, row.timezone)
    specs = timelines.specs_of(row)
    after = timelines.spec_on(specs, ends_on) or specs[-1]
    data = {"days": notice.days, "trial_end": row.trial_end_at.isoformat(), "plan": after.plan.code}
    event = record("subscription.trial_ending", subject=row, actor="system", now=now, data=data)
    context = {
        "plan": after.plan.name, "ends_on": ends_on, "amount": _charged_on(row, ends_on, now),
        "by_invoice": after.collection_method == CollectionMethod.SEND_INVOICE,
        "has_card": customers.default_card(row.customer) is not None, "url": mail.portal_url("plan/"),
    }  # fmt: skip
    mail.compose(
        template="trial_ending",
        to=row.customer.email,
        context=context,
        event=event,
        now=now,
        customer=row.customer,
    )


def _charged_on(row: Subscription, day: date, now: datetime) -> str:
    """What the day on which a trial ends will cost, in words; empty where it costs nothing."""
    found = invoicing.upcoming(subscription=row, now=now)
    if found.on != day or not found.result.total:
        return ""
    return f"{to_major(found.result.total, row.currency)} {row.currency}"


def _renewal_approaching(row: Subscription, notice: Notice, now: datetime) -> None:
    assert row.contract_end_on is not None
    data: dict[str, Any] = {
        "days": notice.days, "contract_end_on": row.contract_end_on.isoformat(), "auto_renew": row.auto_renew,
        "mrr": row.mrr, "arr": row.arr, "currency": row.currency,
    }  # fmt: skip
    record("subscription.renewal_approaching", subject=row, actor="system", now=now, data=data)


def _contract_over(row: Subscription, notice: Notice, now: datetime) -> None:
    """The next term begins on the day the last one ends. (Without renewal the subscription ends instead.)"""
    assert row.contract_end_on is not None
    row.contract_start_on, row.contract_end_on = row.contract_end_on, _next_end(row, row.contract_end_on)
    row.save(update_fields=["contract_start_on", "contract_end_on"])
    data = {
        "contract_start_on": row.contract_start_on.isoformat(), "contract_end_on": row.contract_end_on.isoformat(),
        "auto_renew": True,
    }  # fmt: skip
    record("subscription.renewed", subject=row, actor="system", now=now, data=data)


def _next_end(row: Subscription, end: date) -> date:
    """The end of the next term: counted from the anchor where this one ended on its day, so that a term from the 31st
    that ended on the last of February goes back to the 31st."""
    months = row.renewal_months or 12
    spec = timelines.spec_on(timelines.specs_of(row), end)
    anchor = spec.anchor_on if spec else end
    passed = (end.year - anchor.year) * 12 + end.month - anchor.month
    return (
        add_months(anchor, passed + months) if add_months(anchor, passed) == end else add_months(end, months)
    )


_ACTS = {
    "trial_ending": _trial_ending,
    "renewal_approaching": _renewal_approaching,
    "contract_over": _contract_over,
}
