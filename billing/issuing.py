"""From drafts to issued papers: numbered, frozen and written with their journal entries and events, by a fixed number
of statements whatever their number. Numbers are taken last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.db import models
from django.db.models import F

from billing import apportioning, bulk, journal, numbering, settling
from billing.events import Fact, record_many
from billing.maths import splitting, tax
from billing.maths.periods import ONE_DAY, local_date, midnight
from billing.models import (
    BalanceEntry,
    CollectionMethod,
    CreditNote,
    CreditNoteLine,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Posting,
    Seller,
    Subscription,
)
from billing.models.ids import new_id
from billing.taxes import Said, part_of

POLICIES = {
    "proration": "whole days of the whole period",
    "change_day": "belongs to the new terms",
    "cancel_day": "counts as used",
    "rounding": "once per line, half away from zero",
    "tax": "per line, from its net amount",
}


@dataclass(slots=True)
class DraftLine:
    """A line before it is on a paper; amounts in minor units, half-open local days."""

    kind: str
    description: str
    gross: int
    discount: int
    net: int
    quantity: Decimal
    unit_amount: Decimal | None
    price_id: str | None = None
    subscription_id: str | None = None
    entry_key: str = ""
    billed: str = "advance"
    cycle_start: date | None = None
    cycle_end: date | None = None
    period_start: date | None = None
    period_end: date | None = None
    tax_percentage: Decimal = Decimal(0)
    tax_category: str = "O"
    tax_reason: str = ""
    tax_amount: int = 0
    tax_in_gross: int = 0
    tax_in_discount: int = 0
    taxes: list[Said] = field(default_factory=list)
    explanation: dict[str, Any] = field(default_factory=dict)

    @property
    def priced(self) -> tuple[int, int]:
        """Gross and discount as the price says them, with the tax that it contains."""
        return self.gross + self.tax_in_gross, self.discount + self.tax_in_discount

    @property
    def shown(self) -> tuple[int, int]:
        """Gross and discount as a buyer is shown them: with the tax that is in the price, if it is charged."""
        return self.priced if self.tax_amount else (self.gross, self.discount)


@dataclass(slots=True)
class Draft:
    """A paper that may be issued. A negative total becomes a credit note. `subscription` is None where several share
    it (and for one-offs)."""  # fmt: skip

    customer: Customer
    subscription: Subscription | None
    lines: list[DraftLine]
    now: datetime
    actor: str
    collection_method: str
    net_days: int
    motion: str
    cycle_on: date | None = None
    source: str | None = None
    po_number: str = ""
    memo: str = ""
    id: str = field(default_factory=lambda: new_id("inv"))

    @property
    def subtotal(self) -> int:
        return sum(line.gross for line in self.lines)

    @property
    def discount_total(self) -> int:
        return sum(line.discount for line in self.lines)

    @property
    def tax_total(self) -> int:
        return sum(line.tax_amount for line in self.lines)

    @property
    def total(self) -> int:
        return self.subtotal - self.discount_total + self.tax_total


@dataclass(slots=True)
class Issued:
    """An invoice as it was written. The model instance is made only if somebody asks for it."""

    draft: Draft
    row: dict[str, Any]
    paid: bool = False
    """It counts the payment that was made for it before."""
    _made: Invoice | None = None

    @property
    def invoice(self) -> Invoice:
        if self._made is None:
            self._made = Invoice(**self.row)
            self._made.customer, self._made.subscription = self.draft.customer, self.draft.subscription
        return self._made


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that came in before there was an invoice for it: the card's payment, and when it arrived."""

    payment: Payment
    at: datetime


# -- Issuing: a fixed number of statements --------------------------------------------------------------------


# The invoice or the credit notes that a draft became, what those took off unpaid invoices, and what of them is held
# back because a bank has taken it.
type Papers = tuple[Issued | None, Sequence[CreditNote], int, int]


def issue(
    drafts: Sequence[Draft],
    seller: Seller,
    beside: Sequence[models.Model] = (),
    paid: Paid | None = None,
) -> dict[str, Papers]:
    """Number, freeze and write the papers, their journal entries and events. Numbers are taken last.

    `beside` is stored with the invoices; what was `paid` is counted by the first of them, if that is what is due on it.
    Returns, by draft id, the invoice or the credit notes that it became.
    """
    owing: list[Draft] = []
    returning: list[Draft] = []
    for draft in drafts:
        (owing if draft.total >= 0 else returning).append(draft)
    issued = _issue_invoices(owing, seller, beside, paid)
    papers: dict[str, Papers] = {i.draft.id: (i, (), 0, 0) for i in issued}
    papers.update({d.id: (None, *_credit(d, seller)) for d in returning})
    return papers


def _issue_invoices(
    drafts: Sequence[Draft], seller: Seller, beside: Sequence[models.Model], paid: Paid | None
) -> list[Issued]:
    snapshot = seller_snapshot(seller)
    lines = [line for d in drafts for line in line_rows(d.lines, "invoice_id", d.id, "line")]
    write_lines = bulk.copied_later(InvoiceLine, [] if beside else lines)
    numbers = numbering.take([(_series(d), d.now) for d in drafts], seller)
    issued = [Issued(d, _invoice(d, seller, snapshot, n)) for d, n in zip(drafts, numbers, strict=True)]
    balance = _apply_balances(issued)
    postings = [*_count(paid, issued[0], seller)] if paid and issued else []
    postings += [p for i in issued for p in journal.of_invoice(i.row, i.draft.lines)]
    others = (
        (Payment, balance.payments),
        (BalanceEntry, balance.entries),
        (Posting, postings + balance.postings),
    )
    if beside:
        bulk.store(beside, (Invoice, [i.row for i in issued]), (InvoiceLine, lines), *others)
    else:
        bulk.copy(Invoice, [i.row for i in issued])
        write_lines()
        for model, rows in others:
            bulk.copy(model, rows)
    record_many([fact for i in issued for fact in _facts_of(i)])
    return issued


def _series(draft: Draft) -> str:
    return numbering.series_of(draft.customer)


def _invoice(
    draft: Draft, seller: Seller, snapshot: dict[str, Any], number: numbering.Number
) -> dict[str, Any]:
    """The row of the invoice that a draft becomes."""
    starts = [line.period_start for line in draft.lines if line.period_start]
    ends = [line.period_end for line in draft.lines if line.period_end]
    by_card = draft.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY
    net_days = 0 if by_card else draft.net_days
    due_on = number.issued_on + timedelta(days=net_days)
    subtotal, discount_total, tax_total = draft.subtotal, draft.discount_total, draft.tax_total
    total = subtotal - discount_total + tax_total
    return {
        "id": draft.id, "status": "open" if total else "paid", "livemode": draft.customer.livemode,
        "series_id": number.series, "sequence": number.sequence, "number": number.text,
        "customer_id": draft.customer.pk, "subscription_id": draft.subscription and draft.subscription.pk,
        "cycle_on": draft.cycle_on, "source": draft.source, "motion": draft.motion,
        "collection_method": draft.collection_method, "net_days": net_days, "currency": _currency(draft),
        "period_start": min(starts, default=None), "period_end": max(ends, default=None), "issued_at": draft.now,
        "issued_on": number.issued_on, "due_on": due_on, "due_at": midnight(due_on + ONE_DAY, seller.timezone),
        "subtotal": subtotal, "discount_total": discount_total, "tax_total": tax_total,
        "total": total, "amount_paid": 0, "amount_credited": 0, "seller": snapshot,
        "bill_to": customer_snapshot(draft.customer), "po_number": draft.po_number, "memo": draft.memo,
        "policies": POLICIES, "line_count": len(draft.lines), "paid_at": None if total else draft.now,
        "next_attempt_at": draft.now if by_card and total else None, "created_at": draft.now,
    }  # fmt: skip


def _currency(draft: Draft) -> str:
    return draft.subscription.currency if draft.subscription else draft.customer.currency


def seller_snapshot(seller: Seller) -> dict[str, Any]:
    """What a paper prints of the seller, copied so that it stays as it was."""
    names = (
        "name legal_name address email phone website tax_id registration bank_name iban bic footer".split()
    )
    return {name: getattr(seller, name) for name in names}


def customer_snapshot(customer: Customer) -> dict[str, Any]:
    """What a paper prints of the customer, copied so that it stays as it was."""
    return {
        "id": customer.pk, "name": customer.name, "email": customer.email, "tax_id": customer.tax_id,
        "country": customer.country, "address": customer.billing_address,
    }  # fmt: skip


_LINE_COLUMNS = (
    "kind description price_id subscription_id entry_key cycle_start cycle_end period_start period_end quantity "
    "unit_amount gross discount net tax_percentage tax_category tax_reason tax_amount tax_in_gross tax_in_discount "
    "taxes explanation"
).split()


_columns_of = attrgetter(*_LINE_COLUMNS)
_SIGNED = ("gross", "discount", "net", "tax_amount", "tax_in_gross", "tax_in_discount")


def line_rows(
    lines: Sequence[DraftLine], owner: str, owner_id: str, prefix: str, sign: int = 1
) -> Iterable[dict[str, Any]]:
    """The rows of a paper's lines, numbered from 1; `owner` is the column that names the paper."""
    for position, line in enumerate(lines, start=1):
        row = dict(zip(_LINE_COLUMNS, _columns_of(line), strict=True))
        row |= {"id": new_id(prefix), owner: owner_id, "position": position}
        if sign != 1:
            row |= {name: sign * row[name] for name in _SIGNED}
            row["taxes"] = [{**each, "amount": sign * each["amount"]} for each in row["taxes"]]
        yield row


def _facts_of(issued: Issued) -> Iterable[Fact]:
    draft, row = issued.draft, issued.row
    money = {name: row[name] for name in ("number", "total", "currency", "motion")}
    due = row["total"] - row["amount_paid"] - row["amount_credited"]
    data = {
        **money, "collection_method": row["collection_method"], "amount_due": due,
        "due_on": row["due_on"].isoformat(), "subscription": row["subscription_id"],
    }  # fmt: skip
    about = (draft.id, row["customer_id"], row["livemode"], draft.actor)
    yield Fact("invoice.finalized", *about, draft.now, data)
    if row["status"] == "paid":
        yield Fact("invoice.paid", *about, row["paid_at"], money)


# -- Balance: credit is used before money is asked for ------------------------------------------------------


@dataclass(slots=True)
class _Balance:
    payments: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    postings: list[dict[str, Any]] = field(default_factory=list)


def _apply_balances(issued: Sequence[Issued]) -> _Balance:
    """Pay new invoices from their customers' credit, as far as it goes."""
    used = _Balance()
    with_credit = {i.draft.customer.pk for i in issued if i.draft.customer.balance > 0 and i.row["total"] > 0}
    if not with_credit:
        return used
    left = dict(
        Customer.objects.select_for_update(no_key=True)
        .filter(pk__in=with_credit)
        .order_by("pk")
        .values_list("pk", "balance")
    )
    for paper in issued:
        customer_id = paper.draft.customer.pk
        amount = min(left.get(customer_id, 0), paper.row["total"])
        if amount > 0:
            left[customer_id] -= amount
            _use_balance(used, paper, amount)
    bulk.update(Customer, [{"id": pk, "balance": balance} for pk, balance in left.items()], ["balance"])
    return used


def _use_balance(used: _Balance, paper: Issued, amount: int) -> None:
    invoice, now = paper.row, paper.draft.now
    invoice["amount_paid"] += amount
    if invoice["amount_paid"] == invoice["total"]:
        _now_paid(invoice, now)
    payment_id = new_id("pay")
    about = {
        "customer_id": invoice["customer_id"],
        "invoice_id": invoice["id"],
        "currency": invoice["currency"],
    }
    used.payments.append(
        {
            **about, "id": payment_id, "status": "succeeded", "method": "balance", "amount": amount,
            "key": f"balance-{invoice['id']}", "livemode": invoice["livemode"], "created_at": now, "settled_at": now,
        }
    )  # fmt: skip
    used.entries.append(
        {
            **about, "id": new_id("bal"), "amount": -amount, "reason": f"Used for {invoice['number']}",
            "payment_id": payment_id, "at": now,
        }
    )  # fmt: skip
    used.postings.extend(journal.of_balance_use(invoice, payment_id, amount))


def _now_paid(invoice: dict[str, Any], at: datetime) -> None:
    invoice["status"], invoice["paid_at"], invoice["next_attempt_at"] = "paid", at, None


# -- Paid before it was issued ----------------------------------------------------------------------------------


def _count(paid: Paid, paper: Issued, seller: Seller) -> list[dict[str, Any]]:
    """Count the payment to the invoice that it was made for, if it is what is due on it, and answer its journal
    entries. Any other amount is put to it afterwards, as every payment is."""
    invoice, amount = paper.row, paid.payment.amount
    if amount != invoice["total"] - invoice["amount_paid"]:
        return []
    invoice["amount_paid"], paper.paid = invoice["total"], True
    _now_paid(invoice, paid.at)
    on = local_date(paid.at, seller.timezone)
    return list(journal.of_payment(paid.payment, paper.invoice, amount, 0, on))


# -- Credit notes -------------------------------------------------------------------------------------------------


def _credit(draft: Draft, seller: Seller) -> tuple[list[CreditNote], int, int]:
    """A statement that gives money back: off what is due for that very time, else to the customer's balance. Answers the
    notes, one for each invoice that it takes to carry the amount, what was taken off, and what was held back."""
    shares = apportioning.shares(draft.customer, draft.lines, -draft.total, held=True)
    pieces = _pieces(draft.lines, [share.amount for share in shares])
    series = numbering.credit_series_of(draft.customer)
    numbers = numbering.take([(series, draft.now)] * len(shares), seller)
    notes = [
        _credit_note(draft, seller, share, lines, number)
        for share, lines, number in zip(shares, pieces, numbers, strict=True)
    ]
    record_many([_fact_of_note(draft, note) for note in notes])
    for share in shares:
        if share.off:
            settling.count_credit(share.invoice, share.off, now=draft.now, actor=draft.actor)
    held = sum(settling.hold_back(share.invoice, now=draft.now) for share in shares if share.invoice.taken)
    return notes, sum(share.off for share in shares), held


def _credit_note(
    draft: Draft,
    seller: Seller,
    share: apportioning.Share,
    lines: Sequence[DraftLine],
    number: numbering.Number,
) -> CreditNote:
    net, tax_total = sum(line.net for line in lines), sum(line.tax_amount for line in lines)
    note = CreditNote(
        livemode=draft.customer.livemode, series_id=number.series, sequence=number.sequence, number=number.text,
        customer=draft.customer, invoice=share.invoice, currency=_currency(draft),
        to="invoice" if share.off == share.amount else "balance",
        reason="Change of subscription", issued_at=draft.now, issued_on=number.issued_on,
        subtotal=-net, tax_total=-tax_total, total=-net - tax_total,
        seller=seller_snapshot(seller), bill_to=customer_snapshot(draft.customer), created_at=draft.now,
    )  # fmt: skip
    note.save(force_insert=True)
    bulk.copy(CreditNoteLine, list(line_rows(lines, "credit_note_id", note.pk, "cnl", sign=-1)))
    if rest := share.amount - share.off:
        reason = f"Credit note {note.number}"
        add_balance(draft.customer, rest, note.currency, reason=reason, now=draft.now, credit_note=note)
    given_up = share.invoice.status == Invoice.Status.UNCOLLECTIBLE
    postings = journal.of_credit_note(note, lines, off=share.off, given_up=given_up, sign=-1)
    bulk.copy(Posting, list(postings))
    return note


def _fact_of_note(draft: Draft, note: CreditNote) -> Fact:
    data = {
        "number": note.number, "total": note.total, "currency": note.currency, "invoice": note.invoice_id,
        "to": note.to,
    }  # fmt: skip
    return Fact("credit_note.issued", note.pk, note.customer_id, note.livemode, draft.actor, draft.now, data)


_SPLIT = ("gross", "discount", "tax_amount", "tax_in_gross", "tax_in_discount")


def _pieces(lines: Sequence[DraftLine], parts: Sequence[int]) -> list[list[DraftLine]]:
    """The lines of each note. A line that nothing of is left for a note is not on it."""
    given = [tax.Taxed(*(-getattr(line, name) for name in _SPLIT)) for line in lines]
    left = [[each["amount"] for each in line.taxes] for line in lines]
    return [
        [
            _piece(line, amounts, rest)
            for line, amounts, rest in zip(lines, piece, left, strict=True)
            if any(amounts)
        ]
        for piece in splitting.split(given, parts)
    ]


def _piece(line: DraftLine, amounts: tax.Taxed, left: list[int]) -> DraftLine:
    """`left`: of each tax, what no piece before has; this one's is taken from it."""
    said: dict[str, Any] = {name: -amount for name, amount in zip(_SPLIT, amounts, strict=True)}
    each = part_of(line.taxes, said["tax_amount"], left)
    left[:] = [rest - one["amount"] for rest, one in zip(left, each, strict=True)]
    return replace(line, **said, net=said["gross"] - said["discount"], taxes=each)


def add_balance(
    customer: Customer, amount: int, currency: str, *, reason: str, now: datetime, **refs: Any
) -> BalanceEntry:
    """Put credit on the customer's balance (minor units, positive)."""
    entry = BalanceEntry.objects.create(
        customer=customer, amount=amount, currency=currency, reason=reason, at=now, **refs
    )
    Customer.objects.filter(pk=customer.pk).update(balance=F("balance") + amount)
    customer.refresh_from_db(fields=["balance"])
    return entry
