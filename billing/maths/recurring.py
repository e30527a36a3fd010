"""Monthly and annual recurring revenue of a set of items."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache

from billing.maths.discounts import Discount
from billing.maths.money import round_ratio
from billing.maths.periods import MONTHS, Interval
from billing.maths.phases import Item, fixed_offs
from billing.maths.pricing import amount

WEEKS_A_YEAR = 52


def mrr(items: Iterable[Item], discount: Discount | None = None) -> int:
    """Minor units a month: recurring items only, a year counts a twelfth, a week 52/12; rounded once."""
    return _figures(tuple(items), discount)[0]


def arr(items: Iterable[Item], discount: Discount | None = None) -> int:
    """Twelve exact months, rounded once: a year of 1000.00 is 1000.00, although its month is 83.33."""
    return _figures(tuple(items), discount)[1]


@lru_cache(maxsize=2048)
def _figures(items: tuple[Item, ...], discount: Discount | None) -> tuple[int, int]:
    exact = _per_month(items, discount)
    return round_ratio(exact), round_ratio(12 * exact)


def _per_month(items: tuple[Item, ...], discount: Discount | None) -> Fraction:
    recurring = [item for item in items if item.recurring]
    total = Fraction(0)
    for item, offs in zip(recurring, fixed_offs(recurring, discount), strict=True):
        left = _left(item, discount, offs)
        total += left / _months(item.price.interval)
    return total


def _left(item: Item, discount: Discount | None, offs: Sequence[int]) -> Fraction:
    """What the steps of a discount leave of the exact amount."""
    left = amount(item.price, item.quantity)
    steps = discount.steps if discount else ()
    for step, off in zip(steps, offs or [0] * len(steps), strict=True):
        if step.reaches(item.price):
            left = left * (1 - step.fraction) - off
    return left


def _months(interval: Interval | None) -> Fraction:
    if interval is None or interval == Interval.WEEK:
        return Fraction(12, WEEKS_A_YEAR)
    return Fraction(MONTHS[interval])
