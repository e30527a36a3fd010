"""Usage: counted once, on the right day, against the right limit."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import orjson
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import ending, importing, invoicing, metering, usage_sql
from billing.maths.periods import Cycle, Interval, Period, calendar_anchor
from billing.models import (
    Customer,
    Entitlement,
    Event,
    Meter,
    Phase,
    PhaseItem,
    Plan,
    Price,
    ThresholdCrossing,
    UsageCounter,
    UsageDay,
    UsageEvent,
)
from tests.races import at_once

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def meter(catalogue):
    return Meter.objects.get(code="api_calls")


@pytest.fixture
def customer(make_customer, clock):
    """On a test clock that stands at noon of 15 January 2026."""
    return make_customer(clock)


@pytest.fixture
def starter(subscribe, customer):
    """10,000 calls from 15 January to 15 February."""
    return subscribe(customer, plan="starter", quantity=None)


def event(n, who, value=1, at=None, **fields):
    made = {"id": f"e-{n}", "customer": who.pk, "event_name": "api_call", "properties": {"value": value}}
    return {**made, **({"timestamp": at if isinstance(at, str) else at.isoformat()} if at else {}), **fields}


def record(*events, now=NOON, **options):
    return metering.record(events=events, livemode=False, now=now, **options)


def codes(done):
    return [(bad.index, bad.code) for bad in done.rejected]


def reached():
    rows = Event.objects.filter(type="usage.threshold_reached").order_by("number")
    return [(row.data["percent"], row.data["limit"], row.data["used"]) for row in rows]


def totals(customer):
    return {row.day: (row.count, row.total) for row in UsageDay.objects.filter(customer=customer)}


# -- Counting once ---------------------------------------------------------------------------------


def test_it_counts_an_id_once_in_one_batch_and_in_the_next(customer):
    assert record(event(1, customer, 5), event(1, customer, 7)) == metering.Recorded(1, 1, [])
    assert record(event(1, customer, 9), event(2, customer, 2)) == metering.Recorded(1, 1, [])
    assert totals(customer) == {date(2026, 1, 15): (2, 7)}


def test_an_id_counts_once_for_each_meter_of_its_event(customer, meter):
    Meter.objects.create(code="calls", name="Calls", event_name="api_call", aggregation="count")
    assert record(event(1, customer, 5), event(1, customer, 5)) == metering.Recorded(1, 1, [])
    assert {(d.meter.code, d.count, d.total) for d in UsageDay.objects.all()} == {
        ("api_calls", 1, 5),
        ("calls", 1, 1),
    }


def test_it_keeps_the_good_events_of_a_bad_batch(customer):
    done = record(
        event(1, customer), event(2, customer, customer="nobody"), event(3, customer, "abc"),
        event(4, customer),
        {"id": "e-5"}, event(6, customer, event_name="sneeze"), event(7, customer, id=""),
    )  # fmt: skip
    assert (done.accepted, done.duplicates) == (2, 0)
    assert codes(done) == [
        (1, "unknown_customer"), (2, "invalid_value"), (4, "invalid_event_name"), (5, "unknown_event_name"),
        (6, "invalid_id"),
    ]  # fmt: skip
    assert done.rejected[1].id == "e-3"
    assert "“value”" in done.rejected[1].detail


def test_it_knows_customers_by_external_id_too(make_customer):
    customer = make_customer(external_id="acme")
    done = record(event(1, customer), event(2, customer, customer="acme"))
    assert done.accepted == 2
    assert UsageDay.objects.get().count == 2


def test_a_negative_event_corrects(customer, meter):
    record(event(1, customer, 10), event(2, customer, -4), event(3, customer, "-0.5"))
    assert metering.quantity(customer, meter, date(2026, 1, 1), date(2026, 2, 1)) == Decimal("5.5")


def test_values_keep_every_decimal(customer, meter):
    record(event(1, customer, "0.000000000001"), event(2, customer, "999999999999999.000000000001"))
    used = metering.quantity(customer, meter, date(2026, 1, 1), date(2026, 2, 1))
    assert used == Decimal("999999999999999.000000000002")


def test_a_batch_of_nothing_says_so(customer):
    assert record() == metering.Recorded(0, 0, [])


# -- Days ------------------------------------------------------------------------------------------


def test_a_day_is_the_customers_own(make_customer):
    customer = make_customer(timezone="America/Los_Angeles")
    now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    record(
        event(1, customer, at="2026-03-01T07:59:59Z"), event(2, customer, at="2026-03-01T08:00:00Z"),
        event(3, customer, at="2026-03-01T00:30:00-08:00"), now=now,
    )  # fmt: skip
    assert {day: count for day, (count, _) in totals(customer).items()} == {
        date(2026, 2, 28): 1,
        date(2026, 3, 1): 2,
    }


def test_edges_of_local_months_hold_across_the_switch_to_summer_time(make_customer, make_clock, meter):
    """Local midnights of March to May 2023 in New York; summer time begins on 12 March."""
    zone = ZoneInfo("America/New_York")
    wall = [
        "03-01T04:00", "03-15T00:00", "03-31T23:59", "04-01T00:00", "04-01T00:01", "04-15T00:00",
        "04-30T23:59",
        "05-01T00:00", "05-01T00:01",
    ]  # fmt: skip
    clock = make_clock(datetime(2023, 3, 1, tzinfo=zone))
    customer = make_customer(clock, timezone="America/New_York")
    for n, text in enumerate(wall):
        at = datetime.fromisoformat(f"2023-{text}").replace(tzinfo=zone)
        clock.now = at
        clock.save()
        assert codes(record(event(n, customer, at=at))) == []
    months = [date(2023, month, 1) for month in (3, 4, 5, 6)]
    used = [metering.quantity(customer, meter, *span) for span in pairwise(months)]
    assert used == [3, 4, 2]


def test_a_customer_on_a_clock_is_judged_by_it(make_customer, customer):
    ahead = "2026-01-15T12:05:01Z"
    real = datetime(2027, 6, 1, tzinfo=UTC)
    assert codes(record(event(1, customer, at=ahead), now=real)) == [(0, "timestamp_in_future")]
    assert codes(record(event(2, customer, at="2026-01-15T12:05:00Z"), now=real)) == []
    assert UsageEvent.objects.get().received_at == NOON
    without = make_customer()
    assert codes(record(event(3, without, at=ahead), now=real)) == [(0, "after_grace_window")]


def test_without_a_time_it_happened_just_now(customer):
    record(event(1, customer), now=datetime(2027, 6, 1, tzinfo=UTC))
    assert UsageEvent.objects.get().occurred_at == NOON


# -- Late events -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "day", "taken"),
    [
        ("2026-02-15", "2026-02-14", True),  # the period ended today
        ("2026-02-17", "2026-01-15", True),  # the last day of grace reaches back to its period's first
        ("2026-02-17", "2026-01-14", False),  # and no further
        ("2026-02-18", "2026-02-14", False),  # three days are over
        ("2026-02-18", "2026-02-15", True),  # this period
        ("2026-03-14", "2026-02-15", True),
    ],
)
def test_late_events_are_taken_for_three_days(starter, customer, clock, meter, today, day, taken):
    clock.now = datetime.fromisoformat(f"{today}T12:00:00Z")
    clock.save()
    done = record(event(1, customer, at=f"{day}T10:00:00Z"))
    assert codes(done) == ([] if taken else [(0, "after_grace_window")])
    if taken:
        assert list(totals(customer)) == [date.fromisoformat(day)]


def test_the_next_charge_is_no_day_of_usage_that_nobody_used(customer, subscribe, clock, meter):
    yearly = subscribe(customer, "starter", interval="year", quantity=1)
    found = invoicing.upcoming(subscription=yearly, now=clock.now)
    assert (found.on, bool(found.result.lines)) == (date(2027, 1, 15), True)


def test_a_late_event_is_no_breach_before_the_next_paper_says_it(
    starter, customer, clock, meter, advance, books
):
    advance(clock, to=datetime(2026, 2, 16, 12, tzinfo=UTC))
    assert record(event(1, customer, value=50_000, at="2026-02-14T10:00:00Z")).accepted == 1
    books()
    advance(clock, to=datetime(2026, 3, 16, 12, tzinfo=UTC))
    assert starter.invoices.order_by("-sequence")[0].lines.filter(kind__in=("usage", "reversal")).exists()


def test_the_grace_window_is_a_setting(starter, customer, clock, settings):
    settings.USAGE_GRACE_DAYS = 10
    clock.now = datetime(2026, 2, 24, 12, tzinfo=UTC)
    clock.save()
    assert record(event(1, customer, at="2026-02-14T10:00:00Z")).accepted == 1
    clock.now = datetime(2026, 2, 25, 12, tzinfo=UTC)
    clock.save()
    assert record(event(2, customer, at="2026-02-14T10:00:00Z")).accepted == 0


# -- Aggregations ----------------------------------------------------------------------------------


HOURS = [("a", "12", 10), ("b", "35", 11), ("c", "25", 12)]  # (id, hour, day of January)


@pytest.mark.parametrize(
    ("aggregation", "whole", "first_two", "none"),
    [("count", 3, 2, 0), ("sum", 72, 47, 0), ("max", 35, 35, 0), ("last", 25, 35, 0), ("unique", 3, 2, 0)],
)
def test_each_aggregation(customer, aggregation, whole, first_two, none):
    meter = Meter.objects.create(
        code="hours", name="Hours", event_name="worked", aggregation=aggregation, property="hour"
    )
    for key, hour, day in [*HOURS[::-1], ("d", "12", 10)][: 3 if aggregation != "unique" else 4]:
        at = f"2026-01-{day}T08:00:00Z"
        sent = {
            "id": key,
            "customer": customer.pk,
            "event_name": "worked",
            "timestamp": at,
            "properties": {"hour": hour},
        }
        assert record(sent).accepted == 1
    spans = [
        (date(2026, 1, 10), date(2026, 1, 13)),
        (date(2026, 1, 10), date(2026, 1, 12)),
        (date(2026, 1, 13), date(2026, 2, 1)),
    ]
    assert [metering.quantity(customer, meter, *span) for span in spans] == [whole, first_two, none]
    [usage] = metering.current(customer, NOON)
    assert (usage.meter, usage.used) == (meter, whole)


def test_the_last_value_is_the_latest_not_the_last_sent(customer):
    meter = Meter.objects.create(code="disk", name="Disk", event_name="disk", aggregation="last")
    for n, hour, value in ((1, 10, 70), (2, 8, 90), (3, 9, 50)):
        record(event(n, customer, value, at=f"2026-01-15T{hour:02}:00:00Z", event_name="disk"))
    assert metering.quantity(customer, meter, date(2026, 1, 15), date(2026, 1, 16)) == 70


def test_days_are_listed_without_holes(customer, meter):
    record(event(1, customer, 3, at="2026-01-11T00:00:00Z"), event(2, customer, 4, at="2026-01-13T00:00:00Z"))
    days = metering.daily(customer, meter, date(2026, 1, 10), date(2026, 1, 14))
    assert days == [(date(2026, 1, day), used) for day, used in ((10, 0), (11, 3), (12, 0), (13, 4))]


def test_many_quantities_are_one_query(make_customer, meter, django_assert_num_queries):
    customers = [make_customer() for _ in range(5)]
    now = datetime(2026, 1, 20, tzinfo=UTC)
    record(*[event(n, customer, n, at=now) for n, customer in enumerate(customers)], now=now)
    wanted = [(c.pk, meter.pk, date(2026, 1, 1), date(2026, 2, 1)) for c in customers]
    with django_assert_num_queries(1):
        found = metering.quantities(wanted * 2)
    assert list(found.values()) == [0, 1, 2, 3, 4]


# -- Thresholds ------------------------------------------------------------------------------------


def test_eighty_and_a_hundred_percent_fire_once(starter, customer):
    for n, value in enumerate((7999, 1, 1000, 999, 1, 5000)):
        record(event(n, customer, value))
    assert reached() == [(80, "10000", "8000"), (100, "10000", "10000")]
    fact = Event.objects.filter(type="usage.threshold_reached").first()
    assert (fact.object_id, fact.customer_id, fact.at) == (customer.pk, customer.pk, NOON)
    assert fact.data["meter"] == "api_calls"
    assert fact.data["subscription"] == starter.pk
    assert fact.data["period"] == {"start": "2026-01-15", "end": "2026-02-15"}


def test_one_batch_may_cross_both(starter, customer):
    record(event(1, customer, 12_000), actor="key:tk_test_abcd")
    assert reached() == [(80, "10000", "12000"), (100, "10000", "12000")]
    assert {e.actor for e in Event.objects.filter(type="usage.threshold_reached")} == {"key:tk_test_abcd"}


def test_going_below_and_up_again_does_not_fire_again(starter, customer):
    record(event(1, customer, 9000))
    record(event(2, customer, -5000))
    record(event(3, customer, 5000))
    assert [percent for percent, *_ in reached()] == [80]


def test_it_re_arms_when_the_period_starts(starter, customer, clock, advance):
    record(event(1, customer, 9000))
    advance(clock, days=31)
    record(event(2, customer, 9000, at="2026-02-15T12:00:00Z"))
    assert [(c.percent, c.period_start) for c in ThresholdCrossing.objects.order_by("id")] == [
        (80, date(2026, 1, 15)),
        (80, date(2026, 2, 15)),
    ]


def test_it_re_arms_when_the_limit_rises(starter, customer):
    from billing import subscribing

    record(event(1, customer, 9000))
    pro = Plan.objects.get(code="pro")
    subscribing.change(subscription=starter, now=NOON, actor="system", plan=pro, quantity=2)
    record(event(2, customer, 1))
    assert [limit for _, limit, _ in reached()] == ["10000"]
    record(event(3, customer, 31_000))
    assert reached()[1:] == [(80, "50000", "40001")]


def test_a_limit_that_falls_says_nothing_twice(starter, customer):
    """80 % of 50,000 was said: 80 % of 10,000 is no news, and 100 % of it is. Nor is 80 % of 50,000 later."""
    from billing import subscribing

    change = partial(subscribing.change, subscription=starter, now=NOON, actor="system")
    pro = Plan.objects.get(code="pro")
    small = starter.phases.get().plan
    change(plan=pro)
    record(event(1, customer, 40_000))
    change(plan=small)
    record(event(2, customer, 1))
    change(plan=pro)
    record(event(3, customer, 1))
    assert reached() == [(80, "50000", "40000"), (100, "10000", "40001")]


def test_thresholds_are_a_setting(starter, customer, settings):
    settings.USAGE_THRESHOLDS = [50, 120]
    record(event(1, customer, 6000))
    record(event(2, customer, 6000))
    assert [percent for percent, *_ in reached()] == [50, 120]


def test_days_add_up_across_a_period(starter, customer, clock, advance):
    for n, day in enumerate((16, 20, 25)):
        advance(clock, to=datetime(2026, 1, day, 12, tzinfo=UTC))
        record(event(n, customer, 3000))
    assert reached() == [(80, "10000", "9000")]


def test_a_late_event_counts_in_its_own_period_only(starter, customer, clock, advance):
    record(event(1, customer, 7000))
    advance(clock, to=datetime(2026, 2, 16, 12, tzinfo=UTC))
    record(event(2, customer, 2000, at="2026-02-14T12:00:00Z"))
    assert reached() == []
    assert UsageCounter.objects.get().used == 7000


def test_usage_from_before_the_subscription_counts_where_its_day_is(customer, subscribe):
    """The counter of a period begins with what the days already hold."""
    record(event(1, customer, 7000))
    assert not UsageCounter.objects.exists()
    subscribe(customer, plan="starter", quantity=None)
    record(event(2, customer, 1500))
    assert reached() == [(80, "10000", "8500")]


def test_without_terms_there_is_nothing_to_cross(customer):
    record(event(1, customer, 10**9))
    assert reached() == []
    [usage] = metering.current(customer, NOON)
    assert (usage.used, usage.limit, usage.percent) == (10**9, None, None)
    assert usage.period == Period(date(2026, 1, 1), date(2026, 2, 1))


@pytest.mark.parametrize("aggregation", ["max", "last", "unique", "count"])
def test_every_aggregation_has_thresholds(subscribe, customer, aggregation):
    meter = Meter.objects.create(code="x", name="X", event_name="x", aggregation=aggregation)
    Entitlement.objects.create(
        plan=Plan.objects.get(code="starter"), feature="x", name="X", meter=meter, limit=5
    )
    subscribe(customer, plan="starter", quantity=None)
    for n, value in enumerate((1, 2, 3, 3)):
        record(event(n, customer, value, event_name="x"))
    already = [percent for percent, *_ in reached()]
    assert already == ([80] if aggregation == "count" else [])
    record(event(8, customer, 4, event_name="x"), event(9, customer, 5, event_name="x"))
    assert [percent for percent, *_ in reached()] == [80, 100]
    [usage] = [usage for usage in metering.current(customer, NOON) if usage.meter == meter]
    assert usage.percent == (120 if aggregation == "count" else 100)


def test_what_a_price_includes_is_a_limit_where_the_plan_names_none(subscribe, customer):
    Entitlement.objects.filter(feature="api_calls").delete()
    subscribe(customer, plan="pro")
    record(event(1, customer, 40_000))
    assert reached() == [(80, "50000", "40000")]
    [usage] = metering.current(customer, NOON)
    assert (usage.limit, usage.included, usage.percent) == (50_000, 50_000, 80)


def test_in_a_trial_the_limit_is_what_a_trial_includes(subscribe, customer):
    Entitlement.objects.filter(feature="api_calls").delete()
    Price.objects.filter(plan__code="pro", kind="usage").update(included_in_trial=500)
    subscribe(customer, plan="pro", trial_days=10)
    record(event(1, customer, 400))
    assert reached() == [(80, "500", "400")]


def test_a_crossing_stands_or_falls_with_its_events(starter, customer, monkeypatch):
    def fail(facts):
        raise RuntimeError("no event, no usage")

    monkeypatch.setattr(metering, "record_many", fail)
    with pytest.raises(RuntimeError):
        record(event(1, customer, 9000))
    assert not UsageEvent.objects.exists()
    assert not ThresholdCrossing.objects.exists()


# -- Periods ---------------------------------------------------------------------------------------


PERIOD = f"""
select start_on, end_on, previous_on
from (select %s::date as today, %s::date as anchor_on, %s::text as interval) terms {usage_sql.PERIOD}
"""
DAYS = st.dates(date(1999, 1, 1), date(2101, 12, 31))


@pytest.mark.django_db
@settings(max_examples=300, deadline=None)
@given(today=DAYS, anchor=DAYS, interval=st.sampled_from(list(Interval)))
def test_periods_in_sql_are_those_of_billing_maths(today, anchor, interval):
    with connection.cursor() as cursor:
        cursor.execute(PERIOD, [today, anchor, str(interval)])
        start, end, previous = cursor.fetchone()
    cycle = Cycle(interval, anchor)
    assert Period(start, end) == cycle.period_at(today)
    assert previous == cycle.boundary(cycle.index_at(today) - 1)


@pytest.mark.django_db
@pytest.mark.parametrize("today", ["2024-02-29", "2026-01-01", "2026-12-31"])
def test_without_an_anchor_the_month_is_the_calendars(today):
    with connection.cursor() as cursor:
        cursor.execute(PERIOD, [today, None, None])
        start, end, _ = cursor.fetchone()
    day = date.fromisoformat(today)
    assert Period(start, end) == Cycle(Interval.MONTH, calendar_anchor(Interval.MONTH, day)).period_at(day)


def test_the_period_is_that_of_the_usage_price_not_of_the_plan(subscribe, customer):
    """A yearly plan meters by the month, counted from its own anchor."""
    subscribe(customer, plan="pro", interval="year")
    [usage] = metering.current(customer, NOON)
    assert usage.period == Period(date(2026, 1, 15), date(2026, 2, 15))
    [later] = metering.current(customer, NOON + timedelta(days=45))
    assert later.period == Period(date(2026, 2, 15), date(2026, 3, 15))


def test_an_anchor_on_the_31st_comes_back_to_it(make_customer, make_clock, subscribe):
    customer = make_customer(make_clock(datetime(2026, 1, 31, 12, tzinfo=UTC)))
    subscribe(customer, plan="pro")
    starts = [
        metering.current(customer, customer.now + timedelta(days=n))[0].period.start for n in (0, 29, 60)
    ]
    assert starts == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]


def test_reading_is_two_queries_however_much_there_is(starter, customer, django_assert_num_queries):
    for n in range(10):
        record(event(n, customer, 10, at=NOON - timedelta(days=0, hours=n)))
    with django_assert_num_queries(2):
        metering.current(customer, NOON)


def test_the_newest_terms_decide(starter, customer, subscribe):
    subscribe(customer, plan="pro")
    [usage] = metering.current(customer, NOON)
    assert usage.limit == 50_000


def test_an_ended_subscription_limits_nothing(starter, customer):

    ending.cancel(subscription=starter, now=NOON, actor="system", effective="now")
    record(event(1, customer, 20_000))
    assert reached() == []


def test_billing_reads_what_metering_counted(starter, customer, clock, advance, books):
    """12,000 calls: 2,000 over the included ones at 0.002."""
    record(event(1, customer, 12_000))
    advance(clock, days=31)
    invoice = starter.invoices.order_by("-issued_at").first()
    assert {line.kind: line.net for line in invoice.lines.all()} == {"recurring": 1900, "usage": 400}


# -- Taking back -----------------------------------------------------------------------------------


def test_a_voided_event_was_never_there(starter, customer, meter):
    record(event(1, customer, 7000), event(2, customer, 900))
    assert metering.void(key="e-2", livemode=False, now=NOON) == 1
    assert totals(customer) == {date(2026, 1, 15): (1, 7000)}
    assert UsageCounter.objects.get().used == 7000
    record(event(3, customer, 900))
    assert reached() == []
    record(event(4, customer, 100))
    assert reached() == [(80, "10000", "8000")]


def test_its_id_stays_spent_and_voiding_twice_changes_nothing(customer):
    record(event(1, customer, 5))
    assert [metering.void(key="e-1", livemode=False, now=NOON) for _ in range(2)] == [1, 0]
    assert record(event(1, customer, 5)) == metering.Recorded(0, 1, [])
    assert totals(customer) == {date(2026, 1, 15): (0, 0)}


def test_the_peak_and_the_last_value_fall_back(customer):
    for aggregation in ("max", "last"):
        Meter.objects.create(code=aggregation, name="x", event_name=aggregation, aggregation=aggregation)
        record(event(f"{aggregation}1", customer, 4, at=NOON - timedelta(hours=2), event_name=aggregation))
        record(event(f"{aggregation}2", customer, 9, at=NOON - timedelta(hours=1), event_name=aggregation))
        metering.void(key=f"e-{aggregation}2", livemode=False, now=NOON)
    assert {usage.meter.code: usage.used for usage in metering.current(customer, NOON)} == {
        "max": 4,
        "last": 4,
    }


def test_nothing_is_taken_back_from_a_closed_period(starter, customer, clock, advance):
    record(event(1, customer, 5))
    advance(clock, to=datetime(2026, 2, 18, 12, tzinfo=UTC))
    with pytest.raises(metering.UsageClosed):
        metering.void(key="e-1", livemode=False, now=clock.now)


def disk_of(limit):
    """Measured by what was said last."""
    meter = Meter.objects.create(code="disk", name="Disk", event_name="disk", aggregation="last")
    Entitlement.objects.create(
        plan=Plan.objects.get(code="starter"), meter=meter, feature="disk", limit=limit
    )
    return meter


def test_taking_back_an_event_leaves_the_last_of_those_of_one_instant(starter, customer):
    meter = disk_of(100)
    for n, value in (("z", 5), ("a", 9)):  # sent one after the other, for the same instant
        record(event(n, customer, value, at=NOON - timedelta(hours=1), event_name="disk"))
    record(event("x", customer, 1, at=NOON - timedelta(hours=2), event_name="disk"))
    metering.void(key="e-x", livemode=False, now=NOON)
    assert metering.quantity(customer, meter, date(2026, 1, 15), date(2026, 1, 16)) == 9


def test_an_older_event_is_not_the_last_after_another_was_taken_back(starter, customer):
    disk_of(100)
    for n, hours, value in ((1, 3, 50), (2, 2, 20)):
        record(event(n, customer, value, at=NOON - timedelta(hours=hours), event_name="disk"))
    metering.void(key="e-1", livemode=False, now=NOON)
    record(event(3, customer, 90, at=NOON - timedelta(hours=4), event_name="disk"))
    assert UsageCounter.objects.get().used == 20
    assert reached() == []


def test_it_takes_back_only_what_is_there_on_its_side(customer):
    record(event(1, customer, 5))
    for key, livemode in (("e-9", False), ("e-1", True)):
        with pytest.raises(metering.UnknownUsageEvent):
            metering.void(key=key, livemode=livemode, now=NOON)


# -- Replacing -------------------------------------------------------------------------------------


def instead(n, of, who, value=1, **fields):
    return event(n, who, value, replaces=f"e-{of}", **fields)


def test_an_event_takes_the_place_of_another(starter, customer):
    record(event(1, customer, 7000, at="2026-01-15T08:00:00Z"))
    sent = instead(2, 1, customer, 7500, at="2026-01-15T10:00:00Z")
    assert record(sent) == metering.Recorded(1, 0, [])
    assert record(sent) == metering.Recorded(0, 1, [])
    assert record(event(1, customer, 7000)) == metering.Recorded(0, 1, [])
    assert totals(customer) == {date(2026, 1, 15): (1, 7500)}
    assert UsageCounter.objects.get().used == 7500
    assert reached() == []


def test_one_in_the_same_batch_is_replaced_too_and_a_limit_is_crossed_by_what_is_left(starter, customer):
    record(instead(2, 1, customer, 8000), event(1, customer, 9000), instead(3, 2, customer, 8100))
    assert totals(customer) == {date(2026, 1, 15): (1, 8100)}
    assert reached()[-1] == (80, "10000", "9000")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"replaces": "e-9"}, "unknown_replaced"),
        ({"replaces": "e-2"}, "already_taken_back"),
        ({"replaces": "e-5"}, "invalid_replaces"),
        ({"replaces": 1}, "invalid_replaces"),
        ({"replaces": "e-1", "customer": "nobody"}, "unknown_customer"),
        ({"replaces": "e-1", "properties": {"value": "x"}}, "invalid_value"),
    ],
)
def test_what_cannot_be_replaced_is_named_and_stands(customer, sent, code):
    record(event(1, customer, 10), event(2, customer, 20))
    metering.void(key="e-2", livemode=False, now=NOON)
    done = record({**event(5, customer, 99), **sent})
    assert [bad.code for bad in done.rejected] == [code]
    assert totals(customer) == {date(2026, 1, 15): (1, 10)}


def test_nothing_is_replaced_in_a_closed_period(starter, customer, clock, advance):
    record(event(1, customer, 5))
    advance(clock, to=datetime(2026, 2, 18, 12, tzinfo=UTC))
    done = record(instead(2, 1, customer, 7), now=clock.now)
    assert [bad.code for bad in done.rejected] == ["replaced_is_closed"]


SENT = st.tuples(st.integers(1, 5), st.none() | st.integers(1, 6), st.integers(-3, 9), st.integers(0, 2))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(SENT, max_size=4), max_size=4))
def test_replacing_agrees_with_a_book_kept_by_hand(starter, customer, batches):
    book: dict[int, tuple[int, int] | None] = {}
    with transaction.atomic():
        for batch in batches:
            expected = 0
            for n, of, value, day in sorted(batch, key=lambda sent: sent[1] is not None):
                if n in book or of == n or (of is not None and book.get(of) is None):
                    continue
                expected, book[n] = expected + 1, (value, day)
                book |= {of: None} if of is not None else {}
            rows = [(n, of, value, f"2026-01-1{5 - day}T08:00:00Z") for n, of, value, day in batch]
            done = record(
                *[
                    event(n, customer, value, at, **({"replaces": f"e-{of}"} if of else {}))
                    for n, of, value, at in rows
                ]
            )
            assert done.accepted == expected
        standing = [one for one in book.values() if one]
        by_day = {day: sum(value for value, on in standing if on == day) for _, day in standing}
        found = {15 - on.day: total for on, (count, total) in totals(customer).items() if count}
        assert found == by_day
        transaction.set_rollback(True)


# -- However it is sent --------------------------------------------------------------------------

LAST_NOON = NOON - timedelta(days=1)
MEASURES = ("count", "sum", "max", "last", "unique")
# (customer, measure, value, minutes after yesterday's noon): no two of one instant, of which the last is who comes last.
USED = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(MEASURES), st.integers(0, 6), st.integers(0, 1440)),
    min_size=1,
    max_size=10,
    unique_by=lambda one: one[3],
)


@pytest.fixture
def measured(catalogue, make_customer, clock, subscribe):
    """Two customers with a limit of five of everything since yesterday, one by its external id."""
    for aggregation in MEASURES:
        meter = Meter.objects.create(
            code=aggregation, name="x", event_name=aggregation, aggregation=aggregation
        )
        Entitlement.objects.create(
            plan=Plan.objects.get(code="starter"), meter=meter, feature=aggregation, limit=5
        )
    customers = [make_customer(clock), make_customer(clock, external_id="acme")]
    clock.now = LAST_NOON
    clock.save()
    for customer in customers:
        subscribe(customer, plan="starter", quantity=None, now=LAST_NOON)
    clock.now = NOON
    clock.save()
    return [customers[0].pk, "acme"]


def sent_by_file(events):
    made = importing.take(
        content=b"\n".join(map(orjson.dumps, events)), format="jsonl", livemode=False, now=NOON, actor="x"
    )
    importing.work(import_id=made.pk)


WAYS = {"batch": lambda events: record(*events), "file": sent_by_file}


def came_to():
    """Days, counters and crossings, without what tells the way."""
    days = UsageDay.objects.values_list(
        "customer", "meter", "day", "count", "total", "peak", "last", "last_at"
    )
    counters = UsageCounter.objects.values_list("customer", "meter", "start_on", "end_on", "used")
    told = Event.objects.filter(type="usage.threshold_reached").values_list(
        "customer", "data__meter", "data__percent"
    )
    return sorted(days), sorted(counters), sorted(told)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(used=USED, data=st.data())
def test_the_way_in_which_it_was_sent_changes_nothing(measured, used, data):
    events = [
        {"id": f"e-{n}", "customer": measured[who], "event_name": measure, "properties": {"value": value},
         "timestamp": (LAST_NOON + timedelta(minutes=minutes)).isoformat()}
        for n, (who, measure, value, minutes) in enumerate(used)
    ]  # fmt: skip
    taken_back = data.draw(st.sets(st.sampled_from([each["id"] for each in events]), max_size=2))
    outcomes = []
    for order in (events, data.draw(st.permutations(events + events[:3]))):
        with transaction.atomic():
            while order:
                size = data.draw(st.integers(1, len(order)))
                WAYS[data.draw(st.sampled_from(sorted(WAYS)))](order[:size])
                order = order[size:]
            for key in taken_back:
                metering.void(key=key, livemode=False, now=NOON)
            outcomes.append(came_to())
            transaction.set_rollback(True)
    one, other = outcomes
    assert one[:2] == other[:2]
    # What falls again may have stood above a limit in between; what only grows crosses it in any order.
    grows = [[told for told in outcome[2] if told[1] != "last"] for outcome in outcomes]
    assert grows[0] == grows[1]
    assert len(set(one[2])) == len(one[2])


# -- At once ---------------------------------------------------------------------------------------


def together(work, count):
    """Run work(n) for so many n at once; none may raise."""
    answers = at_once(*[partial(work, n) for n in range(count)])
    assert [one for one in answers if isinstance(one, Exception)] == []


@pytest.fixture
def real_starter(transactional_db, catalogue, make_customer, clock, subscribe):
    """A customer whose rows are committed, with 10,000 calls."""
    customer = make_customer(clock)
    subscribe(customer, plan="starter", quantity=None)
    clock.now = datetime(2026, 2, 10, 12, tzinfo=UTC)
    clock.save()
    return customer


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_eight_times_at_once_counts_once(real_starter):
    batch = [event(n, real_starter, 1, at=f"2026-01-{15 + n % 10}T08:00:00Z") for n in range(50)]
    done = []
    together(lambda n: done.append(record(*(batch if n % 2 else batch[::-1]))), 8)
    assert sum(one.accepted for one in done) == 50
    assert sum(one.duplicates for one in done) == 7 * 50
    assert sum(total for _, total in totals(real_starter).values()) == 50
    assert UsageCounter.objects.get().used == 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(3))
def test_no_crossing_is_missed_when_batches_meet_on_different_days(real_starter, round_):
    """Each batch alone stays below; only together do they reach the limit, and no two touch the same day."""
    together(lambda n: record(event(n, real_starter, 2500, at=f"2026-01-{16 + n}T08:00:00Z")), 4)
    assert [percent for percent, *_ in reached()] == [80, 100]
    assert ThresholdCrossing.objects.count() == 2
    assert UsageCounter.objects.get().used == 10_000


@pytest.mark.django_db(transaction=True)
def test_taking_back_and_adding_at_once_agree_in_the_end(real_starter):
    record(*[event(n, real_starter, 10, at=f"2026-01-{16 + n % 5}T08:00:00Z") for n in range(20)])

    def work(n):
        if n % 2:
            metering.void(key=f"e-{n}", livemode=False, now=NOON)
        else:
            record(event(100 + n, real_starter, 1, at=f"2026-01-{16 + n % 5}T09:00:00Z"))

    together(work, 8)
    assert sum(total for _, total in totals(real_starter).values()) == 160 + 4
    assert UsageCounter.objects.get().used == 164


# -- One statement, in a transaction that more can follow into ----------------------------------------------


def statements(*events):
    """What taking them asks, `RECORD` by its name."""
    with CaptureQueriesContext(connection) as asked:
        done = record(*events)
    assert not done.rejected
    return [("RECORD" if "unnest(%(percents)s" in q["sql"] else q["sql"].split()[0]) for q in asked]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_crosses_nothing_is_one_statement(real_starter):
    assert statements(event(1, real_starter, 7_999)) == ["BEGIN", "RECORD", "COMMIT"]
    assert totals(real_starter) == {date(2026, 2, 10): (1, 7_999)}


@pytest.mark.django_db(transaction=True)
def test_one_that_crosses_is_taken_once_with_its_fact_and_job(real_starter):
    record(event(1, real_starter, 7_000))
    begin, taken, *facts, commit = statements(event(2, real_starter, 1_500))
    assert (begin, taken, commit) == ("BEGIN", "RECORD", "COMMIT")
    assert len(facts) == 2
    assert reached() == [(80, "10000", "8500")]
    assert totals(real_starter) == {date(2026, 2, 10): (2, 8_500)}
    assert UsageCounter.objects.get().used == 8_500
    assert ThresholdCrossing.objects.count() == 1
    assert statements(event(3, real_starter, 1)) == ["BEGIN", "RECORD", "COMMIT"]


@pytest.mark.django_db(transaction=True)
def test_a_fact_that_cannot_be_written_leaves_no_usage(real_starter, monkeypatch):
    monkeypatch.setattr(metering, "record_many", Mock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        record(event(1, real_starter, 8_500))
    assert not UsageEvent.objects.exists()
    assert not UsageDay.objects.exists()
    assert not ThresholdCrossing.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_distinct_values_are_weighed_in_the_transaction_that_brings_them(real_starter):
    meter = Meter.objects.create(
        code="users", name="Users", event_name="seen", aggregation="unique", property="who"
    )
    Entitlement.objects.create(plan=Plan.objects.get(code="starter"), meter=meter, limit=2)

    def seen(n, who):
        return event(n, real_starter, event_name="seen", properties={"who": who})

    assert statements(seen(1, "a")) == ["BEGIN", "RECORD", "with", "COMMIT"]
    assert reached() == []
    record(seen(3, "b"))
    assert reached() == [(80, "2", "2"), (100, "2", "2")]


def test_counters_days_and_events_tell_the_same(starter, customer, meter):
    for n in range(30):
        record(event(n, customer, n, at=NOON - timedelta(hours=n % 12)))
    metering.void(key="e-7", livemode=False, now=NOON)
    raw = sum(e.value for e in UsageEvent.objects.filter(voided_at__isnull=True))
    days = metering.quantity(customer, meter, date(2026, 1, 15), date(2026, 2, 15))
    assert raw == days == UsageCounter.objects.get().used


def test_phases_decide_day_by_day(starter, customer, clock, advance):
    """Terms that begin later limit nothing yet."""
    pro = Plan.objects.get(code="pro")
    Phase.objects.filter(subscription=starter).update(end_on=date(2026, 2, 1))
    later = Phase.objects.create(
        subscription=starter, plan=pro, start_on=date(2026, 2, 1), anchor_on=date(2026, 1, 15),
        collection_method="charge_automatically", motion="self_serve",
    )  # fmt: skip
    PhaseItem.objects.create(phase=later, price=Price.objects.get(plan=pro, code="api-calls"))
    assert [u.limit for u in metering.current(customer, NOON)] == [10_000]
    assert [u.limit for u in metering.current(customer, datetime(2026, 2, 1, tzinfo=UTC))] == [50_000]


def test_customers_of_a_batch_are_looked_up_by_their_keys(customer):
    """Among so many that reading all of them looks cheaper to the planner than a hundred look-ups."""
    Customer.objects.bulk_create([Customer(name=f"C {n}", email=f"c{n}@c.example") for n in range(3000)])
    given = {
        "events": "[]",
        "livemode": False,
        "now": customer.now,
        "grace": 3,
        "percents": [80],
    }
    with connection.cursor() as cursor:
        cursor.execute("analyze billing_customer")
        cursor.execute(f"explain {usage_sql.RECORD}", given)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert re.search(
        r"Index Scan using (billing_customer_pkey|customer_in_sandbox) on billing_customer c", plan
    )
    assert "Seq Scan on billing_customer " not in plan
