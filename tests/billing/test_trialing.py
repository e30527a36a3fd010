"""The end of a running trial, moved: what comes of it is what it would have come to from the start."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import (
    books,
    discounting,
    ending,
    falling_due,
    metering,
    notices,
    pausing,
    running,
    subscribing,
    timelines,
    trialing,
)
from billing.models import (
    CreditNoteLine,
    Discount,
    Event,
    Invoice,
    InvoiceLine,
    Meter,
    Plan,
    Price,
    Subscription,
)
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
ACTOR = "user:1"


def at(day: str, hour: int = 12) -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00+00:00")


@pytest.fixture
def plans(catalogue) -> None:
    meter = Meter.objects.create(
        code="calls", name="Calls", event_name="calls", aggregation="sum", property="value"
    )
    for code, seat in (("small", "31.00"), ("large", "62.00")):
        plan = Plan.objects.create(code=code, name=code, motion="self_serve", published=True)
        for interval, times in (("month", 1), ("year", 10)):
            Price.objects.create(
                plan=plan, currency="USD", interval=interval, code=f"{code}-{interval}", model="per_unit",
                unit_amount=Decimal(seat) * times,
            )  # fmt: skip
        Price.objects.create(
            plan=plan, currency="USD", interval="month", code=f"{code}-calls", kind="usage", billed="arrears",
            model="per_unit", unit_amount="0.10", meter=meter, included_in_trial=5,
        )  # fmt: skip


class Trial:
    """One subscription on a clock of its own, in a trial from 1 January 2024, 12:00."""

    def __init__(self, make_clock, make_customer, end: str, zone: str = "UTC", **terms: Any) -> None:
        self.clock = make_clock(now=START)
        customer = make_customer(self.clock, currency="USD", timezone=zone, tax_exempt=True)
        terms = {"plan": Plan.objects.get(code="small"), "interval": "month", "quantity": 1} | terms
        self.row = subscribing.subscribe(
            customer=customer, now=START, actor=ACTOR, origin="api", trial_end=at(end), payment_rule_override="any",
            **terms,
        )  # fmt: skip
        subscribing.bill_now(subscription=self.row, now=START, actor=ACTOR)
        self.row.refresh_from_db()

    def to(self, day: str, hour: int = 12) -> None:
        running.advance(clock=self.clock, to=at(day, hour), actor=ACTOR)
        self.row = Subscription.objects.get(pk=self.row.pk)

    def end(self, when: Any) -> subscribing.Change:
        """Previewed and done, which say the same."""
        shown = trialing.preview_end(
            subscription=self.row, trial_end=when, now=self.clock.now, with_next=True
        )
        done = trialing.change_end(
            subscription=self.row, trial_end=when, now=self.clock.now, actor=ACTOR, with_next=True
        )
        assert told(shown) == told(done)
        self.row = Subscription.objects.get(pk=self.row.pk)
        return done

    def change(self, **wished: Any) -> subscribing.Change:
        return subscribing.change(subscription=self.row, now=self.clock.now, actor=ACTOR, **wished)

    @property
    def papers(self) -> list[tuple[date, int]]:
        """(day, total) of every invoice."""
        rows = Invoice.objects.filter(subscription=self.row).order_by("number")
        return [(row.issued_at.date(), row.total) for row in rows]

    @property
    def lines(self) -> list[tuple[Any, ...]]:
        columns = ("price__code", "period_start", "period_end", "gross", "net")
        assert not CreditNoteLine.objects.filter(subscription=self.row).exists()
        rows = InvoiceLine.objects.filter(subscription=self.row).order_by("invoice__number", "pk")
        return list(rows.values_list(*columns))

    @property
    def phases(self) -> list[tuple[Any, ...]]:
        return [
            (s.start_on, s.end_on, s.anchor_on, s.free, s.plan.code, str(s.discount), s.items)
            for s in timelines.planned(self.row)
            if not s.empty
        ]


def told(change: subscribing.Change) -> tuple[Any, ...]:
    following = change.next and (change.next.on, change.next.result.total)
    lines = [(line.description, line.net, line.period_start, line.period_end) for line in change.lines]
    return change.effective_on, change.total, change.due_now, lines, following


@pytest.fixture
def trial(plans, make_clock, make_customer):
    def make(end: str = "2024-01-15", **terms: Any) -> Trial:
        return Trial(make_clock, make_customer, end, **terms)

    return make


def discounts(*named: str) -> Any:
    said: dict[str, dict[str, Any]] = {
        "half once": {"percent_off": 50, "duration": "once"},
        "fifth twice": {"percent_off": 20, "duration": "repeating", "periods": 2},
        "tenth": {"percent_off": 10},
    }
    return discounting.together(
        [Discount.objects.get_or_create(code=name, defaults=said[name])[0] for name in named]
    )


FROM_THE_START: list[dict[str, Any]] = [
    {},
    {"interval": "year"},
    {"anchor": "calendar"},
    {"anchor": 15},
    {"anchor": 31},
    {"anchor": "2024-02-10"},
    {"discount": ("half once",)},
    {"discount": ("fifth twice", "half once", "tenth")},
    {"discount": ("fifth twice",), "anchor": 15},
    {"contract_months": 12},
    {"contract_months": 12, "auto_renew": False},
]


@pytest.mark.parametrize("new", ["2024-01-10", "2024-01-16", "2024-02-20"])
@pytest.mark.parametrize("terms", FROM_THE_START, ids=str)
def test_it_is_as_if_the_trial_had_that_end_from_the_start(trial, terms, new) -> None:
    given = dict(terms)
    if "discount" in given:
        given["discount"] = discounts(*given["discount"])
    moved, straight = trial(**given), trial(new, **given)
    moved.to("2024-01-05")
    moved.end(at(new))
    assert moved.phases == straight.phases
    for one in (moved, straight):
        one.to("2024-05-20")
    assert moved.papers == straight.papers != []
    assert moved.lines == straight.lines
    assert [f"{b.id} {b.found}" for b in books.check()] == []


# -- Ended now ------------------------------------------------------------------------------------------------

NOW: list[tuple[str, dict[str, Any], dict[str, Any] | None, list[int]]] = [
    # (day on which it ends, terms at the start, what is changed on 3 January, cents of the lines)
    ("2024-01-05", {}, None, [3100]),
    ("2024-01-05", {"quantity": 3}, None, [9300]),
    ("2024-01-05", {"anchor": "calendar"}, None, [2700]),  # 27 of 31 days
    ("2024-01-05", {"anchor": 15}, None, [1000]),  # 10 of 31 days, up to the 15th
    ("2024-01-05", {"interval": "year"}, None, [31000]),
    ("2024-01-05", {}, {"anchor": 15}, [1000]),
    ("2024-01-05", {}, {"plan": "large"}, [6200]),
    ("2024-01-05", {}, {"interval": "year"}, [31000]),
    ("2024-01-01", {}, None, [3100]),
]


@pytest.mark.parametrize(("day", "terms", "wish", "cents"), NOW)
def test_it_ends_now_and_bills_the_first_period(trial, day, terms, wish, cents) -> None:
    one = trial(**terms)
    if wish:
        one.to("2024-01-03")
        if "plan" in wish:
            wish = wish | {"plan": Plan.objects.get(code=wish["plan"])}
        one.change(**wish)
    one.to(day)
    done = one.end("now")
    assert [line.net for line in done.lines] == cents
    assert (done.due_now, done.invoice.total) == (sum(cents), sum(cents))
    assert (one.row.status, one.row.trial_end_at) == ("active", one.clock.now)
    assert one.row.mrr > 0
    assert one.row.current_period_start <= date.fromisoformat(day)
    one.to("2024-01-14")
    assert one.papers == [(date.fromisoformat(day), sum(cents))]
    assert [f"{b.id} {b.found}" for b in books.check()] == []
    kinds = list(Event.objects.filter(object_id=one.row.pk).order_by("number").values_list("type", flat=True))
    assert kinds.count("subscription.trial_ended") == kinds.count("subscription.activated") == 1


def test_it_asks_for_what_was_used_beyond_what_the_trial_includes(trial) -> None:
    one = trial()
    one.to("2024-01-04")
    event = {
        "id": "1", "customer": one.row.customer_id, "event_name": "calls", "properties": {"value": 25},
    }  # fmt: skip
    assert metering.record(events=[event], livemode=False, now=one.clock.now).accepted
    one.to("2024-01-05")
    assert sorted(line.net for line in one.end("now").lines) == [200, 3100]
    one.to("2024-02-06")
    assert [total for _, total in one.papers] == [3300, 3100]


# -- What waits -----------------------------------------------------------------------------------------------


def test_a_change_that_waits_for_the_first_paid_day_moves_with_it(trial) -> None:
    one, large = trial(), Plan.objects.get(code="large")
    one.to("2024-01-03")
    one.change(plan=large, effective="period_end")
    one.end(at("2024-01-20"))
    [waiting] = subscribing.pending_changes(one.row, one.clock.now)
    assert waiting.start_on == date(2024, 1, 20)
    one.to("2024-01-21")
    assert one.papers == [(date(2024, 1, 20), 6200)]


@pytest.mark.parametrize(
    ("end", "papers"),
    [
        # 31.00 for a month from the 5th; from the 10th on 26 of its 31 days cost 31.00 a month more
        ("2024-01-05", [("2024-01-05", 3100), ("2024-01-10", 2600), ("2024-02-05", 6200)]),
        ("2024-01-10", [("2024-01-10", 6200)]),
        ("2024-01-12", [("2024-01-12", 6200)]),
        ("2024-01-31", [("2024-01-31", 6200)]),
    ],
)
def test_a_change_that_waits_for_another_day_keeps_it(trial, end, papers) -> None:
    one, large = trial(), Plan.objects.get(code="large")
    one.to("2024-01-03")
    one.change(plan=large, effective=date(2024, 1, 10))
    one.end(date.fromisoformat(end))
    one.to("2024-02-06")
    assert one.papers == [(date.fromisoformat(day), cents) for day, cents in papers]
    assert [f"{b.id} {b.found}" for b in books.check()] == []


def test_a_change_behind_the_old_end_is_free_in_a_longer_trial(trial) -> None:
    one, large = trial(), Plan.objects.get(code="large")
    one.change(plan=large, effective=date(2024, 1, 25))
    one.end(date(2024, 2, 1))
    one.to("2024-02-02")
    assert one.papers == [(date(2024, 2, 1), 6200)]


def test_two_changes_do_not_meet_on_one_day(trial) -> None:
    one, large = trial(), Plan.objects.get(code="large")
    one.change(plan=large, effective=date(2024, 1, 20))
    one.change(quantity=5, effective="period_end")
    with pytest.raises(subscribing.ChangeWaits):
        one.end(date(2024, 1, 20))


def test_a_discount_of_a_change_in_the_cut_off_trial_counts_from_its_own_day(trial) -> None:
    one = trial()
    one.change(discount=discounts("half once"), effective=date(2024, 1, 10))
    one.end(date(2024, 1, 5))
    one.to("2024-03-06")
    # the month from the 5th, half of its 26 days from the 10th; the month that runs then counts as one
    assert [total for _, total in one.papers] == [3100, 3100, 3100]
    assert sum(note.total for note in one.row.customer.credit_notes.all()) == 1300


def test_it_can_be_moved_more_than_once(trial) -> None:
    one, straight = (
        trial(discount=discounts("fifth twice"), anchor=15),
        trial("2024-01-12", discount=discounts("fifth twice"), anchor=15),
    )
    for day in ("2024-03-01", "2024-01-09", "2024-01-31"):
        one.end(date.fromisoformat(day))
    one.end(at("2024-01-12"))
    assert one.phases == straight.phases


def test_it_is_made_longer_on_its_last_morning(trial) -> None:
    one = trial()
    one.to("2024-01-15", 9)
    one.end(date(2024, 1, 29))
    one.to("2024-01-28")
    assert (one.papers, one.row.status) == ([], "trialing")
    one.to("2024-01-30")
    assert (one.papers, one.row.status) == ([(date(2024, 1, 29), 3100)], "active")


# -- Said beforehand ------------------------------------------------------------------------------------------


def told_of_end(one: Trial) -> list[tuple[date, int]]:
    rows = Event.objects.filter(object_id=one.row.pk, type="subscription.trial_ending").order_by("number")
    return [(row.at.date(), row.data["days"]) for row in rows]


def test_the_notices_are_set_anew(trial) -> None:
    one = trial()
    one.to("2024-01-13")
    assert told_of_end(one) == [(date(2024, 1, 12), 3)]
    one.end(at("2024-01-29"))
    one.to("2024-01-30")
    days = [(12, 3), (26, 3), (28, 1), (29, 0)]
    assert told_of_end(one) == [(date(2024, 1, day), left) for day, left in days]


def test_a_notice_whose_time_has_passed_is_not_given_late(trial) -> None:
    one = trial()
    one.to("2024-01-05")
    one.end(at("2024-01-07"))
    assert [notice.days for notice in notices.due(one.row, one.clock.now)] == []
    one.to("2024-01-08")
    assert told_of_end(one) == [(date(2024, 1, 6), 1), (date(2024, 1, 7), 0)]


def test_nothing_is_said_of_a_trial_that_ended_now(trial) -> None:
    one = trial()
    one.end("now")
    one.to("2024-01-16")
    assert told_of_end(one) == []


# -- What it says, and what cannot be -------------------------------------------------------------------------


def test_it_is_a_fact_with_before_and_after(trial) -> None:
    one = trial()
    one.end(at("2024-01-20"))
    fact = Event.objects.filter(object_id=one.row.pk, type="subscription.changed").get()
    assert fact.data["trial_end_before"] == at("2024-01-15").isoformat()
    assert fact.data["trial_end"] == at("2024-01-20").isoformat()
    assert (fact.actor, fact.data["effective_on"]) == (ACTOR, "2024-01-20")


@pytest.mark.parametrize(
    "when", [date(2024, 1, 2), date(2023, 12, 1), at("2024-01-03", 18), at("2024-01-03", 1), date(2026, 3, 1)]
)
def test_it_ends_now_or_later_and_not_too_late(trial, when) -> None:
    one = trial()
    one.to("2024-01-03")
    before = one.phases
    with pytest.raises(subscribing.InvalidTrial) as refused:
        one.end(when)
    assert refused.value.field == "trial_end"
    assert one.phases == before


@pytest.mark.parametrize("auto_renew", [True, False])
def test_it_ends_within_the_contract(trial, auto_renew) -> None:
    one = trial(contract_months=2, auto_renew=auto_renew)
    with pytest.raises(subscribing.InvalidTrial):
        one.end(date(2024, 3, 1))
    one.end(date(2024, 2, 29))
    one.row.refresh_from_db()
    assert one.row.contract_end_on == date(2024, 3, 1)


def test_a_running_subscription_has_no_trial_to_move(trial) -> None:
    one = trial()
    one.end("now")
    with pytest.raises(trialing.NotTrialing):
        one.end(date(2024, 1, 20))
    pausing.pause(subscription=one.row, now=one.clock.now, actor=ACTOR)
    one.row.refresh_from_db()
    with pytest.raises(trialing.NotTrialing):
        one.end("now")


def test_one_that_is_canceled_keeps_its_end_until_that_is_taken_back(trial) -> None:
    one = trial()
    ending.cancel(subscription=one.row, now=one.clock.now, actor=ACTOR)
    one.row.refresh_from_db()
    with pytest.raises(trialing.CancellationPending):
        one.end("now")
    ending.undo_cancel(subscription=one.row, now=one.clock.now, actor=ACTOR)
    one.row.refresh_from_db()
    one.end("now")


def test_terms_that_were_agreed_keep_their_days(trial) -> None:
    one = trial()
    [*_, last] = timelines.planned(one.row)
    agreed = replace(
        last, start_on=date(2024, 1, 15) + timedelta(days=9), row=None, wishes=None, starts_at=None
    )
    subscribing.follow_on(
        subscription=falling_due.locked(one.row), phases=[agreed], now=one.clock.now, actor=ACTOR, source="quote_1",
        payment_rule_override="any",
    )  # fmt: skip
    one.row.refresh_from_db()
    with pytest.raises(trialing.TrialAgreed):
        one.end("now")


def test_a_day_is_the_customers(trial) -> None:
    one = trial(zone="Pacific/Auckland")
    one.end(date(2024, 1, 20))
    assert one.row.trial_end_at == at("2024-01-19", 11)
    one.to("2024-01-19", 12)
    assert one.row.status == "active"
    assert [line[1] for line in one.lines] == [date(2024, 1, 20)]


def test_terms_that_are_agreed_for_today_end_the_trial(trial) -> None:
    one = trial("2024-01-15")
    one.to("2024-01-10")
    paid = timelines.planned(one.row)[-1]
    agreed = replace(
        paid, start_on=date(2024, 1, 10), anchor_on=date(2024, 1, 10), row=None, starts_at=None, wishes=None
    )
    subscribing.follow_on(
        subscription=falling_due.locked(one.row),
        phases=[agreed],
        now=one.clock.now,
        actor=ACTOR,
        source="quote",
    )
    one.row.refresh_from_db()
    assert (one.row.status, one.row.trial_end_at) == ("active", at("2024-01-10"))
    assert one.papers == [(date(2024, 1, 10), 3100)]
    told = Event.objects.filter(object_id=one.row.pk).values_list("type", flat=True)
    assert [type_ for type_ in told if "trial" in type_ or "activated" in type_] == [
        "subscription.trial_ended",
        "subscription.activated",
    ]
    one.to("2024-02-11")
    assert one.papers[1:] == [(date(2024, 2, 10), 3100)]


@pytest.mark.parametrize("run_first", [True, False])
def test_a_change_before_the_run_that_follows_the_trial_ends_it_too(
    catalogue, make_customer, run_first
) -> None:
    row = subscribing.subscribe(
        customer=make_customer(), plan=Plan.objects.get(code="pro"), interval="month", quantity=3, now=NOON,
        actor=ACTOR, origin="api", trial_days=5,
    )  # fmt: skip
    subscribing.bill_now(subscription=row, now=NOON, actor=ACTOR)
    later = NOON + timedelta(days=5, minutes=1)
    if run_first:
        running.run(now=later)
    subscribing.change(subscription=row, now=later, actor=ACTOR, quantity=4)
    running.run(now=later)
    row.refresh_from_db()
    assert row.status == "active"
    told = Event.objects.filter(type__startswith="subscription.").values_list("type", flat=True)
    names = ("activated", "changed", "created", "phase_started", "trial_ended")
    assert sorted(told) == [f"subscription.{each}" for each in names]


def test_nor_does_a_change_outrun_a_pause_that_has_begun(catalogue, make_customer) -> None:
    row = subscribing.subscribe(
        customer=make_customer(), plan=Plan.objects.get(code="pro"), interval="month", quantity=3, now=NOON,
        actor=ACTOR, origin="api",
    )  # fmt: skip
    subscribing.bill_now(subscription=row, now=NOON, actor=ACTOR)
    pausing.pause(subscription=row, now=NOON, actor=ACTOR, effective=NOON.date() + timedelta(days=5))
    later = NOON + timedelta(days=5)
    with pytest.raises(subscribing.NotLive):
        subscribing.change(subscription=row, now=later, actor=ACTOR, quantity=4)
    running.run(now=later)
    row.refresh_from_db()
    assert row.status == "paused"
