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
        Item(Price(f"{plan}-{interval}", *recurring, SEAT[plan, interval] * MAJOR), D(terms["quantity"])),
        Item(Price(f"{plan}-base-{interval}", *recurring, BASE[plan, interval] * MAJOR, billed=Billed.ARREARS)),
        Item(
            Price(
                f"{plan}-calls", PriceKind.USAGE, PriceModel.GRADUATED, Interval.MONTH, "USD", D(0), tiers=tiers,
                meter="calls", included=D(INCLUDED[plan]), minimum=LEAST[plan] * MAJOR or None,
            )
        ),
    )  # fmt: skip


def discount(name: str | None) -> Discount | None:
    said = DISCOUNTS[name] if name else {}
    return Discount(name, said.get("percent_off"), said.get("amount_off")) if name else None


terms = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(["small", "large"]),
        "interval": st.sampled_from(["month", "month", "year"]),
        "quantity": st.integers(1, 9),
        "discount": st.sampled_from([None, *DISCOUNTS]),
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
    assert off <= F(len(entries) * 3, 2)
