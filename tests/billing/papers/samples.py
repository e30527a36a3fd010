"""Papers for tests and benchmarks, built the way invoicing builds them: totals are sums of lines."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing.papers.data import (
    InvoicePaper,
    PaperLine,
    Party,
    QuoteLine,
    QuotePaper,
    RampYear,
    ScheduledInvoice,
    Seller,
    Settlement,
    SignatureRecord,
    Span,
    TaxSubtotal,
    taxes_of,
)

JUNE = Span(first=date(2026, 6, 1), last=date(2026, 6, 30))
GERMAN_SELLER = Seller(
    name="Nordlicht Software GmbH",
    line1="Speicherstraße 14",
    city="Hamburg",
    postal_code="20457",
    country="DE",
    tax_id="DE123456789",
    registration="HRB 123456, Amtsgericht Hamburg",
    email="billing@nordlicht.example",
    phone="+49 40 1234567",
    iban="DE89370400440532013000",
    bic="COBADEFFXXX",
    bank_name="Commerzbank Hamburg",
    website="nordlicht.example",
    footer="Managing directors: Anna Lind, Jonas Wulf",
)
AMERICAN_SELLER = Seller(
    name="Acme Metrics, Inc.",
    line1="548 Market Street",
    line2="Suite 300",
    city="San Francisco",
    state="CA",
    postal_code="94104",
    country="US",
    tax_id="94-1234567",
    tax_id_scheme="EIN",
    account_number="000123456789",
    routing_number="121000248",
)
FRENCH_BUYER = Party(
    name="Lagrange Systèmes SAS",
    contact="Comptabilité fournisseurs",
    line1="18 rue de la République",
    city="Lyon",
    postal_code="69002",
    country="FR",
    tax_id="FR40303265045",
    email="compta@lagrange.example",
)
AMERICAN_BUYER = Party(
    name="Blue Bottle Robotics LLC",
    line1="77 Water Street",
    city="New York",
    state="NY",
    postal_code="10005",
    country="US",
)


def whole(value: Decimal) -> int:
    """Half away from zero."""
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def line(
    description: str = "Pro plan",
    quantity: str = "1",
    unit: str = "49.00",
    *,
    rate: str = "19",
    discount: int = 0,
    exponent: int = 2,
    **fields: Any,
) -> PaperLine:
    """A line whose amounts follow from quantity, unit price and rate."""
    gross = whole((Decimal(quantity) * Decimal(unit)).scaleb(exponent))
    return PaperLine(
        description=description,
        quantity=Decimal(quantity),
        unit_amount=Decimal(unit),
        gross=gross,
        discount=discount,
        net=gross - discount,
        tax_rate=Decimal(rate),
        tax_amount=whole((gross - discount) * Decimal(rate) / 100),
        **fields,
    )


def invoice(*lines: PaperLine, **fields: Any) -> InvoicePaper:
    """An invoice over the lines, due in 30 days by bank transfer unless told otherwise."""
    taxes = [
        TaxSubtotal(category=category, rate=rate, name=name, taxable=taxable, amount=amount)
        for (category, rate, name), (taxable, amount) in taxes_of(lines).items()
    ]
    subtotal, discount = sum(each.gross for each in lines), sum(each.discount for each in lines)
    tax = sum(each.tax_amount for each in lines)
    total = subtotal - discount + tax
    taken = fields.get("amount_paid", 0) + fields.get("balance_applied", 0)
    usual: dict[str, Any] = {
        "number": "INV-2026-00042",
        "issued_on": date(2026, 7, 1),
        "due_on": date(2026, 7, 31),
        "terms_days": 30,
        "currency": "EUR",
        "seller": GERMAN_SELLER,
        "bill_to": FRENCH_BUYER,
        "period": JUNE,
        "tax_subtotals": tuple(taxes),
        "subtotal": subtotal,
        "discount_total": discount,
        "tax_total": tax,
        "total": total,
        "amount_due": total - taken,
    }
    return InvoicePaper(lines=lines, **usual | fields)


def usual_invoice(**fields: Any) -> InvoicePaper:
    """Seats with a discount, usage in fractions of a cent, a one-off."""
    return invoice(
        line("Business plan", "25", "49.00", discount=12250, detail="25 seats", period=JUNE),
        line("API calls", "1203456", "0.00004", detail="beyond the 500,000 included", period=JUNE),
        line("Onboarding workshop", "1", "1200"),
        **{"purchase_order": "4500012345", "customer_id": "CUS-1042"} | fields,
    )


def paid_invoice(**fields: Any) -> InvoicePaper:
    """An American one, paid by card."""
    lines = line(rate="8.875", unit="29.00", period=JUNE), line("Seats", "4", "9.00", rate="8.875")
    total = sum(each.net + each.tax_amount for each in lines)
    card = Settlement(method="card", card_brand="Visa", card_last4="4242", paid_on=date(2026, 7, 1))
    usual = {
        "seller": AMERICAN_SELLER,
        "bill_to": AMERICAN_BUYER,
        "currency": "USD",
        "amount_paid": total,
        "settlement": card,
        "status": "Paid",
    }
    return invoice(*lines, **usual | fields)


def long_invoice(count: int, **fields: Any) -> InvoicePaper:
    """Many lines of two rates, some discounted."""
    return invoice(
        *(
            line(
                f"Item {number}: metered storage, region eu-north-{number % 7}",
                str(number % 9 + 1),
                "3.1415",
                rate="19" if number % 3 else "7",
                discount=11 if number % 5 == 0 else 0,
                period=JUNE if number % 4 == 0 else None,
            )
            for number in range(1, count + 1)
        ),
        **fields,
    )


def quote(**fields: Any) -> QuotePaper:
    """Three years with a ramp and a schedule."""
    usual: dict[str, Any] = {
        "number": "Q-2026-0107",
        "version": 2,
        "issued_on": date(2026, 6, 10),
        "expires_on": date(2026, 7, 10),
        "currency": "EUR",
        "seller": GERMAN_SELLER,
        "buyer": FRENCH_BUYER,
        "prepared_by": "Jonas Wulf",
        "title": "Enterprise for Lagrange Systèmes",
        "starts_on": date(2026, 8, 1),
        "term_months": 36,
        "billing_words": "yearly, in advance",
        "lines": QUOTE_LINES,
        "ramp": (
            RampYear(label="Year 1", span=JUNE, words="120 seats, onboarding", amount=9978320),
            RampYear(label="Year 2", span=JUNE, words="150 seats", amount=11660400),
        ),
        "schedule": (ScheduledInvoice(on=date(2026, 8, 1), amount=9978320, words="Year 1, onboarding"),),
        "list_total": 12026000,
        "discount_total": 2047680,
        "subtotal": 9978320,
        "mrr": 777360,
        "arr": 9328320,
        "acv": 10819360,
        "tcv": 21638720,
        "payment_terms": "Net 30 days from each invoice.",
        "notes": "Seats can be added at the same price.",
        "terms": "Renewal is automatic for twelve months.",
    }
    return QuotePaper(**usual | fields)


QUOTE_LINES = (
    QuoteLine(
        description="Enterprise plan",
        detail="per seat, single sign-on",
        quantity=Decimal(120),
        list_unit=Decimal(948),
        list_amount=11376000,
        discount_percent=Decimal(18),
        discount=2047680,
        net=9328320,
        interval="per year",
    ),
    QuoteLine(description="Onboarding", list_unit=Decimal(6500), list_amount=650000, net=650000),
)
SIGNATURE = SignatureRecord(
    name="Claire Fontaine",
    title="Directrice des opérations",
    email="claire@lagrange.example",
    po_number="4500012345",
    signed_at=datetime(2026, 6, 18, 14, 2, 33, tzinfo=UTC),
    address="203.0.113.24",
    document_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    typed="Claire Fontaine",
)
