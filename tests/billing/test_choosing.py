"""Which prices of a plan a subscription takes."""

from decimal import Decimal

import pytest

from billing import cataloguing, choosing
from tests.fixtures_billing import NOON

FEES = [{"interval": "month", "amount": Decimal(10)}, {"interval": "year", "amount": Decimal(100)}]


def calls(interval):
    return {"code": f"calls-{interval}", "meter": "api_calls", "interval": interval, "amount": Decimal(1)}


@pytest.mark.parametrize(
    ("sold", "interval", "taken"),
    [
        (["month"], "month", ["calls-month"]),
        (["month"], "year", ["calls-month"]),  # usage billed by the month on a yearly plan
        (["month", "year"], "month", ["calls-month"]),
        (["month", "year"], "year", ["calls-year"]),
    ],
)
def test_it_takes_the_usage_price_of_the_interval_and_charges_no_unit_twice(catalogue, sold, interval, taken):
    plan = cataloguing.create_plan(
        code="gold", name="Gold", motion="self_serve", now=NOON, actor="user:1", livemode=False,
        prices=[*FEES, *map(calls, sold)],
    )  # fmt: skip
    items = choosing.choose_items(plan, interval=interval, currency="USD")
    assert [price.code for price, _ in items if price.kind == "usage"] == taken
    assert [price.unit_amount for price, _ in items if price.kind == "recurring"] == [
        {"month": 10, "year": 100}[interval]
    ]


def test_a_minimum_spend_comes_along_with_its_interval_and_stands_last(catalogue):
    least = [{"kind": "minimum", "interval": every, "minimum": Decimal(500)} for every in ("month", "year")]
    plan = cataloguing.create_plan(
        code="gold", name="Gold", motion="self_serve", now=NOON, actor="user:1", livemode=False,
        prices=[*least, *FEES, calls("month")],
    )  # fmt: skip
    items = choosing.choose_items(plan, interval="year", currency="USD")
    assert [(price.kind, price.interval) for price, _ in items][-1] == ("minimum", "year")
    assert [price.kind for price, _ in items].count("minimum") == 1


def test_a_plan_of_usage_is_sold_by_the_interval_of_its_minimum(catalogue):
    plan = cataloguing.create_plan(
        code="gold", name="Gold", motion="self_serve", now=NOON, actor="user:1", livemode=False,
        prices=[calls("month"), {"kind": "minimum", "interval": "year", "minimum": Decimal(500)}],
    )  # fmt: skip
    assert choosing.cadence(plan, "USD") == "year"
    items = choosing.choose_items(plan, interval="year", currency="USD")
    assert [price.kind for price, _ in items] == ["usage", "minimum"]
