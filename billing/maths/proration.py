"""The two proration rules. Both count days of the whole (notional) period, never of what is left of it."""

from datetime import date
from fractions import Fraction

from billing.maths.money import round_half_away
from billing.maths.periods import Period


def part(amount: int | Fraction, start: date, end: date, period: Period) -> int:
    """Arrears: what [start, end) of the period costs, R(amount * days / period days)."""
    return prorated(amount.as_integer_ratio(), (end - start).days, period.days)


def rest(amount: int | Fraction, day: date, period: Period) -> int:
    """Advance: what is still to come on a day, R(amount * days to the period's end / period days).

    A stretch [s, e) billed in advance costs rest(s) - rest(e): neighbours telescope and no cent is lost.
    """
    return part(amount, day, period.end, period)


def prorated(amount: tuple[int, int], days: int, of_days: int) -> int:
    """Both rules in integers: amount as numerator and denominator, rounded once."""
    numerator, denominator = amount
    return round_half_away(numerator * days, denominator * of_days)
