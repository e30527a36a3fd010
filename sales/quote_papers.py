"""What a quote's paper says: values for `billing.papers`, made from the quote and its figures."""

import hashlib
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.maths.money import exponent
from billing.maths.tax import TaxRate
from billing.models import Document
from billing.models import Seller as SellerRow
from billing.papers import isolated
from billing.papers.data import (
    Party,
    QuoteLine,
    QuotePaper,
    RampYear,
    ScheduledInvoice,
    Seller,
    SignatureRecord,
    Span,
)
from billing.templatetags.tandem import money, unit_price
from sales.models import Quote
from sales.proposing import Figures, LineFigures, Proposal, Scheduled, YearFigures

PER = {
    "week": "per week",
    "month": "per month",
    "quarter": "per quarter",
    "half_year": "per half-year",
    "year": "per year",
}
BILLED = {
    "week": "Weekly",
    "month": "Monthly",
    "quarter": "Quarterly",
    "half_year": "Half-yearly",
    "year": "Yearly",
}


def paper_of(quote: Quote, proposal: Proposal, figures: Figures, *, issued_on: date) -> QuotePaper:
    """The paper of this version as it stands."""
    lines = tuple(_line(line, quote) for line in figures.lines)
    seller = SellerRow.objects.get()
    zone = quote.customer.timezone if quote.customer else seller.timezone
    sums: dict[str, Any] = {
        "list_total": sum(line.list_amount for line in lines),
        "discount_total": sum(line.discount for line in lines),
        "subtotal": sum(line.net for line in lines),
        "tax_total": sum(line.tax for line in figures.lines),
    }
    return QuotePaper(
        number=quote.number, version=quote.version, option=quote.option, option_name=quote.option_name,
        issued_on=issued_on, expires_on=_last_day(quote, zone),
        currency=quote.currency, exponent=exponent(quote.currency), seller=seller_party(seller),
        buyer=buyer_party(quote), contact=quote.contact_name, prepared_by=str(quote.owner or ""),
        prepared_by_email=quote.owner.email if quote.owner else "", title=quote.title,
        starts_on=figures.start_on, term_months=quote.term_months, billing_words=billing_words(quote),
        lines=lines, ramp=tuple(_year(year) for year in figures.years) if len(figures.years) > 1 else (),
        schedule=tuple(_invoice(each) for each in figures.schedule),
        **sums, total_words="First period" if figures.credit else "First invoice",
        tax_words=tax_words(proposal.rate_of("")), mrr=figures.mrr, arr=figures.arr, acv=figures.acv, tcv=figures.tcv,
        payment_terms=payment_terms(quote), notes=quote.notes, summary=summary(quote, figures),
    )  # fmt: skip


def _line(line: LineFigures, quote: Quote) -> QuoteLine:
    return QuoteLine(
        description=line.description, detail=detail(line), quantity=_plain(line.quantity),
        list_unit=line.list_unit, list_amount=line.list_amount, discount_percent=line.percent,
        discount=line.discount, net=line.net,
        interval=_per(line, quote.interval),
    )  # fmt: skip


def _per(line: LineFigures, interval: str) -> str:
    return {"usage": "as used", "one_time": ""}.get(line.kind, PER[interval])


def detail(line: LineFigures) -> str:
    """What tiers say in words: “500,000 a month included, then 0.001 each”."""
    words, price = [], line.price
    if line.with_tax is not None and price.model in ("flat", "per_unit"):
        words.append(f"{money(line.with_tax, price.currency)} with the tax that the price contains")
    for tier in price.value.tiers:
        bound = f"up to {tier.up_to:,f}" if tier.up_to is not None else "then"
        free = not tier.unit_amount and not tier.flat_amount
        cost = "included" if free else f"{unit_price(tier.unit_amount, price.currency)} each"
        words.append(f"{bound} {cost}")
    if price.included:
        words.insert(0, f"{price.included.normalize():,f} included")
    per = f"per {price.interval.replace('_', '-')}: " if words and price.interval else ""
    return per + ", ".join(words)


def _plain(number: Decimal) -> Decimal:
    return number.normalize() + Decimal(0)


def _year(year: YearFigures) -> RampYear:
    words = [f"{year.quantity.normalize():,f} seats"] if year.quantity is not None else []
    if year.rise:
        words.append(f"prices {year.rise.normalize():f} % above the year before")
    if year.percent:
        words.append(f"{year.percent.normalize():f} % discount")
    return RampYear(
        label=f"Year {year.number}", span=Span(first=year.start_on, last=year.end_on - timedelta(days=1)),
        words=", ".join(words), amount=year.amount,
    )  # fmt: skip


def _invoice(each: Scheduled) -> ScheduledInvoice:
    return ScheduledInvoice(on=each.date, amount=each.amount, words=each.words)


def _last_day(quote: Quote, zone: str) -> date:
    day = quote.last_day(zone)
    if day is None:
        raise ValueError("a quote that goes out has an expiry")
    return day


def billing_words(quote: Quote) -> str:
    return (
        f"{BILLED[quote.interval]}, by {'invoice' if quote.collection_method == 'send_invoice' else 'card'}"
    )


def payment_terms(quote: Quote) -> str:
    if quote.collection_method != "send_invoice":
        return "Charged to the card on file on each invoice date."
    if quote.net_days == 0:
        return "Due on receipt of each invoice, by bank transfer."
    return f"Net {quote.net_days} days from each invoice, by bank transfer."


def tax_words(tax: TaxRate) -> str:
    if tax.reason:
        return tax.reason
    percent = f"{tax.percentage.normalize():f} %"
    if len(tax.taxes) > 1:
        percent += f" ({' + '.join(f'{each.name} {each.percentage.normalize():f} %' for each in tax.taxes)})"
    if tax.inclusive:
        return (
            f"Prices contain tax of {percent}; amounts are shown without it, and it is added to each invoice."
        )
    return f"Tax of {percent} is added to each invoice." if tax.percentage else ""


def summary(quote: Quote, figures: Figures) -> str:
    """How the new terms meet the old ones, in a sentence; nothing for a new customer."""
    if quote.subscription is None:
        return ""
    day = f"{figures.start_on:%-d %B %Y}"
    if figures.credit:
        return f"Replaces the present plan on {day}; what was paid beyond that day is credited."
    return f"Replaces the present plan on {day}, when its paid period ends. Nothing is billed twice."


# -- Parties -------------------------------------------------------------------------------------------------


def seller_party(row: SellerRow) -> Seller:
    names = ("registration", "email", "phone", "iban", "bic", "bank_name", "website", "footer", "tax_id")
    known = {name: getattr(row, name) or "" for name in names}
    return Seller(
        name=row.legal_name or row.name, **_address(row.address), **known,
        logo=bytes(row.logo) if row.logo else None, logo_tone=row.logo_tone,
    )  # fmt: skip


def buyer_party(quote: Quote) -> Party:
    customer, lead = quote.customer, quote.lead
    if customer is None:
        known = lead.address if lead else {}
        return Party(name=quote.buyer_name, **_address(known), email=quote.contact_email)
    address = {"country": customer.country, **{k: v for k, v in customer.billing_address.items() if v}}
    return Party(name=customer.name, **_address(address), email=customer.email, tax_id=customer.tax_id)


def _address(address: dict[str, Any]) -> dict[str, str]:
    names = ("line1", "line2", "city", "state", "postal_code", "country")
    return {name: str(address.get(name) or "") for name in names}


# -- Printing ----------------------------------------------------------------------------------------------


def print_paper(paper: QuotePaper) -> bytes:
    """The PDF. Raises PaperToolsMissing, PaperFailed."""
    return isolated.render_isolated(paper)


def keep(paper: QuotePaper, content: bytes, *, now: datetime) -> Document:
    """Store the bytes for good."""
    made = document(paper, content, now=now)
    made.save(force_insert=True)
    return made


def document(paper: QuotePaper, content: bytes, *, now: datetime) -> Document:
    """The row that keeps the bytes, not stored yet."""
    option = f"-{paper.option}" if paper.option else ""
    signed = "-signed" if paper.signature else ""
    return Document(
        name=f"{paper.number}-v{paper.version}{option}{signed}.pdf", content=content, created_at=now,
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def signed(paper: dict[str, Any], record: SignatureRecord) -> QuotePaper:
    """The paper that was sent, with the signature page."""
    return QuotePaper.from_json({**paper, "signature": record.to_json()})
