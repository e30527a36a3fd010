"""What a kept connection finds out by itself, and what it remembers until it is told."""

import time

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.conf import Conf

from billing import jobs, keys, prepared
from billing.models import ApiKey
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
CHANNEL = "tandem_test"


@pytest.fixture
def key():
    return keys.issue(name="test", livemode=False, now=timezone.now())


def find(secret):
    return keys.find(secret, timezone.now())


def elsewhere(deed):
    """In another connection."""
    (done,) = at_once(deed)
    assert not isinstance(done, Exception), done


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def soon(is_so):
    """The server tells who listens when it comes to it."""
    until = time.monotonic() + 60
    while not is_so() and time.monotonic() < until:
        time.sleep(0.001)
    return is_so()


def next_request():
    """What Django does at the beginning of one."""
    connection.close_if_unusable_or_obsolete()


def test_a_request_after_the_database_went_away_is_answered(key):
    assert find(key[1]) == key[0]
    lost = connection.connection.info.backend_pid
    elsewhere(lambda: execute(f"select pg_terminate_backend({lost}, 5000)"))
    next_request()
    assert find(key[1]) == key[0]
    assert connection.connection.info.backend_pid != lost


def test_a_request_that_begins_with_it_asks_no_other_way(key):
    next_request()
    with CaptureQueriesContext(connection) as asked:
        find(key[1])
        ApiKey.objects.get()
    assert connection.health_check_done
    assert not [one for one in asked.captured_queries if one["sql"] == "SELECT 1"]


def test_it_remembers_until_it_is_told():
    prepared.until_told(CHANNEL)["a"] = 1
    prepared.until_told("tandem_other")["b"] = 2
    assert prepared.until_told(CHANNEL) == {"a": 1}
    elsewhere(lambda: execute(f"notify {CHANNEL}"))
    assert soon(lambda: prepared.until_told(CHANNEL) == {})
    assert prepared.until_told("tandem_other") == {"b": 2}


def test_it_is_told_in_the_middle_of_a_statement():
    prepared.until_told(CHANNEL)["a"] = 1
    elsewhere(lambda: execute(f"notify {CHANNEL}"))
    execute("select pg_sleep(0.1)")
    execute("select 1")
    assert prepared.until_told(CHANNEL) == {}


def test_it_remembers_nothing_inside_a_transaction():
    with transaction.atomic():
        prepared.until_told(CHANNEL)["a"] = 1
        assert prepared.until_told(CHANNEL) == {}


def test_a_new_connection_remembers_nothing():
    prepared.until_told(CHANNEL)["a"] = 1
    connection.close()
    assert prepared.until_told(CHANNEL) == {}


def test_a_key_is_looked_up_once(key):
    find(key[1])
    with CaptureQueriesContext(connection) as asked:
        assert [find(key[1]) for _ in range(3)] == [key[0]] * 3
    assert len(asked) == 0
    with CaptureQueriesContext(connection) as asked:
        keys.find(key[1], timezone.now() + keys.ASKED_AGAIN)
    assert len(asked) == 1


def test_a_key_that_is_taken_away_elsewhere_opens_nothing_at_once(key):
    now = timezone.now()  # it stands still: nobody looks it up again because it was a while ago
    assert keys.find(key[1], now).revoked_at is None
    elsewhere(lambda: keys.revoke(key=key[0], now=now))
    assert soon(lambda: keys.find(key[1], now).revoked_at is not None)


def test_the_use_of_a_remembered_key_is_noted_once_a_minute(key):
    now = timezone.now()
    with CaptureQueriesContext(connection) as asked:
        for _ in range(3):
            keys.used(keys.find(key[1], now), now)
    assert len([one for one in asked.captured_queries if "UPDATE" in one["sql"]]) == 1
    assert ApiKey.objects.get().last_used_at == now


def test_it_takes_values_by_place_and_by_name_and_an_old_percent_sign():
    asked = [
        ("select %s::int - %s::int, 7 %% 4", [5, 2], (3, 3)),
        ("select %(a)s::int - %(b)s::int, %(a)s::int %% 4", {"b": 2, "a": 5, "more": 1}, (3, 1)),
        ("select 7 % 4", None, (3,)),
    ]
    with prepared.cursor() as cursor:
        for statement, values, answer in asked * 2:
            cursor.execute(statement, values)
            assert cursor.fetchone() == answer


def test_a_connection_forgets_no_statement_for_another():
    with prepared.cursor() as cursor:
        for n in range(150):
            cursor.execute(f"select {n}")
        kept = cursor.execute(
            "select count(*) from pg_prepared_statements where statement ~ '^select [0-9]+$'"
        )
        assert kept.fetchone()[0] == 150


@pytest.fixture
def through_a_pooler(monkeypatch):
    """The next connection is opened as a pooler opens it: with a number that none of the server's processes has."""
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", False)
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 0)
    connection.close()
    connection.ensure_connection()
    yield
    connection.close()


def test_a_pooler_is_noticed_by_itself():
    connection.close()
    connection.ensure_connection()
    assert not prepared.behind_a_pooler()


def test_behind_a_pooler_nothing_is_left_to_a_session(through_a_pooler, key):
    """The next statement may run in another one."""
    assert prepared.behind_a_pooler()
    prepared.until_told(CHANNEL)["a"] = 1
    assert prepared.until_told(CHANNEL) == {}
    assert [find(key[1]) for _ in range(3)] == [key[0]] * 3
    with connection.cursor() as cursor:
        cursor.execute(
            "select (select count(*) from pg_prepared_statements), (select count(*) from pg_listening_channels())"
        )
        assert cursor.fetchone() == (0, 0)


def test_behind_a_pooler_a_key_that_is_taken_away_opens_nothing_at_once(through_a_pooler, key):
    """Nobody would be told."""
    now = timezone.now()
    assert keys.find(key[1], now).revoked_at is None
    elsewhere(lambda: keys.revoke(key=key[0], now=now))
    assert keys.find(key[1], now).revoked_at is not None


def test_behind_a_pooler_a_worker_that_finds_nothing_waits_for_a_while(through_a_pooler):
    began = time.monotonic()
    assert jobs.Queue().dequeue() is None
    assert time.monotonic() - began >= Conf.POLL
