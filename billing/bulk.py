"""Many rows in one statement. PostgreSQL's COPY, fed with the values that the model's own fields prepare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, models
from psycopg.types.json import Jsonb


def copy(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows (field attname -> value; every row the same keys). Fields that a row leaves out take their default."""
    if not rows:
        return
    fields = [f for f in model._meta.concrete_fields if not f.generated and _given(f, rows[0])]
    columns = ", ".join(connection.ops.quote_name(f.column or f.attname) for f in fields)
    prepare = [_preparer(f) for f in fields]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {model._meta.db_table} ({columns}) FROM STDIN") as sink,
    ):
        for row in rows:
            sink.write_row([ready(row) for ready in prepare])


def _given(field: models.Field, row: Mapping[str, Any]) -> bool:
    return (
        field.attname in row
        or (field.has_default() and not field.primary_key)
        or (not field.null and field.empty_strings_allowed)
    )


def _preparer(field: models.Field) -> Any:
    name, default = field.attname, field.get_default if field.has_default() else _blank(field)
    if isinstance(field, models.JSONField):
        return lambda row: Jsonb(row[name] if name in row else default())
    related = field.target_field if isinstance(field, models.ForeignKey) else field
    convert = related.get_prep_value
    return lambda row: convert(row[name] if name in row else default())


def _blank(field: models.Field) -> Any:
    return lambda: None if field.null else ""


def ids(rows: Iterable[models.Model]) -> list[str]:
    return [row.pk for row in rows]
