"""What a key changes over the API is a fact with the name of the key, whatever it is about."""

import json
import re

import pytest
from django.db import transaction
from django.test import Client

from billing import keys
from billing.models import Event
from tests.fixtures_billing import NOON

# Beside what the tests of each thing look at: what is sold, what is taken back.
CHANGES = [
    ("POST", "meters", "meter.created", {"code": "gb", "event_name": "stored", "aggregation": "sum"}),
    ("POST", "plans", "plan.created", {"code": "gold", "name": "Gold", "motion": "self_serve"}),
    ("PATCH", "plans/pro", "plan.updated", {"rank": 7}),
    ("POST", "plans/pro/prices", "plan.updated", {"code": "extra", "amount": "5"}),
    ("POST", "plans/pro/archive", "plan.archived", {}),
    ("POST", "discounts", "discount.created", {"percent_off": 5}),
    ("POST", "tax_rates", "tax_rate.created", {"name": "VAT", "percentage": "21", "country": "NL"}),
    ("POST", "usage_events/used-1/void", "usage.voided", {}),
    ("POST", "deals", "deal.created", {"name": "More", "customer": "acme"}),
    ("PATCH", "quotes/{quote}", "quote.updated", {"quantity": 9}),
    ("POST", "quotes/{quote}/options", "quote.created", {"quantity": 9}),
    ("POST", "portal_sessions", "portal_session.created", {"customer": "acme"}),
    ("POST", "webhook_endpoints", "webhook_endpoint.created", {"url": "https://8.8.4.4/hook?secret=1"}),
    ("PATCH", "webhook_endpoints/{endpoint}", "webhook_endpoint.updated", {"url": "https://8.8.4.4/"}),
    ("PATCH", "webhook_endpoints/{endpoint}", "webhook_endpoint.updated", {"enabled": False}),
    ("POST", "webhook_endpoints/{endpoint}/rotate_secret", "webhook_endpoint.secret_rotated", {}),
    (
        "POST",
        "webhook_endpoints/{endpoint}/replay",
        "webhook_endpoint.replayed",
        {"since": "2020-01-01T00:00:00Z"},
    ),
    ("POST", "webhook_endpoints/{endpoint}/deliveries/{delivery}/redeliver", "webhook_endpoint.replayed", {}),
    ("DELETE", "webhook_endpoints/{endpoint}", "webhook_endpoint.deleted", None),
    ("POST", "test_clocks", "test_clock.created", {"time": "2026-01-01T00:00:00Z"}),
    ("POST", "test_clocks/{clock}/advance", "test_clock.advanced", {"to": "2027-01-01T00:00:00Z"}),
    ("DELETE", "test_clocks/{clock}", "test_clock.deleted", None),
]


@pytest.fixture
def key(things):
    return keys.issue(name="test", livemode=False, now=NOON)


def changed(key, method, path, body):
    """The facts that one request leaves, which is undone."""
    last = Event.objects.latest("number").number
    with transaction.atomic():
        answer = Client().generic(
            method, f"/api/v1/{path}", body, "application/json", headers={"Authorization": f"Bearer {key[1]}"}
        )
        assert answer.status_code < 300, answer.content
        found = list(Event.objects.filter(number__gt=last).values_list("type", "actor", "livemode"))
        transaction.set_rollback(True)
    return found


def test_what_a_key_changes_is_a_fact_with_its_name(things, key, no_request_limits):
    for method, path, fact, body in CHANGES:
        path = re.sub(r"{(\w+)}", lambda found: things[found[1]], path)
        assert (fact, key[0].actor, False) in changed(
            key, method, path, json.dumps(body) if body is not None else ""
        ), path


def test_a_draft_that_is_thrown_away_leaves_a_fact(things, key, no_request_limits, make_api):
    line = {"description": "Workshop", "unit_amount": "250.00"}
    draft = make_api().post("invoices", customer="acme", lines=[line]).json()["id"]
    assert changed(key, "DELETE", f"invoices/{draft}", "") == [("invoice.deleted", key[0].actor, False)]


def test_what_is_sold_is_said_on_the_side_of_the_key(things):
    live = keys.issue(name="live", livemode=True, now=NOON)
    body = json.dumps({"percent_off": 5})
    assert changed(live, "POST", "discounts", body) == [("discount.created", live[0].actor, True)]
