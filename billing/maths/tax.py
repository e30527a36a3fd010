"""Tax, line by line."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.maths.money import round_half_away

# EN 16931: standard, zero rated, exempt, reverse charge, outside the scope, intra-community supply, export.
CATEGORIES = ("S", "Z", "E", "AE", "O", "K", "G")


class InvalidTaxRate(ValueError):
    """The percentage or the category cannot be; the message names the field."""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """percentage in percent; inclusive: prices contain the tax; reason: printed for every category but S."""

    key: str
    percentage: Decimal
    inclusive: bool = False
    category: str = "S"
    reason: str | None = None
    _exact: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_exact", Fraction(self.percentage))


def tax_of(net_or_gross: int, rate: TaxRate) -> tuple[int, int]:
    """(net, tax) of a line. The amount is the net, or the gross when the rate is inclusive."""
    percent, of = rate._exact.numerator, rate._exact.denominator
    if not rate.inclusive:
        return net_or_gross, round_half_away(net_or_gross * percent, 100 * of)
    tax = round_half_away(net_or_gross * percent, 100 * of + percent)
    return net_or_gross - tax, tax


def _check(rate: TaxRate) -> None:
    if rate.category not in CATEGORIES:
        raise InvalidTaxRate(f"category: one of {', '.join(CATEGORIES)}.")
    if not (rate.percentage.is_finite() and 0 <= rate.percentage <= 100):
        raise InvalidTaxRate("percentage: from 0 to 100.")
    if rate.percentage and rate.category != "S":
        raise InvalidTaxRate(f"percentage: category {rate.category} takes no tax.")
