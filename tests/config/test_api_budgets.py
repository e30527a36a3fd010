"""How many statements every address that is read takes: a list at most three and a detail at most six besides the key's,
whatever there is. The addresses come from the server's own table, so that a new one cannot escape.
"""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import keys
from billing.api import showing, views
from sales import deals, leads, watching
from tests.config.test_api_access import ROOT, served
from tests.fixtures_billing import NOON

LIST, DETAIL = 3, 6
# What a reader must say.
QUERIES = {"usage": "?customer=acme", "invoices/upcoming": "?subscription={subscription}"}
# Papers are drawn, not read.
DRAWN = ("pdf", "xml")
# What is reckoned, not listed: the terms, periods, then quantities of each meter.
RECKONED = {"usage", "customers/{customer}/usage", "customers/{customer}/entitlements"}


def addresses():
    return sorted({path for method, path in served() if method == "GET" and not path.endswith(DRAWN)})


@pytest.fixture
def more(make_customer, subscribe):
    """Four more of what lists show."""

    def make():
        for n in range(4):
            customer = make_customer(external_id=f"more-{n}")
            subscribe(customer)
            leads.contact(
                name="A", email=f"{n}@more.example", company="A", now=NOON, actor="system", livemode=False
            )
            watching.report(customer=customer, rule="engagement", occurred_at=NOON, now=NOON, actor="system")
            deals.open_deal(name="Acme", customer=customer, now=NOON)

    return make


def statements(client, path, things, secret):
    """(how many, whether it is a list) of reading the address."""
    named = re.sub(r"{(\w+)}", lambda found: things[found[1]], path + QUERIES.get(path, ""))
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(f"{ROOT}/{named}", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, f"{path}: {answer.content[:200]}"
    own = [one["sql"] for one in asked.captured_queries if "billing_apikey" not in one["sql"]]
    return len(own), "results" in answer.json() and path not in RECKONED


def test_every_read_keeps_to_its_statements_at_two_sizes(things, more, no_request_limits):
    client, secret = Client(), keys.issue(name="test", livemode=False, now=NOON)[1]
    small = {path: statements(client, path, things, secret) for path in addresses()}
    more()
    large = {path: statements(client, path, things, secret) for path in addresses()}
    assert len(small) > 30
    over = {path: count for path, (count, listed) in small.items() if count > (LIST if listed else DETAIL)}
    assert over == {}
    grown = {path: (small[path][0], large[path][0]) for path in small if large[path][0] > small[path][0]}
    assert grown == {}


def test_answers_say_what_their_serializers_say(things, more, no_request_limits, monkeypatch):
    client, secret = Client(), keys.issue(name="test", livemode=False, now=NOON)[1]
    more()
    seen = []

    def both(serializer, rows):
        quick, careful = showing.shown(serializer, rows), [serializer(row).data for row in rows]
        seen.append(serializer.__name__)
        assert quick == careful
        assert list(map(list, quick)) == list(map(list, careful))
        return quick

    monkeypatch.setattr(views, "shown", both)
    for path in addresses():
        statements(client, path, things, secret)
    assert len(set(seen)) > 20
