"""One open task for each customer: when, whose, until when, and what becomes of it."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing import collecting
from billing.models import Dispute, Event, Invoice, Mail, Payment, User
from billing.moves import IllegalMove
from checkout.models import RoutingRule
from sales import deals, handing_over, owning, watching
from sales.models import HandoffTask, Rule, SalesSettings, Signal, TargetDomain
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")
DAY = timedelta(days=1)
HOUR = DAY / 24


@pytest.fixture
def tell(make_customer):
    """tell(customer, "engagement", days=…) reports a finding so many days before noon."""

    def report(customer, rule="engagement", days=0, now=NOON):
        return watching.report(
            customer=customer,
            rule=rule,
            occurred_at=now - days * DAY,
            now=now,
            actor="key:app",
            key=f"{rule}-{days}",
        )

    return report


def signal(weight, days=0):
    return Signal(weight=weight, occurred_at=NOON - days * DAY)


# -- Scoring


@pytest.mark.parametrize(
    ("signals", "points"),
    [
        ([], "0.00"),
        ([signal("high")], "3.00"),
        ([signal("medium"), signal("low")], "3.00"),
        ([signal("high", 30)], "1.50"),
        ([signal("medium", 60)], "0.50"),
        ([signal("medium", 15)], "1.41"),
        ([signal("medium", -3)], "2.00"),
    ],
)
def test_it_halves_points_with_every_half_life(signals, points):
    assert handing_over.score(signals, NOON, SalesSettings()) == Decimal(points)


@pytest.mark.parametrize(
    ("signals", "enough"),
    [
        ([], False),
        ([signal("high", 300)], True),
        ([signal("medium"), signal("medium")], False),
        ([signal("medium"), signal("medium"), signal("low")], True),
        ([signal("medium"), signal("medium"), signal("low", 1)], False),
    ],
)
def test_it_qualifies_at_five_points_or_with_one_high_signal(signals, enough):
    assert handing_over.qualifies(signals, NOON, SalesSettings()) is enough


def test_it_follows_the_settings():
    strict = SalesSettings(high_qualifies=False, qualifies_at=Decimal(6), high_points=Decimal(6))
    assert not handing_over.qualifies([signal("medium")] * 2, NOON, strict)
    assert handing_over.qualifies([signal("high")], NOON, strict)


@pytest.mark.parametrize(
    ("days", "due"), [(1, date(2026, 1, 19)), (3, date(2026, 1, 21)), (0, date(2026, 1, 16))]
)
def test_it_counts_working_days(days, due):
    assert handing_over.working_day(date(2026, 1, 16), days) == due  # a Friday


# -- Raising


def test_it_raises_one_task_with_owner_due_day_reason_and_evidence(make_customer, tell, rita):
    customer = make_customer(name="Nova")
    tell(customer, "demo_requested")
    (task,) = HandoffTask.objects.all()
    assert (task.owner, task.owner_why) == (rita, "round robin by load")
    assert (task.due_on, task.reason, task.score) == (date(2026, 1, 16), "Demo requested", Decimal("3.00"))
    assert list(task.signals.all()) == list(Signal.objects.all())
    customer.refresh_from_db()
    assert customer.owner == rita
    assert Event.objects.get(type="handoff.raised").data["owner"] == f"user:{rita.pk}"


def test_it_tells_the_owner_by_mail_with_the_evidence(make_customer, tell, rita, run_jobs):
    tell(make_customer(name="Nova"), "demo_requested")
    run_jobs()
    handing_over.tell_owners(tasks=[HandoffTask.objects.get().pk])
    mail = Mail.objects.get(template="handoff_task")
    assert mail.recipient == rita.email
    assert mail.subject == "Nova is ready for a talk"
    assert f"/admin/sales/handofftask/{HandoffTask.objects.get().pk}/change/" in mail.text
    assert "somebody asks for a demo" in mail.text


def test_it_waits_until_signals_add_up(make_customer, tell, rita):
    customer = make_customer()
    tell(customer, "engagement")
    tell(customer, "team_growing")
    assert not HandoffTask.objects.exists()
    tell(customer, "company_size")
    task = HandoffTask.objects.get()
    assert task.score == Decimal("6.00")
    assert task.due_on == date(2026, 1, 20)
    assert task.signals.count() == 3


def test_it_lets_later_signals_join_the_open_task(make_customer, tell, rita, run_jobs):
    customer = make_customer()
    for rule in ("engagement", "team_growing", "company_size", "demo_requested"):
        tell(customer, rule)
    task = HandoffTask.objects.get()
    assert task.signals.count() == 4
    assert task.reason.startswith("Demo requested, ")
    assert task.due_on == date(2026, 1, 16)
    assert Event.objects.filter(type="handoff.raised").count() == 1
    run_jobs()
    assert Mail.objects.filter(template="handoff_task").count() == 1


def test_it_does_not_count_what_was_dismissed(make_customer, tell, rita):
    customer = make_customer()
    watching.dismiss(signal=tell(customer, "engagement"), now=NOON, actor="user:1")
    tell(customer, "team_growing")
    tell(customer, "company_size")
    assert not HandoffTask.objects.exists()


def test_it_raises_a_task_that_nobody_can_own_yet(make_customer, tell):
    tell(make_customer(), "demo_requested")
    assert HandoffTask.objects.get().owner is None


# -- Owners


def test_it_goes_round_by_load(make_customer, tell, staff):
    rita, sam = staff("rita"), staff("sam")
    staff("mia", "Sales managers")
    for _ in range(4):
        tell(make_customer(), "demo_requested")
    owners = list(HandoffTask.objects.order_by("raised_at", "id").values_list("owner", flat=True))
    assert sorted(owners) == sorted([rita.pk, sam.pk] * 2)
    for task in HandoffTask.objects.filter(owner=sam):
        handing_over.complete(task=task, outcome="lost", now=NOON, actor="user:1")
    tell(make_customer(), "demo_requested")
    assert HandoffTask.objects.order_by("-id")[0].owner == sam


def test_it_keeps_the_owner_that_the_customer_has(make_customer, tell, staff):
    staff("rita")
    sam = staff("sam", "Sales managers")
    customer = make_customer()
    customer.owner = sam
    customer.save()
    tell(customer, "demo_requested")
    assert HandoffTask.objects.get().owner_why == "owner of the customer"


def test_it_gives_a_company_to_whoever_has_it_already(make_customer, tell, staff):
    staff("rita")
    sam, eve = staff("sam", "Sales managers"), staff("eve", "Sales managers")
    first = make_customer(email="a@nova.example")
    first.owner = sam
    first.save()
    second = make_customer(email="b@nova.example")
    assert owning.choose(second) == (sam, "owner of nova.example")
    TargetDomain.objects.create(domain="nova.example", owner=eve)
    assert owning.choose(second)[0] == eve


def test_a_routing_rule_names_the_owner_before_it_is_anybodys_turn(
    make_customer, tell, staff, django_assert_num_queries
):
    rita, dora, gone = staff("rita"), staff("dora"), staff("gone")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    table = [
        ("who left", {"country": ["DE"]}, gone), ("by plan", {"plan": ["pro"]}, rita),
        ("nobody", {"country": ["DE"]}, None),
        ("Germany", {"country": ["de"], "employees": {"over": 50}}, dora),
    ]  # fmt: skip
    for position, (name, conditions, owner) in enumerate(table, 1000):
        RoutingRule.objects.create(
            position=position, name=name, conditions=conditions, outcome="owner", owner=owner
        )
    german = make_customer(country="DE", employees=60)
    small, irish = make_customer(country="DE", employees=9), make_customer(country="IE", employees=60)
    with django_assert_num_queries(4):
        chosen = owning.choose_all(dict.fromkeys((german, small, irish), NOON))
    assert chosen[german.pk] == (dora, "rule “Germany”")
    assert {chosen[each.pk][1] for each in (small, irish)} == {"round robin by load"}
    TargetDomain.objects.create(domain=german.domain, owner=rita)
    assert owning.choose(german) == (rita, f"owner of {german.domain}")


def test_it_does_not_give_work_to_somebody_who_left(make_customer, staff):
    rita = staff("rita")
    gone = staff("gone")
    gone.is_active = False
    gone.save()
    customer = make_customer()
    customer.owner = gone
    assert owning.choose(customer)[0] == rita


# -- Working on it


def test_it_is_accepted_by_whoever_takes_it(make_customer, tell, staff):
    staff("rita")
    customer = make_customer()
    tell(customer, "demo_requested")
    task, sam = HandoffTask.objects.get(), staff("sam")
    handing_over.accept(task=task, by=sam, now=NOON)
    task.refresh_from_db()
    customer.refresh_from_db()
    assert (task.status, task.owner, task.accepted_at) == ("accepted", sam, NOON)
    assert customer.owner == sam


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_it_ends_once(make_customer, tell, rita, outcome):
    tell(make_customer(), "demo_requested")
    task = HandoffTask.objects.get()
    handing_over.complete(task=task, outcome=outcome, now=NOON, actor="user:1", note="Budget")
    assert (task.status, task.note, task.closed_at) == (outcome, "Budget", NOON)
    assert Event.objects.filter(type=f"handoff.{outcome}").count() == 1
    with pytest.raises(IllegalMove):
        handing_over.complete(task=task, outcome="won", now=NOON, actor="user:1")


def test_it_loses_its_deal_with_it(make_customer, tell, rita):
    customer = make_customer()
    tell(customer, "demo_requested")
    task = HandoffTask.objects.get()
    deal = deals.open_deal(name="Nova", customer=customer, owner=rita, task=task, now=NOON)
    assert deal.source_signal == Signal.objects.get()
    handing_over.complete(task=task, outcome="lost", now=NOON, actor="user:1", note="Budget")
    deal.refresh_from_db()
    assert (deal.stage, deal.lost_reason, deal.closed_at) == ("lost", "Budget", NOON)


def test_it_raises_another_only_for_what_came_after(make_customer, tell, rita):
    customer = make_customer()
    tell(customer, "demo_requested")
    handing_over.give_back(task=HandoffTask.objects.get(), now=NOON, actor="user:1", note="too early")
    assert handing_over.consider(customer=customer, now=NOON) is None
    tell(customer, "engagement")
    assert not HandoffTask.objects.filter(status="open").exists()
    tell(customer, "demo_requested", days=1)
    assert HandoffTask.objects.get(status="open").signals.count() == 2


def test_it_takes_what_is_asked_by_hand_into_the_open_task(make_customer, tell, rita):
    customer = make_customer()
    tell(customer, "demo_requested")
    again = handing_over.raise_by_hand(
        customer=customer, reason="Asked for a quote", note="12 seats", now=NOON, actor="key:app"
    )
    assert again == HandoffTask.objects.get()
    assert again.reason == "Demo requested, Asked for a quote"
    tell(customer, "engagement")
    again.refresh_from_db()
    assert again.reason == "Asked for a quote, Demo requested, Engagement"
    assert again.note == "12 seats"


def test_it_lets_one_task_stand_however_it_is_tried(make_customer):
    from django.db import IntegrityError, transaction

    customer = make_customer()
    fields = {"customer": customer, "due_on": NOON.date(), "reason": "x"}
    HandoffTask.objects.create(**fields, status="won")
    HandoffTask.objects.create(**fields, status="accepted")
    with pytest.raises(IntegrityError), transaction.atomic():
        HandoffTask.objects.create(**fields, status="open")


def test_it_ships_every_rule_of_the_table(catalogue):
    from sales import catalogue as shipped

    assert Rule.objects.count() == 14
    Rule.objects.filter(code="engagement").update(threshold=50)
    shipped.ship(now=NOON)
    assert Rule.objects.get(code="engagement").threshold == 50
    assert list(Rule.objects.filter(weight="high").values_list("code", flat=True)) == [
        "demo_requested",
        "usage_near_limit",
        "target_domain",
        "large_upgrade",
    ]


# -- Bad moments, and what was put off


def test_it_holds_outreach_back_while_an_invoice_is_overdue(on_pro, tell, rita):
    customer = on_pro().customer  # its first invoice is open, due on the day
    for rule in ("engagement", "team_growing", "company_size"):
        tell(customer, rule, now=NOON + DAY)
    assert not HandoffTask.objects.exists()
    assert handing_over.trouble(customer, NOON) == ""
    assert "has been overdue since 15 January 2026" in handing_over.trouble(customer, NOON + DAY)
    invoice = Invoice.objects.get()
    collecting.record_transfer(
        invoice=invoice, amount=invoice.total, reference="x", paid_at=NOON, now=NOON, actor="user:1"
    )
    assert handing_over.reconsider(now=NOON) == 1
    assert handing_over.reconsider(now=NOON) == 0
    assert HandoffTask.objects.get().signals.count() == 3


def test_it_answers_who_asks_whatever_is_overdue(on_pro, tell, rita):
    customer = on_pro().customer
    tell(customer, "demo_requested", now=NOON + DAY)
    assert HandoffTask.objects.count() == 1


@pytest.fixture
def disputed():
    """disputed(subscription, **fields): a dispute of its invoice's payment."""

    def make(subscription, **fields):
        customer, invoice = subscription.customer, subscription.invoices.first()
        payment = Payment.objects.create(
            customer=customer, invoice=invoice, amount=100, currency="USD", key="p"
        )
        about = {
            "amount": 100,
            "currency": "USD",
            "fee_currency": "USD",
            "opened_at": NOON,
            "provider_id": "du_1",
        }
        return Dispute.objects.create(customer=customer, payment=payment, **{**about, **fields})

    return make


def test_it_holds_back_for_a_failed_payment_or_a_dispute_unless_switched_off(on_pro, tell, rita, disputed):
    subscription = on_pro()
    customer = subscription.customer
    type(subscription).objects.update(status="past_due")
    assert handing_over.trouble(customer, NOON) == "The last payment failed."
    type(subscription).objects.update(status="active")
    disputed(subscription, status="lost", closed_at=NOON - 14 * DAY + HOUR)
    assert handing_over.trouble(customer, NOON) == "A payment has been disputed since 15 January 2026."
    assert handing_over.trouble(customer, NOON + HOUR) == ""
    customer.disputes.update(status="needs_response", closed_at=None)
    assert handing_over.trouble(customer, NOON + HOUR)
    customer.disputes.update(status="won", closed_at=NOON)
    assert handing_over.trouble(customer, NOON) == ""
    customer.disputes.update(status="under_review", closed_at=None)
    tell(customer, "target_domain")
    assert not HandoffTask.objects.exists()
    SalesSettings.objects.update(hold_back=False)
    tell(customer, "company_size")
    assert HandoffTask.objects.count() == 1


def test_it_cools_down_after_a_no(make_customer, tell, rita):
    customer = make_customer()
    tell(customer, "target_domain")
    handing_over.give_back(task=HandoffTask.objects.get(), now=NOON, actor="user:1", why="content")
    tell(customer, "large_upgrade")
    assert not HandoffTask.objects.filter(status="open").exists()
    assert handing_over.consider(customer=customer, now=NOON + timedelta(days=13)) is None
    task = handing_over.consider(customer=customer, now=NOON + timedelta(days=15))
    assert task.reason == "Large upgrade"


@pytest.fixture
def open_task(make_customer, tell, rita):
    tell(make_customer(None), "company_size")
    customer = Signal.objects.get().customer
    return handing_over.raise_by_hand(customer=customer, reason="Call them", now=NOON, actor="user:1")


def test_a_task_may_sleep_until_a_high_signal_wakes_it(open_task, tell):
    handing_over.snooze(task=open_task, until=date(2026, 2, 2), now=NOON, actor="user:1")
    open_task.refresh_from_db()
    assert (open_task.snoozed_until, open_task.due_on) == (date(2026, 2, 2), date(2026, 2, 2))
    tell(open_task.customer, "engagement")
    open_task.refresh_from_db()
    assert open_task.snoozed_until == date(2026, 2, 2)
    tell(open_task.customer, "large_upgrade")
    open_task.refresh_from_db()
    assert (open_task.snoozed_until, open_task.due_on) == (None, date(2026, 1, 16))


@pytest.mark.parametrize("day", [date(2026, 1, 15), date(2025, 1, 1), date(2028, 1, 1)])
def test_it_comes_back_on_a_day_within_a_year(open_task, day):
    with pytest.raises(handing_over.InvalidDay):
        handing_over.snooze(task=open_task, until=day, now=NOON, actor="user:1")
    with pytest.raises(handing_over.InvalidDay):
        handing_over.put_off(task=open_task, until=day, now=NOON, actor="user:1")


def test_what_was_put_off_comes_back_once_on_its_day(open_task, rita):
    handing_over.put_off(
        task=open_task, until=date(2026, 3, 2), now=NOON, actor="user:1", note="Budget in March"
    )
    assert (open_task.status, open_task.closed_why) == ("nurture", "timing")
    assert handing_over.reconsider(now=NOON + timedelta(days=45)) == 0
    assert handing_over.reconsider(now=NOON + timedelta(days=46)) == 1
    assert handing_over.reconsider(now=NOON + timedelta(days=47)) == 0
    again = HandoffTask.objects.get(status="open")
    assert (again.reason, again.note, again.owner) == (
        "Put off: Call them, Company size",
        "Budget in March",
        rita,
    )


def test_it_refuses_a_reason_that_there_is_not(open_task):
    with pytest.raises(handing_over.UnknownReason):
        handing_over.complete(task=open_task, outcome="lost", now=NOON, actor="user:1", why="weather")
