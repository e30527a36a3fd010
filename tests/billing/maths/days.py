"""What prices cost, counted day by day in exact fractions: an answer that knows nothing of stretches and papers.

Two plans with seats in advance, a base price in arrears and a meter by the month, and some discounts. Each day that is
paid for has its terms: plan, interval, quantity, anchor, discount.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

DAY = timedelta(days=1)
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
    "seats fifth": {"percent_off": 20, "only": "seat"},
    "seats amount once": {"amount_off": 5000, "only": "seat", "duration": "once"},
    "calls half": {"percent_off": 50, "only": "calls"},
    "calls amount": {"amount_off": 450, "only": "calls"},
}

type Given = str | tuple[str, ...] | None
type Charged = Mapping[date, Mapping[str, Any]]


def cost(charged: Charged, calls: Mapping[date, int]) -> Fraction:
    """What the days cost together, in minor units; `calls` is what was used on each."""
    return sum((recurring(day, terms) for day, terms in charged.items()), Fraction(0)) + used_up(
        charged, calls
    )


def used_up(charged: Charged, calls: Mapping[date, int]) -> Fraction:
    """Usage: by runs of days on one plan with one discount in one month of the cycle."""
    runs: dict[Any, list[date]] = {}
    number, last, before = count(), None, None
    for day, terms in charged.items():
        same = (period(day, terms["anchor"], "month"), terms["plan"], _of_calls(terms["discount"]))
        key = last if last and before == day - DAY and last[1:] == same else (next(number), *same)
        runs.setdefault(key, []).append(day)
        last, before = key, day
    come_to: dict[Any, Fraction] = defaultdict(Fraction)
    for (_, within, plan, discount), days in runs.items():
        units = sum(calls.get(day, 0) for day in days)
        come_to[discount, within] += usage(plan, units, Fraction(len(days), (within[1] - within[0]).days))
    return sum((_off_usage(charged, *key, amount) for key, amount in come_to.items()), Fraction(0))


def stack(discount: Given) -> tuple[str, ...]:
    """The names of what is taken off, one after the other."""
    return (discount,) if isinstance(discount, str) else discount or ()


def _of_calls(discount: Given) -> tuple[str, ...]:
    """The discounts of a day, if any is for usage."""
    names = stack(discount)
    return names if any(DISCOUNTS[name].get("only") != "seat" for name in names) else ()


def _off_usage(charged: Charged, names: tuple[str, ...], within: Any, amount: Fraction) -> Fraction:
    """Less percentages, and less what the recurring prices of the days with these discounts leave of an amount."""
    for name in names:
        said = DISCOUNTS[name]
        if said.get("only") == "seat":
            continue
        if "percent_off" in said:
            amount *= 1 - Fraction(said["percent_off"]) / 100
            continue
        left = Fraction(0)
        for day, terms in charged.items():
            here = period(day, terms["anchor"], "month") == within and _of_calls(terms["discount"]) == names
            if here and (said.get("only") == "calls" or terms["interval"] == "month"):
                rest = said["amount_off"] - _recurring(terms)[1].get(name, 0)
                left += Fraction(rest, (within[1] - within[0]).days)
        amount -= min(left, amount)
    return amount


def _recurring(terms: Mapping[str, Any]) -> tuple[Fraction, dict[str, Fraction]]:
    """What is left of the recurring prices of a whole period, and what each amount took off them: each discount off what
    those before it left, an amount in proportion to that."""
    which = terms["plan"], terms["interval"]
    left = {"seat": Fraction(SEAT[which] * terms["quantity"]), "base": Fraction(BASE[which])}
    taken: dict[str, Fraction] = {}
    for name in stack(terms["discount"]):
        said = DISCOUNTS[name]
        reached = {each: left[each] for each in left if said.get("only") in (None, each)}
        whole = sum(reached.values(), Fraction(0))
        off = whole * Fraction(said.get("percent_off", 0)) / 100
        if "amount_off" in said:
            off = taken[name] = min(Fraction(said["amount_off"]), whole)
        left |= {each: part - off * part / whole for each, part in reached.items() if whole}
    return sum(left.values(), Fraction(0)), taken


def recurring(day: date, terms: Mapping[str, Any]) -> Fraction:
    """What the recurring prices of a day cost."""
    start, end = period(day, terms["anchor"], terms["interval"])
    return _recurring(terms)[0] / (end - start).days


def usage(plan: str, units: int, portion: Fraction) -> Fraction:
    beyond, below, amount = units - INCLUDED[plan] * portion, 0, Fraction(0)
    for top, each, flat in STAIR[plan]:
        if beyond > below:
            amount += flat + each * (beyond - below if top is None else min(beyond, top) - below)
            below = top or 0
            if top is None:
                break
    return max(amount, LEAST[plan] * portion)


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
