"""What customers use: events taken once, days totalled, limits watched, quantities answered.

An event belongs to the local day on which it happened, and through it to a usage period. Taking a batch is
one statement: it stores the events, adds to the days, and notes the limits that were crossed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction

from billing import bulk, one_trip, prepared, usage_sql
from billing.events import Fact, record_many
from billing.maths import pricing, timeline
from billing.maths.money import exponent
from billing.maths.periods import Period, local_date
from billing.models import Customer, Meter, UsageEvent
from billing.refusals import Refused
from billing.usage_input import MOST_EVENTS, Rejection, copied, rejection, sort_out

THRESHOLD_REACHED = "usage.threshold_reached"


class TooManyEvents(Refused):
    code = "too_many_events"


class UnknownUsageEvent(Refused):
    code = "unknown_usage_event"


class UsageClosed(Refused):
    code = "after_grace_window"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch; `rejected` in its order."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """One meter of a customer in the period that runs.

    `limit` is what thresholds are measured against: the plan's limit, else what its price includes;
    `included` is what costs nothing. `percent` is used of limit, rounded down.
    """

    meter: Meter
    used: Decimal
    limit: Decimal | None
    included: Decimal | None
    percent: int | None
    period: Period


# -- Taking events ------------------------------------------------------------------------------------------


def record(*, events: Sequence[Any], livemode: bool, now: datetime, actor: str = "system") -> Recorded:
    """Take a batch: each id counts once per meter, bad events are refused one by one and the good ones kept.

    `events`: {id, customer, event_name, timestamp?, properties?, replaces?}; without a timestamp it happened just now.
    One that replaces another takes its place, both or neither, after the rest of the batch is in.
    Raises TooManyEvents.
    """
    if len(events) > MOST_EVENTS:
        raise TooManyEvents(f"A batch has at most {MOST_EVENTS:,} events.", field="events")
    rows, rejected = sort_out(events)
    batch = _Batch(events, livemode, now, actor)
    plain = [row for row in rows if "r" not in row]
    return _record(batch, [_take(plain, batch)] if plain else [], rows, rejected)


class Lot(NamedTuple):
    """A part of many events, which counts them from `first` on, judged as far as that needs no database. `copied` are
    those that replace no other one, as the text of a COPY; `replacing` are rows."""

    first: int
    events: Sequence[Any]
    copied: str
    replacing: list[dict[str, Any]]
    rejected: list[Rejection]


def prepare(events: Sequence[Any], first: int) -> Lot:
    """Pure, so that a thread may do it while the database takes what came before."""
    rows, rejected = sort_out(events, first)
    plain = [row for row in rows if "r" not in row]
    return Lot(first, events, copied(plain), [row for row in rows if "r" in row], rejected)


@transaction.atomic
def record_lots(*, lots: Iterable[Lot], livemode: bool, now: datetime, actor: str) -> Recorded:
    """`record` of any number of events: of lots that follow each other, each sent on as soon as it comes."""
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.GIVEN)
        came = list(_sent_on(lots))
        batch = _Batch(
            [e for lot in came for e in lot.events], livemode, now, actor, came[0].first if came else 0
        )
        cursor.execute(usage_sql.RECORD_GIVEN, _values(batch))
        done = _weigh(_stored(cursor.fetchone()), batch)
        cursor.execute(usage_sql.DROP_GIVEN)
    return _record(
        batch,
        [done],
        (row for lot in came for row in lot.replacing),
        (bad for lot in came for bad in lot.rejected),
    )


def _sent_on(lots: Iterable[Lot]) -> Iterator[Lot]:
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(usage_sql.COPY_GIVEN) as sink,
    ):
        for lot in lots:
            sink.write(lot.copied)
            yield lot


class _Batch(NamedTuple):
    """`first` is the number of the first event."""

    events: Sequence[Any]
    livemode: bool
    now: datetime
    actor: str
    first: int = 0

    def refused(self, index: int, code: str, about: str = "") -> Rejection:
        return rejection(index, self.events[index - self.first], code, about)


def _record(
    batch: _Batch, parts: list[Recorded], rows: Iterable[Mapping[str, Any]], rejected: Iterable[Rejection]
) -> Recorded:
    """What became of all, once those of the rows that replace another one are in too."""
    parts = [*parts, *(_replace(row, batch) for row in rows if "r" in row)]
    bad = [*rejected, *(bad for part in parts for bad in part.rejected)]
    return Recorded(
        sum(part.accepted for part in parts),
        sum(part.duplicates for part in parts),
        sorted(bad, key=lambda bad: bad.index),
    )


def _take(rows: Sequence[Mapping[str, Any]], batch: _Batch) -> Recorded:
    """By one statement, and in its transaction the fact of each limit that was crossed."""
    ask = prepared.cursor if connection.in_atomic_block else one_trip.cursor
    with transaction.atomic():
        return _weigh(_store(rows, batch, ask), batch)


def _weigh(stored: "_Stored", batch: _Batch) -> Recorded:
    """Write the facts of crossed limits, in the transaction that stored the events."""
    crossed = [*stored.crossed, *(_cross_distinct(stored.distinct, batch.now) if stored.distinct else [])]
    if crossed:
        record_many([_fact(crossing, batch.livemode, batch.actor) for crossing in crossed])
    return _recorded(stored, batch)


def _recorded(stored: "_Stored", batch: _Batch) -> Recorded:
    refused = [batch.refused(n, code, about or "") for n, code, about in stored.refused]
    return Recorded(stored.accepted, stored.taken - stored.accepted, refused)


class _NotTaken(Exception):
    """The event that was to take another's place: what stands is left as it is."""

    def __init__(self, done: Recorded) -> None:
        super().__init__()
        self.done = done


def _replace(row: Mapping[str, Any], batch: _Batch) -> Recorded:
    """One event in another's place. Its own id counts once, as any: sent again, it changes nothing."""
    if UsageEvent.objects.filter(livemode=batch.livemode, key=row["k"]).exists():
        return Recorded(0, 1, [])
    try:
        with transaction.atomic():
            _hold_around(row["r"], batch.livemode)
            if not void(key=row["r"], livemode=batch.livemode, now=batch.now, actor=batch.actor):
                return Recorded(0, 0, [batch.refused(row["n"], "already_taken_back")])
            done = _take([row], batch)
            if not done.accepted:
                raise _NotTaken(done)
            return done
    except _NotTaken as not_taken:
        return not_taken.done
    except UnknownUsageEvent:
        return Recorded(0, 0, [batch.refused(row["n"], "unknown_replaced")])
    except UsageClosed:
        return Recorded(0, 0, [batch.refused(row["n"], "replaced_is_closed")])


def _hold_around(key: str, livemode: bool) -> None:
    """The days of the event's customer and meters, in the order in which batches take them: the new event may fall on
    another of them."""
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.HOLD_AROUND, {"key": key, "livemode": livemode})


class _Stored(NamedTuple):
    """What the statement answers. `taken` were not refused, `accepted` of them were new; of `refused` (index, code,
    about); of `distinct` (customer, meter)."""

    accepted: int
    taken: int
    refused: list[Any]
    crossed: list[Any]
    distinct: list[Any]


def _store(rows: Sequence[Mapping[str, Any]], batch: _Batch, ask: Callable[[], Any]) -> _Stored:
    statement = usage_sql.RECORD_FEW if len(rows) <= usage_sql.FEW else usage_sql.RECORD
    with ask() as cursor:
        cursor.execute(statement, {**_values(batch), "events": orjson.dumps(rows).decode()})
        return _stored(cursor.fetchone())


def _values(batch: _Batch) -> dict[str, Any]:
    return {
        "livemode": batch.livemode, "now": batch.now, "grace": settings.USAGE_GRACE_DAYS,
        "percents": list(settings.USAGE_THRESHOLDS),
    }  # fmt: skip


def _stored(answer: Sequence[Any]) -> _Stored:
    accepted, taken, refused, crossed, distinct, _ = answer
    return _Stored(accepted, taken, _read(refused), _read(crossed), _read(distinct))


def _cross_distinct(found: Sequence[Sequence[str]], now: datetime) -> list[Any]:
    rows = [{"customer_id": customer, "meter_id": meter} for customer, meter in found]
    given: Any = {
        "pairs": orjson.dumps(rows).decode(),
        "now": now,
        "percents": list(settings.USAGE_THRESHOLDS),
    }
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.CROSS_UNIQUE, given)
        return _read(cursor.fetchone()[0])


def _read(json: str | None) -> list[Any]:
    return orjson.loads(json) if json else []


def _fact(crossing: Mapping[str, Any], livemode: bool, actor: str) -> Fact:
    """A crossing is about the customer, and happens at the customer's time."""
    customer, at = crossing["customer"], datetime.fromisoformat(crossing["at"])
    return Fact(THRESHOLD_REACHED, customer, customer, livemode, actor, at, crossing["data"])


# -- Taking one back ----------------------------------------------------------------------------------------


@transaction.atomic
def void(*, key: str, livemode: bool, now: datetime, actor: str = "system") -> int:
    """Take back the event with this id, as if it had never been sent; its id stays spent.

    Answers how many meters had counted it; none the second time. Raises UnknownUsageEvent, and UsageClosed
    as for a late event.
    """
    found = UsageEvent.objects.filter(livemode=livemode, key=key).select_related("customer__test_clock")
    events = list(found.order_by("key", "meter_id").select_for_update(of=("self",)))
    if not events:
        raise UnknownUsageEvent("There is no such usage event.", field="id")
    standing = [event for event in events if event.voided_at is None]
    if any(event.day < _open_from(event, now) for event in standing):
        raise UsageClosed("The usage period of this event is closed.", field="id")
    ids = [event.pk for event in standing]
    days, counters = _held(usage_sql.HOLD_DAYS, ids), _held(usage_sql.HOLD_COUNTERS, ids)
    UsageEvent.objects.filter(pk__in=ids).update(voided_at=now)
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.RECOUNT_DAYS, {"days": days})
        cursor.execute(usage_sql.RECOUNT_COUNTERS, {"counters": counters})
    if standing:
        record_many([_voided(standing[0], livemode, actor, now)])
    return len(ids)


def _voided(event: UsageEvent, livemode: bool, actor: str, now: datetime) -> Fact:
    data = {"id": event.key, "event_name": event.event_name, "day": event.day.isoformat()}
    at = event.customer.on_clock(now)
    return Fact("usage.voided", event.customer_id, event.customer_id, livemode, actor, at, data)


def _open_from(event: UsageEvent, now: datetime) -> date:
    """The first day for which events are still taken. A customer with a test clock lives at its time."""
    customer = event.customer
    today = local_date(customer.on_clock(now), customer.timezone)
    given: Any = {"customer": _uuid(customer.pk), "meter": _uuid(event.meter_id), "today": today}
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.OPEN_FROM, {**given, "grace": settings.USAGE_GRACE_DAYS})
        return cursor.fetchone()[0]


def _held(statement: str, events: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"events": events})
        return [pk for (pk,) in cursor.fetchall()]


# -- Answering ----------------------------------------------------------------------------------------------


def current(customer: Customer, now: datetime, known: Mapping[str, Meter] | None = None) -> list[MeterUsage]:
    """Every meter of the customer's terms in the usage period that runs, and what else it used.

    Two queries; one where `known` holds the meters that come up, by id.
    """
    return current_of(moments={customer: now}, known=known).get(customer.pk, [])


def current_of(
    *, moments: Mapping[Customer, datetime], known: Mapping[str, Meter] | None = None
) -> dict[str, list[MeterUsage]]:
    """The same for many customers, each at its moment, by customer id; in as many queries."""
    with connection.cursor() as cursor:
        cursor.execute(*wanted(moments))
        rows = cursor.fetchall()
    missing = {f"meter_{row[1].hex}" for row in rows} - {*(known or {})}
    meters = {**(known or {}), **(Meter.objects.in_bulk(missing) if missing else {})}
    found: dict[str, list[MeterUsage]] = defaultdict(list)
    for customer, meter, *figures in rows:
        found[f"cus_{customer.hex}"].append(_meter_usage(meters[f"meter_{meter.hex}"], *figures))
    return found


def wanted(moments: Mapping[Customer, datetime]) -> bulk.Asked:
    """What has to be read for `current_of`, or for `told_of`."""
    days = [local_date(now, customer.timezone) for customer, now in moments.items()]
    return usage_sql.CURRENT, {"customers": [_uuid(each.pk) for each in moments], "todays": days}


def told_of(rows: Iterable[Sequence[Any]], known: Mapping[str, Meter]) -> list[MeterUsage]:
    """The use of one customer, from the rows that `bulk.tables` has read of what is `wanted`; `known` has every meter."""
    return [
        _meter_usage(
            known[f"meter_{UUID(meter).hex}"], Decimal(used), _decimal(limit), _decimal(included),
            date.fromisoformat(start), date.fromisoformat(end),
        )
        for _, meter, used, limit, included, start, end in rows
    ]  # fmt: skip


def _decimal(value: int | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _meter_usage(
    meter: Meter, used: Decimal, limit: Decimal | None, included: Decimal | None, start: date, end: date
) -> MeterUsage:
    percent = int((used * 100 / limit).to_integral_value(ROUND_DOWN)) if limit else None
    return MeterUsage(meter, used, limit, included, percent, Period(start, end))


def daily(customer: Customer, meter: Meter, start: date, end: date) -> list[tuple[date, Decimal]]:
    """The quantity of each local day in [start, end), days without use included."""
    given: Any = {"customer": _uuid(customer.pk), "meter": _uuid(meter.pk), "start": start, "end": end}
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.DAILY, given)
        return cursor.fetchall()


def quantity(customer: Customer | str, meter: Meter | str, start: date, end: date) -> Decimal:
    """What the meter measured in [start, end) of the customer's local days."""
    wanted = (_pk(customer), _pk(meter), start, end)
    return quantities([wanted])[wanted]


def fees(customer: Customer | str, price: pricing.Price, start: date, end: date) -> timeline.Fees:
    """What the single events in [start, end) of the customer's local days cost: one statement."""
    terms = price.per_transaction or pricing.PerTransaction()
    given: Any = {
        "customer": _uuid(_pk(customer)), "meter": _uuid(price.meter or ""), "start": start, "end": end,
        "rate": price.unit_amount, "fixed_amount": terms.fixed_amount, "minimum": terms.minimum,
        "maximum": terms.maximum, "free_events": terms.free_events, "free_amount": terms.free_amount,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.FEES, given)
        events, free, free_amount, hundredths = cursor.fetchone()
    scale = Fraction(10 ** exponent(price.currency), 100)
    return timeline.Fees(events, free, free_amount, Fraction(hundredths) * scale)


type Wanted = tuple[str, str, date, date]


def quantities(wanted: Iterable[Wanted]) -> dict[Wanted, Decimal]:
    """`quantity` of many (customer id, meter id, start, end) in one query."""
    asked = list(dict.fromkeys(wanted))
    rows = [
        {"n": n, "customer_id": _uuid(c), "meter_id": _uuid(m), "start_on": start, "end_on": end}
        for n, (c, m, start, end) in enumerate(asked)
    ]
    with connection.cursor() as cursor:
        cursor.execute(usage_sql.QUANTITIES, {"wanted": orjson.dumps(rows).decode()})
        return {asked[n]: used for n, used in cursor.fetchall()}


def _pk(row: Customer | Meter | str) -> str:
    return row if isinstance(row, str) else row.pk


def _uuid(public_id: str) -> UUID:
    return UUID(hex=public_id.partition("_")[2])
