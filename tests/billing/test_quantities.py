"""How much was used in some days, of days that are read for many customers at once."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import bulk, quantities
from billing.models import Meter, UsageDay

pytestmark = pytest.mark.django_db

DAYS = {date(2026, 1, 30): 5, date(2026, 1, 31): 9, date(2026, 2, 1): 2, date(2026, 2, 2): 100}


@pytest.fixture
def meters(catalogue):
    adds_up = Meter.Aggregation
    wanted = {adds_up.SUM: "total", adds_up.MAX: "peak", adds_up.LAST: "last", adds_up.COUNT: "count"}
    return {
        Meter.objects.create(code=f"of_{kind}", name=kind, event_name=kind, aggregation=kind): column
        for kind, column in wanted.items()
    }


@pytest.fixture
def used(make_customer, meters):
    """Two customers who used the same; the days are stored in no order."""
    customers = [make_customer(), make_customer()]
    for meter, column in meters.items():
        for day, value in sorted(DAYS.items(), key=lambda each: -each[1]):
            row = {"meter_id": meter.pk, "day": day, "count": 1, "total": Decimal(0), column: value}
            bulk.copy(UsageDay, [row | {"customer_id": customer.pk} for customer in customers])
    return customers


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (None, None, {"sum": 116, "max": 100, "last": 100, "count": 116}),
        (None, date(2026, 2, 2), {"sum": 16, "max": 9, "last": 2, "count": 16}),
        (date(2026, 1, 31), date(2026, 2, 1), {"sum": 9, "max": 9, "last": 9, "count": 9}),
    ],
)
def test_it_adds_up_the_days_that_are_read(used, meters, since, until, found):
    reader = quantities.reader([row.pk for row in used], since=since, until=until)
    for customer in used:
        told = {
            str(meter.aggregation): reader(customer)(meter.pk, date(2026, 1, 1), date(2026, 3, 1))
            for meter in meters
        }
        assert told == found


def test_it_answers_for_any_days_of_those_that_were_read_by_one_statement(used, meters):
    meter = next(meter for meter in meters if meter.aggregation == "sum")
    with CaptureQueriesContext(connection) as asked:
        usage = quantities.reader([row.pk for row in used], since=None)(used[0])
        by_day = [usage(meter.pk, day, day + timedelta(days=1)) for day in DAYS]
        none = usage(meter.pk, date(2026, 2, 3), date(2026, 3, 1))
    assert (by_day, none, len(asked)) == (list(DAYS.values()), 0, 1)


def test_what_is_asked_beside_other_tables_says_the_same(used, meters):
    wanted = quantities.wanted([used[0].pk], since=date(2026, 1, 31), until=date(2026, 2, 2))
    [rows] = bulk.tables(wanted)
    meter = next(meter for meter in meters if meter.aggregation == "max")
    assert quantities.told(rows)(used[0])(meter.pk, date(2026, 1, 1), date(2026, 3, 1)) == 9
