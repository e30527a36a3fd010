"""Many rows in one statement: COPY for new ones, one INSERT for a few of several tables, one UPDATE for changed ones, one
SELECT for several small tables.

Rows are mappings of field attname to value. Their text is made here, column by column, because it is most of what a
billing run does in Python; the database still parses and checks every value.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault
from django.db.models.sql import UpdateQuery

from billing import prepared
from billing.models.ids import IdField

type Row = Mapping[str, Any]
type Rows = tuple[type[models.Model], Sequence[Row]]
type Asked = tuple[str, Any]
"""A statement and its values, by place or by name."""
type Encode = Callable[[Any], str]

NULL = "\\N"
BLOCK = 200
# Up to so many rows one statement for all tables is quicker than a COPY for each.
FEW = 50
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert rows, every one with the same keys. Fields that they leave out take their default."""
    _copied(model, rows, _blocks)()


def copied_later(model: type[models.Model], rows: Sequence[Row]) -> Callable[[], None]:
    """`copy` in two parts: all of the text is made now, and calling the answer inserts it. For what can be made before
    something is locked that others wait for."""
    return _copied(model, rows, lambda fields, rows: list(_blocks(fields, rows)))


def _copied(
    model: type[models.Model],
    rows: Sequence[Row],
    blocks_of: Callable[[Sequence[models.Field], Sequence[Row]], Iterable[str]],
) -> Callable[[], None]:
    if not rows:
        return lambda: None
    fields = _fields(model, frozenset(rows[0]))
    columns = ", ".join(_column(f) for f in fields)
    sql = f"COPY {model._meta.db_table} ({columns}) FROM STDIN"
    return partial(_send, sql, blocks_of(fields, rows))


def _send(sql: str, blocks: Iterable[str]) -> None:
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(sql) as sink:
        for block in blocks:
            sink.write(block)


def _blocks(fields: Sequence[models.Field], rows: Sequence[Row]) -> Iterator[str]:
    lines = _lines(fields, rows)
    while block := "".join(islice(lines, BLOCK)):
        yield block


def write(*tables: Rows) -> None:
    """Insert rows into several tables, those of a table all with the same keys: a few by one statement, many by a COPY
    for each table. Foreign keys among them are looked at when the transaction ends."""
    filled = [(model, rows) for model, rows in tables if rows]
    if sum(len(rows) for _, rows in filled) > FEW:
        for model, rows in filled:
            copy(model, rows)
    elif filled:
        _insert(filled)


def _insert(tables: Sequence[Rows]) -> None:
    shapes = [_shape(model, frozenset(rows[0])) for model, rows in tables]
    documents = [_document(shape, rows) for shape, (_, rows) in zip(shapes, tables, strict=True)]
    with prepared.cursor() as cursor:
        cursor.execute(_inserting(tuple(shapes)), documents)


@dataclass(frozen=True, slots=True)
class _Written:
    """How a column is written of a row: as JSON has it where `in_json`, else as text."""

    column: str
    name: str
    default: Callable[[], Any] | None
    encode: Encode
    in_json: bool

    def value(self, row: Row) -> Any:
        return row[self.name] if self.default is None else self.default()

    def json(self, row: Row) -> Any:
        value = self.value(row)
        return value if self.in_json or value is None else self.encode(value)

    def text(self, row: Row) -> str | None:
        value = self.value(row)
        return None if value is None else self.encode(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """What rows with the same keys write of their table, worked out once."""

    table: str
    written: Sequence[_Written]
    columns: str
    typed: str
    casts: str


@lru_cache
def _shape(model: type[models.Model], given: frozenset[str]) -> _Shape:
    fields = _fields(model, given)
    return _Shape(
        table=model._meta.db_table,
        written=[_written(f, given) for f in fields],
        columns=", ".join(map(_column, fields)),
        typed=", ".join(f"{_column(f)} {_cast(f)}" for f in fields),
        casts=", ".join(f"%s::{_cast(f)}" for f in fields),
    )


def _written(field: models.Field, given: frozenset[str]) -> _Written:
    default = None if field.attname in given else partial(_given_default, field)
    return _Written(str(field.column), field.attname, default, _encoder(field), _is_in_json(field))


@lru_cache
def _inserting(shapes: Sequence[_Shape]) -> str:
    """One statement for several tables, with a place for the rows of each as a JSON document. It is the same however many
    there are, so a connection plans it once."""
    parts = []
    for n, shape in enumerate(shapes):
        given = f"select {shape.columns} from jsonb_to_recordset(%s::jsonb) as g ({shape.typed})"  # noqa: S608 - our own names
        parts.append(f"t{n} as (insert into {shape.table} ({shape.columns}) {given})")
    return f"with {', '.join(parts)} select"


# JSON has these itself.
_IN_JSON = (
    ArrayField,
    models.BooleanField,
    models.CharField,
    models.IntegerField,
    models.JSONField,
    models.TextField,
)


def _is_in_json(field: models.Field) -> bool:
    target = _target(field)
    return isinstance(target, _IN_JSON) and not isinstance(target, IdField)


def _document(shape: _Shape, rows: Sequence[Row]) -> str:
    """The rows as JSON, of which the database makes what the columns are."""
    return _json([{each.column: each.json(row) for each in shape.written} for row in rows])


def store(things: Iterable[models.Model], *others: Rows) -> None:
    """Insert new instances of any models, and rows of others, as `write` does. What the database numbers gets no key
    here, and what the database has a default for may be given of one and left out of the next."""
    alike: defaultdict[tuple[type[models.Model], frozenset[str]], list[Row]] = defaultdict(list)
    for thing in things:
        row = _row(thing)
        alike[type(thing), frozenset(row)].append(row)
        _stored(thing)
    write(*((model, rows) for (model, _), rows in alike.items()), *others)


@dataclass(frozen=True, slots=True)
class Still:
    """A stored row, if fields of it are so still."""

    row: models.Model
    so: Row


type Change = tuple[models.QuerySet[Any] | Still, Row]


def claim(
    wanted: models.QuerySet[Any] | Still,
    changes: Row,
    *things: models.Model,
    hold: models.Model | None = None,
) -> bool:
    """Change the one row that is wanted, if it is still as is said, and only then hold a row that it belongs to and
    insert the new instances, by one statement. False when it is not."""
    return claim_all([(wanted, changes)], things, hold=hold)[0]


def claim_all(
    wanted: Sequence[Change], things: Sequence[models.Model] = (), *, hold: models.Model | None = None
) -> list[bool]:
    """Change each of several rows, if it is still as is said, by one statement; what else is as `claim` has it follows
    only where all were. Says which were. No row may be wanted twice."""
    if not wanted and not things:
        return []
    changed = [_update(rows, changes) for rows, changes in wanted]
    added = [_insert_claimed(thing) for thing in things]
    found = [f"exists (select from c{n})" for n in range(len(changed))]
    parts = [
        *(f"c{n} as ({sql} returning 1)" for n, (sql, _) in enumerate(changed)),
        f"claimed as materialized (select 1 where {' and '.join(found) or 'true'})",
        *(f"t{n} as ({sql})" for n, (sql, _) in enumerate(added)),
        f"held as materialized ({_hold(hold)})",
    ]
    given = [value for _, values in (*changed, *added) for value in values]
    given += [_given(type(hold), "pk", hold.pk)[1]] if hold else []
    sql = f"with {', '.join(parts)} select {', '.join([*found, '(select count(*) from held)'])}"  # noqa: S608
    with prepared.cursor() as cursor:
        cursor.execute(sql, given)
        claimed = [bool(each) for each in cursor.fetchone()[:-1]]
    for thing in things if all(claimed) else ():
        _stored(thing)
    return claimed


def _update(wanted: models.QuerySet[Any] | Still, changes: Row) -> tuple[str, Sequence[Any]]:
    if isinstance(wanted, Still):
        return _update_still(wanted, changes)
    query: UpdateQuery = wanted.query.chain(UpdateQuery)  # type: ignore[assignment]
    query.add_update_values(dict(changes))
    return query.get_compiler(wanted.db).as_sql()


def _update_still(wanted: Still, changes: Row) -> tuple[str, Sequence[Any]]:
    """Without Django's queries, which take longer to be made and written than to be run."""
    model = type(wanted.row)
    new = [_given(model, name, value) for name, value in changes.items()]
    so = [_given(model, name, value) for name, value in {"pk": wanted.row.pk, **wanted.so}.items()]
    setting = ", ".join(f"{column} = %s" for column, _ in new)
    same = " and ".join(f"{column} {'is null' if text is None else '= %s'}" for column, text in so)
    sql = f"update {model._meta.db_table} set {setting} where {same}"  # noqa: S608 - our own names
    return sql, [*(text for _, text in new), *(text for _, text in so if text is not None)]


def _given(model: type[models.Model], name: str, value: Any) -> tuple[str, str | None]:
    """The column of a field and the text of a value for it; a row stands for its key."""
    column, encode = _named(model, name)
    plain = value.pk if isinstance(value, models.Model) else value
    return column, None if plain is None else encode(plain)


@lru_cache(maxsize=1000)
def _named(model: type[models.Model], name: str) -> tuple[str, Encode]:
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return _column(field), _encoder(field)


def _insert_claimed(thing: models.Model) -> tuple[str, Sequence[Any]]:
    """The values as texts, of which the database makes what the columns are."""
    row = _row(thing)
    shape = _shape(type(thing), frozenset(row))
    return _inserting_claimed(shape), [each.text(row) for each in shape.written]


@lru_cache
def _inserting_claimed(shape: _Shape) -> str:
    return f"insert into {shape.table} ({shape.columns}) select {shape.casts} from claimed"  # noqa: S608 - our own names


def _hold(row: models.Model | None) -> str:
    """Reads what was claimed, and so comes after it."""
    if row is None:
        return "select"
    table = row._meta.db_table
    return f"select from {table} where id = %s::uuid and exists (select from claimed) for no key update"  # noqa: S608


def _stored(thing: models.Model) -> None:
    thing._state.adding, thing._state.db = False, connection.alias


def _row(thing: models.Model) -> Row:
    values = {name: value_of(thing) for name, value_of in _values_of(type(thing))}
    key = thing._meta.pk.attname
    if values[key] is None:
        del values[key]
    return {name: value for name, value in values.items() if not isinstance(value, DatabaseDefault)}


@cache
def _values_of(model: type[models.Model]) -> list[tuple[str, Callable[[models.Model], Any]]]:
    """Each field that is written, and how its value is had: few fields have one of their own making (`pre_save`)."""
    return [
        (f.attname, attrgetter(f.attname) if type(f).pre_save is models.Field.pre_save else partial(f.pre_save, add=True))
        for f in model._meta.concrete_fields if not f.generated
    ]  # fmt: skip


def update(model: type[models.Model], rows: Sequence[Row], names: Sequence[str]) -> None:
    """Set the named fields of the rows that `id` points at, in one statement."""
    if not rows:
        return
    by_name = {f.attname: f for f in model._meta.concrete_fields}
    fields = [by_name[name] for name in ("id", *names)]
    given = ", ".join(f"unnest(%s::{_cast(f)}[]) as {_column(f)}" for f in fields)
    setting = ", ".join(f"{_column(f)} = g.{_column(f)}" for f in fields[1:])
    table = connection.ops.quote_name(model._meta.db_table)
    sql = f"update {table} t set {setting} from (select {given}) g where t.id = g.id"  # noqa: S608 - our own names
    with connection.cursor() as cursor:
        cursor.execute(sql, [_array(f, rows) for f in fields])


def read(*wanted: models.QuerySet[Any]) -> list[list[Any]]:
    """The rows of several small querysets, each in its order, by one statement. No joins, no `values`; nothing
    from a manager of a row, which may have been read before with joins."""
    asked = [rows.query.get_compiler(rows.db, elide_empty=False).as_sql() for rows in wanted]
    with connection.cursor() as cursor:
        cursor.execute(reading([sql for sql, _ in asked]), [value for _, given in asked for value in given])
        found = cursor.fetchone()
    return instances([rows.model for rows in wanted], found)


def reading(selects: Iterable[str]) -> str:
    """One statement that answers the rows of each in a column, for `instances`."""
    parts = (f"(select coalesce(jsonb_agg(t), '[]')::text from ({sql}) t)" for sql in selects)  # noqa: S608 - Django's own
    return f"select {', '.join(parts)}"


def instances(kinds: Sequence[type[models.Model]], found: Sequence[str]) -> list[list[Any]]:
    """What such a statement found, as rows of these models."""
    return [
        [_instance(model, row) for row in json.loads(text, parse_float=Decimal)]
        for model, text in zip(kinds, found, strict=True)
    ]


def tables(*asked: models.QuerySet[Any, Any] | Asked) -> list[list[tuple[Any, ...]]]:
    """The rows of several small statements by one, each as its values in order, joined or summed as may be. Of a queryset
    (`values_list`) they are its fields' values; of SQL what JSON makes of them: ids and days are text, numbers int or
    Decimal."""
    whole = [f"(select coalesce(json_agg(t), '[]')::text from ({_composed(each)}) t)" for each in asked]  # noqa: S608 - our own
    with connection.cursor() as cursor:
        cursor.execute(f"select {', '.join(whole)}")
        found = cursor.fetchone()
    return [
        _told(each, json.loads(text, parse_float=Decimal)) for each, text in zip(asked, found, strict=True)
    ]


def _composed(asked: models.QuerySet[Any, Any] | Asked) -> str:
    """The statement with its values in it."""
    if isinstance(asked, models.QuerySet):
        asked = asked.query.get_compiler(asked.db, elide_empty=False).as_sql()
    return str(connection.ops.compose_sql(*asked))  # type: ignore[attr-defined]


def _told(asked: models.QuerySet[Any, Any] | Asked, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    if not isinstance(asked, models.QuerySet):
        return [tuple(row.values()) for row in rows]
    query = asked.query.combined_queries[0] if asked.query.combinator else asked.query
    compiler = query.get_compiler(asked.db)
    compiler.setup_query()
    reads = [_from_json(column.output_field) for column, *_ in compiler.select]
    return [tuple(read(value) for read, value in zip(reads, row.values(), strict=True)) for row in rows]


def _from_json(field: models.Field) -> Callable[[Any], Any]:
    """From what JSON has of a column to the field's Python value. An expression may be null whatever its field: an owner
    that there is not is neither this one nor another."""
    target = _target(field)
    if not isinstance(target, ArrayField):
        return lambda value: None if value is None else target.to_python(value)
    each = _from_json(target.base_field)
    return lambda values: None if values is None else [each(value) for value in values]


def _instance(model: type[models.Model], row: Row) -> models.Model:
    """A stored row of the model; columns that were not read are deferred."""
    columns, names, others = _read_as(model, tuple(row))
    values = [row[column] for column in columns]
    for at, value in others:
        values[at] = value(values[at])
    return model.from_db(connection.alias, names, values)


@lru_cache
def _read_as(
    model: type[models.Model], read: tuple[str, ...]
) -> tuple[list[str], list[str], list[tuple[int, Callable[[Any], Any]]]]:
    """The columns and the fields that were read, and of those that JSON does not have itself where they stand and how
    their value is had."""
    fields = [field for field in model._meta.concrete_fields if field.column in read]
    others: list[tuple[int, Callable[[Any], Any]]] = [
        (at, _target(field).to_python) for at, field in enumerate(fields) if not _is_in_json(field)
    ]
    return [str(f.column) for f in fields], [f.attname for f in fields], others


@cache
def _column(field: models.Field) -> str:
    return connection.ops.quote_name(str(field.column))


@cache
def _cast(field: models.Field) -> str:
    """A cast to varchar(n) would cut what is too long; an assignment refuses it."""
    return "text" if isinstance(_target(field), models.CharField) else str(field.db_type(connection))


def _array(field: models.Field, rows: Sequence[Row]) -> str:
    """A column as the database reads an array: one text, whatever the number."""
    encode, name = _shared(field), field.attname
    values = (row[name] for row in rows)
    return f"{{{','.join(['NULL' if value is None else _quoted(encode(value)) for value in values])}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lines(fields: Sequence[models.Field], rows: Sequence[Row]) -> Iterator[str]:
    """The rows in COPY's text format."""
    rest = "".join("\t" + _default(f) for f in fields if f.attname not in rows[0]) + "\n"
    columns = [_column_texts(f, rows) for f in fields if f.attname in rows[0]]
    for values in zip(*columns, strict=True):
        yield "\t".join(values) + rest


# Equal values of these have equal texts.
_REPEATED = (models.CharField, models.TextField, models.DateField, models.BooleanField, models.IntegerField)


def _column_texts(field: models.Field, rows: Sequence[Row]) -> list[str]:
    """The texts of one column. One that says the same few things (a kind, a day, a currency) writes each once."""
    encode, name = _escaped(field), field.attname
    values = [row[name] for row in rows]
    if isinstance(_target(field), _REPEATED) and len(few := set(values)) * 4 < len(values):
        texts = {value: NULL if value is None else encode(value) for value in few}
        return [texts[value] for value in values]
    return [NULL if value is None else encode(value) for value in values]


@lru_cache
def _fields(model: type[models.Model], given: frozenset[str]) -> tuple[models.Field, ...]:
    """The columns to write: what the rows have, then what has a default."""
    fields = [f for f in model._meta.concrete_fields if not f.generated]
    rest = [f for f in fields if f.attname not in given and _has_default(f)]
    return (*(f for f in fields if f.attname in given), *rest)


def _has_default(field: models.Field) -> bool:
    return not field.primary_key and (field.has_default() or (not field.null and field.empty_strings_allowed))


def _default(field: models.Field) -> str:
    value = _given_default(field)
    return NULL if value is None else _escaped(field)(value)


def _given_default(field: models.Field) -> Any:
    return field.get_default() if field.has_default() else ""


# -- One value ---------------------------------------------------------------------------------------------


def _target(field: models.Field) -> models.Field:
    return field.target_field if isinstance(field, models.ForeignKey) else field


def _encoder(field: models.Field) -> Encode:
    """From the field's Python value to the text that the database reads."""
    target = _target(field)
    if isinstance(target, IdField):
        return _id
    if isinstance(target, models.BooleanField):
        return _flag
    if isinstance(target, models.JSONField):
        return _json
    if isinstance(target, ArrayField):
        return _list
    return _hex if isinstance(target, models.BinaryField) else str


def _shared(field: models.Field) -> Encode:
    """The same for the rows of one statement, which may have one object between them."""
    encode = _encoder(field)
    return _once(encode) if encode is _json else encode


def _escaped(field: models.Field) -> Encode:
    """The same as COPY wants it."""
    target = _target(field)
    if isinstance(target, models.JSONField):
        return _once(lambda value: copyable(_json(value)))
    if isinstance(target, models.BinaryField | ArrayField):
        encode = _encoder(field)
        return lambda value: copyable(encode(value))
    return copyable if isinstance(target, models.CharField | models.TextField) else _encoder(field)


def _id(value: str | UUID) -> str:
    return value.hex if isinstance(value, UUID) else value[-32:]


def _list(values: Sequence[str]) -> str:
    return f"{{{','.join([_quoted(value) for value in values])}}}"


def _hex(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _flag(value: bool) -> str:
    return "t" if value else "f"


def copyable(value: str) -> str:
    """A text as COPY wants it among others."""
    return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)


def _once(encode: Encode) -> Encode:
    """One object that many rows share is written out once."""
    seen: dict[int, str] = {}

    def remembered(value: Any) -> str:
        text = seen.get(id(value))
        if text is None:
            text = seen[id(value)] = encode(value)
        return text

    return remembered


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value)
