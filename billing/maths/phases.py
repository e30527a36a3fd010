"""The timeline of a subscription: phases that touch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from billing.maths.discounts import Discount, step_shares
from billing.maths.money import round_half_away
from billing.maths.periods import Cycle, Interval, Period, recent_anchor
from billing.maths.pricing import Price, PriceKind, amount_ratio, in_trial

# What stays until the period that is paid for ends, where a change does not prorate.
KEPT = (PriceKind.RECURRING, PriceKind.MINIMUM)


class InvalidTimeline(ValueError):
    """The phases cannot be billed as one subscription."""


class PhasesDoNotTouch(InvalidTimeline):
    """Two neighbours leave a gap or overlap, or a phase ends before it starts."""


@dataclass(frozen=True, slots=True)
class Item:
    """A price and how many of it. A usage price is charged by its meter, whatever the quantity.

    trial: it is a usage price as it holds in a trial (`pricing.in_trial`).
    """

    price: Price
    quantity: Decimal = Decimal(1)
    trial: bool = False

    def __hash__(self) -> int:
        return hash((self.price.key, self.quantity))

    @property
    def recurring(self) -> bool:
        return self.price.kind == PriceKind.RECURRING

    def cycle(self, anchor: date) -> Cycle:
        """The row of notional periods of a recurring or usage item."""
        if self.price.interval is None:
            raise InvalidTimeline(f"{self.price.key} is charged once and has no periods.")
        return Cycle(self.price.interval, anchor)


@dataclass(frozen=True, slots=True)
class Phase:
    """Terms for [start, end). `anchor` is a boundary of the cycle of every item.

    free: a trial or a pause, costs nothing. start == end: replaced on the day it began, costs nothing either.
    paused: what is free is a pause; in a trial usage may cost something (`tried`).
    prorate: False for a change that moves no money before the period ends (see `in_force`).
    """

    start: date
    end: date | None
    anchor: date
    items: tuple[Item, ...] = ()
    discount: Discount | None = None
    free: bool = False
    prorate: bool = True
    paused: bool = False
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.start, self.end, self.anchor, self.items)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def costs(self) -> bool:
        return not self.free and self.start != self.end

    @property
    def cycling(self) -> list[Item]:
        """The items that come back: recurring and usage."""
        return [item for item in self.items if item.price.kind != PriceKind.ONE_TIME]

    @property
    def trial(self) -> bool:
        return self.free and not self.paused

    @property
    def tried(self) -> list[Item]:
        """The usage items that cost something in a trial, as they do there."""
        charged = ((item, in_trial(item.price)) for item in self.items)
        return [Item(price, item.quantity, trial=True) for item, price in charged if price]

    def interval_of(self, discount: Discount) -> str | None:
        """Of what a discount is for: the longest interval of the recurring items; failing those, of usage."""
        reached = [item for item in self.cycling if discount.reaches(item.price)]
        items = [item for item in reached if item.recurring] or reached
        intervals = {item.price.interval for item in items if item.price.interval}
        return str(max(intervals, key=list(Interval).index)) if intervals else None

    def __contains__(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day < self.end)

    def period_at(self, day: date) -> Period | None:
        """The notional period of the recurring items (failing those, of usage); of several, the longest."""
        items = [item for item in self.items if item.recurring] or self.cycling
        cycles = {item.cycle(self.anchor) for item in items}
        return max((cycle.period_at(day) for cycle in cycles), key=lambda period: period.days, default=None)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The life of a subscription; the end of the last phase is its end (None: it goes on).

    credit_unused: whether its end gives back what was paid in advance beyond it. known_on: the day on which the
    end was decided; what was charged up to then is given back at the end, what is charged later with its charge
    (None: always known). Raises InvalidTimeline.
    """

    phases: tuple[Phase, ...]
    credit_unused: bool = True
    known_on: date | None = None

    def __post_init__(self) -> None:
        _check(self.phases)

    def __hash__(self) -> int:
        return hash(self.phases)

    @property
    def bare(self) -> "Timeline | None":
        """The same with one of each item and no discount, if it is of one phase that is not free: when something falls
        due, and for which days, is then the same. None for any other."""
        if len(self.phases) != 1 or self.phases[0].free:
            return None
        only = self.phases[0]
        prices = tuple(item.price for item in only.items)
        return _bare(
            only.start, only.end, only.anchor, only.prorate, prices, self.credit_unused, self.known_on
        )

    def recent(self, day: date) -> "Timeline":
        """The same for periods that end after the day, as if it had begun no earlier than they: so those that began at
        different times are equal. Itself if it is of several phases, free, or has anything that is paid once.
        """
        only = self.phases[0]
        intervals = tuple([item.price.interval for item in only.items if item.price.interval is not None])
        if len(self.phases) > 1 or only.free or not intervals or len(intervals) < len(only.items):
            return self
        anchor = recent_anchor(only.anchor, intervals, day)
        if anchor > day or (only.end is not None and only.end <= anchor):
            return self
        start = max(only.start, anchor)
        return _of_one(
            start,
            only.end,
            anchor,
            only.items,
            only.discount,
            only.prorate,
            self.credit_unused,
            self.known_on,
        )

    @property
    def start(self) -> date:
        return self.phases[0].start

    @property
    def end(self) -> date | None:
        return self.phases[-1].end

    def phase_at(self, day: date) -> Phase | None:
        return next((phase for phase in self.phases if day in phase), None)


# A billing run meets the same few days and prices under thousands of quantities.
@lru_cache(maxsize=2048)
def _bare(
    start: date,
    end: date | None,
    anchor: date,
    prorate: bool,
    prices: tuple[Price, ...],
    credit_unused: bool,
    known_on: date | None,
) -> Timeline:
    only = Phase(start, end, anchor, tuple(Item(price) for price in prices), prorate=prorate)
    return Timeline((only,), credit_unused, known_on)


@lru_cache(maxsize=2048)
def _of_one(
    start: date,
    end: date | None,
    anchor: date,
    items: tuple[Item, ...],
    discount: Discount | None,
    prorate: bool,
    credit_unused: bool,
    known_on: date | None,
) -> Timeline:
    only = Phase(start, end, anchor, items, discount, prorate=prorate)
    return Timeline((only,), credit_unused, known_on)


def full_amount(item: Item) -> int:
    """A whole period of the item, in minor units."""
    return round_half_away(*amount_ratio(item.price, item.quantity))


def fixed_offs(items: Sequence[Item], discount: Discount | None) -> list[tuple[int, ...]]:
    """What the fixed steps of a discount take off a whole period of each item; only recurring items share them.
    Empty without any."""
    if discount is None or not discount.fixed:
        return [()] * len(items)
    amounts = [full_amount(item) if item.recurring else 0 for item in items]
    return step_shares(discount, [item.price for item in items], amounts)


def discounted(
    items: Sequence[Item], discount: Discount | None
) -> list[tuple[Item, Discount | None, tuple[int, ...]]]:
    """Each item with the discount, if any of that is for it, and what its fixed steps take off a whole period."""
    return [
        (item, discount, offs) if discount is None or discount.reaches(item.price) else (item, None, ())
        for item, offs in zip(items, fixed_offs(items, discount), strict=True)
    ]


def left_for_usage(phase: Phase, interval: str) -> list[int]:
    """What the recurring items of a phase leave of each fixed step of its discount for usage of an interval, in minor
    units of a whole period; zero where a step is a percentage, or for another interval."""
    assert phase.discount is not None
    taken = fixed_offs([item for item in phase.items if item.recurring], phase.discount)
    return [
        (step.amount_off or 0) - sum(offs[n] for offs in taken) if phase.interval_of(step) == interval else 0
        for n, step in enumerate(phase.discount.steps)
    ]


def in_force(timeline: Timeline) -> Timeline:
    """The timeline as it is charged: where a phase does not prorate, the recurring items, the minimum spend and the
    discount of the phase before stay until their period ends, and the new ones begin there. Usage and one-time items
    begin at once. Where the phase before begins (without a day) on the first day of a period, that period is its own.
    """
    if all(phase.prorate for phase in timeline.phases):
        return timeline
    phases: list[Phase] = []
    before: Phase | None = None
    for phase in timeline.phases:
        charged = list(_bridged(before, phase))
        if phase.start != phase.end:
            phases += charged
            before = charged[-1]
        elif not phase.free:
            before = charged[0]  # it had begun when it was replaced
    return replace(timeline, phases=tuple(phases) or timeline.phases)


def _bridged(before: Phase | None, phase: Phase) -> Iterator[Phase]:
    paid = before.period_at(phase.start) if before and not before.free and not phase.prorate else None
    if before is None or paid is None or (paid.start == phase.start != before.start):
        yield phase
        return
    until = paid.end if phase.end is None else min(paid.end, phase.end)
    kept = tuple(item for item in before.items if item.price.kind in KEPT)
    fresh = tuple(item for item in phase.items if item.price.kind not in KEPT and not phase.free)
    yield replace(before, start=phase.start, end=until, items=kept + fresh)
    if until != phase.end:
        yield replace(phase, start=until)


def _check(phases: tuple[Phase, ...]) -> None:
    if not phases:
        raise InvalidTimeline("A timeline has at least one phase.")
    for left, right in pairwise(phases):
        if left.end != right.start:
            raise PhasesDoNotTouch(f"A phase ends on {left.end} and the next starts on {right.start}.")
    currency = next((item.price.currency for phase in phases for item in phase.items), "")
    for phase in phases:
        _check_phase(phase, currency)


def _check_phase(phase: Phase, currency: str) -> None:
    if phase.end is not None and phase.end < phase.start:
        raise PhasesDoNotTouch(f"The phase of {phase.start} ends before it starts.")
    if len({item.price.key for item in phase.items}) != len(phase.items):
        raise InvalidTimeline(f"The phase of {phase.start} has a price twice.")
    for item in phase.items:
        if item.price.currency != currency:
            raise InvalidTimeline(f"{item.price.key} is in {item.price.currency}, not in {currency}.")
