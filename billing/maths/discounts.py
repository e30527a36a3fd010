"""Discounts: percent off every entry, or a fixed amount shared over the recurring items of a phase, and what they
leave of it over usage; alone, or several in a row, each taken off what those before it left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.maths.money import round_half_away, share

KEY_LENGTH = 60


class InvalidDiscount(ValueError):
    """Neither or both of percent and amount, or one out of range; the message starts with the field."""


@dataclass(frozen=True, slots=True)
class Discount:
    """percent_off in percent (0 to 100), or amount_off in minor units a period, or parts: exactly one of them.

    parts: several discounts that hold at once, in the order in which they are taken off.
    """

    key: str
    percent_off: Decimal | None = None
    amount_off: int | None = None
    label: str = ""
    parts: "tuple[Discount, ...]" = ()
    fraction: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "fraction", Fraction(self.percent_off or 0) / 100)

    @property
    def steps(self) -> "tuple[Discount, ...]":
        """What is taken off, one after the other."""
        return self.parts or (self,)


def percent_of(gross: int, discount: Discount) -> int:
    """What the percentage takes off an entry: R(gross * percent). Zero for a fixed discount."""
    return round_half_away(gross * discount.fraction.numerator, discount.fraction.denominator)


def fixed_shares(discount: Discount, amounts: Sequence[int], most: int | None = None) -> list[int]:
    """A fixed discount over amounts: in proportion to them, and never more than they are. `most`: how much of it there
    is, where that is not all."""
    if discount.amount_off is None:
        return [0] * len(amounts)
    return share(min(discount.amount_off if most is None else most, sum(amounts)), amounts)


def step_shares(
    discount: Discount, amounts: Sequence[int], most: Sequence[int] | None = None
) -> list[tuple[int, ...]]:
    """For each amount what the fixed steps take off it, step by step; zero where a step is a percentage. `most`: how
    much there is of each step."""
    left, columns = list(amounts), []
    limits: Sequence[int | None] = most or [None] * len(discount.steps)
    for step, limit in zip(discount.steps, limits, strict=True):
        column = fixed_shares(step, left, limit)
        columns.append(column)
        left = [each - off - percent_of(each, step) for each, off in zip(left, column, strict=True)]
    return list(zip(*columns, strict=True))


def taken(gross: int, discount: Discount, fixed: Sequence[int]) -> Iterator[int]:
    """What each step takes off an amount (minor units, not negative). `fixed`: the share of each step that is an
    amount, of which no more is taken than is left."""
    left = gross
    for step, off in zip(discount.steps, fixed or [0] * len(discount.steps), strict=True):
        part = min(left, off) if step.amount_off is not None else percent_of(left, step)
        left -= part
        yield part


def _check(discount: Discount) -> None:
    if "|" in discount.key or not 0 < len(discount.key) <= KEY_LENGTH:
        raise InvalidDiscount(f"key: a discount key has 1 to {KEY_LENGTH} characters and no |.")
    if any(part.parts for part in discount.parts):
        raise InvalidDiscount("parts: each is a discount by itself.")
    if [discount.percent_off is None, discount.amount_off is None, not discount.parts].count(False) != 1:
        raise InvalidDiscount("percent_off: a discount is a percentage or an amount, one of them.")
    if discount.percent_off is not None and not 0 <= discount.percent_off <= 100:
        raise InvalidDiscount("percent_off: a percentage is from 0 to 100.")
    if discount.amount_off is not None and discount.amount_off < 0:
        raise InvalidDiscount("amount_off: an amount is not negative.")
