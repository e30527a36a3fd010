"""Cursor pages: nothing is seen twice, nothing is missed, while rows are added."""

from urllib.parse import quote

import pytest
from django.db import connection

from billing.models import Customer, Event, Subscription
from billing.models.ids import uuid7
from sales.models import Deal, HandoffTask, Rule, Signal
from tests.fixtures_billing import NOON


@pytest.fixture
def firms(api):
    Customer.objects.bulk_create([Customer(name=f"Firm {n}", email=f"n{n}@firm.example") for n in range(10)])
    return [f"Firm {n}" for n in reversed(range(10))]


def names(answer):
    return [row["name"] for row in answer.json()["results"]]


def follow(api, url):
    return api.get(url.removeprefix("http://testserver"))


def test_it_goes_forward_and_back(api, firms):
    first = api.get("customers", limit=4)
    second = follow(api, first.json()["next"])
    third = follow(api, second.json()["next"])
    assert names(first) + names(second) + names(third) == firms
    assert first.json()["previous"] is None
    assert third.json()["next"] is None
    back = follow(api, third.json()["previous"])
    assert names(back) == names(second)
    assert names(follow(api, back.json()["previous"])) == names(first)
    assert follow(api, back.json()["previous"]).json()["previous"] is None
    assert names(follow(api, back.json()["next"])) == names(third)


def test_a_page_stays_what_it_was_while_rows_are_added(api, firms):
    second = api.get("customers", limit=4).json()["next"]
    Customer.objects.create(name="Newcomer", email="new@firm.example")
    assert names(follow(api, second)) == firms[4:8]
    assert names(api.get("customers", limit=1)) == ["Newcomer"]


def test_it_keeps_the_filters_on_the_way(api, firms):
    Customer.objects.filter(name__in=firms[::2]).update(domain="even.example")
    page = api.get("customers", limit=2, q="even.example")
    assert names(page) + names(follow(api, page.json()["next"])) == firms[::2][:4]


def test_an_empty_list_has_no_neighbours(api):
    assert api.get("customers").json() == {"results": [], "next": None, "previous": None}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "1.5", ""])
def test_the_limit_is_from_1_to_100(api, limit):
    answer = api.get("customers", limit=limit)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["nonsense", "%00", "K2N1c18x", "LWFiYw", "K9", "KyU", "x" * 200])
def test_a_cursor_is_ours_or_refused(api, code, cursor):
    assert api.get("customers", cursor=cursor).status_code == 400


def test_a_cursor_of_another_list_is_refused(api, firms, make_customer, code):
    make_customer()
    events = api.get("events", limit=1).json()
    assert events["next"] is None
    cursor = api.get("customers", limit=1).json()["next"].partition("cursor=")[2]
    assert code(api.get("events", cursor=cursor)) == (400, "invalid_cursor")


def test_it_names_the_next_page_by_an_address_that_can_be_followed(api, make_customer, subscribe):
    """Whatever characters the customer's own id and the query have."""
    customer = make_customer(external_id="a b?c#dé%2F")
    subscribe(customer)
    address = f"customers/{quote(customer.external_id, safe='')}/timeline"
    first = api.get(address, limit=1).json()
    assert [len(follow(api, first["next"]).json()["results"]), len(first["results"])] == [1, 1]
    Customer.objects.bulk_create([Customer(name=f"R&D é {n}", email=f"n{n}@x.example") for n in range(3)])
    found = api.get("customers", q=quote("R&D é"), limit=2).json()
    assert names(follow(api, found["next"])) == ["R&D é 0"]


@pytest.mark.django_db
def test_the_sandbox_is_read_without_what_is_live():
    """However many live rows were written since its last one."""
    told = {
        "type": "invoice.paid",
        "actor": "system",
        "at": NOON,
        "data": {},
        "sequence": 1,
        "livemode": True,
    }
    Event.objects.bulk_create(Event(id=uuid7(), object_id=f"inv_{n}", **told) for n in range(500))
    Customer.objects.bulk_create(
        Customer(name="Live", email=f"a{n}@firm.example", livemode=True) for n in range(500)
    )
    live = list(Customer.objects.all())
    terms = {
        "motion": "self_serve",
        "origin": "api",
        "currency": "USD",
        "start_on": NOON.date(),
        "started_at": NOON,
    }
    Subscription.objects.bulk_create(Subscription(customer=each, **terms) for each in live)
    Deal.objects.bulk_create(Deal(customer=each, name="Live") for each in live)
    rule = Rule.objects.create(code="live", name="Live", action="None")
    Signal.objects.bulk_create(
        Signal(customer=each, rule=rule, weight="low", sentence="Live", occurred_at=NOON, dedupe_key=each.pk)
        for each in live
    )
    HandoffTask.objects.bulk_create(
        HandoffTask(customer=each, due_on=NOON.date(), reason="Live") for each in live
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "analyze billing_event, billing_customer, billing_subscription, sales_deal, sales_signal, sales_handofftask"
        )
    for model, key, index in (
        (Event, "-number", "event_in_sandbox"),
        (Customer, "-pk", "customer_in_sandbox"),
        (Subscription, "-pk", "subscription_in_sandbox"),
        (Deal, "-pk", "deal_in_sandbox"),
        (Signal, "-pk", "signal_in_sandbox"),
        (HandoffTask, "-pk", "task_in_sandbox"),
    ):
        assert index in model.objects.filter(livemode=False).order_by(key)[:26].explain()
