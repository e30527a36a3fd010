"""Statements that each connection plans once, for the few that run with every request.

Django's own cursors put values into the text of a statement and have it planned each time. That costs more than
running a short statement, and several milliseconds for a long one. A pooler in front of the database must pass
prepared statements through (PgBouncer 1.21 and later do).
"""

from typing import Any

import psycopg
from django.db import connection


def cursor() -> Any:
    """A cursor for `with`; logged and counted like every other."""
    connection.ensure_connection()
    connection.connection.prepare_threshold = 0
    return connection._prepare_cursor(psycopg.Cursor(connection.connection))  # type: ignore[attr-defined]
