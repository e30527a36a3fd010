from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.maths.periods import (
    Cycle,
    Interval,
    InvalidAnchor,
    Period,
    add_months,
    anchor_for,
    calendar_anchor,
    local_date,
    midnight,
    recent_anchor,
)

days = st.dates(date(1970, 1, 1), date(2120, 12, 31))
intervals = st.sampled_from(list(Interval))
cycles = st.builds(Cycle, intervals, days)


def d(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("interval", "anchor", "boundaries"),
    [
        ("month", "2023-01-31", ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30", "2023-05-31"]),
        ("month", "2024-01-30", ["2024-01-30", "2024-02-29", "2024-03-30"]),
        ("quarter", "2022-11-30", ["2022-11-30", "2023-02-28", "2023-05-30"]),
        ("half_year", "2023-08-31", ["2023-08-31", "2024-02-29", "2024-08-31"]),
        ("year", "2020-02-29", ["2020-02-29", "2021-02-28", "2022-02-28", "2023-02-28", "2024-02-29"]),
        ("week", "2023-12-29", ["2023-12-29", "2024-01-05", "2024-01-12"]),
    ],
)
def test_it_counts_boundaries_from_the_anchor(interval: str, anchor: str, boundaries: list[str]) -> None:
    cycle = Cycle(Interval(interval), d(anchor))
    assert [str(cycle.boundary(n)) for n in range(len(boundaries))] == boundaries


def test_it_counts_backwards_too() -> None:
    cycle = Cycle(Interval.MONTH, d("2023-03-31"))
    assert [str(cycle.boundary(n)) for n in (-1, -2, -13)] == ["2023-02-28", "2023-01-31", "2022-02-28"]


@given(cycles, days)
def test_it_finds_the_one_period_of_a_day(cycle: Cycle, day: date) -> None:
    period = cycle.period_at(day)
    assert day in period
    n = cycle.index_at(day)
    assert (period.start, period.end) == (cycle.boundary(n), cycle.boundary(n + 1))


@given(cycles, st.integers(-400, 400))
def test_it_makes_periods_that_touch(cycle: Cycle, n: int) -> None:
    left, right = cycle.boundary(n), cycle.boundary(n + 1)
    assert left < right
    assert cycle.period_at(left) == Period(left, right)
    assert cycle.period_at(right - timedelta(days=1)) == Period(left, right)


@given(cycles, days, st.integers(1, 800))
def test_it_lists_the_periods_that_overlap(cycle: Cycle, start: date, length: int) -> None:
    end = start + timedelta(days=length)
    periods = list(cycle.periods(start, end))
    assert start in periods[0]
    assert end - timedelta(days=1) in periods[-1]
    assert all(left.end == right.start for left, right in pairwise(periods))


def test_it_lists_no_period_of_nothing() -> None:
    assert list(Cycle(Interval.MONTH, d("2024-01-01")).periods(d("2024-01-01"), d("2024-01-01"))) == []


@given(days, st.integers(-500, 500))
def test_it_adds_months_without_leaving_the_month(day: date, n: int) -> None:
    later = add_months(day, n)
    assert later.year * 12 + later.month == day.year * 12 + day.month + n
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


@given(
    st.dates(date(2019, 1, 1), date(2027, 1, 1)),
    st.lists(st.sampled_from(Interval), min_size=1),
    st.dates(date(2023, 1, 1), date(2025, 1, 1)),
    st.dates(date(2019, 1, 1), date(2029, 1, 1)),
)
def test_a_recent_anchor_counts_the_same_periods(
    anchor: date, intervals: list[Interval], day: date, asked: date
) -> None:
    recent = recent_anchor(anchor, tuple(intervals), day)
    assert recent == anchor or recent <= day < add_months(recent, 12)
    for interval in intervals:
        assert Cycle(interval, recent).period_at(asked) == Cycle(interval, anchor).period_at(asked)


def test_a_recent_anchor_is_the_same_for_whoever_shares_the_billing_day() -> None:
    day, months = date(2024, 3, 20), (Interval.MONTH, Interval.MONTH)
    begun = [date(2021, 7, 15), date(2023, 11, 15), date(2024, 3, 15)]
    assert {recent_anchor(anchor, months, day) for anchor in begun} == {date(2024, 3, 15)}
    assert recent_anchor(date(2024, 1, 31), months, day) == date(2024, 1, 31)


def test_it_adds_months_on_another_day() -> None:
    assert add_months(d("2024-01-15"), 1, 31) == d("2024-02-29")


@pytest.mark.parametrize(
    ("interval", "day", "anchor"),
    [
        ("week", "2023-06-16", "2023-06-12"),
        ("week", "2023-06-12", "2023-06-12"),
        ("month", "2024-02-29", "2024-02-01"),
        ("quarter", "2024-05-20", "2024-04-01"),
        ("half_year", "2024-12-31", "2024-07-01"),
        ("year", "2024-12-31", "2024-01-01"),
    ],
)
def test_it_anchors_on_the_calendar(interval: str, day: str, anchor: str) -> None:
    assert calendar_anchor(Interval(interval), d(day)) == d(anchor)
    assert anchor_for(Interval(interval), d(day), "calendar") == d(anchor)


@given(intervals, days)
def test_it_anchors_on_the_start(interval: Interval, day: date) -> None:
    assert anchor_for(interval, day, "start") == day


@given(st.sampled_from([i for i in Interval if i != Interval.WEEK]), days, st.integers(1, 31))
def test_it_anchors_on_a_day_of_the_month_and_remembers_it(interval: Interval, start: date, day: int) -> None:
    cycle = Cycle(interval, anchor_for(interval, start, day))
    first = start if start == cycle.period_at(start).start else cycle.period_at(start).end
    assert start <= first <= add_months(start, 1, 31)
    n = cycle.index_at(first)
    for boundary in (cycle.boundary(n + step) for step in range(-5, 50)):
        assert boundary == add_months(boundary, 0, day)


@given(days, st.integers(1, 7))
def test_it_anchors_a_week_on_a_weekday(start: date, weekday: int) -> None:
    anchor = anchor_for(Interval.WEEK, start, weekday)
    assert anchor.isoweekday() == weekday
    assert 0 <= (anchor - start).days < 7


@given(cycles, days)
def test_it_anchors_on_a_named_day_wherever_it_lies(cycle: Cycle, start: date) -> None:
    assert anchor_for(cycle.interval, start, cycle.anchor.isoformat()) == cycle.anchor


@pytest.mark.parametrize(
    ("interval", "rule"),
    [
        ("month", 0),
        ("month", 32),
        ("week", 8),
        ("month", "first"),
        ("month", "2024-02-30"),
        ("month", True),
        ("month", 1.0),
    ],
)
def test_it_refuses_an_anchor_that_is_no_day(interval: str, rule: object) -> None:
    with pytest.raises(InvalidAnchor):
        anchor_for(Interval(interval), d("2024-01-01"), rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        ("2024-01-15", "UTC", "2024-01-15T00:00:00"),
        ("2024-07-01", "America/New_York", "2024-07-01T04:00:00"),
        ("2024-01-15", "Pacific/Kiritimati", "2024-01-14T10:00:00"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00"),  # 00:00 does not exist, 01:00 does
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00"),  # the evening before happens twice
        ("2023-11-05", "America/Havana", "2023-11-05T04:00:00"),  # midnight happens twice
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00"),  # the whole day was skipped
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00"),
        ("1919-03-31", "America/Toronto", "1919-03-31T04:30:00"),  # the clock jumped from 23:30 to 00:30
    ],
)
def test_it_finds_the_first_instant_of_a_day(day: str, zone: str, instant: str) -> None:
    assert midnight(d(day), zone) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Africa/Cairo",
    "Asia/Beirut",
    "Pacific/Chatham",
]


@given(st.dates(date(1990, 1, 1), date(2037, 12, 31)), st.sampled_from(ZONES))
def test_it_starts_the_day_at_midnight(day: date, zone: str) -> None:
    instant = midnight(day, zone)
    assert instant.tzinfo is UTC
    assert local_date(instant, zone) == day
    assert local_date(instant - timedelta(microseconds=1), zone) < day


def test_it_dates_an_instant_in_the_customers_zone() -> None:
    instant = datetime(2024, 2, 1, 6, 30, tzinfo=UTC)
    assert local_date(instant, "America/Los_Angeles") == d("2024-01-31")
    assert local_date(instant.astimezone(ZoneInfo("Asia/Tokyo")), "Asia/Tokyo") == d("2024-02-01")


def test_it_refuses_an_instant_without_a_zone() -> None:
    with pytest.raises(ValueError):
        local_date(datetime(2024, 2, 1), "UTC")  # noqa: DTZ001 - the point of the test


def test_a_period_holds_its_first_day_and_not_its_last() -> None:
    period = Period(date(2024, 1, 1), date(2024, 2, 1))
    assert date(2024, 1, 1) in period
    assert date(2024, 2, 1) not in period
