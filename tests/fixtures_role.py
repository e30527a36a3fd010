"""A role such as `manage.py app_role` makes for web and jobs, and tests that run as it.

`AS_APP_ROLE=1 pytest …` runs every test as it that stays within one transaction. What such a test plants behind the backs
of the guards needs the tables' owner, and fails.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection

ROLE = f"tandem_app_{os.getpid()}"


def make_role() -> None:
    """In the transaction of the test, with which it goes. Skips the test where its own role makes no other."""
    from config import roles

    with connection.cursor() as cursor:
        cursor.execute("select rolsuper or rolcreaterole from pg_roles where rolname = current_user")
        if not cursor.fetchone()[0]:
            pytest.skip("this database's role makes no other")
        cursor.execute(f"create role {ROLE}")
    roles.restrict(ROLE)


@contextmanager
def as_role() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"set role {ROLE}")
        try:
            yield
        finally:
            cursor.execute("reset role")


@pytest.fixture
def as_app(db: None) -> Callable[[], AbstractContextManager[None]]:
    """as_app() -> inside, the database sees the role of web and jobs."""
    make_role()
    return as_role


@pytest.fixture(autouse=bool(os.environ.get("AS_APP_ROLE")))
def always_as_app(request: pytest.FixtureRequest) -> Iterator[None]:
    mark = request.node.get_closest_marker("django_db")
    beyond = "transactional_db" in request.fixturenames or (mark and mark.kwargs.get("transaction"))
    if beyond or not (mark or "db" in request.fixturenames):
        yield
        return
    for planted in (
        "db",
        "catalogue",
        "sales_catalogue",
    ):  # the rows that ship, put where they are by the owner
        if planted == "db" or planted in request.fixturenames:
            request.getfixturevalue(planted)
    make_role()
    with connection.cursor() as cursor:
        cursor.execute(f"set role {ROLE}")  # until the test's transaction is over
    yield
