"""Leads, signals, handoff tasks and deals over the API."""

import pytest

from billing.models import Event
from sales import leads
from sales.models import Deal, HandoffTask, Lead, Quote, Signal
from tests.fixtures_billing import NOON

ADA = {"name": "Ada Noor", "email": "ada@harbour.example", "company": "Harbour Works"}


@pytest.fixture
def api(sales_catalogue, make_api):
    return make_api()


@pytest.fixture
def acme(make_customer):
    return make_customer(external_id="acme")


def test_a_lead_gets_an_owner_and_a_task(api, rita, code):
    made = api.post("leads", **ADA, employees=120, demo_wanted=True, plan="enterprise")
    body = made.json()
    assert (made.status_code, body["status"], body["source"]) == (201, "open", "api")
    assert body["owner"]["email"] == rita.email
    assert api.get(f"leads/{body['id']}").json() == body
    assert api.get("leads", email="ADA@harbour.example").json()["results"] == [body]
    [task] = api.get("handoff_tasks").json()["results"]
    assert (task["lead"], task["status"]) == (body["id"], "open")
    assert code(api.post("leads", **{**ADA, "email": "x"})) == (422, "invalid_email")


def test_the_other_side_sees_neither_lead_nor_task(api, rita, make_api, code):
    lead = api.post("leads", **ADA).json()["id"]
    task = HandoffTask.objects.get().pk
    live = make_api(livemode=True)
    for path in (f"leads/{lead}", f"handoff_tasks/{task}"):
        assert code(live.get(path)) == (404, "not_found")
    assert live.get("leads").json()["results"] == live.get("handoff_tasks").json()["results"] == []


def test_a_reported_signal_raises_a_task_that_is_worked_on(api, rita, acme, code):
    made = api.post("signals", customer="acme", rule="engagement", evidence={"score": 82})
    assert made.status_code == 201
    signal = made.json()
    assert (signal["rule"], signal["evidence"], signal["status"]) == ("engagement", {"score": 82}, "open")
    api.post("signals", customer="acme", rule="demo_requested")
    [task] = api.get("handoff_tasks", customer="acme").json()["results"]
    assert api.get(f"signals/{signal['id']}").json()["handoff_task"] == task["id"]
    taken = api.post(f"handoff_tasks/{task['id']}/accept", note="On Monday").json()
    assert (taken["status"], taken["owner"]["email"], taken["note"]) == ("accepted", rita.email, "On Monday")
    assert code(api.post(f"handoff_tasks/{task['id']}/accept")) == (409, "illegal_move")
    done = api.post(f"handoff_tasks/{task['id']}/complete", outcome="won", note="Signed").json()
    assert (done["status"], done["note"]) == ("won", "Signed")
    assert code(api.post(f"handoff_tasks/{task['id']}/return")) == (409, "illegal_move")


def test_facts_below_the_rule_are_no_signal_yet(api, acme, rita):
    low = api.post("signals", customer="acme", rule="engagement", evidence={"score": 20})
    assert (low.status_code, low.json()) == (202, {"signal": None})
    look = {"customer": "acme", "rule": "enterprise_features", "evidence": {"feature": "sso"}}
    assert api.post("signals", look).status_code == 202
    assert api.post("signals", look).status_code == 201
    assert Event.objects.filter(type="feature.viewed").count() == 2


def test_a_dismissed_signal_counts_no_longer(api, acme, rita, code):
    signal = api.post("signals", customer="acme", rule="engagement").json()["id"]
    shown = api.post(f"signals/{signal}/dismiss", reason="A test account").json()
    assert (shown["status"], shown["dismissed_reason"]) == ("dismissed", "A test account")
    assert code(api.post(f"signals/{signal}/dismiss")) == (409, "illegal_move")
    assert code(api.post("signals", customer="acme", rule="luck")) == (422, "unknown_rule")
    assert Signal.objects.count() == 1


def test_deals_are_opened_and_listed(api, acme, rita, code):
    made = api.post("deals", name="Acme: Enterprise", customer="acme", amount="48000.00", owner=rita.email)
    body = made.json()
    assert (made.status_code, body["amount"], body["currency"], body["stage"]) == (
        201, "48000.00", "USD", "discovery",
    )  # fmt: skip
    assert api.get(f"deals/{body['id']}").json() == body
    assert api.get("deals", customer="acme", stage="discovery").json()["results"] == [body]
    assert code(api.post("deals", name="Nobody's")) == (422, "customer_or_lead")
    assert code(api.post("deals", name="A", customer="acme", amount="-1.00")) == (422, "invalid_amount")
    assert code(api.post("deals", name="A", customer="acme", owner="nobody@x.example")) == (
        422,
        "unknown_user",
    )


def test_deals_and_quotes_are_on_the_side_of_the_buyer(api, acme, make_customer, make_api):
    """Of a lead as well, and when it has become a customer."""
    live = make_api(livemode=True)
    lead = live.post("leads", **ADA).json()["id"]
    terms = {"plan": "enterprise", "quantity": 50}
    made = [
        key.post("quotes", {**terms, **buyer}).json()
        for key, buyer in ((api, {"customer": "acme"}), (live, {"lead": lead}))
    ]
    leads.convert(
        lead=Lead.objects.get(), customer=make_customer(None, livemode=True), now=NOON, actor="system"
    )
    for model in (Deal, Quote):
        model.objects.update(livemode=True)
    for key, own in ((api, made[0]), (live, made[1])):
        assert [row["id"] for row in key.get("quotes").json()["results"]] == [own["id"]]
        assert [row["id"] for row in key.get("deals").json()["results"]] == [own["deal"]]


def test_lists_take_a_fixed_number_of_statements(api, acme, rita, django_assert_max_num_queries):
    for n in range(3):
        api.post("deals", name=f"Deal {n}", customer="acme")
        api.post("leads", **{**ADA, "email": f"a{n}@harbour.example"})
        api.post("signals", customer="acme", rule="engagement", occurred_at=f"2026-01-0{n + 1}T00:00:00Z")
    for path in ("deals", "leads", "signals", "handoff_tasks"):
        for limit in (1, 3):
            with django_assert_max_num_queries(3):
                api.get(path, limit=limit)
