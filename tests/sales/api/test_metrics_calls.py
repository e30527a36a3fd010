"""The figures over the API: those of `sales.metrics`, in major units."""

import pytest

from sales import deals
from tests.fixtures_billing import NOON

YEAR = {"from": "2026-01-01", "to": "2027-01-01"}


@pytest.fixture
def api(sales_catalogue, make_api):
    return make_api()


@pytest.fixture
def sold(make_customer, subscribe):
    customer = make_customer()
    subscribe(customer, quantity=3)
    return customer


def test_it_answers_the_hybrid_figures(api, sold):
    found = api.get("metrics/hybrid", **YEAR).json()
    assert (found["start"], found["end"], found["currency"]) == ("2026-01-01", "2027-01-01", "USD")
    assert (found["revenue"], found["self_serve_percent"], found["sales_assisted_percent"]) == (
        "87.00", "100.00", "0.00",
    )  # fmt: skip
    assert found["land_and_expand_ratio"] is None


def test_it_answers_mrr_by_month_and_who_is_behind_it(api, sold):
    months = api.get("metrics/mrr", **YEAR).json()["months"]
    assert len(months) == 12
    assert (months[0]["month"], months[0]["new"], months[0]["mrr"], months[0]["arr"]) == (
        "2026-01", "87.00", "87.00", "1044.00",
    )  # fmt: skip
    for figure in ("mrr", "revenue"):
        [row] = api.get(f"metrics/{figure}/customers", **YEAR).json()["results"]
        assert (row["customer"], row["amount"]) == (sold.pk, "87.00")


def test_it_answers_retention_the_pipeline_and_what_signals_came_to(api, sold):
    later = {**YEAR, "from": "2026-02-01"}
    found = api.get("metrics/mrr", **later).json()
    assert (found["nrr_percent"], found["grr_percent"], found["customers_at_start"]) == (
        "100.00",
        "100.00",
        1,
    )
    assert (found["mrr_at_start"], found["mrr_retained"]) == ("87.00", "87.00")
    [row] = api.get("metrics/retention/customers", **later).json()["results"]
    assert (row["what"], row["amount"]) == ("87.00", "87.00")
    stages = api.get("metrics/pipeline").json()["results"]
    assert stages[0] == {"stage": "discovery", "deals": 0, "amount": "0.00", "weighted": "0.00"}
    rules = {each["rule"]: each for each in api.get("metrics/signals", **YEAR).json()["results"]}
    assert (rules["demo_requested"]["won"], rules["demo_requested"]["percent"]) == (0, None)


def test_it_answers_what_each_rep_has_in_hand(api, sold, rita):
    deals.open_deal(name="Nova", customer=sold, owner=rita, now=NOON, amount=1000_00)
    deals.open_deal(name="Vega", customer=sold, now=NOON, amount=500_00)
    mine, nobodys = api.get("metrics/reps", **YEAR).json()["results"]
    assert mine == {
        "owner": rita.email, "name": rita.name, "tasks": 0, "late": 0, "quotes": 0, "deals": 1,
        "amount": "1000.00", "weighted": "100.00", "won": 0, "won_amount": "0.00",
    }  # fmt: skip
    assert (nobodys["owner"], nobodys["name"], nobodys["amount"]) == (None, "", "500.00")


def test_the_other_side_is_counted_apart(api, sold, make_api):
    found = make_api(livemode=True).get("metrics/hybrid", **YEAR).json()
    assert (found["revenue"], found["self_serve_percent"]) == ("0.00", None)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("metrics/hybrid", {"from": "2026-02-01", "to": "2026-01-01"}, 400),
        ("metrics/hybrid", {"from": "1971-01-01", "to": "2026-01-01"}, 400),
        ("metrics/hybrid", {"currency": "XXQ"}, 422),
        ("metrics/mrr", {"since": "2026-01-01"}, 400),
        ("metrics/luck/customers", {}, 404),
        ("metrics/mrr/customers", {"limit": 0}, 400),
    ],
)
def test_it_refuses_ranges_that_mean_nothing(api, path, query, status):
    assert api.get(path, **query).status_code == status


def test_it_takes_a_fixed_number_of_statements(api, sold, django_assert_max_num_queries):
    api.get("plans")
    with django_assert_max_num_queries(6):
        api.get("metrics/hybrid", **YEAR)
