"""Statements that each connection plans once, for the few that run with every request.

Django's own cursors put values into the text of a statement and have it planned each time. That costs more than
running a short statement, and several milliseconds for a long one. A pooler in front of the database must pass
prepared statements through (PgBouncer 1.21 and later do).
"""

from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection


def cursor() -> Any:
    """A cursor for `with`; logged and counted like every other."""
    raw = _connected()
    raw.prepare_threshold = 0
    return connection._prepare_cursor(psycopg.Cursor(raw))  # type: ignore[attr-defined]


def _connected() -> psycopg.Connection[Any]:
    _see_that_it_lives()
    connection.ensure_connection()
    return connection.connection


def _see_that_it_lives() -> None:
    """A server that went away has closed its end of a kept connection. Django finds out by a statement of its own in
    each request; the socket says it without one."""
    kept: Any = connection
    if kept.connection is None or kept.health_check_done or kept.in_atomic_block:
        return
    try:
        kept.connection.pgconn.consume_input()  # perhaps the server's last words,
        kept.connection.pgconn.consume_input()  # and that nothing follows
    except psycopg.OperationalError:
        kept.close()
    kept.health_check_done = True


# -- What a connection remembers ----------------------------------------------------------------------------

type Known = dict[Any, Any]
_known: WeakKeyDictionary[psycopg.Connection[Any], dict[str, Known]] = WeakKeyDictionary()


def until_told(channel: str) -> Known:
    """What this connection remembers until somebody notifies the channel (NOTIFY reaches whoever listens, when it is
    committed). Inside a transaction nothing is remembered."""
    if connection.in_atomic_block:
        return {}
    raw = _connected()
    known = _known.setdefault(raw, {})
    if channel not in known:
        _listen(raw, channel, known)
    _hear(raw, known)
    return known[channel]


def _listen(raw: psycopg.Connection[Any], channel: str, known: dict[str, Known]) -> None:
    def hear(told: psycopg.Notify) -> None:
        known.get(told.channel, {}).clear()

    with cursor() as listening:
        listening.execute(f"listen {channel}")
    known[channel] = {}
    raw.add_notify_handler(hear)


def _hear(raw: psycopg.Connection[Any], known: dict[str, Known]) -> None:
    """What has come in since the last statement; what comes with one, `hear` is told of."""
    raw.pgconn.consume_input()
    while told := raw.pgconn.notifies():
        known.get(told.relname.decode(), {}).clear()
