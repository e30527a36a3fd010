"""Splitting a paper's lines over several papers, so that every sum stays what it was."""

from collections.abc import Sequence
from typing import NamedTuple

from billing.maths.money import share


class Amounts(NamedTuple):
    """A line in minor units; `total` is what it adds to its paper. See `tax.Taxed`."""

    gross: int
    discount: int
    tax: int
    tax_in_gross: int = 0
    tax_in_discount: int = 0

    @property
    def total(self) -> int:
        return self.gross - self.discount + self.tax


def split(lines: Sequence[Amounts], parts: Sequence[int]) -> list[list[Amounts]]:
    """For each part (all above zero, together the lines' total) the same lines with their shares of it.

    Everything that a line says is split by largest remainder and sum to what they were; the totals of a
    part's lines sum to the part. The cents by which rounding would miss a part are borne by the largest line.
    """
    if sum(parts) != sum(line.total for line in lines) or min(parts, default=0) <= 0:
        raise ValueError("The parts must be above zero and sum to the total of the lines.")
    totals = [share(line.total, parts) for line in lines]
    largest = max(range(len(lines)), key=lambda i: abs(lines[i].total))
    for k, part in enumerate(parts):
        totals[largest][k] += part - sum(row[k] for row in totals)
    rows = [_shares(line, shares, parts) for line, shares in zip(lines, totals, strict=True)]
    return [list(column) for column in zip(*rows, strict=True)]


def _shares(line: Amounts, totals: Sequence[int], parts: Sequence[int]) -> list[Amounts]:
    discounts, *taxes = (share(amount, parts) for amount in line[1:])
    return [
        Amounts(total - tax + discount, discount, tax, *contained)
        for total, discount, tax, *contained in zip(totals, discounts, *taxes, strict=True)
    ]
