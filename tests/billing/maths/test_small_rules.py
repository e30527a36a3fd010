"""Proration, discounts, tax and ageing: each a rule of a few lines."""

from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction as F
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.maths.ageing import BUCKETS, ageing, bucket
from billing.maths.discounts import Discount, InvalidDiscount, fixed_shares, percent_of, step_shares, taken
from billing.maths.periods import Cycle, Interval, Period
from billing.maths.pricing import Price, PriceKind, PriceModel
from billing.maths.proration import part, rest
from billing.maths.tax import InvalidTaxRate, TaxRate, tax_of, taxed

MAY = Period(date(2012, 5, 1), date(2012, 6, 1))


def test_it_prorates_arrears_by_days_of_the_whole_period() -> None:
    quarter = Period(date(2024, 4, 1), date(2024, 7, 1))
    assert part(91000, date(2024, 5, 20), date(2024, 6, 21), quarter) == 32000
    assert part(F(91000), quarter.start, quarter.end, quarter) == 91000


def test_it_prorates_advance_by_what_is_left() -> None:
    assert rest(59995, date(2012, 5, 7), MAY) == 48383
    assert rest(995, date(2012, 5, 7), MAY) == 802
    assert rest(995, MAY.end, MAY) == 0
    assert rest(995, MAY.start, MAY) == 995


@given(
    st.integers(-(10**9), 10**9),
    st.builds(Cycle, st.sampled_from(list(Interval)), st.dates(date(2000, 1, 1), date(2050, 1, 1))),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_it_loses_no_cent_between_neighbours(amount: int, cycle: Cycle, offsets: list[int]) -> None:
    period = cycle.period_at(cycle.anchor)
    cuts = sorted(
        {period.start, period.end} | {period.start + timedelta(days=n % period.days) for n in offsets}
    )
    pieces = [rest(amount, s, period) - rest(amount, e, period) for s, e in pairwise(cuts)]
    assert sum(pieces) == amount


@pytest.mark.parametrize("anchor_day", range(1, 32))
def test_it_splits_every_period_on_every_day_exactly(anchor_day: int) -> None:
    cycle = Cycle(Interval.MONTH, date(2023, 1, anchor_day))
    for period in cycle.periods(date(2023, 1, 1), date(2025, 1, 1)):
        for n in range(period.days + 1):
            day = period.start + timedelta(days=n)
            assert (rest(9999, period.start, period) - rest(9999, day, period)) + rest(
                9999, day, period
            ) == 9999


def priced(code: str, meter: str | None = None) -> Price:
    kind = PriceKind.USAGE if meter else PriceKind.RECURRING
    return Price(code, kind, PriceModel.FLAT, Interval.MONTH, "USD", D(10), meter=meter, code=code)


def test_it_takes_a_percentage_off_each_entry() -> None:
    tenth = Discount("d", percent_off=D("12.5"))
    assert percent_of(1004, tenth) == 126
    assert percent_of(-1004, tenth) == -126
    assert fixed_shares(tenth, [100, 200]) == [0, 0]


def test_it_shares_a_fixed_discount_and_never_gives_more_than_there_is() -> None:
    assert fixed_shares(Discount("d", amount_off=1000), [2900, 1000]) == [744, 256]
    assert fixed_shares(Discount("d", amount_off=5000), [2900, 1000]) == [2900, 1000]
    assert fixed_shares(Discount("d", amount_off=5000), []) == []
    assert percent_of(1004, Discount("d", amount_off=5)) == 0


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("percent_off", {}),
        ("percent_off", {"percent_off": D(5), "amount_off": 5}),
        ("percent_off", {"percent_off": D(101)}),
        ("percent_off", {"percent_off": D(-1)}),
        ("amount_off", {"amount_off": -1}),
    ],
)
def test_it_refuses_a_discount_that_is_none(field: str, more: dict[str, D]) -> None:
    with pytest.raises(InvalidDiscount, match=f"^{field}:"):
        Discount("d", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{"percent_off": D(0)}, {"percent_off": D(100)}, {"amount_off": 0}])
def test_it_takes_a_discount_at_the_edges(more: dict[str, D]) -> None:
    assert Discount("x" * 60, **more).label == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "a|b", "x" * 61])
def test_it_refuses_a_discount_key_that_cannot_be_stored(key: str) -> None:
    with pytest.raises(InvalidDiscount, match=r"^key:"):
        Discount(key, amount_off=1)


@pytest.mark.parametrize(
    ("amount", "percentage", "inclusive", "net", "tax"),
    [
        (19333, "25", False, 19333, 4833),
        (2571, "23.33", False, 2571, 600),
        (250, "5", False, 250, 13),
        (-250, "5", False, -250, -13),
        (11900, "19", True, 10000, 1900),
        (100, "19", True, 84, 16),
        (-100, "19", True, -84, -16),
        (1000, "0", False, 1000, 0),
    ],
)
def test_it_taxes_a_line(amount: int, percentage: str, inclusive: bool, net: int, tax: int) -> None:
    assert tax_of(amount, TaxRate("t", D(percentage), inclusive)) == (net, tax)


@given(st.integers(-(10**12), 10**12), st.decimals(0, 100, places=4))
def test_it_never_changes_an_inclusive_price(gross: int, percentage: D) -> None:
    net, tax = tax_of(gross, TaxRate("t", percentage, inclusive=True))
    assert net + tax == gross
    assert tax_of(-gross, TaxRate("t", percentage, inclusive=True)) == (-net, -tax)


@pytest.mark.parametrize(
    ("field", "percentage", "category"),
    [
        ("category", "0", "X"),
        ("percentage", "-1", "S"),
        ("percentage", "101", "S"),
        ("percentage", "NaN", "S"),
        ("percentage", "19", "AE"),
    ],
)
def test_it_refuses_a_tax_rate_that_cannot_be(field: str, percentage: str, category: str) -> None:
    with pytest.raises(InvalidTaxRate, match=f"^{field}:"):
        TaxRate("t", D(percentage), category=category)


@pytest.mark.parametrize(
    ("days_late", "name"),
    [
        (-5, "current"),
        (0, "current"),
        (1, "1-30"),
        (30, "1-30"),
        (31, "31-60"),
        (60, "31-60"),
        (61, "61-90"),
        (90, "61-90"),
        (91, "90+"),
        (4000, "90+"),
    ],
)
def test_it_names_the_bucket_of_a_debt(days_late: int, name: str) -> None:
    assert bucket(date(2024, 3, 1) - timedelta(days=days_late), date(2024, 3, 1)) == name


def test_it_sums_debts_by_age() -> None:
    today = date(2024, 3, 1)
    rows = [(today, 100), (date(2024, 2, 1), 50), (date(2024, 1, 31), -20), (date(2024, 1, 30), 7)]
    assert ageing(rows, today) == {"current": 100, "1-30": 30, "31-60": 7, "61-90": 0, "90+": 0}
    assert list(ageing([], today)) == list(BUCKETS)


@given(st.integers(0, 10**9), st.integers(0, 100), st.decimals(0, 100, places=4))
def test_it_takes_tax_out_of_price_and_discount_alike(gross: int, off: int, percentage: D) -> None:
    """With what was in them both are what they were, and what is left to pay is not touched."""
    discount = gross * off // 100
    rate = TaxRate("t", percentage, inclusive=True)
    line = taxed(gross, discount, rate)
    assert line.net + line.tax == gross - discount
    assert (line.gross + line.tax_in_gross, line.discount + line.tax_in_discount) == (gross, discount)
    assert line.tax == line.tax_in_gross - line.tax_in_discount
    back = taxed(-gross, -discount, rate)
    assert tuple(back) == tuple(-amount for amount in line)


def test_it_takes_out_tax_that_is_not_charged() -> None:
    reverse = TaxRate("r", D(0), category="AE", contained=D(19))
    assert tax_of(11900, reverse) == (10000, 0)
    assert taxed(11900, 1190, reverse) == (10000, 1000, 0, 1900, 190)
    assert taxed(100, 10, TaxRate("t", D(19))) == (100, 10, 17, 0, 0)


@pytest.mark.parametrize("contained", ["-1", "101", "NaN"])
def test_it_refuses_tax_in_prices_that_cannot_be(contained: str) -> None:
    with pytest.raises(InvalidTaxRate, match=r"^contained:"):
        TaxRate("t", D(0), category="AE", contained=D(contained))
    with pytest.raises(InvalidTaxRate, match=r"^contained:"):
        TaxRate("t", D(19), contained=D(19))


TENTH, FIXED, HALF = (
    Discount("a", percent_off=D(10)),
    Discount("b", amount_off=1000),
    Discount("c", percent_off=D(50)),
)


@pytest.mark.parametrize(
    ("parts", "steps"),
    [
        ((TENTH, FIXED, HALF), [390, 1000, 1255]),
        ((FIXED, TENTH, HALF), [1000, 290, 1305]),
        ((HALF, TENTH), [1950, 195]),
        ((Discount("d", amount_off=9000), TENTH), [3900, 0]),
        ((FIXED, Discount("d", amount_off=9000)), [1000, 2900]),
    ],
)
def test_each_discount_is_taken_off_what_those_before_it_left(
    parts: tuple[Discount, ...], steps: list[int]
) -> None:
    stack = Discount("s", parts=parts)
    prices = [priced("platform"), priced("seats")]
    shares = step_shares(stack, prices, [2900, 1000])
    assert [sum(column) for column in zip(*shares, strict=True)] == [
        step if part.amount_off else 0 for part, step in zip(parts, steps, strict=True)
    ]
    found = [list(taken(*each)) for each in zip((2900, 1000), [stack] * 2, shares, prices, strict=True)]
    assert [sum(column) for column in zip(*found, strict=True)] == steps


def test_a_discount_for_some_prices_leaves_the_others_alone() -> None:
    prices = [priced("platform"), priced("seats"), priced("calls", meter="api")]
    stack = Discount(
        "s",
        parts=(
            Discount("a", amount_off=1500, only=frozenset({"seats", "api"})),
            Discount("b", percent_off=D(50), only=frozenset({"platform"})),
        ),
    )
    assert step_shares(stack, prices, [2000, 1000, 500]) == [(0, 0), (1000, 0), (500, 0)]
    assert [list(taken(100, stack, (100, 0), price)) for price in prices] == [[0, 50], [100, 0], [100, 0]]
    assert [stack.reaches(price) for price in (*prices, priced("setup"))] == [True, True, True, False]


def test_it_refuses_discounts_of_discounts() -> None:
    with pytest.raises(InvalidDiscount, match=r"^parts:"):
        Discount("s", parts=(Discount("t", parts=(TENTH,)),))
    with pytest.raises(InvalidDiscount, match=r"^percent_off:"):
        Discount("s", percent_off=D(1), parts=(TENTH,))
