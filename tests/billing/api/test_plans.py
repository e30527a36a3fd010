"""Plans over the API."""


def test_it_lists_every_plan_with_prices_and_limits(api):
    found = {plan["code"]: plan for plan in api.get("plans").json()["results"]}
    assert list(found) == ["enterprise", "business", "pro", "starter"]
    assert [plan["quote_only"] for plan in found.values()] == [True, False, False, False]
    assert found["business"]["requires_demo"]
    prices = {price["code"]: price for price in found["pro"]["prices"]}
    assert (prices["seats-year-eur"]["amount"], prices["seats-year-eur"]["currency"]) == ("290.00", "EUR")
    assert prices["api-calls"]["meter"] == "api_calls"
    assert [tier["unit_amount"] for tier in prices["api-calls"]["tiers"]] == ["0.00", "0.0015", "0.001"]
    assert {row["feature"]: row["limit"] for row in found["pro"]["entitlements"]}["api_calls"] == "50000"


def test_it_reads_one_by_code_and_by_id(api, code):
    by_code = api.get("plans/pro").json()
    assert api.get(f"plans/{by_code['id']}").json() == by_code
    assert code(api.get("plans/gold")) == (404, "not_found")


def test_prices_that_were_replaced_are_not_shown(api):
    from billing.models import Price

    Price.objects.filter(code="seats-month").update(active=False)
    assert "seats-month" not in {price["code"] for price in api.get("plans/pro").json()["prices"]}


def test_it_answers_in_a_fixed_number_of_statements(api, django_assert_max_num_queries):
    api.get("plans")
    for limit in (1, 4):
        with django_assert_max_num_queries(4):  # three, and the key's
            api.get("plans", limit=limit)
