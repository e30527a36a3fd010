"""Known answers that other billing systems keep in rows: the share of a price for a stretch of time, where a period
begins and ends, how a sum is split. Each table names the file of its rows.

What those files ask that follows from another policy than ours stands in docs/scenarios.md.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import lcm

import pytest

from billing.maths.discounts import Discount, fixed_shares, percent_of
from billing.maths.money import exponent, round_ratio, share
from billing.maths.periods import Cycle, Interval, anchor_for, local_date, midnight
from billing.maths.pricing import Billed, Price, PriceKind, PriceModel, Tier, amount
from billing.maths.timeline import Entry, Item, Phase, Timeline, owed

INTERVALS = {
    "week": Interval.WEEK,
    "month": Interval.MONTH,
    "quarter": Interval.QUARTER,
    "half-year": Interval.HALF_YEAR,
    "year": Interval.YEAR,
}
# Minor units that every length of a month, a quarter and a year divides: no share of this price is rounded.
PRICE = lcm(28, 29, 30, 31, 89, 90, 91, 92, 365, 366)

day = date.fromisoformat


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines() if line]


def named(row: list[str]) -> str:
    """What is asked, without the answers."""
    return "-".join(word for word in row if "=" not in word)


def pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    return ((left, right) for left, _, right in (word.partition("=") for word in words))


def life(
    interval: Interval, start: date, end: date | None, anchor: date, billed: Billed = Billed.ADVANCE
) -> Timeline:
    price = Price(
        "fee", PriceKind.RECURRING, PriceModel.FLAT, interval, "USD", Decimal(PRICE).scaleb(-2), billed=billed
    )
    return Timeline((Phase(start, end, anchor, (Item(price),)),))


def entries(timeline: Timeline, until: date) -> list[Entry]:
    return owed(timeline, since=date(2000, 1, 1), until=until, usage=lambda *_: Decimal(0))


# killbill/killbill, invoice/src/test/java/org/killbill/billing/invoice/proRations/inAdvance/{monthly,quarterly,annual}:
# interval, start, end, billing day (or a boundary, where terms follow others), and for each day that is billed up to the
# periods that were charged by then.
KILL_BILL_PRORATIONS = """
month 2010-06-17 2010-07-25 17 2010-06-17=1 2010-06-20=1 2010-07-17=1+8/31 2010-07-18=1+8/31 2010-07-25=1+8/31 2010-07-30=1+8/31
month 2010-12-15 - 15 2011-01-16=2
month 2010-12-15 2011-03-17 15 2011-03-15=3+2/31
month 2011-01-01 2011-02-27 15 2011-01-01=14/31 2011-01-07=14/31 2011-01-15=1+14/31 2011-01-22=1+14/31
month 2011-01-01 2011-02-27 15 2011-02-26=1+14/31+12/28 2011-02-27=1+14/31+12/28 2011-03-07=1+14/31+12/28
month 2011-01-01 2011-04-27 15 2011-02-26=2+14/31
month 2011-01-31 2011-03-10 7 2011-04-21=1+7/31+3/31
month 2011-02-01 - 13 2011-02-01=12/31 2011-02-04=12/31 2011-02-13=1+12/31 2011-04-13=3+12/31
month 2011-02-01 2011-02-14 1 2011-03-01=13/28
month 2011-02-01 2011-02-15 1 2011-03-01=14/28
month 2011-02-01 2011-04-13 13 2011-02-01=12/31 2011-02-04=12/31 2011-02-13=1+12/31 2011-04-10=2+12/31 2011-04-13=2+12/31
month 2011-02-03 2011-02-17 3 2011-03-01=14/28 2011-03-03=14/28 2011-03-04=14/28
month 2011-02-07 2011-02-15 7 2011-04-21=8/28
month 2011-02-07 2011-03-07 7 2011-04-21=1
month 2011-02-10 2011-02-24 10 2011-03-06=14/28
month 2011-02-14 - 27 2011-03-01=1+13/31
month 2011-02-15 - 15 2011-03-01=1 2011-04-21=3
month 2011-02-17 - 3 2011-03-01=14/28 2011-03-03=1+14/28 2011-03-04=1+14/28
month 2011-02-20 2011-03-06 20 2011-03-09=14/28
month 2011-02-24 - 10 2011-03-06=14/28
month 2011-03-06 - 6 2011-03-09=1
month 2011-03-07 - 15 2011-04-21=2+8/28
month 2011-03-10 - 15 2011-04-21=2+5/28
month 2012-01-15 - 15 2012-02-03=1
month 2012-01-30 - 30 2012-03-01=2
month 2012-02-01 2012-02-15 1 2012-02-19=14/29
month 2012-02-15 - 15 2012-03-15=2
quarter 2010-06-17 2010-09-25 17 2010-06-17=1 2010-06-20=1 2010-09-17=1+8/91 2010-09-18=1+8/91 2010-09-25=1+8/91 2010-09-30=1+8/91
quarter 2010-12-15 - 15 2011-01-16=1
quarter 2010-12-15 2011-06-17 15 2011-06-15=2+2/92
quarter 2011-01-01 2011-04-27 15 2011-01-01=14/92 2011-01-07=14/92 2011-01-15=1+14/92 2011-01-22=1+14/92
quarter 2011-01-01 2011-04-27 15 2011-04-15=1+14/92+12/91 2011-04-26=1+14/92+12/91 2011-04-27=1+14/92+12/91 2011-05-07=1+14/92+12/91
quarter 2011-01-01 2011-08-27 15 2011-06-26=2+14/92
quarter 2011-02-01 - 13 2011-02-01=12/92 2011-02-04=12/92 2011-02-13=1+12/92 2011-06-13=2+12/92
quarter 2011-02-01 2011-02-14 1 2011-03-01=13/89 2011-05-01=13/89
quarter 2011-02-01 2011-02-15 1 2011-03-01=14/89
quarter 2011-02-01 2011-08-13 13 2011-02-01=12/92 2011-02-04=12/92 2011-02-13=1+12/92 2011-08-10=2+12/92 2011-08-13=2+12/92 2011-09-10=2+12/92
quarter 2011-02-03 2011-02-17 3 2011-05-03=14/89 2011-05-04=14/89
quarter 2011-02-07 2011-02-15 7 2011-09-21=8/89
quarter 2011-02-07 2011-05-07 7 2011-07-21=1
quarter 2011-02-07 2011-05-10 7 2011-09-21=1+3/92
quarter 2011-02-10 2011-02-24 10 2011-03-06=14/89
quarter 2011-02-14 - 27 2011-05-01=1+13/92
quarter 2011-02-15 - 15 2011-03-01=1 2011-09-21=3
quarter 2011-02-17 - 2011-02-03 2011-05-03=1+75/89 2011-05-04=1+75/89
quarter 2011-02-20 2011-03-06 20 2011-03-09=14/89
quarter 2011-02-24 - 2011-02-10 2011-03-06=75/89
quarter 2011-03-06 - 6 2011-03-09=1
quarter 2011-05-07 - 15 2011-07-21=1+8/89
quarter 2011-05-10 - 15 2011-05-21=1+5/89 2011-09-21=2+5/89
quarter 2012-01-15 - 15 2012-02-03=1
quarter 2012-01-30 - 30 2012-03-01=1
quarter 2012-02-01 2012-02-15 1 2012-02-19=14/90
quarter 2012-02-15 - 15 2012-03-15=1
year 2010-06-17 2011-06-25 17 2010-06-20=1 2011-06-17=1+8/366 2011-06-18=1+8/366 2011-06-25=1+8/366 2011-07-30=1+8/366
year 2010-06-17 2012-06-25 17 2010-06-17=1
year 2011-01-01 2012-01-27 15 2011-01-01=14/365 2011-01-07=14/365 2011-01-15=1+14/365 2011-01-22=1+14/365
year 2011-01-01 2012-01-27 15 2012-01-15=1+14/365+12/366 2012-01-17=1+14/365+12/366 2012-01-27=1+14/365+12/366 2012-03-07=1+14/365+12/366
year 2011-01-01 2013-04-27 15 2012-02-26=2+14/365
year 2011-01-10 2012-03-04 17 2012-04-05=1+7/365+47/366
year 2011-02-01 - 13 2011-02-01=12/365 2011-02-04=12/365 2011-02-13=1+12/365 2011-04-13=1+12/365
year 2011-02-01 2012-02-13 13 2011-02-01=12/365 2011-02-04=12/365 2011-02-13=1+12/365 2011-04-10=1+12/365 2012-02-13=1+12/365 2012-04-10=1+12/365
"""  # noqa: E501


@pytest.mark.parametrize("row", rows(KILL_BILL_PRORATIONS), ids=named)
def test_it_charges_the_days_of_whole_periods(row):
    name, start, end, rule, *expected = row
    interval = INTERVALS[name]
    anchor = anchor_for(interval, day(start), int(rule) if rule.isdigit() else rule)
    timeline = life(interval, day(start), None if end == "-" else day(end), anchor)
    for until, periods in pairs(expected):
        charged = sum(entry.net for entry in entries(timeline, day(until)))
        assert Fraction(charged, PRICE) == sum(map(Fraction, periods.split("+"))), until


# flexprice/flexprice, internal/types/date_test.go, TestNextBillingDate_*: interval, anchor, and for a day the end of its
# period.
FLEXPRICE_NEXT = """
week 2023-01-02 2024-03-06=2024-03-11
week 2023-01-04 2024-03-06=2024-03-13
week 2024-03-26 2024-03-30=2024-04-02
week calendar 2023-12-31=2024-01-01 2024-03-06=2024-03-11 2024-03-11=2024-03-18 2024-03-27=2024-04-01
month 2023-02-28 2024-02-28=2024-03-28
month 2024-01-15 2024-01-15=2024-02-15
month 2024-01-31 2024-01-31=2024-02-29
month 2024-02-29 2024-02-29=2024-03-29
month 2025-02-28 2025-02-28=2025-03-28
month calendar 2024-01-15=2024-02-01 2024-01-31=2024-02-01 2024-02-29=2024-03-01 2024-12-30=2025-01-01
quarter 2026-03-22 2026-03-22=2026-06-22
quarter calendar 2026-03-22=2026-04-01 2026-04-01=2026-07-01 2026-07-01=2026-10-01 2026-10-01=2027-01-01
half-year 2026-03-15 2026-03-15=2026-09-15
half-year calendar 2026-03-15=2026-07-01 2026-07-01=2027-01-01 2026-10-05=2027-01-01 2027-01-01=2027-07-01
year 2022-04-15 2024-04-15=2025-04-15
year 2023-02-20 2023-02-20=2024-02-20
year 2023-02-28 2023-02-28=2024-02-28
year 2023-06-30 2023-06-30=2024-06-30
year 2024-02-29 2024-02-29=2025-02-28
year 2024-12-31 2024-12-31=2025-12-31
year calendar 2023-02-20=2024-01-01 2023-12-31=2024-01-01 2024-01-01=2025-01-01 2024-02-29=2025-01-01
"""
# meteroid-oss/meteroid, modules/meteroid/crates/meteroid-store/src/utils/periods.rs: with a billing day.
METEROID_PERIODS = """
month 2021-01-10 1 2021-01-10=2021-02-01 2021-02-01=2021-03-01 2021-03-01=2021-04-01
month 2021-01-01 10 2021-01-01=2021-01-10 2021-01-10=2021-02-10 2021-02-10=2021-03-10
month 2024-01-01 10 2024-01-05=2024-01-10 2024-01-10=2024-02-10 2024-03-15=2024-04-10
month 2024-01-01 15 2024-01-14=2024-01-15 2024-01-15=2024-02-15 2024-02-15=2024-03-15
month 2024-01-31 31 2024-02-15=2024-02-29 2024-02-29=2024-03-31 2024-03-31=2024-04-30
month 2021-01-01 1 2024-01-01=2024-02-01 2024-01-15=2024-02-01
quarter 2021-01-01 10 2021-01-01=2021-01-10 2021-01-10=2021-04-10 2021-04-10=2021-07-10
quarter 2024-01-01 1 2024-01-15=2024-04-01 2024-04-01=2024-07-01 2024-07-15=2024-10-01
year 2021-01-01 1 2021-06-15=2022-01-01 2022-01-01=2023-01-01 2024-06-15=2025-01-01
"""
# openmeterio/openmeter, pkg/timeutil/recurrence_test.go, TestGetPeriodAt, TestPrevBefore.
OPENMETER_PERIODS = """
month 2025-01-31 2025-08-13=2025-08-31 2025-09-30=2025-10-31
month 2025-01-30 2025-02-13=2025-02-28
month 2025-01-29 2025-01-29=2025-02-28
"""


@pytest.mark.parametrize("row", rows(FLEXPRICE_NEXT + OPENMETER_PERIODS), ids=named)
def test_a_period_ends_where_the_anchor_says(row):
    name, rule, *expected = row
    for within, end in pairs(expected):
        anchor = anchor_for(INTERVALS[name], day(within), rule)
        assert str(Cycle(INTERVALS[name], anchor).period_at(day(within)).end) == end, within


@pytest.mark.parametrize("row", rows(METEROID_PERIODS), ids=named)
def test_a_period_ends_on_the_billing_day(row):
    name, start, billing_day, *expected = row
    anchor = anchor_for(INTERVALS[name], day(start), int(billing_day))
    for within, end in pairs(expected):
        assert str(Cycle(INTERVALS[name], anchor).period_at(day(within)).end) == end, within


# getlago/lago-api, spec/services/subscriptions/dates/*_service_spec.rb: interval, start (or calendar), zone, the instant
# that is billed at, whether the period before it is meant or the one in which it lies, and both ends of that in UTC.
# Where a row there asks for one end, the other is the boundary beside it.
LAGO_DATES = """
week calendar UTC 2022-03-07 before 2022-02-28 2022-03-07
week calendar UTC 2022-03-07 in 2022-03-07 2022-03-14
week calendar UTC 2022-03-10 in 2022-03-07 2022-03-14
week calendar America/New_York 2022-03-07 before 2022-02-21T05:00 2022-02-28T05:00
week 2021-02-02 UTC 2022-03-09 before 2022-03-01 2022-03-08
week 2021-02-02 UTC 2022-03-09 in 2022-03-08 2022-03-15
month calendar UTC 2022-03-01 before 2022-02-01 2022-03-01
month calendar UTC 2022-03-01 in 2022-03-01 2022-04-01
month calendar America/New_York 2022-03-01 before 2022-01-01T05:00 2022-02-01T05:00
month calendar America/New_York 2022-03-07 in 2022-03-01T05:00 2022-04-01T04:00
month calendar America/New_York 2022-03-07 before 2022-02-01T05:00 2022-03-01T05:00
month 2021-02-02 UTC 2022-03-02 before 2022-02-02 2022-03-02
month 2021-02-02 UTC 2022-03-02 in 2022-03-02 2022-04-02
month 2021-02-02 UTC 2022-01-04 before 2021-12-02 2022-01-02
month 2021-02-02 UTC 2021-12-07 in 2021-12-02 2022-01-02
month 2021-02-02 UTC 2022-03-01 in 2022-02-02 2022-03-02
month 2021-02-02 America/New_York 2022-03-07 in 2022-03-01T05:00 2022-04-01T04:00
month 2022-01-31 UTC 2022-02-28 before 2022-01-31 2022-02-28
month 2022-01-30 UTC 2022-02-28 before 2022-01-30 2022-02-28
month 2022-01-01 UTC 2022-03-02 before 2022-02-01 2022-03-01
month 2021-03-31 UTC 2021-04-30 in 2021-04-30 2021-05-31
month 2021-03-31 UTC 2021-04-30 before 2021-03-31 2021-04-30
month 2020-01-31 UTC 2020-02-29 in 2020-02-29 2020-03-31
month 2019-04-30 UTC 2020-03-30 before 2020-02-29 2020-03-30
month 2021-03-31 UTC 2022-03-29 in 2022-02-28 2022-03-31
quarter calendar UTC 2022-07-01 before 2022-04-01 2022-07-01
quarter calendar UTC 2022-07-01 in 2022-07-01 2022-10-01
quarter calendar UTC 2022-07-10 in 2022-07-01 2022-10-01
quarter calendar America/New_York 2022-07-01 before 2022-01-01T05:00 2022-04-01T04:00
quarter 2021-02-02 UTC 2022-05-02 before 2022-02-02 2022-05-02
quarter 2021-02-02 UTC 2022-05-02 in 2022-05-02 2022-08-02
quarter 2021-02-02 UTC 2022-02-02 before 2021-11-02 2022-02-02
quarter 2021-02-28 UTC 2022-05-31 before 2022-02-28 2022-05-28
quarter 2021-05-30 UTC 2022-05-29 in 2022-02-28 2022-05-30
quarter 2021-02-28 UTC 2022-02-27 in 2021-11-28 2022-02-28
quarter 2021-01-31 UTC 2021-04-30 in 2021-04-30 2021-07-31
quarter 2023-04-06 UTC 2023-08-08 in 2023-07-06 2023-10-06
quarter 2023-04-06 UTC 2023-08-04 in 2023-07-06 2023-10-06
quarter 2021-11-30 UTC 2022-03-01 before 2021-11-30 2022-02-28
quarter 2022-01-30 UTC 2022-04-30 before 2022-01-30 2022-04-30
quarter 2021-10-01 UTC 2022-04-02 before 2022-01-01 2022-04-01
half-year calendar UTC 2022-07-01 before 2022-01-01 2022-07-01
half-year calendar UTC 2022-07-01 in 2022-07-01 2023-01-01
half-year calendar America/New_York 2022-07-01 before 2021-07-01T04:00 2022-01-01T05:00
half-year 2021-11-02 UTC 2022-05-02 before 2021-11-02 2022-05-02
half-year 2021-11-02 UTC 2022-05-02 in 2022-05-02 2022-11-02
half-year 2021-11-30 UTC 2022-05-31 before 2021-11-30 2022-05-30
half-year 2021-05-30 UTC 2022-05-29 in 2021-11-30 2022-05-30
half-year 2021-02-28 UTC 2022-02-27 in 2021-08-28 2022-02-28
half-year 2021-01-31 UTC 2021-04-30 in 2021-01-31 2021-07-31
half-year 2023-01-06 UTC 2023-08-08 in 2023-07-06 2024-01-06
half-year 2022-01-30 UTC 2022-07-30 before 2022-01-30 2022-07-30
year calendar UTC 2022-01-01 before 2021-01-01 2022-01-01
year calendar UTC 2022-01-01 in 2022-01-01 2023-01-01
year calendar America/New_York 2022-01-01 before 2020-01-01T05:00 2021-01-01T05:00
year 2021-02-02 UTC 2022-02-02 before 2021-02-02 2022-02-02
year 2021-02-02 UTC 2022-02-02 in 2022-02-02 2023-02-02
year 2023-03-29 UTC 2024-03-15 in 2023-03-29 2024-03-29
year 2020-02-29 UTC 2025-02-28 before 2024-02-29 2025-02-28
year 2020-02-29 UTC 2022-03-28 in 2022-02-28 2023-02-28
year 2020-02-29 UTC 2022-03-01 before 2021-02-28 2022-02-28
year 2021-02-02 UTC 2022-01-03 in 2021-02-02 2022-02-02
year 2022-12-01 UTC 2024-01-02 before 2022-12-01 2023-12-01
"""


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("row", rows(LAGO_DATES), ids=named)
def test_a_period_begins_and_ends_at_the_customers_midnight(row):
    name, start, zone, billed_at, which, first, last = row
    today = local_date(instant(billed_at), zone)
    rule = start if start == "calendar" else str(local_date(instant(start), zone))
    cycle = Cycle(INTERVALS[name], anchor_for(INTERVALS[name], today, rule))
    period = cycle.period_at(today)
    if which == "before":
        period = cycle.period_at(period.start - timedelta(days=1))
    assert (midnight(period.start, zone), midnight(period.end, zone)) == (instant(first), instant(last))


# killbill/killbill, invoice/…/generator/TestInArrearBillingIntervalDetail.java: start, end, billing day, and for a day
# that is billed up to the end of what is charged, or - for nothing.
KILL_BILL_ARREARS = """
2012-01-16 - 13 2012-01-19=-
2012-01-16 - 13 2012-02-13=2012-02-13
2012-01-16 - 16 2012-01-19=-
2012-01-16 - 25 2012-01-19=-
2012-01-16 2012-01-19 25 2012-01-25=2012-01-19
2012-01-16 - 25 2012-01-25=2012-01-25
"""


@pytest.mark.parametrize("row", rows(KILL_BILL_ARREARS), ids=named)
def test_arrears_are_charged_when_their_period_is_over(row):
    start, end, billing_day, *expected = row
    anchor = anchor_for(Interval.MONTH, day(start), int(billing_day))
    timeline = life(Interval.MONTH, day(start), None if end == "-" else day(end), anchor, Billed.ARREARS)
    for until, last in pairs(expected):
        found = [str(entry.span.end) for entry in entries(timeline, day(until))]
        assert (found or ["-"])[-1] == last


# openmeterio/openmeter, pkg/currencyx/allocation_test.go: minor units, weights, parts.
OPENMETER_SHARES = """
600 10:5 400:200
5 1:1:1 2:2:1
1 100:1 1:0
10000 1:2:3 1667:3333:5000
100 1:2 33:67
500 10:5 333:167
"""


@pytest.mark.parametrize("row", rows(OPENMETER_SHARES), ids=named)
def test_a_split_loses_nothing(row):
    total, weights, parts = ([int(n) for n in word.split(":")] for word in row)
    assert share(total[0], weights) == parts


# What a quantity costs, in minor units. Tiers are bound:unit@flat; per unit and package are a unit or size:amount.
# polarsource/polar, server/tests/models/test_product_price.py, server/tests/product/test_tiers.py
POLAR_PRICES = """
volume 10:1000,50:800,-:600 0=0 1=1000 10=10000 11=8800 50=40000 51=30600 100=60000
volume 10:20000,-:6000 5=100000
volume -:500 1=500 10=5000 100=50000
volume -:0.5 10=5
graduated 10:1000,50:800,-:600 0=0 1=1000 5=5000 10=10000 15=14000 50=42000 51=42600 100=72000
graduated 5:0,-:1000 3=0 5=0 8=3000 15=10000
graduated 10:20000,-:6000 5=100000 10=200000 15=230000
per_unit 100 1=100 1.994=199 1.995=200 1.996=200
per_unit 0.5 100=50
"""
# getlago/lago-api, spec/services/charge_models/{graduated,package}_service_spec.rb
LAGO_PRICES = """
graduated 10:1000@200,20:500@300,-:500@300 1=1200 10=10200 11=11000 12=11500 21=16300
package 10:10000 121=130000
"""
# openmeterio/openmeter, openmeter/billing/rating/service/rate/tieredgraduated_test.go
OPENMETER_PRICES = """
graduated 5:0@10000,10:0@5000,15:1000,-:500 3=10000 5=10000 5.001=15000 7=15000 12=17000 22=23500
graduated 5:0@10000,10:0@5000,15:500,-:100 22=18200
"""
# flexprice/flexprice, internal/ee/service/price_test.go
FLEXPRICE_PRICES = """
per_unit 10000 5=50000
package 10:5000 25=15000
package 100:100 0=0 2=100 50=100 99=100 100=100 101=200 150=200 250=300 300=300
volume 10:5000,20:4000,-:3000 5=25000 15=60000 25=75000
graduated 10:5000,20:4000,-:3000 5=25000 15=70000 25=105000
"""


def tier(text: str) -> Tier:
    bound, _, money = text.partition(":")
    unit, _, flat = money.partition("@")
    return Tier(None if bound == "-" else Decimal(bound), major(unit), major(flat or "0"))


def major(minor: str) -> Decimal:
    return Decimal(minor).scaleb(-2)


def priced(model: str, terms: str) -> Price:
    of = partial(Price, "p", PriceKind.RECURRING, PriceModel(model), Interval.MONTH, "USD")
    if model in ("graduated", "volume"):
        return of(tiers=tuple(map(tier, terms.split(","))))
    size, _, money = terms.rpartition(":")
    return of(unit_amount=major(money), package_size=Decimal(size) if size else None)


@pytest.mark.parametrize(
    "row", rows(POLAR_PRICES + LAGO_PRICES + OPENMETER_PRICES + FLEXPRICE_PRICES), ids=named
)
def test_it_costs_what_it_costs_there(row):
    model, terms, *expected = row
    price = priced(model, terms)
    for quantity, cents in pairs(expected):
        assert round_ratio(amount(price, Decimal(quantity))) == int(cents), quantity


# flexprice/flexprice, internal/types/currency_rounding_test.go: currency, major units before and after.
FLEXPRICE_ROUNDED = """
USD 10.275=10.28
EUR 10.275=10.28
GBP 10.275=10.28
JPY 1000.5=1001
KRW 1000.5=1001
VND 1000.5=1001
CLP 1000.5=1001
INR 100.556=100.56
SGD 100.556=100.56
AUD 100.556=100.56
CAD 100.556=100.56
"""


@pytest.mark.parametrize("row", rows(FLEXPRICE_ROUNDED), ids=named)
def test_money_has_the_places_of_its_currency(row):
    currency, *expected = row
    for exact, rounded in pairs(expected):
        minor = round_ratio(Decimal(exact).scaleb(exponent(currency)))
        assert Decimal(minor).scaleb(-exponent(currency)) == Decimal(rounded)


# What is taken off amounts in minor units: a percentage, or a sum.
# polarsource/polar, server/tests/discount/test_model.py
# getlago/lago-api, spec/services/credits/applied_coupon_service_spec.rb
DISCOUNTS = """
1500 1000:1000=750:750
750 300:1200=150:600
2500 1000:1000=1000:1000
1500 1000=1000
1500 2000=1500
100 100:200=33:67
12 200:100=8:4
12 4:2=4:2
10% 1000:2000=100:200
25% 1000:333=250:83
33.33% 100:100=33:33
20% 200:100=40:20
"""


@pytest.mark.parametrize("row", rows(DISCOUNTS), ids="-".join)
def test_a_discount_takes_off_what_it_takes_off_there(row):
    given, *expected = row
    for before, off in pairs(expected):
        amounts, parts = ([int(n) for n in text.split(":")] for text in (before, off))
        if given.endswith("%"):
            discount = Discount("d", percent_off=Decimal(given.rstrip("%")))
            assert [percent_of(each, discount) for each in amounts] == parts
        else:
            assert fixed_shares(Discount("d", amount_off=int(given)), amounts) == parts
