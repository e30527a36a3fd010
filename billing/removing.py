"""The only way past the guards that keep facts and papers: a transaction that says what it takes away."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def removing(what: str) -> Iterator[None]:
    """Inside, the database lets through what "erasure" or "retention" may take away, and nothing else.

    What each may is written in the guards themselves (`billing/migrations`, "what may be taken away"). Such work looks
    through whole tables, so it is not cut off after the time that other statements have.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "select set_config('tandem.removing', %s, true), set_config('statement_timeout', '0', true)",
            [what],
        )
        yield
        cursor.execute("select set_config('tandem.removing', '', true)")
