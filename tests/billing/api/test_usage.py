"""Usage over the API. What is counted how is tested in `test_metering`; here is how it is asked for."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.api.problems import Problem
from billing.api.usage import read_quickly
from billing.models import UsageDay, UsageEvent


@pytest.fixture
def customer(make_customer):
    return make_customer(external_id="acme")


def event(n, **fields):
    return {
        "id": f"e-{n}",
        "customer": "acme",
        "event_name": "api_call",
        "properties": {"value": n},
        **fields,
    }


def test_it_takes_one_event(api, customer):
    answer = api.post("usage_events", event(5))
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert UsageDay.objects.get().total == 5


def test_it_takes_a_batch_and_refuses_the_bad_ones_by_name(api, customer):
    bad = [
        event(2, customer="nobody"),
        event(3, event_name="sneeze"),
        {"id": "e-4"},
        "text",
        event(5, colour="red"),
    ]
    body = api.post("usage_events", events=[event(1), *bad, event(6)]).json()
    assert (body["accepted"], body["duplicates"]) == (2, 0)
    assert [(one["index"], one["id"], one["code"]) for one in body["rejected"]] == [
        (1, "e-2", "unknown_customer"),
        (2, "e-3", "unknown_event_name"),
        (3, "e-4", "invalid_event_name"),
        (4, None, "invalid_event"),
        (5, "e-5", "unknown_field"),
    ]
    assert UsageDay.objects.get().total == 7


def test_the_same_event_again_is_a_duplicate_whatever_it_says(api, customer):
    api.post("usage_events", event(1))
    again = api.post("usage_events", events=[event(1), event(1, properties={"value": 99})]).json()
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert UsageDay.objects.get().total == 1


@pytest.mark.parametrize("size", [1, 100])
def test_any_batch_is_one_statement_beside_the_key(api, customer, size):
    api.post("usage_events", event(0))
    events = [event(n) for n in range(1, size + 1)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert api.post("usage_events", events=events).json()["accepted"] == size
    said = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    assert len(said) == 2
    assert "billing_apikey" in said[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"events": []}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": [{}], "more": 1}, "unknown_field"),
        ([], "invalid_request"),
        ("text", "invalid_request"),
        (None, "invalid_request"),
    ],
)
def test_it_refuses_what_is_no_batch(api, code, body):
    answer = api.send("POST", "usage_events", json.dumps(body))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_it_refuses_more_than_five_thousand(api, customer, code):
    answer = api.post("usage_events", events=[event(1)] * 5001)
    assert code(answer) == (422, "too_many_events")
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"), (b"{", "invalid_json"), (b"\xff\xfe", "invalid_json"),
        (b'{"id": NaN}', "invalid_json"),
        (b'{"id":"a","id":"b"}', "duplicate_key"), (b'{"id" :"a","id":"b"}', "duplicate_key"),
        (b'{"events":[{"id":"a","properties":{"v":1,"v":2}}]}', "duplicate_key"),
        (b'{"id":"\\":","id":"b"}', "duplicate_key"), (b'{"id":"\\ud800"}', "invalid_characters"),
        (b"[" * 5000 + b"]" * 5000, "invalid_json"), (b'{"id":' + b"9" * 5000 + b"}", "invalid_number"),
    ],
)  # fmt: skip
def test_it_reads_json_strictly(api, body, code):
    answer = api.send("POST", "usage_events", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","properties":{"value":1.5}}', b'{ "id" : "a" }', b'{"id":"\\":"}',
        b'{"a":{"b":[{"c":1}]}}',
        b'{"id":"a\\"b\\":c"}', b'{"properties":{"value":12345678901234567890123}}'[:-25] + b'1}}',
    ],
)  # fmt: skip
def test_the_quick_reader_reads_what_the_careful_one_reads(body):
    assert read_quickly(body) == json.loads(body)


def test_the_quick_reader_never_lets_a_repeated_name_pass():
    for body in (
        b'{"a":1,"a":2}',
        b'{"a" :1,"a":2,"b":3}',
        b'{"x":"\\":\\":","a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
    ):
        with pytest.raises(Problem, match="twice"):
            read_quickly(body)


def test_it_refuses_compressed_and_foreign_bodies(api, code):
    packed = api.send("POST", "usage_events", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert code(packed) == (415, "unsupported_encoding")
    assert code(api.send("POST", "usage_events", b"{}", type_="text/plain"))[0] == 415
    assert code(api.send("POST", "usage_events", b"a=b", type_="application/x-www-form-urlencoded"))[0] == 415


def test_a_body_of_usage_may_have_eight_mebibytes(api, customer, code):
    padding = b" " * (8 * 1024 * 1024 - 2)
    assert api.send("POST", "usage_events", b"{}" + padding).status_code == 202
    assert code(api.send("POST", "usage_events", b"{}" + padding + b" ")) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"value": "x" * 501}, "invalid_properties"), ({"value": 1, "r": {"n": 1}}, "invalid_properties"),
        ({"value": 1, **{str(n): n for n in range(50)}}, "invalid_properties"), ([], None),
        ("x", "invalid_properties"),
        ({}, "missing_value"), ({"value": None}, "missing_value"), ({"value": "many"}, "invalid_value"),
        ({"value": "NaN"}, "invalid_value"), ({"value": 1e300}, "invalid_value"),
        ({"value": True}, "invalid_value"),
        ({"value": "1e5"}, "invalid_value"), ({"value": "1;drop"}, "invalid_value"),
        ({"value": "a\0b"}, None),
        ({"value": 1, "a'b": "' OR 1=1--"}, ""), ({"value": "12.5"}, ""), ({"value": -3}, ""),
    ],
)  # fmt: skip
def test_properties_are_values_never_sql(api, customer, properties, code):
    answer = api.post("usage_events", event(1, properties=properties))
    if code is None:  # refused before it is looked at: NUL, or nothing where something is needed
        assert answer.status_code in (202, 400)
        assert not UsageEvent.objects.exists()
    else:
        assert [one["code"] for one in answer.json()["rejected"]] == ([code] if code else [])


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("2016-12-31T23:59:60Z", "invalid_timestamp"), ("2026-01-31T09:30:00", "invalid_timestamp"),
        ("2026-01-31", "invalid_timestamp"), (1700000000, "invalid_timestamp"), ("now", "invalid_timestamp"),
        ("2026-13-01T00:00:00Z", "invalid_timestamp"), ("0001-01-01T00:00:00Z", "invalid_timestamp"),
        ("9999-12-31T23:59:59-14:00", "invalid_timestamp"), ("2016-01-01T00:00:00Z", "after_grace_window"),
        ("2199-01-01T00:00:00Z", "timestamp_in_future"), ("2026-01-01T00:00:00+25:00", "invalid_timestamp"),
    ],
)  # fmt: skip
def test_times_are_judged_by_name(api, customer, timestamp, code):
    body = api.post("usage_events", event(1, timestamp=timestamp)).json()
    assert [one["code"] for one in body["rejected"]] == [code]


def test_it_takes_an_event_back(api, customer, code):
    api.post("usage_events", events=[event(1), event(2)])
    assert api.post("usage_events/e-2/void").status_code == 204
    assert api.post("usage_events/e-2/void").status_code == 204
    assert UsageDay.objects.get().total == 1
    assert code(api.post("usage_events/e-9/void")) == (404, "unknown_usage_event")


def test_it_answers_usage_by_day_and_in_total(api, make_customer, clock):
    customer = make_customer(clock)
    for day, value in ((10, 3), (12, 4)):
        api.post("usage_events", event(value, customer=customer.pk, timestamp=f"2026-01-{day}T08:00:00Z"))
    [total] = api.get("usage", customer=customer.pk, meter="api_calls").json()["results"]
    assert total == {"meter": "api_calls", "start": "2026-01-01", "end": "2026-02-01", "quantity": "7"}
    asked = {
        "customer": customer.pk,
        "meter": "api_calls",
        "start": "2026-01-10",
        "end": "2026-01-13",
        "group": "day",
    }
    [by_day] = api.get("usage", **asked).json()["results"]
    assert by_day["days"] == [
        {"day": "2026-01-10", "quantity": "3"},
        {"day": "2026-01-11", "quantity": "0"},
        {"day": "2026-01-12", "quantity": "4"},
    ]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400), ({"customer": "nobody"}, 422), ({"customer": "acme", "meter": "nothing"}, 422),
        ({"customer": "acme", "meter": "api_calls", "start": "2026-02-01", "end": "2026-01-01"}, 400),
        ({"customer": "acme", "meter": "api_calls", "start": "2020-01-01", "end": "2026-01-01"}, 400),
        ({"customer": "acme", "meter": "api_calls", "start": "yesterday"}, 400),
        ({"customer": "acme", "group": "properties->>'x'"}, 400),
        ({"customer": "acme", "group_by": "x"}, 400),
    ],
)  # fmt: skip
def test_it_refuses_what_it_cannot_answer(api, customer, query, status):
    assert api.get("usage", **query).status_code == status


def test_it_shows_usage_against_the_limit(api, make_customer, clock, subscribe):
    customer = make_customer(clock)
    subscribe(customer, plan="starter", quantity=None)
    api.post("usage_events", event(8500, customer=customer.pk))
    [usage] = api.get(f"customers/{customer.pk}/usage").json()["results"]
    assert usage == {
        "meter": "api_calls", "name": "API calls", "unit": "calls", "used": "8500", "limit": "10000",
        "included": "10000", "percent": 85, "period": {"start": "2026-01-15", "end": "2026-02-15"},
    }  # fmt: skip
    found = {
        row["feature"]: row for row in api.get(f"customers/{customer.pk}/entitlements").json()["results"]
    }
    assert found["api_calls"] == {
        "feature": "api_calls",
        "name": "API calls",
        "limit": "10000",
        "used": "8500",
    }
    assert found["seats"]["limit"] == "5"
    assert (found["seats"]["used"], set(found)) == ("0", {"api_calls", "seats"})
    assert "usage.threshold_reached" in [row["type"] for row in api.get("events").json()["results"]]
