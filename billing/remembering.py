"""Queries that are written out once: building one and writing its SQL takes longer than running it.

The query is made with a `Slot` where each value goes; its text is kept, and each connection plans it once
(`billing.prepared`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from django.db import connection
from django.db.models import Expression, JSONField, ManyToOneRel, Model, QuerySet
from django.db.models.query import get_related_populators
from psycopg import sql

from billing import bulk, prepared
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
        compiler = rows.query.get_compiler(connection=connection)
        self.text, self.names = _written(compiler)
        self.made = _Made(self.rows, compiler)

    def fetch(self, values: Mapping[str, Any]) -> list[Any]:
        """The rows for these values; a row stands for its key, as in any filter."""
        made = self.made.of(_run(self.text, self.names, values))
        for brought in self.brought if made else ():
            brought.to(made)
        return made


class RememberedValues:
    """The same of a `values_list`: its rows are tuples."""

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        compiler = rows.query.get_compiler(connection=connection)
        self.text, self.names = _written(compiler)
        self.columns = _Columns(compiler)

    def fetch(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return list(self.columns.converted(_run(self.text, self.names, values)))


class RememberedSQL:
    """A statement of our own that answers rows of a model, with `{columns}` where its columns go."""

    def __init__(self, model: type[Model], text: str) -> None:
        rows = model._base_manager.order_by()
        compiler = rows.query.get_compiler(connection=connection)
        compiler.as_sql()
        names = [connection.ops.quote_name(column.target.column) for column, *_ in compiler.select]
        self.text, self.made = text.replace("{columns}", ", ".join(names)), _Made(rows, compiler)

    def fetch(self, values: Sequence[Any]) -> list[Any]:
        with prepared.cursor() as cursor:
            found = cursor.execute(self.text, values).fetchall()
        return self.made.of(found)


class RememberedTables:
    """`bulk.read` of queries whose SQL is written once."""

    def __init__(self, *wanted: QuerySet[Any]) -> None:
        written = [_written(q.query.get_compiler(connection=connection, elide_empty=False)) for q in wanted]
        self.models = [rows.model for rows in wanted]
        self.text = bulk.reading([text for text, _ in written])
        self.names = [name for _, names in written for name in names]

    def fetch(self, values: Mapping[str, Any]) -> list[list[Any]]:
        [found] = _run(self.text, self.names, values)
        return bulk.instances(self.models, found)


def _written(compiler: Any) -> tuple[str, list[str]]:
    """The query's text with a place for the value of each `Slot`, and their names."""
    text, params = compiler.as_sql()
    names = [param.name for param in params if isinstance(param, Slot)]
    written = tuple("%s" if isinstance(param, Slot) else _literal(param) for param in params)
    return text.replace("%%", "%%%%") % written, names


def _run(text: str, names: Sequence[str], values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with prepared.cursor() as cursor:
        found: list[tuple[Any, ...]] = cursor.execute(
            text, [_sent(values[name]) for name in names]
        ).fetchall()
    return found


class _Columns:
    """What a statement answers, as the fields of its columns have it."""

    def __init__(self, compiler: Any) -> None:
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        self.converters = [(at, _converter(*how)) for at, how in converters.items()]

    def converted(self, found: Sequence[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
        """Column by column."""
        columns: list[Iterable[Any]] = list(zip(*found, strict=True))
        for at, converted in self.converters if columns else ():
            columns[at] = converted(columns[at])
        return zip(*columns, strict=True)


class _Made:
    """Instances of what a statement answers, as Django makes them."""

    def __init__(self, rows: QuerySet[Any], compiler: Any) -> None:
        info, select = compiler.klass_info, compiler.select
        self.own = slice(info["select_fields"][0], info["select_fields"][-1] + 1)
        names = [column.target.attname for column, *_ in select[self.own]]
        mode = rows._fetch_mode  # type: ignore[attr-defined]
        self.new = partial(info["model"].from_db, rows.db, names, fetch_mode=mode)
        self.related = get_related_populators(info, select, rows.db, mode)  # type: ignore[attr-defined]
        self.annotations = list((compiler.annotation_col_map or {}).items())
        self.columns = _Columns(compiler)

    def of(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        return [self._one(row) for row in self.columns.converted(found)]

    def _one(self, row: tuple[Any, ...]) -> Any:
        made = self.new(row[self.own])
        for related in self.related:
            related.populate(row, made)
        for name, at in self.annotations:
            setattr(made, name, row[at])
        return made


class _Brought:
    """Rows that name others, found for all of these at once."""

    def __init__(self, model: type[Model], name: str) -> None:
        relation: Any = model._meta.get_field(name)
        if not isinstance(relation, ManyToOneRel):
            raise TypeError(f"{name} is no row that names a {model.__name__}.")
        self.name, self.field = relation.cache_name, relation.field
        wanted = {f"{self.field.name}__pk__any": Slot("parents")}
        self.known = Remembered(relation.related_model._default_manager.filter(**wanted))
        self.query = relation.related_model._default_manager.all()

    def to(self, parents: Sequence[Model]) -> None:
        """Where Django looks for what was prefetched."""
        of: dict[Any, list[Model]] = defaultdict(list)
        by_id = {parent.pk: parent for parent in parents}
        for row in self.known.fetch({"parents": array_of(by_id)}):
            key = getattr(row, self.field.attname)
            self.field.set_cached_value(row, by_id[key])
            of[key].append(row)
        for parent in parents:
            brought = parent.__dict__.setdefault("_prefetched_objects_cache", {})
            brought[self.name] = self._query_of(of[parent.pk])

    def _query_of(self, rows: list[Model]) -> Any:
        """A query that was answered; making one anew for each row costs more than the rows."""
        query = type(self.query).__new__(type(self.query))
        query.__dict__ |= self.query.__dict__ | {"_result_cache": rows, "_prefetch_done": True}
        return query


def _converter(how: Sequence[Any], column: Any) -> Callable[[Iterable[Any]], list[Any]]:
    """With the quickest reader of JSON in the place of the field's own, where nothing else is asked of the field."""
    if getattr(column, "target", None).__class__ is JSONField:
        return lambda values: [None if value is None else orjson.loads(value) for value in values]

    def converted(values: Iterable[Any]) -> list[Any]:
        for convert in how:
            values = [convert(value, column, connection) for value in values]
        return list(values)

    return converted


def _literal(value: Any) -> str:
    """Doubled, a % stays one when the text is run."""
    return sql.Literal(value).as_string(connection.connection).replace("%", "%%")


def _sent(value: Any) -> Any:
    return value._meta.pk.get_db_prep_value(value.pk, connection) if isinstance(value, Model) else value
