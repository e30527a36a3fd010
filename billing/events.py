"""Facts. `record` is the only way one is written, and it is written in the transaction that made it true.

The event row is history, audit and outbox at once; `dispatch.recorded` tells the packages above,
inside the same transaction, so that what they enqueue commits or rolls back with the fact.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import transaction

from billing import dispatch, event_types, jobs, prepared
from billing.models.events import Event
from billing.models.ids import uuid7

TYPES = frozenset(event_types.FIELDS)


def staff_of(user: int) -> str:
    """How facts name somebody of the seller's, as actors and in their data: `user:7`."""
    return f"user:{user}"


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
    livemode: bool | None = None,
) -> Event:
    """Write one fact about `subject` (a model instance). Must run inside a transaction.

    `livemode` is said of what both sides share: on which of them it was done.
    """
    owner = customer if customer is not None else getattr(subject, "customer", None)
    if livemode is None:
        livemode = getattr(owner if owner is not None else subject, "livemode", False)
    fact = Fact(type, subject.pk, owner.pk if owner is not None else None, livemode, actor, now, data or {})
    return record_many([fact])[0]


def record_many(facts: Sequence[Fact]) -> list[Event]:
    """Write many facts in one statement, numbering each object's own, and tell whoever listens."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("an event is written in the transaction of its cause")
    for fact in facts:
        if fact.type not in TYPES:
            raise UnknownEventType(fact.type)
    events = [_event(fact) for fact in facts]
    gathered = _gathered.get()
    if gathered is None:
        _write(events)
    else:
        gathered += events
    return events


_gathered: ContextVar[list[Event] | None] = ContextVar("gathered", default=None)


@contextmanager
def together() -> Iterator[None]:
    """What is recorded in the block is written at its end: in its order, by one statement, and told once. So are the
    jobs that it calls.

    Until then an event has its id but no number. An exception that leaves the block writes nothing; one that is caught
    inside of it would leave its facts behind, so nothing that records may be tried in here.
    """
    if _gathered.get() is not None:
        yield
        return
    events: list[Event] = []
    with jobs.together():
        before = _gathered.set(events)
        try:
            yield
        finally:
            _gathered.reset(before)
        _write(events)


def _write(events: Sequence[Event]) -> None:
    if events:
        awaited = _insert(events)
        dispatch.recorded.send(sender=Event, events=list(events), awaited=awaited)


_INSERT = """
with present as materialized (select clock_timestamp() as at), given as (
    select * from jsonb_to_recordset(%s::jsonb) as g(
        n int, id uuid, type text, object_id text, customer uuid, livemode bool, actor text, at timestamptz, data jsonb)
), bumped as (
    insert into billing_objectsequence as s (object_id, value)
    select object_id, count(*) from given group by object_id order by object_id
    on conflict (object_id) do update set value = s.value + excluded.value
    returning s.object_id, s.value
), written as (
    insert into billing_event (id, type, object_id, sequence, customer_id, livemode, actor, at, recorded_at, data)
    select g.id, g.type, g.object_id,
           b.value - count(*) over (partition by g.object_id) + row_number() over (partition by g.object_id order by g.n),
           g.customer, g.livemode, g.actor, g.at, present.at, g.data
    from present, given g join bumped b using (object_id)
    order by g.n
    returning number, sequence
)
select array_agg(number order by number), array_agg(sequence order by number), (select at from present),
    exists (select from billing_webhookendpoint where disabled_at is null)
from written
"""


def _insert(events: Sequence[Event]) -> bool:
    """Store them, and tell each its number, its sequence and when it was recorded. Numbers are given in their order.
    Answers whether any endpoint wants events."""
    rows = [_row(n, event) for n, event in enumerate(events)]
    with prepared.cursor() as cursor:
        cursor.execute(_INSERT, [orjson.dumps(rows).decode()])
        numbers, sequences, at, awaited = cursor.fetchone()
    for event, number, sequence in zip(events, numbers, sequences, strict=True):
        event.number, event.sequence, event.recorded_at = number, sequence, at
    return bool(awaited)


def _row(n: int, event: Event) -> dict[str, Any]:
    customer = event.customer_id
    return {
        "n": n, "id": event.id.hex, "type": event.type, "object_id": event.object_id,
        "customer": customer.partition("_")[2] if customer else None, "livemode": event.livemode,
        "actor": event.actor, "at": event.at, "data": event.data,
    }  # fmt: skip


_EVENT = "number id type object_id sequence customer_id livemode actor at recorded_at data".split()


def _event(fact: Fact) -> Event:
    """The fact as its row will be; its number comes with writing."""
    values = (
        None, uuid7(), fact.type, fact.subject, None, fact.customer, fact.livemode, fact.actor, fact.now, None,
        dict(fact.data),
    )  # fmt: skip
    return Event.with_values(_EVENT, values)
