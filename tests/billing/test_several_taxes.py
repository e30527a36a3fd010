"""Several taxes on a line: found by the buyer's state, kept by name on every paper, printed, and given back."""

from decimal import Decimal

import pytest

from billing import cataloguing, collecting, correcting, drafting, issuing, printing, regions, taxes
from billing.issuing import DraftLine
from billing.maths.tax import Tax, TaxRate, whole
from billing.models import Customer, InvoiceLine, Mail, Seller
from billing.owing import taxed
from billing.papers import render
from billing.papers.en16931 import NotAnEInvoice, cii, obstacles, vat_breakdown
from billing.papers.sheet import invoice_sheet
from tests.fixtures_billing import NOON
from tests.staff import signed_in

pytestmark = pytest.mark.django_db

GST = {"name": "GST", "percentage": Decimal(5)}
QST = {"name": "QST", "percentage": Decimal("9.975")}


def set_rate(country, *parts, **fields):
    return cataloguing.create_tax_rate(now=NOON, name="Sales tax", country=country, taxes=parts, **fields)


def percent(country, state, category=""):
    buyer = Customer(country=country, billing_address={"state": state})
    found = taxes.tax_for(buyer, Seller.objects.get(), taxes.rates(), category)
    return f"{found.percentage.normalize():f}"


@pytest.fixture
def invoice(catalogue, make_customer, books):
    """200.00 and 10.01 in Quebec, open."""
    set_rate("CA", GST, QST, state="Quebec")
    buyer = make_customer(country="CA", billing_address={"country": "CA", "state": "QC"})
    lines = [drafting.NewLine("Set-up", Decimal(200)), drafting.NewLine("Support", Decimal("10.01"))]
    draft = drafting.write(customer=buyer, lines=lines, now=NOON, actor="system")
    return drafting.finalize(invoice=draft, now=NOON, actor="system")


# -- Which rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "typed", "code"),
    [
        ("CA", "Québec", "QC"), ("CA", "qc", "QC"), ("CA", "CA-QC", "QC"), ("CA", "Texas", ""), ("US", " new  york",
            "NY"),
        ("US", "D.C.", "DC"), ("US", "", ""), ("IN", "Tamil Nadu", "TN"), ("ES", "Canarias", "CANARIAS"), ("ES", "",
            ""),
        ("US", "USTX", "TX"), ("US", "CA", "CA"),
    ],
)  # fmt: skip
def test_a_state_is_known_by_name_and_code(country, typed, code):
    assert regions.code_of(country, typed) == code


def test_the_place_is_more_than_what_is_sold(catalogue):
    set_rate("US", {"name": "a", "percentage": Decimal(1)}, category="books")
    set_rate("US", {"name": "b", "percentage": Decimal(2)})
    set_rate("US", {"name": "c", "percentage": Decimal(3)}, state="TX")
    set_rate("US", {"name": "d", "percentage": Decimal(4)}, state="TX", category="books")
    set_rate("US", {"name": "e", "percentage": Decimal(5)}, state="NY")
    assert [percent("US", state, "books") for state in ("TX", "NY", "OR", "")] == ["4", "5", "1", "1"]
    assert [percent("US", state) for state in ("Texas", "NY", "OR", "")] == ["3", "5", "2", "2"]


def test_a_rate_takes_the_place_of_its_own_states_alone(catalogue):
    first = set_rate("CA", GST, QST, state="QC")
    set_rate("CA", GST)
    set_rate("CA", GST, {**QST, "percentage": Decimal(10)}, state="Quebec")
    first.refresh_from_db()
    assert (first.active, percent("CA", "QC"), percent("CA", "ON")) == (False, "15", "5")


# -- What papers say ----------------------------------------------------------------------------------------


def test_each_line_says_each_of_its_taxes(invoice):
    said = [(line.tax_percentage, line.tax_amount, line.taxes) for line in invoice.lines.all()]
    assert said == [
        (Decimal("14.975"), 29_95, [
            {"name": "GST", "percentage": "5", "amount": 10_00}, {"name": "QST", "percentage": "9.975",
                "amount": 19_95}]),
        (Decimal("14.975"), 1_50, [
            {"name": "GST", "percentage": "5", "amount": 50}, {"name": "QST", "percentage": "9.975",
                "amount": 1_00}]),
    ]  # fmt: skip
    assert taxes.by_name(invoice.lines.all()) == [
        ("GST", "5", 210_01, 10_50),
        ("QST", "9.975", 210_01, 20_95),
    ]


def test_the_paper_sums_up_each_tax_by_its_name(invoice):
    paper = printing.invoice_paper(invoice)
    paper.check()
    rows = [row for row in invoice_sheet(paper)["totals"]["small"] if "ST" in row[0]]
    assert [(label.split(" on ")[0], amount) for label, amount in rows] == [
        ("GST 5%", "$10.50"), ("QST 9.975%", "$20.95"),
    ]  # fmt: skip
    assert render.invoice_pdf(paper)[:5] == b"%PDF-"


def test_the_mail_names_each_tax_as_the_paper_does(invoice):
    collecting.send(invoice=invoice, now=NOON, actor="system")
    sent = Mail.objects.get(template="invoice")
    for words, amount in (("GST 5%", "$10.50"), ("QST 9.975%", "$20.95")):
        assert f"{words}: {amount}\n" in sent.text
        assert words in sent.html
    assert "Tax:" not in sent.text


def test_it_is_no_electronic_invoice(invoice):
    """EN 16931 has one VAT on a line and no other tax."""
    paper = printing.invoice_paper(invoice)
    assert any("several taxes" in each for each in obstacles(paper))
    with pytest.raises(NotAnEInvoice, match="several taxes"):
        cii(paper)


def test_one_rate_under_two_names_is_one_in_an_electronic_invoice(catalogue, make_customer, books):
    for name, word in (("VAT", ""), ("VAT on books", "books")):
        cataloguing.create_tax_rate(now=NOON, name=name, country="IE", percentage=Decimal(23), category=word)
    lines = [drafting.NewLine("A", Decimal(10)), drafting.NewLine("B", Decimal(5), tax_category="books")]
    draft = drafting.write(customer=make_customer(country="IE"), lines=lines, now=NOON, actor="system")
    paper = printing.invoice_paper(drafting.finalize(invoice=draft, now=NOON, actor="system"))
    assert [(each.name, each.amount) for each in paper.tax_subtotals] == [
        ("VAT", 2_30),
        ("VAT on books", 1_15),
    ]
    assert [(each.rate, each.taxable, each.amount) for each in vat_breakdown(paper)] == [(23, 15_00, 3_45)]


# -- Given back ---------------------------------------------------------------------------------------------


def test_notes_in_parts_give_back_all_of_each_tax(invoice):
    first = invoice.lines.first()
    notes = [
        correcting.credit(invoice=invoice, reason="part", now=NOON, actor="system", **part)
        for part in (
            {"lines": [correcting.LineCredit(first, amount=33_33)]},
            {"amount": 77_77},
            {"lines": [correcting.LineCredit(first, amount=1)]},
            {},
        )
    ]
    given = [taxes.by_name(note.lines.all()) for note in notes]
    for name, all_of_it in (("GST", 10_50), ("QST", 20_95)):
        assert sum(tax.amount for each in given for tax in each if tax.name == name) == all_of_it
    assert all(tax.amount >= 0 for each in given for tax in each)
    assert [note.tax_total for note in notes] == [sum(tax.amount for tax in each) for each in given]
    printing.credit_note_paper(notes[0]).check()


def test_cents_of_a_tax_come_from_each_in_turn(catalogue, make_customer, books):
    set_rate("US", {"name": "a", "percentage": Decimal(10)}, {"name": "b", "percentage": Decimal(11)})
    line = drafting.NewLine("Set-up", Decimal(1))
    draft = drafting.write(customer=make_customer(country="US"), lines=[line], now=NOON, actor="system")
    invoice = drafting.finalize(invoice=draft, now=NOON, actor="system")
    part = {"lines": [correcting.LineCredit(invoice.lines.get(), amount=5)], "reason": "part"}
    notes = [correcting.credit(invoice=invoice, now=NOON, actor="system", **part) for _ in range(20)]
    given = [tax for note in notes for tax in taxes.by_name(note.lines.all())]
    assert [sum(tax.amount for tax in given if tax.name == name) for name in "ab"] == [10, 11]
    assert {tax.amount for tax in given} == {0, 1}


def test_a_credit_over_several_notes_gives_back_all_of_each_tax():
    parts = (Tax("GST", Decimal(5)), Tax("QST", Decimal("9.975")))
    line = DraftLine("credit", "", -100_00, -3_33, -96_67, Decimal(1), None)
    taxed(line, TaxRate("t", whole(parts), taxes=parts))
    total = -(line.net + line.tax_amount)
    pieces = issuing._pieces([line], [total - 40_01, 40_00, 1])
    given = [piece for (piece,) in pieces]
    assert [-(piece.net + piece.tax_amount) for piece in given] == [total - 40_01, 40_00, 1]
    for n, tax in enumerate(line.taxes):
        assert sum(piece.taxes[n]["amount"] for piece in given) == tax["amount"]
    assert [sum(each["amount"] for each in piece.taxes) for piece in given] == [p.tax_amount for p in given]


def test_what_was_written_before_taxes_had_names_is_given_back(invoice):
    """Lines of an older release say how much, not of what."""
    old = [InvoiceLine(net=100_00, tax_amount=19_00, tax_percentage=Decimal(19), taxes=[])]
    assert taxes.by_name(old) == [("", "19", 100_00, 19_00)]
    assert taxes.part_of([], 5_00) == []


# -- Staff --------------------------------------------------------------------------------------------------

TYPED = {"name": "Sales tax", "country": "CA", "state": "québec", "category": "S", "active": "on"}


def post(**typed):
    staff = signed_in("view_taxrate", "add_taxrate", "change_taxrate")
    return staff.post("/admin/billing/taxrate/add/", {**TYPED, **typed})


def test_staff_write_taxes_as_lines(catalogue):
    assert post(taxes="GST: 5\nQST: 9.5 % compound").status_code == 302
    found = cataloguing.TaxRate.objects.get(country="CA", state="QC")
    assert (found.percentage, [each.compound for each in found.parts]) == (Decimal("14.975"), [False, True])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"taxes": "GST 5"}, "Line 1: write"),
        ({"taxes": "GST: 5 compound"}, "the first is taken from the net amount"),
        ({"taxes": "GST: 5\nQST: 5", "percentage": "11"}, "the taxes come to 10"),
        ({"taxes": ""}, "A percentage, or the taxes"),
        ({"taxes": "GST: 5", "state": "Texas"}, "Canada has no such state."),
        ({"taxes": "GST: 5", "country": "ZZ"}, "Select a valid choice."),
        ({"taxes": "GST: 5", "country": ""}, "A state is one of a country"),
    ],
)
def test_what_is_wrong_is_said_and_kept(catalogue, typed, said):
    answer = post(**typed)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert said in page
    assert typed["taxes"] in page
