"""The phases of a new subscription."""

from datetime import UTC, date, datetime

import pytest

from billing import discounting, planning
from billing.choosing import choose_items
from billing.models import Discount, Plan
from billing.timelines import PhaseSpec

pytestmark = pytest.mark.django_db
START = date(2024, 1, 1)
SAID = {
    "once": {"percent_off": 50, "duration": "once"},
    "also once": {"percent_off": 10, "duration": "once"},
    "twice": {"percent_off": 20, "duration": "repeating", "periods": 2},
    "forever": {"percent_off": 5},
}


@pytest.mark.parametrize("trial_end", [None, datetime(2024, 1, 11, tzinfo=UTC)])
@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["once", "twice", "forever"], [["twice", "forever"], ["forever"]]),
        (["twice", "once", "forever"], [["twice", "forever"], ["forever"]]),
        (["twice", "once"], [["twice"], []]),
        (["once", "also once"], [[]]),
        (["also once", "twice", "once"], [["twice"], []]),
    ],
)
def test_it_ends_each_discount_on_its_own_day_for_good(catalogue, given, left, trial_end) -> None:
    plan = Plan.objects.get(code="pro")
    rows = {name: Discount.objects.create(code=name, **said) for name, said in SAID.items()}
    spec = PhaseSpec(
        plan=plan, items=choose_items(plan, interval="month", currency="USD"), start_on=START, end_on=None,
        anchor_on=START, motion=plan.motion, collection_method="charge_automatically",
        discount=discounting.together([rows[name] for name in given]),
    )  # fmt: skip
    found = planning.phases(spec, trial_end=trial_end, tz="UTC")
    paid = [spec for spec in found if not spec.free]
    held = [
        [each.code or str(each) for each in spec.discount.members] if spec.discount else [] for spec in paid
    ]
    assert held == [given, *left]
    assert [spec.start_on.day for spec in paid] == [11 if trial_end else 1] * len(paid)
