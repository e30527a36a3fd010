"""What one whole period of a price costs for a quantity: exact, unrounded, in minor units.

`amount` is the fast way (integers prepared once for each price); `explain` says the same tier by tier in
plain fractions, and a test holds them equal. A quantity of zero or less costs nothing in every model, so
the flat amount of a tier is charged only once the quantity reaches into the tier.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

from billing.maths.money import exponent, spans_at_most
from billing.maths.periods import Interval

ZERO = Decimal(0)
NOTHING, WHOLE = Fraction(0), Fraction(1)
KEY_LENGTH = 60
DIGITS, DECIMALS = 15, 12

type Number = Decimal | Fraction | int
type Ratio = tuple[int, int]
type Exact = tuple[Fraction, Fraction]
type Limits = tuple[Fraction | None, Fraction | None]


class PriceKind(StrEnum):
    RECURRING = "recurring"
    USAGE = "usage"
    ONE_TIME = "one_time"
    MINIMUM = "minimum"


class PriceModel(StrEnum):
    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"


class Billed(StrEnum):
    ADVANCE = "advance"
    ARREARS = "arrears"


class InvalidPrice(ValueError):
    """The parts of a price contradict each other; the message starts with the name of the field."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Up to and including `up_to` units (None: without end). Amounts in major units."""

    up_to: Decimal | None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class PerTransaction:
    """What a percentage price takes of every single event. Amounts in major units.

    Each event that is not free costs the percentage and `fixed_amount`, at least `minimum`, at most `maximum`. Free are
    the first `free_events` and the first `free_amount` of a period, whichever is over first; an event that
    `free_amount` covers in part pays for the rest. An event of zero or less is a correction: its percentage, nothing
    else.
    """

    fixed_amount: Decimal = ZERO
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    free_events: int = 0
    free_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a plan. Amounts are in major units of the currency, with up to 12 decimals.

    `unit_amount` is the price of the period (flat), of a unit, of a package, or a percentage of a quantity
    that is itself money in major units; tiers take its place. `included` units are free in each period.
    `minimum` and `maximum` bound what a period costs; a price of kind MINIMUM is nothing but that, for all that the
    others ask for. `included_in_trial`: of a usage price the units that are free in
    a trial, all of them where it is None. `code`: what prices that follow each other have in common; discounts name it.
    Raises InvalidPrice and UnknownCurrency.
    """

    key: str
    kind: PriceKind
    model: PriceModel
    interval: Interval | None
    currency: str
    unit_amount: Decimal = ZERO
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = None
    included: Decimal = ZERO
    billed: Billed = Billed.ADVANCE
    meter: str | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    prorate: bool = True
    label: str = ""
    included_in_trial: Decimal | None = None
    per_transaction: PerTransaction | None = None
    code: str = ""
    _rate: "_Rate" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_rate", _prepared(self))

    def __hash__(self) -> int:
        return hash(self.key)


class TierRow(NamedTuple):
    """A row of an explanation: the units above `start` up to `end`; `amount` exact, in minor units."""

    start: Decimal
    end: Decimal | None
    quantity: Fraction
    unit_amount: Decimal
    flat_amount: Decimal
    amount: Fraction


@lru_cache(maxsize=1024)
def in_trial(price: Price) -> Price | None:
    """The price as it is charged for what is used in a trial, taken as one period: it has its own free units and no
    minimum. None where everything in a trial is free."""
    if price.kind != PriceKind.USAGE or price.included_in_trial is None:
        return None
    return replace(price, included=price.included_in_trial, minimum=None, prorate=False)


def amount(price: Price, quantity: Number, portion: Fraction = WHOLE) -> Fraction:
    """The exact amount of one period, in minor units.

    `portion` is the part of a period over which a usage quantity was measured. The minimum and the maximum
    shrink to that part, and so do the included units unless the price is not prorated.
    """
    return Fraction(*amount_ratio(price, quantity, portion))


def amount_ratio(price: Price, quantity: Number, portion: Fraction = WHOLE) -> Ratio:
    """`amount` as numerator and denominator, not reduced."""
    return limited_ratio(price, unlimited_ratio(price, quantity, portion), portion)


def limited_ratio(price: Price, ratio: Ratio, portion: Fraction = WHOLE) -> Ratio:
    """What a portion of a period came to, within minimum and maximum."""
    return ratio if price._rate.limits is None else _within(spend_limits(price, portion), ratio)


def unlimited_ratio(price: Price, quantity: Number, portion: Fraction = WHOLE) -> Ratio:
    """The same before minimum and maximum."""
    units, of = _billable(price, quantity, portion)
    return price._rate.amount(units, of) if units > 0 else (0, 1)


def spend_limits(price: Price, portion: Fraction = WHOLE) -> Limits:
    """Minimum and maximum of the portion of a period, exact, in minor units."""
    least, most = price._rate.limits or (None, None)
    return None if least is None else least * portion, None if most is None else most * portion


def explain(price: Price, quantity: Number, portion: Fraction = WHOLE) -> tuple[TierRow, ...]:
    """The amount tier by tier, before minimum and maximum; a price without tiers is one row."""
    units = Fraction(*_billable(price, quantity, portion))
    return tuple(_rows(price, units)) if units > 0 else ()


def whole_tiers(price: Price) -> tuple[TierRow, ...]:
    """The rows of a graduated price's closed tiers as they are when all of them is used, whatever lies beyond."""
    return price._rate.whole


def _billable(price: Price, quantity: Number, portion: Fraction) -> Ratio:
    if isinstance(quantity, float):
        raise TypeError("A quantity is exact; a float is not.")
    units, of = quantity.as_integer_ratio()
    included = price._rate.included
    if included is None:
        return units, of
    free = included * portion if price.prorate else included
    return units * free.denominator - free.numerator * of, of * free.denominator


def _within(limits: Limits, ratio: Ratio) -> Ratio:
    least, most = limits
    exact = Fraction(*ratio)
    if most is not None:
        exact = min(exact, most)
    if least is not None:
        exact = max(exact, least)
    return exact.as_integer_ratio()


# --- in fractions, to be read ---


def _rows(price: Price, units: Fraction) -> Iterator[TierRow]:
    match price.model:
        case PriceModel.FLAT:
            yield _plain_row(price, WHOLE)
        case PriceModel.PACKAGE:
            yield _plain_row(price, Fraction(-(-units // Fraction(price.package_size or 1))))
        case PriceModel.VOLUME:
            yield _volume_row(price, units)
        case _ if price.tiers:
            yield from _graduated_rows(price, units)
        case _:
            yield _plain_row(price, units)


def _plain_row(price: Price, units: Fraction) -> TierRow:
    ((unit, _),) = price._rate.exact
    return TierRow(ZERO, None, units, price.unit_amount, ZERO, units * unit)


def _volume_row(price: Price, units: Fraction) -> TierRow:
    at, below = 0, ZERO
    for bound in (tier.up_to for tier in price.tiers):
        if bound is None or units <= bound:
            break
        at, below = at + 1, bound
    return _tier_row(price.tiers[at], price._rate.exact[at], below, units)


def _graduated_rows(price: Price, units: Fraction) -> Iterator[TierRow]:
    rate = price._rate
    at = rate.used_up(units)
    yield from rate.whole[:at]
    if units > rate.floors[at]:
        below = price.tiers[at - 1].up_to if at else None
        yield _tier_row(price.tiers[at], rate.exact[at], below or ZERO, units - rate.floors[at])


def _whole_rows(price: Price, exact: Sequence[Exact], tops: Sequence[Fraction | None]) -> Iterator[TierRow]:
    below, floor = ZERO, NOTHING
    for tier, amounts, top in zip(price.tiers, exact, tops, strict=True):
        if top is not None:
            yield _tier_row(tier, amounts, below, top - floor)
            below, floor = tier.up_to or below, top


def _tier_row(tier: Tier, exact: Exact, below: Decimal, units: Fraction) -> TierRow:
    unit, flat = exact
    amount = units * unit
    return TierRow(
        below, tier.up_to, units, tier.unit_amount, tier.flat_amount, amount + flat if flat else amount
    )


def _unit_scale(price: Price) -> Fraction:
    """Minor units in a unit amount of 1; a percentage is a hundredth of its quantity."""
    return Fraction(_minor(price), 100 if price.model == PriceModel.PERCENTAGE else 1)


def _minor(price: Price) -> int:
    return int(10 ** exponent(price.currency))


# --- in integers, to be fast ---


class _Step(NamedTuple):
    """A tier over common denominators: units beyond `below` cost `unit` each, on top of `base`."""

    below: int
    up_to: int | None
    unit: int
    base: int


@dataclass(frozen=True, slots=True)
class _Rate:
    """Every decimal of a price as an integer: bounds over `bound_of`, minor units over `money_of`."""

    steps: tuple[_Step, ...]
    bound_of: int
    money_of: int
    flat: bool
    package: Fraction | None
    included: Fraction | None
    limits: Limits | None
    exact: tuple[Exact, ...]  # unit and flat amounts in minor units, for the rows
    floors: tuple[Fraction, ...]  # where each tier begins, for the rows
    ends: tuple[int, ...]  # where each tier but the last ends, over `bound_of`
    whole: tuple[TierRow, ...]  # of the closed tiers, used up

    def used_up(self, units: Fraction) -> int:
        """How many tiers are."""
        return bisect_right(self.ends, units.numerator * self.bound_of // units.denominator)

    def amount(self, units: int, of: int) -> Ratio:
        """Of units/of, which is above zero."""
        if self.flat:
            return self.steps[0].unit, self.money_of
        if self.package is not None:
            units, of = -(-units * self.package.denominator // (of * self.package.numerator)), 1
        at = units * self.bound_of
        for step in self.steps:
            if step.up_to is None or at <= step.up_to * of:
                break
        return (at - step.below * of) * step.unit + step.base * of, self.money_of * self.bound_of * of


def _prepared(price: Price) -> _Rate:
    tiers = price.tiers or (Tier(None, price.unit_amount),)
    units = [Fraction(tier.unit_amount) * _unit_scale(price) for tier in tiers]
    flats = [Fraction(tier.flat_amount) * _minor(price) for tier in tiers]
    bounds = [None if tier.up_to is None else Fraction(tier.up_to) for tier in tiers]
    closed = [bound for bound in bounds if bound is not None]
    money_of = lcm(*(value.denominator for value in units + flats))
    bound_of = lcm(*(bound.denominator for bound in closed))
    exact = tuple(zip(units, flats, strict=True))
    stair = _volume_steps if price.model == PriceModel.VOLUME else _graduated_steps
    steps = stair(
        [int(unit * money_of) for unit in units],
        [int(flat * money_of) * bound_of for flat in flats],
        [None if bound is None else int(bound * bound_of) for bound in bounds],
    )
    return _Rate(
        steps=tuple(steps),
        bound_of=bound_of,
        money_of=money_of,
        flat=price.model == PriceModel.FLAT,
        package=Fraction(price.package_size) if price.package_size else None,
        included=None if price.model == PriceModel.FLAT or not price.included else Fraction(price.included),
        limits=_limits(price),
        exact=exact,
        floors=(NOTHING, *closed),
        ends=tuple(int(bound * bound_of) for bound in closed),
        whole=tuple(_whole_rows(price, exact, bounds)) if price.tiers else (),
    )


def _volume_steps(units: list[int], flats: list[int], bounds: list[int | None]) -> Iterator[_Step]:
    for unit, flat, bound in zip(units, flats, bounds, strict=True):
        yield _Step(0, bound, unit, flat)


def _graduated_steps(units: list[int], flats: list[int], bounds: list[int | None]) -> Iterator[_Step]:
    below = spent = 0
    for unit, flat, bound in zip(units, flats, bounds, strict=True):
        spent += flat
        yield _Step(below, bound, unit, spent)
        if bound is not None:
            spent += (bound - below) * unit
            below = bound


def _limits(price: Price) -> Limits | None:
    if price.minimum is None and price.maximum is None:
        return None
    least, most = (
        None if edge is None else Fraction(edge) * _minor(price) for edge in (price.minimum, price.maximum)
    )
    return least, most


# --- what a price may be ---


def _check(price: Price) -> None:
    _check_kind(price)
    _check_numbers(price)
    if price.model in (PriceModel.GRADUATED, PriceModel.VOLUME) and not price.tiers:
        raise InvalidPrice(f"tiers: a {price.model} price needs at least one tier.")
    if price.tiers:
        _check_tiers(price)
    if (price.model == PriceModel.PACKAGE) != bool(price.package_size):
        raise InvalidPrice("package_size: a package price has a size above zero, and no other price has one.")
    if price.minimum is not None and price.maximum is not None and price.minimum > price.maximum:
        raise InvalidPrice("minimum: it is above the maximum.")
    if price.per_transaction is not None:
        _check_transactions(price, price.per_transaction)


def _check_transactions(price: Price, terms: PerTransaction) -> None:
    if price.kind != PriceKind.USAGE or price.model != PriceModel.PERCENTAGE or price.tiers:
        raise InvalidPrice("per_transaction: only a percentage of usage without tiers has it.")
    if price.included or price.included_in_trial:
        raise InvalidPrice("included: per_transaction has free_events and free_amount instead.")
    if type(terms.free_events) is not int or not 0 <= terms.free_events < 10**9:
        raise InvalidPrice("per_transaction.free_events: a whole number from zero up.")
    for name in ("fixed_amount", "minimum", "maximum", "free_amount"):
        _check_number(f"per_transaction.{name}", getattr(terms, name))
    if terms.minimum is not None and terms.maximum is not None and terms.minimum > terms.maximum:
        raise InvalidPrice("per_transaction.minimum: it is above the maximum.")


def _check_kind(price: Price) -> None:
    if "|" in price.key or not 0 < len(price.key) <= KEY_LENGTH:
        raise InvalidPrice(f"key: a price key has 1 to {KEY_LENGTH} characters and no |.")
    if price.kind != PriceKind.ONE_TIME and price.interval is None:
        raise InvalidPrice(f"interval: a {price.kind} price needs one.")
    if (price.kind == PriceKind.USAGE) != bool(price.meter):
        raise InvalidPrice("meter: a usage price has one, and no other price has.")
    if price.kind == PriceKind.MINIMUM:
        _check_minimum(price)
    if price.kind != PriceKind.USAGE and price.included_in_trial is not None:
        raise InvalidPrice(
            "included_in_trial: only a usage price has it; any other costs nothing in a trial."
        )


def _check_minimum(price: Price) -> None:
    if price.minimum is None:
        raise InvalidPrice("minimum: the least that a period of the plan costs.")
    for name in ("unit_amount", "included", "maximum", "tiers"):
        if getattr(price, name):
            raise InvalidPrice(f"{name}: a minimum spend has none.")
    if price.model != PriceModel.FLAT:
        raise InvalidPrice("model: a minimum spend is flat.")
    if price.billed != Billed.ARREARS:
        raise InvalidPrice("billed: what a minimum spend adds is known in arrears.")
    if not price.prorate:
        raise InvalidPrice("prorate: a minimum spend is by days.")


def _check_numbers(price: Price) -> None:
    for name in ("unit_amount", "included", "included_in_trial", "package_size", "minimum", "maximum"):
        _check_number(name, getattr(price, name))
    for place, tier in enumerate(price.tiers):
        for name in ("up_to", "unit_amount", "flat_amount"):
            _check_number(f"tiers.{place}.{name}", getattr(tier, name))


def _check_number(name: str, number: Decimal | None) -> None:
    if number is None:
        return
    if isinstance(number, float) or not (Decimal(number).is_finite() and number >= 0):
        raise InvalidPrice(f"{name}: a decimal number from zero up.")
    if not spans_at_most(Decimal(number), DIGITS, DECIMALS):
        raise InvalidPrice(f"{name}: at most {DIGITS} digits before the point and {DECIMALS} after it.")


def _check_tiers(price: Price) -> None:
    if price.model not in (PriceModel.GRADUATED, PriceModel.VOLUME, PriceModel.PERCENTAGE):
        raise InvalidPrice(f"tiers: a {price.model} price has none.")
    *closed, last = (tier.up_to for tier in price.tiers)
    if last is not None:
        raise InvalidPrice("tiers: the last tier has no upper bound.")
    below = ZERO
    for bound in closed:
        if bound is None or bound <= below:
            raise InvalidPrice("tiers: the bounds rise from above zero, and only the last tier is open.")
        below = bound
