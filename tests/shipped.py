"""What the product ships, as rows: its own verbs write them once, and one statement puts them back for each test."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from tests.emptying import written

type Rows = dict[str, list[str]]  # by table, each as JSON


def written_by(*deeds: Callable[[], object]) -> list[Rows]:
    """What each of the deeds writes when they follow each other in an empty database, which is left empty."""
    found, before = [], {}
    with transaction.atomic():
        for deed in deeds:
            deed()
            after = _rows()
            found.append({table: _new(after[table], before.get(table, [])) for table in after})
            before = after
        transaction.set_rollback(True)
    return [{table: rows for table, rows in each.items() if rows} for each in found]


def put(rows: Rows) -> None:
    """Guards and foreign keys are not asked again: they were when the rows were written first."""
    inserts = "".join(_insert(table) for table in rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"set session_replication_role = replica; {inserts} set session_replication_role = origin",
            [f"[{','.join(each)}]" for each in rows.values()],
        )


@cache
def _insert(table: str) -> str:
    """Of all columns but those that the database makes of others."""
    columns = [f'"{field.column}"' for field in _fields(table) if not field.generated]
    listed = ", ".join(columns)
    return (
        f'insert into "{table}" ({listed}) select {listed} from json_populate_recordset(null::"{table}", %s);'
    )


def _fields(table: str) -> Sequence[Any]:
    models = apps.get_models(include_auto_created=True)
    return next(model._meta.concrete_fields for model in models if model._meta.db_table == table)


def _rows() -> Rows:
    with connection.cursor() as cursor:
        found = {}
        for table in written():
            cursor.execute(f'select row_to_json(t)::text from "{table}" t')
            found[table] = [row for (row,) in cursor]
    return found


def _new(after: list[str], before: list[str]) -> list[str]:
    known = set(before)
    return [row for row in after if row not in known]
