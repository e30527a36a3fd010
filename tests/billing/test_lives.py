"""Random lives of a subscription, against a model that counts every day by itself.

The model knows nothing of phases, stretches or papers: it keeps what was asked for and when, folds it into the terms
of each day, and adds up what each day costs in exact fractions. Papers may differ from it by a cent a line. What is
paid, in part or too much, changes no line; what is given back for goodwill lies between nothing and all of it, since
no period gives back more than was asked for it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from billing import (
    books,
    collecting,
    correcting,
    discounting,
    ending,
    metering,
    pausing,
    running,
    subscribing,
    trialing,
)
from billing.models import (
    CreditNote,
    CreditNoteLine,
    Customer,
    Discount,
    Invoice,
    InvoiceLine,
    Meter,
    Plan,
    Price,
    Subscription,
    TaxRate,
)
from billing.refusals import Refused
from tests.billing.maths.days import (
    BASE,
    DISCOUNTS,
    INCLUDED,
    LEAST,
    SEAT,
    STAIR,
    STEP,
    cost,
    later,
    period,
)

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}


class World(NamedTuple):
    """What is settled before a life begins. tax: none, exclusive or inclusive, of 8.1 %. early: what is done is done
    three hours before the time of day at which the life began, and its trial ends."""

    currency: str = "USD"
    zone: str = "UTC"
    anchor: str | int = "start"
    trial: timedelta = timedelta(0)
    discount: tuple[str, ...] = ()
    tax: str = "none"
    early: bool = False

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def first_day(self) -> date:
        return self.day(START)

    @property
    def first_paid_day(self) -> date:
        return self.day(self.trial_end)

    @property
    def trial_end(self) -> datetime:
        return START + self.trial


EXAMPLES = int(os.environ.get("LIVES", "0"))  # so many at random; without it the same few each time


# -- The model ------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What was asked for: wishes by day, the days of pauses and the first of the last one, calls by day."""

    world: World
    wishes: list[tuple[date, dict[str, Any]]] = field(default_factory=list)
    paused: set[date] = field(default_factory=set)
    pause_on: date | None = None
    calls: dict[date, int] = field(default_factory=dict)

    def ask(self, day: date, wish: dict[str, Any], *, ahead: bool) -> None:
        given, wish, before = wish.get("discount"), dict(wish), self.terms(day)
        if given == before["discount"]:
            del wish["discount"]
        waiting = next((w for d, w in self.wishes if d == day), None)
        if ahead and waiting is not None:
            waiting.update(wish)
        else:
            self.wishes.append((day, wish))
            self.wishes.sort(key=lambda pair: pair[0])
        if "discount" in wish:
            into = waiting if ahead and waiting is not None else wish
            ends = self._last(given, self.terms(day), max(day, self.world.first_paid_day))
            # Who is named again keeps its end.
            held = {name: end for name, end in before["until"].items() if name in before["discount"]}
            into["until"] = ends | {name: held.get(name) for name in given if name in before["discount"]}

    def terms(self, day: date) -> dict[str, Any]:
        """The terms of a day: everything that was asked for up to it, in order."""
        paid = self.world.first_paid_day
        anchor = anchored(paid, self.world.anchor)
        now: dict[str, Any] = {"plan": "small", "interval": "month", "quantity": 3, "anchor": anchor}
        now |= {"discount": self.world.discount}
        now["until"] = self._last(self.world.discount, now, paid)
        for on, wish in self.wishes:
            if on <= day:
                if on >= paid and wish.get("interval", now["interval"]) != now["interval"]:
                    now["anchor"] = on
                now.update({name: value for name, value in wish.items() if name != "anchor"})
                if "anchor" in wish:
                    now["anchor"] = anchored(max(on, paid), wish["anchor"])
        ends = now["until"]
        now["discount"] = tuple(
            name for name in now["discount"] if ends.get(name) is None or day < ends[name]
        )
        return now

    def move_trial(self, end: datetime) -> None:
        """It ends then; what was wished for its old end is wished for the new one, and discounts count from there."""
        old = self.world.first_paid_day
        self.world = self.world._replace(trial=end - START)
        paid = self.world.first_paid_day
        asked = [(paid if day == old else day, wish) for day, wish in self.wishes]
        self.wishes = []
        for day, wish in sorted(asked, key=lambda pair: pair[0]):
            before = self.terms(day)
            self.wishes.append((day, wish))
            if "discount" in wish:
                given = wish["discount"]
                wish["until"] = {}
                ends = self._last(given, self.terms(day), max(day, paid))
                held = {name: end for name, end in before["until"].items() if name in before["discount"]}
                wish["until"] = ends | {name: held.get(name) for name in given if name in before["discount"]}

    def pause(self, today: date, on: date, days: int) -> None:
        """It takes the place of one that waits."""
        self.paused = {day for day in self.paused if day <= today} | {on + n * DAY for n in range(days)}
        self.pause_on = on

    def waiting(self, today: date) -> list[date]:
        """The days from today on for which something was asked."""
        pauses = (
            [self.pause_on]
            if self.pause_on and self.pause_on > today and self.pause_on in self.paused
            else []
        )
        return [day for day, _ in self.wishes if day >= today] + pauses

    def remove(self, today: date, gone: date) -> None:
        """A change before a pause of the same day, which begins on top of it."""
        if any(day == gone for day, _ in self.wishes):
            self.wishes = [pair for pair in self.wishes if pair[0] != gone]
        else:
            self.paused = {day for day in self.paused if day <= today}

    def _last(self, names: tuple[str, ...], terms: dict[str, Any], start: date) -> dict[str, date | None]:
        """The first day without each of them: its periods are counted from the one that holds the start."""
        return {name: self._end(DISCOUNTS[name], terms, start) for name in names}

    def _end(self, said: dict[str, Any], terms: dict[str, Any], start: date) -> date | None:
        end = start
        for _ in range(said.get("periods", 1) if "duration" in said else 0):
            end = period(end, terms["anchor"], terms["interval"])[1]
        return end if "duration" in said else None

    def cost(self, end: date) -> Fraction:
        """What all days before `end` cost, in minor units, without tax on top."""
        first, paid = self.world.first_day, self.world.first_paid_day
        lived = (first + n * DAY for n in range((end - first).days))
        charged = {day: self.terms(day) for day in lived if day >= paid and day not in self.paused}
        return cost(charged, self.calls)


def anchored(start: date, rule: str | int) -> date:
    """A day from which the periods are counted."""
    if rule == "start":
        return start
    first = date(start.year, start.month, 1 if rule == "calendar" else int(rule))
    return later(first, 1) if rule != "calendar" and first < start else first


PAUSE = 9 * DAY

# -- A life ---------------------------------------------------------------------------------------------------

given_discounts = st.lists(st.sampled_from([*DISCOUNTS]), max_size=3, unique=True).map(tuple)
worlds = st.builds(
    World,
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    zone=st.sampled_from(["UTC", "Pacific/Auckland", "America/Los_Angeles"]),
    anchor=st.sampled_from(["start", "calendar", 15]),
    trial=st.sampled_from([0 * DAY, 0 * DAY, 9 * DAY, 40 * DAY]),
    discount=given_discounts,
    tax=st.sampled_from(["none", "exclusive", "inclusive"]),
    early=st.booleans(),
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
    st.tuples(st.just("pause later"), st.none(), st.integers(1, 60)),
    st.tuples(st.just("resume"), st.none(), st.just(0)),
    st.tuples(st.just("cancel and undo"), st.none(), st.integers(1, 50)),
    st.tuples(st.just("calls"), st.none(), st.integers(1, 500)),
    st.tuples(st.just("remove"), st.none(), st.just(0)),
    st.tuples(st.just("trial"), st.none(), st.sampled_from([0, 4, 15, 50])),
    st.tuples(st.just("tax"), st.none(), st.sampled_from([0, 38, 81, 233])),
    st.tuples(st.just("pay"), st.none(), st.sampled_from([1, 50, 100, 150])),
    st.tuples(st.just("goodwill"), st.none(), st.sampled_from([1, 30, 100])),
)
lives = st.lists(st.tuples(st.integers(0, 45), steps), min_size=1, max_size=7)


class Life:
    """One subscription on a clock of its own. `punctual`: billed every few days and not only before something is done."""

    def __init__(self, world: World, subscription: Subscription, clock: Any, punctual: bool) -> None:
        self.world, self.row, self.clock, self.punctual = world, subscription, clock, punctual
        self.goodwill = 0

    def wait(self, days: int) -> None:
        if days and self.world.early and self.clock.now == START:
            self.clock.now -= timedelta(hours=3)
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
        today = self._rate()
        charged = [
            line for line in done.lines if line.net > 0 and line.kind in ("recurring", "usage", "minimum")
        ]
        assert {line.tax_percentage for line in charged} <= {today}

    def _trial(self, now: dict[str, Any], _wish: None, number: int) -> None:
        end: Any = self.clock.now + number * DAY if number else "now"
        shown = trialing.preview_end(subscription=self.row, now=self.clock.now, trial_end=end)
        done = trialing.change_end(**now, trial_end=end)
        assert [line.net for line in shown.lines] == [line.net for line in done.lines]

    def _pause(self, now: dict[str, Any], _wish: None, number: int) -> None:
        pausing.pause(**now, resume_at=self.today + number * DAY if number else None)

    def _pause_later(self, now: dict[str, Any], _wish: None, number: int) -> None:
        on = self.today + number * DAY
        shown = pausing.preview_pause(
            subscription=self.row, now=self.clock.now, effective=on, resume_at=on + PAUSE
        )
        done = pausing.pause(**now, effective=on, resume_at=on + PAUSE)
        assert (shown.next.on, shown.next.result.total) == (done.next.on, done.next.result.total)

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

    def _tax(self, _now: dict[str, Any], _wish: None, number: int) -> None:
        """Another rate, in tenths of a percent; none at all is an exemption, where it changes no price."""
        if self.world.tax == "none" or (self.world.tax == "inclusive" and not number):
            raise Refused("there is none to change")
        Customer.objects.filter(pk=self.row.customer_id).update(tax_exempt=not number)
        if number:
            TaxRate.objects.filter(country="CH", active=True).update(percentage=Decimal(number) / 10)
        self.row = Subscription.objects.get(pk=self.row.pk)

    def _pay(self, now: dict[str, Any], _wish: None, number: int) -> None:
        """So many per cent of what is due on the oldest open invoice, by transfer."""
        invoice = self._papers().filter(status="open").first()
        if invoice is None:
            raise Refused("nothing is open")
        amount = max(invoice.amount_due * number // 100, 1)
        at = self.clock.now
        collecting.record_transfer(
            invoice=invoice, amount=amount, reference="", paid_at=at, now=at, actor="user:1"
        )

    def _goodwill(self, now: dict[str, Any], _wish: None, number: int) -> None:
        """So many per cent of the newest invoice, as far as it was not given back."""
        invoice = self._papers().last()
        if invoice is None:
            raise Refused("nothing was asked for")
        left = invoice.total - sum(CreditNote.objects.filter(invoice=invoice).values_list("total", flat=True))
        if left <= 0:
            raise Refused("nothing is left")
        note = correcting.credit(
            invoice=invoice,
            amount=max(left * number // 100, 1),
            reason="Goodwill",
            now=self.clock.now,
            actor="user:1",
        )
        self.goodwill += note.total if self.world.tax == "inclusive" else note.subtotal

    def _papers(self) -> Any:
        return Invoice.objects.filter(subscription=self.row).order_by("sequence")

    def _rate(self) -> Decimal:
        exempt = Customer.objects.values_list("tax_exempt", flat=True).get(pk=self.row.customer_id)
        return Decimal(0) if exempt else TaxRate.objects.get(country="CH", active=True).percentage

    def _remove(self, now: dict[str, Any], _wish: None, _number: int) -> None:
        waiting = subscribing.pending_changes(self.row, self.clock.now)
        if not waiting:
            raise Refused("nothing waits")
        subscribing.remove_change(**now, phase=waiting[0].row.pk)

    @property
    def today(self) -> date:
        return self.world.day(self.clock.now)

    @property
    def in_last_hours(self) -> bool:
        """On the day on which the trial ends, before it does."""
        end = self.row.trial_end_at
        return self.row.status == "trialing" and end > self.clock.now and self.world.day(end) == self.today

    @property
    def lines(self) -> list[int]:
        """Net; with tax where prices contain it, since then it is what is paid that the days come to."""
        return [net + tax * (self.world.tax == "inclusive") for net, tax, _ in self.said]

    @property
    def said(self) -> list[tuple[int, int, Decimal]]:
        """(net, tax, percentage) of every line of every paper."""
        columns = ("net", "tax_amount", "tax_percentage")
        asked = InvoiceLine.objects.filter(subscription=self.row).values_list(*columns)
        given_back = CreditNoteLine.objects.filter(subscription=self.row).values_list(*columns)
        return [*asked, *((-net, -tax, percentage) for net, tax, percentage in given_back)]


def as_row(name: str, value: Any) -> Any:
    if name == "plan":
        return Plan.objects.get(code=value)
    if name == "discount":
        return discounting.together([Discount.objects.get(code=each) for each in value])
    return value


def tell(model: Model, life: Life, verb: str, wish: dict[str, Any] | None, number: int) -> None:
    """The same in the model's words."""
    today = life.today
    if verb == "change" and wish is not None:
        model.ask(today + number * DAY, wish, ahead=number > 0 or (number == 0 and life.in_last_hours))
    elif verb == "pause":
        model.pause(today, today, number or 2000)
    elif verb == "pause later":
        model.pause(today, today + number * DAY, PAUSE.days)
    elif verb == "resume":
        model.paused = {day for day in model.paused if day < today}
    elif verb == "calls":
        model.calls[today] = model.calls.get(today, 0) + number
    elif verb == "trial":
        model.move_trial(life.clock.now + number * DAY)
    elif verb == "remove":
        first = min(day for day in model.waiting(today) if day > today or life.in_last_hours)
        model.remove(today, first)


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
        terms = {name: value for name, value in said.items() if name != "only"}
        only = {"seat": [f"seat-{interval}" for interval in STEP], "calls": ["calls"]}.get(
            said.get("only", ""), []
        )
        currency = world.currency if "amount_off" in said else ""
        Discount.objects.create(code=code, **terms, prices=only, currency=currency)
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
            actor="user:1", origin="api", anchor=world.anchor, trial_days=world.trial.days,
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


LAST_HOURS = World(trial=9 * DAY, early=True)


@settings(
    max_examples=EXAMPLES or 10,
    phases=(Phase.explicit, Phase.generate) if EXAMPLES else tuple(Phase),
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(world=worlds, story=lives, rest=st.integers(0, 40))
@example(
    world=LAST_HOURS,
    story=[(9, ("change", {"quantity": 5}, 0)), (0, ("change", {"plan": "large"}, 0))],
    rest=20,
)
@example(world=LAST_HOURS, story=[(9, ("cancel and undo", None, 7))], rest=0)
@example(
    world=World(),
    story=[(40, ("goodwill", None, 30)), (5, ("pay", None, 150)), (0, ("pay", None, 50))],
    rest=3,
)
@example(
    world=World(),
    story=[
        (9, ("pause later", None, 9)),
        (0, ("change", {"plan": "large"}, 9)),
        (0, ("pause later", None, 9)),
        (0, ("change", {"quantity": 5}, 9)),
        (0, ("remove", None, 0)),
        (0, ("change", {"interval": "year"}, 9)),
    ],
    rest=30,
)
@example(
    world=World(trial=40 * DAY, discount=("much twice", "third", "half once")),
    story=[
        (17, ("change", {"discount": (), "plan": "small"}, 0)),
        (46, ("change", {"plan": "small", "interval": "year", "discount": ("half once",)}, 0)),
    ],
    rest=13,
)
def test_any_life_costs_what_its_days_cost(begin, world, story, rest) -> None:
    with transaction.atomic():
        sell(world)
        both, model = [begin(world, True), begin(world, False)], Model(world)
        for _ in live(both, model, story):
            pass
        for life in both:
            life.wait(rest)
        end = both[0].today if both[0].in_last_hours else both[0].today + DAY
        for life in both:
            ending.cancel(subscription=life.row, now=life.clock.now, actor="user:1", effective="now")
        for life in both:
            life.wait(3)
            assert running.run(now=life.clock.now, clock=life.clock).invoices == 0
            expected = model.cost(end)
            less, most = expected - sum(life.lines), life.goodwill
            off, within = max(-less, less - most), Fraction(len(life.lines) * 5, 2)
            assert off <= within, (float(less), most, len(life.lines), float(expected))
            if world.tax == "exclusive":
                assert all(abs(tax - net * percentage / 100) <= 1 for net, tax, percentage in life.said)
        assert sum(both[0].lines) == sum(both[1].lines)
        assert [f"{b.id} {b.found}" for b in books.check()] == []
        transaction.set_rollback(True)
