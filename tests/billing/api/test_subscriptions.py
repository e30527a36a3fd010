"""Subscriptions over the API: started, previewed, changed, ended."""

import pytest

from billing.models import Event, Invoice, Seller, Subscription


@pytest.fixture
def customer(make_customer, clock):
    return make_customer(clock)


@pytest.fixture
def pro(api, customer):
    return api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3).json()


def test_it_starts_and_bills_the_first_period(api, customer, books):
    answer = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3)
    body = answer.json()
    assert answer.status_code == 201
    assert (body["status"], body["motion"], body["origin"]) == ("active", "self_serve", "api")
    assert (body["mrr"], body["arr"], body["currency"]) == ("87.00", "1044.00", "USD")
    assert body["current_period"] == {"start": "2026-01-15", "end": "2026-02-15"}
    [phase] = body["phases"]
    assert (phase["plan"], phase["quantities"], phase["end"]) == ("pro", {"seats-month": "3"}, None)
    assert body["pending_changes"] == []
    assert Invoice.objects.get(pk=body["latest_invoice"]).subtotal == 8700
    assert Event.objects.get(type="subscription.created").actor.startswith("key:")


def test_it_takes_an_external_id_and_quantities_by_price(api, make_customer):
    make_customer(external_id="acme")
    made = api.post(
        "subscriptions", customer="acme", plan="pro", interval="year", quantities={"seats-year": "4"}
    )
    assert made.json()["phases"][0]["quantities"] == {"seats-year": "4"}


def test_the_same_key_starts_one(api, customer):
    first = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3, key="k")
    again = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3, key="k")
    assert again.content == first.content
    assert Subscription.objects.count() == Invoice.objects.count() == 1


def test_a_whole_number_may_be_written_with_a_point(api, customer):
    body = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3.0, anchor=1.0).json()
    assert "3" in body["phases"][0]["quantities"].values()
    assert body["current_period"]["end"] == "2026-02-01"


def test_a_first_period_that_is_shorter_begins_with_the_subscription(api, customer):
    body = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=1, anchor=20).json()
    assert body["current_period"] == {"start": "2026-01-15", "end": "2026-01-20"}


def test_who_pays_by_invoice_is_not_quietly_charged_by_card(api, make_customer, clock, code):
    """Not even with a reason to allow invoices that nobody asked for again."""
    customer = make_customer(clock, collection_method="send_invoice").pk
    small = {"customer": customer, "plan": "pro", "quantity": 1}
    assert code(api.post("subscriptions", small)) == (422, "collection_not_allowed")
    agreed = api.post("subscriptions", {**small, "payment_rule_override": "agreed"}).json()
    assert agreed["phases"][0]["collection_method"] == "send_invoice"
    by_card = api.post("subscriptions", {**small, "collection_method": "charge_automatically"}).json()
    assert by_card["phases"][0]["collection_method"] == "charge_automatically"


def test_it_says_which_currency_and_what_is_not_counted(api, customer):
    prices = [{"code": "fee", "amount": "10.00", "currency": "SEK"}]
    api.post("plans", code="swedish", name="Swedish", motion="self_serve", prices=prices)
    [error] = api.post("subscriptions", customer=customer.pk, plan="swedish").json()["errors"]
    assert (error["field"], error["code"]) == ("currency", "unknown_price")
    assert "only in SEK" in error["message"]
    flat = {"customer": customer.pk, "plan": "starter"}
    [error] = api.post("subscriptions", {**flat, "quantity": 5}).json()["errors"]
    assert (error["field"], error["code"]) == ("quantity", "invalid_quantity")
    assert api.post("subscriptions", {**flat, "quantity": 1}).status_code == 201


def test_a_trial_costs_nothing_yet(api, customer):
    body = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=2, trial_days=14).json()
    assert (body["status"], body["latest_invoice"], body["mrr"]) == ("trialing", None, "0.00")
    assert body["trial_end"] == "2026-01-29T12:00:00Z"
    assert body["current_period"] == {"start": "2026-01-15", "end": "2026-01-29"}
    assert [phase["trial"] for phase in body["phases"]] == [True, False]


def test_it_refuses_a_day_that_no_week_has(api, customer):
    api.post(
        "plans", code="weekly", name="W", motion="self_serve", prices=[{"amount": "7.00", "interval": "week"}]
    )
    refused = api.post("subscriptions", customer=customer.pk, plan="weekly", anchor=15)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "anchor")
    made = api.post("subscriptions", customer=customer.pk, plan="weekly", anchor=3).json()
    for path in ("changes", "changes/preview"):
        refused = api.post(f"subscriptions/{made['id']}/{path}", anchor=15)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_anchor")


def test_a_choice_that_is_none_names_those_there_are(api, customer):
    refused = api.post("subscriptions", customer=customer.pk, plan="pro", interval="monthly").json()
    assert refused["errors"][0]["message"] == "Use week, month, quarter, half_year or year."


def test_an_archived_plan_is_kept_and_not_sold(api, customer):
    prices = [{"amount": "10.00", "model": "per_unit"}]
    for code in ("old", "new"):
        api.post("plans", code=code, name=code, motion="self_serve", prices=prices)
    kept, other = (
        api.post("subscriptions", customer=customer.pk, plan=code).json() for code in ("old", "new")
    )
    api.post("plans/old/archive")
    refused = api.post("subscriptions", customer=customer.pk, plan="old")
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_archived")
    refused = api.post(f"subscriptions/{other['id']}/changes", plan="old")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "plan")
    assert api.post(f"subscriptions/{kept['id']}/changes", quantity=2).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"plan": "enterprise"}, 422, "plan_needs_quote"),
        ({"plan": "nothing"}, 422, "unknown_plan"),
        ({"customer": "nobody"}, 422, "unknown_customer"),
        ({"interval": "week"}, 422, "unknown_price"),
        ({"interval": "fortnight"}, 400, "invalid_choice"),
        ({"quantity": 0}, 422, "invalid_quantity"),
        ({"quantity": -1}, 422, "invalid_quantity"),
        ({"quantity": "1.5"}, 422, "invalid_quantity"),
        ({"quantity": 1000000001}, 422, "invalid_quantity"),
        ({"quantity": 1.5}, 400, "invalid_quantity"),
        ({"quantity": 1e18}, 400, "invalid_quantity"),
        ({"quantity": "NaN"}, 400, "invalid_quantity"),
        ({"quantity": "١٠"}, 400, "invalid_quantity"),
        ({"quantity": True}, 400, "invalid_quantity"),
        ({"quantity": 1, "quantities": {"seats-month": 2}}, 400, "ambiguous"),
        ({"quantities": {"nothing": 2}}, 422, "unknown_price"),
        ({"collection_method": "send_invoice"}, 422, "collection_not_allowed"),
        ({"anchor": 32}, 400, "invalid_anchor"),
        ({"anchor": 1.5}, 400, "invalid_anchor"),
        ({"anchor": "2026-02-30"}, 400, "invalid"),
        ({"anchor": "2026-10-25T02:30:00"}, 400, "invalid_anchor"),
        ({"trial_days": -1}, 400, "min_value"),
        ({"price": "1.00"}, 400, "unknown_field"),
    ],
)
def test_it_refuses_by_name_and_writes_nothing(api, customer, fields, status, code):
    answer = api.post("subscriptions", **{"customer": customer.pk, "plan": "pro", **fields})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["field"].split(".")[0] in {
        *fields,
        "quantity",
        "quantities",
        "interval",
    }
    assert not Subscription.objects.exists()
    assert not Invoice.objects.exists()


def test_a_plan_that_is_sold_by_one_interval_needs_no_word_of_it(api, customer, pro, code):
    prices = [{"code": "fee", "interval": "year", "amount": "120.00"}]
    api.post("plans", code="yearly", name="Yearly", motion="self_serve", prices=prices)
    begun = api.post("subscriptions", customer=customer.pk, plan="yearly").json()
    assert begun["current_period"] == {"start": "2026-01-15", "end": "2027-01-15"}
    changed = api.post(f"subscriptions/{pro['id']}/changes", plan="yearly", effective="now").json()
    assert [line["amount"] for line in changed["lines"]][:2] == ["-87.00", "120.00"]
    quarter = {"code": "quarter", "interval": "quarter", "amount": "40.00"}
    api.post("plans/yearly/prices", **quarter)
    refused = api.post("subscriptions", customer=customer.pk, plan="yearly")
    assert code(refused) == (422, "unknown_price")
    assert "quarter or year" in refused.json()["detail"]


def test_who_sells_is_said_first(api, customer, code):
    Seller.objects.all().delete()
    assert code(api.post("subscriptions", customer=customer.pk, plan="pro")) == (409, "seller_missing")
    assert not Subscription.objects.exists()


def test_an_override_lets_a_small_customer_pay_by_invoice(api, customer):
    body = api.post(
        "subscriptions", customer=customer.pk, plan="pro", quantity=3, collection_method="send_invoice",
        payment_rule_override="Agreed with finance",
    ).json()  # fmt: skip
    assert body["phases"][0]["collection_method"] == "send_invoice"
    created = Event.objects.get(type="subscription.created")
    assert created.data["payment_rule_override"] == "Agreed with finance"


def test_a_preview_equals_what_is_then_charged(api, pro, clock, advance):
    advance(clock, days=10)
    path = f"subscriptions/{pro['id']}/changes"
    invoices = Invoice.objects.count()
    preview = api.post(f"{path}/preview", quantity=5).json()
    assert Invoice.objects.count() == invoices
    change = api.post(path, quantity=5).json()
    same = ("lines", "total", "due_now", "credit_to_balance", "effective_at", "currency")
    assert {name: preview[name] for name in same} == {name: change[name] for name in same}
    assert preview["invoice"] is None
    assert Invoice.objects.get(pk=change["invoice"]).total == int(change["total"].replace(".", ""))
    assert sum(int(line["amount"].replace(".", "")) for line in change["lines"]) == int(
        change["total"].replace(".", "")
    )
    assert change["next_invoice"]["date"] == "2026-02-15"


def test_a_change_may_wait(api, pro):
    change = api.post(f"subscriptions/{pro['id']}/changes", quantity=2, effective="period_end").json()
    assert (change["due_now"], change["invoice"], change["effective_at"]) == ("0.00", None, "2026-02-15")
    body = api.get(f"subscriptions/{pro['id']}").json()
    assert [phase["quantities"] for phase in body["phases"]] == [{"seats-month": "3"}, {"seats-month": "2"}]
    assert [change["start"] for change in body["pending_changes"]] == ["2026-02-15"]
    assert body["mrr"] == "87.00"


def test_it_refuses_changes_by_name(api, pro, code):
    path = f"subscriptions/{pro['id']}/changes"
    assert code(api.post(path, plan="enterprise")) == (422, "plan_needs_quote")
    assert code(api.post(path, quantity=2, effective="2025-01-01")) == (422, "invalid_date")
    assert code(api.post(path, quantity=2, effective="someday")) == (400, "invalid_date")
    assert code(api.post(path, quantity=2, net_days=31)) == (422, "invalid_value")
    assert code(api.post(path, quantity=2, effective="2026-02-30")) == (400, "invalid")
    assert code(api.post("subscriptions/sub_1/changes", quantity=2)) == (404, "not_found")


def test_it_cancels_at_the_end_and_takes_it_back(api, pro, code):
    path = f"subscriptions/{pro['id']}"
    pending = api.post(f"{path}/cancel", reason="too_expensive", comment="Budget cut").json()
    assert (pending["status"], pending["cancel_at"]) == ("active", "2026-02-15")
    assert Subscription.objects.get().cancel_reason == "too_expensive: Budget cut"
    undone = api.post(f"{path}/undo_cancel").json()
    assert (undone["status"], undone["cancel_at"], undone["canceled_at"]) == ("active", None, None)
    assert code(api.post(f"{path}/undo_cancel")) == (409, "nothing_to_undo")


def test_it_cancels_now(api, pro, code, books):
    path = f"subscriptions/{pro['id']}"
    assert api.send("POST", f"{path}/cancel", b'{"effective": "now"}').json()["status"] == "canceled"
    assert code(api.post(f"{path}/cancel")) == (409, "subscription_not_live")
    assert code(api.post(f"{path}/changes", quantity=2)) == (409, "subscription_not_live")


def test_an_empty_body_cancels_at_the_period_end(api, pro):
    assert api.send("POST", f"subscriptions/{pro['id']}/cancel").json()["cancel_at"] == "2026-02-15"


def test_it_lists_by_customer_status_and_plan(api, make_customer, pro):
    other = make_customer()
    business = api.post("subscriptions", customer=other.pk, plan="business", quantity=2).json()["id"]
    ids = lambda **query: [row["id"] for row in api.get("subscriptions", **query).json()["results"]]  # noqa: E731
    assert ids() == [business, pro["id"]]
    assert ids(customer=other.pk) == ids(plan="business") == [business]
    assert ids(status="canceled") == []
    assert api.get("subscriptions", status="asleep").status_code == 400


def test_it_answers_in_a_fixed_number_of_statements(
    api, make_customer, subscribe, django_assert_max_num_queries
):
    made = [subscribe(make_customer()) for _ in range(6)]
    for limit in (1, 6):
        with django_assert_max_num_queries(3):
            assert len(api.get("subscriptions", limit=limit).json()["results"]) == limit
    with django_assert_max_num_queries(6):
        api.get(f"subscriptions/{made[0].pk}")


def test_it_takes_several_discounts_in_their_order(api, code):
    for name, percent in (("TEN", 10), ("HALF", 50)):
        api.post("discounts", code=name, percent_off=percent, duration="forever")
    clock = api.post("test_clocks", time="2026-01-15T12:00:00Z").json()
    buyer = api.post(
        "customers", name="Acme", email="a@acme.example", country="CH", test_clock=clock["id"]
    ).json()
    given = {"customer": buyer["id"], "plan": "pro", "quantity": 1}
    assert code(api.post("subscriptions", **given, discount="TEN", discounts=["HALF"])) == (400, "ambiguous")
    assert code(api.post("subscriptions", **given, discounts=["TEN", "ten"])) == (422, "discount_twice")
    assert code(api.post("subscriptions", **given, discounts=["TEN", "none"])) == (422, "unknown_discount")
    made = api.post("subscriptions", **given, discounts=["TEN", "HALF"]).json()
    (phase,) = made["phases"]
    assert [api.get(f"discounts/{ref}").json()["code"] for ref in phase["discounts"]] == ["TEN", "HALF"]
    assert phase["discount"] == phase["discounts"][0]
    assert made["mrr"] == "13.05"
    assert len(api.get("discounts").json()["results"]) == 2
    changed = api.post(f"subscriptions/{made['id']}/changes", discounts=[]).json()
    assert changed["total"] == "15.95"


@pytest.mark.parametrize(
    "wanted", [(), ("customer",), ("status",), ("plan",), ("customer", "status", "plan")]
)
def test_a_list_finds_by_every_set_of_names_on_both_sides(api, make_customer, subscribe, wanted):
    rows = [subscribe(make_customer(external_id=f"many-{n}")) for n in range(3)]
    query = {"customer": "many-1", "status": "active", "plan": "pro"}
    asked = {name: query[name] for name in wanted}
    expected = [rows[1].pk] if "customer" in wanted else [row.pk for row in reversed(rows)]
    first = api.get("subscriptions", limit=2, **asked).json()
    assert [row["id"] for row in first["results"]] == expected[:2]
    if first["next"]:
        second = api.get(first["next"].removeprefix("http://testserver")).json()
        assert [row["id"] for row in second["results"]] == expected[2:]
        back = api.get(second["previous"].removeprefix("http://testserver")).json()
        assert [row["id"] for row in back["results"]] == expected[:2]
    nothing = {**asked, "status": "canceled"}
    assert api.get("subscriptions", limit=2, **nothing).json()["results"] == []


def test_a_list_takes_a_plan_by_id_and_by_code(api, customer, catalogue):
    made = api.post("subscriptions", customer=customer.pk, plan="pro", quantity=3).json()["id"]
    plan = api.get("plans/pro").json()["id"]
    for ref in (plan, "pro"):
        assert [row["id"] for row in api.get("subscriptions", plan=ref).json()["results"]] == [made]
    other = api.get("plans/starter").json()["id"]
    assert api.get("subscriptions", plan=other).json()["results"] == []
