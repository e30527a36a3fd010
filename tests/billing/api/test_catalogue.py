"""Meters, plans, discounts and tax rates, set up over the API."""

GOLD = {
    "code": "gold", "name": "Gold", "motion": "self_serve", "published": True, "rank": 15, "trial_days": 14,
    "entitlements": [{"feature": "seats", "limit": 20}, {"feature": "sso"}],
    "prices": [
        {"code": "base", "model": "flat", "interval": "month", "currency": "EUR", "amount": "49.00"},
        {
            "code": "calls", "kind": "usage", "meter": "gb", "model": "graduated", "currency": "EUR",
            "tiers": [
                {"up_to": 100, "unit_amount": "0.10"},
                {"up_to": None, "unit_amount": "0.0815", "flat_amount": "5.00"},
            ],
        },
    ],
}  # fmt: skip
METER = {"code": "gb", "name": "Storage", "event_name": "stored", "aggregation": "max", "unit": "GB"}


def test_it_makes_a_meter_and_a_plan_that_is_sold_by_it(api, make_customer):
    meter = api.post("meters", **METER)
    assert (meter.status_code, meter.json()["property"]) == (201, "value")
    made = api.post("plans", GOLD)
    assert made.status_code == 201
    assert made.json() == api.get("plans/gold").json()
    base, calls = made.json()["prices"]
    assert (base["amount"], base["billed"], calls["meter"], calls["interval"]) == (
        "49.00",
        "advance",
        "gb",
        "month",
    )
    assert calls["tiers"][1] == {"up_to": None, "unit_amount": "0.0815", "flat_amount": "5.00"}
    customer = make_customer(currency="EUR")
    sold = api.post("subscriptions", customer=customer.pk, plan="gold", trial_days=0).json()
    assert (sold["mrr"], sold["phases"][0]["quantities"]) == ("49.00", {"base": "1"})
    assert api.get("meters/gb").json() == meter.json()


def test_a_changed_price_is_a_new_one_for_the_next_buyer(api, make_customer):
    api.post("meters", **METER)
    first = {row["code"]: row["id"] for row in api.post("plans", GOLD).json()["prices"]}
    api.post("subscriptions", customer=make_customer(currency="EUR").pk, plan="gold")
    added = api.post("plans/gold/prices", code="base", amount="59.00", currency="EUR")
    assert added.status_code == 201
    changed = {row["code"]: row for row in api.get("plans/gold").json()["prices"]}
    assert changed["base"]["id"] == added.json()["id"] != first["base"]
    assert changed["base"]["amount"] == "59.00"
    assert api.patch("plans/gold", name="Golden").json()["name"] == "Golden"


def test_an_archived_plan_cannot_be_changed(api, code):
    api.post("plans", code="old", name="Old", motion="self_serve")
    assert api.post("plans/old/archive").json()["archived_at"]
    assert code(api.patch("plans/old", name="New")) == (409, "plan_archived")
    assert code(api.post("plans/none/archive")) == (404, "not_found")


def test_it_refuses_numbers_for_money_and_names_the_place(api):
    answer = api.post("plans", code="x", name="X", motion="self_serve", prices=[{"amount": 49.0}])
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [
        ("prices.0.amount", "invalid_amount")
    ]
    answer = api.post(
        "plans", code="x", name="X", motion="self_serve", prices=[{"amount": "1.0000000000001"}]
    )
    assert answer.json()["code"] == "invalid_amount"


def test_discounts_are_made_listed_and_read_by_code(api, code):
    made = api.post(
        "discounts", code="LAUNCH", percent_off="12.5", duration="repeating", periods=3, plans=["pro"]
    )
    body = made.json()
    assert (made.status_code, body["percent_off"], body["plans"], body["amount_off"]) == (
        201,
        "12.5",
        ["pro"],
        None,
    )
    assert api.get("discounts/launch").json() == body
    fixed = api.post("discounts", amount_off="5.00", currency="EUR").json()
    assert (fixed["amount_off"], fixed["duration"]) == ("5.00", "once")
    assert [row["id"] for row in api.get("discounts").json()["results"]] == [fixed["id"], body["id"]]
    assert code(api.post("discounts", amount_off="5.00")) == (422, "unknown_currency")
    assert code(api.post("discounts", amount_off="5.005", currency="EUR")) == (422, "invalid_precision")
    assert code(api.post("discounts", code="launch", percent_off=5)) == (409, "code_taken")


def test_a_tax_rate_is_the_countrys_from_now_on(api):
    made = api.post("tax_rates", name="VAT", percentage="21", country="DE").json()
    assert (made["percentage"], made["category"], made["active"]) == ("21", "S", True)
    listed = api.get("tax_rates", limit=100).json()["results"]
    assert [row["active"] for row in listed if row["country"] == "DE"] == [True, False]


def test_a_tax_rate_says_what_it_is_for_and_whether_prices_contain_it(api):
    given = {"name": "VAT", "percentage": "7", "country": "DE", "category": "books", "inclusive": True}
    made = api.post("tax_rates", given).json()
    assert {name: made[name] for name in given} == given
    assert made["vat_category"] == "S"
    refused = api.post("tax_rates", {**given, "category": "O"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "category")


def test_a_line_shows_the_tax_that_its_price_contained(api):
    api.post("tax_rates", name="VAT", percentage="7", country="DE", category="books", inclusive=True)
    prices = [
        {"amount": "10.70", "currency": "EUR", "tax_category": "books"},
        {"code": "b", "amount": "10.00", "currency": "EUR"},
    ]
    plan = api.post("plans", code="shop", name="Shop", motion="self_serve", prices=prices).json()
    assert [price["tax_category"] for price in plan["prices"]] == ["books", ""]
    clock = api.post("test_clocks", time="2026-01-15T12:00:00Z").json()
    buyer = api.post(
        "customers", name="Acme", email="it@acme.example", country="DE", currency="EUR", test_clock=clock["id"]
    ).json()  # fmt: skip
    made = api.post("subscriptions", customer=buyer["id"], plan="shop").json()
    invoice = api.get(f"invoices/{made['latest_invoice']}").json()
    first, second = invoice["lines"]
    assert (first["amount"], first["tax_amount"], second["amount"], second["tax_amount"]) == (
        "10.00", "0.70", "10.00", "1.90",
    )  # fmt: skip
    assert first["explanation"]["tax"] == {
        "percentage": "7", "category": "S", "amount": "0.70", "in_gross": "0.70", "in_discount": "0.00",
    }  # fmt: skip
    assert invoice["total"] == "22.60"


def test_lists_take_a_fixed_number_of_statements(api, django_assert_max_num_queries):
    for n in range(4):
        api.post("discounts", percent_off=n + 1, plans=["pro", "starter"])
    for path in ("meters", "discounts", "tax_rates", "plans"):
        for limit in (1, 4):
            with django_assert_max_num_queries(4):  # three, and the key's
                api.get(path, limit=limit)
