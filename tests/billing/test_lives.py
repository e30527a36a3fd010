"""Random lives of a subscription, against a model that counts every day by itself.

The model knows nothing of phases, stretches or papers: it keeps what was asked for and when, folds it into the terms
of each day, and adds up what each day costs in exact fractions. Papers may differ from it by a cent a line.
"""

import os
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing import books, ending, metering, pausing, running, subscribing
from billing.models import CreditNoteLine, Discount, InvoiceLine, Meter, Plan, Price, Subscription, TaxRate
from billing.refusals import Refused

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
STEP = {"month": 1, "year": 12}

# In minor units.
SEAT = {
    ("small", "month"): 2999,
    ("small", "year"): 29900,
    ("large", "month"): 7995,
    ("large", "year"): 79050,
}
BASE = {("small", "month"): 1111, ("large", "month"): 0, ("small", "year"): 0, ("large", "year"): 100001}
INCLUDED = {"small": 20, "large": 0}
STAIR = {"small": ((100, 7, 50), (None, 3, 0)), "large": ((None, 3, 0),)}  # up to, each, flat
LEAST = {"small": 0, "large": 333}
DISCOUNTS: dict[str, dict[str, Any]] = {
    "third": {"percent_off": Decimal("33.3")},
    "half once": {"percent_off": 50, "duration": "once"},
    "quarter thrice": {"percent_off": 25, "duration": "repeating", "periods": 3},
    "little": {"amount_off": 777},
    "much": {"amount_off": 24000},
    "much twice": {"amount_off": 9000, "duration": "repeating", "periods": 2},
}


class World(NamedTuple):
    """What is settled before a life begins. tax: none, exclusive or inclusive, of 8.1 %."""

    currency: str = "USD"
    zone: str = "UTC"
    anchor: str | int = "start"
    trial_days: int = 0
    discount: str | None = None
    tax: str = "none"

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def first_day(self) -> date:
        return self.day(START)

    @property
    def first_paid_day(self) -> date:
        return self.day(START + self.trial_days * DAY)

    @property
    def tax_on_top(self) -> Fraction:
        return Fraction(81, 1000) if self.tax == "exclusive" else Fraction(0)


EXAMPLES = int(os.environ.get("LIVES", "0"))  # so many at random; without it the same few each time


# -- The model ------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What was asked for: wishes by day, the days of pauses, calls by day."""

    world: World
    wishes: list[tuple[date, dict[str, Any]]] = field(default_factory=list)
    paused: set[date] = field(default_factory=set)
    calls: dict[date, int] = field(default_factory=dict)

    def ask(self, day: date, wish: dict[str, Any], *, ahead: bool) -> None:
        given, wish = wish.get("discount"), dict(wish)
        if "discount" in wish and self.terms(day)["discount"] == given:
            wish.pop("discount")
        waiting = next((w for d, w in self.wishes if d == day), None)
        if ahead and waiting is not None:
            waiting.update(wish)
        else:
            self.wishes.append((day, wish))
            self.wishes.sort(key=lambda pair: pair[0])
        if "discount" in wish:
            into = waiting if ahead and waiting is not None else wish
            into["until"] = self._lasts(given, self.terms(day), max(day, self.world.first_paid_day))

    def terms(self, day: date) -> dict[str, Any]:
        """The terms of a day: everything that was asked for up to it, in order."""
        paid = self.world.first_paid_day
        anchor = anchored(paid, self.world.anchor)
        now: dict[str, Any] = {"plan": "small", "interval": "month", "quantity": 3, "anchor": anchor}
        now |= {"discount": self.world.discount}
        now["until"] = self._lasts(self.world.discount, now, paid)
        for on, wish in self.wishes:
            if on <= day:
                if on >= paid and wish.get("interval", now["interval"]) != now["interval"]:
                    now["anchor"] = on
                now.update({name: value for name, value in wish.items() if name != "anchor"})
                if on >= paid and "anchor" in wish:
                    now["anchor"] = anchored(on, wish["anchor"])
        if now["until"] is not None and day >= now["until"]:
            now["discount"] = None
        return now

    def _lasts(self, discount: str | None, terms: dict[str, Any], start: date) -> date | None:
        """The first day without it: its periods are counted from the one that holds the start."""
        if discount is None or "duration" not in DISCOUNTS[discount]:
            return None
        end = start
        for _ in range(DISCOUNTS[discount].get("periods", 1)):
            end = period(end, terms["anchor"], terms["interval"])[1]
        return end

    def cost(self, end: date) -> Fraction:
        """What all days before `end` cost, in minor units, without tax on top."""
        first, paid = self.world.first_day, self.world.first_paid_day
        days = [first + n * DAY for n in range((end - first).days)]
        charged = {day: self.terms(day) for day in days if day >= paid and day not in self.paused}
        return sum((recurring(day, terms) for day, terms in charged.items()), Fraction(0)) + self._used(
            charged
        )

    def _used(self, charged: dict[date, dict[str, Any]]) -> Fraction:
        """Usage: by runs of days on one plan with one discount in one month of the cycle."""
        runs: dict[Any, list[date]] = {}
        number, last, before = count(), None, None
        for day, terms in charged.items():
            same = (period(day, terms["anchor"], "month"), terms["plan"], terms["discount"])
            key = last if last and before == day - DAY and last[1:] == same else (next(number), *same)
            runs.setdefault(key, []).append(day)
            last, before = key, day
        come_to: dict[Any, Fraction] = defaultdict(Fraction)
        for (_, within, plan, discount), days in runs.items():
            units = sum(self.calls.get(day, 0) for day in days)
            come_to[discount, within] += usage(plan, units, Fraction(len(days), (within[1] - within[0]).days))
        return sum((self._off_usage(charged, *key, amount) for key, amount in come_to.items()), Fraction(0))

    def _off_usage(
        self, charged: dict[date, dict[str, Any]], discount: str | None, within: Any, amount: Fraction
    ) -> Fraction:
        """Less a percentage, or what the recurring prices of the days with this discount leave of an amount."""
        said = DISCOUNTS[discount] if discount else {}
        if "percent_off" in said:
            return amount * (1 - Fraction(said["percent_off"]) / 100)
        left = Fraction(0)
        for day, terms in charged.items():
            here = period(day, terms["anchor"], "month") == within and terms["discount"] == discount
            if said and here and terms["interval"] == "month":
                rest = said["amount_off"] - min(said["amount_off"], full(terms))
                left += Fraction(rest, (within[1] - within[0]).days)
        return amount - min(left, amount)


def full(terms: dict[str, Any]) -> int:
    """The recurring prices of a whole period."""
    return SEAT[terms["plan"], terms["interval"]] * terms["quantity"] + BASE[terms["plan"], terms["interval"]]


def recurring(day: date, terms: dict[str, Any]) -> Fraction:
    """What the recurring prices of a day cost."""
    start, end = period(day, terms["anchor"], terms["interval"])
    said = DISCOUNTS[terms["discount"]] if terms["discount"] else {}
    amount = full(terms) * (1 - Fraction(said.get("percent_off", 0)) / 100)
    return (amount - min(amount, said.get("amount_off", 0))) / (end - start).days


def usage(plan: str, units: int, portion: Fraction) -> Fraction:
    beyond, below, amount = units - INCLUDED[plan] * portion, 0, Fraction(0)
    for top, each, flat in STAIR[plan]:
        if beyond > below:
            amount += flat + each * (beyond - below if top is None else min(beyond, top) - below)
            below = top or 0
            if top is None:
                break
    return max(amount, LEAST[plan] * portion)


def anchored(start: date, rule: str | int) -> date:
    """A day from which the periods are counted."""
    if rule == "start":
        return start
    first = date(start.year, start.month, 1 if rule == "calendar" else int(rule))
    return later(first, 1) if rule != "calendar" and first < start else first


def period(day: date, anchor: date, interval: str) -> tuple[date, date]:
    """The period that holds a day, counted from the anchor."""
    step = STEP[interval]
    n = ((day.year - anchor.year) * 12 + day.month - anchor.month) // step - 1
    while not later(anchor, n * step) <= day < later(anchor, (n + 1) * step):
        n += 1
    return later(anchor, n * step), later(anchor, (n + 1) * step)


def later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


# -- A life ---------------------------------------------------------------------------------------------------

given_discounts = st.sampled_from([None, *DISCOUNTS])
worlds = st.builds(
    World,
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    zone=st.sampled_from(["UTC", "Pacific/Auckland", "America/Los_Angeles"]),
    anchor=st.sampled_from(["start", "calendar", 15]),
    trial_days=st.sampled_from([0, 0, 9, 40]),
    discount=given_discounts,
    tax=st.sampled_from(["none", "exclusive", "inclusive"]),
)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.sampled_from(["month", "year"]),
        "quantity": st.integers(1, 9),
        "discount": given_discounts,
    },
)
moves = st.fixed_dictionaries({"anchor": st.sampled_from([5, 28])})
steps = st.one_of(
    st.tuples(st.just("change"), wishes, st.just(0)),
    st.tuples(st.just("change"), wishes, st.integers(-20, 60)),
    st.tuples(st.just("change"), moves, st.just(0)),
    st.tuples(st.just("pause"), st.none(), st.sampled_from([0, 0, 9, 40])),
    st.tuples(st.just("resume"), st.none(), st.just(0)),
    st.tuples(st.just("cancel and undo"), st.none(), st.integers(1, 50)),
    st.tuples(st.just("calls"), st.none(), st.integers(1, 500)),
    st.tuples(st.just("remove"), st.none(), st.just(0)),
)
lives = st.lists(st.tuples(st.integers(0, 45), steps), min_size=1, max_size=7)


class Life:
    """One subscription on a clock of its own. `punctual`: billed every few days and not only before something is done."""

    def __init__(self, world: World, subscription: Subscription, clock: Any, punctual: bool) -> None:
        self.world, self.row, self.clock, self.punctual = world, subscription, clock, punctual

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
        wish = {name: as_row(name, value) for name, value in wish.items()}
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
        return self.world.day(self.clock.now)

    @property
    def lines(self) -> list[int]:
        asked = InvoiceLine.objects.filter(subscription=self.row).values_list("net", "tax_amount")
        given_back = CreditNoteLine.objects.filter(subscription=self.row).values_list("net", "tax_amount")
        return [*(net + tax for net, tax in asked), *(-net - tax for net, tax in given_back)]


def as_row(name: str, value: Any) -> Any:
    if name == "plan":
        return Plan.objects.get(code=value)
    return Discount.objects.get(code=value) if name == "discount" and value else value


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
    Meter.objects.create(code="life", name="Life", event_name="life", aggregation="sum", property="value")
    for code in ("small", "large"):
        Plan.objects.create(code=code, name=code, motion="self_serve", published=True)


def sell(world: World) -> None:
    """The prices, discounts and the tax of a world."""
    of = Decimal(10) ** -DECIMALS[world.currency]
    for plan in Plan.objects.filter(code__in=["small", "large"]):
        common: dict[str, Any] = {"plan": plan, "currency": world.currency}
        for interval in STEP:
            seat, base = SEAT[plan.code, interval] * of, BASE[plan.code, interval] * of
            common["interval"] = interval
            Price.objects.create(code=f"seat-{interval}", model="per_unit", unit_amount=seat, **common)
            if base:
                Price.objects.create(
                    code=f"base-{interval}", model="flat", billed="arrears", unit_amount=base, **common
                )
        tiers = [
            {"up_to": top and str(top), "unit_amount": str(each * of), "flat_amount": str(flat * of)}
            for top, each, flat in STAIR[plan.code]
        ]
        Price.objects.create(
            **common | {"interval": "month"}, code="calls", kind="usage", model="graduated", billed="arrears",
            meter=Meter.objects.get(code="life"), tiers=tiers, included=INCLUDED[plan.code],
            minimum=LEAST[plan.code] * of or None,
        )  # fmt: skip
    for code, said in DISCOUNTS.items():
        Discount.objects.create(code=code, **said, currency=world.currency if "amount_off" in said else "")
    if world.tax != "none":
        TaxRate.objects.create(name="VAT", percentage="8.1", country="CH", inclusive=world.tax == "inclusive")


@pytest.fixture
def begin(plans, make_clock, make_customer):
    def make(world: World, punctual: bool) -> Life:
        clock = make_clock(now=START)
        customer = make_customer(
            clock, country="CH", currency=world.currency, timezone=world.zone, tax_exempt=world.tax == "none"
        )
        row = subscribing.subscribe(
            customer=customer, plan=Plan.objects.get(code="small"), interval="month", quantity=3, now=START,
            actor="user:1", origin="api", anchor=world.anchor, trial_days=world.trial_days,
            discount=as_row("discount", world.discount), payment_rule_override="any",
        )  # fmt: skip
        subscribing.bill_now(subscription=row, now=START, actor="user:1")
        return Life(world, Subscription.objects.get(pk=row.pk), clock, punctual)

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
    max_examples=EXAMPLES or 10,
    phases=(Phase.explicit, Phase.generate) if EXAMPLES else tuple(Phase),
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(worlds, lives, st.integers(0, 40))
def test_any_life_costs_what_its_days_cost(begin, world, story, rest) -> None:
    with transaction.atomic():
        sell(world)
        both, model = [begin(world, True), begin(world, False)], Model(world)
        for _ in live(both, model, story):
            pass
        for life in both:
            life.wait(rest)
            ending.cancel(subscription=life.row, now=life.clock.now, actor="user:1", effective="now")
        end = both[0].today + DAY
        for life in both:
            life.wait(3)
            assert running.run(now=life.clock.now, clock=life.clock).invoices == 0
            expected = model.cost(end) * (1 + world.tax_on_top)
            off = abs(sum(life.lines) - expected)
            assert off <= Fraction(len(life.lines) * 8, 5), (float(off), len(life.lines), float(expected))
        assert sum(both[0].lines) == sum(both[1].lines)
        assert [f"{b.id} {b.found}" for b in books.check()] == []
        transaction.set_rollback(True)
