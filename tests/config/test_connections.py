"""Too few connections for everybody: nobody keeps one that others need."""

import time

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory

from config import connections
from config.middleware import RequestId

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def as_usual():
    connection.ensure_connection()
    before = connection.close_at
    connection.close_at = None
    yield
    connection.close_at = before
    connections.enough()


def kept(after: int) -> bool:
    """Whether this thread's connection is kept after a request that is answered with that status."""
    RequestId(lambda request: HttpResponse(status=after))(RequestFactory().get("/"))
    return connection.close_at is None or connection.close_at > time.monotonic()


def test_a_connection_is_kept_for_the_next_request():
    assert kept(200)
    assert kept(500)


def test_nobody_keeps_one_for_a_while_when_somebody_was_sent_away(monkeypatch):
    assert not kept(503)
    assert not kept(200)
    monkeypatch.setattr(connections, "FOR_A_WHILE", 0.0)
    connections.too_few()
    connection.close_at = None
    assert kept(200)
