"""Usage from a file: CSV with a header, or one JSON object in each line. A job takes it in piece by piece.

Each piece and its progress are one transaction, so a job that is killed goes on where it stopped, and the ids of
the events make a piece that was sent before count once.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import batched, islice
from typing import Any, NamedTuple

import orjson
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from billing import json_names, metering
from billing.delimited import UnreadableFile, rows, text_of
from billing.models import UsageImport
from billing.usage_input import Bad, Rejection

# A customer's totals are written once in each piece; while that is done, other usage of the same customers waits.
PIECE = 20_000
AT_ONCE = 1_000  # of a piece; it divides it
MOST_LINES = 1_000_000
ERRORS_KEPT = 1_000
OWN = ("id", "customer", "event_name", "timestamp", "replaces")
NEEDED = ("id", "customer", "event_name")


def take(*, content: bytes, format: str, livemode: bool, now: datetime, actor: str) -> UsageImport:
    """Keep the file and have a job read it. `format` is csv or jsonl. Raises UnreadableFile.

    CSV: columns id, customer, event_name, timestamp, replaces; every other column is a property of the event.
    """
    lines = sum(1 for _ in events(content, format))
    if not lines:
        raise UnreadableFile("The file has no events.", field="file")
    if lines > MOST_LINES:
        raise UnreadableFile(f"A file has at most {MOST_LINES:,} events.", field="file")
    with transaction.atomic():
        row = UsageImport.objects.create(
            content=content, format=format, livemode=livemode, lines=lines, actor=actor, created_at=now
        )
        async_task("billing.tasks.import_usage", row.pk)
    return row


def work(*, import_id: str) -> UsageImport:
    """Read on, to the end. May run twice, also at once: a piece is taken by who holds the row."""
    with _File(UsageImport.objects.get(pk=import_id)) as file:
        while (row := _piece(import_id, file)).status != UsageImport.Status.DONE:
            pass
    return row


class _Lot(NamedTuple):
    """`lines` has the line of each event."""

    lines: Sequence[int]
    events: metering.Lot


class _File(AbstractContextManager["_File"]):
    """Its events, read from the first to the last by a thread that is a piece ahead of who asks for them: some are read
    and judged while the database takes others."""

    def __init__(self, row: UsageImport) -> None:
        self.row, self.content, self.thread = row, bytes(row.content), ThreadPoolExecutor(1)
        self.ahead: deque[Future[_Lot]] = deque()
        self._begin(row.processed)

    def __exit__(self, *_: Any) -> None:
        self.thread.shutdown(cancel_futures=True)

    def piece(self, first: int) -> Iterator[_Lot]:
        """Somebody else may have taken what came next."""
        lot = self._next()
        while lot.lines and lot.events.first < first:
            lot = self._next()
        if lot.events.first != first:
            self._begin(first)
            lot = self._next()
        while lot.lines:
            yield lot
            if lot.events.first + AT_ONCE >= first + PIECE:
                return
            lot = self._next()

    def _next(self) -> _Lot:
        self.ahead.append(self.thread.submit(self._read))
        return self.ahead.popleft().result()

    def _begin(self, first: int) -> None:
        for waiting in self.ahead:
            waiting.result()
        self.events, self.at = islice(events(self.content, self.row.format), first, None), first
        self.ahead = deque(self.thread.submit(self._read) for _ in range(PIECE // AT_ONCE))

    def _read(self) -> _Lot:
        found, first = list(islice(self.events, AT_ONCE)), self.at
        self.at += len(found)
        return _Lot([line for line, _ in found], metering.prepare([event for _, event in found], first))


@transaction.atomic
def _piece(import_id: str, file: _File) -> UsageImport:
    """The next events of the file, and how far it has come."""
    row = UsageImport.objects.select_for_update().defer("content").get(pk=import_id)
    if row.status == UsageImport.Status.DONE:
        return row
    now = timezone.now()
    lines: list[int] = []
    done = metering.record_lots(
        lots=_counted(file.piece(row.processed), lines), livemode=row.livemode, now=now, actor=row.actor
    )
    row.errors = [*row.errors, *(_error(one, lines[one.index - row.processed]) for one in done.rejected)]
    row.errors = row.errors[:ERRORS_KEPT]
    row.processed += len(lines)
    row.accepted, row.duplicates = row.accepted + done.accepted, row.duplicates + done.duplicates
    row.rejected += len(done.rejected)
    row.status = UsageImport.Status.RUNNING
    if row.processed >= row.lines:
        row.status, row.finished_at, row.content = UsageImport.Status.DONE, now, b""
    row.save()  # the content only where it was dropped
    return row


def _counted(lots: Iterable[_Lot], lines: list[int]) -> Iterator[metering.Lot]:
    """What belongs to the events goes on; their lines stay here."""
    for lot in lots:
        lines += lot.lines
        yield lot.events


def _error(one: Rejection, line: int) -> dict[str, Any]:
    return {
        "line": line, "id": one.id and _storable(one.id), "code": one.code, "detail": _storable(one.detail),
    }  # fmt: skip


def _storable(text: str) -> str:
    """A line of JSON may write out the one character that the database does not keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


# -- Reading: pure ------------------------------------------------------------------------------------------


def events(content: bytes, format: str) -> Iterator[tuple[int, Any]]:
    """(line in the file, from 1, and the event, or a `Bad` that says why there is none). Raises UnreadableFile."""
    text = text_of(content)
    yield from _rows(text) if format == "csv" else _objects(text)


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    lines = ((number, line) for number, line in enumerate(text.encode().split(b"\n"), 1) if line.strip())
    for some in batched(lines, AT_ONCE):
        yield from zip((number for number, _ in some), _values([line for _, line in some]), strict=True)


def _values(lines: list[bytes]) -> Iterable[Any]:
    """Looked at together; where something is odd about one of them, each by itself."""
    try:
        values = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return map(_object, lines)
    return map(_object, lines) if json_names.may_come_twice(b"\n".join(lines), values) else values


def _object(line: bytes) -> Any:
    try:
        value = orjson.loads(line)
        if json_names.may_come_twice(line, value):
            json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return Bad("invalid_event")
    except Bad as bad:
        return bad
    return value


def _once(pairs: list[tuple[str, Any]]) -> None:
    if (twice := json_names.that_comes_twice(pairs)) is not None:
        raise Bad("duplicate_key", twice)


def _rows(text: str) -> Iterator[tuple[int, Any]]:
    for number, names, cells in rows(text, NEEDED):
        yield number, _event(names, cells)


def _event(names: list[str], cells: list[str]) -> dict[str, Any] | Bad:
    """`Bad` for a line with more cells than columns; empty cells say nothing."""
    if len(cells) > len(names):
        return Bad("invalid_event")
    given = {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""}
    event: dict[str, Any] = {name: given.pop(name) for name in OWN if name in given}
    return {**event, "properties": given} if given else event
