"""Where the stand-in keeps its objects, answers, events and switches.

`SqliteStore(path)` is a file that several processes share and that survives their kills and the rollbacks of
Tandem's own database; `MemoryStore()` is the same on nothing but memory, for one process.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

Row = dict[str, Any]
LINKS = ("customer", "payment_intent", "charge")

SCHEMA = """
create table if not exists objects (
    seq integer primary key autoincrement, id text unique not null, kind text not null,
    created integer not null, customer text, payment_intent text, charge text, body text not null);
create index if not exists objects_kind on objects (kind, seq);
create index if not exists objects_customer on objects (customer, kind, seq);
create index if not exists objects_payment_intent on objects (payment_intent, kind, seq);
create table if not exists answers (
    key text primary key, request text not null, status integer not null, body text not null,
    created real not null);
create table if not exists deliveries (
    event text primary key, due real not null, attempts integer not null default 0);
create index if not exists deliveries_due on deliveries (due);
create table if not exists switches (name text primary key, value text not null);
"""


class Store(Protocol):
    """What `FakeStripe` needs: one exclusive transaction at a time, and these verbs inside or outside it."""

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def put(self, row: Row) -> None: ...
    def get(self, id: str) -> Row | None: ...
    def delete(self, id: str) -> None: ...
    def rows(self, kind: str, **where: Any) -> list[Row]: ...
    def answer(self, key: str) -> tuple[str, int, str, float] | None: ...
    def keep_answer(self, key: str, request: str, status: int, body: str, at: float) -> None: ...
    def forget_answers(self, before: float) -> None: ...
    def owe(self, event: str, due: float) -> None: ...
    def owed(self, until: float, limit: int) -> list[tuple[str, int]]: ...
    def postpone(self, event: str, due: float, attempts: int) -> None: ...
    def delivered(self, event: str) -> None: ...
    def switch(self, name: str) -> Any: ...
    def set_switch(self, name: str, value: Any) -> None: ...


@contextmanager
def transaction(store: Store) -> Iterator[None]:
    """All or nothing, one at a time."""
    store.begin()
    try:
        yield
    except BaseException:
        store.rollback()
        raise
    store.commit()


class SqliteStore:
    """A store in one SQLite file (write-ahead log: a killed process loses no finished call)."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._open().executescript(SCHEMA)
        # SQLite forbids carrying an open connection into a child, even to close it there.
        os.register_at_fork(before=self._close)

    def _close(self) -> None:
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
        self._local.connection = None

    def _open(self) -> sqlite3.Connection:
        """This thread's connection."""
        if getattr(self._local, "connection", None) is None:
            self._local.connection = self._connect()
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")
        return connection

    def _run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What the statement answers."""
        return self._open().execute(query, values).fetchall()

    def begin(self) -> None:
        self._run("begin immediate")

    def commit(self) -> None:
        self._run("commit")

    def rollback(self) -> None:
        self._run("rollback")

    def put(self, row: Row) -> None:
        """Insert or replace; a row keeps its place in the order of creation."""
        links = [row.get(link) if isinstance(row.get(link), str) else None for link in LINKS]
        self._run(
            "insert into objects (id, kind, created, customer, payment_intent, charge, body)"
            " values (?, ?, ?, ?, ?, ?, ?)"
            " on conflict (id) do update set customer = excluded.customer, body = excluded.body,"
            " payment_intent = excluded.payment_intent, charge = excluded.charge",
            [row["id"], row["object"], row.get("created", 0), *links, json.dumps(row)],
        )

    def get(self, id: str) -> Row | None:
        for (body,) in self._run("select body from objects where id = ?", [id]):
            return cast(Row, json.loads(body))
        return None

    def delete(self, id: str) -> None:
        self._run("delete from objects where id = ?", [id])

    def rows(self, kind: str, **where: Any) -> list[Row]:
        """Rows of a kind, newest first.

        `where`: a link, `since` and `until` (seconds), `after` and `before` (ids), `limit`.
        """
        parts: list[str] = ["kind = ?"]
        values: list[Any] = [kind]
        for name, value in where.items():
            if value is not None and name != "limit":
                parts.append(CONDITIONS[name])
                values.append(value)
        order = "asc" if where.get("before") else "desc"
        query = f"select body from objects where {' and '.join(parts)} order by seq {order} limit ?"  # noqa: S608
        found = self._run(query, [*values, where.get("limit") or -1])
        rows = [json.loads(body) for (body,) in found]
        return rows[::-1] if order == "asc" else rows

    def answer(self, key: str) -> tuple[str, int, str, float] | None:
        query = "select request, status, body, created from answers where key = ?"
        found = self._run(query, [key])
        return found[0] if found else None

    def keep_answer(self, key: str, request: str, status: int, body: str, at: float) -> None:
        self._run("insert or replace into answers values (?, ?, ?, ?, ?)", [key, request, status, body, at])

    def forget_answers(self, before: float) -> None:
        self._run("delete from answers where created < ?", [before])

    def owe(self, event: str, due: float) -> None:
        self._run("insert or ignore into deliveries (event, due) values (?, ?)", [event, due])

    def owed(self, until: float, limit: int) -> list[tuple[str, int]]:
        query = "select event, attempts from deliveries where due <= ? order by due, rowid limit ?"
        return self._run(query, [until, limit])

    def postpone(self, event: str, due: float, attempts: int) -> None:
        self._run("update deliveries set due = ?, attempts = ? where event = ?", [due, attempts, event])

    def delivered(self, event: str) -> None:
        self._run("delete from deliveries where event = ?", [event])

    def switch(self, name: str) -> Any:
        found = self._run("select value from switches where name = ?", [name])
        return json.loads(found[0][0]) if found else None

    def set_switch(self, name: str, value: Any) -> None:
        self._run("insert or replace into switches values (?, ?)", [name, json.dumps(value)])


CONDITIONS = {
    "customer": "customer = ?",
    "payment_intent": "payment_intent = ?",
    "charge": "charge = ?",
    "since": "created >= ?",
    "until": "created <= ?",
    "after": "seq < (select seq from objects where id = ?)",
    "before": "seq > (select seq from objects where id = ?)",
}


class MemoryStore(SqliteStore):
    """The same store without a file: one connection that the threads of this process take in turns."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        super().__init__(":memory:")

    def _open(self) -> sqlite3.Connection:
        if not hasattr(self, "_shared"):
            self._shared = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        return self._shared

    def _close(self) -> None:
        """Memory belongs to this process; a child gets a copy of its own."""

    def _run(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Nobody reads in the middle of another thread's transaction."""
        with self._lock:
            return super()._run(query, values)

    def begin(self) -> None:
        self._lock.acquire()
        try:
            super().begin()
        except BaseException:
            self._lock.release()
            raise

    def commit(self) -> None:
        super().commit()
        self._lock.release()

    def rollback(self) -> None:
        super().rollback()
        self._lock.release()
