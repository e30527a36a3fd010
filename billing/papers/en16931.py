"""The invoice for machines: Cross Industry Invoice XML in the EN 16931 profile of Factur-X 1.0.

The XML says exactly the stored amounts. Where the standard cannot say them (three decimals, or taxes summed
line by line that stray from rate times base by its tolerance of one unit of currency) or forbids the paper as
it is, `obstacles` names the reason and the PDF goes out without XML: an e-invoice is valid or absent.
BT and BR numbers are those of EN 16931-1.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from xml.sax.saxutils import escape, quoteattr

from billing.papers.data import InvoicePaper, PaperLine, Party, Seller, Span, TaxSubtotal
from billing.papers.sheet import reason_of
from billing.papers.text import one_line, printable

FILE_NAME = "factur-x.xml"
GUIDELINE = "urn:cen.eu:en16931:2017"
NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
TYPE_CODES = {"invoice": "380", "credit_note": "381"}
CHARGED = frozenset({"S", "L", "M"})  # standard, Canary Islands, Ceuta and Melilla: the rate may be above 0
VATEX = {"AE": "VATEX-EU-AE", "K": "VATEX-EU-IC", "G": "VATEX-EU-G", "O": "VATEX-EU-O"}
CATEGORIES = frozenset({"S", "Z", "E", "AE", "K", "G", "O", "L", "M"})
VAT_ID = re.compile(r"[A-Z]{2}[0-9A-Z+*]{2,15}")
TOLERANCE = Decimal(1)  # BR-CO-17 and the category rules accept less than one unit of currency
Obstacles = Iterator[str]


class NotAnEInvoice(ValueError):
    """EN 16931 cannot express this paper; the text lists why."""


def obstacles(paper: InvoicePaper) -> list[str]:
    """Why the paper cannot be an EN 16931 invoice, in words for the seller; empty when it can."""
    return [*_seller_obstacles(paper), *_buyer_obstacles(paper), *_amount_obstacles(paper)]


def _seller_obstacles(paper: InvoicePaper) -> Obstacles:
    seller, categories = paper.seller, _categories(paper)
    if not seller.country or not paper.bill_to.country:
        yield "the seller's and the buyer's country must be known"
    if categories - {"O"} and not _tax_number(seller):
        yield "the seller needs a tax id"
    if categories & {"AE", "K", "G"} and not vat_id(seller):
        yield "reverse charge, intra-Community supply and export need the seller's VAT id"
    if "O" in categories and len(categories) > 1:
        yield "lines outside the scope of VAT cannot stand beside others"
    if any(len(line.taxes) > 1 for line in paper.lines):
        yield "several taxes on one line: EN 16931 knows VAT alone"
    if unknown := categories - CATEGORIES:
        yield f"{', '.join(sorted(unknown))} is no tax category"


def _buyer_obstacles(paper: InvoicePaper) -> Obstacles:
    if _categories(paper) & {"AE", "K"} and not vat_id(paper.bill_to):
        yield "reverse charge and intra-Community supply need the buyer's VAT id"
    if not one_line(paper.bill_to.name) or not one_line(paper.seller.name):
        yield "the seller and the buyer need a name"
    if not paper.lines or not all(one_line(line.description) for line in paper.lines):
        yield "at least one line is needed, and each needs a description"


def _amount_obstacles(paper: InvoicePaper) -> Obstacles:
    if paper.exponent > 2 and any(amount % 10 ** (paper.exponent - 2) for amount in _amounts(paper)):
        yield "EN 16931 knows two decimals"
    for tax in vat_breakdown(paper):
        if tax.category not in CHARGED and (tax.rate or tax.amount):
            yield f"tax category {tax.category} charges nothing"
        elif abs(_drift(tax, paper.exponent)) >= TOLERANCE:
            yield f"the tax at {tax.rate} %, rounded line by line, is not rate times base"
        elif tax.amount and round(tax.rate) == 0:
            yield "a rate below one half per cent is read as zero"


def vat_breakdown(paper: InvoicePaper) -> list[TaxSubtotal]:
    """BG-23: one for each category and rate, whatever the tax is called on the paper."""
    found: dict[tuple[str, Decimal], TaxSubtotal] = {}
    for tax in paper.tax_subtotals:
        same = found.get((tax.category, tax.rate))
        found[tax.category, tax.rate] = (
            tax
            if same is None
            else replace(same, taxable=same.taxable + tax.taxable, amount=same.amount + tax.amount)
        )
    return list(found.values())


def _categories(paper: InvoicePaper) -> frozenset[str]:
    return frozenset(line.tax_category for line in paper.lines)


def _amounts(paper: InvoicePaper) -> Iterator[int]:
    yield from (paper.subtotal, paper.discount_total, paper.tax_total, paper.total, paper.amount_due)
    for line in paper.lines:
        yield from (line.gross, line.discount, line.net)
    for tax in vat_breakdown(paper):
        yield from (tax.taxable, tax.amount)


def _drift(tax: TaxSubtotal, exponent: int) -> Decimal:
    """How far the stated tax is from rate times base, in units of currency."""
    exact = Decimal(tax.taxable).scaleb(-exponent) * tax.rate / 100
    return Decimal(tax.amount).scaleb(-exponent) - exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def vat_id(party: Party) -> str:
    """The party's VAT identifier with its country prefix, or empty when its tax id is of another kind."""
    compact = re.sub(r"[\s.-]", "", one_line(party.tax_id)).upper()
    return compact if party.tax_id_scheme == "VAT" and VAT_ID.fullmatch(compact) else ""


def _tax_number(seller: Seller) -> str:
    return vat_id(seller) or one_line(seller.tax_id)


def cii(paper: InvoicePaper) -> bytes:
    """The XML. Raises `NotAnEInvoice` with every obstacle."""
    if found := obstacles(paper):
        raise NotAnEInvoice("; ".join(found))
    money = Money(paper)
    roots = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NAMESPACES.items())
    body = _context() + _document(paper) + _transaction(paper, money)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<rsm:CrossIndustryInvoice{roots}>{body}'
    return f"{text}</rsm:CrossIndustryInvoice>\n".encode()


class Money:
    """Minor units as the decimals that the XML writes: at most two."""

    def __init__(self, paper: InvoicePaper) -> None:
        self.exponent = paper.exponent
        self.places = Decimal(1).scaleb(-min(paper.exponent, 2))

    def __call__(self, minor: int) -> str:
        return str(Decimal(minor).scaleb(-self.exponent).quantize(self.places))


def _tag(name: str, content: str, attributes: str = "") -> str:
    """An element around XML that is already made."""
    return f"<{name}{attributes}>{content}</{name}>"


def _text(name: str, value: str, attributes: str = "") -> str:
    """An element around plain text; nothing when there is none (EN 16931 forbids empty elements)."""
    return _tag(name, escape(value), attributes) if value else ""


def _some(name: str, content: str) -> str:
    return _tag(name, content) if content else ""


def _date(name: str, value: date | None) -> str:
    if value is None:
        return ""
    return _tag(name, _tag("udt:DateTimeString", value.strftime("%Y%m%d"), ' format="102"'))


def _plain(value: Decimal) -> str:
    """A decimal without exponent and idle zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _context() -> str:
    parameter = _tag("ram:GuidelineSpecifiedDocumentContextParameter", _text("ram:ID", GUIDELINE))
    return _tag("rsm:ExchangedDocumentContext", parameter)


def _document(paper: InvoicePaper) -> str:
    note = _some("ram:IncludedNote", _text("ram:Content", printable(paper.notes)))
    head = _text("ram:ID", one_line(paper.number)) + _text("ram:TypeCode", TYPE_CODES[paper.kind])
    return _tag("rsm:ExchangedDocument", head + _date("ram:IssueDateTime", paper.issued_on) + note)


def _transaction(paper: InvoicePaper, money: Money) -> str:
    lines = "".join(_line(number, line, money) for number, line in enumerate(paper.lines, 1))
    parts = lines + _agreement(paper) + _delivery(paper) + _settlement(paper, money)
    return _tag("rsm:SupplyChainTradeTransaction", parts)


def _line(number: int, line: PaperLine, money: Money) -> str:
    quantity, price, comment = _priced(line, money)
    detail = " · ".join(each for each in (one_line(line.detail), comment) if each)
    product = _text("ram:Name", one_line(line.description)) + _text("ram:Description", detail)
    unit = f" unitCode={quoteattr(line.unit)}"
    parts = (
        _tag("ram:AssociatedDocumentLineDocument", _text("ram:LineID", str(number))),
        _tag("ram:SpecifiedTradeProduct", product),
        _tag("ram:SpecifiedLineTradeAgreement", _price(price)),
        _tag("ram:SpecifiedLineTradeDelivery", _text("ram:BilledQuantity", _plain(quantity), unit)),
        _tag("ram:SpecifiedLineTradeSettlement", _line_settlement(line, money)),
    )
    return _tag("ram:IncludedSupplyChainTradeLineItem", "".join(parts))


def _price(price: Decimal) -> str:
    return _tag("ram:NetPriceProductTradePrice", _text("ram:ChargeAmount", _plain(price)))


def _priced(line: PaperLine, money: Money) -> tuple[Decimal, Decimal, str]:
    """(quantity, unit price, comment) whose product is the gross amount; the price is never negative (BR-27).

    Where the printed quantity times the printed price does not give it (tiers, minimum spend), the line is
    one piece at the gross amount, and the real quantity moves into the comment.
    """
    price, gross = line.unit_amount, Decimal(line.gross).scaleb(-money.exponent)
    if price is not None and _gives(line.quantity * price, gross):
        return (line.quantity, price, "") if price >= 0 else (-line.quantity, -price, "")
    comment = "" if line.quantity == 1 else f"Quantity: {_plain(line.quantity)}"
    return Decimal(-1 if gross < 0 else 1), abs(gross), comment


def _gives(product: Decimal, gross: Decimal) -> bool:
    return product.quantize(gross, ROUND_HALF_UP) == gross


def _line_settlement(line: PaperLine, money: Money) -> str:
    tax = (
        _text("ram:TypeCode", "VAT")
        + _text("ram:CategoryCode", line.tax_category)
        + _rate(line.tax_category, line.tax_rate)
    )
    total = _text("ram:LineTotalAmount", money(line.net))
    return (
        _tag("ram:ApplicableTradeTax", tax)
        + _period(line.period)
        + _allowance(line, money)
        + _tag("ram:SpecifiedTradeSettlementLineMonetarySummation", total)
    )


def _rate(category: str, rate: Decimal) -> str:
    """The rate; what is outside the scope of VAT has none (BR-O-05)."""
    return "" if category == "O" else _text("ram:RateApplicablePercent", _plain(rate))


def _period(span: Span | None) -> str:
    if span is None:
        return ""
    days = _date("ram:StartDateTime", span.first) + _date("ram:EndDateTime", span.last)
    return _tag("ram:BillingSpecifiedPeriod", days)


def _allowance(line: PaperLine, money: Money) -> str:
    """The discount of a line; on a line that credits, the discount taken back is a charge."""
    if not line.discount:
        return ""
    charge = "true" if line.discount < 0 else "false"
    parts = (
        _tag("ram:ChargeIndicator", _text("udt:Indicator", charge))
        + _text("ram:ActualAmount", money(abs(line.discount)))
        + _text("ram:Reason", "Discount")
    )
    return _tag("ram:SpecifiedTradeAllowanceCharge", parts)


def _agreement(paper: InvoicePaper) -> str:
    outside = _categories(paper) == {"O"}  # BR-O-02: then neither side shows a VAT id
    order = _some("ram:BuyerOrderReferencedDocument", _assigned(paper.purchase_order))
    parts = (
        _text("ram:BuyerReference", one_line(paper.buyer_reference)),
        _tag("ram:SellerTradeParty", _party(paper.seller, _seller_taxes(paper.seller, outside))),
        _tag("ram:BuyerTradeParty", _party(paper.bill_to, "" if outside else _va(paper.bill_to))),
        order,
    )
    return _tag("ram:ApplicableHeaderTradeAgreement", "".join(parts))


def _assigned(number: str) -> str:
    return _text("ram:IssuerAssignedID", one_line(number))


def _party(party: Party, taxes: str) -> str:
    """A party. A seller without VAT id or register entry is told apart by name (BR-CO-26)."""
    known = isinstance(party, Seller) and not (party.registration or "VA" in taxes)
    legal = _text("ram:ID", one_line(party.registration))
    mail = _text("ram:URIID", one_line(party.email), ' schemeID="EM"')
    return (
        (_text("ram:ID", one_line(party.tax_id) or one_line(party.name)) if known else "")
        + _text("ram:Name", one_line(party.name))
        + _some("ram:SpecifiedLegalOrganization", legal)
        + _contact(party)
        + _address(party)
        + _some("ram:URIUniversalCommunication", mail)
        + taxes
    )


def _contact(party: Party) -> str:
    phone = _text("ram:CompleteNumber", one_line(party.phone))
    mail = _text("ram:URIID", one_line(party.email))
    return _some(
        "ram:DefinedTradeContact",
        _text("ram:PersonName", one_line(party.contact))
        + _some("ram:TelephoneUniversalCommunication", phone)
        + _some("ram:EmailURIUniversalCommunication", mail),
    )


def _address(party: Party) -> str:
    return _tag(
        "ram:PostalTradeAddress",
        _text("ram:PostcodeCode", one_line(party.postal_code))
        + _text("ram:LineOne", one_line(party.line1))
        + _text("ram:LineTwo", one_line(party.line2))
        + _text("ram:CityName", one_line(party.city))
        + _text("ram:CountryID", party.country.upper())
        + _text("ram:CountrySubDivisionName", one_line(party.state)),
    )


def _seller_taxes(seller: Seller, outside: bool) -> str:
    number = "" if vat_id(seller) else one_line(seller.tax_id)
    return ("" if outside else _va(seller)) + _registration("FC", number)


def _va(party: Party) -> str:
    return _registration("VA", vat_id(party))


def _registration(scheme: str, number: str) -> str:
    return _some("ram:SpecifiedTaxRegistration", _text("ram:ID", number, f' schemeID="{scheme}"'))


def _delivery(paper: InvoicePaper) -> str:
    """Where the supply went, and when if no period says it (BR-IC-11, BR-IC-12 ask for both)."""
    place = _tag("ram:PostalTradeAddress", _text("ram:CountryID", paper.bill_to.country.upper()))
    day = _date("ram:OccurrenceDateTime", paper.issued_on)
    event = "" if paper.period else _tag("ram:ActualDeliverySupplyChainEvent", day)
    return _tag("ram:ApplicableHeaderTradeDelivery", _tag("ram:ShipToTradeParty", place) + event)


def _settlement(paper: InvoicePaper, money: Money) -> str:
    reference = one_line(paper.settlement.reference) or one_line(paper.number)
    parts = (
        _text("ram:PaymentReference", reference),
        _text("ram:InvoiceCurrencyCode", paper.currency),
        _means(paper),
        "".join(_tax(tax, money) for tax in vat_breakdown(paper)),
        _period(paper.period),
        _terms(paper),
        _summation(paper, money),
        _corrected(paper),
    )
    return _tag("ram:ApplicableHeaderTradeSettlement", "".join(parts))


def _means(paper: InvoicePaper) -> str:
    """How to pay (BG-16): SEPA transfer 58, other transfer 30, card 48, agreed otherwise ZZZ."""
    seller, settlement = paper.seller, paper.settlement
    name = "ram:SpecifiedTradeSettlementPaymentMeans"
    if settlement.method == "card":
        return _tag(name, _text("ram:TypeCode", "48") + _card(settlement.card_last4))
    if settlement.method == "transfer" and (seller.iban or seller.account_number):
        return _tag(name, _text("ram:TypeCode", _transfer_code(paper)) + _account(seller))
    return _tag(name, _text("ram:TypeCode", "ZZZ"))


def _transfer_code(paper: InvoicePaper) -> str:
    return "58" if paper.seller.iban and paper.currency == "EUR" else "30"


def _card(last4: str) -> str:
    return _some("ram:ApplicableTradeSettlementFinancialCard", _text("ram:ID", one_line(last4)))


def _account(seller: Seller) -> str:
    iban = one_line(seller.iban).replace(" ", "")
    own = "" if iban else _text("ram:ProprietaryID", one_line(seller.account_number))
    account = _text("ram:IBANID", iban) + _text("ram:AccountName", one_line(seller.name)) + own
    bank = _some("ram:PayeeSpecifiedCreditorFinancialInstitution", _text("ram:BICID", one_line(seller.bic)))
    return _tag("ram:PayeePartyCreditorFinancialAccount", account) + bank


def _tax(tax: TaxSubtotal, money: Money) -> str:
    exempt = tax.category in VATEX or tax.category == "E"
    parts = (
        _text("ram:CalculatedAmount", money(tax.amount)),
        _text("ram:TypeCode", "VAT"),
        _text("ram:ExemptionReason", reason_of(tax) if exempt else ""),
        _text("ram:BasisAmount", money(tax.taxable)),
        _text("ram:CategoryCode", tax.category),
        _text("ram:ExemptionReasonCode", (tax.reason_code or VATEX.get(tax.category, "")) if exempt else ""),
        _rate(tax.category, tax.rate),
    )
    return _tag("ram:ApplicableTradeTax", "".join(parts))


def _terms(paper: InvoicePaper) -> str:
    """Due date and terms; something must stand here while money is owed (BR-CO-25)."""
    words = one_line(paper.settlement.words)
    if not words and paper.terms_days:
        words = f"Net {paper.terms_days} days"
    if not words and paper.amount_due > 0 and paper.due_on is None:
        words = "Credited to the buyer" if paper.kind == "credit_note" else "Due on receipt"
    content = _text("ram:Description", words) + _date("ram:DueDateDateTime", paper.due_on)
    return _some("ram:SpecifiedTradePaymentTerms", content)


def _summation(paper: InvoicePaper, money: Money) -> str:
    net = paper.subtotal - paper.discount_total
    prepaid = paper.amount_paid + paper.balance_applied
    parts = (
        _text("ram:LineTotalAmount", money(net)),
        _text("ram:TaxBasisTotalAmount", money(net)),
        _text("ram:TaxTotalAmount", money(paper.tax_total), f' currencyID="{paper.currency}"'),
        _text("ram:GrandTotalAmount", money(paper.total)),
        _text("ram:TotalPrepaidAmount", money(prepaid) if prepaid else ""),
        _text("ram:DuePayableAmount", money(paper.amount_due)),
    )
    return _tag("ram:SpecifiedTradeSettlementHeaderMonetarySummation", "".join(parts))


def _corrected(paper: InvoicePaper) -> str:
    if paper.preceding is None:
        return ""
    when = ""
    if day := paper.preceding.issued_on:
        stamp = _tag("qdt:DateTimeString", day.strftime("%Y%m%d"), ' format="102"')
        when = _tag("ram:FormattedIssueDateTime", stamp)
    return _tag("ram:InvoiceReferencedDocument", _assigned(paper.preceding.number) + when)
