"""Tax, line by line."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from billing.maths.money import round_half_away

# EN 16931: standard, zero rated, exempt, reverse charge, outside the scope, intra-community supply, export.
CATEGORIES = ("S", "Z", "E", "AE", "O", "K", "G")


class InvalidTaxRate(ValueError):
    """The percentage or the category cannot be; the message names the field."""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """percentage in percent; inclusive: prices contain the tax; reason: printed for every category but S.

    contained: the percentage that prices contain although it is not charged (a reverse charge, an export): the
    buyer pays what is left without it.
    """

    key: str
    percentage: Decimal
    inclusive: bool = False
    category: str = "S"
    reason: str | None = None
    contained: Decimal = Decimal(0)
    _exact: Fraction = field(init=False, repr=False, compare=False)
    _within: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_exact", Fraction(self.percentage))
        within = self.percentage if self.inclusive else self.contained
        object.__setattr__(self, "_within", Fraction(within))

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
    percent, of = rate._exact.numerator, rate._exact.denominator
    return net_or_gross, round_half_away(net_or_gross * percent, 100 * of)


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
    if not (rate.contained.is_finite() and 0 <= rate.contained <= 100):
        raise InvalidTaxRate("contained: from 0 to 100.")
    if rate.contained and rate.percentage:
        raise InvalidTaxRate("contained: what is charged is not taken out.")
