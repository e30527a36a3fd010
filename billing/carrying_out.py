"""Giving money back and giving up what is due, where that may need a second person: done at once below the seller's
limit, asked for above it, and done once when it was signed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing import correcting, paying_out, refunding, signing_off
from billing.correcting import LineCredit
from billing.models import CreditNote, Customer, Invoice, InvoiceLine, Payment, Refund, SignOff, User
from billing.moves import StaleMove, move
from billing.refusals import Refused
from billing.signing_off import NeedsSignOff

log = logging.getLogger(__name__)
Kind = SignOff.Kind


# -- Done, or asked for -------------------------------------------------------------------------------------


def refund(
    *,
    payment: Payment,
    now: datetime,
    actor: str,
    amount: int | None = None,
    reason: str = "",
    once: str = "",
) -> Refund | SignOff:
    """As `refunding.refund`, or the wish for it. Raises as it, and AnotherWaits."""
    try:
        return refunding.refund(
            payment=payment, amount=amount, reason=reason, now=now, actor=actor, once=once
        )
    except NeedsSignOff as needed:
        about = {"payment": payment, "invoice": payment.invoice, "customer": payment.customer}
        return _ask(needed, Kind.REFUND, {"amount": needed.amount}, reason, now, actor, **about)


def credit_and_refund(
    *,
    invoice: Invoice,
    reason: str,
    now: datetime,
    actor: str,
    lines: Sequence[LineCredit] | None = None,
    amount: int | None = None,
    once: str = "",
) -> CreditNote | SignOff:
    """As `refunding.credit_and_refund`, or the wish for it. Raises as it, and AnotherWaits."""
    try:
        note, _ = refunding.credit_and_refund(
            invoice=invoice, reason=reason, now=now, actor=actor, lines=lines, amount=amount, once=once
        )
        return note
    except NeedsSignOff as needed:
        terms = {"amount": None if lines else needed.amount, "lines": _frozen(lines)}
        about = {"invoice": invoice, "customer": invoice.customer}
        return _ask(needed, Kind.CREDIT_NOTE, terms, reason, now, actor, **about)


def pay_out(
    *,
    customer: Customer,
    method: str,
    now: datetime,
    actor: str,
    amount: int | None = None,
    reference: str = "",
    once: str = "",
) -> list[Refund] | SignOff:
    """As `paying_out` does by `method` (card, or bank_transfer with its reference), or the wish for it. Raises as it,
    and AnotherWaits."""
    try:
        return _paid_out(customer, method, amount, reference, now, actor, once)
    except NeedsSignOff as needed:
        terms = {"amount": needed.amount, "method": method, "reference": reference}
        return _ask(needed, Kind.PAY_OUT, terms, reference, now, actor, customer=customer)


def write_off(*, invoice: Invoice, now: datetime, actor: str, reason: str = "") -> Invoice | SignOff:
    """As `correcting.mark_uncollectible`, or the wish for it. Raises as it, and AnotherWaits."""
    try:
        return correcting.mark_uncollectible(invoice=invoice, now=now, actor=actor, reason=reason)
    except NeedsSignOff as needed:
        about = {"invoice": invoice, "customer": invoice.customer}
        return _ask(needed, Kind.WRITE_OFF, {}, reason, now, actor, **about)


def _ask(
    needed: NeedsSignOff,
    kind: str,
    terms: dict[str, Any],
    reason: str,
    now: datetime,
    actor: str,
    **about: Any,
) -> SignOff:
    return signing_off.ask(
        kind=kind, amount=needed.amount, terms=terms, reason=reason, now=now, actor=actor, **about
    )


def _frozen(lines: Sequence[LineCredit] | None) -> list[dict[str, Any]] | None:
    """Lines of a credit as plain values."""
    return lines and [  # type: ignore[return-value]
        {
            "line": each.line.pk,
            "amount": each.amount,
            "quantity": None if each.quantity is None else str(each.quantity),
        }
        for each in lines
    ]


def _thawed(lines: Sequence[Mapping[str, Any]] | None) -> list[LineCredit] | None:
    if not lines:
        return None
    known = {row.pk: row for row in InvoiceLine.objects.filter(pk__in=[each["line"] for each in lines])}
    return [
        LineCredit(known[each["line"]], each["amount"], each["quantity"] and Decimal(each["quantity"]))
        for each in lines
    ]


def _paid_out(
    customer: Customer, method: str, amount: int | None, reference: str, now: datetime, actor: str, once: str,
    signed: bool = False,
) -> list[Refund]:  # fmt: skip
    by: dict[str, Any] = {
        "customer": customer,
        "amount": amount,
        "now": now,
        "actor": actor,
        "signed": signed,
    }
    if method == "card":
        return paying_out.to_cards(**by, once=once)
    return [paying_out.by_transfer(**by, reference=reference)]


# -- Signed -------------------------------------------------------------------------------------------------


def give(*, sign_off: SignOff, by: User, now: datetime) -> SignOff:
    """Sign it and do it. Must not run inside a transaction; what became of it is in its status. Raises OwnWish,
    IllegalMove, StaleMove."""
    return carry_out(signing_off.sign(sign_off=sign_off, by=by, now=now), now=now)


def carry_out(row: SignOff, *, now: datetime) -> SignOff:
    """Do what was signed, in the name of who asked for it. Repeatable: killed anywhere, it goes on where it was."""
    try:
        _DO[row.kind](row, now)
    except Refused as refusal:
        _settle(row, "failed", now, refusal.message)
    return row


def _settle(row: SignOff, to: str, now: datetime, message: str = "") -> None:
    try:
        with transaction.atomic():
            move(row, to, event=None, actor=row.asked_by, now=now, message=message[:300])
    except StaleMove:
        row.refresh_from_db()


def _by(row: SignOff, now: datetime) -> dict[str, Any]:
    return {"now": now, "actor": row.asked_by, "signed": True}


def _refund(row: SignOff, now: datetime) -> None:
    assert row.payment is not None
    refunding.refund(payment=row.payment, amount=row.amount, reason=row.reason, once=row.pk, **_by(row, now))
    _settle(row, "done", now)


def _credit_note(row: SignOff, now: datetime) -> None:
    assert row.invoice is not None
    terms = {"amount": row.terms["amount"], "lines": _thawed(row.terms["lines"]), "reason": row.reason}
    refunding.credit_and_refund(invoice=row.invoice, **terms, once=row.pk, **_by(row, now))
    _settle(row, "done", now)


def _pay_out(row: SignOff, now: datetime) -> None:
    _paid_out(
        row.customer, row.terms["method"], row.amount, row.terms["reference"], now, row.asked_by, row.pk, True
    )
    _settle(row, "done", now)


@transaction.atomic
def _write_off(row: SignOff, now: datetime) -> None:
    """In one transaction: a write-off that was made is known by nothing else."""
    assert row.invoice is not None
    correcting.mark_uncollectible(invoice=row.invoice, reason=row.reason, **_by(row, now))
    move(row, "done", event=None, actor=row.asked_by, now=now)


_DO: Mapping[str, Callable[[SignOff, datetime], None]] = {
    Kind.REFUND: _refund,
    Kind.CREDIT_NOTE: _credit_note,
    Kind.PAY_OUT: _pay_out,
    Kind.WRITE_OFF: _write_off,
}


def finish(*, now: datetime) -> int:
    """Do what was signed and left by a dead worker; who is still at it and this one do it once between them. `now` is
    real time. Returns how many."""
    left = SignOff.objects.filter(status=SignOff.Status.GIVEN).select_related("customer__test_clock")
    return sum(_tried(row, row.customer.on_clock(now)) for row in left.order_by("decided_at")[:200])


def _tried(row: SignOff, now: datetime) -> bool:
    """One that fails holds up no other."""
    try:
        return carry_out(row, now=now).status != SignOff.Status.GIVEN
    except Exception:
        log.exception("What was signed could not be done: %s", row.pk)
        return False
