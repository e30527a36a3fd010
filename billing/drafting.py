"""One-off invoices: written as a draft that may still change, then issued like any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from billing import customers, issuing, owing, starting, taxes
from billing.events import record
from billing.issuing import Draft, DraftLine
from billing.maths.money import LIMIT, exponent, round_half_away
from billing.models import Customer, Invoice, InvoiceLine, Seller
from billing.refusals import Refused

MOST_LINES = 500


class InvalidLine(Refused):
    code = "invalid_line"


class NotADraft(Refused):
    code = "invoice_not_draft"


class NegativeInvoice(Refused):
    """An invoice asks for money; to give some back, write a credit note."""

    code = "invoice_negative"


@dataclass(frozen=True, slots=True)
class NewLine:
    """`unit_amount` in major units, times `quantity`; both may be negative only as far as the invoice is not.
    `tax_category`: what it is for in terms of tax."""

    description: str
    unit_amount: Decimal
    quantity: Decimal = Decimal(1)
    tax_category: str = ""


@transaction.atomic
def write(
    *,
    customer: Customer,
    lines: Sequence[NewLine],
    now: datetime,
    actor: str,
    collection_method: str | None = None,
    net_days: int | None = None,
    po_number: str = "",
    memo: str = "",
) -> Invoice:
    """A draft with its lines and their tax, without a number. Raises InvalidLine, NegativeInvoice."""
    if not 1 <= len(lines) <= MOST_LINES:
        raise InvalidLine(f"From 1 to {MOST_LINES} lines.", field="lines")
    seller = Seller.objects.get()
    rate_of = taxes.rate_of(customer, seller, taxes.rates())
    made = [owing.taxed(_line(line, customer.currency), rate_of(line.tax_category.lower())) for line in lines]
    draft = Draft(
        customer=customer, subscription=None, lines=made, now=now, actor=actor, motion=_motion(customer),
        collection_method=collection_method or customer.collection_method, net_days=_net_days(customer, net_days, seller),
        po_number=po_number, memo=memo,
    )  # fmt: skip
    if draft.total < 0:
        raise NegativeInvoice("The lines come to less than nothing.", field="lines")
    return _store(draft)


def _motion(customer: Customer) -> str:
    return customer.segment.motion if customer.segment else "self_serve"


def _net_days(customer: Customer, given: int | None, seller: Seller) -> int:
    given = customers.checked_net_days(given)
    return next(days for days in (given, customer.net_days, seller.net_days) if days is not None)


def _line(line: NewLine, currency: str) -> DraftLine:
    exact = line.quantity * line.unit_amount * 10 ** exponent(currency)
    if not exact.is_finite() or abs(exact) >= LIMIT:
        raise InvalidLine("The amount of a line is too large.", field="lines")
    gross = round_half_away(*exact.as_integer_ratio())
    return DraftLine(
        kind="one_time", description=line.description, gross=gross, discount=0, net=gross, quantity=line.quantity,
        unit_amount=line.unit_amount, explanation=_for(line.tax_category),
    )  # fmt: skip


def _for(category: str) -> dict[str, str]:
    """What a draft remembers of a line, so that its tax can be found again on the day it is issued."""
    return {"tax_category": category.lower()} if category else {}


def _store(draft: Draft) -> Invoice:
    invoice = Invoice.objects.create(
        id=draft.id, livemode=draft.customer.livemode, customer=draft.customer, motion=draft.motion,
        collection_method=draft.collection_method, net_days=draft.net_days, currency=draft.customer.currency,
        subtotal=draft.subtotal, discount_total=draft.discount_total, tax_total=draft.tax_total, total=draft.total,
        po_number=draft.po_number, memo=draft.memo, line_count=len(draft.lines), created_at=draft.now,
    )  # fmt: skip
    InvoiceLine.objects.bulk_create(
        [
            InvoiceLine(
                invoice=invoice, position=position, kind=line.kind, description=line.description, quantity=line.quantity,
                unit_amount=line.unit_amount, gross=line.gross, discount=line.discount, net=line.net,
                tax_percentage=line.tax_percentage, tax_category=line.tax_category, tax_reason=line.tax_reason,
                tax_amount=line.tax_amount, tax_in_gross=line.tax_in_gross, tax_in_discount=line.tax_in_discount,
                taxes=line.taxes, explanation=line.explanation,
            )
            for position, line in enumerate(draft.lines, start=1)
        ]
    )  # fmt: skip
    data = {"total": draft.total, "currency": invoice.currency}
    record("invoice.created", subject=invoice, actor=draft.actor, now=draft.now, data=data)
    return invoice


@transaction.atomic
def finalize(*, invoice: Invoice, now: datetime, actor: str) -> Invoice:
    """Issue a draft: number, snapshot, tax as it is today, journal. Raises NotADraft."""
    held = _held(invoice)
    seller = Seller.objects.get()
    rate_of = taxes.rate_of(held.customer, seller, taxes.rates())
    lines = [
        owing.taxed(_drafted(line), rate_of(line.explanation.get("tax_category", "")))
        for line in held.lines.all()
    ]
    draft = Draft(
        customer=held.customer, subscription=None, lines=lines, now=now, actor=actor, motion=held.motion,
        collection_method=held.collection_method, net_days=held.net_days, po_number=held.po_number, memo=held.memo,
        id=held.pk,
    )  # fmt: skip
    if draft.total < 0:
        raise NegativeInvoice("With today's tax the lines come to less than nothing.", field="lines")
    _drop(held)
    issuing.issue([draft], seller)
    return Invoice.objects.get(pk=draft.id)


@transaction.atomic
def issue(*, invoice: Invoice, now: datetime, actor: str) -> Invoice:
    """`finalize`, and have it charged or sent by a job."""
    issued = finalize(invoice=invoice, now=now, actor=actor)
    starting.collect_soon(issued)
    return issued


@transaction.atomic
def discard(*, invoice: Invoice, now: datetime, actor: str) -> None:
    """Throw a draft away. Raises NotADraft."""
    held = _held(invoice)
    record(
        "invoice.deleted",
        subject=held,
        actor=actor,
        now=now,
        data={"total": held.total, "currency": held.currency},
    )
    _drop(held)


def _held(invoice: Invoice) -> Invoice:
    row = Invoice.objects.select_for_update(of=("customer", "self"), no_key=True).select_related(
        "customer__test_clock", "customer__segment"
    )
    held = row.filter(pk=invoice.pk).first()
    if held is None or held.status != Invoice.Status.DRAFT:
        raise NotADraft("The invoice is issued already.", field="invoice")
    return held


def _drop(held: Invoice) -> None:
    """By the database: no role but the tables' owner may delete what could be an issued invoice."""
    with connection.cursor() as cursor:
        cursor.execute("select tandem_drop_draft(%s)", [held.pk.partition("_")[2]])


def _drafted(line: InvoiceLine) -> DraftLine:
    """The line as it was priced, before tax."""
    gross, discount = line.priced
    return DraftLine(
        kind=line.kind, description=line.description, gross=gross, discount=discount, net=gross - discount,
        quantity=line.quantity, unit_amount=line.unit_amount, explanation=line.explanation,
    )  # fmt: skip
