"""A chain of hashes over facts, so that a change made past the guards (by the tables' owner, in a dump, on a disk) is
seen, and where.

Every hour the facts that have come since become a link: the hash of each, and a digest of these and of the digest before.
Nobody waits for it and nothing is written with a fact. Whoever can change facts can make the whole chain anew, so a head
(`NUMBER:DIGEST`) is logged with each link and belongs somewhere else: `manage.py verify_facts --kept` asks for it again.

What an erasure changes is said by the database in an amendment, which is chained as well. What is removed for its age
leaves its hash behind.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.db import IntegrityError, connection, transaction

from billing.models import EventAmendment, EventDigest, RetentionRule

log = logging.getLogger(__name__)
# Facts in a link: 400 kB of hashes.
AT_MOST = 10_000
# Seconds to wait for who was writing facts when the run began; it is tried again in an hour.
PATIENCE = 60.0
NUMBER, HASH = 8, 32
# What there is before the first link.
NOTHING = EventDigest(number=0, up_to=0, amended_up_to=0, entries=b"", digest="")
type Hashes = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Horizon:
    """Numbers up to which everything that will ever be there is there: of facts, and ids of their amendments."""

    facts: int
    amendments: int


def head() -> EventDigest:
    """The last link, or what is before the first."""
    return EventDigest.objects.defer("entries").order_by("number").last() or NOTHING


# -- Making it ------------------------------------------------------------------------------------------------


def extend(*, now: datetime, patience: float = PATIENCE) -> int:
    """Chain what was committed since the last link; answers the number of the last. Two that do it at once make each link
    once. patience: seconds to wait for who is writing facts."""
    until = settled(patience)
    while until and _link(until, now):
        pass
    return head().number


def settled(patience: float) -> Horizon | None:
    """Everybody who may have taken a number up to these has ended. None when that takes longer.

    Numbers are given before their facts are committed, in any order, so the last one that is seen says nothing. Who
    has taken one holds the table's lock for writers until the end; only those of now are waited for.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LAST_NUMBERS)
        until = Horizon(*cursor.fetchone())
    end, writing = time.monotonic() + patience, _writers()
    while writing := writing & _writers():
        if time.monotonic() > end:
            return None
        time.sleep(0.05)
    return until


_LAST_NUMBERS = """
select coalesce(pg_sequence_last_value(pg_get_serial_sequence('billing_event', 'number')::regclass), 0),
       coalesce(pg_sequence_last_value(pg_get_serial_sequence('billing_eventamendment', 'id')::regclass), 0)
"""
_WRITERS = """
select virtualtransaction from pg_locks where locktype = 'relation' and relation = 'billing_event'::regclass
    and database = (select oid from pg_database where datname = current_database())
    and mode = 'RowExclusiveLock' and pid is distinct from pg_backend_pid()
"""


def _writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return {row[0] for row in cursor.fetchall()}


def _link(until: Horizon, now: datetime) -> bool:
    """Whether there was something to chain, and nobody else did it."""
    before = head()
    facts = list(_facts(before.up_to, until.facts, AT_MOST))
    amended = _amended_between(before.amended_up_to, until.amendments)
    if not facts and not amended:
        return False
    link = EventDigest(
        number=before.number + 1, entries=b"".join(number.to_bytes(NUMBER) + said for number, said, _ in facts),
        up_to=facts[-1][0] if len(facts) == AT_MOST else until.facts,
        amended_up_to=until.amendments,
        since=facts[0][2] if facts else None, made_at=now,
    )  # fmt: skip
    link.digest = _digest(before, link, amended)
    try:
        with transaction.atomic():
            link.save(force_insert=True)
    except IntegrityError:
        return False
    log.info("facts: %s", link)
    return True


def _facts(after: int, up_to: int, most: int | None = None) -> Iterable[tuple[int, bytes, datetime]]:
    """(number, hash, when it was recorded) of those that are there now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select number, tandem_fact_hash(e), recorded_at from billing_event e where number > %s and number <= %s"
            " order by number limit %s",
            [after, up_to, most],
        )
        return [(number, bytes(said), at) for number, said, at in cursor.fetchall()]


def _amended_between(after: int, up_to: int) -> list[EventAmendment]:
    return list(EventAmendment.objects.filter(id__gt=after, id__lte=up_to).order_by("id"))


def _digest(before: EventDigest, link: EventDigest, amended: Iterable[EventAmendment]) -> str:
    whole = sha256(before.digest.encode())
    for number in (link.number, link.up_to, link.amended_up_to):
        whole.update(number.to_bytes(NUMBER))
    whole.update(link.entries)
    for row in amended:
        whole.update(row.event.to_bytes(NUMBER) + row.before + row.after)
    return whole.hexdigest()


# -- Asking it ------------------------------------------------------------------------------------------------


def differences(*, share: int | None = None, of: int = 1) -> Iterator[str]:
    """What is not as it was chained, the first place first. share: only links whose number divided by `of` leaves it."""
    amendments = _amendments()
    removed_before = (
        RetentionRule.objects.filter(kind="events").values_list("removed_before", flat=True).first()
    )
    before = NOTHING
    for link in EventDigest.objects.order_by("number").iterator(chunk_size=1):
        if link.number != before.number + 1:
            yield f"links {before.number + 1} to {link.number - 1} are gone"
        elif share is None or link.number % of == share:
            amended = _amended_between(before.amended_up_to, link.amended_up_to)
            if link.digest != _digest(before, link, amended):
                yield f"link {link.number}, of facts {before.up_to + 1} to {link.up_to}, was changed"
            past = bool(link.since and removed_before and link.since < removed_before)
            yield from _changed(before.up_to, link, amendments, past)
        before = link


def _changed(
    after: int, link: EventDigest, amendments: dict[tuple[int, bytes], bytes], past: bool
) -> Iterator[str]:
    """What became of the facts of a link. past: its first ones were removed for their age."""
    then = _entries(bytes(link.entries))
    now = {number: said for number, said, _ in _facts(after, link.up_to)}
    for number in sorted(then.keys() | now.keys()):
        if number not in then:
            yield f"fact {number} was put in later"
        elif number not in now:
            if not past:
                yield f"fact {number} is gone"
        elif now[number] != _amended(number, then[number], amendments):
            yield f"fact {number} was changed"


def _entries(stored: bytes) -> Hashes:
    size = NUMBER + HASH
    return {
        int.from_bytes(stored[at : at + NUMBER]): stored[at + NUMBER : at + size]
        for at in range(0, len(stored), size)
    }


def _amendments() -> dict[tuple[int, bytes], bytes]:
    rows = EventAmendment.objects.order_by("id").values_list("event", "before", "after")
    return {(number, bytes(before)): bytes(after) for number, before, after in rows}


def _amended(number: int, said: bytes, amendments: dict[tuple[int, bytes], bytes]) -> bytes:
    """What it says after all erasures."""
    seen = set()
    while said not in seen and (number, said) in amendments:
        seen.add(said)
        said = amendments[number, said]
    return said


def holds(kept: str) -> bool:
    """Whether the chain still has a head that was kept elsewhere, `NUMBER:DIGEST`."""
    number, _, digest = kept.partition(":")
    return number.isdecimal() and EventDigest.objects.filter(number=int(number), digest=digest).exists()
