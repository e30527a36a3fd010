"""Credit of a customer's paid out as money: back to the cards that paid, or by a bank transfer that somebody made.

Never more than stands on the balance: it is taken from there, with the customer held, before money moves. Money goes
back to a card as a refund of a payment that it made, the oldest first; one that fails stands on the balance again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing import customers, refunding
from billing.events import record
from billing.maths.money import to_major
from billing.models import Customer, Dispute, Payment, Refund
from billing.models.ids import new_id
from billing.refunding import NotRefundable
from billing.refusals import Refused


class NothingToPayOut(Refused):
    """There is no credit on the balance, or not so much."""

    code = "balance_too_small"


class ReferenceMissing(Refused):
    """A transfer is found again by its reference."""

    code = "reference_missing"


@dataclass(frozen=True, slots=True)
class _Part:
    payment: Payment
    amount: int


def to_cards(
    *,
    customer: Customer,
    now: datetime,
    actor: str,
    amount: int | None = None,
    once: str = "",
    signed: bool = False,
) -> list[Refund]:
    """Pay the balance, or a part of it (minor units), back to the cards. Must not run inside a transaction; the answers
    are in the refunds' status, unknown means wait. `once` and `signed` as for `refunding.refund`. Raises
    NothingToPayOut, NotRefundable, NeedsSignOff."""
    with transaction.atomic():
        customers.hold(customer.pk)
        rows = refunding.begun(once)
        if not rows:
            rows = _reserved(customer, amount, once, now=now, actor=actor)
            refunding.refuse_unsigned(rows, signed, now=now, actor=actor)
    return [refunding.send(row, now, actor) for row in rows]


def _reserved(
    customer: Customer, amount: int | None, once: str, *, now: datetime, actor: str
) -> list[Refund]:
    keys, parts = refunding.keys_of(once), _parts(customer, _held(customer, amount))
    rows = [refunding.reserve(None, part.payment, part.amount, now, next(keys)) for part in parts]
    _tell(customer, rows, "card", now=now, actor=actor)
    return rows


@transaction.atomic
def by_transfer(
    *,
    customer: Customer,
    reference: str,
    now: datetime,
    actor: str,
    amount: int | None = None,
    signed: bool = False,
) -> Refund:
    """Book that the balance, or a part of it (minor units), was paid out by a bank transfer. The same reference and
    amount is one transfer. `signed` as for `refunding.refund`. Raises NothingToPayOut, ReferenceMissing,
    NeedsSignOff."""
    if not reference.strip():
        raise ReferenceMissing("Give the reference of the transfer.", field="reference")
    customers.hold(customer.pk)
    known = Refund.objects.filter(customer=customer, payment=None, reference=reference.strip())
    row = known.filter(**({} if amount is None else {"amount": amount})).first()
    if row is not None:
        return row
    row = Refund.objects.create(
        customer=customer, livemode=customer.livemode, amount=_held(customer, amount), currency=customer.currency,
        key=new_id("payout"), status="succeeded", reference=reference.strip(), created_at=now, settled_at=now,
    )  # fmt: skip
    refunding.leave(row, row.amount, now, f"Paid out: {row.reference}"[:200])
    refunding.refuse_unsigned([row], signed, now=now, actor=actor)
    _tell(customer, [row], "bank_transfer", now=now, actor=actor)
    return row


def payable(customer: Customer) -> int:
    """How much of the balance the cards that paid can take back. Minor units."""
    return min(max(customer.balance, 0), sum(part.amount for part in _rooms(customer)))


def _held(customer: Customer, amount: int | None) -> int:
    """What is to be paid out, with the customer held."""
    customers.hold(customer.pk)
    balance = Customer.objects.values_list("balance", flat=True).get(pk=customer.pk)
    wanted = balance if amount is None else amount
    if not 0 < wanted <= balance:
        left = f"{to_major(max(balance, 0), customer.currency)} {customer.currency}"
        raise NothingToPayOut(f"There is {left} on the balance.", field="amount")
    return wanted


def _rooms(customer: Customer) -> list[_Part]:
    """What each payment by card can take back, the oldest first."""
    paid = Payment.objects.filter(
        customer=customer, method="card", status="succeeded", currency=customer.currency
    )
    rows = paid.exclude(dispute_status__in=Dispute.CONTESTED).order_by("created_at", "id")
    return [_Part(row, row.amount - row.amount_refunded) for row in rows if row.amount > row.amount_refunded]


def _parts(customer: Customer, wanted: int) -> list[_Part]:
    parts, left = [], wanted
    for room in _rooms(customer):
        if left:
            parts.append(_Part(room.payment, min(room.amount, left)))
            left -= parts[-1].amount
    if left:
        most = to_major(wanted - left, customer.currency)
        raise NotRefundable(
            f"The cards that paid can take back {most} {customer.currency}: pay the rest by bank transfer.",
            field="amount",
        )
    return parts


def _tell(customer: Customer, rows: Sequence[Refund], method: str, *, now: datetime, actor: str) -> None:
    data = {
        "amount": sum(row.amount for row in rows), "currency": customer.currency, "method": method,
        "refunds": [row.pk for row in rows], "reference": rows[0].reference,
    }  # fmt: skip
    record("customer.balance_paid_out", subject=customer, customer=customer, actor=actor, now=now, data=data)
