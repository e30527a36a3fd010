"""Events over the API: the feed that a program follows."""

import threading

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


@pytest.mark.django_db(transaction=True)
def test_it_holds_back_what_an_open_transaction_may_yet_get_in_front_of(api, make_customer):
    """A number that is taken first and committed last must not be passed by a reader."""
    from django.db import connections, transaction

    first = make_customer()
    at = api.get("events", after=0).json()["results"][-1]["number"]
    taken, end = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            make_customer()
            taken.set()
            end.wait(10)
        connections.close_all()

    writer = threading.Thread(target=slow)
    writer.start()
    assert taken.wait(10)
    third = make_customer()
    assert api.get("events", after=at).json()["results"] == []
    end.set()
    writer.join()
    seen = [row["customer"] for row in api.get("events", after=at).json()["results"]]
    assert len(seen) == 2
    assert (seen[1], first.pk in seen) == (third.pk, False)
