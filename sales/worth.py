"""What an upgrade is worth to a customer: twelve months as they are against twelve months on a higher plan.

Both sides are rated by the code that writes the invoices. Usage is projected from the last three full months, growing as
it did over the three before them; what was assumed is shown with the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from billing import subscribing, timelines
from billing.maths import timeline
from billing.maths.money import round_ratio
from billing.maths.periods import add_months, local_date
from billing.models import Plan, Subscription
from billing.refusals import Refused
from billing.timelines import PhaseSpec
from sales import drafting

YEAR, LOOKED = 12, 36
MOST_GROWTH = Decimal("1.2")
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Projection:
    """A meter's use: `monthly` at the start, times `growth` each month."""

    meter: str
    name: str
    monthly: Decimal
    growth: Decimal

    def quantity(self, start: date, end: date, since: date) -> Decimal:
        """What is used in [start, end), counted in mean months from `since`."""
        months = Decimal((end - start).days) * YEAR / Decimal("365.25")
        ahead = max(Decimal((start - since).days) * YEAR / Decimal("365.25"), Decimal(0))
        return (self.monthly * months * self.growth**ahead).quantize(ONE, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Option:
    """What twelve months cost, net, minor units; `saves` against staying (below zero: it costs more).

    `pays_from`: the first day of the month from which on no month costs more than staying; None within three years.
    """

    label: str
    plan: str
    cost: int
    saves: int
    pays_from: date | None


@dataclass(frozen=True, slots=True)
class Worth:
    """Staying, and the options; from the end of the paid period on. MRR is what is committed today."""

    currency: str
    start_on: date
    mrr: int
    seats: Decimal
    stay: Option
    options: tuple[Option, ...]
    projections: tuple[Projection, ...]


# -- Projecting: pure --------------------------------------------------------------------------------------


def project(meter: str, name: str, months: Sequence[Decimal]) -> Projection:
    """From full months, oldest first: the mean of the last three, growing as from the three before, at most a fifth
    a month and never shrinking."""
    recent, before = months[-3:], months[-6:-3]
    mean = sum(recent, Decimal(0)) / len(recent) if recent else Decimal(0)
    earlier = sum(before, Decimal(0)) / len(before) if before else Decimal(0)
    growth = (mean / earlier) ** (ONE / 3) if earlier and mean else ONE
    return Projection(meter, name, mean, min(max(growth, ONE), MOST_GROWTH).quantize(Decimal("0.0001")))


type Months = list[Fraction]


def by_month(spec: PhaseSpec, start: date, projections: Mapping[str, Projection]) -> Months:
    """What each of the next 36 months costs on these terms (minor units): an entry is spread over its months."""
    until = add_months(start, LOOKED)

    def used(meter: str, first: date, end: date) -> Decimal:
        known = projections.get(meter)
        return known.quantity(first, end, start) if known else Decimal(0)

    pure = timelines.timeline_of([spec], credit_unused=False)
    months = [Fraction(0)] * LOOKED
    grid = [add_months(start, n) for n in range(LOOKED + 1)]
    for entry in timeline.owed(pure, since=start, until=add_months(until, YEAR), usage=used):
        covered = [n for n in range(LOOKED) if entry.span.start <= grid[n] < entry.span.end]
        for n in covered:
            months[n] += Fraction(entry.net, _length(entry.span.start, entry.span.end))
    return months


def _length(start: date, end: date) -> int:
    """Whole months of a billing interval."""
    return max((end.year - start.year) * YEAR + end.month - start.month, 1)


def year_of(months: Months) -> int:
    """The first twelve months together, minor units, rounded half away from zero."""
    whole = sum(months[:YEAR], Fraction(0))
    return round_ratio(whole)


def pays_from(option: Months, stay: Months, start: date) -> date | None:
    """The first day of the month from which on no month costs more than staying; None if there is none."""
    found = None
    for n in reversed(range(LOOKED)):
        if option[n] > stay[n]:
            break
        found = add_months(start, n)
    return found


# -- Reading -------------------------------------------------------------------------------------------------


def worth(
    *, subscription: Subscription, now: datetime, plan: Plan | None = None, sold: drafting.Sold | None = None
) -> Worth | None:
    """Staying, against the next plan up by the month and by the year, for the seats in use. None for what has ended.
    `sold`, where it was read already."""
    specs = timelines.specs_of(subscription)
    today = local_date(now, subscription.timezone)
    present = timelines.spec_on(specs, today)
    if present is None or not subscription.is_live:
        return None
    customer = subscription.customer
    sold = sold or drafting.sold_to(customer)
    usage = drafting.usage_by_month(customer, now, sold.meters)
    known = {row["id"]: _projection(row) for row in usage}
    start = max(subscribing.paid_until(subscription, specs, today), today)
    seats = drafting.seats_in_use(present, sold.members)
    plan = plan or drafting.next_plan(present.plan, sold, seats=seats, usage=usage)
    staying = by_month(replace(present, start_on=start, end_on=None), start, known)
    stay = Option("Stay", present.plan.name, year_of(staying), 0, None)
    found = [_option(present, plan, name, seats, start, known, staying) for name in ("month", "year")]
    return Worth(
        customer.currency, start, subscription.mrr, seats, stay, tuple(each for each in found if each),
        tuple(each for each in known.values() if each.monthly),
    )  # fmt: skip


def _projection(row: Mapping[str, Any]) -> Projection:
    """The month that runs is not over and does not count; months before the first use do not either."""
    months = [Decimal(month["quantity"]) for month in row["months"][:-1]]
    while months and not months[0]:
        del months[0]
    return project(row["id"], row["name"], months or [Decimal(row["months"][-1]["quantity"])])


def _option(
    present: PhaseSpec, plan: Plan, interval: str, seats: Decimal, start: date,
    known: Mapping[str, Projection], staying: Months,
) -> Option | None:  # fmt: skip
    """One way to go on; None where the plan has no price for it."""
    currency = present.items[0][0].currency
    try:
        items = subscribing.choose_items(plan, interval=interval, currency=currency, quantity=seats)
    except Refused:
        return None
    spec = replace(
        present, plan=plan, items=tuple(items), start_on=start, end_on=None, anchor_on=start, discount=None
    )
    months = by_month(spec, start, known)
    cost = year_of(months)
    label = {"month": "By the month", "year": "Committed for a year"}[interval]
    return Option(label, plan.name, cost, year_of(staying) - cost, pays_from(months, staying, start))
