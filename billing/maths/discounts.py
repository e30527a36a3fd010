"""Discounts: percent off every entry, or a fixed amount shared over the recurring items of a phase."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.maths.money import round_half_away, share

KEY_LENGTH = 60


class InvalidDiscount(ValueError):
    """Neither or both of percent and amount, or one out of range; the message starts with the field."""


@dataclass(frozen=True, slots=True)
class Discount:
    """percent_off in percent (0 to 100), or amount_off in minor units a period: exactly one of them."""

    key: str
    percent_off: Decimal | None = None
    amount_off: int | None = None
    label: str = ""
    fraction: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "fraction", Fraction(self.percent_off or 0) / 100)


def percent_of(gross: int, discount: Discount) -> int:
    """What the percentage takes off an entry: R(gross * percent). Zero for a fixed discount."""
    return round_half_away(gross * discount.fraction.numerator, discount.fraction.denominator)


def fixed_shares(discount: Discount, amounts: Sequence[int]) -> list[int]:
    """A fixed discount over full-period amounts: in proportion to them, and never more than they are."""
    if discount.amount_off is None:
        return [0] * len(amounts)
    return share(min(discount.amount_off, sum(amounts)), amounts)


def _check(discount: Discount) -> None:
    if "|" in discount.key or not 0 < len(discount.key) <= KEY_LENGTH:
        raise InvalidDiscount(f"key: a discount key has 1 to {KEY_LENGTH} characters and no |.")
    if (discount.percent_off is None) == (discount.amount_off is None):
        raise InvalidDiscount("percent_off: a discount is a percentage or an amount, one of them.")
    if discount.percent_off is not None and not 0 <= discount.percent_off <= 100:
        raise InvalidDiscount("percent_off: a percentage is from 0 to 100.")
    if discount.amount_off is not None and discount.amount_off < 0:
        raise InvalidDiscount("amount_off: an amount is not negative.")
