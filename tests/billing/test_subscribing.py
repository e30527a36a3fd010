"""Starting, changing and ending subscriptions: what becomes of the phases, and what is refused."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from billing import ending, subscribing, timelines
from billing.models import Event, Invoice, Phase, Plan, Price, Subscription
from billing.refusals import Refused

pytestmark = pytest.mark.django_db


def phases(subscription):
    return [
        (p.plan.code, p.start_on, p.end_on, int(subscribing.seats(timelines.spec_of(p).items) or 0))
        for p in subscription.phases.prefetch_related("items__price").order_by("start_on", "created_at")
    ]


def test_it_starts_one_open_phase_and_bills_it(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock), quantity=3)
    assert phases(subscription) == [("pro", date(2026, 1, 15), None, 3)]
    assert subscription.status == "active"
    assert (subscription.mrr, subscription.arr) == (87_00, 1044_00)
    assert subscription.next_due_at.isoformat() == "2026-02-15T00:00:00+00:00"
    invoice = subscription.invoices.get()
    assert (invoice.subtotal, invoice.tax_total, invoice.total) == (87_00, 20_01, 107_01)
    assert invoice.number.endswith("000001")


def test_it_bills_nothing_during_a_trial_and_the_first_period_after_it(
    clock, make_customer, subscribe, advance, books
):
    subscription = subscribe(make_customer(clock), trial_days=14)
    assert subscription.status == "trialing"
    assert not subscription.invoices.exists()
    assert subscription.mrr == 0
    advance(clock, days=13)
    assert not subscription.invoices.exists()
    advance(clock, days=2)
    subscription.refresh_from_db()
    assert subscription.status == "active"
    assert subscription.invoices.get().total == 107_01
    assert subscription.invoices.get().period_start == date(2026, 1, 29)
    kinds = list(Event.objects.filter(object_id=subscription.pk).values_list("type", flat=True))
    kinds = [kind for kind in kinds if kind != "subscription.trial_ending"]
    assert kinds[:2] == ["subscription.created", "subscription.phase_started"]
    assert "subscription.trial_ended" in kinds


def test_it_bills_the_trial_day_not_before_its_exact_end(clock, make_customer, subscribe, advance):
    subscription = subscribe(make_customer(clock), trial_days=10)
    assert subscription.next_due_at == clock.now + timedelta(days=10)
    advance(clock, to=clock.now + timedelta(days=10, minutes=-10))
    assert not subscription.invoices.exists()
    advance(clock, minutes=20)
    assert subscription.invoices.count() == 1


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"plan": "enterprise"}, "plan_needs_quote", "plan"),
        ({"quantity": 0}, "invalid_quantity", "quantity"),
        ({"quantity": -1}, "invalid_quantity", "quantity"),
        ({"quantity": "2.5"}, "invalid_quantity", "quantity"),
        ({"quantity": "NaN"}, "invalid_quantity", "quantity"),
        ({"quantity": 10**10}, "invalid_quantity", "quantity"),
        ({"interval": "week"}, "unknown_price", "interval"),
        ({"quantities": {"nonsense": Decimal(1)}}, "unknown_price", "quantities"),
        ({"collection_method": "send_invoice"}, "collection_not_allowed", "collection_method"),
    ],
)
def test_it_refuses_by_name_and_writes_nothing(clock, make_customer, subscribe, options, code, field):
    customer = make_customer(clock)
    before = Event.objects.count()
    with pytest.raises(Refused) as refusal:
        subscribe(customer, **options)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert not Subscription.objects.exists()
    assert Event.objects.count() == before


def test_it_lets_a_manager_override_the_payment_rule_and_keeps_the_reason(clock, make_customer, subscribe):
    subscription = subscribe(
        make_customer(clock), collection_method="send_invoice", payment_rule_override="agreed with finance"
    )
    event = Event.objects.get(type="subscription.created", object_id=subscription.pk)
    assert event.data["payment_rule_override"] == "agreed with finance"


def test_it_makes_one_subscription_for_one_source(clock, make_customer, subscribe):
    customer = make_customer(clock)
    subscribe(customer, source="cs_1")
    with pytest.raises(IntegrityError), transaction.atomic():
        subscribe(customer, source="cs_1")


# -- Changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "lines", "total"),
    [
        ({"quantity": 5}, [("credit", -42_10), ("recurring", 70_16)], 34_52),
        ({"plan": "business"}, [("credit", -42_10), ("recurring", 114_68)], 89_28),
        ({"interval": "year"}, [("credit", -42_10), ("recurring", 870_00)], 1018_32),
    ],
)
def test_it_bills_an_upgrade_at_once_exactly_as_previewed(
    clock, make_customer, subscribe, advance, books, wishes, lines, total
):
    subscription = subscribe(make_customer(clock))
    advance(clock, days=16)
    if "plan" in wishes:
        wishes = {"plan": Plan.objects.get(code=wishes["plan"])}
    papers = Invoice.objects.count()
    shown = subscribing.preview(subscription=subscription, now=clock.now, **wishes)
    assert Invoice.objects.count() == papers
    done = subscribing.change(subscription=subscription, now=clock.now, actor="member:1", **wishes)
    assert [(line.kind, line.net) for line in done.lines] == lines
    assert [(a.kind, a.net, a.tax_amount) for a in shown.lines] == [
        (b.kind, b.net, b.tax_amount) for b in done.lines
    ]
    assert shown.total == done.total == done.invoice.total == total


def test_it_gives_an_immediate_downgrade_back_as_a_credit_note_to_the_balance(
    clock, make_customer, subscribe, advance, books
):
    customer = make_customer(clock)
    subscription = subscribe(customer, quantity=10)
    advance(clock, days=16)
    change = subscribing.change(subscription=subscription, now=clock.now, actor="member:1", quantity=2)
    customer.refresh_from_db()
    # 15 of 31 days: 290.00 gives back 140.32, 58.00 asks 28.06; 23 % tax on each.
    assert (change.total, change.credit_to_balance) == (-138_08, 138_08)
    assert customer.balance == 138_08
    note = customer.credit_notes.get()
    assert (note.subtotal, note.tax_total, note.total) == (112_26, 25_82, 138_08)
    advance(clock, days=20)
    renewal = subscription.invoices.order_by("-sequence").first()
    assert (renewal.total, renewal.amount_paid, renewal.status) == (71_34, 71_34, "paid")
    customer.refresh_from_db()
    assert customer.balance == 138_08 - 71_34


def test_it_waits_for_the_period_end_when_asked_and_changes_exactly_then(
    clock, make_customer, subscribe, advance, books
):
    subscription = subscribe(make_customer(clock), quantity=10)
    advance(clock, days=10)
    change = subscribing.change(
        subscription=subscription, now=clock.now, actor="member:1", quantity=4, effective="period_end"
    )
    assert change.effective_on == date(2026, 2, 15)
    assert change.invoice is None
    assert phases(subscription) == [
        ("pro", date(2026, 1, 15), date(2026, 2, 15), 10),
        ("pro", date(2026, 2, 15), None, 4),
    ]
    advance(clock, days=30)
    assert [i.subtotal for i in subscription.invoices.order_by("sequence")] == [290_00, 116_00]


def test_it_keeps_a_waiting_change_when_seats_change_now(clock, make_customer, subscribe, advance, books):
    subscription = subscribe(make_customer(clock), quantity=5)
    advance(clock, days=10)
    now = {"subscription": subscription, "now": clock.now, "actor": "member:1"}
    subscribing.change(**now, plan=Plan.objects.get(code="business"), effective="period_end")
    subscribing.change(**now, quantity=8)
    assert phases(subscription) == [
        ("pro", date(2026, 1, 15), date(2026, 1, 25), 5),
        ("pro", date(2026, 1, 25), date(2026, 2, 15), 8),
        ("business", date(2026, 2, 15), None, 8),  # it was asked for without a number of its own
    ]


def test_it_returns_to_the_same_money_when_a_change_is_undone_the_same_day(
    clock, make_customer, subscribe, advance, books
):
    customer = make_customer(clock)
    subscription = subscribe(customer)
    advance(clock, days=7)
    now = {"subscription": subscription, "now": clock.now, "actor": "member:1"}
    up = subscribing.change(**now, quantity=30)
    down = subscribing.change(**now, quantity=3)
    assert up.total == -down.total
    assert len(phases(subscription)) == 3  # one of them never lasted a day
    assert subscribing.preview(subscription=subscription, now=clock.now, quantity=3).lines == []


def test_it_refuses_overlapping_phases_in_the_database(clock, make_customer, subscribe):
    subscription = subscribe(make_customer(clock))
    first = subscription.phases.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Phase.objects.create(
            subscription=subscription, plan=first.plan, start_on=date(2026, 3, 1), anchor_on=date(2026, 3, 1),
            collection_method="send_invoice", motion="sales_led",
        )  # fmt: skip


# -- Ending ------------------------------------------------------------------------------------------------


def test_it_ends_at_the_period_end_and_can_be_kept(clock, make_customer, subscribe, advance, books):
    subscription = subscribe(make_customer(clock))
    advance(clock, days=3)
    ending.cancel(subscription=subscription, now=clock.now, actor="member:1", reason="too dear")
    subscription.refresh_from_db()
    assert (subscription.status, subscription.end_on) == ("active", date(2026, 2, 15))
    ending.undo_cancel(subscription=subscription, now=clock.now, actor="member:1")
    subscription.refresh_from_db()
    assert subscription.end_on is None
    ending.cancel(subscription=subscription, now=clock.now, actor="member:1")
    advance(clock, days=60)
    subscription.refresh_from_db()
    assert subscription.status == "canceled"
    assert subscription.invoices.count() == 1
    assert subscription.customer.credit_notes.count() == 0
    assert (subscription.mrr, subscription.next_due_at) == (0, None)


def test_it_ends_now_counts_the_day_as_used_and_gives_the_rest_back(clock, make_customer, subscribe, books):
    customer = make_customer(clock)
    subscription = subscribe(customer, quantity=10)
    result = ending.cancel(subscription=subscription, now=clock.now, actor="member:1", effective="now")
    # 30 of 31 days of 290.00 are given back: 280.65, and its tax 64.55
    assert result.total == -345_20
    customer.refresh_from_db()
    assert (customer.balance, customer.arr) == (345_20, 0)


def test_it_ends_now_without_giving_back_when_asked(clock, make_customer, subscribe, books):
    customer = make_customer(clock)
    subscription = subscribe(customer)
    ending.cancel(
        subscription=subscription, now=clock.now, actor="user:1", effective="now", credit_unused=False
    )
    customer.refresh_from_db()
    assert customer.balance == 0
    with pytest.raises(subscribing.NotLive):
        subscribing.change(subscription=subscription, now=clock.now, actor="user:1", quantity=9)


# -- Following on ---------------------------------------------------------------------------------------------


def following(subscription, start_on, quantity=50, **more):
    plan = Plan.objects.get(code="enterprise")
    items = subscribing.choose_items(plan, interval="year", currency="USD", quantity=quantity)
    return timelines.PhaseSpec(
        plan=plan, items=items, start_on=start_on, end_on=None, anchor_on=start_on, collection_method="send_invoice",
        motion="sales_led", net_days=30, **more,
    )  # fmt: skip


def test_it_converts_at_renewal_with_one_invoice_and_no_gap(clock, make_customer, subscribe, advance, books):
    customer = make_customer(clock)
    subscription = subscribe(customer)
    advance(clock, days=5)
    specs = timelines.specs_of(subscription)
    on = subscribing.effective_day(subscription, specs, "period_end", clock.now)
    for _ in range(2):
        subscribing.follow_on(
            subscription=subscription, phases=[following(subscription, on)], now=clock.now, actor="buyer",
            source="quote_1", contract=subscribing.Contract(24),
        )  # fmt: skip
    assert len(phases(subscription)) == 2
    assert subscription.invoices.count() == 1
    advance(clock, days=40)
    subscription.refresh_from_db()
    customer.refresh_from_db()
    first, second = subscription.invoices.order_by("sequence")
    assert (first.collection_method, first.motion, first.period_end) == (
        "charge_automatically",
        "self_serve",
        on,
    )
    assert (second.collection_method, second.motion, second.period_start) == ("send_invoice", "sales_led", on)
    assert second.subtotal == 50 * 990_00
    assert (second.due_on - second.issued_on).days == 30
    assert customer.collection_method == "send_invoice"
    assert subscription.contract_end_on == date(2028, 2, 15)
    assert subscription.motion == "self_serve"
    kinds = Event.objects.filter(object_id=subscription.pk).values_list("type", flat=True)
    assert list(kinds).count("subscription.converted_to_invoice") == 1


def test_it_keeps_an_old_price_when_only_the_seats_change(clock, make_customer, subscribe, advance, books):
    subscription = subscribe(make_customer(clock))
    old = Price.objects.get(plan__code="pro", code="seats-month")
    Price.objects.filter(pk=old.pk).update(active=False)
    Price.objects.create(
        plan=old.plan,
        code="seats-month",
        label="Pro seat",
        model="per_unit",
        interval="month",
        unit_amount=Decimal(49),
    )
    advance(clock, days=3)
    subscribing.change(subscription=subscription, now=clock.now, actor="member:1", quantity=4)
    subscription.refresh_from_db()
    assert subscription.mrr == 4 * 29_00


def test_it_bills_after_a_trial_what_was_chosen_in_it(clock, make_customer, subscribe, advance, books):
    subscription = subscribe(make_customer(clock), trial_days=14)
    advance(clock, days=5)
    change = subscribing.change(subscription=subscription, now=clock.now, actor="member:1", quantity=7)
    assert change.total == 0
    advance(clock, days=10)
    assert subscription.invoices.get().subtotal == 7 * 29_00
