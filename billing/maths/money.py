"""Whole minor units, one rounding, one splitting.

An amount is an `int` of minor units (cents) with its currency beside it. Exact arithmetic is done on integers
and `Fraction`; a value becomes an amount through `round_half_away` and nowhere else.
"""

import re
from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

# ISO 4217, minor units. Codes without any (gold, XDR, test codes) cannot be billed in and are left out.
_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
YER ZAR ZMW ZWG
"""
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
_RETIRED = "ANG BGN CUC HRK SLL ZWL"  # two decimals; papers written in them must still be read

EXPONENTS: dict[str, int] = {
    code: digits
    for digits, codes in ((2, _TWO), (0, _ZERO), (3, _THREE), (4, _FOUR))
    for code in codes.split()
}

# The database refuses larger amounts too; ten trillion dollars is a typing error.
LIMIT = 10**15
_LONGEST = 32  # decimals of a written number; a longer one is written as a fraction

_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


class UnknownCurrency(ValueError):
    """The code is not a currency of ISO 4217 that has minor units."""


class InvalidAmount(ValueError):
    """The text or number is not an amount of money in its currency."""


def exponent(currency: str) -> int:
    """Decimals of the currency: 2 for USD, 0 for JPY, 3 for KWD. Raises UnknownCurrency."""
    try:
        return EXPONENTS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency code.") from None


def to_minor(value: str | Decimal, currency: str) -> int:
    """("29.00", "USD") -> 2900. Raises InvalidAmount for what is not exactly an amount of the currency."""
    digits = exponent(currency)
    number = _plain_number(value, digits, currency)
    scaled = Fraction(number) * 10**digits
    if scaled.denominator != 1:
        raise InvalidAmount(f"{value} has more than {digits} decimals, which {currency} does not have.")
    if abs(scaled) >= LIMIT:
        raise InvalidAmount(f"{value} is too large.")
    return int(scaled)


def _plain_number(value: str | Decimal, digits: int, currency: str) -> Decimal:
    if isinstance(value, str):
        return _plain_text(value, digits, currency)
    if not isinstance(value, Decimal):
        raise InvalidAmount(f"An amount is a decimal string, not {type(value).__name__}.")
    if not value.is_finite() or not spans_at_most(value, 20, 20):
        raise InvalidAmount(f"{value} is not an amount.")
    return value


def _plain_text(value: str, digits: int, currency: str) -> Decimal:
    if not _PLAIN_NUMBER.fullmatch(value):
        raise InvalidAmount(f"{value[:40]!r} is not a decimal number such as 29.00.")
    if len(value.partition(".")[2]) > digits:
        raise InvalidAmount(f"{value} has more than the {digits} decimals of {currency}.")
    return Decimal(value)


def spans_at_most(number: Decimal, digits: int, decimals: int) -> bool:
    """Whether a finite number fits into so many digits before the point and decimals after it.

    Asked before a number like 1E+999999 is made exact, which would take for ever.
    """
    short = Context(prec=max(1, len(number.as_tuple().digits))).normalize(number)
    last = short.as_tuple().exponent
    return number.adjusted() < digits and isinstance(last, int) and -last <= decimals


@lru_cache(maxsize=8192)  # nothing, and the same few amounts, over and over
def to_major(minor: int, currency: str) -> str:
    """(2900, "USD") -> "29.00"; (29, "JPY") -> "29"."""
    return _with_point(minor, exponent(currency))


@lru_cache(maxsize=4096)
def to_unit(amount: Decimal, currency: str) -> str:
    """A unit price in major units: (29, "USD") -> "29.00", (0.0015, "USD") -> "0.0015"."""
    whole, _, decimals = plain(amount).partition(".")
    return f"{whole}.{padded}" if (padded := decimals.ljust(exponent(currency), "0")) else whole


def plain(number: Decimal | Fraction | int) -> str:
    """An exact number as short text: 5, 0.0025; a fraction that is no decimal as 16/31. Never an exponent."""
    return _plain_fraction(number) if type(number) is Fraction else _plain_decimal(number)


@lru_cache(maxsize=4096)  # the same few prices, bounds and quantities, over and over
def _plain_decimal(number: Decimal | int) -> str:
    text = format(number, "f") if number else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain_fraction(number: Fraction) -> str:
    for digits in range(_LONGEST):
        if 10**digits % number.denominator == 0:
            scaled = number.numerator * (10**digits // number.denominator)
            return _with_point(scaled, digits)
    return str(number)


def _with_point(scaled: int, digits: int) -> str:
    if digits and scaled >= 10**digits:  # nearly always
        text = str(scaled)
        return f"{text[:-digits]}.{text[-digits:]}"
    whole, rest = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def round_half_away(numerator: int, denominator: int) -> int:
    """The one rounding: the nearest whole, a half away from zero. The denominator is above zero."""
    if numerator >= 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((denominator - 2 * numerator) // (2 * denominator))


def round_ratio(value: Fraction | Decimal) -> int:
    """The same rounding of an exact value."""
    return round_half_away(*value.as_integer_ratio())


def converted(minor: int, currency: str, into: str, rate: Decimal) -> int:
    """An amount in another currency, `rate` units of it for one: (10000, "EUR", "JPY", 160) -> 16000 yen. Raises
    UnknownCurrency."""
    exact = Fraction(minor) * Fraction(rate) * Fraction(10) ** (exponent(into) - exponent(currency))
    return round_ratio(exact)


def share(total: int, weights: Sequence[int]) -> list[int]:
    """The one splitting: whole parts in proportion to the weights that sum to the total exactly.

    Largest remainder (Hamilton): everybody gets the floor, what is left goes one by one to the largest
    remainders, ties to the earlier. All weights zero: equal parts. Raises ValueError for a negative weight,
    or when there is something to share and nobody to take it.
    """
    if total < 0:
        return [-part for part in share(-total, weights)]
    if any(weight < 0 for weight in weights):
        raise ValueError("A weight is negative.")
    whole = sum(weights)
    if whole == 0:
        return _share_equally(total, len(weights))
    parts, remainders = zip(*(divmod(total * weight, whole) for weight in weights), strict=True)
    return _hand_out(list(parts), remainders, total)


def _share_equally(total: int, count: int) -> list[int]:
    if count:
        return share(total, [1] * count)
    if total:
        raise ValueError("There is an amount to share and nobody to take it.")
    return []


def _hand_out(parts: list[int], remainders: Sequence[int], total: int) -> list[int]:
    largest_first = sorted(range(len(parts)), key=lambda i: -remainders[i])
    for i in largest_first[: total - sum(parts)]:
        parts[i] += 1
    return parts
