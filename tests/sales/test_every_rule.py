"""Every rule as a small story: silent below its threshold, heard at it, once, and again where it re-arms.

Then the same facts twice over and shuffled, and once more with every worker dead: the same signals and tasks.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from billing import customers
from billing.models import Customer, Event
from sales import rules, watching
from sales.models import HandoffTask, Rule, Signal, TargetDomain, TargetProfile, WeighedEvent

pytestmark = pytest.mark.usefixtures("sales_catalogue")
ANNUAL = rules.ANNUAL_PRICES
type Fact = tuple[str, dict[str, Any], int]
"""(event, data, day after the beginning)"""


@dataclass(frozen=True)
class Story:
    """Facts below the threshold, then those that reach it, then more of the same, then what re-arms it."""

    below: list[Fact]
    reached: list[Fact]
    more: list[Fact]
    again: list[Fact]
    actor: str = "member:mem_1"
    company: Any = None


def joined(first, last, day=0):
    return [("member.added", {"email": f"m{n}@x.example"}, day) for n in range(first, last + 1)]


def used(quantity, start="2026-01-15"):
    period = {"start": start, "end": "2026-02-15"}
    return ("usage.threshold_reached",
            {"meter": "api", "name": "API calls", "used": quantity, "limit": 50_000, "period": period}, 0)  # fmt: skip


def changed(before, after, **more):
    data = {"mrr_before": before, "mrr_after": after, "to": {"plan": "pro", "quantity": "9"}, **more}
    return ("subscription.changed", data, 0)


def seen(feature, day):
    return ("feature.viewed", {"feature": feature}, day)


def ends(days):
    return ("subscription.renewal_approaching", {"days": days, "contract_end_on": "2026-12-31"}, 0)


def asked(need):
    return ("demo.requested", {"need": need}, 0)


def is_now(**fields):
    """The company's data change: told by `customer.updated`."""
    return ("customer.updated", fields, 0)


STORIES = {
    "demo_requested": Story([seen("sso", 0)], [asked("SSO")], [], [asked("Audit log")]),
    "company_size": Story([is_now(employees=100)], [is_now(employees=101)], [is_now(employees=5000)], []),
    "usage_near_limit": Story([used(40_000)], [used(40_001)], [used(50_000)], [used(40_001, "2026-02-15")]),
    "target_domain": Story(
        [is_now(domain="supernova.example")], [is_now(domain="it.nova.example")], [is_now(domain="nova.example")],
        [is_now(domain="orbit.example")],
    ),
    "same_domain": Story(
        [is_now(domain="alone.example")], [is_now(domain="shared.example")], [is_now(employees=9)],
        [is_now(domain="shared-too.example")],
    ),
    "target_profile": Story(
        [is_now(industry="Robotics", employees=49)], [is_now(industry="robotics", employees=50)],
        [is_now(industry="robotics", employees=70)], [],
    ),
    "team_of_ten": Story(
        joined(1, 9), joined(10, 10), joined(11, 12),
        [*[("member.removed", {}, 40)] * 4, *joined(13, 14, day=41)],
    ),
    "team_growing": Story(joined(1, 4), joined(5, 5), joined(6, 9), []),
    "upgraded_in_app": Story([changed(100_00, 100_00), changed(100_00, 90_00)], [changed(90_00, 90_01)], [],
                             [changed(90_01, 95_00)]),
    "large_upgrade": Story([changed(800_00, 833_33)], [changed(833_33, 833_34)], [changed(833_34, 840_00)],
                           [changed(840_00, 800_00), changed(800_00, 900_00)]),
    "enterprise_features": Story(
        [seen("sso", 0), seen("sso", 8)], [seen("sso", 9)], [seen("sso", 10)], [seen("sso", 11)]
    ),
    "renewal_approaching": Story([seen("sso", 0)], [ends(90)], [ends(90)], [ends(60)]),
    "wants_annual": Story([seen(ANNUAL, 0)], [seen(ANNUAL, 29)], [seen(ANNUAL, 30)], [seen(ANNUAL, 31)]),
}  # fmt: skip
ONLY_MEASURED = {"engagement"}  # by a daily measure: tests/sales/test_engagement.py


def test_every_rule_has_its_story():
    assert set(Rule.objects.values_list("code", flat=True)) == set(STORIES) | ONLY_MEASURED


@pytest.fixture
def world(make_customer):
    """The lists that the stories are about, and a customer in them."""
    for domain in ("nova.example", "orbit.example"):
        TargetDomain.objects.create(domain=domain)
    TargetProfile.objects.create(name="Robots", industry="Robotics", min_employees=50)
    for domain in ("shared.example", "shared-too.example"):
        make_customer(email=f"old@{domain}")
    return make_customer(email="new@own.example")


@pytest.fixture
def tell(happen):
    def record(customer, facts, actor, jobs=True):
        for type, data, day in facts:
            at = customer.now + timedelta(days=day)
            if type == "customer.updated":
                customers.update(customer=customer, now=at, actor=actor, **data)
            else:
                happen(customer, type, data, at=at, actor=actor, jobs=False)
        if jobs:
            happen(customer, "quote.created", {}, jobs=True)

    return record


def heard(customer, rule):
    return Signal.objects.filter(customer=customer, rule__code=rule).count()


def outcome(customer):
    """Scores fade with time: whether weeks of facts make a task is asked only where all are of one day."""
    signals = Signal.objects.filter(customer=customer).order_by("dedupe_key")
    one_day = len({each.occurred_at for each in signals}) < 2
    tasks = HandoffTask.objects.filter(customer=customer).count() if one_day else None
    return [(s.dedupe_key, s.occurred_at, s.weight) for s in signals], tasks


@pytest.mark.parametrize("rule", STORIES)
def test_it_is_heard_at_its_threshold_once_and_again(world, tell, rule):
    story, counts = STORIES[rule], []
    for facts in (story.below, story.reached, story.more, story.again):
        tell(world, facts, story.actor)
        counts.append(heard(world, rule))
    assert counts == [0, 1, 1, 2 if story.again else 1]
    expected = outcome(world)
    repeat(world)
    assert outcome(world) == expected
    if rule in COMPANY:
        return
    forget(world)
    repeat(world)
    assert outcome(world) == expected
    swept(world)
    assert outcome(world) == expected


COMPANY = rules.COMPANY
"""What is known of a company is what it is when it is weighed: replaying its past is not meant to repeat it."""


def forget(customer):
    Signal.objects.filter(customer=customer).delete()
    HandoffTask.objects.filter(customer=customer).delete()
    WeighedEvent.objects.all().delete()


def repeat(customer: Customer) -> None:
    """Every fact three times, in a random order, to several workers who know of no other."""
    WeighedEvent.objects.all().delete()
    rows = Event.objects.filter(customer=customer, type__in=rules.TRIGGERS)
    numbers = [*rows.order_by("number").values_list("number", flat=True)] * 3
    random.Random(7).shuffle(numbers)
    for number in numbers:
        watching.weigh(numbers=[number], now=customer.now)


def swept(customer: Customer) -> None:
    """No job ever ran: the nightly sweep finds them."""
    forget(customer)
    watching.sweep(now=customer.now)
