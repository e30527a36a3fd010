"""Deferred revenue by month: what was invoiced ahead and when it is earned.

Derived from the lines of papers, each earned by the days of the time it is for; what is earned of a line up to a
day is rounded once, so the months of a line add up to it. Put together with the journal: the journal's deferred
account holds everything that was ever deferred, this report says how much of it is earned by now.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db.models import QuerySet

from billing.maths.money import round_half_away
from billing.maths.periods import add_months
from billing.models import CreditNoteLine, InvoiceLine


@dataclass(frozen=True, slots=True)
class Month:
    """Minor units. closing == opening + deferred - earned; the next month opens with it."""

    start: date
    opening: int
    deferred: int
    earned: int

    @property
    def closing(self) -> int:
        return self.opening + self.deferred - self.earned


class Ahead(NamedTuple):
    """An amount that was posted as deferred on a day, for the days [start, end)."""

    amount: int
    on: date
    start: date
    end: date

    def earned_by(self, day: date) -> int:
        """What of it is earned before `day`; nothing before it was invoiced."""
        if day <= self.on:
            return 0
        days = min(max((day - self.start).days, 0), (self.end - self.start).days)
        return round_half_away(self.amount * days, (self.end - self.start).days)


def by_month(*, currency: str, livemode: bool, until: date) -> list[Month]:
    """From the first paper to the month of `until`. Two statements."""
    deferred: dict[date, int] = defaultdict(int)
    earned: dict[date, int] = defaultdict(int)
    stop = add_months(until.replace(day=1), 1)
    for ahead in _all(currency, livemode):
        deferred[ahead.on.replace(day=1)] += ahead.amount
        month, before = ahead.on.replace(day=1), 0
        while month < stop and month < ahead.end:
            following = add_months(month, 1)
            now = ahead.earned_by(following)
            earned[month] += now - before
            month, before = following, now
    return list(_in_order(deferred, earned, stop))


def _in_order(deferred: dict[date, int], earned: dict[date, int], stop: date) -> Iterator[Month]:
    month, opening = min(deferred, default=stop), 0
    while month < stop:
        found = Month(month, opening, deferred[month], earned[month])
        yield found
        month, opening = add_months(month, 1), found.closing


def _all(currency: str, livemode: bool) -> Iterator[Ahead]:
    """What the papers posted as deferred (see `journal.earned_account`). A void invoice posts and unposts."""
    lines = InvoiceLine.objects.exclude(invoice__status__in=("draft", "void"))
    yield from _ahead(lines, "invoice", currency, livemode, 1)
    yield from _ahead(CreditNoteLine.objects.all(), "credit_note", currency, livemode, -1)


def _ahead(lines: QuerySet[Any], paper: str, currency: str, livemode: bool, sign: int) -> Iterator[Ahead]:
    rows = lines.filter(
        **{f"{paper}__currency": currency, f"{paper}__livemode": livemode}, period_end__isnull=False
    ).exclude(entry_key__startswith="arrears|")
    names = ("net", f"{paper}__issued_on", "period_start", "period_end")
    for net, on, start, end in rows.values_list(*names).iterator(chunk_size=10_000):
        if end > on:
            yield Ahead(sign * net, on, start, end)
