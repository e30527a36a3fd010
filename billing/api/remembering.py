"""Queries that are written out once: building one and writing its SQL takes longer than running it.

The query is made with a `Slot` where each value goes; its text is kept, and each connection plans it once
(`billing.prepared`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import orjson
from django.db import connection
from django.db.models import Expression, JSONField, ManyToOneRel, Model, QuerySet
from psycopg import sql

from billing import prepared
from billing.models.ids import array_of


class Slot(Expression):
    """Where a value goes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", (self,)


class Remembered:
    """A query whose SQL is written, and that of what it prefetches: rows that name those which it finds.

    Raises EmptyResultSet where it can find nothing.
    """

    def __init__(self, rows: QuerySet[Any]) -> None:
        self.rows = rows.prefetch_related(None)
        self.brought = [_Brought(rows.model, name) for name in rows._prefetch_related_lookups]  # type: ignore[attr-defined]
        self.compiler = rows.query.get_compiler(connection=connection)
        text, params = self.compiler.as_sql()
        self.converters = _quick(
            self.compiler.get_converters([column for column, *_ in self.compiler.select])
        )
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
        made = list(rows)
        for brought in self.brought if made else ():
            brought.to(made)
        return made


class _Brought:
    """Rows that name others, found for all of these at once."""

    def __init__(self, model: type[Model], name: str) -> None:
        relation: Any = model._meta.get_field(name)
        if not isinstance(relation, ManyToOneRel):
            raise TypeError(f"{name} is no row that names a {model.__name__}.")
        self.name, self.field, self.model = relation.cache_name, relation.field, relation.related_model
        wanted = {f"{self.field.name}__pk__any": Slot("parents")}
        self.known = Remembered(relation.related_model._default_manager.filter(**wanted))

    def to(self, parents: Sequence[Model]) -> None:
        """Where Django looks for what was prefetched."""
        of: dict[Any, list[Model]] = defaultdict(list)
        by_id = {parent.pk: parent for parent in parents}
        for row in self.known.fetch({"parents": array_of(by_id)}):
            key = getattr(row, self.field.attname)
            self.field.set_cached_value(row, by_id[key])
            of[key].append(row)
        for parent in parents:
            rows: Any = self.model._default_manager.all()
            rows._result_cache, rows._prefetch_done = of[parent.pk], True
            parent.__dict__.setdefault("_prefetched_objects_cache", {})[self.name] = rows


def _quick(converters: dict[int, Any]) -> dict[int, Any]:
    """With the quickest reader of JSON in the place of the field's own, where nothing else is asked of the field."""
    for at, (_, column) in converters.items():
        if getattr(column, "target", None).__class__ is JSONField:
            converters[at] = ([_read_json], column)
    return converters


def _read_json(value: str | None, expression: Any, connection: Any) -> Any:
    return None if value is None else orjson.loads(value)


def _literal(value: Any) -> str:
    """Doubled, a % stays one when the text is run."""
    return sql.Literal(value).as_string(connection.connection).replace("%", "%%")


def _sent(value: Any) -> Any:
    return value._meta.pk.get_db_prep_value(value.pk, connection) if isinstance(value, Model) else value
