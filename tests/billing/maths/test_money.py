from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.maths.money import (
    EXPONENTS,
    InvalidAmount,
    UnknownCurrency,
    converted,
    exponent,
    plain,
    round_half_away,
    round_ratio,
    share,
    to_major,
    to_minor,
    to_unit,
)

integers = st.integers(-(10**15) + 1, 10**15 - 1)


@pytest.mark.parametrize(
    ("currency", "digits"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("ISK", 0),
        ("UGX", 0),
        ("KWD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("HUF", 2),
    ],
)
def test_it_knows_the_decimals_of_a_currency(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize("code", ["", "usd", "US", "XXX", "XAU", "ZZZ", None])
def test_it_refuses_an_unknown_currency(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent(code)


def test_it_lists_each_currency_with_its_own_length() -> None:
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
    assert len(EXPONENTS) > 155


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("29.00", "USD", 2900),
        ("29", "USD", 2900),
        ("0.05", "EUR", 5),
        ("-0.05", "EUR", -5),
        ("29", "JPY", 29),
        ("29.000", "KWD", 29000),
        (Decimal("29.000000000000"), "USD", 2900),
        (Decimal("1E+2"), "USD", 10000),
        ("9999999999999.99", "USD", 999999999999999),
    ],
)
def test_it_reads_an_amount(text: str, currency: str, minor: int) -> None:
    assert to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        ("29.001", "USD"),
        ("29.0", "JPY"),
        (Decimal("0.001"), "USD"),
        ("1e3", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        (Decimal("NaN"), "USD"),
        (Decimal("-Infinity"), "USD"),
        (Decimal("1E+50"), "USD"),
        (Decimal("1E+999999"), "USD"),
        (Decimal("1E-999999"), "USD"),
        ("", "USD"),
        (" 5", "USD"),
        ("+5", "USD"),
        ("5.", "USD"),
        (".5", "USD"),
        ("1,000", "USD"),
        ("1_000", "USD"),
        ("٢٩", "USD"),
        ("5\n", "USD"),
        ("10000000000000.00", "USD"),
        (29, "USD"),
        (29.0, "USD"),
        (True, "USD"),
        (None, "USD"),
    ],
)
def test_it_refuses_what_is_not_exactly_an_amount(value: object, currency: str) -> None:
    with pytest.raises(InvalidAmount):
        to_minor(value, currency)  # type: ignore[arg-type]


@given(integers, st.sampled_from(sorted(EXPONENTS)))
def test_it_reads_back_what_it_wrote(minor: int, currency: str) -> None:
    assert to_minor(to_major(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (2900, "USD", "29.00"),
        (-5, "USD", "-0.05"),
        (-2905, "USD", "-29.05"),
        (29, "JPY", "29"),
        (1, "KWD", "0.001"),
        (0, "USD", "0.00"),
    ],
)
def test_it_writes_an_amount(minor: int, currency: str, text: str) -> None:
    assert to_major(minor, currency) == text


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (1, 2, 1),
        (-1, 2, -1),
        (3, 2, 2),
        (-3, 2, -2),
        (5, 2, 3),
        (1, 3, 0),
        (-1, 3, 0),
        (-2, 3, -1),
        (0, 7, 0),
    ],
)
def test_it_rounds_a_half_away_from_zero(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_away(numerator, denominator) == rounded


@given(integers, st.integers(1, 10**9))
@example(1, 2)
def test_it_rounds_to_the_nearest_and_the_same_on_both_sides_of_zero(
    numerator: int, denominator: int
) -> None:
    rounded = round_half_away(numerator, denominator)
    assert abs(Fraction(numerator, denominator) - rounded) <= Fraction(1, 2)
    assert round_half_away(-numerator, denominator) == -rounded
    assert round_ratio(Fraction(numerator, denominator)) == rounded


@pytest.mark.parametrize(
    ("minor", "currency", "into", "rate", "gives"),
    [
        (10_000, "EUR", "JPY", "160", 16_000), (160, "JPY", "EUR", "0.00625", 100), (1, "JPY", "USD", "0.005", 1),
        (-1, "JPY", "USD", "0.005", -1), (1_000, "KWD", "USD", "3.25", 325), (0, "EUR", "USD", "1.1", 0),
    ],
)  # fmt: skip
def test_it_converts_and_rounds_once(minor: int, currency: str, into: str, rate: str, gives: int) -> None:
    assert converted(minor, currency, into, Decimal(rate)) == gives


def test_it_rounds_a_decimal_exactly() -> None:
    assert round_ratio(Decimal("0.5")) == 1
    assert round_ratio(Decimal("-2.5")) == -3
    assert round_ratio(Decimal("0.49999999999999999999999999999999")) == 0


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (10, [0, 1, 0], [0, 10, 0]),
        (1, [1, 2], [0, 1]),
        (5, [0, 0], [3, 2]),
        (0, [], []),
        (0, [0, 0], [0, 0]),
        (1000, [2900, 1000], [744, 256]),
    ],
)
def test_it_shares_by_largest_remainder(total: int, weights: list[int], parts: list[int]) -> None:
    assert share(total, weights) == parts


@pytest.mark.parametrize(("total", "weights"), [(1, []), (1, [1, -1])])
def test_it_refuses_to_share_among_nobody(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError):
        share(total, weights)


@given(integers, st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_it_shares_without_losing_a_cent(total: int, weights: list[int]) -> None:
    parts = share(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    if whole:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(Fraction(total * weight, whole) - part) < 1
            assert weight or part == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("5.000000000000"), "5"),
        (Decimal("0.0025"), "0.0025"),
        (Decimal("1E+2"), "100"),
        (Decimal("-0.00"), "0"),
        (Fraction(-1, 8), "-0.125"),
        (Decimal("1E-12"), "0.000000000001"),
        (Fraction(25, 2), "12.5"),
        (Fraction(16, 31), "16/31"),
        (Decimal("123456789012345678901234567890.5"), "123456789012345678901234567890.5"),
    ],
)
def test_it_writes_an_exact_number(number: Decimal | Fraction, text: str) -> None:
    assert plain(number) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("29", "USD", "29.00"), ("29.5", "USD", "29.50"), ("0.0015", "USD", "0.0015"), ("0", "EUR", "0.00"),
        ("1E+3", "JPY", "1000"), ("0.5", "JPY", "0.5"), ("1.2", "KWD", "1.200"),
        ("0.000000000001", "USD", "0.000000000001"),
    ],
)  # fmt: skip
def test_it_writes_a_unit_price_with_the_decimals_of_money_or_more(amount, currency, text):
    assert to_unit(Decimal(amount), currency) == text
