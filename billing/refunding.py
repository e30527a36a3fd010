"""Money back to the card that paid. What is refunded was credited first, so that the paper says it too; what was paid
too much stands on the balance already, and no paper has asked for it.

The row with its key is committed, and the credit reserved, before the provider is called; an unknown answer is
asked about and never guessed; a refund that fails leaves the credit on the customer's balance.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count

from django.db import transaction
from django.db.models import F, Sum

from billing import bulk, correcting, journal, signing_off
from billing.correcting import LineCredit
from billing.events import record
from billing.gateway import GatewayMisuse, RefundOutcome, gateway
from billing.maths.money import to_major
from billing.maths.periods import local_date
from billing.models import (
    BalanceEntry,
    CreditNote,
    Customer,
    Dispute,
    Invoice,
    Payment,
    Posting,
    Refund,
    Seller,
)
from billing.models.ids import new_id
from billing.moves import move
from billing.refusals import Refused

log = logging.getLogger(__name__)


class NotRefundable(Refused):
    """No card payment of this invoice has so much left to give back."""

    code = "not_refundable"


def refund(
    *,
    payment: Payment,
    now: datetime,
    actor: str,
    amount: int | None = None,
    reason: str = "",
    once: str = "",
    signed: bool = False,
) -> Refund:
    """Credit a part (or all that is left) of what a card payment paid, and send it back to the card. What was paid too
    much, and still stands on the balance, goes back first and needs no credit note.

    Must not run inside a transaction. The answer is in the refund's status; unknown means wait. `once`: what makes a
    request that is made again the same; it goes on where it was killed. `signed`: a second person has agreed. Raises
    NotRefundable, NeedsSignOff, and as `correcting.credit`.
    """
    if payment.invoice is None:
        raise NotRefundable("The payment pays no invoice.", field="payment")
    with transaction.atomic():
        invoice = correcting.locked(payment.invoice)
        rows = begun(once)
        if not rows:
            rows = [_begin(invoice, payment, amount, reason, now, actor, next(keys_of(once)))]
            refuse_unsigned(rows, signed, now=now, actor=actor)
    return send(rows[0], now, actor)


def refuse_unsigned(rows: Sequence[Refund], signed: bool, *, now: datetime, actor: str) -> None:
    """Of what was just reserved: is it so much that a second person has to agree? Raises NeedsSignOff."""
    if not signed:
        amount = sum(row.amount for row in rows)
        signing_off.check_back(rows[0].customer, amount, now=now, actor=actor)


def begun(once: str) -> list[Refund]:
    """What a request that was killed had reserved."""
    rows = Refund.objects.select_related("payment", "customer", "credit_note").order_by("created_at", "key")
    return list(rows.filter(key__startswith=f"refund-{once}-")) if once else []


def keys_of(once: str) -> Iterator[str]:
    """The keys of the refunds of a request, the same when it is made again; of no request in particular others."""
    return (f"refund-{once}-{n}" if once else new_id("refund") for n in count(1))


def _begin(
    invoice: Invoice, payment: Payment, amount: int | None, reason: str, now: datetime, actor: str, key: str
) -> Refund:
    over = _left_over(payment)
    if over and (amount is None or amount <= over):
        return reserve(None, payment, over if amount is None else amount, now, key)
    _refuse_part(over, payment.currency)
    return _credited(invoice, payment, amount, reason, now, actor, key)


def _left_over(payment: Payment) -> int:
    """What of a payment was more than was due, went to the balance, and is there still. Minor units."""
    over = BalanceEntry.objects.filter(payment=payment, amount__gt=0)
    brought = over.aggregate(sum=Sum("amount", default=0))["sum"]
    back = payment.refunds.filter(credit_note=None, elsewhere=False).exclude(status=Refund.Status.FAILED)
    left = brought - back.aggregate(sum=Sum("amount", default=0))["sum"]
    held = Customer.objects.select_for_update(no_key=True).get(pk=payment.customer_id)
    return max(min(left, held.balance), 0)


def _refuse_part(over: int, currency: str) -> None:
    if over:
        raise NotRefundable(
            f"{to_major(over, currency)} {currency} of it was paid too much: give that back by itself first.",
            field="amount",
        )


def _credited(
    invoice: Invoice, payment: Payment, amount: int | None, reason: str, now: datetime, actor: str, key: str
) -> Refund:
    refuse_unpaid(invoice)
    rest = payment.amount - payment.amount_refunded
    if rest <= 0:
        raise NotRefundable("All of this payment was given back already.", field="payment")
    note = correcting.credit(
        invoice=invoice, amount=rest if amount is None else amount, reason=reason or "Refund", to="refund", now=now,
        actor=actor,
    )  # fmt: skip
    return reserve(note, payment, note.total, now, key)


def credit_and_refund(
    *,
    invoice: Invoice,
    reason: str,
    now: datetime,
    actor: str,
    lines: Sequence[LineCredit] | None = None,
    amount: int | None = None,
    once: str = "",
    signed: bool = False,
) -> tuple[CreditNote, list[Refund]]:
    """A credit note whose amount goes back to the cards that paid. Must not run inside a transaction. `once`, `signed`
    and refusals as for `refund`."""
    with transaction.atomic():
        held = correcting.locked(invoice)
        rows = begun(once)
        if not rows:
            refuse_unpaid(held)
            note = correcting.credit(
                invoice=held, lines=lines, amount=amount, reason=reason, to="refund", now=now, actor=actor
            )
            rows = _reserve_all(note, now, once)
            refuse_unsigned(rows, signed, now=now, actor=actor)
    made = rows[0].credit_note
    assert made is not None
    return made, [send(row, now, actor) for row in rows]


def refuse_unpaid(invoice: Invoice) -> None:
    """Raises NotRefundable for one that something is due on: a credit note would lower that."""
    if invoice.amount_due > 0:
        raise NotRefundable(f"{invoice} is not paid yet: credit it instead.", field="invoice")


def _reserve_all(note: CreditNote, now: datetime, once: str) -> list[Refund]:
    """One refund for each card payment that is needed, the largest first. What the balance had paid stays there."""
    paid = note.invoice.payments.filter(method="card", status="succeeded").order_by("-amount", "id")
    paid = paid.exclude(dispute_status__in=Dispute.CONTESTED)
    rows, left, keys = [], note.total, keys_of(once)
    for payment in paid:
        part = min(left, payment.amount - payment.amount_refunded)
        if part > 0:
            rows.append(reserve(note, payment, part, now, next(keys)))
            left -= part
    if not rows or left > _paid_from_balance(note.invoice):
        raise NotRefundable("The cards that paid cannot take back so much: credit the balance.", field="to")
    return rows


def _paid_from_balance(invoice: Invoice) -> int:
    used = invoice.payments.filter(method=Payment.Method.BALANCE, status=Payment.Status.SUCCEEDED)
    return int(used.aggregate(sum=Sum("amount", default=0))["sum"])


def reserve(note: CreditNote | None, payment: Payment, amount: int, now: datetime, key: str) -> Refund:
    """The refund's row, its money taken from the balance to which the note (or the over-payment) has brought it."""
    held = Payment.objects.select_for_update(no_key=True).get(pk=payment.pk)
    if held.contested:
        raise NotRefundable(
            "The card holder's bank has taken this payment back: answer the dispute instead.", field="payment"
        )
    refundable = held.method == Payment.Method.CARD and held.status == Payment.Status.SUCCEEDED
    if not refundable or amount > held.amount - held.amount_refunded:
        raise NotRefundable("This payment cannot be given back by card so far.", field="amount")
    assert held.customer is not None
    row = Refund.objects.create(
        customer=held.customer, payment=held, credit_note=note, livemode=held.livemode, amount=amount,
        currency=held.currency, key=key, created_at=now,
    )  # fmt: skip
    leave(row, amount, now, f"Refund of {note.number}" if note else "Refund of what stood on the balance")
    return row


def leave(row: Refund, amount: int, now: datetime, words: str) -> None:
    """Money leaves, from the balance (made elsewhere, nobody knows yet from where); a negative amount comes back."""
    if not row.unexplained:
        BalanceEntry.objects.create(
            customer=row.customer, amount=-amount, currency=row.currency, reason=words, at=now,
            credit_note=row.credit_note,
        )  # fmt: skip
        Customer.objects.filter(pk=row.customer_id).update(balance=F("balance") - amount)
    Payment.objects.filter(pk=row.payment_id).update(amount_refunded=F("amount_refunded") + amount)
    on = local_date(now, Seller.objects.get().timezone)
    refs = {"payment_id": row.payment_id, "credit_note_id": row.credit_note_id}
    bulk.copy(Posting, list(journal.of_refund(row, amount, on, words, **refs)))


def send(row: Refund, now: datetime, actor: str) -> Refund:
    """Ask the provider to give back what was reserved. Repeating it with the row's key gives back once."""
    if row.status not in Refund.OPEN:
        return row
    assert row.payment is not None
    assert row.payment.provider_id is not None
    outcome = gateway().refund(
        key=row.key, payment_intent=row.payment.provider_id, amount=row.amount, currency=row.currency,
        metadata={"refund": row.pk},
    )  # fmt: skip
    return apply(refund_id=row.pk, outcome=outcome, now=now, actor=actor)


@transaction.atomic
def apply(*, refund_id: str, outcome: RefundOutcome, now: datetime, actor: str) -> Refund:
    """Write down what became of a refund: banks turn some down days after they took them. The same answer twice changes
    nothing."""
    row = (
        Refund.objects.select_for_update(of=("customer", "self"), no_key=True)
        .select_related("customer", "credit_note", "payment")
        .get(pk=refund_id)
    )
    state = {"succeeded": "succeeded", "processing": "succeeded", "failed": "failed"}.get(
        outcome.state, "unknown"
    )
    if state not in Refund.MOVES[row.status]:
        return row
    if state == "failed":
        leave(row, -row.amount, now, "Refund failed")
    move(
        row, state, event=None, actor=actor, now=now, settled_at=None if state == "unknown" else now,
        provider_id=outcome.refund_id or row.provider_id, message=(outcome.message or "")[:300],
    )  # fmt: skip
    if state == "succeeded":
        tell(row, now=now, actor=actor)
    return row


def tell(row: Refund, *, now: datetime, actor: str) -> None:
    """That money went back to a card."""
    data = {
        "amount": row.amount, "currency": row.currency, "refund": row.pk, "credit_note": row.credit_note_id,
        "elsewhere": row.elsewhere,
    }  # fmt: skip
    record("payment.refunded", subject=row.payment, customer=row.customer, actor=actor, now=now, data=data)


def reconcile(*, now: datetime, older_than: timedelta = timedelta(minutes=1)) -> int:
    """Ask about every refund without an answer; one the provider never saw is sent again with its own key. `now` is
    real time. Returns how many got an answer."""
    waiting = Refund.objects.filter(status__in=Refund.OPEN, recorded_at__lte=now - older_than)
    joined = waiting.select_related("payment", "customer__test_clock")
    return sum(_asked(row, now) for row in joined.order_by("recorded_at")[:200])


def _asked(row: Refund, now: datetime) -> bool:
    """One that the provider will not answer about holds up no other."""
    at, intent = row.customer.on_clock(now), row.payment.provider_id if row.payment else None
    try:
        found = gateway().look_up_refund(key=row.key, payment_intent=intent or "")
        if found is None:
            return send(row, at, "provider").status not in Refund.OPEN
    except GatewayMisuse:
        log.exception("The provider will not answer about the refund %s.", row.pk)
        return False
    return apply(refund_id=row.pk, outcome=found, now=at, actor="provider").status not in Refund.OPEN
