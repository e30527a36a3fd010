"""An empty database after a test that commits: what was written is deleted, and nothing else is touched.

Django's own `flush` truncates every table there is, the two hundred empty ones too, and makes content types and
permissions anew: three seconds after each such test.
"""

from functools import cache

from django.db import connection

# What migrations and the models themselves put there: the same before and after.
KEPT = ("django_migrations", "django_content_type", "auth_permission")


def empty() -> None:
    """Delete every row. Guards and foreign keys are not asked: what is left is nothing."""
    if tables := written():
        deletes = "".join(f'delete from "{table}";' for table in tables)
        with connection.cursor() as cursor:
            cursor.execute(f"begin; set local session_replication_role = replica; {deletes} commit;")


def written() -> list[str]:
    """The tables with rows."""
    with connection.cursor() as cursor:
        cursor.execute(_with_rows())
        return cursor.fetchone()[0]


@cache
def _with_rows() -> str:
    """A statement that answers the names of the tables with rows, as an array."""
    asked = ", ".join(
        f"""case when exists(select from "{table}") then '{table}' end"""
        for table in connection.introspection.table_names()
        if table not in KEPT
    )
    return f"select array_remove(array[{asked}]::text[], null)"
