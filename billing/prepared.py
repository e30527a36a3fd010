"""Statements that each connection plans once, for the few that run with every request.

Django's own cursors put values into the text of a statement and have it planned each time. That costs more than
running a short statement, and several milliseconds for a long one.

Behind a pooler each transaction may have another session of the server. Nothing that a session keeps is ours then:
statements are planned each time, nothing is remembered, and Django reads long results without cursors of the server.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections

# More than there are: psycopg would keep a hundred, and drop one for the next in two more messages.
MOST = 500


def cursor() -> Any:
    """A cursor for `with`; logged and counted like every other."""
    ours: Any = connections[DEFAULT_DB_ALIAS]  # once: `connection` looks it up for each attribute
    raw = _connected(ours)
    raw.prepare_threshold, raw.prepared_max = None if behind_a_pooler(ours) else 0, MOST
    return ours._prepare_cursor(_Cursor(raw))


class _Cursor(psycopg.RawCursor[Any]):
    """Takes `%s` and `%(name)s` like every other, but looks once where they stand: psycopg looks each time in a statement
    of more than 4 KiB, which takes longer than sending it."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if params is None:
            return super().execute(query, **options)
        statement, names = numbered(query)
        values = [params[name] for name in names] if isinstance(params, Mapping) else params
        return super().execute(statement, values, **options)


_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|[s%])")


@lru_cache(maxsize=1000)
def numbered(statement: str) -> tuple[bytes, list[str]]:
    """The statement with `$1`, `$2`, … in place of `%s`, and which name each stands for."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] is None or found[1] not in names:
            names.append(found[1] or "")
            return f"${len(names)}"
        return f"${names.index(found[1]) + 1}"

    return _PLACEHOLDER.sub(number, statement).encode(), names


def _connected(ours: Any = connection) -> psycopg.Connection[Any]:
    _see_that_it_lives(ours)
    ours.ensure_connection()
    return cast("psycopg.Connection[Any]", ours.connection)


def _see_that_it_lives(kept: Any) -> None:
    """A server that went away has closed its end of a kept connection. Django finds out by a statement of its own in
    each request; the socket says it without one."""
    if kept.connection is None or kept.health_check_done or kept.in_atomic_block:
        return
    try:
        kept.connection.pgconn.consume_input()  # perhaps the server's last words,
        kept.connection.pgconn.consume_input()  # and that nothing follows
    except psycopg.OperationalError:
        kept.close()
    kept.health_check_done = True


# -- Whose the session is ---------------------------------------------------------------------------------


def behind_a_pooler(ours: Any = connection) -> bool:
    """By Django's own setting for it, which an operator may give, and which `look_for_a_pooler` gives."""
    return bool(ours.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def look_for_a_pooler(*, connection: Any, **_: Any) -> None:
    """Of a new connection (Django's `connection_created`): the server says which of its processes answers, and when the
    connection was opened it said which one is ours. A pooler gives its clients a number of its own making."""
    raw = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw) as asking:
        answering = asking.execute("select pg_backend_pid()").fetchone()
    if answering != (raw.info.backend_pid,):
        connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True


# -- What a connection remembers ----------------------------------------------------------------------------

type Known = dict[Any, Any]
_known: WeakKeyDictionary[psycopg.Connection[Any], dict[str, Known]] = WeakKeyDictionary()


def can_be_told() -> bool:
    """Whether a NOTIFY reaches this connection: not inside a transaction, and not through a pooler."""
    return not (connection.in_atomic_block or behind_a_pooler())


def until_told(channel: str) -> Known:
    """What this connection remembers until somebody notifies the channel (NOTIFY reaches whoever listens, when it is
    committed). Where nobody can tell it, nothing is remembered."""
    if not can_be_told():
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
