"""Papers of more lines than anybody reads: their sums are printed, every line is in a table inside the file."""

import csv
import io
from dataclasses import replace
from datetime import date
from decimal import Decimal

import facturx
import pytest
from pypdf import PdfReader

from billing.papers import annex, isolated
from billing.papers.data import PaperLine, Span
from billing.papers.en16931 import cii
from billing.papers.render import pdf
from tests.billing.papers import samples

DAYS = [Span(first=date(2026, 6, day), last=date(2026, 6, day)) for day in range(1, 31)]


def usage(count: int) -> list[PaperLine]:
    """One line a day and key, each of 1 to 9 units at 1.00."""
    return [
        samples.line(f"API calls, key {n % 40}", str(n % 9 + 1), "1.00", period=DAYS[n % 30])
        for n in range(count)
    ]


def rows_of(paper):
    content = annex.table(paper).decode()
    return list(csv.DictReader(io.StringIO(content)))


def test_it_prints_every_line_while_they_are_few() -> None:
    paper = samples.invoice(*usage(annex.MOST_ROWS))
    assert [each.line for each in annex.printed(paper)] == list(paper.lines)
    assert not annex.is_long(paper)


def test_it_adds_up_what_has_the_same_words_and_price() -> None:
    paper = samples.invoice(*usage(annex.MOST_ROWS + 100))
    printed = annex.printed(paper)
    assert [each.line.description for each in printed] == [f"API calls, key {n}" for n in range(40)]
    assert {each.count for each in printed} == {15}
    assert sum(each.line.gross for each in printed) == paper.subtotal
    assert sum(each.line.net for each in printed) == paper.subtotal - paper.discount_total
    assert sum(each.line.tax_amount for each in printed) == paper.tax_total
    assert printed[0].line.period == Span(first=DAYS[0].first, last=DAYS[20].last)


def test_a_price_that_its_sums_rounding_belies_is_not_printed() -> None:
    """0.004 each is nothing, of three hundred of them 1.20 would be expected."""
    lines = [samples.line("Crumbs", "1", "0.004")] * 300 + [samples.line("Seats", "2", "10.00")] * 300
    printed = annex.printed(samples.invoice(*lines))
    assert [(each.line.unit_amount, each.line.gross) for each in printed] == [
        (None, 0),
        (Decimal("10.00"), 6000_00),
    ]


def test_other_taxes_and_other_headings_are_other_rows() -> None:
    one = samples.line("Seats", "2", "10.00", group="Pro")
    lines = [
        one,
        replace(one, group="Starter"),
        samples.line("Seats", "2", "10.00", rate="7", group="Pro"),
    ] * 200
    printed = annex.printed(samples.invoice(*lines))
    assert [(each.line.group, each.line.tax_rate) for each in printed] == [
        ("Pro", 19), ("Starter", 19), ("Pro", 7),
    ]  # fmt: skip


def test_where_each_line_says_something_else_they_are_added_up_by_tax() -> None:
    paper = samples.long_invoice(annex.MOST_ROWS + 1)
    printed = annex.printed(paper)
    assert sorted((each.line.tax_rate, each.count, each.kept) for each in printed) == [
        (7, 167, False), (19, 334, False),
    ]  # fmt: skip
    assert sum(each.line.net for each in printed) == paper.subtotal - paper.discount_total


def test_its_table_has_every_line() -> None:
    paper = samples.long_invoice(700)
    rows = rows_of(paper)
    assert len(rows) == 700
    assert sum(Decimal(row["net"]) for row in rows) * 100 == paper.subtotal - paper.discount_total
    assert sum(Decimal(row["tax"]) for row in rows) * 100 == paper.tax_total
    assert rows[3] == {
        "line": "4", "subscription": "", "description": "Item 4: metered storage, region eu-north-4", "detail": "",
        "first_day": "2026-06-01", "last_day": "2026-06-30", "quantity": "5", "unit_price": "3.1415",
        "gross": "15.71", "discount": "0.00", "net": "15.71", "tax_category": "S", "tax_percentage": "19",
        "tax": "2.98",
    }  # fmt: skip


@pytest.mark.parametrize("words", ["=1+1", "@SUM(A1)", "-2", "+3", "\uff1d1+1", "\uff20SUM(A1)"])
def test_no_word_of_its_table_is_a_formula(words: str) -> None:
    [row] = rows_of(samples.invoice(samples.line(words, group=words, detail=words)))
    assert {row[name] for name in ("subscription", "description", "detail")} == {f"'{words}"}


def test_its_file_has_both_and_says_so() -> None:
    paper = samples.invoice(*usage(annex.MOST_ROWS + 100))
    content = pdf(paper)
    file = PdfReader(io.BytesIO(content))
    assert file.attachments[annex.FILE_NAME] == [annex.table(paper)]
    assert facturx.get_facturx_xml_from_pdf(content) == ("factur-x.xml", cii(paper))
    kinds = {each["/F"]: each["/AFRelationship"] for each in file.trailer["/Root"]["/AF"]}
    assert kinds == {"factur-x.xml": "/Alternative", "lines.csv": "/Supplement"}
    text = "".join(page.extract_text() for page in file.pages)
    assert "This paper has 600 lines." in " ".join(text.split())
    assert text.count("15 lines") == 40
    assert pdf(paper) == content


def test_thousands_of_lines_take_little_more_than_any_other_paper() -> None:
    """Typesetting them took 25 seconds of processor time and 800 MB."""
    paper = samples.long_invoice(5000)
    file = PdfReader(io.BytesIO(isolated.render_isolated(paper, seconds=10, memory=600 * 2**20)))
    assert len(file.pages) == 1
    assert len(file.attachments[annex.FILE_NAME][0].splitlines()) == 5001
