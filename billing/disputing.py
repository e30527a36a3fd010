"""Payments that card holders dispute.

An event of Stripe's is a hint to look: what is written down is the dispute as it is there now, so the order and the
number of events do not matter. The invoice stays paid (decision 22): what the bank takes is not asked for again by
itself, it is a loss or comes back. The journal follows the cash.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from billing import bulk, collecting, journal, mail, settling
from billing.events import record, together
from billing.gateway import DisputeFacts, gateway
from billing.maths.periods import local_date
from billing.models import Dispute, Payment, Posting, Seller
from billing.moves import move
from billing.templatetags.tandem import money

log = logging.getLogger(__name__)

# Stripe repeats a webhook for three days; what it could not tell by then is found in its list.
LOOKS_BACK = timedelta(days=30)


def apply_provider_event(event: Mapping[str, Any], now: datetime) -> None:
    """Act on a provider's verified event about a dispute; others are not ours. Raises collecting.PaymentNotSettled and
    what the gateway raises: the event waits and is tried again."""
    if event["type"].startswith("charge.dispute."):
        look(provider_id=event["data"]["object"]["id"], now=now, actor="provider")


def look(*, provider_id: str, now: datetime, actor: str) -> Dispute | None:
    """Ask the provider about a dispute and write it down. None: it is about no payment of ours. `now` is real time."""
    facts = gateway().dispute(provider_id)
    payment = collecting.settled_of(facts.intent_id, now=now, actor=actor) if facts else None
    if facts is None or payment is None:
        return None
    return write(payment_id=payment.pk, facts=facts, now=collecting.now_of(payment, now), actor=actor)


@transaction.atomic
@together()
def write(*, payment_id: str, facts: DisputeFacts, now: datetime, actor: str) -> Dispute:
    """Make our row say what the provider says, post what moved, and tell of a new state. The same answer twice, or an
    older one, changes nothing."""
    payment = collecting.locked(payment_id)
    row = payment.disputes.filter(provider_id=facts.id).first()
    if row is not None and _nothing_new(row, facts):
        return row
    before, fee = (journal.standing(row), row.fee) if row else (Counter[str](), 0)
    said = row.status if row else ""
    row = _stored(row, payment, facts, now, actor)
    after = journal.standing(row)
    after.subtract(before)
    on = local_date(now, Seller.objects.get().timezone)
    postings = journal.of_dispute(row, after, row.fee - fee, on, invoice_id=payment.invoice_id)
    bulk.copy(Posting, list(postings))
    if payment.invoice is not None:
        settling.hold_back(payment.invoice, now=now)
    if row.status != said:
        _tell(row, payment, said, now, actor)
    return row


def _nothing_new(row: Dispute, facts: DisputeFacts) -> bool:
    """An answer that was read earlier than the one that is written down must not take it back."""
    if facts.status != row.status:
        return facts.status not in Dispute.MOVES[row.status] or facts.movements < row.movements
    due = facts.evidence_due_at
    return facts.movements < row.movements or (facts.movements, due) == (row.movements, row.evidence_due_at)


def _stored(row: Dispute | None, payment: Payment, facts: DisputeFacts, now: datetime, actor: str) -> Dispute:
    fields: dict[str, Any] = {
        "withdrawn": facts.withdrawn, "fee": max(facts.fee, 0), "fee_currency": facts.fee_currency,
        "movements": facts.movements, "evidence_due_at": facts.evidence_due_at,
        "closed_at": None if facts.status in Dispute.OPEN else now,
    }  # fmt: skip
    if row is None:
        assert payment.customer_id is not None
        return Dispute.objects.create(
            customer_id=payment.customer_id, payment=payment, livemode=payment.livemode, provider_id=facts.id,
            status=facts.status, reason=facts.reason, amount=facts.amount, currency=facts.currency,
            opened_at=facts.opened_at, created_at=now, **fields,
        )  # fmt: skip
    if facts.status == row.status:
        Dispute.objects.filter(pk=row.pk).update(**fields)
        row.refresh_from_db()
        return row
    move(row, facts.status, event=None, actor=actor, now=now, **fields)
    return row


def _tell(row: Dispute, payment: Payment, said: str, now: datetime, actor: str) -> None:
    """The payment says it, the world hears of it, and the seller gets a mail about what to do."""
    newest = payment.disputes.order_by("-opened_at", "-pk").first()
    payment.dispute_status = newest.status if newest else row.status
    payment.save(update_fields=["dispute_status"])
    data = {
        "dispute": row.pk, "from": said or None, "to": row.status, "reason": row.reason, "amount": row.amount,
        "currency": row.currency, "invoice": payment.invoice_id,
        "evidence_due_at": row.evidence_due_at and row.evidence_due_at.isoformat(),
    }  # fmt: skip
    record("payment.disputed", subject=payment, actor=actor, now=now, data=data)
    mail.compose(
        template="payment_disputed", to=Seller.objects.get().email, event=f"{row.pk}-{row.status}", now=now,
        customer=row.customer,
        context={"dispute": row, "invoice": payment.invoice, "amount": money(row.amount, row.currency),
                 "reason": row.reason.replace("_", " "), "answer_url": row.evidence_url,
                 "url": f"{settings.SITE_URL}/admin/billing/dispute/{row.pk}/change/"},
    )  # fmt: skip


def reconcile(*, now: datetime) -> int:
    """Ask about every dispute that is open, and about those that were opened lately and told of by nobody. `now` is
    real time. Returns how many were looked at."""
    known = Dispute.objects.filter(status__in=Dispute.OPEN).values_list("provider_id", flat=True)
    ids = dict.fromkeys([*gateway().disputes(since=now - LOOKS_BACK), *known])
    return sum(_looked(id, now) for id in ids)


def _looked(provider_id: str, now: datetime) -> bool:
    """One that cannot be settled holds up no other."""
    try:
        return look(provider_id=provider_id, now=now, actor="system") is not None
    except Exception:
        log.exception("The dispute %s cannot be followed.", provider_id)
        return False
