"""Splitting lines over several papers: every sum stays what it was."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.maths.splitting import split
from billing.maths.tax import Taxed

amount = st.integers(-(10**9), 10**9)
some_lines = st.lists(st.builds(Taxed, amount, amount, amount), min_size=1, max_size=8)


def cut(total: int, at: list[int]) -> list[int]:
    """A total cut at some places into parts above zero."""
    edges = sorted({0, total, *(edge % total for edge in at)})
    return [right - left for left, right in pairwise(edges)]


@given(some_lines, st.lists(st.integers(0, 10**12), max_size=5))
def test_it_keeps_every_sum(lines: list[Taxed], at: list[int]) -> None:
    total = sum(line.total for line in lines)
    assume(total > 0)
    parts = cut(total, at)
    pieces = split(lines, parts)
    assert [sum(line.total for line in piece) for piece in pieces] == parts
    for i, line in enumerate(lines):
        shares = [piece[i] for piece in pieces]
        assert Taxed(*(sum(column) for column in zip(*shares, strict=True))) == line


def test_it_gives_the_cents_of_rounding_to_the_largest_line() -> None:
    lines = [Taxed(100, 0, 0), Taxed(1, 0, 0), Taxed(1, 0, 0)]
    assert split(lines, [51, 51]) == [
        [Taxed(49, 0, 0), Taxed(1, 0, 0), Taxed(1, 0, 0)],
        [Taxed(51, 0, 0), Taxed(0, 0, 0), Taxed(0, 0, 0)],
    ]


def test_it_splits_tax_with_its_line() -> None:
    assert split([Taxed(1000, 0, 230)], [410, 820]) == [[Taxed(333, 0, 77)], [Taxed(667, 0, 153)]]


@pytest.mark.parametrize("parts", [[], [50], [150, -50], [100, 0]])
def test_it_refuses_parts_that_are_not_the_total(parts: list[int]) -> None:
    with pytest.raises(ValueError, match="parts must be above zero"):
        split([Taxed(100, 0, 0)], parts)
