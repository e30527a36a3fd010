"""Starts, changes, pauses and ends over the API."""

import pytest

from billing.models import Event, Invoice, PaymentMethod, Seller


@pytest.fixture
def acme(make_customer, clock):
    return make_customer(clock, external_id="acme", country="")


@pytest.fixture
def pro(api, acme):
    return api.post("subscriptions", customer="acme", plan="pro", quantity=3).json()["id"]


def read(api, subscription):
    return api.get(f"subscriptions/{subscription}").json()


def test_it_starts_later_with_all_that_can_be_said(api, acme, clock, advance, books):
    api.post("discounts", code="LAUNCH", percent_off=50, duration="repeating", periods=2)
    made = api.post(
        "subscriptions", customer="acme", plan="pro", quantity=2, start_at="2026-02-01", anchor="calendar",
        discount="launch", contract={"months": 12, "renewal_months": 6}, metadata={"ref": "A-1"},
        po_number="PO-7", trial_days=0,
    )  # fmt: skip
    body = made.json()
    assert (made.status_code, body["status"], body["latest_invoice"]) == (201, "incomplete", None)
    assert body["contract"] == {
        "start": "2026-02-01", "end": "2027-02-01", "auto_renew": True, "renewal_months": 6,
    }  # fmt: skip
    assert body["metadata"] == {"ref": "A-1"}
    assert [phase["discount"] is None for phase in body["phases"]] == [False, True]
    advance(clock, days=20)
    begun = read(api, body["id"])
    assert (begun["status"], begun["mrr"]) == ("active", "29.00")
    assert Invoice.objects.get().total == 2900


def test_a_start_in_the_past_is_billed_up_to_now(api, acme, books):
    made = api.post("subscriptions", customer="acme", plan="pro", start_at="2025-12-01", trial_days=0).json()
    assert (made["status"], made["current_period"]["start"]) == ("active", "2026-01-01")
    assert api.get(f"invoices/{made['latest_invoice']}").json()["total"] == "58.00"


def test_a_trial_ends_when_it_is_said(api, acme):
    made = api.post("subscriptions", customer="acme", plan="pro", trial_end="2026-02-20T08:00:00Z").json()
    assert (made["status"], made["trial_end"]) == ("trialing", "2026-02-20T08:00:00Z")


def test_a_card_named_with_it_is_saved_and_charged(api, acme, fake_stripe, run_jobs):
    made = api.post("subscriptions", customer="acme", plan="pro", payment_method="pm_card_visa", key="once")
    again = api.post("subscriptions", customer="acme", plan="pro", payment_method="pm_card_visa", key="once")
    assert made.content == again.content
    run_jobs()
    assert api.get(f"invoices/{made.json()['latest_invoice']}").json()["status"] == "paid"
    assert PaymentMethod.objects.get().is_default


def test_what_nobody_said_is_paid_as_the_segment_asks(api, acme, code):
    large = {"customer": "acme", "plan": "pro", "quantity": 200}
    assert code(api.post("subscriptions", large | {"collection_method": "charge_automatically"})) == (
        422, "collection_not_allowed",
    )  # fmt: skip
    assert api.post("subscriptions", large).json()["phases"][0]["collection_method"] == "send_invoice"


# -- Changes ----------------------------------------------------------------------------------------------


def test_more_begins_now_and_less_waits(api, pro, clock, advance, books):
    advance(clock, days=10)
    seen = api.post(f"subscriptions/{pro}/changes/preview", quantity=5).json()
    done = api.post(f"subscriptions/{pro}/changes", quantity=5).json()
    assert seen == {**done, "invoice": None}
    assert (done["effective_at"], done["next_invoice"]["date"]) == ("2026-01-25", "2026-02-15")
    less = api.post(f"subscriptions/{pro}/changes", quantity=1).json()
    assert (less["effective_at"], less["total"], less["invoice"]) == ("2026-02-15", "0.00", None)
    assert less["next_invoice"] == {"date": "2026-02-15", "total": "29.00"}
    [waiting] = read(api, pro)["pending_changes"]
    assert (waiting["id"], waiting["quantities"]["seats-month"]) == (less["change"], "1")
    now = api.post(f"subscriptions/{pro}/changes", quantity=2, effective="now").json()
    assert now["effective_at"] == "2026-01-25"


def test_a_change_that_waits_is_removed(api, pro, code, books):
    first = api.post(f"subscriptions/{pro}/changes", plan="starter").json()["change"]
    second = api.post(f"subscriptions/{pro}/changes", anchor=15, effective="2026-04-15").json()["change"]
    assert [one["id"] for one in read(api, pro)["pending_changes"]] == [first, second]
    assert api.delete(f"subscriptions/{pro}/changes/{first}").status_code == 204
    assert code(api.delete(f"subscriptions/{pro}/changes/{first}")) == (404, "no_such_change")
    [left] = read(api, pro)["pending_changes"]
    assert (left["id"], left["plan"]) == (second, "pro")


def test_a_change_without_proration_moves_no_money_today(api, pro, clock, advance, books):
    advance(clock, days=10)
    done = api.post(f"subscriptions/{pro}/changes", quantity=6, proration="none").json()
    assert (done["total"], done["invoice"]) == ("0.00", None)
    advance(clock, days=30)
    assert Invoice.objects.order_by("-issued_at").first().total == 17400


def test_the_billing_day_moves_and_a_discount_comes_and_goes(api, pro, clock, advance, books):
    advance(clock, days=5)
    moved = api.post(f"subscriptions/{pro}/changes", anchor=1).json()
    assert moved["next_invoice"]["date"] == "2026-02-01"
    discount = api.post("discounts", percent_off=10, duration="forever").json()["id"]
    api.post(f"subscriptions/{pro}/changes", discount=discount, effective="2026-02-01T00:00:00Z")
    assert read(api, pro)["pending_changes"][0]["discount"] == discount
    advance(clock, days=30)
    assert read(api, pro)["mrr"] == "78.30"
    api.post(f"subscriptions/{pro}/changes", discount=None)
    assert read(api, pro)["mrr"] == "87.00"


def test_a_change_may_reach_back(api, pro, clock, advance, books):
    advance(clock, days=20)
    done = api.post(f"subscriptions/{pro}/changes", quantity=4, effective="2026-01-15").json()
    assert (done["effective_at"], done["total"]) == ("2026-01-15", "29.00")


@pytest.mark.parametrize(
    ("fields", "status", "name"),
    [
        ({"plan": "enterprise"}, 422, "plan_needs_quote"),
        ({"discount": "NOTHING"}, 422, "unknown_discount"),
        ({"proration": "half"}, 400, "invalid_choice"),
        ({"effective": "someday"}, 400, "invalid_date"),
        ({"effective": "2020-01-01"}, 422, "invalid_date"),
        ({"anchor": 40}, 400, "invalid_anchor"),
        ({"quantity": 3, "quantities": {"seats-month": 3}}, 400, "ambiguous"),
    ],
)
def test_it_refuses_by_name(api, pro, code, fields, status, name):
    for path in ("changes", "changes/preview"):
        assert code(api.post(f"subscriptions/{pro}/{path}", fields)) == (status, name)
    assert read(api, pro)["pending_changes"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"quantity": 3}, "quantity"),
        ({"quantities": {"fee": 2}}, "quantities"),
        ({"quantities": {"calls": 2}}, "quantities"),
    ],
)
def test_it_takes_what_is_sold_as_a_whole_once(api, acme, pro, fields, named):
    api.post("meters", code="calls", name="Calls", event_name="calls", aggregation="sum")
    prices = [
        {"code": "fee", "interval": "month", "amount": "31.00"},
        {"code": "calls", "interval": "month", "amount": "0.10", "meter": "calls"},
    ]
    assert (
        api.post("plans", code="whole", name="Whole", motion="self_serve", prices=prices).status_code == 201
    )
    asked = {"effective": "period_end", **fields}
    starts = api.post("subscriptions", customer=acme.pk, plan="whole", **fields)
    moves = [
        api.post(f"subscriptions/{pro}/{path}", {**asked, "plan": "whole"})
        for path in ("changes", "changes/preview")
    ]
    api.post(f"subscriptions/{pro}/changes", plan="whole", effective="now")
    stays = [api.post(f"subscriptions/{pro}/{path}", asked) for path in ("changes", "changes/preview")]
    for answer in (starts, *moves, *stays):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_quantity")
        assert answer.json()["errors"][0]["field"] == named
    once = {"fee": 1, "calls": 1}
    assert api.post(f"subscriptions/{pro}/changes/preview", quantities=once).json()["lines"] == []


# -- Pauses and ends ----------------------------------------------------------------------------------------


def test_it_pauses_and_resumes(api, pro, clock, advance, code, books):
    advance(clock, days=10)
    paused = api.post(f"subscriptions/{pro}/pause", reason="Winter").json()
    assert paused["credit_to_balance"] == "58.94"
    assert (read(api, pro)["status"], read(api, pro)["mrr"]) == ("paused", "0.00")
    assert code(api.post(f"subscriptions/{pro}/pause")) == (409, "subscription_not_live")
    advance(clock, days=10)
    resumed = api.post(f"subscriptions/{pro}/resume").json()
    assert resumed["total"] == "30.87"
    assert read(api, pro)["status"] == "active"
    assert code(api.post(f"subscriptions/{pro}/resume")) == (409, "subscription_not_paused")


def test_a_pause_ends_on_its_day(api, pro, clock, advance, code, books):
    assert code(api.post(f"subscriptions/{pro}/pause", resume_at="2026-01-15")) == (422, "invalid_date")
    api.post(f"subscriptions/{pro}/pause", resume_at="2026-03-15")
    advance(clock, days=70)
    assert read(api, pro)["status"] == "active"


def test_it_ends_on_a_day_without_credit(api, pro, clock, advance, code, books):
    shown = api.post(
        f"subscriptions/{pro}/cancel",
        effective="2026-02-01",
        credit_unused=False,
        reason="unused",
        comment="Too much",
    ).json()
    assert (shown["cancel_at"], shown["status"]) == ("2026-02-01", "active")
    advance(clock, days=20)
    assert read(api, pro)["status"] == "canceled"
    assert api.get("customers/acme").json()["balance"] == "0.00"
    assert Event.objects.get(type="subscription.canceled").data["reason"] == "unused: Too much"
    assert code(api.post(f"subscriptions/{pro}/cancel")) == (409, "subscription_not_live")


def test_it_answers_in_a_fixed_number_of_statements(api, pro, django_assert_max_num_queries):
    api.post(f"subscriptions/{pro}/changes", quantity=1)
    with django_assert_max_num_queries(5):  # two of them ask what waits for a card
        api.get(f"subscriptions/{pro}")


def test_a_seller_may_let_less_begin_at_once(api, make_customer, subscribe, clock, books):
    subscription = subscribe(make_customer(clock))
    Seller.objects.update(downgrades_at_once=True)
    now = api.post(f"subscriptions/{subscription.pk}/changes/preview", quantity=1).json()
    assert now["effective_at"] == clock.now.date().isoformat()
    assert now["credit_to_balance"] != "0.00"
    later = api.post(
        f"subscriptions/{subscription.pk}/changes/preview", quantity=1, effective="period_end"
    ).json()
    assert later["credit_to_balance"] == "0.00"
