"""Keys: made, used, limited, taken away; and which side of the house they open."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import keys
from billing.models import ApiKey
from tests.fixtures_api import NOON

CUSTOMER = {"name": "Acme", "email": "it@acme.example"}


def test_it_shows_a_key_once_and_keeps_its_hash(db):
    out = StringIO()
    call_command("api_key", "create", "--name", "Shop", "--scope", "read", "--scope", "usage", stdout=out)
    secret = out.getvalue().strip()
    key = ApiKey.objects.get()
    assert secret.startswith("tk_test_")
    assert (key.name, key.scopes, key.livemode) == ("Shop", ["read", "usage"], False)
    assert secret not in [str(value) for value in vars(key).values()]
    assert keys.find(secret, NOON) == key


def test_it_makes_live_keys_only_when_asked(db):
    out = StringIO()
    call_command("api_key", "create", "--name", "Shop", "--live", stdout=out)
    assert out.getvalue().startswith("tk_live_")
    assert ApiKey.objects.get().livemode


def test_it_revokes_at_once(api, code):
    assert api.get("customers").status_code == 200
    call_command("api_key", "revoke", ApiKey.objects.get().prefix, stdout=StringIO())
    assert code(api.get("customers")) == (401, "revoked_key")


def test_it_revokes_only_what_is_named_exactly(db):
    with pytest.raises(CommandError):
        call_command("api_key", "revoke", "tk_test_none")


def test_it_asks_for_a_key(stranger, code, db):
    answer = stranger.get("customers")
    assert code(answer) == (401, "missing_key")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Basic dXNlcjpwYXNz", "Bearer", "Bearer  ", "tk_test_x", "Bearer \xff"]
)
def test_it_refuses_what_is_no_key(stranger, code, db, header):
    stranger.headers = {"Authorization": header}
    assert code(stranger.get("customers"))[0] == 401


def test_it_takes_no_cookies(admin_client):
    assert admin_client.get("/api/v1/customers").status_code == 401


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("read", {"list", "preview"}),
        ("usage", {"send", "usage"}),
        ("portal", {"portal"}),
        ("checkout", set()),
        ("write", {"list", "create", "send", "usage", "portal", "preview"}),
    ],
)
def test_it_allows_what_the_scope_says(catalogue, make_customer, subscribe, make_api, scope, allowed):
    customer = make_customer()
    subscription = subscribe(customer).pk
    key = make_api((scope,))
    asked = {
        "list": key.get("customers"),
        "create": key.post("customers", **CUSTOMER),
        "send": key.post("usage_events", events=[{"id": "1", "customer": "x", "event_name": "y"}]),
        "usage": key.get("usage", customer=customer.pk),
        "portal": key.post("portal_sessions", customer=customer.pk),
        "preview": key.post(f"subscriptions/{subscription}/changes/preview", quantity=5),
    }
    assert {name for name, answer in asked.items() if answer.status_code < 300} == allowed
    refused = [answer.json() for name, answer in asked.items() if name not in allowed]
    assert all(problem["code"] == "scope_missing" for problem in refused)
    assert all(problem["status"] == 403 for problem in refused)


def test_it_notes_use_at_most_once_a_minute(api, time_machine):
    def seen():
        return ApiKey.objects.get().last_used_at

    time_machine.move_to(NOON, tick=False)
    api.get("plans")
    first = seen()
    time_machine.move_to(NOON + timedelta(seconds=59), tick=False)
    api.get("plans")
    assert seen() == first == NOON
    time_machine.move_to(NOON + timedelta(seconds=60), tick=False)
    api.get("plans")
    assert seen() == NOON + timedelta(seconds=60)


# -- Sandbox and live ------------------------------------------------------------------------------


def test_a_sandbox_key_sees_nothing_of_a_live_customer(api, live_api, code):
    live = live_api.post("customers", **CUSTOMER, external_id="acme").json()
    other = api.post("customers", **CUSTOMER, external_id="acme").json()
    assert (live["livemode"], other["livemode"]) == (True, False)
    assert live["id"] != other["id"]
    assert live_api.get("customers/acme").json()["id"] == live["id"]
    assert api.get("customers/acme").json()["id"] == other["id"]
    assert [row["id"] for row in api.get("customers").json()["results"]] == [other["id"]]
    for path in ("", "/timeline", "/members", "/usage", "/entitlements", "/payment_methods"):
        assert code(api.get(f"customers/{live['id']}{path}")) == (404, "not_found")
    assert code(api.patch(f"customers/{live['id']}", name="x")) == (404, "not_found")
    assert code(api.post("subscriptions", customer=live["id"], plan="pro")) == (422, "unknown_customer")
    assert code(api.post("portal_sessions", customer=live["id"])) == (422, "unknown_customer")
    assert code(api.get("invoices", customer=live["id"])) == (422, "unknown_customer")
    assert [row["customer"] for row in api.get("events").json()["results"]] == [other["id"]]


def test_a_live_key_cannot_reach_sandbox_rows_by_id(catalogue, make_customer, subscribe, live_api, code):
    subscription = subscribe(make_customer())
    invoice = subscription.invoices.get()
    for path in (f"subscriptions/{subscription.pk}", f"invoices/{invoice.pk}", f"invoices/{invoice.pk}/pdf"):
        assert code(live_api.get(path)) == (404, "not_found")
    for path in (f"subscriptions/{subscription.pk}/cancel", f"invoices/{invoice.pk}/pay"):
        assert code(live_api.post(path)) == (404, "not_found")
    assert code(live_api.get("invoices/upcoming", subscription=subscription.pk)) == (
        422,
        "unknown_subscription",
    )


def test_usage_of_the_other_side_is_unknown_and_ids_do_not_meet(api, live_api):
    live = live_api.post("customers", **CUSTOMER).json()["id"]
    test = api.post("customers", **CUSTOMER).json()["id"]
    event = {"id": "e-1", "event_name": "api_call", "properties": {"value": 1}}
    assert live_api.post("usage_events", **event, customer=live).json()["accepted"] == 1
    assert (
        api.post("usage_events", **event, customer=live).json()["rejected"][0]["code"] == "unknown_customer"
    )
    assert api.post("usage_events", **event, customer=test).json()["accepted"] == 1


def test_test_clocks_are_for_the_sandbox(live_api, code):
    assert code(live_api.get("test_clocks")) == (403, "sandbox_only")
    assert code(live_api.post("test_clocks", time="2026-01-01T00:00:00Z")) == (403, "sandbox_only")


# -- How many ------------------------------------------------------------------------------------------


def test_it_says_when_to_come_back(api, code, settings, time_machine):
    settings.API_REQUESTS_PER_MINUTE = {"other": 3, "usage": 0}
    time_machine.move_to(NOON + timedelta(seconds=15), tick=False)
    assert [api.get("plans").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = api.get("plans")
    assert code(refused) == (429, "too_many_requests")
    assert refused["Retry-After"] == "46"
    assert api.post("usage_events", events=[{}]).status_code == 202
    time_machine.move_to(NOON + timedelta(seconds=60), tick=False)
    assert api.get("plans").status_code == 200
