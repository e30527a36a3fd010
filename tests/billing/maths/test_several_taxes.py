"""Several taxes on one line: each rounded for itself, in sums that nothing is lost of."""

from decimal import Decimal as D
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.maths.tax import InvalidTaxRate, Tax, TaxRate, each_of, part_of_each, taxed, whole

QUEBEC = (Tax("GST", D(5)), Tax("QST", D("9.975")))
BEFORE_2013 = (Tax("GST", D(5)), Tax("QST", D("9.5"), compound=True))
NEW_YORK = (Tax("State", D(4)), Tax("City", D("4.5")), Tax("MCTD", D("0.375")))

taxes = st.lists(
    st.builds(
        Tax, st.just("x"), st.decimals("0.0001", "20", places=4, allow_nan=False, allow_infinity=False), st.booleans()
    ),
    min_size=1, max_size=4,
).map(lambda found: (Tax("x", found[0].percentage), *found[1:]))  # fmt: skip
amounts = st.integers(-(10**9), 10**9)


def rate(parts, **terms):
    return TaxRate("t", whole(parts), taxes=tuple(parts), **terms)


@pytest.mark.parametrize(
    ("parts", "come_to", "net", "each"),
    [
        (QUEBEC, "14.9750", 100_00, [5_00, 9_98]),
        (BEFORE_2013, "14.9750", 100_00, [5_00, 9_98]),
        (BEFORE_2013, "14.9750", 3_33, [17, 33]),  # 9.5 % of 3.50
        (NEW_YORK, "8.8750", 99_99, [4_00, 4_50, 37]),
        ((Tax("GST", D(5)), Tax("PST", D(7), compound=True)), "12.3500", 100_00, [5_00, 7_35]),
        (QUEBEC, "14.9750", -100_00, [-5_00, -9_98]),
    ],
)
def test_each_is_taken_and_rounded_for_itself(parts, come_to, net, each):
    of = rate(parts)
    assert of.percentage == D(come_to)
    line = taxed(net, 0, of)
    assert (each_of(line, of), line.tax) == (each, sum(each))


def test_a_price_contains_them_all():
    of = rate(QUEBEC, inclusive=True)
    line = taxed(114_98, 0, of)
    assert (line.net, line.tax, each_of(line, of)) == (100_00, 14_98, [5_00, 9_98])


@given(taxes, amounts, amounts, st.booleans())
def test_they_are_the_tax_of_the_line(parts, gross, discount, inclusive):
    of = rate(parts, inclusive=inclusive) if whole(parts) <= 100 else rate(parts[:1], inclusive=inclusive)
    line = taxed(gross, discount, of)
    each = each_of(line, of)
    assert sum(each) == line.tax
    assert line.total == gross - discount + (0 if inclusive else line.tax)
    exact = line.net * of.percentage / 100  # by the percentage that papers say, with its four decimals
    assert abs(line.tax - exact) <= len(parts) + 1 + abs(line.net) * D("0.000001")


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=5))
def test_parts_of_a_tax_take_all_of_each_and_never_more(each, cuts):
    tax, left = sum(each), list(each)
    bounds = [0, *sorted(min(cut, tax) for cut in cuts), tax]
    for start, end in pairwise(bounds):
        part = part_of_each(end - start, left)
        assert sum(part) == end - start
        left = [rest - taken for rest, taken in zip(left, part, strict=True)]
        assert min(left) >= 0
    assert not any(left)


@pytest.mark.parametrize(
    ("parts", "percentage", "field"),
    [
        ((Tax("a", D(5), compound=True),), "5", "taxes"),
        ((Tax("a", D(0)),), "0", "taxes"),
        ((Tax("a", D(5)), Tax("b", D(5))), "11", "percentage"),
        ((Tax("a", D(5)),), "6", "percentage"),
        ((Tax("a", D(60)), Tax("b", D(60))), "120", "percentage"),
    ],
)
def test_it_refuses_what_does_not_add_up(parts, percentage, field):
    with pytest.raises(InvalidTaxRate, match=f"^{field}: "):
        TaxRate("t", D(percentage), taxes=parts)


def test_one_tax_is_the_rate():
    assert TaxRate("t", D(19)).taxes == (Tax("", D(19)),)
    assert TaxRate("t", D(0), category="E").taxes == ()
