"""Customers over the API."""

import pytest

from billing.models import Customer, Event, Member

ACME = {"name": "Acme GmbH", "email": "it@acme.example"}


def test_it_creates_a_customer_with_what_follows_from_its_fields(api):
    made = api.post("customers", **ACME, external_id="a-1", country="DE", metadata={"tier": "gold"})
    assert made.status_code == 201
    body = made.json()
    assert body["id"].startswith("cus_")
    assert (body["domain"], body["currency"], body["timezone"]) == ("acme.example", "USD", "UTC")
    assert (body["segment"], body["motion"], body["mrr"], body["balance"]) == (
        "smb",
        "self_serve",
        "0.00",
        "0.00",
    )
    event = Event.objects.get(type="customer.created")
    assert event.actor.startswith("key:tk_test_")
    assert event.customer_id == body["id"]


def test_it_reads_one_by_id_and_by_external_id(api):
    made = api.post("customers", **ACME, external_id="a-1").json()
    assert api.get(f"customers/{made['id']}").json() == made
    assert api.get("customers/a-1").json() == made


def test_it_answers_404_for_what_does_not_exist(api, code):
    for ref in ("nobody", "cus_" + "0" * 32, "cus_xyz", "sub_" + "0" * 32, "%00", "'%20OR%201=1--"):
        assert code(api.get(f"customers/{ref}")) == (404, "not_found")


def test_it_changes_what_is_given_and_nothing_else(api):
    made = api.post("customers", **ACME, employees=12).json()
    changed = api.patch(f"customers/{made['id']}", name="Acme AG", employees=None).json()
    assert changed == {**made, "name": "Acme AG", "employees": None}
    assert Event.objects.get(type="customer.updated").data["before"] == {"name": "Acme GmbH", "employees": 12}


def test_it_refuses_unknown_fields_by_name_and_writes_nothing(api):
    answer = api.post("customers", **ACME, is_staff=True, balance=100000)
    assert answer.status_code == 400
    found = {error["field"]: error["code"] for error in answer.json()["errors"]}
    assert found == {"is_staff": "unknown_field", "balance": "unknown_field"}
    assert not Customer.objects.exists()


def test_it_refuses_unknown_fields_inside_an_address(api):
    answer = api.post("customers", **ACME, billing_address={"line1": "1 Road", "planet": "Mars"})
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [
        ("billing_address.planet", "unknown_field")
    ]


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("name", 5, 400), ("name", "", 400), ("name", None, 400), ("email", "nobody", 422),
        ("currency", "XXX", 422), ("timezone", "Mars/Olympus", 422), ("country", "ZZ", 422),
        ("net_days", 31, 422), ("employees", -1, 400), ("employees", "many", 400), ("metadata", ["a"], 400),
        ("metadata", {"a": 1}, 400), ("external_id", 7, 400),
        ("domain", "acme", 422), ("billing_address", "here", 400),
        ("test_clock", "clk_1", 422), ("collection_method", "barter", 400),
    ],
)  # fmt: skip
def test_it_names_the_field_that_is_wrong(api, field, value, status):
    answer = api.post("customers", **{**ACME, field: value})
    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert not Customer.objects.exists()


def test_it_refuses_an_external_id_that_is_taken(api, code):
    api.post("customers", **ACME, external_id="a-1")
    assert code(api.post("customers", **ACME, external_id="a-1")) == (409, "external_id_taken")


def test_an_external_id_is_never_taken_for_an_id(api, code):
    first = api.post("customers", **ACME).json()["id"]
    second = api.post("customers", **ACME, external_id=f"{first}x").json()["id"]
    for answer in (
        api.post("customers", **ACME, external_id=first),
        api.patch(f"customers/{second}", external_id=first),
    ):
        assert code(answer) == (422, "invalid_value")
        assert answer.json()["errors"][0]["field"] == "external_id"
    assert Customer.objects.count() == 2
    assert api.get(f"customers/{first}x").json()["id"] == second


def test_it_filters_the_list(api):
    for n in range(3):
        api.post("customers", name=f"Firm {n}", email=f"n{n}@firm{n}.example", external_id=f"e{n}")
    named = lambda **query: [row["name"] for row in api.get("customers", **query).json()["results"]]  # noqa: E731
    assert named() == ["Firm 2", "Firm 1", "Firm 0"]
    assert named(email="N1@FIRM1.example") == ["Firm 1"]
    assert named(external_id="e2") == ["Firm 2"]
    assert named(q="firm0.ex") == ["Firm 0"]
    assert named(segment="enterprise") == []
    assert named(email="%27%20OR%201%3D1--") == []


def test_it_adds_lists_and_removes_members(api, code):
    customer = api.post("customers", **ACME).json()["id"]
    owner = api.post(f"customers/{customer}/members", email="ann@acme.example", role="owner").json()
    guest = api.post(f"customers/{customer}/members", email="bob@acme.example", name="Bob").json()
    assert (owner["role"], guest["role"], guest["name"]) == ("owner", "viewer", "Bob")
    assert [m["id"] for m in api.get(f"customers/{customer}/members").json()["results"]] == [
        guest["id"],
        owner["id"],
    ]
    again = api.post(f"customers/{customer}/members", email="ANN@acme.example")
    assert code(again) == (409, "already_member")
    assert code(api.delete(f"customers/{customer}/members/{owner['id']}")) == (409, "last_owner")
    assert api.delete(f"customers/{customer}/members/{guest['id']}").status_code == 204
    assert code(api.delete(f"customers/{customer}/members/{guest['id']}")) == (404, "not_found")
    assert Member.objects.get(pk=guest["id"]).removed_at is not None


def test_it_tells_everything_that_happened_newest_first(api):
    customer = api.post("customers", **ACME).json()["id"]
    api.patch(f"customers/{customer}", name="Acme AG")
    api.post(f"customers/{customer}/members", email="ann@acme.example", role="owner")
    told = [row["type"] for row in api.get(f"customers/{customer}/timeline").json()["results"]]
    assert told == ["member.added", "customer.updated", "customer.created"]


def test_it_answers_in_a_fixed_number_of_statements(api, django_assert_max_num_queries):
    for n in range(30):
        api.post("customers", name=f"Firm {n}", email=f"n{n}@firm.example")
    for limit in (2, 30):
        with django_assert_max_num_queries(3):
            assert len(api.get("customers", limit=limit).json()["results"]) == limit
    one = Customer.objects.first().pk
    with django_assert_max_num_queries(6):
        api.get(f"customers/{one}")


def test_it_switches_how_the_customer_pays_or_says_why_not(api, make_customer, clock, code):
    small = make_customer(clock).pk
    refused = api.patch(f"customers/{small}", name="Not renamed", collection_method="send_invoice")
    assert code(refused) == (422, "collection_not_allowed")
    assert api.get(f"customers/{small}").json()["name"] != "Not renamed"
    large = api.post("subscriptions", customer=make_customer(clock).pk, plan="pro", quantity=40).json()
    path = f"customers/{large['customer']}"
    switched = api.patch(path, name="Renamed", collection_method="send_invoice").json()
    assert (switched["name"], switched["collection_method"]) == ("Renamed", "send_invoice")
    assert api.get(f"subscriptions/{large['id']}").json()["phases"][-1]["collection_method"] == "send_invoice"
    assert api.patch(path, collection_method="send_invoice").status_code == 200
    assert code(api.patch(path, collection_method="charge_automatically")) == (422, "card_missing")


def test_one_without_papers_is_deleted(api, code):
    made = api.post("customers", **ACME, external_id="a-1").json()["id"]
    assert api.delete(f"customers/{made}").status_code == 204
    assert code(api.get(f"customers/{made}")) == (404, "not_found")
    assert code(api.delete("customers/a-1")) == (404, "not_found")
    assert api.get("customers").json()["results"] == []
    event = {"id": "e-1", "customer": made, "event_name": "api_call", "properties": {"value": 1}}
    assert api.post("usage_events", event).json()["rejected"][0]["code"] == "unknown_customer"


def test_one_with_papers_is_kept(api, make_customer, subscribe, code):
    customer = make_customer()
    subscribe(customer)
    assert code(api.delete(f"customers/{customer.pk}")) == (409, "customer_has_papers")


def test_an_id_of_the_sellers_own_with_a_slash_works_everywhere_but_in_an_address(api, make_customer, code):
    customer = make_customer(external_id="eu/acme")
    assert code(api.get("customers/eu%2Facme")) == (404, "not_found")
    found = api.get("customers", external_id="eu/acme").json()["results"]
    assert [row["id"] for row in found] == [customer.pk]
    deal = api.post("deals", name="Acme", customer="eu/acme").json()
    assert deal["customer"] == customer.pk
    assert api.get(f"customers/{found[0]['id']}").json()["external_id"] == "eu/acme"
