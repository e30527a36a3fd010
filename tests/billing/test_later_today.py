"""A day on which something waits for a later hour: it has no other terms before."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing import ending, pausing, subscribing, timelines, trialing
from billing.models import CreditNote, Invoice, Plan, Price, Subscription
from billing.refusals import Refused

pytestmark = pytest.mark.django_db
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
MORNING, THREE, EVENING = (datetime(2024, 1, 15, hour, tzinfo=UTC) for hour in (9, 15, 20))
ACTOR = "user:1"


@pytest.fixture
def sold(make_clock, make_customer, subscribe, books) -> Any:
    """31.00 a month each, or 62.00, from 1 January, 12:00."""
    for code, amount in (("small", "31.00"), ("large", "62.00")):
        plan = Plan.objects.create(code=code, name=code, motion="self_serve", published=True)
        Price.objects.create(
            plan=plan, code="month", currency="USD", model="per_unit", interval="month", unit_amount=Decimal(amount)
        )  # fmt: skip

    def make(**terms: Any) -> Subscription:
        customer = make_customer(make_clock(now=START), currency="USD", timezone="UTC", tax_exempt=True)
        row = subscribe(customer, plan="small", quantity=1, payment_rule_override="any", **terms)
        return Subscription.objects.get(pk=row.pk)

    return make


def at(subscription: Subscription, hour: datetime = MORNING) -> dict[str, Any]:
    return {"subscription": subscription, "now": hour, "actor": ACTOR}


def grow_at_three(subscription: Subscription, hour: datetime = START) -> None:
    subscribing.change(**at(subscription, hour), plan=Plan.objects.get(code="large"), effective=THREE)


def pause_at_three(subscription: Subscription) -> None:
    pausing.pause(**at(subscription, START), effective=THREE)


def papers(subscription: Subscription) -> list[tuple[datetime, int]]:
    invoices = Invoice.objects.filter(subscription=subscription).values_list("issued_at", "total")
    notes = CreditNote.objects.filter(customer=subscription.customer).values_list("issued_at", "total")
    return sorted([*invoices, *((when, -total) for when, total in notes)])


GROWN, PAUSED = [(START, 3100), (THREE, 1700)], [(START, 3100), (THREE, -1700)]
GROW, PAUSE = (grow_at_three, "A change", GROWN), (pause_at_three, "A pause", PAUSED)


@pytest.mark.parametrize(
    ("waits", "act", "wish"),
    [
        (GROW, subscribing.change, {"quantity": 3}),
        (GROW, subscribing.change, {"quantity": 3, "effective": date(2024, 1, 15)}),
        (GROW, subscribing.change, {"quantity": 3, "effective": datetime(2024, 1, 15, 1, tzinfo=UTC)}),
        (GROW, pausing.pause, {}),
        (PAUSE, subscribing.change, {"quantity": 3}),
    ],
)
def test_nothing_else_begins_before_it(sold, advance, waits, act, wish) -> None:
    one, (schedule, what, expected) = sold(), waits
    schedule(one)
    advance(one.customer.test_clock, to=MORNING)
    with pytest.raises(subscribing.ChangeWaits) as refused:
        act(**at(one), **wish)
    assert (refused.value.field, refused.value.message) == (
        "effective", f"{what} waits for 15:00 today. Let it begin first, or remove it.",
    )  # fmt: skip
    advance(one.customer.test_clock, to=EVENING)
    assert papers(one) == expected


def test_what_waits_can_be_removed_to_make_room(sold, advance) -> None:
    one = sold()
    grow_at_three(one)
    advance(one.customer.test_clock, to=MORNING)
    [waits] = subscribing.pending_changes(one, MORNING)
    subscribing.remove_change(**at(one), phase=waits.row.pk)
    subscribing.change(**at(one), quantity=3)
    advance(one.customer.test_clock, to=EVENING)
    assert papers(one) == [(START, 3100), (MORNING, 3400)]


@pytest.mark.parametrize("waits", [lambda one: None, grow_at_three, pause_at_three])
@pytest.mark.parametrize("act", [subscribing.change, pausing.pause, ending.cancel])
def test_a_later_hour_of_today_is_refused(sold, advance, act, waits) -> None:
    """The day has begun, and has had its papers."""
    one = sold()
    waits(one)
    advance(one.customer.test_clock, to=MORNING)
    before = papers(one), [spec.start_on for spec in timelines.planned(one)]
    with pytest.raises(Refused) as refused:
        act(**at(one), effective=datetime(2024, 1, 15, 17, tzinfo=UTC))
    assert (refused.value.code, refused.value.field) == ("invalid_date", "effective")
    assert (papers(one), [spec.start_on for spec in timelines.planned(one)]) == before


def test_a_pause_at_once_takes_the_place_of_one_that_waits(sold, advance) -> None:
    one = sold()
    pause_at_three(one)
    advance(one.customer.test_clock, to=MORNING)
    pausing.pause(**at(one))
    advance(one.customer.test_clock, to=EVENING)
    assert papers(one) == [(START, 3100), (MORNING, -1700)]


@pytest.mark.parametrize("schedule", [grow_at_three, pause_at_three])
def test_who_cancels_now_pays_the_day_as_it_began(sold, advance, schedule) -> None:
    one = sold()
    schedule(one)
    advance(one.customer.test_clock, to=MORNING)
    done = ending.cancel(**at(one), effective="now")
    assert done.effective_on == date(2024, 1, 16)
    advance(one.customer.test_clock, to=EVENING)
    one.refresh_from_db()
    assert (papers(one), one.status) == ([(START, 3100), (MORNING, -1600)], "canceled")


def test_who_resumes_begins_with_what_waits(sold, advance) -> None:
    """The day belongs to the new terms either way."""
    one = sold()
    grow_at_three(one)
    advance(one.customer.test_clock, to=datetime(2024, 1, 10, 9, tzinfo=UTC))
    pausing.pause(**at(one, datetime(2024, 1, 10, 9, tzinfo=UTC)))
    advance(one.customer.test_clock, to=MORNING)
    one.refresh_from_db()
    shown = pausing.preview_resume(subscription=one, now=MORNING)
    done = pausing.resume(**at(one))
    assert (shown.total, done.total) == (3400, 3400)
    one.refresh_from_db()
    assert (one.status, one.mrr) == ("active", 6200)
    advance(one.customer.test_clock, to=EVENING)
    assert papers(one)[-1] == (MORNING, 3400)


def test_a_trial_does_not_end_before_it(sold, advance) -> None:
    one = sold(trial_days=30)
    grow_at_three(one)
    advance(one.customer.test_clock, to=MORNING)
    with pytest.raises(subscribing.ChangeWaits) as refused:
        trialing.change_end(**at(one), trial_end="now")
    assert refused.value.field == "trial_end"
    trialing.change_end(**at(one, EVENING), trial_end="now")
    assert papers(one) == [(EVENING, 6200)]
