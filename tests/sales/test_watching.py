"""From real facts to signals: nothing missed, nothing twice, whatever the order."""

import random
from datetime import timedelta

import pytest
from django.db import transaction

from billing import customers, metering, subscribing
from billing.models import Event, Plan
from sales import gathering, rules, watching
from sales.models import HandoffTask, Rule, Signal, TargetDomain, TargetProfile, WeighedEvent
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")


def use(customer, calls, key="u-1"):
    one = {"id": key, "customer": customer.pk, "event_name": "api_call", "properties": {"value": calls}}
    return metering.record(events=[one], livemode=False, now=customer.now)


# -- Alarms


def test_a_payment_without_an_answer_is_work_for_a_person(on_pro, happen, run_jobs):
    customer = on_pro().customer
    fact = {"reference": "pay-1", "since": "2026-01-14T12:00:00+00:00"}
    event = happen(customer, "payment.unanswered", fact)
    watching.weigh(numbers=[event.number], now=NOON)
    assert watching.sweep(now=NOON) == 0
    task = HandoffTask.objects.get()
    assert (task.customer, task.reason) == (customer, "A payment has had no answer for a day")
    assert task.note.count("reference pay-1") == 1
    assert not Signal.objects.exists()


def test_an_alarm_whose_worker_died_is_swept_up(on_pro, happen):
    happen(on_pro().customer, "payment.unanswered", {"reference": "pay-1"}, jobs=False)
    watching.sweep(now=NOON)
    assert HandoffTask.objects.count() == 1


# -- Each rule, from the verb that causes it


def test_it_hears_usage_near_the_limit(on_pro, found, run_jobs):
    customer = on_pro().customer
    use(customer, 39_999)
    run_jobs()
    assert found(customer) == []
    use(customer, 1_201, "u-2")
    run_jobs()
    assert found(customer) == ["usage_near_limit"]
    signal = Signal.objects.get()
    assert signal.sentence.startswith("Used 41,200 of 50,000 API calls (82 %) in the period from")
    assert signal.weight == "high"
    assert signal.occurred_at == customer.now


def test_usage_that_stood_exactly_at_the_threshold_is_heard_when_it_goes_on(on_pro, found, run_jobs):
    customer = on_pro().customer
    use(customer, 40_000)
    run_jobs()
    assert not watching._passed(NOON)  # its counter stands still
    use(customer, 1, "u-2")
    run_jobs()
    assert found(customer) == []
    [signal] = watching.look_past_thresholds(now=NOON)
    assert signal.sentence.startswith("Used 40,001 of 50,000 API calls (80 %)")
    assert not watching._passed(NOON)  # it was told
    use(customer, 10_000, "u-3")
    run_jobs()
    assert found(customer) == ["usage_near_limit"]


def test_it_hears_a_limit_once_a_period_and_again_in_the_next(on_pro, found, run_jobs, advance):
    subscription = on_pro()
    customer = subscription.customer
    use(customer, 41_000)
    use(customer, 9_500, "u-2")
    run_jobs()
    assert found(customer) == ["usage_near_limit"]
    advance(customer.test_clock, days=32)
    customer.refresh_from_db()
    use(customer, 45_000, "u-3")
    run_jobs()
    assert found(customer) == ["usage_near_limit", "usage_near_limit"]


def test_it_hears_a_growing_team(on_pro, found, run_jobs, add_members):
    customer = on_pro().customer
    add_members(customer, 1, actor="buyer")
    add_members(customer, 4)
    run_jobs()
    assert found(customer) == []
    add_members(customer, 1)
    run_jobs()
    assert found(customer) == ["team_growing"]
    add_members(customer, 4)
    run_jobs()
    assert sorted(found(customer)) == ["team_growing", "team_of_ten"]


def test_it_hears_an_upgrade_in_the_app_but_not_one_by_staff(on_pro, found, run_jobs):
    subscription = on_pro(2)
    customer = subscription.customer
    change = {"subscription": subscription, "now": customer.now}
    subscribing.change(**change, quantity=3, actor="user:1")
    run_jobs()
    assert found(customer) == []
    subscribing.change(**change, quantity=4, actor="key:app")
    run_jobs()
    assert found(customer) == ["upgraded_in_app"]


def test_it_hears_a_large_upgrade_that_still_happens(on_pro, found, run_jobs):
    subscription = on_pro(2)
    customer = subscription.customer
    subscribing.change(subscription=subscription, now=customer.now, quantity=40, actor="key:app")
    run_jobs()
    assert sorted(found(customer)) == ["large_upgrade", "upgraded_in_app"]
    subscription.refresh_from_db()
    assert subscription.mrr == 40 * 29_00


def test_it_hears_views_of_what_the_plan_does_not_have(on_pro, found, happen):
    customer = on_pro().customer
    happen(customer, "feature.viewed", {"feature": "reports"})
    happen(customer, "feature.viewed", {"feature": "sso"})
    assert found(customer) == []
    happen(customer, "feature.viewed", {"feature": "audit_log"}, at=customer.now + timedelta(days=6))
    assert found(customer) == ["enterprise_features"]
    assert "Audit log, Single sign-on" in Signal.objects.get().sentence


def test_it_hears_who_looks_at_annual_prices(on_pro, found, happen):
    customer = on_pro().customer
    for _ in range(2):
        happen(customer, "feature.viewed", {"feature": rules.ANNUAL_PRICES})
    assert found(customer) == ["wants_annual"]


def test_it_hears_a_company_that_signs_up(make_customer, found, run_jobs):
    TargetDomain.objects.create(domain="nova.example")
    TargetProfile.objects.create(name="Movers", industry="Logistics", min_employees=50)
    fields = {"email": "ada@eu.nova.example", "employees": 150, "industry": "logistics"}
    first, second = make_customer(**fields), make_customer(**fields)
    run_jobs()
    known = ["company_size", "target_domain", "target_profile"]
    assert sorted(found(first)) == known
    assert sorted(found(second)) == sorted([*known, "same_domain"])


def test_it_does_not_take_free_mail_for_a_company(make_customer, found, run_jobs):
    customers_ = [make_customer(email=f"{n}@gmail.com", domain="gmail.com") for n in range(2)]
    run_jobs()
    assert [found(each) for each in customers_] == [[], []]


def test_it_hears_of_a_size_that_is_told_later(make_customer, found, run_jobs):
    customer = make_customer()
    customers.update(customer=customer, now=NOON, actor="key:app", employees=101)
    run_jobs()
    assert found(customer) == ["company_size"]


def test_it_hears_a_customer_who_asks_for_a_demo(make_customer, found, happen):
    customer = make_customer()
    happen(customer, "demo.requested", {"need": "SSO"})
    happen(customer, "demo.requested", {"need": "More"})
    assert found(customer) == ["demo_requested", "demo_requested"]


def test_it_leaves_a_switched_off_rule_alone_and_uses_its_settings(make_customer, found, run_jobs):
    Rule.objects.filter(code="company_size").update(threshold=10, weight="low")
    Rule.objects.filter(code="same_domain").update(enabled=False)
    customer, other = make_customer(employees=11), make_customer(employees=11, domain="customer1.example")
    run_jobs()
    assert (found(customer), found(other)) == (["company_size"], ["company_size"])
    assert Signal.objects.first().weight == "low"


# -- Nothing missed, nothing twice


def busy_life(customer, add_members, happen):
    """Events that several rules count, none weighed yet."""
    add_members(customer, 7)
    for day in (0, 3, 20, 21, 22):
        happen(
            customer, "feature.viewed", {"feature": "sso"}, at=customer.now + timedelta(days=day), jobs=False
        )
    happen(customer, "demo.requested", {}, jobs=False)
    use(customer, 41_000)


def outcome():
    signals = Signal.objects.order_by("dedupe_key")
    tasks = HandoffTask.objects.values_list("customer", "status", "reason")
    found = [(s.dedupe_key, s.sentence, s.occurred_at, s.task_id is None) for s in signals]
    return found, list(tasks)


def test_it_finds_the_same_in_any_order_and_however_often(on_pro, add_members, happen, run_jobs):
    customer = on_pro().customer
    busy_life(customer, add_members, happen)
    numbers = list(
        Event.objects.filter(type__in=rules.TRIGGERS).order_by("number").values_list("number", flat=True)
    )
    run_jobs()
    expected = outcome()
    assert len(expected[0]) == 5
    for seed in range(5):
        forget()
        shuffled = random.Random(seed).choices(numbers, k=len(numbers)) + numbers
        random.Random(seed).shuffle(shuffled)
        for number in shuffled:
            watching.weigh(numbers=[number], now=customer.now)
        assert outcome() == expected, f"seed {seed}"


def forget():
    Signal.objects.all().delete()
    HandoffTask.objects.all().delete()
    WeighedEvent.objects.all().delete()


def test_it_weighs_each_event_once(make_customer, run_jobs, monkeypatch):
    customer = make_customer(employees=500)
    run_jobs()
    number = Event.objects.get(type="customer.created", customer=customer).number
    monkeypatch.setattr(rules, "weigh", lambda *_: pytest.fail("weighed again"))
    assert watching.weigh(numbers=[number], now=NOON) == []


def test_it_sweeps_up_what_a_dead_worker_left(make_customer, found):
    from django_q.models import OrmQ

    customer = make_customer(employees=500)
    OrmQ.objects.all().delete()
    assert watching.sweep(now=NOON) == 1
    assert found(customer) == ["company_size"]
    assert watching.sweep(now=NOON) == 0


def test_it_enqueues_nothing_when_the_cause_is_rolled_back(make_customer):
    from django_q.models import OrmQ

    before = OrmQ.objects.count()
    with transaction.atomic():
        make_customer(employees=500)
        assert OrmQ.objects.count() == before + 1
        transaction.set_rollback(True)
    assert OrmQ.objects.count() == before


def test_it_goes_on_when_one_customer_cannot_be_weighed(make_customer, found, monkeypatch):
    bad, good = make_customer(employees=500), make_customer(employees=500)
    numbers = list(Event.objects.filter(type="customer.created").values_list("number", flat=True))
    gather = gathering.gather
    monkeypatch.setattr(
        gathering, "gather", lambda held, events: 1 / 0 if bad.pk in events else gather(held, events)
    )
    with pytest.raises(ExceptionGroup):
        watching.weigh(numbers=numbers, now=NOON)
    assert (found(bad), found(good)) == ([], ["company_size"])
    monkeypatch.undo()
    assert watching.sweep(now=NOON) == 1


def test_it_finds_customers_who_were_there_before_the_list(make_customer, found, run_jobs):
    customer = make_customer(email="a@sub.nova.example", employees=30, industry="Logistics")
    make_customer(email="a@supernova.example")
    run_jobs()
    TargetDomain.objects.create(domain="nova.example")
    TargetProfile.objects.create(name="Small movers", industry="Logistics", max_employees=30)
    assert watching.sweep(now=NOON) == 2
    assert sorted(found(customer)) == ["target_domain", "target_profile"]
    assert watching.sweep(now=NOON) == 0


def test_it_asks_as_many_questions_for_many_events_as_for_one(on_pro, add_members, run_jobs):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    customer = on_pro().customer
    run_jobs()
    add_members(customer, 4)
    numbers = list(Event.objects.filter(type="member.added").values_list("number", flat=True))
    asked = []
    for some in (numbers[:1], numbers[1:]):
        with CaptureQueriesContext(connection) as queries:
            watching.weigh(numbers=some, now=customer.now)
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 8


def test_it_asks_as_many_questions_for_many_customers_as_for_one(on_pro, add_members, happen, rita):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    asked = []
    for some in ([1], range(2, 6)):
        for n in some:
            customer = on_pro(email=f"ada@nova{n // 3}.example", employees=500).customer
            add_members(customer, 6)
            for _ in range(2):
                happen(customer, "feature.viewed", {"feature": "sso"}, jobs=False)
            happen(customer, "demo.requested", jobs=False)
        with CaptureQueriesContext(connection) as queries:
            assert watching.sweep(now=NOON) >= 4 * len(some)
        asked.append(len(queries))
    assert HandoffTask.objects.count() == 5
    assert asked[1] <= asked[0] <= 60


# -- Told from outside


def test_it_takes_a_finding_that_only_the_product_knows(make_customer, found):
    customer = make_customer()
    told = {"customer": customer, "rule": "engagement", "occurred_at": NOON, "now": NOON, "actor": "key:app"}
    signal = watching.report(**told, evidence={"score": 81}, sentence="Score 81 of 100.")
    assert watching.report(**told) == signal
    assert found(customer) == ["engagement"]
    assert Event.objects.get(type="signal.created").actor == "key:app"


def test_it_refuses_a_rule_it_does_not_have(make_customer):
    with pytest.raises(watching.UnknownRule):
        watching.report(customer=make_customer(), rule="x", occurred_at=NOON, now=NOON, actor="key:app")


def test_it_dismisses_a_signal_once(make_customer, run_jobs):
    from billing.moves import IllegalMove

    make_customer(employees=500)
    run_jobs()
    signal = Signal.objects.get()
    watching.dismiss(signal=signal, now=NOON, actor="user:1", reason="a school")
    with pytest.raises(IllegalMove):
        watching.dismiss(signal=signal, now=NOON, actor="user:1")
    assert Event.objects.get(type="signal.dismissed").data["reason"] == "a school"


def test_it_needs_a_plan_to_know_what_lies_above(make_customer, found, happen):
    Plan.objects.update(archived_at=NOON)
    customer = make_customer()
    for _ in range(2):
        happen(customer, "feature.viewed", {"feature": "sso"})
    assert found(customer) == []


def test_it_tells_the_hybrid_story_in_one_task(on_pro, add_members, run_jobs, rita):
    customer = on_pro(6).customer
    add_members(customer, 1, actor="buyer")
    use(customer, 41_200)
    run_jobs()
    add_members(customer, 5)
    run_jobs()
    task = HandoffTask.objects.get()
    assert task.reason == "Usage near limit, Team growing"
    assert (task.owner, task.signals.count(), task.score) == (rita, 2, 5)
