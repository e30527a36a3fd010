"""Papers as JSON, and totals that must add up."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.papers.data import InvoicePaper, PaperDoesNotAddUp, QuotePaper, UnreadablePaper
from tests.billing.papers import samples

LOGO = b"\x89PNG\r\n\x1a\n\x00\xff"
PAPERS = [
    samples.usual_invoice(),
    samples.usual_invoice(seller=replace(samples.GERMAN_SELLER, logo=LOGO)),
    samples.paid_invoice(),
    samples.quote(),
    samples.quote(signature=samples.SIGNATURE),
]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: f"{type(paper).__name__} {paper.number}")
def test_it_survives_json(paper: InvoicePaper | QuotePaper) -> None:
    text = json.dumps(paper.to_json())
    assert type(paper).from_json(json.loads(text)) == paper


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12), st.text(max_size=20))
@settings(max_examples=50)
def test_it_survives_json_whatever_it_says(price: Decimal, words: str) -> None:
    paper = samples.invoice(replace(samples.line(words), unit_amount=price))
    assert InvoicePaper.from_json(json.loads(json.dumps(paper.to_json()))) == paper


def test_it_reads_json_from_before_a_field_existed() -> None:
    old = samples.usual_invoice().to_json()
    del old["status"], old["seller"]["accent"], old["lines"][0]["unit"]
    assert InvoicePaper.from_json(old) == samples.usual_invoice()


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("total", "100", "InvoicePaper.total"),
        ("total", True, "InvoicePaper.total"),
        ("issued_on", "01.07.2026", "InvoicePaper.issued_on"),
        ("lines", "none", "InvoicePaper.lines"),
        ("lines", [{"description": "a", "net": 1.5}], "InvoicePaper.lines[0].net"),
        ("kind", "receipt", "InvoicePaper.kind"),
        ("colour", "red", "colour"),
        ("seller", {"city": "Hamburg"}, "name"),
    ],
)
def test_it_names_what_it_cannot_read(field: str, value: object, named: str) -> None:
    broken = samples.usual_invoice().to_json() | {field: value}
    with pytest.raises(UnreadablePaper) as caught:
        InvoicePaper.from_json(broken)
    assert named in str(caught.value)


def test_it_adds_up() -> None:
    for paper in PAPERS:
        paper.check()


@pytest.mark.parametrize(
    "field", ["subtotal", "discount_total", "tax_total", "total", "amount_due", "balance_applied"]
)
def test_it_refuses_a_total_that_is_a_cent_off(field: str) -> None:
    paper = samples.usual_invoice()
    with pytest.raises(PaperDoesNotAddUp):
        replace(paper, **{field: getattr(paper, field) + 1}).check()


def test_it_refuses_a_line_that_is_a_cent_off() -> None:
    wrong = replace(samples.line(), net=4901)
    with pytest.raises(PaperDoesNotAddUp, match="net of line 1 says 4901 and adds up to 4900"):
        samples.invoice(wrong).check()


def test_it_refuses_a_tax_that_no_line_has() -> None:
    paper = samples.usual_invoice()
    twice = paper.tax_subtotals * 2
    with pytest.raises(PaperDoesNotAddUp, match="taxable amount of S 19 %"):
        replace(paper, tax_subtotals=twice).check()


def test_it_refuses_a_quote_that_does_not_add_up() -> None:
    with pytest.raises(PaperDoesNotAddUp, match="list_total"):
        samples.quote(list_total=1).check()
