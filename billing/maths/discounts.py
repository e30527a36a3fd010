"""Discounts: percent off every entry, or a fixed amount shared over the recurring items of a phase, and what they
leave of it over usage; alone, or several in a row, each taken off what those before it left. One may be for some prices
alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.maths.money import round_half_away, share
from billing.maths.pricing import Price

KEY_LENGTH = 60


class InvalidDiscount(ValueError):
    """Neither or both of percent and amount, or one out of range; the message starts with the field."""


@dataclass(frozen=True, slots=True)
class Discount:
    """percent_off in percent (0 to 100), or amount_off in minor units a period, or parts: exactly one of them.

    only: the codes of the prices, and the meters, that it is for; without any it is for everything.
    parts: several discounts that hold at once, in the order in which they are taken off.
    """

    key: str
    percent_off: Decimal | None = None
    amount_off: int | None = None
    label: str = ""
    only: frozenset[str] = frozenset()
    parts: "tuple[Discount, ...]" = ()
    fraction: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "fraction", Fraction(self.percent_off or 0) / 100)

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def steps(self) -> "tuple[Discount, ...]":
        """What is taken off, one after the other."""
        return self.parts or (self,)

    @property
    def fixed(self) -> bool:
        """Whether any of it is an amount."""
        return any(step.amount_off is not None for step in self.steps)

    def reaches(self, price: Price) -> bool:
        """Whether anything of it is for the price."""
        return any(
            not step.only or price.code in step.only or price.meter in step.only for step in self.steps
        )


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
    discount: Discount, prices: Sequence[Price], amounts: Sequence[int], most: Sequence[int] | None = None
) -> list[tuple[int, ...]]:
    """For the amount of each price what the fixed steps take off it, step by step; zero where a step is a percentage or
    not for the price. `most`: how much there is of each step."""
    left, columns = list(amounts), []
    limits: Sequence[int | None] = most or [None] * len(discount.steps)
    for step, limit in zip(discount.steps, limits, strict=True):
        reached = [each if step.reaches(price) else 0 for price, each in zip(prices, left, strict=True)]
        column = fixed_shares(step, reached, limit)
        columns.append(column)
        offs = [off + percent_of(each, step) for each, off in zip(reached, column, strict=True)]
        left = [each - off for each, off in zip(left, offs, strict=True)]
    return list(zip(*columns, strict=True))


def taken(gross: int, discount: Discount, fixed: Sequence[int], price: Price) -> Iterator[int]:
    """What each step takes off an amount of the price (minor units, not negative). `fixed`: the share of each step that
    is an amount, of which no more is taken than is left."""
    left = gross
    for step, off in zip(discount.steps, fixed or [0] * len(discount.steps), strict=True):
        part = min(left, off) if step.amount_off is not None else percent_of(left, step)
        part = part if step.reaches(price) else 0
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
