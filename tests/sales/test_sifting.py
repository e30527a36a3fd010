"""No event that a rule would find something in is passed over: every condition is held against its rule."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from billing.events import record
from billing.models import Customer, Event
from sales import rules, sifting, watching
from sales.models import Rule, Signal, TargetDomain, TargetProfile, WeighedEvent
from tests.fixtures_billing import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sales_catalogue")]

DOMAINS = [
    "",
    "nova.example",
    "eu.Nova.example",
    "a.eu.nova.example",
    "xnova.example",
    "gmail.com",
    "solo.example",
]
INDUSTRIES = ["", "Logistics", " logistics ", "LOGISTICS", "Straße", "STRASSE", "Retail"]
ACTORS = ["member:mem_1", "buyer", "key:app", "user:1", "system", "provider"]
MRR = [None, 0, 5800, 83_332, 83_333, 83_334, 100_000, 1_000_000]


def something(rng):
    """An event's type, data and actor, near what rules look for."""
    before, after = rng.choice(MRR), rng.choice(MRR)
    terms = {"plan": "pro", "quantity": 3, "mrr_before": before, "mrr_after": after}
    if rng.random() < 0.3:
        terms |= {"arr_before": 0, "arr_after": rng.choice([999_999, 1_000_000])}
    period = {"start": "2026-01-15"}
    used = {"meter": "api", "name": "API", "used": rng.choice(["80", "81"]), "limit": "100", "period": period}
    views = {"feature": rng.choice(["sso", rules.ANNUAL_PRICES, "nothing"])}
    return rng.choice(
        [
            ("customer.updated", {}), ("demo.requested", {"need": "x"}), ("usage.threshold_reached", used),
            ("subscription.created", terms), ("subscription.changed", terms), ("feature.viewed", views),
            ("feature.viewed", views), ("subscription.renewal_approaching", {"days": 60, "on": "2026-03-01"}),
            *[("member.added", {"email": "a@x"})] * 6, ("member.removed", {}),
        ]
    )  # fmt: skip


def world(rng, make_customer):
    TargetDomain.objects.create(domain="nova.example")
    for name, industry, least, most in (
        ("a", "Logistics", None, None),
        ("b", "Straße", 10, 90),
        ("c", "", 101, None),
    ):
        TargetProfile.objects.create(name=name, industry=industry, min_employees=least, max_employees=most)
    for _ in range(14):
        row = make_customer(currency=rng.choice(["USD", "JPY", "KWD"]))
        Customer.objects.filter(pk=row.pk).update(
            domain=rng.choice(DOMAINS), industry=rng.choice(INDUSTRIES), employees=rng.choice([None, 9, 10, 100, 101])
        )  # fmt: skip
        for step in range(rng.randrange(0, 22)):
            type_, data = something(rng)
            with transaction.atomic():
                record(
                    type_, subject=row, customer=row, actor=rng.choice(ACTORS), now=NOON + timedelta(hours=step),
                    data=data,
                )  # fmt: skip


def found(sifted):
    """The signals with their words and moments; everything is undone."""
    with transaction.atomic():
        if not sifted:
            WeighedEvent.objects.all().delete()
        done = watching._weigh(watching._unweighed(), watching._settings(), NOON)
        assert done.errors == []
        signals = set(Signal.objects.values_list("dedupe_key", "occurred_at", "weight", "sentence"))
        transaction.set_rollback(True)
    return signals


@pytest.mark.parametrize("seed", range(6))
def test_it_passes_over_no_event_that_a_rule_hears(make_customer, seed):
    rng = random.Random(seed)
    world(rng, make_customer)
    if seed % 2:
        Rule.objects.filter(code="team_growing").update(threshold=rng.choice([1, Decimal("2.5")]))
        Rule.objects.filter(code="team_of_ten").update(threshold=2)
        Rule.objects.filter(code="same_domain").update(threshold=rng.choice([1, 3]))
        Rule.objects.filter(code="large_upgrade").update(threshold=Decimal("9999.99"))
    sifting.pass_over(settings=watching._settings(), now=NOON)
    passed = WeighedEvent.objects.count()
    assert 0 < passed < Event.objects.filter(type__in=watching.WEIGHED).count()
    assert found(sifted=True) == found(sifted=False) != set()


def test_of_what_is_counted_the_last_stands_for_those_before_it(make_customer):
    """Only while it waits: those after it that come later are looked at by themselves."""
    row = make_customer()

    def join(members):
        with transaction.atomic():
            return [
                record("member.added", subject=row, customer=row, actor="user:1", now=NOON + timedelta(hours=n)).number
                for n in members
            ]  # fmt: skip

    numbers = join(range(7))
    sifting.pass_over(settings=watching._settings(), now=NOON)
    assert [event.number for event in watching._unweighed()] == numbers[-1:]
    more = join(range(7, 12))
    signals = {each.rule.code: each for each in watching.weigh(numbers=numbers + more, now=NOON)}
    assert {code: each.occurred_at for code, each in signals.items()} == {
        "team_growing": NOON + timedelta(hours=4),
        "team_of_ten": NOON + timedelta(hours=9),
    }
    assert not watching._unweighed(type__in=watching.WEIGHED)


def test_it_has_a_condition_for_rules_only():
    assert set(sifting.CONDITIONS) <= set(rules.RULES)


def test_it_leaves_alarms_and_what_is_weighed_alone(make_customer):
    customer = make_customer()
    with transaction.atomic():
        for type_ in ("payment.unanswered", "plan.published"):
            record(type_, subject=customer, customer=customer, actor="system", now=NOON)
    sifting.pass_over(settings={}, now=NOON)
    assert set(WeighedEvent.objects.values_list("event__type", flat=True)) == {"customer.created"}
    sifting.pass_over(settings={}, now=NOON + timedelta(days=1))
    assert set(WeighedEvent.objects.values_list("at", flat=True)) == {NOON}


def test_it_looks_at_the_given_events_alone(make_customer):
    first, second = make_customer(), make_customer()
    [number] = Event.objects.filter(customer=first, type="customer.created").values_list("number", flat=True)
    sifting.pass_over(settings=watching._settings(), now=NOON, numbers=[number])
    assert [row.event_id for row in WeighedEvent.objects.all()] == [number]
    assert second.pk
