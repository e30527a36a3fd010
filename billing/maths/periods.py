"""Periods: half-open stretches of local dates, counted from an anchor.

A date here is a day in the customer's zone. Only `local_date` and `midnight` know about instants.
"""

from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
ONE_SECOND = timedelta(seconds=1)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORTEST, _LEAP_FEBRUARY = 28, 29


class Interval(StrEnum):
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


MONTHS: dict[Interval, int] = {
    Interval.MONTH: 1,
    Interval.QUARTER: 3,
    Interval.HALF_YEAR: 6,
    Interval.YEAR: 12,
}


class InvalidAnchor(ValueError):
    """The rule names no day on which the interval could be anchored."""


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end): the first day belongs to it, the last named day does not."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def add_months(day: date, n: int, anchor_day: int | None = None) -> date:
    """n months later (or earlier) on the anchor day, or on the last day of a month too short for it."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + n, 12)
    wanted = day.day if anchor_day is None else anchor_day
    if wanted > _SHORTEST:
        wanted = min(wanted, _LEAP_FEBRUARY if month0 == 1 and isleap(year) else _LENGTHS[month0])
    return date(year, month0 + 1, wanted)


@dataclass(frozen=True, slots=True)
class Cycle:
    """An endless row of periods in both directions. The anchor is a boundary; every other is counted from it,
    never from its neighbour, so that 31 January leads to 28 February and on to 31 March.
    """

    interval: Interval
    anchor: date

    def boundary(self, n: int) -> date:
        if self.interval == Interval.WEEK:
            return self.anchor + timedelta(weeks=n)
        return add_months(self.anchor, n * MONTHS[self.interval])

    def index_at(self, day: date) -> int:
        """The n for which boundary(n) <= day < boundary(n + 1)."""
        if self.interval == Interval.WEEK:
            return (day - self.anchor).days // 7
        months = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
        n = months // MONTHS[self.interval]
        return n if self.boundary(n) <= day else n - 1

    def period_at(self, day: date) -> Period:
        n = self.index_at(day)
        return Period(self.boundary(n), self.boundary(n + 1))

    def periods(self, start: date, end: date) -> tuple[Period, ...]:
        """The whole (notional) periods that share at least a day with [start, end), first to last."""
        return _periods(self, start, end)


# A billing run asks the same of thousands of subscriptions: the same day, and few anchors.
@lru_cache(maxsize=8192)
def _periods(cycle: Cycle, start: date, end: date) -> tuple[Period, ...]:
    found = []
    n = cycle.index_at(start)
    left = cycle.boundary(n)
    while left < end:
        n += 1
        right = cycle.boundary(n)
        found.append(Period(left, right))
        left = right
    return tuple(found)


@lru_cache(maxsize=2048)
def recent_anchor(anchor: date, intervals: tuple[Interval, ...], day: date) -> date:
    """The last boundary on or before the day that all of these intervals share and that counts them as the anchor does.
    The anchor itself where there is none: a day that short months do not have, or weeks beside months."""
    weekly = Interval.WEEK in intervals
    if (weekly and len(set(intervals)) > 1) or (not weekly and anchor.day > _SHORTEST):
        return anchor
    longest = max(intervals, key=list(Interval).index)
    return Cycle(longest, anchor).period_at(day).start


def local_date(instant: datetime, tz: str) -> date:
    """The customer's day on which the instant falls. The instant must carry a zone."""
    if instant.tzinfo is None:
        raise ValueError("An instant without a zone has no date.")
    return instant.astimezone(ZoneInfo(tz)).date()


@lru_cache(maxsize=2048)
def midnight(day: date, tz: str) -> datetime:
    """The first instant of the day in the zone, in UTC.

    Where the clock jumps over midnight the day begins at the jump; where it passes midnight twice, at the
    first of them.
    """
    zone = ZoneInfo(tz)
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if first <= second:  # equal on an ordinary day
        return first
    return _jump_between(second, first, zone)


def _jump_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (before, after] at which the zone's clock jumps, to the second."""
    old_offset = before.astimezone(zone).utcoffset()
    while after - before > ONE_SECOND:
        middle = before + (after - before) // ONE_SECOND // 2 * ONE_SECOND
        if middle.astimezone(zone).utcoffset() == old_offset:
            before = middle
        else:
            after = middle
    return after


def calendar_anchor(interval: Interval, day: date) -> date:
    """The calendar's boundary on or before the day: Monday, the 1st, quarter, half-year, New Year."""
    if interval == Interval.WEEK:
        return day - timedelta(days=day.weekday())
    months = MONTHS[interval]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def anchor_for(interval: Interval, start: date, rule: str | int) -> date:
    """The anchor for a subscription that starts on a day.

    "start": that day. "calendar": see calendar_anchor. A number: the first such day of a month on or after
    the start is a boundary (for weeks 1 is Monday, 7 Sunday). A day, as YYYY-MM-DD: it is a boundary, whether
    it lies ahead or back. Raises InvalidAnchor.
    """
    if rule == "start":
        return start
    if rule == "calendar":
        return calendar_anchor(interval, start)
    if isinstance(rule, str):
        return _named_day(rule)
    if isinstance(rule, bool) or not isinstance(rule, int):
        raise InvalidAnchor(f"An anchor is start, calendar, a day number or a day, not {rule!r}.")
    if interval == Interval.WEEK:
        return _weekday_anchor(start, rule)
    return _month_day_anchor(interval, start, rule)


def _named_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidAnchor(f"An anchor is start, calendar, a day number or a day, not {text!r}.") from error


def _weekday_anchor(start: date, weekday: int) -> date:
    if not 1 <= weekday <= 7:
        raise InvalidAnchor("A week is anchored on a day from 1 (Monday) to 7 (Sunday).")
    return start + timedelta(days=(weekday - start.isoweekday()) % 7)


def _month_day_anchor(interval: Interval, start: date, day: int) -> date:
    if not 1 <= day <= 31:
        raise InvalidAnchor("A billing day is a number from 1 to 31.")
    first = add_months(start, 0, day)
    if first < start:
        first = add_months(start, 1, day)
    return _roomiest(first, MONTHS[interval], day)


def _roomiest(boundary: date, step: int, day: int) -> date:
    """The same row of boundaries, named by one whose month has room for the wanted day: anchored on 28
    February, the 31st would be forgotten. Eight years reach a 29 February across a century.
    """
    candidates = (add_months(boundary, -n * step, day) for n in range(8 * 12 // step + 1))
    return max(candidates, key=lambda candidate: (candidate.day, candidate))
