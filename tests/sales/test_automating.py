"""Automations: checked when saved, tried on the past, run once, repeated where they stopped."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import outside
from billing.models import Mail
from sales import automating, conditions
from sales.models import Automation, AutomationRun, CustomerTag, HandoffTask, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")
TASK = {"kind": "task", "text": "Call {customer.name}: {event.data.rule}"}
HIGH = 'event.data.weight == "high"'


@pytest.fixture
def automate():
    """automate(*actions, trigger=…, condition=…) -> one that is switched on since an hour."""

    def make(*actions, trigger="signal.created", condition=HIGH, now=None, **fields):
        return automating.save(
            automation=Automation(), name="Mine", trigger=trigger, condition=condition, actions=actions or [TASK],
            now=now or timezone.now() - timedelta(hours=1), enabled=True, **fields,
        )  # fmt: skip

    return make


@pytest.fixture
def tell(happen):
    def record(customer, weight="high", rule="engagement", actor="system"):
        return happen(
            customer, "signal.created", {"rule": rule, "weight": weight, "sentence": "x"}, actor=actor
        )

    return record


def look(minutes=0):
    return automating.look(now=timezone.now() + timedelta(minutes=minutes))


def test_it_runs_once_for_each_event_that_meets_the_condition(automate, make_customer, tell, rita):
    automate()
    customer = make_customer(name="Nova")
    tell(customer, "medium")
    tell(customer)
    assert look() == 1
    assert look() == 0
    task = HandoffTask.objects.get()
    assert (task.reason, task.owner, task.raised_at) == ("Call Nova: engagement", rita, NOON)
    (run,) = AutomationRun.objects.all()
    assert (run.status, run.done, run.log[0]["words"]) == ("done", 1, "Task for Rita")


def test_it_leaves_the_past_alone_and_what_automations_did(automate, make_customer, tell):
    customer = make_customer()
    tell(customer)
    automate(now=timezone.now())
    tell(customer, actor="automation:auto_1")
    assert look() == 0


def test_it_does_all_kinds_of_things(automate, on_pro, tell, rita, monkeypatch):
    called = []
    monkeypatch.setattr(outside, "check", lambda url, field: url)
    monkeypatch.setattr(
        outside,
        "post",
        lambda url, **given: called.append((url, given["body"])) or outside.Answer(204, {}, b"", 1),
    )
    customer = on_pro().customer
    automate(
        {"kind": "owner", "text": rita.email}, {"kind": "tag", "text": "vip"}, {"kind": "quote"},
        {"kind": "mail", "text": "Hello {customer.name}", "body": "You are {customer.segment}.", "to": "customer"},
        {"kind": "post", "text": "https://chat.example/x", "body": "{customer.name} pays {customer.mrr}"},
    )  # fmt: skip
    tell(customer)
    look()
    run = AutomationRun.objects.get()
    assert (run.status, run.done) == ("done", 5), run.log
    customer.refresh_from_db()
    assert customer.owner == rita
    assert CustomerTag.objects.get().tag == "vip"
    assert Quote.objects.get().customer == customer
    assert Mail.objects.get(template="automation").text.startswith(f"Hello {customer.name}")
    assert called == [("https://chat.example/x", f'{{"text": "{customer.name} pays 174.00"}}'.encode())]


def test_money_of_an_event_is_compared_and_written_in_major_units(automate, make_customer, happen):
    big = {"kind": "tag", "text": "big"}
    automate(big, trigger="invoice.paid", condition="event.data.total > 500")
    thanks = {
        "kind": "mail",
        "text": "Paid",
        "body": "{event.data.total} {event.data.currency}",
        "to": "customer",
    }
    automate(thanks, trigger="invoice.paid", condition="event.data.total < 500")
    paid = {"number": "INV-1", "total": 14500, "currency": "USD", "motion": "self_serve"}
    happen(make_customer(), "invoice.paid", paid)
    assert look() == 1
    assert "145.00 USD" in Mail.objects.get(template="automation").text
    assert not CustomerTag.objects.exists()
    assert automating.examples("invoice.paid")["event.data.total"] == "145.00"


def test_it_goes_on_where_it_stopped_and_gives_up_in_the_end(automate, make_customer, tell, monkeypatch):
    monkeypatch.setattr(outside, "check", lambda url, field: url)
    monkeypatch.setattr(outside, "post", lambda *_, **__: outside.Answer(500, {}, b"", 1))
    automate({"kind": "tag", "text": "hot"}, {"kind": "webhook", "text": "https://x.example/"}, TASK)
    tell(make_customer())
    look()
    run = AutomationRun.objects.get()
    assert (run.status, run.done, run.attempts) == ("waiting", 1, 1)
    assert automating.work(now=timezone.now()) == 0
    for n in range(1, automating.MOST_TRIES):
        look(minutes=2**n * 3)
    run.refresh_from_db()
    assert (run.status, run.attempts, len(run.log)) == ("failed", 6, 7)
    assert run.log[-1]["words"] == "The address answered 500."
    monkeypatch.setattr(outside, "post", lambda *_, **__: outside.Answer(200, {}, b"", 1))
    automating.again(run=run, now=timezone.now())
    look()
    run.refresh_from_db()
    assert (run.status, run.done, CustomerTag.objects.count(), HandoffTask.objects.count()) == (
        "done",
        3,
        1,
        1,
    )


def test_it_waits_before_it_does_the_same_for_a_customer_again(automate, make_customer, tell):
    automate(pause_days=7)
    customer, other = make_customer(), make_customer()
    for each in (customer, customer, other):
        tell(each)
    look()
    assert AutomationRun.objects.count() == 2


def test_it_looks_at_every_customer_once_a_day(automate, make_customer, on_pro):
    make_customer()
    customer = on_pro(seats=3).customer
    automate({"kind": "tag", "text": "big"}, trigger=Automation.DAILY, condition="customer.mrr >= 87.0")
    assert automating.daily(now=NOON) == 1
    assert automating.daily(now=NOON) == 0
    assert CustomerTag.objects.get().customer == customer


def test_a_dry_run_says_what_it_would_do_and_does_nothing(automate, make_customer, tell):
    automation = automate()
    customer = make_customer(name="Nova")
    tell(customer, "medium")
    tell(customer)
    trials = automating.dry_run(automation=automation, now=NOON)
    assert [(t.holds, t.actions) for t in trials] == [
        (True, ("Raise a task: Call Nova: engagement",)),
        (False, ()),
    ]
    assert not HandoffTask.objects.exists()
    assert not AutomationRun.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"trigger": "moon.rose"}, "trigger"),
        ({"condition": "customer.x == 1"}, "condition"),
        ({"trigger": "schedule.daily", "condition": ""}, "condition"),
        ({"actions": []}, "actions.0.kind"),
        ({"actions": [{"kind": "dance"}]}, "actions.0.kind"),
        ({"actions": [TASK, {"kind": "task"}]}, "actions.1.text"),
        ({"actions": [{"kind": "tag", "text": "Very Important"}]}, "actions.0.text"),
        ({"actions": [{"kind": "owner", "text": "nobody@x.example"}]}, "actions.0.text"),
        ({"actions": [{"kind": "webhook", "text": "http://127.0.0.1/"}]}, "actions.0.text"),
        ({"actions": [{"kind": "mail", "text": "Hello"}]}, "actions.0.body"),
    ],
)
def test_it_refuses_by_field(fields, field):
    given = {"name": "Mine", "trigger": "invoice.paid", "condition": "", "actions": [TASK], "now": NOON}
    with pytest.raises(automating.Refused) as refusal:
        automating.save(automation=Automation(), **{**given, **fields})
    assert refusal.value.field == field


def test_the_ready_made_ones_are_there_and_off():
    shipped = Automation.objects.exclude(shipped_code=None)
    assert shipped.count() == 15
    assert not shipped.filter(enabled=True).exists()
    for each in shipped:
        assert conditions.check(each.condition) == each.condition
        assert automating.checked(each.actions) == each.actions


def test_what_nobody_foresaw_ends_and_holds_up_nobody(automate, make_customer, tell, monkeypatch):
    automate()
    broken, fine = make_customer(name="Broken"), make_customer(name="Fine")
    real = automating.INSIDE["task"]

    def task(run, *others):
        if run.customer == broken:
            raise KeyError("surprise")
        return real(run, *others)

    monkeypatch.setitem(automating.INSIDE, "task", task)
    tell(broken)
    tell(fine)
    for tries in range(automating.MOST_TRIES):
        look(minutes=90 * tries)
    states = dict(AutomationRun.objects.values_list("customer__name", "status"))
    assert states == {"Broken": "failed", "Fine": "done"}
    assert "surprise" not in str(AutomationRun.objects.get(customer=broken).log)


def test_it_does_not_go_in_circles_with_somebody_outside(automate, make_customer, tell, monkeypatch):
    monkeypatch.setattr(automating, "MOST_AN_HOUR", 3)
    automate({"kind": "tag", "text": "seen"})
    customer, other = make_customer(), make_customer()
    for _ in range(5):
        tell(customer, actor="key:crm")
    tell(other)
    look()
    assert AutomationRun.objects.filter(customer=customer).count() == 3
    assert AutomationRun.objects.filter(customer=other).count() == 1
