"""Which rate is taken for what, and what becomes of prices that contain tax."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from billing import cataloguing, correcting, drafting, ending, printing, subscribing, taxes
from billing.issuing import DraftLine
from billing.maths.tax import TaxRate as TaxValue
from billing.models import CreditNote, Customer, Invoice, Seller, Subscription, TaxRate
from billing.owing import taxed
from billing.papers.checking import xml_errors
from billing.papers.en16931 import cii, obstacles
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db

HOME = "IE"
FLAT = {"code": "shop", "amount": Decimal("123.00"), "label": "Shop"}
BOOKS = {"code": "books", "amount": Decimal("10.90"), "label": "Books", "tax_category": "books"}


def set_rate(percentage, country=HOME, **fields):
    cataloguing.create_tax_rate(
        now=NOON, name="VAT", percentage=Decimal(percentage), country=country, **fields
    )


def percent(category="", **customer):
    buyer = Customer(**{"country": HOME, **customer})
    found = taxes.tax_for(buyer, Seller.objects.get(), taxes.rates(), category)
    return f"{found.percentage.normalize():f}"


@pytest.fixture
def sold(subscribe):
    """sold(customer, *prices, **terms of subscribe): a plan of these prices, subscribed to and billed."""

    def make(customer, *prices, tax_category="", **terms):
        cataloguing.create_plan(
            code="shop", name="Shop", motion="self_serve", now=NOON, actor="system", livemode=False,
            prices=prices, tax_category=tax_category,
        )  # fmt: skip
        return subscribe(customer, plan="shop", quantity=None, **terms)

    return make


def change(subscription, **wished):
    return subscribing.change(
        subscription=subscription, now=subscription.customer.now, actor="system", **wished
    )


def said(paper):
    return [(line.gross, line.discount, line.net, line.tax_amount) for line in paper.lines.all()]


# -- Which rate wins ----------------------------------------------------------------------------------------


def test_the_most_specific_rate_wins(catalogue):
    set_rate("9", category="books")
    set_rate("5", country="", category="books")
    set_rate("4", country="")
    assert [percent("books"), percent("shoes"), percent()] == ["9", "23", "23"]
    assert [percent("books", country="DE"), percent("books", country="CH"), percent(country="CH")] == [
        "19", "5", "4",
    ]  # fmt: skip


def test_a_rate_takes_the_place_of_its_own_kind_alone(catalogue):
    set_rate("9", category="books")
    set_rate("10", category="Books")
    set_rate("24")
    assert [percent("books"), percent()] == ["10", "24"]


@pytest.mark.parametrize("word", ["bad word", "é"])
def test_it_refuses_a_category_that_is_no_word(catalogue, word):
    with pytest.raises(cataloguing.InvalidCatalogue) as refused:
        set_rate("9", category=word)
    assert refused.value.field == "category"


def test_a_price_is_never_of_a_category_of_the_electronic_invoice(catalogue, make_customer, sold):
    with pytest.raises(cataloguing.InvalidCatalogue) as refused:
        sold(make_customer(), {**FLAT, "tax_category": "ae"})
    assert refused.value.field == "prices.0.tax_category"


def test_several_rates_stand_on_one_invoice(catalogue, make_customer, sold, books):
    set_rate("9", category="books")
    sold(make_customer(), FLAT, BOOKS)
    invoice = Invoice.objects.get()
    assert said(invoice) == [(123_00, 0, 123_00, 28_29), (10_90, 0, 10_90, 98)]
    paper = printing.invoice_paper(invoice)
    assert [(each.rate, each.amount) for each in paper.tax_subtotals] == [(23, 28_29), (9, 98)]
    assert obstacles(paper) == []
    assert xml_errors(cii(paper)) == []


def test_a_price_that_says_nothing_is_of_its_plans_category(catalogue, make_customer, sold):
    set_rate("9", category="books")
    set_rate("13.5", category="food")
    sold(make_customer(), FLAT, {**BOOKS, "code": "b"}, tax_category="food")
    rates = Invoice.objects.get().lines.values_list("tax_percentage", flat=True)
    assert sorted(rates) == [9, Decimal("13.5")]


def test_a_draft_remembers_what_its_lines_are_for(catalogue, make_customer, books):
    set_rate("9", category="books", inclusive=True)
    line = drafting.NewLine("A book", Decimal("10.90"), tax_category="Books")
    draft = drafting.write(customer=make_customer(), lines=[line], now=NOON, actor="system")
    set_rate("8", category="books", inclusive=True)
    issued = drafting.finalize(invoice=draft, now=NOON, actor="system")
    assert (draft.total, issued.total, issued.tax_total) == (10_90, 10_90, 81)


# -- Prices that contain tax --------------------------------------------------------------------------------


def test_the_buyer_pays_the_price_as_it_is_written(catalogue, clock, make_customer, sold, advance, books):
    set_rate("23", inclusive=True)
    subscription = sold(make_customer(clock), FLAT)
    invoice = Invoice.objects.get()
    assert (invoice.total, invoice.subtotal, invoice.tax_total) == (123_00, 100_00, 23_00)
    assert invoice.lines.get().priced == (123_00, 0)
    advance(clock, days=32)
    assert [paper.total for paper in subscription.invoices.all()] == [123_00, 123_00]


def test_a_preview_says_what_is_charged(catalogue, clock, make_customer, sold, subscribe, advance, books):
    set_rate("23", inclusive=True)
    subscription = sold(make_customer(clock), {**FLAT, "amount": Decimal("99.99")})
    cataloguing.create_plan(
        code="more", name="More", motion="self_serve", now=NOON, actor="system", livemode=False,
        prices=[{**FLAT, "amount": Decimal("199.99")}],
    )  # fmt: skip
    advance(clock, days=7)
    subscription.refresh_from_db()
    subscription.customer.refresh_from_db()
    wish = {"plan": cataloguing.Plan.objects.get(code="more")}
    shown = subscribing.preview(subscription=subscription, now=clock.now, **wish)
    done = change(subscription, **wish)
    assert shown.total == done.total == done.invoice.total
    # 24 of 31 days of each, with the tax in them
    assert done.total == 154_83 - 77_41
    assert sum(line.priced[0] for line in done.lines) == done.total


def test_a_discount_comes_off_before_the_tax_is_taken_out(catalogue, make_customer, sold, books):
    set_rate("23", inclusive=True)
    off = cataloguing.create_discount(now=NOON, code="TEN", percent_off=Decimal(10))
    sold(make_customer(), {**FLAT, "amount": Decimal("99.99")}, discount=off)
    invoice = Invoice.objects.get()
    assert invoice.total == 89_99
    ((gross, discount, net, tax),) = said(invoice)
    assert (net + tax, gross - discount, discount) == (89_99, net, 8_13)
    assert invoice.lines.get().priced == (99_99, 10_00)


def test_a_credit_gives_back_what_was_paid(catalogue, clock, make_customer, sold, books):
    """All of it, tax included, in several notes: every piece adds up and nothing is asked for again."""
    set_rate("23", inclusive=True)
    customer = make_customer(clock)
    subscription = sold(customer, {"code": "seat", "model": "per_unit", "amount": Decimal("33.33")})
    for quantity in (3, 5):
        change(subscription, quantity=Decimal(quantity))
    change(subscription, quantity=Decimal(1))
    assert sum(note.total for note in CreditNote.objects.all()) == 4 * 33_33
    customer.refresh_from_db()
    assert customer.balance == 4 * 33_33


def test_half_of_a_line_is_credited_with_its_tax(catalogue, make_customer, sold, books):
    set_rate("23", inclusive=True)
    sold(make_customer(), {**FLAT, "amount": Decimal("0.99")})
    invoice = Invoice.objects.get()
    first = correcting.credit(invoice=invoice, amount=49, reason="half", now=NOON, actor="system")
    rest = correcting.credit(invoice=invoice, reason="rest", now=NOON, actor="system")
    assert (first.total + rest.total, first.tax_total + rest.tax_total) == (99, invoice.tax_total)


@pytest.mark.parametrize(
    ("buyer", "category"),
    [
        ({"country": "DE", "tax_id": "DE136695976"}, "AE"),
        ({"country": HOME, "tax_exempt": True}, "E"),
        ({"country": "CH"}, "O"),
    ],
)
def test_who_pays_no_tax_pays_the_price_without_it(
    catalogue, clock, make_customer, sold, books, buyer, category
):
    """What a consumer in the buyer's country would pay in tax is taken out; failing a rate there, that at home."""
    set_rate("23", inclusive=True)
    set_rate("19", country="DE", inclusive=True)
    customer = make_customer(clock, **buyer)
    sold(customer, {**FLAT, "amount": Decimal("119.00")})
    invoice = Invoice.objects.get()
    line = invoice.lines.get()
    left = 100_00 if buyer["country"] == "DE" else 96_75
    assert (invoice.total, invoice.tax_total, line.tax_category) == (left, 0, category)
    assert line.priced == (119_00, 0)
    assert "less the tax that is not charged" in printing.invoice_paper(invoice).lines[0].detail


def test_a_rate_that_becomes_inclusive_asks_for_nothing_again(
    catalogue, clock, make_customer, sold, advance, books
):
    subscription = sold(make_customer(clock), FLAT)
    set_rate("25", inclusive=True)
    advance(clock, days=3)
    assert subscription.invoices.count() == 1
    change(subscription, anchor=1)
    advance(clock, days=30)
    assert subscription.invoices.first().total == 123_00


def test_more_seats_of_who_has_become_a_business_are_without_tax(
    catalogue, clock, make_customer, subscribe, advance, books
):
    """What is given back has the tax that was charged; what is asked for instead is a new charge."""
    set_rate("19", country="DE")
    subscription = subscribe(make_customer(clock, country="DE"), interval="year")
    advance(clock, days=60)
    Customer.objects.filter(pk=subscription.customer_id).update(tax_id="DE136695976")
    subscription = Subscription.objects.get(pk=subscription.pk)
    more = change(subscription, quantity=5)
    taxed = [(line.tax_category, line.tax_amount != 0) for line in more.lines]
    assert taxed == [("S", True), ("AE", False)]
    ended = ending.cancel(
        subscription=subscription, now=subscription.customer.now, actor="system", effective="now"
    )
    assert [line.tax_category for line in ended.lines] == ["AE"]
    asked = sum(Invoice.objects.values_list("tax_total", flat=True))
    assert asked == round(870_00 * 0.19) - round(870_00 * 305 / 365 * 0.19)  # it is what 60 days come to


def test_its_electronic_invoice_is_valid(catalogue, make_customer, sold, books):
    set_rate("23", inclusive=True)
    set_rate("9", category="books", inclusive=True)
    off = cataloguing.create_discount(now=NOON, code="TEN", percent_off=Decimal(10))
    sold(make_customer(), {**FLAT, "amount": Decimal("99.99")}, BOOKS, discount=off)
    paper = printing.invoice_paper(Invoice.objects.get())
    paper.check()
    assert obstacles(paper) == []
    assert xml_errors(cii(paper)) == []
    assert paper.lines[0].detail == "USD 99.99 with 23 % tax"


def test_a_rate_of_nothing_is_zero_rated_however_it_was_typed(catalogue, make_customer, sold):
    """EN 16931: category S has a percentage above zero (BR-S-05)."""
    TaxRate.objects.filter(country=HOME).update(percentage=0, category="S")
    sold(make_customer(), FLAT)
    paper = printing.invoice_paper(Invoice.objects.get())
    assert [(line.tax_category, line.tax_rate) for line in paper.lines] == [("Z", 0)]
    assert xml_errors(cii(paper)) == []


@pytest.mark.parametrize(
    ("percentage", "category", "field"),
    [("0", "S", "category"), ("19", "E", "percentage"), ("19", "X", "category"), ("101", "S", "percentage")],
)
def test_staff_cannot_type_a_rate_that_no_invoice_could_say(catalogue, percentage, category, field):
    """Billing would stop for everybody there."""
    row = TaxRate(name="VAT", country="NO", percentage=Decimal(percentage), category=category)
    with pytest.raises(ValidationError) as refused:
        row.full_clean()
    assert field in refused.value.message_dict


def test_a_line_remembers_what_was_priced():
    line = DraftLine(
        "recurring", "", gross=99_99, discount=10_00, net=89_99, quantity=Decimal(1), unit_amount=None
    )
    told = taxed(line, TaxValue("vat", Decimal(23), inclusive=True))
    assert told.priced == (99_99, 10_00)
    assert told.net + told.tax_amount == 89_99
    assert told.shown == told.priced
    assert told.gross - told.discount == told.net


def test_it_answers_each_buyer_of_a_run_as_if_asked_alone(catalogue):
    set_rate("21.00", inclusive=True)
    set_rate("9.00", category="books")
    set_rate("19.00", country="DE")
    seller, table = Seller.objects.get(), taxes.rates()
    buyers = [
        Customer(country=country, tax_id=tax_id, tax_exempt=exempt)
        for country in (HOME, "DE", "US") for tax_id in ("", "X1") for exempt in (False, True)
    ]  # fmt: skip
    for buyer in buyers * 2:
        for category in ("", "books"):
            alone = taxes.tax_for(buyer, seller, taxes.rates(), category)
            assert taxes.rate_of(buyer, seller, table)(category) == alone
