"""Facts. `record` is the only way one is written, and it is written in the transaction that made it true.

The event row is history, audit and outbox at once; `dispatch.recorded` tells the packages above,
inside the same transaction, so that what they enqueue commits or rolls back with the fact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from billing import dispatch
from billing.models.events import Event
from billing.models.ids import uuid7

TYPES = frozenset(
    """
    customer.created customer.updated customer.segment_changed customer.collection_method_changed
    customer.owner_assigned member.added member.removed plan.published checkout.completed checkout.expired
    subscription.created subscription.activated subscription.trial_ending subscription.trial_ended
    subscription.phase_started subscription.changed subscription.paused subscription.resumed
    subscription.renewed subscription.renewal_approaching subscription.past_due subscription.cancel_scheduled
    subscription.canceled subscription.converted_to_invoice usage.threshold_reached invoice.created
    invoice.finalized invoice.sent invoice.paid invoice.payment_failed invoice.overdue invoice.voided
    invoice.uncollectible credit_note.issued payment.succeeded payment.failed payment.refunded payment.disputed
    payment_method.attached payment_method.expiring payment_method.detached lead.created demo.requested
    feature.viewed signal.created signal.dismissed handoff.raised handoff.accepted handoff.snoozed handoff.won
    handoff.lost handoff.returned quote.created quote.submitted quote.approved quote.rejected quote.sent quote.viewed
    quote.accepted quote.declined quote.expired quote.withdrawn quote.converted
    quote.schedule_differs deal.stage_changed
    """.split()
)


class UnknownEventType(Exception):
    """The type is not one that the contract names."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened. `subject` is the public id (`inv_…`); `data` holds plain JSON values."""

    type: str
    subject: str
    customer: str | None
    livemode: bool
    actor: str
    now: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


def record(
    type: str,
    *,
    subject: Any,
    actor: str,
    now: datetime,
    customer: Any = None,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Write one fact about `subject` (a model instance). Must run inside a transaction."""
    owner = customer if customer is not None else getattr(subject, "customer", None)
    livemode = getattr(owner, "livemode", False) if owner is not None else getattr(subject, "livemode", False)
    fact = Fact(type, subject.pk, owner.pk if owner is not None else None, livemode, actor, now, data or {})
    return record_many([fact])[0]


def record_many(facts: Sequence[Fact]) -> list[Event]:
    """Write many facts in one statement, numbering each object's own, and tell whoever listens."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("an event is written in the transaction of its cause")
    for fact in facts:
        if fact.type not in TYPES:
            raise UnknownEventType(fact.type)
    if not facts:
        return []
    events = _insert(facts)
    dispatch.recorded.send(sender=Event, events=events)
    return events


_INSERT = """
with given as (
    select * from jsonb_to_recordset(%s::jsonb) as g(
        n int, id uuid, type text, object_id text, customer uuid, livemode bool, actor text, at timestamptz, data jsonb)
), bumped as (
    insert into billing_objectsequence as s (object_id, value)
    select object_id, count(*) from given group by object_id order by object_id
    on conflict (object_id) do update set value = s.value + excluded.value
    returning s.object_id, s.value
)
insert into billing_event (id, type, object_id, sequence, customer_id, livemode, actor, at, recorded_at, data)
select g.id, g.type, g.object_id,
       b.value - count(*) over (partition by g.object_id) + row_number() over (partition by g.object_id order by g.n),
       g.customer, g.livemode, g.actor, g.at, clock_timestamp(), g.data
from given g join bumped b using (object_id)
order by g.n
returning number, id, sequence, recorded_at
"""


def _insert(facts: Sequence[Fact]) -> list[Event]:
    rows = [_row(n, fact) for n, fact in enumerate(facts)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [orjson.dumps(rows).decode()])
        written = {found[1].hex: found for found in cursor.fetchall()}
    return [_event(fact, *written[row["id"]]) for row, fact in zip(rows, facts, strict=True)]


def _row(n: int, fact: Fact) -> dict[str, Any]:
    return {
        "n": n, "id": uuid7().hex, "type": fact.type, "object_id": fact.subject,
        "customer": fact.customer.partition("_")[2] if fact.customer else None,
        "livemode": fact.livemode, "actor": fact.actor, "at": fact.now, "data": dict(fact.data),
    }  # fmt: skip


def _event(fact: Fact, number: int, id_: UUID, sequence: int, recorded_at: datetime) -> Event:
    """The row as it was written, its columns in order (names would take Django twice as long)."""
    about = (fact.type, fact.subject, sequence, fact.customer, fact.livemode, fact.actor, fact.now)
    values: Any = (number, id_, *about, recorded_at, dict(fact.data))
    return Event(*values)
