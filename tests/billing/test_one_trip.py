"""A statement whose transaction costs no waiting of its own, and which may find that more belongs into it."""

import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from billing import one_trip, prepared
from billing.models import Meter
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
STORE = """
insert into billing_meter (id, code, name, event_name, aggregation, property, unit)
values (gen_random_uuid(), %(code)s, 'M', 'm', 'count', '', '') returning code
"""
GO_ON = f"""
with stored as ({STORE}) select code, {one_trip.UNFINISHED} from stored
"""


def ask(statement, **params):
    with one_trip.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()


def seen_elsewhere():
    """The meters that another connection sees."""
    (codes,) = at_once(lambda: sorted(Meter.objects.values_list("code", flat=True)))
    return codes


def test_it_is_committed_before_the_block_ends():
    with transaction.atomic():
        assert ask(STORE, code="a") == ("a",)
        assert seen_elsewhere() == ["a"]


def test_what_is_unfinished_is_committed_with_what_follows():
    with transaction.atomic():
        assert ask(GO_ON, code="a") == ("a", "yes")
        assert seen_elsewhere() == []
        Meter.objects.create(code="b", name="B", event_name="b", aggregation="count")
        assert seen_elsewhere() == []
    assert seen_elsewhere() == ["a", "b"]


def test_what_is_unfinished_is_undone_with_what_follows():
    with transaction.atomic():
        ask(GO_ON, code="a")
        Meter.objects.create(code="b", name="B", event_name="b", aggregation="count")
        transaction.set_rollback(True)
    assert seen_elsewhere() == []


def test_the_next_transaction_knows_nothing_of_an_unfinished_one():
    with transaction.atomic():
        ask(GO_ON, code="a")
    with transaction.atomic():
        ask(STORE, code="b")
        assert seen_elsewhere() == ["a", "b"]


def test_one_that_fails_leaves_nothing_and_the_connection_goes_on():
    with transaction.atomic():
        ask(STORE, code="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        ask(STORE, code="a")
    with pytest.raises(DataError), transaction.atomic():
        ask("select %(text)s::int", text="x")  # as the look at an unfinished one fails
    with transaction.atomic():
        assert ask("select %(text)s::int", text="7") == (7,)
    assert seen_elsewhere() == ["a"]


def test_what_fails_at_the_commit_is_raised():
    execute("create temp table once (n int unique deferrable initially deferred)")
    with transaction.atomic():
        ask("insert into once values (%(n)s::int) returning n", n=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        ask("insert into once values (%(n)s::int) returning n", n=1)
    with transaction.atomic():
        assert ask("select count(*) from once") == (1,)


def test_more_than_fits_into_a_buffer_arrives():
    text = "ä" * 3_000_000
    with transaction.atomic():
        assert ask("select %(text)s::text", text=text) == (text,)


def test_a_connection_that_is_lost_is_replaced():
    with pytest.raises(OperationalError), transaction.atomic():
        ask("select pg_terminate_backend(pg_backend_pid(), 5000)")
    connection.close_if_unusable_or_obsolete()
    with transaction.atomic():
        assert ask("select %(n)s::int", n=1) == (1,)


@pytest.mark.parametrize("planned", [False, True])
def test_wherever_the_connection_breaks_it_is_said_to_be_lost(planned, tmp_path):
    """After each count of bytes that the server answers; anything else than a lost connection would be taken for a
    mistake of ours."""
    answered = _trip(tmp_path / "whole", planned, None)
    assert answered > 100
    for count in range(answered):
        with pytest.raises(psycopg.OperationalError):
            _trip(tmp_path / str(count), planned, count)


def _trip(folder, planned, count):
    """One trip of an event's length through a line that breaks after `count` bytes. planned: before it gets so short.
    Returns how many bytes were answered."""
    connection.ensure_connection()
    folder.mkdir()
    with _line(folder) as line, psycopg.connect(host=str(folder), **_who()) as raw:
        raw.autocommit = True
        if planned:
            one_trip._in_one_trip(raw, b"select $1::text", [b"x"])
        line["left"], before = count, line["answered"]
        one_trip._in_one_trip(raw, b"select $1::text", [b"x"])
        return line["answered"] - before


def _who():
    parts = connection.connection.info.get_parameters()
    return {name: parts[name] for name in ("user", "dbname", "port") if name in parts}


@contextmanager
def _line(folder):
    info = connection.connection.info
    name, line = f".s.PGSQL.{info.port}", {"left": None, "answered": 0}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / name))
        door.listen(1)
        threading.Thread(target=_carry, args=(door, str(Path(info.host) / name), line), daemon=True).start()
        yield line


def _carry(door, to, line):
    with suppress(OSError), door.accept()[0] as client, socket.socket(socket.AF_UNIX) as server:
        server.connect(to)
        threading.Thread(target=_ask, args=(client, server), daemon=True).start()
        while data := server.recv(65536):
            left = line["left"]
            line["answered"] += len(data)  # before it is sent: who has got it reads the count
            client.sendall(data[:left])
            if left is not None:
                line["left"] = left - len(data)
                if line["left"] <= 0:
                    break
        for each in (client, server):
            each.shutdown(socket.SHUT_RDWR)


def _ask(client, server):
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)


def test_a_connection_that_broke_before_is_said_to_be_lost():
    connection.ensure_connection()
    with socket.socket(fileno=connection.connection.fileno()) as line:
        line.shutdown(socket.SHUT_RDWR)
        line.detach()
    with pytest.raises(OperationalError), transaction.atomic():
        ask("select %(n)s::int + 5", n=1)  # not planned yet


def test_it_is_for_the_first_statement_of_an_outermost_transaction():
    with pytest.raises(RuntimeError):
        ask(STORE, code="a")
    with transaction.atomic():
        execute("select 1")
        with pytest.raises(RuntimeError):
            ask(STORE, code="a")
    with transaction.atomic(), transaction.atomic(), pytest.raises(RuntimeError):
        ask(STORE, code="a")
    assert seen_elsewhere() == []


def test_behind_a_pooler_the_transaction_is_an_ordinary_one(monkeypatch):
    monkeypatch.setattr(prepared, "behind_a_pooler", lambda *_: True)
    with transaction.atomic():
        assert ask(STORE, code="a") == ("a",)
        assert seen_elsewhere() == []
    assert seen_elsewhere() == ["a"]


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
