"""A score that can be explained, measured daily, and told once."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.models import UsageDay
from sales import engagement
from sales.engagement import Activity
from sales.models import EngagementScore, Rule, Signal
from tests.fixtures_billing import NOON


@pytest.mark.parametrize(
    ("seen", "points"),
    [
        (Activity(), [0, 0, 0, 0]),
        (
            Activity(active_days=20, growth=Decimal("1.5"), used_share=Decimal(1), members=10),
            [40, 20, 20, 20],
        ),
        (Activity(active_days=28, growth=Decimal(9), used_share=Decimal(3), members=99), [40, 20, 20, 20]),
        (Activity(active_days=10, growth=Decimal(1), used_share=Decimal("0.8"), members=4), [20, 10, 16, 8]),
        (Activity(active_days=1, growth=Decimal("0.5")), [2, 0, 0, 0]),
        (Activity(active_days=7), [14, 10, 0, 0]),
    ],
)
def test_it_adds_four_parts_up(seen, points):
    parts = engagement.parts_of(seen)
    assert [part.points for part in parts] == points
    assert engagement.total(parts) == sum(points)
    assert all(part.words for part in parts)


@pytest.fixture
def busy(sales_catalogue, on_pro, add_members):
    """A customer with ten members whose calls go on for so many days before noon."""
    from billing.models import Meter

    customer = on_pro().customer
    add_members(customer, 10)

    def use(days, since=NOON):
        for n in range(days):
            UsageDay.objects.update_or_create(
                customer=customer, meter=Meter.objects.get(), day=(since - timedelta(days=n)).date(),
                defaults={"count": 1, "total": 10},
            )  # fmt: skip
        return customer

    return use


def test_it_measures_each_customer_once_a_day(busy):
    customer = busy(5)
    assert engagement.measure(now=NOON) == 1
    engagement.measure(now=NOON)
    row = EngagementScore.objects.get()
    assert (row.customer, row.day, row.score) == (customer, date(2026, 1, 15), 10 + 10 + 0 + 20)
    assert row.parts[0]["words"] == "5 of 28 days"


def test_it_fires_at_the_threshold_and_not_below_and_once(busy, found):
    Rule.objects.filter(code="engagement").update(threshold=50)
    customer = busy(9)  # 18 + 10 + 20
    engagement.measure(now=NOON)
    assert found(customer) == []
    customer.test_clock.now = NOON + timedelta(days=1)
    customer.test_clock.save()
    busy(10, NOON + timedelta(days=1))  # 20 + 10 + 20
    engagement.measure(now=NOON)
    engagement.measure(now=NOON)
    assert found(customer) == ["engagement"]
    signal = Signal.objects.get()
    assert signal.sentence.startswith("Engagement is 50 of 100: active days 20 of 40")
    assert signal.evidence["Team"] == "10 members"


def test_it_arms_again_below_the_threshold_and_after_the_window(busy, found):
    Rule.objects.filter(code="engagement").update(threshold=30)
    customer = busy(3)
    for day, score in [(0, None), (40, 10), (41, None)]:
        clock = customer.test_clock
        clock.now = NOON + timedelta(days=day)
        clock.save()
        if score is not None:
            EngagementScore.objects.create(customer=customer, day=clock.now.date(), score=score, parts=[])
            continue
        busy(3, clock.now)
        engagement.measure(now=NOON)
    assert found(customer) == ["engagement", "engagement"]


def test_it_takes_a_fixed_number_of_statements(busy, make_customer, subscribe, django_assert_max_num_queries):
    busy(2)
    for _ in range(3):
        subscribe(make_customer(), "pro", "month", 2)
    with django_assert_max_num_queries(20):
        assert engagement.measure(now=NOON) == 4
