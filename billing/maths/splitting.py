"""Splitting a paper's lines over several papers, so that every sum stays what it was."""

from collections.abc import Sequence

from billing.maths.money import share
from billing.maths.tax import Taxed


def split(lines: Sequence[Taxed], parts: Sequence[int]) -> list[list[Taxed]]:
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


def _shares(line: Taxed, totals: Sequence[int], parts: Sequence[int]) -> list[Taxed]:
    discounts, *taxes = (share(amount, parts) for amount in line[1:])
    return [
        Taxed(total - tax + discount, discount, tax, *contained)
        for total, discount, tax, *contained in zip(totals, discounts, *taxes, strict=True)
    ]
