"""What an upgrade is worth, rated as invoices are."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.models import Meter, Plan, UsageDay
from sales import worth
from sales.worth import project

pytestmark = pytest.mark.usefixtures("sales_catalogue")
START = date(2026, 2, 15)


@pytest.mark.parametrize(
    ("months", "monthly", "growth"),
    [
        ([], 0, "1.0000"),
        ([300], 300, "1.0000"),
        ([100, 100, 100, 100, 100, 100], 100, "1.0000"),
        ([100, 100, 100, 200, 200, 200], 200, "1.2000"),  # 1.26 is held to 1.2
        ([100, 100, 100, 133, 133, 133], 133, "1.0997"),
        ([300, 300, 300, 100, 100, 100], 100, "1.0000"),
    ],
)
def test_it_projects_use(months, monthly, growth):
    found = project("m", "Calls", [Decimal(n) for n in months])
    assert (found.monthly, found.growth) == (monthly, Decimal(growth))


@pytest.mark.parametrize(
    ("option", "stay", "day"),
    [
        ([3] * 36, [2] * 36, None),
        ([2] * 36, [2] * 36, START),
        ([3] * 36, [2] * 10 + [3] * 26, date(2026, 12, 15)),
        ([3] * 36, [2] * 10 + [4] * 25 + [1], None),
    ],
)
def test_it_says_from_which_month_it_pays(option, stay, day):
    assert worth.pays_from([Fraction(n) for n in option], [Fraction(n) for n in stay], START) == day


def test_a_year_is_rated_as_it_is_billed(on_pro):
    subscription = on_pro(6)
    found = worth.worth(
        subscription=subscription, now=subscription.customer.now, plan=Plan.objects.get(code="enterprise")
    )
    assert (found.start_on, found.seats, found.mrr) == (START, 6, 174_00)
    assert found.stay.cost == 12 * 174_00
    by_month, by_year = found.options
    assert (by_month.cost, by_year.cost) == (12 * 6 * 99_00, 6 * 990_00)
    assert by_year.saves == 12 * 174_00 - 6 * 990_00
    assert by_year.pays_from is None


def test_usage_beyond_what_is_included_is_part_of_it(on_pro):
    """Pro includes 50,000 calls a month; the price of the rest is the plan's own."""
    subscription = on_pro(1)
    customer = subscription.customer
    for day in (date(2025, 10, 5), date(2025, 11, 5), date(2025, 12, 5)):
        UsageDay.objects.create(customer=customer, meter=Meter.objects.get(), day=day, count=1, total=250_000)
    found = worth.worth(subscription=subscription, now=customer.now)
    (calls,) = found.projections
    assert (calls.monthly, calls.growth) == (250_000, 1)
    price = next(
        price for price, _ in worth.timelines.specs_of(subscription)[0].items if price.kind == "usage"
    )
    assert found.stay.cost > 12 * 29_00
    assert price.meter_id == Meter.objects.get().pk
    assert found.options[0].plan in ("Business", "Enterprise")
