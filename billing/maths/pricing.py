"""What one whole period of a price costs for a quantity: exact, unrounded, in minor units.

`amount` is the fast path (integers prepared once for each price); `explain` says the same tier by tier in plain
fractions. A test holds them equal. A quantity of zero or less costs nothing in every model; a tier's flat amount is
charged once the quantity reaches into the tier.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from billing.maths.money import exponent
from billing.maths.periods import Interval

ZERO = Decimal(0)
WHOLE = Fraction(1)
type Number = Decimal | Fraction | int


class PriceKind(StrEnum):
    RECURRING = "recurring"
    USAGE = "usage"
    ONE_TIME = "one_time"


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
    """The parts of the price contradict each other; the message names the field."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Up to and including `up_to` units (None: without end). Amounts in major units."""

    up_to: Decimal | None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a plan. Amounts in major units of the currency, up to 12 decimals.

    `unit_amount` is the price of the period (flat), of a unit, of a package, or the percentage of a quantity that is
    itself money in major units. `included` units are free in each period. Raises InvalidPrice, UnknownCurrency.
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
    _rate: "_Rate" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_rate", _prepare(self))


class TierRow(NamedTuple):
    """A row of the explanation: units above `start` up to `end`; `amount` exact, in minor units."""

    start: Decimal
    end: Decimal | None
    quantity: Fraction
    unit_amount: Decimal
    flat_amount: Decimal
    amount: Fraction


def amount(price: Price, quantity: Number, portion: Fraction = WHOLE) -> Fraction:
    """The exact amount of one period, in minor units.

    `portion` is the part of the period over which a usage quantity was measured: the included units, the minimum and
    the maximum are those of that part.
    """
    return Fraction(*amount_ratio(price, quantity, portion))


def amount_ratio(price: Price, quantity: Number, portion: Fraction = WHOLE) -> tuple[int, int]:
    """`amount` as numerator and denominator, not reduced."""
    units, of = _billable(price, quantity, portion)
    rate = price._rate
    ratio = rate.amount(units, of) if units > 0 else (0, 1)
    return ratio if rate.limits is None else _limited(ratio, rate.limits, portion)


def explain(price: Price, quantity: Number, portion: Fraction = WHOLE) -> tuple[TierRow, ...]:
    """The amount tier by tier, before minimum and maximum; a price without tiers is one row."""
    units = Fraction(*_billable(price, quantity, portion))
    if units <= 0:
        return ()
    return tuple(_rows(price, units))


def spend_limits(price: Price, portion: Fraction = WHOLE) -> tuple[Fraction | None, Fraction | None]:
    """Minimum and maximum of the portion, exact, in minor units."""
    minor = 10 ** exponent(price.currency)
    return tuple(
        None if edge is None else Fraction(edge) * minor * portion for edge in (price.minimum, price.maximum)
    )  # type: ignore[return-value]


def _billable(price: Price, quantity: Number, portion: Fraction) -> tuple[int, int]:
    units, of = quantity.as_integer_ratio()
    if not price.included or price.model == PriceModel.FLAT:
        return units, of
    free = Fraction(price.included) * portion
    return units * free.denominator - free.numerator * of, of * free.denominator


# --- the rows, in fractions ---


def _rows(price: Price, units: Fraction) -> Iterator[TierRow]:
    minor = 10 ** exponent(price.currency)
    match price.model:
        case PriceModel.GRADUATED:
            yield from _graduated_rows(price.tiers, units, Fraction(minor))
        case PriceModel.PERCENTAGE if price.tiers:
            yield from _graduated_rows(price.tiers, units, Fraction(minor, 100), flat_scale=minor)
        case PriceModel.VOLUME:
            yield _volume_row(price.tiers, units, minor)
        case _:
            counted = _counted(price, units)
            per = Fraction(minor, 100) if price.model == PriceModel.PERCENTAGE else Fraction(minor)
            yield TierRow(
                ZERO, None, counted, price.unit_amount, ZERO, counted * Fraction(price.unit_amount) * per
            )


def _counted(price: Price, units: Fraction) -> Fraction:
    if price.model == PriceModel.FLAT:
        return WHOLE
    if price.model == PriceModel.PACKAGE:
        assert price.package_size is not None
        return Fraction(-(-units // Fraction(price.package_size)))
    return units


def _graduated_rows(
    tiers: tuple[Tier, ...], units: Fraction, scale: Fraction, flat_scale: int | None = None
) -> Iterator[TierRow]:
    below = ZERO
    for tier in tiers:
        if units <= Fraction(below):
            return
        inside = (units if tier.up_to is None else min(units, Fraction(tier.up_to))) - Fraction(below)
        flat = Fraction(tier.flat_amount) * (scale if flat_scale is None else flat_scale)
        cost = inside * Fraction(tier.unit_amount) * scale + flat
        yield TierRow(below, tier.up_to, inside, tier.unit_amount, tier.flat_amount, cost)
        below = tier.up_to if tier.up_to is not None else below


def _volume_row(tiers: tuple[Tier, ...], units: Fraction, minor: int) -> TierRow:
    below = ZERO
    for tier in tiers:
        if tier.up_to is None or units <= Fraction(tier.up_to):
            break
        below = tier.up_to
    cost = (units * Fraction(tier.unit_amount) + Fraction(tier.flat_amount)) * minor
    return TierRow(below, tier.up_to, units, tier.unit_amount, tier.flat_amount, cost)


# --- the same, prepared as integers ---


class _Step(NamedTuple):
    """A tier over common denominators: units beyond `below` cost `unit`; `base` is what stands before them."""

    below: int
    up_to: int | None
    unit: int
    base: int


@dataclass(frozen=True, slots=True)
class _Rate:
    """Every decimal of a price as an integer: bounds over `bound_of`, money (minor units) over `money_of`."""

    steps: tuple[_Step, ...]
    bound_of: int
    money_of: int
    package: Fraction | None
    flat: bool
    limits: tuple[Fraction | None, Fraction | None] | None

    def amount(self, units: int, of: int) -> tuple[int, int]:
        """Of units/of > 0."""
        if self.flat:
            return self.steps[0].unit, self.money_of
        if self.package is not None:
            units, of = -(-units * self.package.denominator // (of * self.package.numerator)), 1
        at = units * self.bound_of
        for step in self.steps:
            if step.up_to is None or at <= step.up_to * of:
                break
        return (at - step.below * of) * step.unit + step.base * of, self.money_of * self.bound_of * of


def _prepare(price: Price) -> _Rate:
    minor = 10 ** exponent(price.currency)
    tiers = price.tiers or (Tier(None, price.unit_amount),)
    per = Fraction(minor, 100) if price.model == PriceModel.PERCENTAGE else Fraction(minor)
    units = [Fraction(tier.unit_amount) * per for tier in tiers]
    flats = [Fraction(tier.flat_amount) * minor for tier in tiers]
    bounds = [None if tier.up_to is None else Fraction(tier.up_to) for tier in tiers]
    money_of = lcm(*(value.denominator for value in units + flats))
    bound_of = lcm(*(bound.denominator for bound in bounds if bound is not None))
    steps = _steps(
        [int(unit * money_of) for unit in units],
        [int(flat * money_of) for flat in flats],
        [None if bound is None else int(bound * bound_of) for bound in bounds],
        bound_of,
        whole_quantity=price.model == PriceModel.VOLUME,
    )
    return _Rate(
        steps=tuple(steps),
        bound_of=bound_of,
        money_of=money_of,
        package=None if price.package_size is None else Fraction(price.package_size),
        flat=price.model == PriceModel.FLAT,
        limits=None if price.minimum is None and price.maximum is None else spend_limits(price),
    )


def _steps(
    units: list[int], flats: list[int], bounds: list[int | None], bound_of: int, *, whole_quantity: bool
) -> Iterator[_Step]:
    below = spent = 0
    for unit, flat, bound in zip(units, flats, bounds, strict=True):
        if whole_quantity:
            yield _Step(0, bound, unit, flat * bound_of)
            continue
        spent += flat * bound_of
        yield _Step(below, bound, unit, spent)
        if bound is not None:
            spent += (bound - below) * unit
            below = bound


def _limited(
    ratio: tuple[int, int], limits: tuple[Fraction | None, Fraction | None], portion: Fraction
) -> tuple[int, int]:
    exact = Fraction(*ratio)
    least, most = limits
    if most is not None:
        exact = min(exact, most * portion)
    if least is not None:
        exact = max(exact, least * portion)
    return exact.as_integer_ratio()


# --- what a price may be ---


def _check(price: Price) -> None:
    _check_kind(price)
    if price.model in (PriceModel.GRADUATED, PriceModel.VOLUME) and not price.tiers:
        raise InvalidPrice("tiers: a graduated or volume price needs at least one tier.")
    if price.tiers:
        _check_tiers(price)
    if price.model == PriceModel.PACKAGE and not (price.package_size and price.package_size > 0):
        raise InvalidPrice("package_size: a package price needs a size above zero.")
    if price.minimum is not None and price.maximum is not None and price.minimum > price.maximum:
        raise InvalidPrice("minimum: the minimum spend is above the maximum.")


def _check_kind(price: Price) -> None:
    if "|" in price.key or not 0 < len(price.key) <= 64:
        raise InvalidPrice("key: a price key has 1 to 64 characters and no |.")
    if price.kind != PriceKind.ONE_TIME and price.interval is None:
        raise InvalidPrice("interval: a recurring or usage price needs an interval.")
    if price.kind == PriceKind.USAGE and not price.meter:
        raise InvalidPrice("meter: a usage price needs a meter.")


def _check_tiers(price: Price) -> None:
    if price.model not in (PriceModel.GRADUATED, PriceModel.VOLUME, PriceModel.PERCENTAGE):
        raise InvalidPrice(f"tiers: a {price.model} price has no tiers.")
    bounds = [tier.up_to for tier in price.tiers]
    if bounds[-1] is not None:
        raise InvalidPrice("tiers: the last tier has no upper bound.")
    below = ZERO
    for bound in bounds[:-1]:
        if bound is None or bound <= below:
            raise InvalidPrice("tiers: the bounds rise from above zero, and only the last is open.")
        below = bound
