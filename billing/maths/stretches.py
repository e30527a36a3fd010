"""Cutting a timeline into stretches, and what each of them claims.

A *stretch* is a piece of one notional period of one price in which the terms stay the same. A *claim* is a
statement that the stretch makes: from when to when, and when it falls due. Nothing is priced here.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from billing.maths.discounts import Discount, taken
from billing.maths.periods import ONE_DAY, Cycle, Period
from billing.maths.phases import Item, Phase, Timeline, discounted
from billing.maths.pricing import WHOLE, Billed, PriceKind
from billing.maths.proration import prorated

ADVANCE = "advance"
ARREARS = "arrears"
CREDIT = "credit"

type Piece = tuple[Period, date, date, bool]


class Stretch(NamedTuple):
    """`off`: what each step of the discount that is fixed takes off the item's whole period; empty without any.
    `opens`: no earlier day of it was paid for."""

    item: Item
    discount: Discount | None
    off: tuple[int, ...]
    period: Period
    start: date
    end: date
    opens: bool

    def goes_on_in(self, other: "Stretch") -> bool:
        """Whether the other takes up where this one ends, on the same terms, in the same period."""
        return self.end == other.start and self.end < self.period.end and self.terms == other.terms

    @property
    def terms(self) -> tuple[Item, Discount | None, tuple[int, ...], Period]:
        return self[:4]


class Claim(NamedTuple):
    """The terms of a stretch, for some days of its period. `whole`: all of the period, whatever the days; of usage
    what is bounded in a period, since the rest is measured. `shared`: what each fixed step of the discount takes off
    usage, once it is known what all of it came to. `beyond`: the earlier stretch of the period with the most units, where
    only what goes beyond it is charged."""

    item: Item
    discount: Discount | None
    off: tuple[int, ...]
    period: Period
    kind: str
    start: date
    end: date
    due_on: date
    whole: bool = False
    shared: tuple[int, ...] = ()
    beyond: Stretch | None = None

    @property
    def days(self) -> int:
        """The days charged for."""
        return self.period.days if self.whole else (self.end - self.start).days

    @property
    def fixed_steps(self) -> bool:
        """Whether its discount has a fixed amount."""
        return self.discount is not None and self.discount.fixed

    def steps(self, gross: int) -> list[int]:
        """What each step of the discount takes off an amount of this claim, in minor units."""
        if self.discount is None:
            return []
        fixed = self.shared or [prorated((off, 1), self.days, self.period.days) for off in self._offs]
        return list(taken(gross, self.discount, fixed, self.item.price))

    @property
    def _offs(self) -> Sequence[int]:
        """What each fixed step takes off the whole period, less what it took off the stretch that this goes beyond."""
        had = self.beyond
        if had is None or had.discount != self.discount:
            return self.off
        return [max(off - before, 0) for off, before in zip(self.off, had.off, strict=True)]

    @property
    def portion(self) -> Fraction:
        """The days charged for, as a part of the period."""
        days, of_days = self.days, self.period.days
        return WHOLE if days == of_days else Fraction(days, of_days)


def claims(timeline: Timeline, since: date, until: date) -> list[Claim]:
    """Every claim due by `until`, and some due later, of periods that end after `since`; price by price."""
    bare = timeline.bare
    return (
        _cut_up(timeline, since, until)
        if bare is None
        else _on_terms_of(timeline.phases[0], bare, since, until)
    )


def _on_terms_of(phase: Phase, bare: Timeline, since: date, until: date) -> list[Claim]:
    """The claims of the bare timeline with the quantities and the discount of its phase."""
    once = [item for item in phase.items if item.price.kind == PriceKind.ONE_TIME]
    terms: dict[str, tuple[Item, Discount | None, tuple[int, ...]]]
    terms = {item.price.key: (item, discount, ()) for item, discount, _ in discounted(once, phase.discount)}
    terms |= {found[0].price.key: found for found in discounted(phase.cycling, phase.discount)}
    return [
        Claim._make((*terms[claim.item.price.key], *claim[3:])) for claim in _bare_claims(bare, since, until)
    ]


@lru_cache(maxsize=2048)
def _bare_claims(bare: Timeline, since: date, until: date) -> tuple[Claim, ...]:
    return tuple(_cut_up(bare, since, until))


def _cut_up(timeline: Timeline, since: date, until: date) -> list[Claim]:
    found: list[Claim] = []
    for stretches in _by_price(timeline, since, until):
        for stretch, most in _with_most(_merged(stretches)):
            found += _claims_of(timeline, stretch, most)
    found += _one_time(timeline, since)
    return found


def _by_price(timeline: Timeline, since: date, until: date) -> Iterable[list[Stretch]]:
    rows: dict[str, list[Stretch]] = {}
    reach = until
    for phase in timeline.phases:
        if phase.start > reach:
            break
        if phase.costs:
            periods = _cut(timeline, phase, since, max(until, phase.start), rows)
            if phase.start <= until:
                reach = max((reach, *(period.end for period in periods)))
        elif phase.trial:
            _cut_trial(timeline, phase, since, rows)
    return rows.values()


def _cut_trial(timeline: Timeline, phase: Phase, since: date, rows: dict[str, list[Stretch]]) -> None:
    """Add what a trial asks for: the usage of items that are not wholly free in it. All of the trial is one period."""
    items = phase.tried
    whole = _trial_around(timeline, phase) if items and phase.start != phase.end else []
    if not whole or phase.end is None or whole[-1].end is None:
        return
    for item in phase.cycling:
        rows.setdefault(item.price.key, [])  # papers keep the order of the items
    for item in items:
        period = Period(whole[0].start, _closed_on(item, whole[-1], whole[-1].end))
        if period.end > since:
            [terms] = discounted([item], phase.discount)
            rows[item.price.key].append(Stretch(*terms, period, phase.start, phase.end, True))


def _trial_around(timeline: Timeline, phase: Phase) -> list[Phase]:
    """The phases of the whole trial that the phase is a part of."""
    at = timeline.phases.index(phase)
    before = list(takewhile(lambda each: each.trial, reversed(timeline.phases[:at])))
    return [*reversed(before), *takewhile(lambda each: each.trial, timeline.phases[at:])]


def _closed_on(item: Item, last: Phase, end: date) -> date:
    """When usage of a trial can come no more: events are taken by the periods of the meter, and the one in which the
    trial ends may go on after it."""
    return item.cycle(last.anchor).period_at(end - ONE_DAY).end


def _trial_end(timeline: Timeline, day: date) -> date:
    """The day after the trial that holds the day."""
    phases = takewhile(
        lambda each: each.trial, (each for each in timeline.phases if each.end is None or each.end > day)
    )
    return max((each.end for each in phases if each.end is not None), default=day)


def _cut(
    timeline: Timeline, phase: Phase, since: date, until: date, rows: dict[str, list[Stretch]]
) -> list[Period]:
    """Add the stretches of a phase: one for each item and notional period. Answers the last period of each interval:
    what began by `until` may go on in it, in a later phase on equal terms, and stop there.
    """
    pieces: dict[str | None, list[Piece]] = {}  # items of one interval share their periods
    for item, discount, off in discounted(phase.cycling, phase.discount):
        interval = item.price.interval
        if interval not in pieces:
            pieces[interval] = _pieces(timeline, phase, item.cycle(phase.anchor), since, until)
        row = rows.setdefault(item.price.key, [])
        row += [Stretch(item, discount, off, *piece) for piece in pieces[interval]]
    return [found[-1][0] for found in pieces.values() if found]


def _pieces(timeline: Timeline, phase: Phase, cycle: Cycle, since: date, until: date) -> list[Piece]:
    """The notional periods that end after `since`, with the days of the phase in each."""
    found: list[Piece] = []
    end = until + ONE_DAY if phase.end is None else min(phase.end, until + ONE_DAY)
    first = max(phase.start, min(since, end - ONE_DAY))
    for period in cycle.periods(first, end):
        if period.end > since:
            start = max(phase.start, period.start)
            stop = period.end if phase.end is None else min(phase.end, period.end)
            opens = start == period.start or _unpaid(timeline, period.start, start)
            found.append((period, start, stop, opens))
    return found


def _unpaid(timeline: Timeline, start: date, end: date) -> bool:
    """Whether [start, end) has no paid recurring item: before the subscription, on trial, in a pause."""
    return not any(
        phase.start < end
        and (phase.end is None or phase.end > start)
        and phase.costs
        and any(item.recurring for item in phase.items)
        for phase in timeline.phases
    )


def _with_most(stretches: list[Stretch]) -> Iterator[tuple[Stretch, Stretch | None]]:
    """Each stretch with the one before it in its period that had the most units."""
    most: Stretch | None = None
    for stretch in stretches:
        if most is not None and most.period != stretch.period:
            most = None
        yield stretch, most
        if most is None or stretch.item.quantity > most.item.quantity:
            most = stretch


def _merged(stretches: list[Stretch]) -> list[Stretch]:
    """Neighbours on equal terms are one stretch, whatever phases they come from."""
    merged: list[Stretch] = []
    for stretch in stretches:
        if merged and merged[-1].goes_on_in(stretch):
            merged[-1] = merged[-1]._replace(end=stretch.end)
        else:
            merged.append(stretch)
    return merged


def _claims_of(timeline: Timeline, stretch: Stretch, most: Stretch | None) -> list[Claim]:
    price = stretch.item.price
    usage = price.kind == PriceKind.USAGE
    if stretch.item.trial:
        due_on = _trial_end(timeline, stretch.start)
        return [Claim(*stretch.terms, ARREARS, stretch.start, stretch.end, due_on, True)]
    if not price.prorate and not usage:
        return _whole(timeline, stretch, most)
    if usage or price.billed == Billed.ARREARS:
        bounded_whole = not price.prorate and stretch.opens
        due_on = _settled_on(timeline, stretch)
        return [Claim(*stretch.terms, ARREARS, stretch.start, stretch.end, due_on, bounded_whole)]
    return _advance(timeline, stretch)


def _advance(timeline: Timeline, stretch: Stretch) -> list[Claim]:
    """From the start to the period's end. What a change leaves unused is given back on the day of the change;
    what lies beyond the subscription's end, together with the charge: an end that is known when the charge falls
    due is not paid for first.
    """
    start, stop, end = stretch.start, stretch.end, stretch.period.end
    charge = Claim(*stretch.terms, ADVANCE, start, end, start)
    if stop == end:
        return [charge]
    if stop != timeline.end:
        return [charge, Claim(*stretch.terms, CREDIT, stop, end, stop)]
    if not timeline.credit_unused:
        return [charge]
    known = timeline.known_on is None or timeline.known_on < start
    return [charge, Claim(*stretch.terms, CREDIT, stop, end, start if known else stop)]


def _whole(timeline: Timeline, stretch: Stretch, most: Stretch | None) -> list[Claim]:
    """Not prorated: the first paid stretch of a period costs all of it. A change inside costs nothing, but for units
    beyond the most that there were before in it: they cost all of it too."""
    more = most is not None and stretch.item.quantity > most.item.quantity
    if not (more or (most is None and stretch.opens)):
        return []
    if stretch.item.price.billed == Billed.ARREARS:
        kind, end, due_on = ARREARS, stretch.end, _settled_on(timeline, stretch)
    else:
        kind, end, due_on = ADVANCE, stretch.period.end, stretch.start
    return [Claim(*stretch.terms, kind, stretch.start, end, due_on, True, beyond=most)]


def _settled_on(timeline: Timeline, stretch: Stretch) -> date:
    """Arrears wait for their period's end; a new cycle or the subscription's end settles them at once."""
    period = stretch.period
    if stretch.end == period.end:
        return period.end
    for phase in timeline.phases:
        starts_inside = stretch.end <= phase.start < period.end and phase.start != phase.end
        if starts_inside and stretch.item.cycle(phase.anchor).period_at(phase.start) != period:
            return phase.start
    return period.end if timeline.end is None else min(period.end, timeline.end)


def _one_time(timeline: Timeline, since: date) -> Iterator[Claim]:
    """Once, on the first day of the first phase that has the price and costs something."""
    seen: set[str] = set()
    for phase in timeline.phases:
        for item in phase.items if phase.costs else ():
            if item.price.kind == PriceKind.ONE_TIME and item.price.key not in seen:
                seen.add(item.price.key)
                day = Period(phase.start, phase.start + ONE_DAY)
                if day.end > since:
                    [(_, discount, _)] = discounted([item], phase.discount)
                    yield Claim(item, discount, (), day, ADVANCE, day.start, day.end, day.start, True)
