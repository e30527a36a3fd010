"""A card customer who signs a quote and is invoiced from the renewal on, as a program sees it that knows the API only."""

from urllib.parse import urlsplit

import pytest
from django.test import Client

START = "2026-01-15T12:00:00Z"
SIGNED = {
    "name": "Ada Noor", "title": "COO", "email": "ada@harbour.example", "po_number": "PO-77", "signature": "Ada Noor",
    "agreed": "on", "version": "1",
}  # fmt: skip


@pytest.fixture
def api(sales_catalogue, make_api):
    return make_api()


@pytest.fixture
def clock(api):
    return api.post("test_clocks", time=START).json()["id"]


@pytest.fixture
def subscription(api, clock, fake_stripe, run_jobs):
    """Six seats of Pro by the month, paid by card on the clock's first day."""
    api.post(
        "customers", name="Harbour Works", email="it@harbour.example", external_id="harbour", test_clock=clock
    )
    api.post("customers/harbour/payment_methods", payment_method="pm_card_visa")
    made = api.post("subscriptions", customer="harbour", plan="pro", quantity=6).json()
    run_jobs()
    return made["id"]


@pytest.fixture
def quote(api, subscription, rita, run_jobs):
    """Of Enterprise from the end of the paid month on, sent."""
    terms = {"plan": "enterprise", "interval": "year", "quantity": 50, "term_months": 12, "net_days": 45}
    made = api.post("quotes", customer="harbour", starts="period_end", owner=rita.email, **terms).json()
    sent = api.post(f"quotes/{made['id']}/send").json()
    run_jobs()
    return sent


def papers(api):
    """Oldest first: (when it was issued, how it is collected, its status and what is due)."""
    rows = reversed(api.get("invoices", customer="harbour").json()["results"])
    return [(r["issued_at"][:10], r["collection_method"], r["status"], r["amount_due"]) for r in rows]


def phases(api, subscription):
    rows = api.get(f"subscriptions/{subscription}").json()["phases"]
    return [(r["start"], r["end"], r["plan"], r["collection_method"]) for r in rows]


def types(api):
    return [event["type"] for event in api.get("events", after=0, limit=100).json()["results"]]


def test_a_signed_quote_takes_over_at_the_end_of_what_is_paid(
    api, clock, subscription, quote, fake_stripe, run_jobs, books
):
    assert papers(api) == [("2026-01-15", "charge_automatically", "paid", "0.00")]
    address = urlsplit(quote["url"]).path
    buyer = Client()
    assert [buyer.post(f"{address}accept/", SIGNED).status_code for _ in range(2)] == [302, 409]
    run_jobs()
    assert api.get(f"quotes/{quote['id']}").json()["state"] == "accepted"
    assert phases(api, subscription) == [
        ("2026-01-15", "2026-02-15", "pro", "charge_automatically"),
        ("2026-02-15", None, "enterprise", "send_invoice"),
    ]
    assert len(papers(api)) == 1
    charged = len(fake_stripe.rows("charge"))
    api.post(f"test_clocks/{clock}/advance", to="2026-02-16T12:00:00Z")
    run_jobs()
    [planned] = quote["schedule"]
    assert papers(api)[1:] == [(planned["date"], "send_invoice", "open", planned["total"])]
    assert len(fake_stripe.rows("charge")) == charged
    read = api.get(f"quotes/{quote['id']}").json()
    assert (read["state"], read["subscription"]) == ("converted", subscription)
    [newest, _] = api.get("invoices", customer="harbour").json()["results"]
    assert (newest["motion"], newest["due_at"][:10]) == ("sales_led", "2026-04-01")
    told = types(api)
    assert [told.count(f"quote.{name}") for name in ("sent", "accepted", "converted")] == [1, 1, 1]
    assert told.count("subscription.converted_to_invoice") == 1
    # No draft, no word of one.
    assert (told.count("invoice.finalized"), told.count("invoice.created")) == (2, 0)
    books()


def test_a_task_that_a_colleague_takes_becomes_theirs_with_its_customer(
    api, clock, subscription, rita, staff
):
    api.post("signals", customer="harbour", rule="demo_requested")
    [task] = api.get("handoff_tasks", customer="harbour", status="open").json()["results"]
    assert task["owner"]["email"] == rita.email
    other = staff("olga")
    taken = api.post(f"handoff_tasks/{task['id']}/accept", by=other.email).json()
    assert (taken["status"], taken["owner"]["email"]) == ("accepted", other.email)
    assert api.get("handoff_tasks", owner=rita.email).json()["results"] == []
    assert [row["id"] for row in api.get("handoff_tasks", owner=other.email).json()["results"]] == [
        task["id"]
    ]
    [said] = api.get("events", type="handoff.accepted").json()["results"]
    assert said["data"]["owner"] == said["actor"] == f"user:{other.pk}"
    before = papers(api)
    api.post(f"handoff_tasks/{task['id']}/complete", outcome="lost", note="Not now")
    assert papers(api) == before
    assert types(api)[-1] == "handoff.lost"
