"""Refunds that were made in Stripe's own pages: noticed, booked as what they are, and explained by somebody.

The money is gone, whatever the reason: cash follows it at once. The reason is not guessed. Until somebody says it the
amount stands on an account of its own and the seller has a mail; then it is a credit note, or credit from the balance.
An event is a hint to look, so the order and the number of events do not matter.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import F

from billing import bulk, collecting, correcting, customers, journal, mail, refunding
from billing.events import record, together
from billing.gateway import RefundFacts, gateway
from billing.maths.periods import local_date
from billing.models import BalanceEntry, Customer, Payment, Posting, Refund, Seller
from billing.refunding import NotRefundable
from billing.refusals import Refused
from billing.templatetags.tandem import money

log = logging.getLogger(__name__)

# Stripe repeats a webhook for three days; what it could not tell by then is found in its list.
LOOKS_BACK = timedelta(days=30)
type Reason = Literal["credit_note", "balance"]


class RefundNotSettled(Exception):
    """A refund of ours stands in the way and has no answer yet: ask again later."""


class NothingToExplain(Refused):
    """The refund was made here, or has failed, or somebody has said already what it was for."""

    code = "nothing_to_explain"


# -- Noticing ---------------------------------------------------------------------------------------------


def apply_provider_event(event: Mapping[str, Any], now: datetime) -> None:
    """Act on a provider's verified event about a refund, ours or not: its payment is asked for all there are. Raises
    PaymentNotSettled, RefundNotSettled and what the gateway raises: the event waits and is tried again."""
    thing = event["data"]["object"]
    if event["type"] == "charge.refunded" or thing.get("object") == "refund":
        intent = thing.get("payment_intent")
        if isinstance(intent, str):
            look(intent_id=intent, now=now, actor="provider")


def look(*, intent_id: str, now: datetime, actor: str) -> int:
    """Ask the provider about every refund of a payment and write them down. Answers how many are ours or noticed.
    `now` is real time."""
    if collecting.settled_of(intent_id, now=now, actor=actor) is None:
        return 0
    found = list(gateway().refunds(payment_intent=intent_id))
    return sum(_written(facts, now, actor) for facts in found)


def reconcile(*, now: datetime) -> int:
    """Every refund of the last month, that no webhook may have told of. `now` is real time. Answers how many were
    noticed or moved."""
    found = list(gateway().refunds(since=now - LOOKS_BACK))
    return sum(_looked(facts, now) for facts in found)


def _looked(facts: RefundFacts, now: datetime) -> bool:
    """One that cannot be settled holds up no other."""
    try:
        return _written(facts, now, "system")
    except Exception:
        log.exception("The refund %s cannot be followed.", facts.outcome.refund_id)
        return False


def _written(facts: RefundFacts, now: datetime, actor: str) -> bool:
    """Whether it is about a payment of ours."""
    row = _known(facts)
    if row is not None:
        at = row.customer.on_clock(now)
        refunding.apply(refund_id=row.pk, outcome=facts.outcome, now=at, actor=actor)
        return True
    payment = collecting.settled_of(facts.intent_id, now=now, actor=actor)
    if payment is None or facts.outcome.state == "failed":
        return payment is not None
    write(payment_id=payment.pk, facts=facts, now=collecting.now_of(payment, now), actor=actor)
    return True


def _known(facts: RefundFacts) -> Refund | None:
    rows = Refund.objects.select_related("customer__test_clock")
    ours = rows.filter(key=facts.key).first() if facts.key else None
    return ours or rows.filter(key=_key(facts)).first()


def _key(facts: RefundFacts) -> str:
    return f"elsewhere-{facts.outcome.refund_id}"


@transaction.atomic
@together()
def write(*, payment_id: str, facts: RefundFacts, now: datetime, actor: str) -> Refund:
    """The row of a refund that was made elsewhere, with its journal entry. A second call changes nothing. Raises
    RefundNotSettled."""
    payment = collecting.locked(payment_id)
    known = _known(facts)
    if known is not None:
        return known
    if facts.outcome.amount > payment.amount - payment.amount_refunded:
        raise RefundNotSettled(f"{payment.pk} has not so much left: {facts.outcome.refund_id}")
    assert payment.customer is not None
    row = Refund.objects.create(
        customer=payment.customer, payment=payment, livemode=payment.livemode, amount=facts.outcome.amount,
        currency=payment.currency, key=_key(facts), provider_id=facts.outcome.refund_id or "", status="succeeded",
        elsewhere=True, created_at=now, settled_at=now,
    )  # fmt: skip
    refunding.leave(row, row.amount, now, "Refund made at Stripe")
    refunding.tell(row, now=now, actor=actor)
    _mail_seller(row, payment, now)
    return row


def _mail_seller(row: Refund, payment: Payment, now: datetime) -> None:
    amount, invoice = money(row.amount, row.currency), payment.invoice
    mail.compose(
        template="refund_elsewhere", to=Seller.objects.get().email, event=row.pk, now=now, customer=row.customer,
        context={"invoice": invoice, "amount": amount, "reference": row.provider_id,
                 "url": f"{settings.SITE_URL}/admin/billing/invoice/{payment.invoice_id}/change/"},
    )  # fmt: skip


# -- Explaining --------------------------------------------------------------------------------------------


@transaction.atomic
def explain(*, refund: Refund, by: Reason, now: datetime, actor: str, reason: str = "Refund") -> Refund:
    """Say what a refund made elsewhere was for: the invoice's amount goes down by a credit note, or it was credit that
    stood on the balance. Raises NothingToExplain, NotRefundable, and as `correcting.credit`."""
    customers.hold(refund.customer_id)
    row = Refund.objects.select_related("payment__invoice", "customer").get(pk=refund.pk)
    if not row.unexplained or row.payment is None or row.payment.invoice is None:
        raise NothingToExplain("There is nothing to explain about this refund.", field="refund")
    if by == "credit_note":
        refunding.refuse_unpaid(row.payment.invoice)
        row.credit_note = correcting.credit(
            invoice=row.payment.invoice, amount=row.amount, reason=reason, to="refund", now=now, actor=actor
        )
    _take(row, now)
    row.explained_at = now
    row.save(update_fields=["credit_note", "explained_at"])
    data = {"amount": row.amount, "currency": row.currency, "refund": row.pk, "by": by}
    record("payment.refund_explained", subject=row.payment, actor=actor, now=now, data=data)
    return row


def _take(row: Refund, now: datetime) -> None:
    """From the balance, where the credit note has brought it or it stood before."""
    if Customer.objects.values_list("balance", flat=True).get(pk=row.customer_id) < row.amount:
        raise NotRefundable("There is not so much on the balance.", field="by")
    BalanceEntry.objects.create(
        customer=row.customer, amount=-row.amount, currency=row.currency, reason="Refund made at Stripe", at=now,
        credit_note=row.credit_note,
    )  # fmt: skip
    Customer.objects.filter(pk=row.customer_id).update(balance=F("balance") - row.amount)
    on = local_date(now, Seller.objects.get().timezone)
    refs = {"payment_id": row.payment_id, "credit_note_id": row.credit_note_id}
    bulk.copy(Posting, list(journal.of_explanation(row, on, **refs)))
