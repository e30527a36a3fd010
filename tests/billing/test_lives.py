"""Random lives of a subscription, against a model that counts every day by itself.

The model knows nothing of phases, stretches or papers: it keeps what was asked for and when, folds it into the terms
of each day, and adds up what each day costs in exact fractions. Papers may differ from it by half a cent a line.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import books, ending, metering, pausing, running, subscribing
from billing.models import CreditNoteLine, InvoiceLine, Meter, Plan, Price, Subscription
from billing.refusals import Refused

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEAT = {
    ("small", "month"): 2999,
    ("small", "year"): 29900,
    ("large", "month"): 7995,
    ("large", "year"): 79050,
}
CALL = {"small": 7, "large": 3}
DAY = timedelta(days=1)


# -- The model ------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What was asked for: wishes by day, the days of pauses, calls by day."""

    wishes: list[tuple[date, dict[str, Any]]] = field(default_factory=list)
    paused: set[date] = field(default_factory=set)
    calls: dict[date, int] = field(default_factory=dict)

    def ask(self, day: date, wish: dict[str, Any], *, ahead: bool) -> None:
        waiting = next((w for d, w in self.wishes if d == day), None)
        if ahead and waiting is not None:
            waiting.update(wish)
        else:
            self.wishes.append((day, dict(wish)))
            self.wishes.sort(key=lambda pair: pair[0])

    def terms(self, day: date) -> dict[str, Any]:
        """The terms of a day: everything that was asked for up to it, in order."""
        now = {"plan": "small", "interval": "month", "quantity": 3, "anchor": START.date()}
        for on, wish in self.wishes:
            if on <= day:
                if wish.get("interval", now["interval"]) != now["interval"]:
                    now["anchor"] = on
                now.update(wish)
        return now

    def cost(self, end: date) -> Fraction:
        """What all days before `end` cost, in cents."""
        days = ((START.date() + n * DAY) for n in range((end - START.date()).days))
        return sum((self._of(day) for day in days if day not in self.paused), Fraction(0))

    def _of(self, day: date) -> Fraction:
        terms = self.terms(day)
        seats = SEAT[terms["plan"], terms["interval"]] * terms["quantity"]
        calls = CALL[terms["plan"]] * self.calls.get(day, 0)
        return Fraction(seats, length(day, terms["anchor"], terms["interval"])) + calls


def length(day: date, anchor: date, interval: str) -> int:
    """The days of the period that holds a day, counted from the anchor."""
    step, n = 12 if interval == "year" else 1, -30
    while not later(anchor, n * step) <= day < later(anchor, (n + 1) * step):
        n += 1
    return (later(anchor, (n + 1) * step) - later(anchor, n * step)).days


def later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


# -- A life ---------------------------------------------------------------------------------------------------

wishes = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.sampled_from(["month", "year"]),
        "quantity": st.integers(1, 9),
    },
)
steps = st.one_of(
    st.tuples(st.just("change"), wishes, st.just(0)),
    st.tuples(st.just("change"), wishes, st.integers(-20, 60)),
    st.tuples(st.just("pause"), st.none(), st.sampled_from([0, 0, 9, 40])),
    st.tuples(st.just("resume"), st.none(), st.just(0)),
    st.tuples(st.just("cancel and undo"), st.none(), st.integers(1, 50)),
    st.tuples(st.just("calls"), st.none(), st.integers(1, 500)),
    st.tuples(st.just("remove"), st.none(), st.just(0)),
)
lives = st.lists(st.tuples(st.integers(0, 45), steps), min_size=1, max_size=7)


class Life:
    """One subscription on a clock of its own. `punctual`: billed every few days and not only before something is done."""

    def __init__(self, subscription: Subscription, clock: Any, punctual: bool) -> None:
        self.row, self.clock, self.punctual = subscription, clock, punctual

    def wait(self, days: int) -> None:
        for part in [7] * (days // 7) + [days % 7] if self.punctual else [days]:
            self.clock.now += part * DAY
            self.clock.save(update_fields=["now"])
            running.run(now=self.clock.now, clock=self.clock)
        self.row.refresh_from_db()

    def do(self, verb: str, wish: dict[str, Any] | None, number: int) -> bool:
        """Whether it was done; what is refused changes nothing."""
        now = {"subscription": self.row, "now": self.clock.now, "actor": "user:1"}
        try:
            getattr(self, "_" + verb.replace(" ", "_"))(now, wish, number)
        except Refused:
            return False
        finally:
            self.row.refresh_from_db()
        return True

    def _change(self, now: dict[str, Any], wish: dict[str, Any], number: int) -> None:
        wish = {**wish, **({"plan": Plan.objects.get(code=wish["plan"])} if "plan" in wish else {})}
        effective: Any = "now" if number == 0 else self.today + number * DAY
        shown = subscribing.preview(subscription=self.row, now=self.clock.now, effective=effective, **wish)
        done = subscribing.change(**now, effective=effective, **wish)
        assert (shown.total, [line.net for line in shown.lines]) == (
            done.total,
            [line.net for line in done.lines],
        )

    def _pause(self, now: dict[str, Any], _wish: None, number: int) -> None:
        pausing.pause(**now, resume_at=self.today + number * DAY if number else None)

    def _resume(self, now: dict[str, Any], _wish: None, _number: int) -> None:
        pausing.resume(**now)

    def _cancel_and_undo(self, now: dict[str, Any], _wish: None, number: int) -> None:
        ending.cancel(**now, effective=self.today + number * DAY)
        ending.undo_cancel(**now)

    def _calls(self, _now: dict[str, Any], _wish: None, number: int) -> None:
        event = {
            "id": f"{self.row.pk}-{self.clock.now.isoformat()}",
            "customer": self.row.customer_id,
            "event_name": "life",
        }
        found = metering.record(
            events=[{**event, "properties": {"value": number}}], livemode=False, now=self.clock.now
        )
        if not found.accepted:
            raise Refused("counted already")

    def _remove(self, now: dict[str, Any], _wish: None, _number: int) -> None:
        waiting = subscribing.pending_changes(self.row, self.clock.now)
        if not waiting:
            raise Refused("nothing waits")
        subscribing.remove_change(**now, phase=waiting[0].row.pk)

    @property
    def today(self) -> date:
        return self.clock.now.date()

    @property
    def lines(self) -> list[int]:
        asked = InvoiceLine.objects.filter(subscription=self.row).values_list("net", flat=True)
        given_back = CreditNoteLine.objects.filter(subscription=self.row).values_list("net", flat=True)
        return [*asked, *(-net for net in given_back)]


def tell(model: Model, life: Life, verb: str, wish: dict[str, Any] | None, number: int) -> None:
    """The same in the model's words."""
    today = life.today
    if verb == "change" and wish is not None:
        model.ask(today + number * DAY, wish, ahead=number > 0)
    elif verb == "pause":
        model.paused |= {today + n * DAY for n in range(number or 2000)}
    elif verb == "resume":
        model.paused = {day for day in model.paused if day < today}
    elif verb == "calls":
        model.calls[today] = model.calls.get(today, 0) + number
    elif verb == "remove":
        first = min(day for day, _ in model.wishes if day > today)
        model.wishes = [pair for pair in model.wishes if pair[0] != first]


@pytest.fixture
def plans(catalogue) -> None:
    meter = Meter.objects.create(
        code="life", name="Life", event_name="life", aggregation="sum", property="value"
    )
    for code in ("small", "large"):
        plan = Plan.objects.create(code=code, name=code, motion="self_serve", published=True)
        for interval in ("month", "year"):
            Price.objects.create(
                plan=plan, code=f"{code}-{interval}", model="per_unit", interval=interval,
                unit_amount=Decimal(SEAT[code, interval]) / 100,
            )  # fmt: skip
        Price.objects.create(
            plan=plan, code=f"{code}-calls", kind="usage", model="per_unit", interval="month", billed="arrears",
            meter=meter, unit_amount=Decimal(CALL[code]) / 100,
        )  # fmt: skip


@pytest.fixture
def begin(plans, make_clock, make_customer):
    def make(punctual: bool) -> Life:
        clock = make_clock(now=START)
        row = subscribing.subscribe(
            customer=make_customer(clock, tax_exempt=True), plan=Plan.objects.get(code="small"), interval="month",
            quantity=3, now=START, actor="user:1", origin="api",
        )  # fmt: skip
        subscribing.bill_now(subscription=row, now=START, actor="user:1")
        return Life(Subscription.objects.get(pk=row.pk), clock, punctual)

    return make


def live(both: list[Life], model: Model, story: Any) -> Iterator[None]:
    for days, (verb, wish, number) in story:
        for life in both:
            life.wait(days)
        done = [life.do(verb, wish, number) for life in both]
        assert done[0] == done[1]
        if done[0]:
            tell(model, both[0], verb, wish, number)
        yield


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lives, st.integers(0, 40))
def test_any_life_costs_what_its_days_cost(begin, story, rest) -> None:
    with transaction.atomic():
        both, model = [begin(True), begin(False)], Model()
        for _ in live(both, model, story):
            pass
        for life in both:
            life.wait(rest)
            ending.cancel(subscription=life.row, now=life.clock.now, actor="user:1", effective="now")
        end = both[0].today + DAY
        for life in both:
            life.wait(3)
            assert running.run(now=life.clock.now, clock=life.clock).invoices == 0
            off = abs(sum(life.lines) - model.cost(end))
            assert off <= Fraction(len(life.lines), 2), (float(off), len(life.lines))
        assert sum(both[0].lines) == sum(both[1].lines)
        assert [f"{b.id} {b.found}" for b in books.check()] == []
        transaction.set_rollback(True)
