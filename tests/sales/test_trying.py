"""Rules set otherwise: the replay finds what the real weighing found, another setting finds more or less, and nothing
is written."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import metering
from sales import engagement, handing_over, rules, trying
from sales.models import EngagementScore, HandoffTask, Rule, Signal
from tests.fixtures_billing import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sales_catalogue")]
WRITES = re.compile(r"\b(insert into|update|delete from|truncate)\b", re.I)


def rule(code, **fields):
    row = Rule.objects.get(code=code)
    for name, value in fields.items():
        setattr(row, name, value)
    return row


def replayed(row, customer=None, now=NOON):
    past = trying.look_back(codes=[row.code], now=now, customer=customer)
    return trying.replay(past=past, rows=[row])[0]


def today(customer, row):
    return trying.today(standing=trying.stand(customer=customer, codes=[row.code], now=NOON), rule=row)


def added_up(customer, row):
    standing = trying.stand(customer=customer, codes=[row.code], now=NOON)
    return trying.add_up(standing=standing, stored=rule(row.code), tried=row)


@pytest.fixture
def nova(make_customer, happen):
    """Sixty people, six of them in the team; SSO looked at twice, a demo asked for."""
    customer = make_customer(name="Nova", email="ada@nova.example", employees=60)
    for n in range(6):
        happen(customer, "member.added", {"email": f"m{n}@nova.example"}, jobs=False)
    happen(customer, "customer.updated", {}, jobs=False)
    happen(customer, "demo.requested", {"need": "SSO"})
    return customer


def test_as_it_is_set_it_finds_what_was_raised(nova):
    for row in Rule.objects.all():
        raised = Signal.objects.filter(rule=row).values_list("dedupe_key", flat=True)
        assert replayed(row).keys == set(raised), row.code
    assert Signal.objects.count() == 2  # the demo, and five more people


def test_another_threshold_finds_more_or_less(nova):
    size = rule("company_size")
    assert replayed(size).found == ()
    size.threshold = Decimal(59)
    (found,) = replayed(size).found
    assert (found.customer, found.signal, found.task) == (nova, None, None)
    assert found.finding.sentence == "60 employees, more than 59."
    growing = rule("team_growing")
    as_set = replayed(growing)
    growing.threshold = Decimal(7)
    assert [each.finding.rule for each in as_set.without(replayed(growing))] == ["team_growing"]


def test_it_says_what_became_of_the_tasks(nova):
    demo, task = rule("demo_requested"), HandoffTask.objects.get()
    found = replayed(demo)
    assert (found.raised, found.tasks, found.ended, found.precision) == (1, {"open": 1}, 0, 0)
    handing_over.complete(task=task, outcome="won", now=NOON, actor="user:1")
    found = replayed(demo)
    assert (found.customers, found.ended, found.won, found.precision) == (1, 1, 1, 100)


def test_what_was_told_before_the_window_is_not_told_again(nova, clock, happen):
    size = rule("company_size", threshold=Decimal(50))
    late = NOON + trying.LOOKED_BACK + timedelta(days=1)
    type(clock).objects.filter(pk=clock.pk).update(now=late)
    nova.refresh_from_db()
    assert replayed(size, now=late).found == ()
    happen(nova, "customer.updated", {"industry": "x"}, at=late, jobs=False)
    assert len(replayed(size, now=late).found) == 1
    Signal.objects.create(
        customer=nova, rule=size, weight="high", sentence="x", occurred_at=NOON, dedupe_key=f"company_size:{nova.pk}"
    )  # fmt: skip
    assert replayed(size, now=late).found == ()


def test_one_customer_is_judged_alone_and_by_the_present(nova, make_customer, happen):
    other = make_customer(name="Other", employees=500)
    happen(other, "customer.updated", {}, jobs=False)
    assert [each.customer for each in replayed(rule("company_size")).found] == [other]
    assert replayed(rule("company_size"), nova).found == ()
    now = today(nova, rule("company_size"))
    assert (now.fires, now.known) == (False, "60 employees.")
    assert today(nova, rule("company_size", threshold=Decimal(10))).fires
    told = today(nova, rule("demo_requested"))
    assert (told.fires, len(told.found)) == (False, 1)
    assert today(nova, rule("wants_annual")).known.startswith("Nothing")


def test_usage_is_judged_as_it_stands(on_pro):
    customer = on_pro().customer
    event = {"id": "u-1", "customer": customer.pk, "event_name": "api_call", "properties": {"value": 30_000}}
    metering.record(events=[event], livemode=False, now=customer.now)
    near = rule("usage_near_limit", threshold=Decimal(50))
    now = today(customer, near)
    assert now.fires
    assert "30,000 of 50,000" in now.found[0].finding.sentence
    near.threshold = Decimal(60)
    assert today(customer, near).known == "API calls: 30,000 of 50,000."


def test_engagement_is_replayed_by_its_days(nova):
    for n, score in enumerate([50, 72, 71, 60, 75, 40]):
        EngagementScore.objects.create(
            customer=nova, day=(NOON - timedelta(days=20 - n)).date(), score=score, parts=[]
        )
    row = rule(engagement.CODE)
    assert len(replayed(row).found) == 1  # the second rise lies within the window
    row.window_days = 2
    assert len(replayed(row).found) == 2
    assert today(nova, row).found == ()
    row.threshold = Decimal(40)
    assert today(nova, row).fires


def test_it_says_what_the_score_would_be(nova):
    was, would = added_up(nova, rule("demo_requested", weight="low"))
    assert (was.score, was.qualifies) == (Decimal("5.00"), True)
    assert (would.score, would.qualifies) == (Decimal("3.00"), False)
    more = rule("company_size", threshold=Decimal(10), weight="high")
    assert added_up(nova, more)[1].score == Decimal("8.00")


def test_a_rule_that_would_no_longer_fire_gives_its_points_back(nova):
    fewer = rule("team_growing", threshold=Decimal(50))
    assert added_up(nova, fewer)[1].score == Decimal("3.00")


def test_nothing_is_written_and_everybody_costs_a_fixed_number_of_statements(nova, make_customer, happen):
    def counted():
        rows = list(Rule.objects.all())
        with CaptureQueriesContext(connection) as seen:
            past = trying.look_back(codes=list(rules.RULES), now=NOON)
            standing = trying.stand(customer=nova, codes=list(rules.RULES), now=NOON)
            for row in rows:
                row.threshold = Decimal(1) if row.threshold else None
                trying.today(standing=standing, rule=row)
            trying.replay(past=past, rows=rows)
        assert not [each["sql"] for each in seen if WRITES.search(each["sql"])]
        return len(seen)

    before = {model: model._default_manager.count() for model in apps.get_models()}
    few = counted()
    assert {model: model._default_manager.count() for model in apps.get_models()} == before
    for n in range(3):
        happen(make_customer(email=f"a{n}@x{n}.example", employees=9), "customer.updated", {}, jobs=False)
    assert counted() == few


def test_of_too_much_the_newest_is_told(nova, monkeypatch):
    monkeypatch.setattr(trying, "MOST_EVENTS", 2)
    past = trying.look_back(codes=["team_growing", "demo_requested"], now=NOON)
    assert (past.cut, len(past.facts)) == (True, 2)
