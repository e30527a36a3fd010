"""Whole timelines against the count of their days: discounts of both kinds, tiers, bounds, pauses, moved billing days."""

from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction as F
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.maths.discounts import Discount
from billing.maths.periods import Interval
from billing.maths.pricing import Billed, Price, PriceKind, PriceModel, Tier
from billing.maths.timeline import Item, Phase, Timeline, owed
from tests.billing.maths import days
from tests.billing.maths.days import BASE, DISCOUNTS, INCLUDED, LEAST, SEAT, STAIR

START = date(2023, 11, 30)
MAJOR = D("0.01")


def bought(terms: dict[str, Any]) -> tuple[Item, ...]:
    """The prices of a plan by an interval."""
    plan, interval = terms["plan"], terms["interval"]
    recurring = (PriceKind.RECURRING, PriceModel.PER_UNIT, Interval(interval), "USD")
    tiers = tuple(
        Tier(None if top is None else D(top), each * MAJOR, flat * MAJOR) for top, each, flat in STAIR[plan]
    )
    return (
        Item(Price(f"{plan}-{interval}", *recurring, SEAT[plan, interval] * MAJOR, code="seat"), D(terms["quantity"])),
        Item(Price(f"{plan}-base-{interval}", *recurring, BASE[plan, interval] * MAJOR, billed=Billed.ARREARS)),
        Item(
            Price(
                f"{plan}-calls", PriceKind.USAGE, PriceModel.GRADUATED, Interval.MONTH, "USD", D(0), tiers=tiers,
                meter="calls", included=D(INCLUDED[plan]), minimum=LEAST[plan] * MAJOR or None,
            )
        ),
    )  # fmt: skip


def discount(given: days.Given) -> Discount | None:
    parts = tuple(one_discount(name) for name in days.stack(given))
    return (
        Discount(" ".join(part.key for part in parts), parts=parts)
        if len(parts) > 1
        else next(iter(parts), None)
    )


def one_discount(name: str) -> Discount:
    said = DISCOUNTS[name]
    only = frozenset([said["only"]] if "only" in said else [])
    return Discount(name, said.get("percent_off"), said.get("amount_off"), only=only)


stacks = st.lists(st.sampled_from([*DISCOUNTS]), max_size=3, unique=True).map(tuple)


terms = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.sampled_from(["month", "month", "year"]),
        "quantity": st.integers(1, 9),
        "discount": stacks,
        "free": st.sampled_from([False, False, False, True]),
        "anchor": st.sampled_from([START, START, START + timedelta(days=40), date(2024, 2, 29)]),
    }
)
lives = st.lists(st.tuples(st.integers(1, 70), terms), min_size=1, max_size=6)
usages = st.dictionaries(st.integers(0, 420), st.integers(1, 400), max_size=12)


@given(lives, usages)
def test_any_timeline_costs_what_its_days_cost(
    life: list[tuple[int, dict[str, Any]]], used: dict[int, int]
) -> None:
    calls = {START + timedelta(days=n): units for n, units in used.items()}
    phases, charged, day = [], {}, START
    for lasts, said in life:
        end = day + timedelta(days=lasts)
        phases.append(
            Phase(
                day, end, said["anchor"], bought(said), discount(said["discount"]), said["free"], paused=True
            )
        )
        while day < end:
            if not said["free"]:
                charged[day] = said
            day += days.DAY

    def usage(_meter: str, start: date, end: date) -> D:
        return D(sum(units for on, units in calls.items() if start <= on < end))

    entries = owed(
        Timeline(tuple(phases)), since=date(2020, 1, 1), until=day + timedelta(days=800), usage=usage
    )
    off = abs(sum(entry.net for entry in entries) - days.cost(charged, calls))
    steps = max(len(said["discount"]) for _, said in life)
    assert off <= F(len(entries) * (2 + steps), 2)


MINIMUM = {"small": 9000, "large": 24000}
monthly = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.just("month"),
        "quantity": st.integers(1, 9),
        "discount": st.none(),
        "free": st.sampled_from([False, False, False, True]),
        "anchor": st.sampled_from([START, START, START + timedelta(days=40)]),
    }
)


def least(plan: str) -> Item:
    price = Price(
        f"{plan}-least", PriceKind.MINIMUM, PriceModel.FLAT, Interval.MONTH, "USD", minimum=MINIMUM[plan] * MAJOR,
        billed=Billed.ARREARS,
    )  # fmt: skip
    return Item(price)


def with_minimum(charged: dict[date, dict[str, Any]], calls: dict[date, int]) -> F:
    """What runs of days on one plan in one period cost, and what is missing to their part of its minimum."""
    runs: list[list[date]] = []
    before: Any = None
    for day, said in charged.items():
        within = days.period(day, said["anchor"], "month")
        if before != (day - days.DAY, said["plan"], within):
            runs.append([])
        runs[-1].append(day)
        before = (day, said["plan"], within)
    return sum((_run(run, charged, calls) for run in runs), F(0))


def _run(run: list[date], charged: dict[date, dict[str, Any]], calls: dict[date, int]) -> F:
    said = charged[run[0]]
    start, end = days.period(run[0], said["anchor"], "month")
    portion = F(len(run), (end - start).days)
    used = days.usage(said["plan"], sum(calls.get(day, 0) for day in run), portion)
    came_to = used + sum(days.recurring(day, charged[day]) for day in run)
    return max(came_to, MINIMUM[said["plan"]] * portion)


@given(st.lists(st.tuples(st.integers(1, 70), monthly), min_size=1, max_size=6), usages)
def test_a_minimum_spend_holds_for_every_run_of_days(
    life: list[tuple[int, dict[str, Any]]], used: dict[int, int]
) -> None:
    calls = {START + timedelta(days=n): units for n, units in used.items()}
    phases, charged, day = [], {}, START
    for lasts, said in life:
        end = day + timedelta(days=lasts)
        items = (*bought(said), least(said["plan"]))
        phases.append(Phase(day, end, said["anchor"], items, free=said["free"], paused=True))
        charged |= {day + timedelta(days=n): said for n in range(lasts) if not said["free"]}
        day = end

    def usage(_meter: str, start: date, end: date) -> D:
        return D(sum(units for on, units in calls.items() if start <= on < end))

    entries = owed(
        Timeline(tuple(phases)), since=date(2020, 1, 1), until=day + timedelta(days=800), usage=usage
    )
    off = abs(sum(entry.net for entry in entries) - with_minimum(charged, calls))
    assert off <= F(len(entries) * 3, 2)


unhurried = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.sampled_from(["month", "month", "year"]),
        "quantity": st.integers(1, 9),
        "discount": st.sampled_from([None, "third", "seats fifth", "calls half", ("third", "seats fifth")]),
        "free": st.sampled_from([False, False, False, True]),
        "anchor": st.sampled_from([START, START, START + timedelta(days=40), date(2024, 2, 29)]),
        "prorate": st.booleans(),
    }
)


def paid_to_the_end(
    life: list[tuple[int, dict[str, Any]]],
) -> tuple[dict[date, dict[str, Any]], dict[date, dict[str, Any]]]:
    """The terms of each day for recurring prices and for usage. What does not prorate leaves the terms before it until
    the period is over that was paid for; of its own it brings the usage. What lasts no day has begun on its day."""
    recurring: dict[date, dict[str, Any]] = {}
    used: dict[date, dict[str, Any]] = {}
    kept: dict[str, Any] | None = None
    begun: date | None = None
    day = START
    for lasts, said in life:
        until = day
        if kept and not said["prorate"]:
            start, end = days.period(day, kept["anchor"], kept["interval"])
            until = day if start == day != begun else end
        if not lasts and not said["free"]:
            begun, kept = day, kept if day < until else said
        for on in [day + timedelta(days=n) for n in range(lasts)]:
            if on < until and kept:
                recurring[on] = kept
            else:
                kept = None if said["free"] else said
                recurring |= {on: said} if kept else {}
            if not said["free"]:
                used[on] = {**recurring[on], "plan": said["plan"]}
        day += timedelta(days=lasts)
    return recurring, used


@given(st.lists(st.tuples(st.sampled_from([0, *range(1, 70)]), unhurried), min_size=1, max_size=6), usages)
def test_a_change_that_does_not_prorate_waits_for_the_end_of_what_is_paid(
    life: list[tuple[int, dict[str, Any]]], used: dict[int, int]
) -> None:
    calls = {START + timedelta(days=n): units for n, units in used.items()}
    phases, day = [], START
    for lasts, said in life:
        end = day + timedelta(days=lasts)
        phases.append(
            Phase(
                day, end, said["anchor"], bought(said), discount(said["discount"]), said["free"], said["prorate"], True
            )
        )  # fmt: skip
        day = end

    def usage(_meter: str, start: date, end: date) -> D:
        return D(sum(units for on, units in calls.items() if start <= on < end))

    entries = owed(
        Timeline(tuple(phases)), since=date(2020, 1, 1), until=day + timedelta(days=800), usage=usage
    )
    charged, measured = paid_to_the_end(life)
    cost = sum((days.recurring(day, terms) for day, terms in charged.items()), F(0))
    off = abs(sum(entry.net for entry in entries) - cost - days.used_up(measured, calls))
    assert off <= F(len(entries) * 3, 2)
