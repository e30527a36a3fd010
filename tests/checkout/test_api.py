"""Checkout sessions over the API."""

import pytest

from checkout.models import CheckoutSession

URLS = {"success_url": "https://app.example/done", "cancel_url": "https://app.example/back"}


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.example"]


def test_a_checkout_key_makes_and_ends_a_session(catalogue, make_api, code):
    key = make_api(("checkout", "read"))
    made = key.post(
        "checkout_sessions", plan="pro", quantity=3, email="a@acme.example", metadata={"n": "1"}, **URLS
    )
    body = made.json()
    assert (made.status_code, body["status"], body["plan"], body["quantity"]) == (201, "open", "pro", 3)
    assert "/checkout/" in body["url"]
    assert (body["customer"], body["subscription"], body["metadata"]) == (None, None, {"n": "1"})
    assert key.get(f"checkout_sessions/{body['id']}").json() == body
    assert key.get("checkout_sessions", status="open").json()["results"] == [body]
    assert key.post(f"checkout_sessions/{body['id']}/expire").json()["status"] == "expired"
    assert code(key.post(f"checkout_sessions/{body['id']}/expire")) == (409, "session_not_open")
    assert CheckoutSession.objects.get().origin == "api"


def test_one_for_a_customer_is_in_its_currency(api, make_customer, subscribe, code):
    customer = make_customer(currency="EUR", external_id="acme")
    assert api.post("checkout_sessions", plan="pro", customer="acme", **URLS).json()["currency"] == "EUR"
    subscribe(customer)
    again = api.post("checkout_sessions", plan="pro", customer="acme", **URLS)
    assert code(again) == (409, "already_subscribed")


@pytest.mark.parametrize(
    ("fields", "status", "code_"),
    [
        ({"plan": "enterprise"}, 422, "plan_needs_quote"),
        ({"plan": "business"}, 422, "plan_needs_demo"),
        ({"plan": "gold"}, 422, "unknown_plan"),
        ({"success_url": "https://evil.example/"}, 422, "redirect_not_allowed"),
        ({"cancel_url": "javascript:alert(1)"}, 422, "redirect_not_allowed"),
        ({"interval": "week"}, 400, "invalid_choice"),
        ({"quantity": 0}, 422, "invalid_quantity"),
        ({"quantity": 10**9}, 422, "invalid_quantity"),
        ({"plan": "starter", "quantity": 5}, 422, "invalid_quantity"),
        ({"trial_days": 1000}, 422, "invalid_trial"),
        ({"email": "x"}, 422, "invalid_email"),
        ({"currency": "XXQ"}, 422, "unknown_currency"),
        ({"price": "0.01"}, 400, "unknown_field"),
    ],
)
def test_it_refuses_by_name(api, code, fields, status, code_):
    assert code(api.post("checkout_sessions", **{"plan": "pro", **URLS, **fields})) == (status, code_)
    assert not CheckoutSession.objects.exists()


def test_the_other_side_does_not_see_it(api, live_api, code):
    made = api.post("checkout_sessions", plan="pro", **URLS).json()["id"]
    assert code(live_api.get(f"checkout_sessions/{made}")) == (404, "not_found")
    assert code(live_api.post(f"checkout_sessions/{made}/expire")) == (404, "not_found")
