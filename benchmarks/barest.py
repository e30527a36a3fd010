"""The barest SQL that writes the rows which a deed wrote: found in the database, so that it cannot say less or more.

A row that a deed left behind is known by the transaction that wrote it, and how many it inserted, changed and took away
by PostgreSQL's own counts. What must be another each time (keys, addresses, numbers) is marked in the texts of its
values and replaced; the rest is sent as it was found.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection

type Row = dict[str, str | None]
type Counts = dict[str, tuple[int, int, int]]

_COUNTS = """
select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where schemaname = 'public'
"""
_COLUMNS = """
select attname, format_type(atttypid, case when atttypid = 'varchar'::regtype then -1 else atttypmod end)
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum
"""


def ask(sql: str, given: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return list(cursor.fetchall())


# -- What a deed wrote ----------------------------------------------------------------------------------


def written(deed: Callable[[], Any]) -> dict[str, list[Row]]:
    """By table, the rows that the deed inserted or changed, their values as PostgreSQL writes them."""
    [(before,)] = ask("select pg_current_xact_id()::text::bigint")
    deed()
    found = {table: _since(table, before) for (table, *_) in ask(_COUNTS)}
    return {table: rows for table, rows in found.items() if rows}


def _since(table: str, transaction: int) -> list[Row]:
    names = [name for name, _ in columns(table)]
    texts = ", ".join(f'"{name}"::text' for name in names)
    rows = ask(f"select {texts} from {table} where xmin::text::bigint > %s order by ctid", [transaction])
    return [dict(zip(names, row, strict=True)) for row in rows]


def columns(table: str) -> list[tuple[str, str]]:
    """Name and type of each that is written."""
    return [(name, kind) for name, kind in ask(_COLUMNS, [table])]


def counted(deed: Callable[[], Any]) -> Counts:
    """How many rows the deed inserted, changed and took away in each table, those of triggers with them."""
    before = _counts()
    deed()
    after = _counts()
    grown = {t: tuple(b - a for a, b in zip(before[t], after[t], strict=True)) for t in after}
    return {table: grown[table] for table in sorted(grown) if any(grown[table])}  # type: ignore[misc]


def _counts() -> Counts:
    ask("select pg_stat_force_next_flush()")
    return {table: (new, changed, gone) for table, new, changed, gone in ask(_COUNTS)}


# -- Values that are others each time -------------------------------------------------------------------


class Marks:
    """Finds in texts what must be another each time; `{n}` stands for the nth of them."""

    def __init__(self, also: Iterable[str], pattern: str) -> None:
        """`also`: texts, longest first; `pattern`: what they look like that are numbered through."""
        self.at: dict[str, int] = {}
        self.also, self.pattern = list(also), re.compile(pattern)

    def key(self, text: str) -> None:
        """A key of a new row, as a UUID is written here and there."""
        self.also += [text, UUID(text).hex]

    def parts(self, text: str) -> list[str | int]:
        """The text in pieces, those that change by their number."""
        wanted = "|".join([*map(re.escape, self.also), self.pattern.pattern])
        pieces: list[str | int] = []
        end = 0
        for found in re.finditer(wanted, text):
            pieces += [text[end : found.start()], self.at.setdefault(found[0], len(self.at))]
            end = found.end()
        return [piece for piece in [*pieces, text[end:]] if piece != ""]


@dataclass(slots=True)
class Prepared:
    """One statement, planned by the connection, and its values in pieces."""

    name: bytes
    values: list[list[str | int] | None]

    def run(self, others: Sequence[str]) -> None:
        """With other texts for the marks, in their order."""
        self._send([None if value is None else _joined(value, others).encode() for value in self.values])

    def answer(self, given: Sequence[str]) -> list[str]:
        """The only row for these values."""
        found = self._send([value.encode() for value in given])
        return [found.get_value(0, n).decode() for n in range(found.nfields)]

    def _send(self, given: list[bytes | None]) -> Any:
        found = connection.connection.pgconn.exec_prepared(self.name, given)
        if found.error_message:
            raise RuntimeError(found.error_message.decode())
        return found


def _joined(pieces: list[str | int], others: Sequence[str]) -> str:
    return "".join([piece if isinstance(piece, str) else others[piece] for piece in pieces])


class Writer:
    """Writes statements out of rows, with a place for each value."""

    def __init__(self, marks: Marks) -> None:
        self.marks, self.values = marks, list[list[str | int] | None]()

    def place(self, kind: str, text: str | None) -> str:
        self.values.append(None if text is None else self.marks.parts(text))
        return f"${len(self.values)}::{kind}"

    def insert(self, table: str, rows: Sequence[Row], given: Mapping[tuple[str, str], str]) -> str:
        """`given`: SQL for the values that another part of the statement has. A key that the database numbers is left
        to it."""
        kinds = [(name, kind) for name, kind in columns(table) if name not in numbered(table)]
        lines = [
            ", ".join(given.get((table, name)) or self.place(kind, row[name]) for name, kind in kinds)
            for row in rows
        ]
        names, lists = ", ".join(f'"{name}"' for name, _ in kinds), "), (".join(lines)
        return f"insert into {table} ({names}) values ({lists})"

    def update(self, table: str, row: Row, names: Iterable[str], where: str, value: str) -> str:
        kinds = dict(columns(table))
        setting = ", ".join(f'"{name}" = {self.place(kinds[name], row[name])}' for name in names)
        return f"update {table} set {setting} where {where} = {self.place(kinds[where], value)}"

    def prepared(self, name: str, sql: str) -> Prepared:
        answer = connection.connection.pgconn.prepare(name.encode(), sql.encode())
        if answer.error_message:
            raise RuntimeError(f"{answer.error_message.decode()}\n{sql}")
        made, self.values = Prepared(name.encode(), self.values), []
        return made


def numbered(table: str) -> set[str]:
    """The columns that the database numbers."""
    rows = ask(
        "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s"
        " and (is_identity = 'YES' or column_default like 'nextval%%')",
        [table],
    )
    return {name for (name,) in rows}


def referring(tables: Iterable[str], to: str) -> list[tuple[str, str]]:
    """The columns of these tables that name rows of another."""
    return [
        (model._meta.db_table, str(field.column))
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.remote_field
        and model._meta.db_table in set(tables)
        and field.remote_field.model._meta.db_table == to
    ]
