"""Files of usage: read piece by piece, good lines kept, bad ones named by their line."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import importing, metering
from billing.models import Customer, Meter, UsageEvent, UsageImport

CSV = "id,customer,event_name,timestamp,value\n"


@pytest.fixture
def acme(make_customer):
    return make_customer(external_id="acme")


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    monkeypatch.setattr(importing, "PIECE", 2)


def take(content, format="csv"):
    return importing.take(
        content=content.encode(), format=format, livemode=False, now=timezone.now(), actor="key:1"
    )


def at():
    return (timezone.now() - timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")


def used(customer):
    today = timezone.now().date()
    days = today - timedelta(days=2), today + timedelta(days=2)
    return metering.quantity(customer, Meter.objects.get(), *days)


def test_it_reads_csv_and_names_the_lines_that_are_wrong(acme, run_jobs):
    made = take(
        f"{CSV}a,acme,api_call,{at()},10\nb,nobody,api_call,,1\nc,acme,api_call,,x\n\nd,acme,api_call,,2.5\na,acme,api_call,,1\n"
    )
    assert (made.status, made.lines) == ("waiting", 5)
    run_jobs()
    made.refresh_from_db()
    assert (made.status, made.processed, made.accepted, made.duplicates, made.rejected) == (
        "done",
        5,
        2,
        1,
        2,
    )
    assert [(e["line"], e["id"], e["code"]) for e in made.errors] == [
        (3, "b", "unknown_customer"),
        (4, "c", "invalid_value"),
    ]
    assert used(acme) == Decimal("12.5")
    assert bytes(made.content) == b""


def test_a_line_of_a_file_replaces_an_event(acme, run_jobs):
    take("id,customer,event_name,value,replaces\na,acme,api_call,10,\nb,acme,api_call,3,a\n")
    run_jobs()
    assert used(acme) == 3


def test_it_reads_json_lines(acme, run_jobs):
    made = take(
        '{"id": "a", "customer": "acme", "event_name": "api_call", "properties": {"value": 3}}\n[1]\n{"id": 1}\n',
        "jsonl",
    )
    run_jobs()
    made.refresh_from_db()
    assert (made.accepted, made.rejected) == (1, 2)
    assert [(e["line"], e["code"]) for e in made.errors] == [(2, "invalid_event"), (3, "invalid_id")]


def test_a_killed_job_goes_on_where_it_stopped(acme, small_pieces):
    made = take(CSV + "".join(f"e{n},acme,api_call,,1\n" for n in range(5)))
    importing._piece(made.pk, importing._File(made))
    assert UsageImport.objects.get().processed == UsageEvent.objects.count() == 2
    importing.work(import_id=made.pk)
    importing.work(import_id=made.pk)
    made.refresh_from_db()
    assert (made.accepted, made.duplicates, used(acme)) == (5, 0, 5)


def test_a_file_is_read_once_however_many_pieces_it_has(acme, small_pieces, monkeypatch):
    read = []
    monkeypatch.setattr(
        importing, "_values", lambda lines, real=importing._values: read.extend(lines) or real(lines)
    )
    made = take(
        "".join(f'{{"id": "e{n}", "customer": "acme", "event_name": "api_call"}}\n' for n in range(7)),
        "jsonl",
    )
    read.clear()
    with CaptureQueriesContext(connection) as asked:
        importing.work(import_id=made.pk)
    assert len(read) == 7
    assert len([each for each in asked if '"billing_usageimport"."content"' in each["sql"]]) == 1


def test_a_file_that_somebody_else_reads_too_is_counted_once(acme, small_pieces):
    made = take(CSV + "".join(f"e{n},acme,api_call,,1\n" for n in range(7)))
    one, other = importing._File(made), importing._File(made)
    for file in (one, other, other, one):
        row = importing._piece(made.pk, file)
    assert (row.status, row.accepted, row.duplicates, used(acme)) == ("done", 7, 0, 7)


def test_who_comes_behind_another_with_lots_of_another_size_reads_again(acme, small_pieces, monkeypatch):
    made = take(CSV + "".join(f"e{n},acme,api_call,,{10**n}\n" for n in range(7)))
    one = importing._File(made)
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    other = importing._File(made)
    monkeypatch.setattr(importing, "PIECE", 1)
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    assert importing._piece(made.pk, one).processed == 1
    assert importing._piece(made.pk, other).processed == 2
    monkeypatch.setattr(importing, "PIECE", 3)
    assert importing._piece(made.pk, one).processed == 5
    row = importing._piece(made.pk, other)
    assert (row.status, row.accepted, row.duplicates, used(acme)) == ("done", 7, 0, 1_111_111)


def test_each_piece_names_the_lines_that_are_wrong_in_it(acme, small_pieces):
    wrong = {1, 2, 5, 6}
    made = take(CSV + "".join(f"e{n},{'nobody' if n in wrong else 'acme'},api_call,,1\n\n" for n in range(8)))
    row = importing.work(import_id=made.pk)
    assert (row.accepted, [(error["line"], error["id"]) for error in row.errors]) == (
        4,
        [(2 * n + 2, f"e{n}") for n in sorted(wrong)],
    )


ODD = ["a\tb", "a\nb", "a\rb", "a\\b", "\\N", "\\.", "\\", "\x01", "\u2028", '"', "'", "{}", "null", "%s"]


def test_odd_texts_are_kept_as_they_are(acme, make_customer):
    """The same as those of a request are: none of them is a part of how the rows are copied."""
    ids = {odd: make_customer().pk for odd in ODD}
    for odd, pk in ids.items():
        Customer.objects.filter(pk=pk).update(external_id=odd)
    event = {"event_name": "api_call", "timestamp": at()}
    events = [
        {**event, "id": odd, "customer": odd, "properties": {"value": "1.5", odd: odd, "b": n, "c": None}}
        for n, odd in enumerate(ODD)
    ]
    row = importing.work(import_id=take("\n".join(map(json.dumps, events)), "jsonl").pk)
    assert (row.accepted, row.errors) == (len(ODD), [])
    kept = {each.key: (each.customer_id, each.properties) for each in UsageEvent.objects.all()}
    assert kept == {odd: (ids[odd], event["properties"]) for odd, event in zip(ODD, events, strict=True)}


def test_web_and_jobs_may_read_a_file(acme, as_app):
    made = take(CSV + "a,acme,api_call,,1\n")
    with as_app():
        assert importing.work(import_id=made.pk).accepted == 1


def test_a_line_that_names_a_key_twice_is_refused(acme, run_jobs):
    good = '{"id": "%s", "customer": "acme", "event_name": "api_call", "properties": {"value": 1, "a\\":": "x\\": y"}}'
    made = take(
        "\n".join(
            [
                good % "a",
                '{"id": "b", "id": "b", "customer": "acme", "event_name": "api_call", "properties": {"value": 1}}',
                '{"id": "c", "customer": "acme", "event_name": "api_call", "properties": {"value": 1, "val\\u0075e": 9}}',
                (good % "d").replace('":', '" :'),
            ]
        ),
        "jsonl",
    )
    run_jobs()
    made.refresh_from_db()
    assert (made.accepted, used(acme)) == (2, 2)
    assert [(e["line"], e["code"], e["detail"]) for e in made.errors] == [
        (2, "duplicate_key", "“id” is given twice."),
        (3, "duplicate_key", "“value” is given twice."),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "",
        CSV,
        "id,customer\na,b\n",
        "id,id,customer,event_name\na,b,c,d\n",
        CSV + '"a,b\n',
        CSV + "a\0,acme,api_call,,1\n",
    ],
)
def test_it_refuses_files_that_cannot_be_read(catalogue, content):
    with pytest.raises(importing.UnreadableFile):
        take(content)
    assert not UsageImport.objects.exists()


def test_a_line_with_too_many_cells_is_refused_alone(acme, run_jobs):
    made = take(f"{CSV}a,acme,api_call,,1,2\nb,acme,api_call,,1\n")
    run_jobs()
    made.refresh_from_db()
    assert (made.accepted, made.rejected) == (1, 1)


def test_a_line_that_cannot_be_kept_is_refused_beside_the_others(acme, run_jobs):
    """What stands in a refused event is told with it, and must not stop the file."""
    hostile = [
        {"id": "a\0b"},
        {"id": "c", "customer": "x\0"},
        {"id": "d", "na\0me": 1},
        {"id": "e", "event_name": "\0"},
    ]
    base = {"customer": "acme", "event_name": "api_call", "properties": {"value": 1}}
    lines = [{**base, **wrong} for wrong in hostile] + [{**base, "id": "good"}]
    made = take("\n".join(map(json.dumps, lines)), "jsonl")
    run_jobs()
    made.refresh_from_db()
    assert (made.status, made.accepted, made.rejected) == ("done", 1, 4)
    assert [(error["line"], error["id"]) for error in made.errors] == [
        (1, "a\ufffdb"),
        (2, "c"),
        (3, "d"),
        (4, "e"),
    ]
