"""What the product ships, as rows: its own verbs write them once, and one statement puts them back for each test."""

from collections.abc import Callable

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
    inserts = "".join(
        f'insert into "{table}" select * from json_populate_recordset(null::"{table}", %s);' for table in rows
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"set session_replication_role = replica; {inserts} set session_replication_role = origin",
            [f"[{','.join(each)}]" for each in rows.values()],
        )


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
