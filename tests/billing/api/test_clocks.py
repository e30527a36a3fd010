"""Test clocks: a year in a request."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.models import Event, Invoice, InvoiceLine

START = "2026-01-15T12:00:00Z"


def test_a_customer_on_a_clock_lives_at_its_time(api, books):
    clock = api.post("test_clocks", time=START, name="First year").json()
    assert (clock["time"], clock["status"]) == (START, "ready")
    customer = api.post("customers", name="A", email="a@a.example", test_clock=clock["id"]).json()
    assert (customer["created_at"], customer["test_clock"]) == (START, clock["id"])
    api.post("subscriptions", customer=customer["id"], plan="pro", quantity=2)
    moved = api.post(f"test_clocks/{clock['id']}/advance", to="2026-04-01T00:00:00Z").json()
    assert (moved["time"], moved["status"]) == ("2026-04-01T00:00:00Z", "ready")
    issued = Invoice.objects.order_by("issued_at").values_list("issued_on", flat=True)
    assert [str(day) for day in issued] == ["2026-01-15", "2026-02-15", "2026-03-15"]
    assert Event.objects.filter(type="subscription.renewed").count() == 2


def test_a_clock_goes_forward_only_and_not_too_far(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    path = f"test_clocks/{clock}/advance"
    assert code(api.post(path, to="2026-01-14T12:00:00Z")) == (409, "clock_goes_back")
    assert code(api.post(path, to="2030-01-14T12:00:00Z")) == (422, "advance_too_long")
    assert code(api.post(path, to="2026-02-14")) == (400, "invalid_timestamp")
    assert code(api.post(path)) == (400, "required")
    assert code(api.post("test_clocks/clk_1/advance", to=START)) == (404, "not_found")


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        # The day has no midnight, or not its first hour.
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("America/Havana", date(2026, 3, 8), 23),
        ("America/Santiago", date(2026, 9, 6), 23),
        ("Asia/Beirut", date(2027, 3, 28), 23),
        ("Atlantic/Azores", date(2027, 3, 28), 23),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        # It has midnight twice, or an hour, or two.
        ("America/Havana", date(2026, 11, 1), 25),
        ("America/Santiago", date(2026, 4, 4), 25),
        ("Antarctica/Troll", date(2026, 10, 25), 26),
        ("Atlantic/Azores", date(2026, 10, 25), 25),
        ("Europe/Lisbon", date(2026, 10, 25), 25),
        ("Pacific/Auckland", date(2026, 4, 5), 25),
    ],
)
def test_a_clock_goes_over_a_day_of_another_length(api, books, zone, day, hours):
    """A period begins with it: it is billed in its first moment and not before it, once."""
    first, after = (first_moment(day + timedelta(days=n), zone) for n in (0, 1))
    assert after - first == timedelta(hours=hours)
    month_before = day.replace(month=day.month - 1)
    noon = datetime(month_before.year, month_before.month, month_before.day, 12, tzinfo=ZoneInfo(zone))
    clock = api.post("test_clocks", time=noon.isoformat()).json()["id"]
    fields = {"name": "A", "email": "a@a.example", "timezone": zone, "test_clock": clock}
    customer = api.post("customers", **fields).json()["id"]
    api.post("subscriptions", customer=customer, plan="pro", quantity=2)

    def billed_by(moment):
        assert api.post(f"test_clocks/{clock}/advance", to=moment.isoformat()).status_code == 200
        return list(InvoiceLine.objects.order_by("period_start").values_list("period_start", flat=True))

    assert billed_by(first - timedelta(seconds=1)) == [month_before]
    assert billed_by(first) == [month_before, day]
    assert billed_by(after + timedelta(hours=3)) == [month_before, day]


def first_moment(day, zone):
    """The first minute of that day, looked for one by one."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    while moment.astimezone(ZoneInfo(zone)).date() < day:
        moment += timedelta(minutes=1)
    return moment


def test_a_century_is_too_far_however_it_is_asked_for(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    path = f"test_clocks/{clock}/advance"
    for to in ("2126-01-15T12:00:00Z", "2200-12-31T23:59:59Z"):
        assert code(api.post(path, to=to)) == (422, "advance_too_long")
    for to in ("2201-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        [error] = api.post(path, to=to).json()["errors"]
        assert (error["field"], error["code"]) == ("to", "invalid_timestamp")
    assert api.get(f"test_clocks/{clock}").json()["time"] == START


def test_it_lists_and_reads(api):
    made = [api.post("test_clocks", time=START, name=name).json() for name in ("one", "two")]
    assert api.get("test_clocks").json()["results"] == made[::-1]
    assert api.get(f"test_clocks/{made[0]['id']}").json() == made[0]


def test_a_clock_is_given_at_birth_only(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    customer = api.post("customers", name="A", email="a@a.example").json()["id"]
    assert code(api.patch(f"customers/{customer}", test_clock=clock)) == (400, "unknown_field")


def test_a_deleted_clock_takes_its_customers_along(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    customer = api.post("customers", name="A", email="a@a.example", test_clock=clock).json()["id"]
    api.post("subscriptions", customer=customer, plan="pro")
    assert api.delete(f"test_clocks/{clock}").status_code == 204
    assert code(api.get(f"customers/{customer}")) == (404, "not_found")
    assert code(api.get(f"test_clocks/{clock}")) == (404, "not_found")
    assert code(api.post(f"test_clocks/{clock}/advance", to="2026-03-01T00:00:00Z")) == (404, "not_found")
    assert api.get("test_clocks").json()["results"] == []
