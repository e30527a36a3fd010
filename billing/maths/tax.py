"""Tax, line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple, Self

from billing.maths.money import plain, round_half_away, share

# EN 16931: standard, zero rated, exempt, reverse charge, outside the scope, intra-community supply, export.
CATEGORIES = ("S", "Z", "E", "AE", "O", "K", "G")


class InvalidTaxRate(ValueError):
    """The percentage or the category cannot be; the message names the field."""


@dataclass(frozen=True, slots=True)
class Tax:
    """One of the taxes that a rate is made of (state and county, GST and QST).

    compound: taken from the net amount together with the taxes before it, not from the net amount alone.
    """

    name: str
    percentage: Decimal
    compound: bool = False

    def to_json(self) -> dict[str, Any]:
        """As rows keep it: the percentage as text, compound only where it is so."""
        said = {"name": self.name, "percentage": plain(self.percentage)}
        return {**said, "compound": True} if self.compound else said

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(row["name"], Decimal(row["percentage"]), row.get("compound", False))


def whole(taxes: Sequence[Tax]) -> Decimal:
    """What several taxes come to in percent of the net amount, with the four decimals that papers say."""
    exact = sum(_shares_of_net(taxes))
    percent = Decimal(exact.numerator) / Decimal(exact.denominator)
    return percent.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _shares_of_net(taxes: Sequence[Tax]) -> list[Fraction]:
    """Each tax in exact percent of the net amount."""
    found: list[Fraction] = []
    for tax in taxes:
        percent = Fraction(tax.percentage)
        found.append(percent * (1 + sum(found, Fraction(0)) / 100) if tax.compound else percent)
    return found


@dataclass(frozen=True, slots=True)
class TaxRate:
    """percentage in percent; inclusive: prices contain the tax; reason: printed for every category but S.

    contained: the percentage that prices contain although it is not charged (a reverse charge, an export): the
    buyer pays what is left without it.
    taxes: those that the percentage is made of; one without a name, where none is given and something is charged.
    """

    key: str
    percentage: Decimal
    inclusive: bool = False
    category: str = "S"
    reason: str | None = None
    contained: Decimal = Decimal(0)
    taxes: tuple[Tax, ...] = ()
    rows: tuple[dict[str, Any], ...] = field(init=False, repr=False, compare=False)
    """The taxes as rows keep them, made once: a billing run writes them on thousands of lines."""
    _each: tuple[Fraction, ...] = field(init=False, repr=False, compare=False)
    _steps: tuple[tuple[int, int, bool], ...] = field(init=False, repr=False, compare=False)
    _within: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.percentage and not self.taxes:
            object.__setattr__(self, "taxes", (Tax("", self.percentage),))
        _check(self)
        each = _shares_of_net(self.taxes)
        object.__setattr__(self, "rows", tuple(tax.to_json() for tax in self.taxes))
        object.__setattr__(self, "_each", tuple(each))
        steps = ((*tax.percentage.as_integer_ratio(), tax.compound) for tax in self.taxes)
        object.__setattr__(self, "_steps", tuple(steps))
        within = sum(each, Fraction(0)) if self.inclusive else Fraction(self.contained)
        object.__setattr__(self, "_within", within)

    @property
    def within(self) -> Decimal:
        """The percentage that prices contain, charged or not."""
        return self.percentage if self.inclusive else self.contained


class Taxed(NamedTuple):
    """A line as papers say it, without tax, in minor units; `tax` is charged on top of `net`.

    `tax_in_gross` and `tax_in_discount` are what the price and its discount contained: with them the gross and
    the discount are what they were before.
    """

    gross: int
    discount: int
    tax: int
    tax_in_gross: int = 0
    tax_in_discount: int = 0

    @property
    def net(self) -> int:
        return self.gross - self.discount

    @property
    def total(self) -> int:
        """What the line adds to its paper."""
        return self.net + self.tax


def tax_of(net_or_gross: int, rate: TaxRate) -> tuple[int, int]:
    """(net, tax) of a line. The amount is the net, or contains tax where the rate says so."""
    if rate._within:
        within = contained_in(net_or_gross, rate)
        return net_or_gross - within, within if rate.inclusive else 0
    if len(rate._steps) == 1:
        percent, of, _ = rate._steps[0]
        return net_or_gross, round_half_away(net_or_gross * percent, 100 * of)
    return net_or_gross, sum(_added(net_or_gross, rate))


def each_of(line: "Taxed", rate: TaxRate) -> list[int]:
    """What every tax of the rate takes of a line; together its tax."""
    if len(rate.taxes) <= 1:
        return [line.tax] * len(rate.taxes)
    if not rate._within:
        return _added(line.net, rate)
    of = lcm(*(percent.denominator for percent in rate._each))
    return share(line.tax, [int(percent * of) for percent in rate._each])


def part_of_each(tax: int, left: Sequence[int]) -> list[int]:
    """A part of a line's tax (what a credit note takes back of it, say) over the taxes that it is made of, by what is
    left of each: parts that take all of the tax take all of each, and never more."""
    return share(tax, [abs(each) for each in left])


def _added(net: int, rate: TaxRate) -> list[int]:
    """Every tax on a net amount, each rounded for itself; a compound one takes its part of those before it too."""
    found: list[int] = []
    for percent, of, compound in rate._steps:
        base = net + sum(found) if compound else net
        found.append(round_half_away(base * percent, 100 * of))
    return found


def contained_in(amount: int, rate: TaxRate) -> int:
    """The tax that an amount contains, R(amount * percent / (100 + percent)); zero where prices are without."""
    percent, of = rate._within.numerator, rate._within.denominator
    return round_half_away(amount * percent, 100 * of + percent)


def taxed(gross: int, discount: int, rate: TaxRate) -> Taxed:
    """The line of a price and its discount. What is left after the discount is rounded once; the discount's own
    share of tax is rounded for itself, and the gross is their sum, so that net == gross - discount."""
    net, tax = tax_of(gross - discount, rate)
    if not rate._within:
        return Taxed(gross, discount, tax)
    tax_in_discount = contained_in(discount, rate)
    whole = net + discount - tax_in_discount
    return Taxed(whole, discount - tax_in_discount, tax, gross - whole, tax_in_discount)


def _check(rate: TaxRate) -> None:
    if rate.category not in CATEGORIES:
        raise InvalidTaxRate(f"category: one of {', '.join(CATEGORIES)}.")
    if not (rate.percentage.is_finite() and 0 <= rate.percentage <= 100):
        raise InvalidTaxRate("percentage: from 0 to 100.")
    if rate.percentage and rate.category != "S":
        raise InvalidTaxRate(f"percentage: category {rate.category} takes no tax.")
    _check_taxes(rate)
    if not (rate.contained.is_finite() and 0 <= rate.contained <= 100):
        raise InvalidTaxRate("contained: from 0 to 100.")
    if rate.contained and rate.percentage:
        raise InvalidTaxRate("contained: what is charged is not taken out.")


def _check_taxes(rate: TaxRate) -> None:
    for tax in rate.taxes:
        if not (tax.percentage.is_finite() and 0 < tax.percentage <= 100):
            raise InvalidTaxRate("taxes: each is above 0 and at most 100 percent.")
    if rate.taxes and rate.taxes[0].compound:
        raise InvalidTaxRate(
            "taxes: the first is taken from the net amount; only what follows may be compound."
        )
    come_to = whole(rate.taxes) if len(rate.taxes) > 1 else sum(tax.percentage for tax in rate.taxes)
    if rate.percentage != come_to:
        raise InvalidTaxRate(f"percentage: the taxes come to {Decimal(come_to).normalize():f}.")
