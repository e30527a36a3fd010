"""Events over the API: the feed that a program follows."""

import pytest


@pytest.fixture
def made(api):
    return [api.post("customers", name=f"F{n}", email=f"n{n}@f.example").json()["id"] for n in range(5)]


def test_the_newest_come_first(api, made):
    rows = api.get("events").json()["results"]
    assert [row["customer"] for row in rows] == made[::-1]
    assert rows[0]["type"] == "customer.created"
    assert (rows[0]["object"], rows[0]["sequence"]) == (made[-1], 1)
    assert api.get(f"events/{rows[0]['id']}").json() == rows[0]


def test_a_reader_goes_on_where_it_stopped(api, made):
    first = api.get("events", after=0, limit=2).json()
    assert [row["customer"] for row in first["results"]] == made[:2]
    by_number = api.get("events", after=first["results"][-1]["number"]).json()
    by_id = api.get("events", after=first["results"][-1]["id"]).json()
    assert [row["customer"] for row in by_number["results"]] == made[2:]
    assert by_id["results"] == by_number["results"]
    followed = api.get(first["next"].removeprefix("http://testserver")).json()
    assert [row["customer"] for row in followed["results"]] == made[2:4]
    assert api.get("events", after=by_id["results"][-1]["number"]).json()["results"] == []


def test_it_filters(api, made, code):
    assert len(api.get("events", customer=made[0]).json()["results"]) == 1
    assert api.get("events", type="invoice.paid").json()["results"] == []
    assert code(api.get("events", type="invoice.eaten"))[0] == 400
    assert code(api.get("events", after="evt_" + "0" * 32)) == (422, "unknown_event")
    assert code(api.get("events", after="9" * 40)) == (422, "unknown_event")
    assert code(api.get("events/evt_1")) == (404, "not_found")


def test_it_answers_in_a_fixed_number_of_statements(api, made, django_assert_max_num_queries):
    for limit in (1, 5):
        with django_assert_max_num_queries(3):
            api.get("events", limit=limit)
