"""What is owed for a subscription: a pure function of its timeline of phases.

A timeline is a row of phases that touch. Each phase holds items (a price and a quantity). For every price the phases
are cut into *stretches*: pieces of one notional period in which the terms stay the same. An entry says what a stretch
costs. Entries are never stored as such: a paper stores lines, and `statement.difference` turns entries into lines.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Any, NamedTuple

from billing.maths.discounts import Discount, fixed_shares, percent_of
from billing.maths.money import round_half_away, round_ratio
from billing.maths.periods import MONTHS, ONE_DAY, Cycle, Interval, Period, add_months
from billing.maths.pricing import Billed, Price, PriceKind, amount_ratio, explain, spend_limits
from billing.maths.proration import Ratio, prorated

CHARGE = "charge"
CREDIT = "credit"
type Usage = Callable[[str, date, date], Decimal]


class InvalidTimeline(ValueError):
    """The phases cannot be billed as one subscription."""


class PhasesDoNotTouch(InvalidTimeline):
    """Two neighbours leave a gap, overlap, or a phase ends before it starts."""


@dataclass(frozen=True, slots=True)
class Item:
    price: Price
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Phase:
    """Terms for [start, end). `anchor` is a boundary of every item's cycle. `free`: a trial or a pause, costs nothing.
    start == end is a phase that was replaced on the day it began; it costs nothing either."""

    start: date
    end: date | None
    anchor: date
    items: tuple[Item, ...] = ()
    discount: Discount | None = None
    free: bool = False

    @property
    def costs(self) -> bool:
        return not self.free and self.start != self.end


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole life of a subscription; the end of the last phase is its end (None: it goes on).

    credit_unused: whether the end gives back what was paid in advance beyond it. Raises InvalidTimeline.
    """

    phases: tuple[Phase, ...]
    credit_unused: bool = True

    def __post_init__(self) -> None:
        _check(self.phases)

    @property
    def start(self) -> date:
        return self.phases[0].start

    @property
    def end(self) -> date | None:
        return self.phases[-1].end


class Key(NamedTuple):
    """What an entry says, without the amount. Two entries of one timeline never share a key."""

    kind: str
    price: str
    quantity: Decimal
    start: date
    end: date
    period_start: date
    discount: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement of what is owed, in minor units. A credit has negative amounts.

    `span` is what the money is for, `period` the whole notional period. `discount` lies in the direction of `gross`.
    """

    key: Key
    price_key: str
    kind: str
    quantity: Decimal
    unit_amount: Decimal
    span: Period
    period: Period
    gross: int
    discount: int
    due_on: date
    billed: str
    label: str
    explanation: dict[str, Any] = field(compare=False, repr=False)

    @property
    def net(self) -> int:
        return self.gross - self.discount


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A piece of one notional period with the same terms throughout. `opens`: nothing was paid for before it in the
    period. `off` is the part of a fixed discount that falls on a whole period of the item."""

    item: Item
    discount: Discount | None
    off: int
    period: Period
    start: date
    end: date
    opens: bool

    def goes_on_in(self, other: "_Stretch") -> bool:
        return (
            self.end == other.start
            and self.period == other.period
            and self.item == other.item
            and self.discount == other.discount
            and self.off == other.off
        )


def owed(timeline: Timeline, *, since: date, until: date, usage: Usage) -> list[Entry]:
    """Every entry due on or before `until` whose notional period ends after `since`, in time order.

    usage(meter, start, end) answers the quantity measured in [start, end) of local days. Asking again later gives the
    same entries and more; a change of the timeline changes only what it touches.
    """
    entries = [entry for entry in _entries(timeline, since, until, usage) if entry.due_on <= until]
    return sorted(entries, key=_in_time)


def next_due(timeline: Timeline, *, after: date) -> date | None:
    """The first day after `after` on which an entry falls due; None when nothing more will."""
    for phase in timeline.phases:
        if phase.end is None or phase.end > after:
            horizon = add_months(max(after, phase.start), 13)
            dues = (entry.due_on for entry in _entries(timeline, after, horizon, _no_usage))
            found = min((due for due in dues if after < due <= horizon), default=None)
            if found:
                return found
    return None


def current_period(timeline: Timeline, on: date) -> Period | None:
    """The notional period of the recurring items in force on the day, the longest if they differ."""
    phase = phase_at(timeline, on)
    if phase is None:
        return None
    periods = [
        Cycle(interval, phase.anchor).period_at(on)
        for interval in {item.price.interval for item in _cycling(phase)}
        if interval is not None
    ]
    return max(periods, key=attrgetter("days"), default=None)


def phase_at(timeline: Timeline, on: date) -> Phase | None:
    """The phase to which the day belongs."""
    for phase in timeline.phases:
        if phase.start <= on and (phase.end is None or on < phase.end):
            return phase
    return None


def mrr(items: Iterable[Item], discount: Discount | None = None) -> int:
    """Monthly recurring revenue in minor units: a year counts a twelfth, a week 52/12; rounded once."""
    return round_ratio(_per_month(tuple(items), discount))


def arr(items: Iterable[Item], discount: Discount | None = None) -> int:
    """Twelve times the exact monthly figure, rounded once (so it may differ from 12 * mrr by a few cents)."""
    return round_ratio(12 * _per_month(tuple(items), discount))


# --- stretches ---


def _entries(timeline: Timeline, since: date, until: date, usage: Usage) -> Iterator[Entry]:
    for stretches in _by_price(timeline, since, until):
        for stretch in _merged(stretches):
            yield from _said_of(timeline, stretch, usage)
    yield from _one_time(timeline, since)


def _by_price(timeline: Timeline, since: date, until: date) -> Iterator[list[_Stretch]]:
    rows: dict[str, list[_Stretch]] = {}
    for phase in timeline.phases:
        if phase.start > until:
            break
        if phase.costs:
            for item, off in zip(_cycling(phase), _offs(phase), strict=True):
                rows.setdefault(item.price.key, []).extend(_cut(timeline, phase, item, off, since, until))
    yield from rows.values()


def _cut(
    timeline: Timeline, phase: Phase, item: Item, off: int, since: date, until: date
) -> Iterator[_Stretch]:
    """The item's stretches in one phase: one for each notional period that ends after `since`."""
    assert item.price.interval is not None
    last = until + ONE_DAY if phase.end is None else min(phase.end, until + ONE_DAY)
    first = max(phase.start, min(since, last - ONE_DAY))
    for period in Cycle(item.price.interval, phase.anchor).periods(first, last):
        if period.end > since:
            start = max(phase.start, period.start)
            end = period.end if phase.end is None else min(phase.end, period.end)
            opens = start == period.start or _unpaid(timeline, period.start, start)
            yield _Stretch(item, phase.discount, off, period, start, end, opens)


def _merged(stretches: list[_Stretch]) -> Iterator[_Stretch]:
    """Neighbours of equal terms are one stretch, whatever phases they come from."""
    current: _Stretch | None = None
    for stretch in stretches:
        if current is None:
            current = stretch
        elif current.goes_on_in(stretch):
            current = _Stretch(*_terms(current), current.start, stretch.end, current.opens)
        else:
            yield current
            current = stretch
    if current is not None:
        yield current


def _terms(stretch: _Stretch) -> tuple[Item, Discount | None, int, Period]:
    return stretch.item, stretch.discount, stretch.off, stretch.period


def _unpaid(timeline: Timeline, start: date, end: date) -> bool:
    """Whether nothing was paid for in [start, end): before the subscription, or in a free phase."""
    return not any(
        phase.costs and phase.start < end and (phase.end is None or phase.end > start)
        for phase in timeline.phases
    )


# --- entries ---


def _said_of(timeline: Timeline, stretch: _Stretch, usage: Usage) -> Iterator[Entry]:
    price = stretch.item.price
    if price.kind == PriceKind.USAGE:
        yield _usage_entry(timeline, stretch, usage)
    elif price.billed == Billed.ARREARS:
        yield from _arrears(timeline, stretch)
    else:
        yield from _advance(timeline, stretch)


def _advance(timeline: Timeline, stretch: _Stretch) -> Iterator[Entry]:
    """From the start to the period's end; what a change leaves unused is given back on the day of the change."""
    if not stretch.item.price.prorate:
        if stretch.opens:
            yield _entry(stretch, CHARGE, stretch.start, stretch.period.end, stretch.start, whole=True)
        return
    yield _entry(stretch, CHARGE, stretch.start, stretch.period.end, stretch.start)
    stopped = stretch.end < stretch.period.end
    if stopped and (stretch.end != timeline.end or timeline.credit_unused):
        yield _entry(stretch, CREDIT, stretch.end, stretch.period.end, stretch.end)


def _arrears(timeline: Timeline, stretch: _Stretch) -> Iterator[Entry]:
    whole = not stretch.item.price.prorate
    if stretch.opens or not whole:
        due_on = _settled_on(timeline, stretch)
        yield _entry(stretch, CHARGE, stretch.start, stretch.end, due_on, whole=whole)


def _settled_on(timeline: Timeline, stretch: _Stretch) -> date:
    """Arrears wait for the end of their period; a new cycle or the subscription's end settles them at once."""
    period, interval = stretch.period, stretch.item.price.interval
    if stretch.end == period.end or interval is None:
        return period.end
    for phase in timeline.phases:
        if phase.start != phase.end and stretch.end <= phase.start < period.end:
            if Cycle(interval, phase.anchor).period_at(phase.start) != period:
                return phase.start
    return period.end if timeline.end is None else min(period.end, timeline.end)


def _entry(
    stretch: _Stretch, kind: str, start: date, end: date, due_on: date, *, whole: bool = False
) -> Entry:
    item, period = stretch.item, stretch.period
    sign = -1 if kind == CREDIT else 1
    days = period.days if whole else (end - start).days
    gross = sign * prorated(amount_ratio(item.price, item.quantity), days, period.days)
    off = sign * prorated((stretch.off, 1), days, period.days)
    explanation = _explained(item.price, item.quantity, days, period.days)
    return _made(stretch, kind, Period(start, end), item.quantity, gross, off, due_on, explanation)


def _usage_entry(timeline: Timeline, stretch: _Stretch, usage: Usage) -> Entry:
    """Priced for what was measured; only allowances (included, minimum, maximum) follow the days."""
    price, days, of_days = stretch.item.price, (stretch.end - stretch.start).days, stretch.period.days
    assert price.meter is not None
    quantity = usage(price.meter, stretch.start, stretch.end)
    portion = Fraction(days, of_days) if price.prorate else Fraction(1)
    gross = round_half_away(*amount_ratio(price, quantity, portion))
    explanation = _explained(price, quantity, days, of_days, portion)
    span = Period(stretch.start, stretch.end)
    return _made(stretch, CHARGE, span, quantity, gross, 0, _settled_on(timeline, stretch), explanation)


def _made(
    stretch: _Stretch,
    kind: str,
    span: Period,
    quantity: Decimal,
    gross: int,
    off: int,
    due_on: date,
    explanation: dict[str, Any],
) -> Entry:
    price, discount = stretch.item.price, stretch.discount
    said = Key(
        kind,
        price.key,
        stretch.item.quantity,
        span.start,
        span.end,
        stretch.period.start,
        discount.key if discount else "",
    )
    return Entry(
        key=said,
        price_key=price.key,
        kind=kind,
        quantity=quantity,
        unit_amount=price.unit_amount,
        span=span,
        period=stretch.period,
        gross=gross,
        discount=off + (percent_of(gross, discount) if discount else 0),
        due_on=due_on,
        billed=price.billed,
        label=price.label,
        explanation=explanation,
    )


def _one_time(timeline: Timeline, since: date) -> Iterator[Entry]:
    """Once, on the first day of the first phase that has the price and costs something."""
    seen: set[str] = set()
    for phase in timeline.phases:
        if not phase.costs:
            continue
        for item in phase.items:
            if item.price.kind == PriceKind.ONE_TIME and item.price.key not in seen:
                seen.add(item.price.key)
                day = Period(phase.start, phase.start + ONE_DAY)
                if day.end > since:
                    stretch = _Stretch(item, phase.discount, 0, day, day.start, day.end, True)
                    yield _entry(stretch, CHARGE, day.start, day.end, phase.start)


def _explained(
    price: Price, quantity: Decimal, days: int, of_days: int, portion: Fraction = Fraction(1)
) -> dict[str, Any]:
    explanation: dict[str, Any] = {
        "days": days,
        "of_days": of_days,
        "quantity": str(quantity),
        "unit": str(price.unit_amount),
        "tiers": [],
        "rounding": "half away from zero, once",
        "policy": _policy(price),
    }
    if price.tiers:
        explanation["tiers"] = [_tier_words(row) for row in explain(price, quantity, portion)]
    if price.minimum is not None or price.maximum is not None:
        least, most = spend_limits(price, portion)
        explanation["minimum"] = None if least is None else round_ratio(least)
        explanation["maximum"] = None if most is None else round_ratio(most)
    return explanation


def _tier_words(row: Any) -> dict[str, str | None]:
    return {
        "from": str(row.start),
        "to": None if row.end is None else str(row.end),
        "quantity": str(row.quantity),
        "unit_amount": str(row.unit_amount),
        "flat_amount": str(row.flat_amount),
        "amount": str(row.amount),
    }


def _policy(price: Price) -> str:
    if price.kind == PriceKind.USAGE:
        return "usage"
    if price.kind == PriceKind.ONE_TIME:
        return "once"
    return str(price.billed) if price.prorate else "whole"


# --- small parts ---


def _cycling(phase: Phase) -> list[Item]:
    return [item for item in phase.items if item.price.kind != PriceKind.ONE_TIME]


def _offs(phase: Phase) -> list[int]:
    """The fixed discount's part of each cycling item's full period; usage takes none."""
    items = _cycling(phase)
    if phase.discount is None or phase.discount.amount_off is None:
        return [0] * len(items)
    weights = [_full(item) if item.price.kind == PriceKind.RECURRING else 0 for item in items]
    return fixed_shares(phase.discount, weights)


def _full(item: Item) -> int:
    return round_half_away(*amount_ratio(item.price, item.quantity))


def _per_month(items: tuple[Item, ...], discount: Discount | None) -> Fraction:
    recurring = [item for item in items if item.price.kind == PriceKind.RECURRING]
    offs = fixed_shares(discount, [_full(item) for item in recurring]) if discount else [0] * len(recurring)
    kept = 1 - Fraction(discount.percent_off or 0) / 100 if discount else Fraction(1)
    total = Fraction(0)
    for item, off in zip(recurring, offs, strict=True):
        whole = Fraction(*amount_ratio(item.price, item.quantity)) * kept - off
        total += whole / _months(item.price.interval)
    return total


def _months(interval: Interval | None) -> Fraction:
    if interval is None or interval == Interval.WEEK:
        return Fraction(12, 52)
    return Fraction(MONTHS[interval])


def _in_time(entry: Entry) -> tuple[date, bool]:
    return entry.due_on, entry.kind == CHARGE


def _no_usage(_meter: str, _start: date, _end: date) -> Decimal:
    return Decimal(0)


def _check(phases: tuple[Phase, ...]) -> None:
    if not phases:
        raise InvalidTimeline("A timeline has at least one phase.")
    for phase in phases:
        if phase.end is not None and phase.end < phase.start:
            raise PhasesDoNotTouch(f"The phase of {phase.start} ends before it starts.")
        keys = [item.price.key for item in phase.items]
        if len(set(keys)) != len(keys):
            raise InvalidTimeline(f"The phase of {phase.start} has a price twice.")
    for left, right in zip(phases, phases[1:], strict=False):
        if left.end != right.start:
            raise PhasesDoNotTouch(f"A phase ends on {left.end} and the next starts on {right.start}.")
    if len({item.price.currency for phase in phases for item in phase.items}) > 1:
        raise InvalidTimeline("The prices of a timeline are in one currency.")
