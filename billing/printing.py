"""From issued rows to stored papers. A paper is rendered once, from what the row froze, and never again."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from facturx import get_xml_from_pdf

from billing import taxes
from billing.maths.money import exponent, to_major
from billing.maths.periods import local_date
from billing.models import CreditNote, CreditNoteLine, Document, Invoice, Payment, Seller
from billing.models.invoices import PaperLine as LineRow
from billing.papers import isolated
from billing.papers.data import (
    USUAL_TAX,
    InvoicePaper,
    LineTax,
    PaperLine,
    Party,
    Preceding,
    Settlement,
    Span,
    TaxSubtotal,
    taxes_of,
)
from billing.papers.data import Seller as SellerParty
from billing.refusals import Refused


class NotIssued(Refused):
    """A draft has no paper: it may still change."""

    code = "invoice_not_issued"


def print_invoice(invoice_id: str) -> Document:
    """The invoice's PDF, made and stored by whoever asks first. Raises NotIssued, PaperToolsMissing, PaperFailed."""
    invoice = Invoice.objects.select_related("document").get(pk=invoice_id)
    if invoice.document is not None:
        return invoice.document
    if not invoice.issued:
        raise NotIssued("A draft has no paper yet.")
    return _kept(Invoice, invoice.pk, invoice.number, isolated.render_isolated(invoice_paper(invoice)))


class NoElectronicInvoice(Refused):
    """What EN 16931 asks for is missing in the invoice, so its paper has no XML."""

    code = "no_electronic_invoice"


def invoice_xml(invoice_id: str) -> bytes:
    """The EN 16931 XML that the invoice's PDF carries. Raises NotIssued, NoElectronicInvoice, PaperToolsMissing."""
    name, xml = get_xml_from_pdf(print_invoice(invoice_id).read(), check_xsd=False)
    if not name or not xml:
        raise NoElectronicInvoice("This invoice has no electronic form: something that it needs is missing.")
    return bytes(xml)


def print_credit_note(credit_note_id: str) -> Document:
    """The credit note's PDF, made and stored by whoever asks first. Raises PaperToolsMissing, PaperFailed."""
    note = CreditNote.objects.select_related("document", "invoice").get(pk=credit_note_id)
    if note.document is not None:
        return note.document
    return _kept(CreditNote, note.pk, note.number, isolated.render_isolated(credit_note_paper(note)))


@transaction.atomic
def _kept(model: type[Invoice] | type[CreditNote], pk: str, number: str, content: bytes) -> Document:
    """Store the bytes, unless another worker was first: then its paper is the paper."""
    # Not joined: whoever waited here would see the row as it is now, and what it points at as it was before.
    row = model._default_manager.select_for_update(no_key=True).get(pk=pk)
    if row.document is not None:
        return row.document
    digest = hashlib.sha256(content).hexdigest()
    row.document = Document.objects.create(name=f"{number}.pdf", content=content, sha256=digest)
    row.save(update_fields=["document"])
    return row.document


# -- What the papers say ------------------------------------------------------------------------------------


def invoice_paper(invoice: Invoice) -> InvoicePaper:
    """The invoice as it stands: frozen lines and parties, and what has been paid so far."""
    payments = list(invoice.payments.filter(status="succeeded").select_related("payment_method"))
    balance = sum(payment.amount for payment in payments if payment.method == Payment.Method.BALANCE)
    return InvoicePaper(
        number=invoice.number,
        issued_on=_day(invoice.issued_on),
        currency=invoice.currency,
        exponent=exponent(invoice.currency),
        seller=_seller(invoice.seller),
        bill_to=_buyer(invoice.bill_to),
        **_figures(invoice.lines.all(), invoice.currency, heads(invoice)),
        total=invoice.total,
        amount_paid=invoice.amount_paid - balance,
        balance_applied=balance,
        amount_due=invoice.total - invoice.amount_paid,
        due_on=invoice.due_on,
        terms_days=invoice.net_days,
        period=_span(invoice.period_start, invoice.period_end),
        settlement=_settlement(invoice, payments),
        purchase_order=invoice.po_number,
        notes=invoice.memo,
    )


def credit_note_paper(note: CreditNote) -> InvoicePaper:
    """The credit note as it was issued; its amounts are what is given back."""
    returned = note.total if note.to == "balance" else 0
    refunded = note.total if note.to == "refund" else 0
    return InvoicePaper(
        kind="credit_note",
        number=note.number,
        issued_on=note.issued_on,
        currency=note.currency,
        exponent=exponent(note.currency),
        seller=_seller(note.seller),
        bill_to=_buyer(note.bill_to),
        **_figures(note.lines.all(), note.currency),
        total=note.total,
        amount_paid=refunded,
        balance_applied=returned,
        amount_due=note.total - refunded - returned,
        preceding=Preceding(number=note.invoice.number, issued_on=note.invoice.issued_on),
        notes=note.reason,
    )


def heads(invoice: Invoice) -> dict[str, str]:
    """Where subscriptions share the invoice: the words over the lines of each, by its id."""
    if invoice.subscription_id is not None:
        return {}
    rows = invoice.lines.filter(subscription__isnull=False, price__isnull=False)
    named = rows.order_by("position").values_list(
        "subscription", "price__plan__name", "subscription__start_on"
    )
    plans: dict[str, tuple[str, date]] = {}
    for pk, plan, since in named:
        plans.setdefault(pk, (plan, since))
    names = Counter(plan for plan, _ in plans.values())
    return {
        pk: plan if names[plan] == 1 else f"{plan}, since {since:%-d %b %Y}"
        for pk, (plan, since) in plans.items()
    }


def _figures(
    rows: Iterable[LineRow], currency: str, heads: Mapping[str, str] | None = None
) -> dict[str, Any]:
    lines = tuple(_line(row, currency, (heads or {}).get(str(row.subscription_id), "")) for row in rows)
    reasons = {row.tax_category: row.tax_reason for row in rows}
    return {
        "lines": lines,
        "tax_subtotals": tuple(
            TaxSubtotal(
                category=kind, rate=rate, name=name, taxable=taxable, amount=amount, reason=reasons[kind]
            )
            for (kind, rate, name), (taxable, amount) in taxes_of(lines).items()
        ),
        "subtotal": sum(line.gross for line in lines),
        "discount_total": sum(line.discount for line in lines),
        "tax_total": sum(line.tax_amount for line in lines),
    }


def _line(row: LineRow, currency: str, group: str) -> PaperLine:
    # A credit of an amount takes no units back: it is one piece at its amount.
    whole = isinstance(row, CreditNoteLine) and not row.quantity
    return PaperLine(
        description=row.description,
        quantity=Decimal(1) if whole else row.quantity.normalize() + Decimal(0),
        unit_amount=None if row.tax_in_gross or whole else row.unit_amount,
        gross=row.gross,
        discount=row.discount,
        net=row.net,
        tax_rate=row.tax_percentage,
        tax_category=row.tax_category,
        tax_amount=row.tax_amount,
        period=_span(row.period_start, row.period_end),
        detail=", ".join(
            words for words in (_with_tax(row, currency), _detail(row.explanation, currency)) if words
        ),
        group=group,
        taxes=tuple(_taxes(row)),
    )


def _taxes(row: LineRow) -> Iterator[LineTax]:
    for each, base in taxes.of_line(row):
        name, rate = each["name"] or USUAL_TAX, Decimal(each["percentage"])
        yield LineTax(name=name, rate=rate, base=base, amount=each["amount"])


def _with_tax(row: LineRow, currency: str) -> str:
    """Where the price contained tax: what was priced, which is not what the line says."""
    if not row.tax_in_gross:
        return ""
    priced = f"{currency} {to_major(row.priced[0], currency)}"
    if not row.tax_amount:
        return f"{priced} less the tax that is not charged"
    return f"{priced} with {row.tax_percentage.normalize():f} % tax"


def _detail(explanation: Mapping[str, Any], currency: str) -> str:
    """What the price does not say by itself: tiers, and how much of its period a prorated line covers."""
    tiers = explanation.get("tiers") or []
    words = [_tier(tier, currency) for tier in tiers if Decimal(tier["quantity"])]
    part = explanation.get("days") != explanation.get("of_days")
    if part and explanation.get("policy") not in (None, "whole", "usage", "once", "reversed"):
        words.append(f"{explanation['days']} of {explanation['of_days']} days")
    return ", ".join(words)


def _tier(tier: Mapping[str, str], currency: str) -> str:
    quantity = f"{Decimal(tier['quantity']):,f}"
    if not Decimal(tier["unit_amount"]) and not Decimal(tier["flat_amount"]):
        return f"{quantity} included"
    flat = f" + {currency} {tier['flat_amount']}" if Decimal(tier["flat_amount"]) else ""
    return f"{quantity} at {currency} {tier['unit_amount']}{flat}"


def _span(start: date | None, end: date | None) -> Span | None:
    """Half-open local days as the first and the last day, which is what papers print."""
    if start is None or end is None or end <= start:
        return None
    return Span(first=start, last=end - timedelta(days=1))


def _settlement(invoice: Invoice, payments: Sequence[Payment]) -> Settlement:
    if invoice.collection_method == "send_invoice" and not any(
        payment.method == "card" for payment in payments
    ):
        return Settlement(method="transfer", paid_on=_paid_on(invoice))
    card = next((p.payment_method for p in payments if p.payment_method is not None), None)
    return Settlement(
        method="card",
        card_brand=card.brand.title() if card else "",
        card_last4=card.last4 if card else "",
        paid_on=_paid_on(invoice),
    )


def _paid_on(invoice: Invoice) -> date | None:
    """By the seller's calendar, as the date of issue above it."""
    if invoice.paid_at is None:
        return None
    return local_date(invoice.paid_at, Seller.objects.values_list("timezone", flat=True).get())


def _day(day: date | None) -> date:
    if day is None:
        raise NotIssued("A draft has no paper yet.")
    return day


def _seller(snapshot: dict[str, Any]) -> SellerParty:
    """The seller as frozen in the row. The logo is the present one: it is art, not a fact of the invoice."""
    logo, tone = Seller.objects.values_list("logo", "logo_tone").first() or (None, "")
    names = ("registration", "email", "phone", "iban", "bic", "bank_name", "website", "footer", "tax_id")
    known = {name: snapshot.get(name) or "" for name in names}
    name = snapshot.get("legal_name") or snapshot.get("name", "")
    return SellerParty(
        name=name, **_address(snapshot.get("address") or {}), **known, logo=bytes(logo) if logo else None,
        logo_tone=tone,
    )  # fmt: skip


def _buyer(snapshot: dict[str, Any]) -> Party:
    address = {"country": snapshot.get("country") or "", **(snapshot.get("address") or {})}
    return Party(
        name=snapshot.get("name", ""),
        **_address(address),
        email=snapshot.get("email") or "",
        tax_id=snapshot.get("tax_id") or "",
        tax_id_scheme=_scheme(address["country"]),
    )


def _address(address: dict[str, Any]) -> dict[str, str]:
    names = ("line1", "line2", "city", "state", "postal_code", "country")
    return {name: str(address.get(name) or "") for name in names}


_SCHEMES = {"US": "EIN", "AU": "ABN", "IN": "GSTIN", "BR": "CNPJ"}


def _scheme(country: str) -> str:
    return _SCHEMES.get(country, "VAT")
