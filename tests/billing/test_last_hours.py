"""The day on which a trial ends, before its hour: the trial still runs, and nothing of the first paid day is owed yet."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing import ending, subscribing, trialing
from billing.models import CreditNote, Event, Invoice, Plan, Price, Subscription

pytestmark = pytest.mark.django_db
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
MORNING, NOON = datetime(2024, 1, 15, 9, tzinfo=UTC), datetime(2024, 1, 15, 12, tzinfo=UTC)
ACTOR = "user:1"


@pytest.fixture
def trial(make_clock, make_customer, subscribe, advance, books):
    """31.00 a month each, after fourteen days from 1 January, 12:00; it is the morning of the fifteenth."""
    for code, amount in (("small", "31.00"), ("large", "62.00")):
        plan = Plan.objects.create(code=code, name=code, motion="self_serve", published=True)
        common: dict[str, Any] = {"plan": plan, "currency": "USD", "model": "per_unit"}
        for interval, times in (("month", 1), ("year", 10)):
            Price.objects.create(
                **common, interval=interval, code=interval, unit_amount=Decimal(amount) * times
            )
    clock = make_clock(now=START)
    customer = make_customer(clock, currency="USD", timezone="UTC", tax_exempt=True)
    row = subscribe(customer, plan="small", quantity=1, trial_days=14, payment_rule_override="any")
    advance(clock, to=MORNING)
    return Subscription.objects.get(pk=row.pk)


def papers(row: Subscription) -> list[tuple[datetime, int]]:
    assert not CreditNote.objects.filter(customer=row.customer).exists()
    return [
        (each.issued_at, each.total) for each in Invoice.objects.filter(subscription=row).order_by("number")
    ]


def told(row: Subscription, type_: str) -> int:
    return Event.objects.filter(object_id=row.pk, type=type_).count()


CHANGES: list[tuple[dict[str, Any], int]] = [
    ({"quantity": 3}, 9300),
    ({"plan": "large"}, 6200),
    ({"interval": "year"}, 31000),
    ({"anchor": "2024-01-22"}, 700),
    ({"plan": "large", "proration": "none"}, 6200),
    ({"effective": date(2024, 1, 15), "quantity": 2}, 6200),
]


@pytest.mark.parametrize(("wish", "due"), CHANGES)
def test_a_change_waits_for_the_hour_and_is_billed_then(trial, advance, wish, due) -> None:
    if "plan" in wish:
        wish = wish | {"plan": Plan.objects.get(code=wish["plan"])}
    shown = subscribing.preview(subscription=trial, now=MORNING, with_next=True, **wish)
    done = subscribing.change(subscription=trial, now=MORNING, actor=ACTOR, with_next=True, **wish)
    for answer in (shown, done):
        assert (answer.due_now, list(answer.lines)) == (0, [])
        assert (answer.next.on, answer.next.result.total) == (date(2024, 1, 15), due)
    trial.refresh_from_db()
    assert (papers(trial), trial.status, trial.next_due_at) == ([], "trialing", NOON)
    advance(trial.customer.test_clock, to=NOON)
    trial.refresh_from_db()
    assert (papers(trial), trial.status) == ([(NOON, due)], "active")
    assert (told(trial, "subscription.trial_ended"), told(trial, "subscription.activated")) == (1, 1)


def test_two_changes_both_hold(trial, advance) -> None:
    for wish in ({"plan": Plan.objects.get(code="large")}, {"quantity": 2}):
        subscribing.change(subscription=trial, now=MORNING, actor=ACTOR, **wish)
    advance(trial.customer.test_clock, to=NOON)
    assert papers(trial) == [(NOON, 12400)]


def test_what_waits_for_the_hour_can_be_removed(trial, advance) -> None:
    done = subscribing.change(subscription=trial, now=MORNING, actor=ACTOR, quantity=3)
    assert [spec.row.pk for spec in subscribing.pending_changes(trial, MORNING)] == [done.phase]
    subscribing.remove_change(subscription=trial, phase=done.phase, now=MORNING, actor=ACTOR)
    advance(trial.customer.test_clock, to=NOON)
    assert papers(trial) == [(NOON, 3100)]


@pytest.mark.parametrize("effective", ["now", "period_end"])
def test_who_cancels_owes_nothing(trial, advance, effective) -> None:
    shown = ending.cancel(subscription=trial, now=MORNING, actor=ACTOR, effective=effective)
    assert (shown.effective_on, list(shown.lines)) == (date(2024, 1, 15), [])
    advance(trial.customer.test_clock, days=40)
    trial.refresh_from_db()
    assert (papers(trial), trial.status) == ([], "canceled")


def test_who_takes_a_cancellation_back_is_billed_at_the_hour(trial, advance) -> None:
    ending.cancel(subscription=trial, now=MORNING, actor=ACTOR, effective="period_end")
    ending.undo_cancel(subscription=trial, now=MORNING, actor=ACTOR)
    assert papers(trial) == []
    advance(trial.customer.test_clock, to=NOON)
    trial.refresh_from_db()
    assert (papers(trial), trial.status) == ([(NOON, 3100)], "active")


def test_it_may_still_end_now_or_later_after_a_change(trial, advance) -> None:
    subscribing.change(subscription=trial, now=MORNING, actor=ACTOR, quantity=2)
    trialing.change_end(subscription=trial, trial_end=date(2024, 1, 20), now=MORNING, actor=ACTOR)
    assert papers(trial) == []
    trialing.change_end(subscription=trial, trial_end="now", now=MORNING, actor=ACTOR)
    trial.refresh_from_db()
    assert (papers(trial), trial.status) == ([(MORNING, 6200)], "active")
