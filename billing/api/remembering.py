"""Queries that are written out once: building one and writing its SQL takes longer than running it.

The query is made with a `Slot` where each value goes; its text is kept, and each connection plans it once
(`billing.prepared`).
"""

from collections.abc import Mapping
from copy import copy
from typing import Any

from django.db import connection
from django.db.models import Expression, Model, QuerySet
from psycopg import sql

from billing import prepared


class Slot(Expression):
    """Where a value goes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", (self,)


class Remembered:
    """A query whose SQL is written. Raises EmptyResultSet where it can find nothing."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        self.rows = rows
        self.compiler = rows.query.get_compiler(connection=connection)
        text, params = self.compiler.as_sql()
        self.converters = self.compiler.get_converters([column for column, *_ in self.compiler.select])
        self.names = [param.name for param in params if isinstance(param, Slot)]
        written = tuple("%s" if isinstance(param, Slot) else _literal(param) for param in params)
        self.text = text.replace("%%", "%%%%") % written

    def fetch(self, values: Mapping[str, Any]) -> list[Any]:
        """The rows for these values; a row stands for its key, as in any filter."""
        with prepared.cursor() as cursor:
            found = cursor.execute(self.text, [_sent(values[name]) for name in self.names]).fetchall()
        compiler = copy(self.compiler)
        compiler.connection, compiler.execute_sql = connection, lambda **_: [found]
        compiler.get_converters = lambda _: self.converters
        rows: Any = self.rows.all()
        rows.query.get_compiler = lambda **_: compiler
        return list(rows)


def _literal(value: Any) -> str:
    """Doubled, a % stays one when the text is run."""
    return sql.Literal(value).as_string(connection.connection).replace("%", "%%")


def _sent(value: Any) -> Any:
    return value._meta.pk.get_db_prep_value(value.pk, connection) if isinstance(value, Model) else value
