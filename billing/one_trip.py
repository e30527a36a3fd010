"""A statement in a transaction of its own, in one round trip.

BEGIN, the statement and COMMIT are sent together (in a pipeline of libpq's), so that the transaction costs no waiting of
its own. A statement may find that more belongs into its transaction. It says so by `UNFINISHED`; the transaction is then
left open behind it, and is committed like any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection
from psycopg import errors, generators, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Ready, Wait

from billing import prepared

# What a statement selects to have its transaction left open. It is forgotten at the end of the transaction.
UNFINISHED = "set_config('tandem.unfinished', 'yes', true)"

# The look at it fails for the text, and what was sent behind a failure is passed over: COMMIT too. The savepoint keeps
# what the statement did.
_BEGIN, _KEEP, _COMMIT = b"begin", b"savepoint unfinished", b"commit"
_LOOK = b"select nullif(current_setting('tandem.unfinished', true), '')::int"
_GO_ON = b"rollback to savepoint unfinished; release savepoint unfinished"

_OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


def cursor() -> Any:
    """A cursor for `with` in an outermost `transaction.atomic`, for its first statement, which answers one row.

    Outside of one nothing would commit what is left open. Behind a pooler, where a session keeps no statements, it is a
    cursor like every other.
    """
    if prepared.behind_a_pooler(connection):
        return prepared.cursor()
    raw = connection.connection
    if not connection.in_atomic_block or raw.info.transaction_status is not pq.TransactionStatus.IDLE:
        raise RuntimeError("This is for the first statement of an outermost transaction.")
    return connection._prepare_cursor(_Cursor(raw))  # type: ignore[attr-defined]


class _Cursor:
    # Django's log of statements asks psycopg's cursors for theirs; this one has what Django gave it.
    _query = None

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw
        self._values = Transformer(raw)
        self._row: tuple[Any, ...] | None = None

    def execute(self, statement: str, params: Mapping[str, Any]) -> None:
        numbered, names = prepared.numbered(statement)
        values = self._values.dump_sequence([params[name] for name in names], [PyFormat.TEXT] * len(names))
        answer = _in_one_trip(self._raw, numbered, values)
        self._values.set_pgresult(answer)
        self._row = self._values.load_row(0, tuple)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row

    def close(self) -> None:
        self._row = None


def _in_one_trip(raw: psycopg.Connection[Any], statement: bytes, values: Sequence[Any]) -> Any:
    """What the statement answers; committed, or left open because it said so. Raises psycopg's errors."""
    begun, answer, kept, looked, committed = _sent(
        raw, [(_BEGIN, ()), (statement, values), (_KEEP, ()), (_LOOK, ()), (_COMMIT, ())]
    )
    for result in (begun, answer, kept):
        _see_to(raw, result)
    if looked.error_field(pq.DiagnosticField.SQLSTATE) == b"22P02":
        raw.pgconn.send_query(_GO_ON)
        for result in raw.wait(generators.execute(raw.pgconn)):
            _see_to(raw, result)
    else:
        _see_to(raw, looked)
        _see_to(raw, committed)
    return answer


def _see_to(raw: psycopg.Connection[Any], result: Any) -> None:
    if result.status in _OK:
        return
    if raw.pgconn.status == pq.ConnStatus.BAD and not result.error_field(pq.DiagnosticField.SQLSTATE):
        # libpq's own words for a lost connection. psycopg knows an error's kind by the server's code alone.
        raise psycopg.OperationalError(result.get_error_message(raw.info.encoding))
    raise errors.error_from_result(result, raw.info.encoding)


def _sent(raw: psycopg.Connection[Any], statements: Sequence[tuple[bytes, Sequence[Any]]]) -> list[Any]:
    """The result of each. A connection on which that breaks off is closed: nobody knows what of it was heard."""
    names = [_name(raw, statement) for statement, _ in statements]
    try:
        raw.pgconn.enter_pipeline_mode()
        for name, (_, values) in zip(names, statements, strict=True):
            raw.pgconn.send_query_prepared(name, values)
        raw.pgconn.pipeline_sync()
        results = raw.wait(_answers(raw.pgconn, len(names)))
        raw.pgconn.exit_pipeline_mode()
    except BaseException:
        raw.close()
        raise
    return results


def _answers(pgconn: Any, count: int) -> Any:
    """A generator for psycopg to wait with: sends what is to be sent, answers `count` results."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    results = []
    for _ in range(count):
        results += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)  # the end of the pipeline
    if len(results) != count:
        raise psycopg.OperationalError("The connection was lost before all was answered.")
    return results


_names: WeakKeyDictionary[psycopg.Connection[Any], dict[bytes, bytes]] = WeakKeyDictionary()


def _name(raw: psycopg.Connection[Any], statement: bytes) -> bytes:
    """Under which this connection has it planned."""
    known = _names.setdefault(raw, {})
    if statement not in known:
        name = b"one_trip_%d" % len(known)
        result = raw.pgconn.prepare(name, statement)
        _see_to(raw, result)
        known[statement] = name
    return known[statement]
