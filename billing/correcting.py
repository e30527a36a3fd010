"""Papers put right: credit notes written by somebody, invoices voided or given up.

An issued invoice never changes. A credit note takes part of it back; what its parts take, in whatever pieces and
by line, amount or quantity, adds up to the invoice to the cent, tax included.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction
from django.db.models import Sum

from billing import bulk, issuing, journal, numbering, settling, signing_off, taxes
from billing.events import record
from billing.issuing import DraftLine
from billing.maths.money import round_half_away, share
from billing.maths.periods import local_date
from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, Payment, Posting, Seller
from billing.moves import move
from billing.refusals import Refused

type To = Literal["balance", "refund"]


class NotCreditable(Refused):
    """A draft or void invoice has nothing to take back."""

    code = "invoice_not_creditable"


class CreditTooLarge(Refused):
    """More than what is left of the line or the invoice."""

    code = "credit_too_large"


class InvalidCredit(Refused):
    code = "invalid_credit"


class NotVoidable(Refused):
    """Money or credit notes belong to the invoice already, or it is not open."""

    code = "invoice_not_voidable"


class NotOpen(Refused):
    code = "invoice_not_open"


@dataclass(frozen=True, slots=True)
class LineCredit:
    """How much of an invoice line to take back: `amount` in minor units before tax, a `quantity`, or (neither) all that
    is left of it."""

    line: InvoiceLine
    amount: int | None = None
    quantity: Decimal | None = None


@dataclass(slots=True)
class _Left:
    """What was not taken back yet of a line."""

    line: InvoiceLine
    net: int
    tax: int
    quantity: Decimal
    each: list[int]
    """Of every tax that the tax is made of."""

    @property
    def gross(self) -> int:
        return self.net + self.tax

    def take(self, part: DraftLine | CreditNoteLine) -> None:
        self.net, self.tax = self.net - part.net, self.tax - part.tax_amount
        self.quantity -= part.quantity
        self.each = [left - taken["amount"] for left, taken in zip(self.each, part.taxes, strict=True)]


# -- Credit notes ---------------------------------------------------------------------------------------


@transaction.atomic
def credit(
    *,
    invoice: Invoice,
    reason: str,
    now: datetime,
    actor: str,
    lines: Sequence[LineCredit] | None = None,
    amount: int | None = None,
    to: To = "balance",
) -> CreditNote:
    """Take back some lines, an amount with tax spread over all lines, or (neither) all that is left.

    What is still due on the invoice shrinks first; the rest goes to the customer's balance, from where a refund
    pays it out. Raises NotCreditable, CreditTooLarge, InvalidCredit.
    """
    invoice = locked(invoice)
    if invoice.status in (Invoice.Status.DRAFT, Invoice.Status.VOID):
        raise NotCreditable(f"{invoice} is {invoice.get_status_display().lower()}.", field="invoice")
    most = room(invoice)
    if amount is not None and amount <= 0:
        raise InvalidCredit("A credit is more than nothing.", field="amount")
    parts = _parts(_left(invoice), lines, most if lines is None and amount is None else amount)
    total = sum(part.net + part.tax_amount for part in parts)
    if not 0 < total <= most:
        raise CreditTooLarge(
            "There is not so much left to credit.", field="amount" if lines is None else "lines"
        )
    return _issue(invoice, parts, total, reason=reason, to=to, now=now, actor=actor)


def room(invoice: Invoice) -> int:
    """What of an invoice was not credited yet, tax included. Minor units."""
    given = CreditNote.objects.filter(invoice=invoice).aggregate(given=Sum("total", default=0))["given"]
    return int(invoice.total - given)


def locked(invoice: Invoice) -> Invoice:
    """The row as it is now, held until the transaction ends; its customer's first."""
    return (
        Invoice.objects.select_for_update(of=("customer", "self"), no_key=True)
        .select_related("customer__test_clock", "subscription")
        .get(pk=invoice.pk)
    )


def _left(invoice: Invoice) -> dict[str, _Left]:
    rows = {
        line.pk: _Left(
            line, line.net, line.tax_amount, line.quantity, [each["amount"] for each in line.taxes]
        )
        for line in invoice.lines.all()
    }
    notes = CreditNoteLine.objects.filter(credit_note__invoice=invoice, invoice_line__isnull=False)
    for note in notes:
        rows[str(note.invoice_line_id)].take(note)
    return rows


def _parts(
    left: Mapping[str, _Left], lines: Sequence[LineCredit] | None, amount: int | None
) -> list[DraftLine]:
    if lines is not None and amount is not None:
        raise InvalidCredit("Give lines or an amount, not both.", field="lines")
    if lines is not None and not lines:
        raise InvalidCredit("Name a line; without lines and amount it is all that is left.", field="lines")
    if lines is not None:
        return [_of_line(left, wanted, f"lines.{n}") for n, wanted in enumerate(lines)]
    assert amount is not None
    if amount == sum(row.gross for row in left.values()):
        return [_part(row, row.net, row.tax, row.quantity) for row in left.values() if row.net or row.tax]
    return _spread(list(left.values()), amount)


def _of_line(left: Mapping[str, _Left], wanted: LineCredit, field: str) -> DraftLine:
    row = left.get(wanted.line.pk)
    if row is None:
        raise InvalidCredit("The invoice has no such line.", field=f"{field}.line")
    net, quantity = _taken(row, wanted, field)
    part = _part(row, net, _tax_of(row, net), quantity)
    row.take(part)
    return part


def _taken(row: _Left, wanted: LineCredit, field: str) -> tuple[int, Decimal]:
    """(net, quantity) that is taken back of a line."""
    if wanted.amount is not None and wanted.quantity is not None:
        raise InvalidCredit("Give an amount or a quantity of a line, not both.", field=field)
    if wanted.amount is None and wanted.quantity is None:
        if row.net <= 0:
            raise CreditTooLarge("Nothing is left of the line.", field=f"{field}.line")
        return row.net, max(row.quantity, Decimal(0))
    said = f"{field}.{'amount' if wanted.quantity is None else 'quantity'}"
    net = wanted.amount if wanted.quantity is None else _of_quantity(row, wanted.quantity, said)
    assert net is not None
    if net <= 0:
        raise InvalidCredit("A credit is more than nothing.", field=said)
    if net > row.net:
        raise CreditTooLarge("There is not so much left of the line.", field=said)
    return net, wanted.quantity or Decimal(0)


def _of_quantity(row: _Left, quantity: Decimal, field: str) -> int:
    if quantity > row.quantity:
        raise CreditTooLarge("There is not such a quantity left of the line.", field=field)
    if quantity <= 0:
        raise InvalidCredit("A quantity is more than nothing.", field=field)
    if quantity == row.quantity:
        return row.net
    whole = quantity / row.line.quantity * row.line.net
    return min(round_half_away(*whole.as_integer_ratio()), row.net)


def _tax_of(row: _Left, net: int) -> int:
    """The tax of a part: what the line's tax is of all that is taken so far, less what was taken before. The last
    part carries the rounding."""
    taken = row.line.net - row.net + net
    return round_half_away(row.line.tax_amount * taken, row.line.net) - (row.line.tax_amount - row.tax)


def _spread(rows: list[_Left], amount: int) -> list[DraftLine]:
    """An amount with tax, over the lines by what is left of them."""
    charged = [row for row in rows if row.gross > 0]
    if not 0 < amount <= sum(row.gross for row in charged):
        raise CreditTooLarge("There is not so much left to credit.", field="amount")
    parts = share(amount, [row.gross for row in charged])
    return [
        _part(row, *_split(row, gross), Decimal(0))
        for row, gross in zip(charged, parts, strict=True)
        if gross
    ]


def _split(row: _Left, gross: int) -> tuple[int, int]:
    """(net, tax) of a part that is given with its tax."""
    whole = row.line.net + row.line.tax_amount
    taken = whole - row.gross + gross
    tax = round_half_away(row.line.tax_amount * taken, whole) - (row.line.tax_amount - row.tax)
    tax = min(max(tax, gross - row.net, 0), row.tax, gross)
    return gross - tax, tax


def _part(row: _Left, net: int, tax: int, quantity: Decimal) -> DraftLine:
    line = row.line
    return DraftLine(
        kind="adjustment", description=line.description, gross=net, discount=0, net=net, quantity=quantity,
        unit_amount=line.unit_amount, price_id=line.price_id, subscription_id=line.subscription_id,
        billed="arrears" if line.period_end is None else "advance", cycle_start=line.cycle_start,
        cycle_end=line.cycle_end, period_start=line.period_start, period_end=line.period_end,
        tax_percentage=line.tax_percentage, tax_category=line.tax_category, tax_reason=line.tax_reason, tax_amount=tax,
        taxes=taxes.part_of(line.taxes, tax, row.each), explanation={"policy": "credited", "line": line.pk},
    )  # fmt: skip


def _issue(
    invoice: Invoice,
    parts: Sequence[DraftLine],
    total: int,
    *,
    reason: str,
    to: To,
    now: datetime,
    actor: str,
) -> CreditNote:
    seller = Seller.objects.get()
    to_due = min(total, invoice.amount_due)
    [number] = numbering.take([(numbering.credit_series_of(invoice.customer), now)], seller)
    note = CreditNote(
        livemode=invoice.livemode, series_id=number.series, sequence=number.sequence, number=number.text,
        customer=invoice.customer, invoice=invoice, currency=invoice.currency, reason=reason, issued_at=now,
        to="invoice" if to_due == total else to, issued_on=number.issued_on,
        subtotal=sum(part.net for part in parts), tax_total=sum(part.tax_amount for part in parts), total=total,
        seller=issuing.seller_snapshot(seller), bill_to=issuing.customer_snapshot(invoice.customer), created_at=now,
    )  # fmt: skip
    note.save(force_insert=True)
    bulk.copy(CreditNoteLine, list(_rows(note, parts)))
    written_off = invoice.status == Invoice.Status.UNCOLLECTIBLE
    bulk.copy(Posting, list(journal.of_credit_note(note, parts, off=to_due, given_up=written_off)))
    if to_due < total:
        issuing.add_balance(
            invoice.customer,
            total - to_due,
            note.currency,
            reason=f"Credit note {note.number}",
            now=now,
            credit_note=note,
        )
        if to == "balance":
            settling.hold_back(invoice, now=now)
    data = {
        "number": note.number, "total": total, "currency": invoice.currency, "invoice": invoice.pk, "to": note.to,
        "reason": reason,
    }  # fmt: skip
    record("credit_note.issued", subject=note, actor=actor, now=now, data=data)
    if to_due:
        settling.count_credit(invoice, to_due, now=now, actor=actor)
    return note


def _rows(note: CreditNote, parts: Sequence[DraftLine]) -> Iterable[dict[str, Any]]:
    """The lines of the note, each naming the invoice line that it takes back."""
    rows = issuing.line_rows(parts, "credit_note_id", note.pk, "cnl")
    for row, part in zip(rows, parts, strict=True):
        yield {**row, "invoice_line_id": part.explanation["line"]}


# -- Void and uncollectible -----------------------------------------------------------------------------


@transaction.atomic
def void(*, invoice: Invoice, now: datetime, actor: str, reason: str = "") -> Invoice:
    """Take an open invoice back as a whole. What it asked for is not asked for again; credit that was used for it
    returns to the balance. Raises NotVoidable.
    """
    invoice = locked(invoice)
    _refuse_settled(invoice)
    on = local_date(now, Seller.objects.get().timezone)
    rows = list(journal.of_void(invoice, on))
    _return_balance(invoice, now)
    bulk.copy(Posting, rows)
    data = {"number": invoice.number, "total": invoice.total, "currency": invoice.currency, "reason": reason}
    move(
        invoice, "void", event="invoice.voided", actor=actor, now=now, voided_at=now, next_attempt_at=None,
        next_reminder_at=None, data=data,
    )  # fmt: skip
    settling.no_longer_late(invoice, now=now, actor=actor)
    return invoice


def _refuse_settled(invoice: Invoice) -> None:
    if invoice.status == Invoice.Status.DRAFT:
        raise NotVoidable("Nothing was asked for yet: a draft is deleted.", field="invoice")
    if "void" not in Invoice.MOVES[invoice.status]:
        raise NotVoidable(f"{invoice} is {invoice.get_status_display().lower()}.", field="invoice")
    money = invoice.payments.filter(status__in=(*Payment.OPEN, "succeeded")).exclude(method="balance")
    if money.exists():
        raise NotVoidable(
            f"Money was paid for {invoice}, or is on its way: credit it instead.", field="invoice"
        )
    if invoice.credit_notes.exists():
        raise NotVoidable(f"A part of {invoice} was credited: credit the rest.", field="invoice")


def _return_balance(invoice: Invoice, now: datetime) -> None:
    for payment in invoice.payments.filter(method="balance", status="succeeded"):
        issuing.add_balance(
            invoice.customer, payment.amount, payment.currency, reason=f"{invoice.number} is void", now=now,
            payment=payment,
        )  # fmt: skip
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid=0)


@transaction.atomic
def mark_uncollectible(
    *, invoice: Invoice, now: datetime, actor: str, reason: str = "", signed: bool = False
) -> Invoice:
    """Nobody will pay what is due. A payment that comes after all is still taken. `signed`: a second person has agreed.
    Raises NotOpen, NeedsSignOff."""
    invoice = locked(invoice)
    if invoice.status != Invoice.Status.OPEN:
        raise NotOpen(f"{invoice} is {invoice.get_status_display().lower()}.", field="invoice")
    if not signed:
        signing_off.check_write_off(invoice, now=now, actor=actor)
    on = local_date(now, Seller.objects.get().timezone)
    bulk.copy(Posting, list(journal.of_write_off(invoice, invoice.amount_due, on)))
    data = {
        "number": invoice.number,
        "amount_due": invoice.amount_due,
        "currency": invoice.currency,
        "reason": reason,
    }
    move(
        invoice, "uncollectible", event="invoice.uncollectible", actor=actor, now=now, next_attempt_at=None,
        next_reminder_at=None, data=data,
    )  # fmt: skip
    return invoice
