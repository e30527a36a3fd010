"""The XML inside, against the standard's own schema and rules."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.papers.checking import xml_errors
from billing.papers.data import InvoicePaper, Preceding, Seller, Settlement
from billing.papers.en16931 import NAMESPACES, NotAnEInvoice, cii, obstacles, vat_id
from tests.billing.papers import samples
from tests.billing.papers.samples import invoice, line

SWISS_BUYER = replace(samples.FRENCH_BUYER, country="CH", tax_id="CHE-123.456.788", name="Alpin AG")
NO_TAX_ID = replace(samples.GERMAN_SELLER, tax_id="", registration="")


def find(xml: bytes, path: str) -> list[str]:
    """The texts at a path of `ram:` names anywhere in the XML."""
    steps = "/".join(f"ram:{step}" for step in path.split("/"))
    found = etree.fromstring(xml).iterfind(f".//{steps}", NAMESPACES)
    return [each.text or "" for each in found]


def untaxed(category: str, **fields: Any) -> InvoicePaper:
    return invoice(
        line(rate="0", tax_category=category), line("Seats", "3", rate="0", tax_category=category), **fields
    )


CATEGORIES = {
    "S": samples.usual_invoice(),
    "S twice": samples.long_invoice(12),
    "Z": untaxed("Z"),
    "E": untaxed("E"),
    "AE": untaxed("AE"),
    "K": untaxed("K"),
    "K without period": untaxed("K", period=None),
    "G": untaxed("G", bill_to=SWISS_BUYER),
    "O": untaxed("O", seller=NO_TAX_ID, bill_to=replace(samples.FRENCH_BUYER, tax_id="")),
    "O with ids": untaxed("O"),
    "L": invoice(line(rate="7", tax_category="L")),
    "M": invoice(line(rate="4", tax_category="M")),
    "S and E": invoice(line(), line("Course", rate="0", tax_category="E")),
    "S and AE": invoice(line(), line("Remote service", rate="0", tax_category="AE")),
    "sales tax": samples.paid_invoice(),
}


@pytest.mark.parametrize("paper", CATEGORIES.values(), ids=CATEGORIES)
def test_it_is_valid_for_every_tax_category(paper: InvoicePaper) -> None:
    assert obstacles(paper) == []
    assert xml_errors(cii(paper)) == []


SHAPES = {
    "credit note": samples.usual_invoice(
        kind="credit_note", due_on=None, terms_days=None, preceding=Preceding(number="INV-1", issued_on=None)
    ),
    "credit note of a day": samples.usual_invoice(
        kind="credit_note", preceding=Preceding(number="INV-1", issued_on=samples.JUNE.first)
    ),
    "paid by card": samples.paid_invoice(),
    "due on receipt": samples.usual_invoice(due_on=None, terms_days=0),
    "partly paid": samples.usual_invoice(amount_paid=5000, balance_applied=1250),
    "nothing to pay": invoice(line(unit="0")),
    "no bank account": samples.usual_invoice(seller=replace(samples.GERMAN_SELLER, iban="", bic="")),
    "account without IBAN": samples.usual_invoice(
        seller=replace(samples.GERMAN_SELLER, iban="", bic="", account_number="12345")
    ),
    "paid otherwise": samples.usual_invoice(settlement=Settlement(method="other", words="Cash on the day")),
    "Swiss francs": samples.usual_invoice(currency="CHF", bill_to=SWISS_BUYER),
    "yen": invoice(line(unit="4900", exponent=0, rate="10"), currency="JPY", exponent=0),
    "dinars": invoice(line(unit="4.900", exponent=3, rate="10"), currency="KWD", exponent=3),
    "hostile words": invoice(line("a\x01&]]><b>'\"\ufffe"), notes="</ram:Content>&\x0b", number="A&B<1>"),
    "credited line": invoice(line(), line("Unused days", "-1", "12.34"), line("Seats", "1", "-5.00")),
    "credited line with discount": invoice(line(), line("Unused days", "-1", "12.34", discount=-123)),
    "tiers": invoice(replace(line(unit="12.34", quantity="1"), unit_amount=None, quantity=Decimal(5000))),
    "minimum spend": invoice(replace(line(unit="100"), unit_amount=Decimal("0.01"), quantity=Decimal(77))),
    "fractions of a cent": invoice(line("API calls", "1203456", "0.000040125")),
}


@pytest.mark.parametrize("paper", SHAPES.values(), ids=SHAPES)
def test_it_is_valid_for_every_shape(paper: InvoicePaper) -> None:
    assert obstacles(paper) == []
    assert xml_errors(cii(paper)) == []


@pytest.mark.parametrize("count", [40, 400])
def test_it_is_valid_with_many_lines(count: int) -> None:
    assert xml_errors(cii(samples.long_invoice(count))) == []


@st.composite
def papers(draw: st.DrawFn) -> InvoicePaper:
    """Random invoices: several rates, discounts, corrections, no tax, currencies of 0, 2, 3 decimals."""
    currency, exponent = draw(st.sampled_from([("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3)]))
    rates = draw(st.lists(st.sampled_from(["0", "5.5", "7", "19", "20", "25.5"]), min_size=1, max_size=3))
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        rate = draw(st.sampled_from(rates))
        one = line(
            draw(st.sampled_from(["Seats", "API calls", "Größe <XL> & Co"])),
            str(draw(st.decimals(min_value=0, max_value=10_000, places=3))),
            str(draw(st.decimals(min_value=-50, max_value=2_000, places=4))),
            rate=rate,
            exponent=exponent,
            tax_category="S" if rate != "0" else "Z",
        )
        share = draw(st.sampled_from([0, 0, 10, 33, 100]))
        cut = one.gross * share // 100
        net = one.gross - cut
        tax = samples.whole(net * Decimal(rate) / 100)
        lines.append(replace(one, discount=cut, net=net, tax_amount=tax))
    paper = invoice(*lines, currency=currency, exponent=exponent)
    assume(paper.total >= 0)
    return paper


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(papers())
def test_it_is_valid_or_absent(paper: InvoicePaper) -> None:
    paper.check()
    reasons = obstacles(paper)
    if paper.currency in ("EUR", "USD"):
        assert reasons == []  # twelve lines cannot drift by a whole unit
    assume(not reasons)
    assert xml_errors(cii(paper)) == []


def test_it_says_exactly_the_stored_amounts() -> None:
    paper = samples.usual_invoice(amount_paid=5000)
    xml = cii(paper)
    assert find(xml, "SpecifiedTradeSettlementLineMonetarySummation/LineTotalAmount") == [
        "1102.50",
        "48.14",
        "1200.00",
    ]
    assert find(xml, "SpecifiedTradeAllowanceCharge/ActualAmount") == ["122.50"]
    summation = "SpecifiedTradeSettlementHeaderMonetarySummation"
    said = {
        name: find(xml, f"{summation}/{name}")
        for name in ("TaxBasisTotalAmount", "TaxTotalAmount", "GrandTotalAmount", "DuePayableAmount")
    }
    assert said == {
        "TaxBasisTotalAmount": ["2350.64"],
        "TaxTotalAmount": ["446.63"],
        "GrandTotalAmount": ["2797.27"],
        "DuePayableAmount": ["2747.27"],
    }


@pytest.mark.parametrize(
    ("paper", "code", "account"),
    [
        (samples.usual_invoice(), "58", ["DE89370400440532013000"]),
        (samples.usual_invoice(currency="USD"), "30", ["DE89370400440532013000"]),
        (samples.paid_invoice(), "48", []),
        (SHAPES["no bank account"], "ZZZ", []),
    ],
)
def test_it_says_how_to_pay(paper: InvoicePaper, code: str, account: list[str]) -> None:
    xml = cii(paper)
    assert find(xml, "SpecifiedTradeSettlementPaymentMeans/TypeCode") == [code]
    assert find(xml, "PayeePartyCreditorFinancialAccount/IBANID") == account


def test_it_names_the_invoice_that_a_credit_note_corrects() -> None:
    xml = cii(SHAPES["credit note of a day"])
    assert b"<ram:TypeCode>381</ram:TypeCode>" in xml
    assert find(xml, "InvoiceReferencedDocument/IssuerAssignedID") == ["INV-1"]


def test_it_gives_the_reason_for_reverse_charge() -> None:
    xml = cii(CATEGORIES["AE"])
    assert find(xml, "ApplicableTradeTax/ExemptionReasonCode") == ["VATEX-EU-AE"]
    assert find(xml, "ApplicableTradeTax/ExemptionReason") == ["Reverse charge"]


@pytest.mark.parametrize(
    ("paper", "reason"),
    [
        (untaxed("AE", bill_to=replace(samples.FRENCH_BUYER, tax_id="")), "buyer's VAT id"),
        (untaxed("AE", bill_to=replace(samples.FRENCH_BUYER, tax_id="40303265045")), "buyer's VAT id"),
        (untaxed("G", seller=replace(samples.GERMAN_SELLER, tax_id_scheme="tax no.")), "seller's VAT id"),
        (samples.usual_invoice(seller=NO_TAX_ID), "seller needs a tax id"),
        (samples.usual_invoice(bill_to=replace(samples.FRENCH_BUYER, country="")), "country"),
        (invoice(line(), line(rate="0", tax_category="O")), "outside the scope"),
        (invoice(line(tax_category="AE")), "charges nothing"),
        (invoice(line(tax_category="X")), "X is no tax category"),
        (invoice(line(unit="4.901", exponent=3), currency="KWD", exponent=3), "two decimals"),
        (invoice(*[line(unit="0.02")] * 400), "line by line"),
        (invoice(line(" \u202e")), "description"),
    ],
)
def test_it_names_what_the_standard_cannot_say(paper: InvoicePaper, reason: str) -> None:
    assert reason in " ".join(obstacles(paper))
    with pytest.raises(NotAnEInvoice, match=reason):
        cii(paper)


def test_its_checks_can_fail() -> None:
    xml = cii(samples.usual_invoice())
    assert "BR-CO-15" in " ".join(xml_errors(xml.replace(b">2797.27</ram:Grand", b">2797.28</ram:Grand")))
    assert "not expected" in " ".join(xml_errors(xml.replace(b"ram:GrandTotalAmount", b"ram:GrandTotal")))
    assert "not well-formed" in xml_errors(b"<rsm>")[0]


def test_it_tells_vat_ids_from_other_tax_ids() -> None:
    seller = samples.GERMAN_SELLER
    known = {
        " de 123 456 789 ": "DE123456789",
        "CHE-123.456.788": "CHE123456788",
        "12-3456789": "",
        "": "",
    }
    for written, compact in known.items():
        assert vat_id(replace(seller, tax_id=written)) == compact
    assert vat_id(Seller(name="a", tax_id="DE123456789", tax_id_scheme="EIN")) == ""
