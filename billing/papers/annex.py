"""What a paper says of more lines than anybody reads: their sums by what was sold, and the lines themselves as a table
inside the file, beside its XML. A printed line takes 5 ms and 130 KB, a line of the table a hundredth of that.
"""

import csv
import io
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing.papers.data import InvoicePaper, PaperLine, Span
from billing.papers.text import one_line, spreadsheet_text

FILE_NAME = "lines.csv"
MOST_ROWS = 500  # that are printed
COLUMNS = (
    "line", "subscription", "description", "detail", "first_day", "last_day", "quantity", "unit_price", "gross",
    "discount", "net", "tax_category", "tax_percentage", "tax",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summed:
    """A row that is printed, and how many lines it adds up. `kept` is False where their descriptions differ."""

    line: PaperLine
    count: int = 1
    kept: bool = True


def is_long(paper: InvoicePaper) -> bool:
    return len(paper.lines) > MOST_ROWS


def printed(paper: InvoicePaper) -> list[Summed]:
    """The rows of the paper's table: its lines; of a long one their sums by description and price, and where even those
    are too many, by tax alone."""
    if not is_long(paper):
        return [Summed(line) for line in paper.lines]
    by_price = _summed(paper, _price)
    return by_price if len(by_price) <= MOST_ROWS else _summed(paper, _tax)


def _price(line: PaperLine) -> Hashable:
    return (line.group, line.description, line.unit_amount, *_tax(line))


def _tax(line: PaperLine) -> tuple[Hashable, ...]:
    return line.tax_category, line.tax_rate, tuple((each.name, each.rate) for each in line.taxes)


def _summed(paper: InvoicePaper, key: Callable[[PaperLine], Hashable]) -> list[Summed]:
    """In the order in which each first stands in the paper."""
    alike: dict[Hashable, list[PaperLine]] = {}
    for line in paper.lines:
        alike.setdefault(key(line), []).append(line)
    return [_sum(lines, paper.exponent) for lines in alike.values()]


def _sum(lines: Sequence[PaperLine], exponent: int) -> Summed:
    first = lines[0]
    if len(lines) == 1:
        return Summed(first)
    kept = {(line.group, line.description, line.unit_amount) for line in lines} == {
        (first.group, first.description, first.unit_amount)
    }
    quantity, gross = sum((line.quantity for line in lines), Decimal(0)), sum(line.gross for line in lines)
    whole = replace(
        first,
        quantity=quantity,
        unit_amount=_unit_amount(first, quantity, gross, exponent) if kept else None,
        gross=gross,
        discount=sum(line.discount for line in lines),
        net=sum(line.net for line in lines),
        tax_amount=sum(line.tax_amount for line in lines),
        detail="",
        period=_whole_span(line.period for line in lines),
        group=first.group if kept else "",
        taxes=(),
    )
    return Summed(whole, len(lines), kept)


def _unit_amount(line: PaperLine, quantity: Decimal, gross: int, exponent: int) -> Decimal | None:
    """The price, unless the sum of what was rounded line by line would not be its product."""
    if line.unit_amount is None:
        return None
    off = abs(quantity * line.unit_amount.scaleb(exponent) - gross)
    return line.unit_amount if off <= Decimal("0.5") else None


def _whole_span(spans: Iterable[Span | None]) -> Span | None:
    known = [span for span in spans if span is not None]
    if not known:
        return None
    return Span(first=min(span.first for span in known), last=max(span.last for span in known))


def table(paper: InvoicePaper) -> bytes:
    """Every line as CSV in UTF-8: amounts in major units, days in ISO 8601."""
    text = io.StringIO()
    sheet = csv.writer(text)
    sheet.writerow(COLUMNS)
    sheet.writerows(_cells(number, line, paper.exponent) for number, line in enumerate(paper.lines, 1))
    return text.getvalue().encode()


def _cells(number: int, line: PaperLine, exponent: int) -> list[object]:
    words = (spreadsheet_text(one_line(each)) for each in (line.group, line.description, line.detail))
    days = (line.period.first, line.period.last) if line.period else ("", "")
    unit = "" if line.unit_amount is None else f"{line.unit_amount:f}"
    gross, discount, net, tax = (
        Decimal(each).scaleb(-exponent) for each in (line.gross, line.discount, line.net, line.tax_amount)
    )
    return [
        number, *words, *days, f"{line.quantity:f}", unit, gross, discount, net, line.tax_category,
        f"{line.tax_rate.normalize():f}", tax,
    ]  # fmt: skip
