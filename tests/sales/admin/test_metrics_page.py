"""The metrics page."""

import csv

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sales import deals
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db

PAGE = "/admin/metrics/?since=2026-01-01&until=2026-03-31&currency=USD"


@pytest.fixture
def world(make_customer, subscribe):
    subscribe(make_customer(name="=Nova", country="US"), "pro", "month", 3)
    subscribe(make_customer(name="Vega", country="US"), "pro", "month", 6, motion="sales_led")


def test_it_shows_the_shares_of_the_invoices(browser, world):
    page = browser.get(PAGE)
    assert "33.33 %" in page.text
    assert "66.67 %" in page.text
    assert "$261.00" in page.text
    assert [row.month for row in page.context["months"]] == ["2026-01", "2026-02", "2026-03"]


@pytest.mark.parametrize(
    "figure", ["revenue", "conversion", "expansion", "land_and_expand", "retention", "closing"]
)
def test_it_opens_every_figure(browser, world, figure):
    assert browser.get(f"{PAGE}&figure={figure}").status_code == 200


def test_it_tells_retention_and_what_signals_came_to(browser, world):
    page = browser.get("/admin/metrics/?since=2026-02-01&until=2026-03-31&currency=USD&figure=retention")
    assert page.text.count("100 %") == 2
    assert page.context["total"] == page.context["retention"].at_end == 26_100
    assert "figure=closing" in page.text
    page = browser.get(f"{PAGE}&figure=closing")
    assert "From signal to close" in page.text
    rows = list(csv.reader(browser.get(f"{PAGE}&figure=closing&format=csv").text.splitlines()))
    assert rows[0][0] == "rule"
    assert ["Demo requested", "0", "0", "0", "0", "", "0.00", ""] in rows


def test_what_reps_have_in_hand_is_a_sheet(browser, make_customer, sales_catalogue, rita):
    deals.open_deal(name="Nova", customer=make_customer(), owner=rita, now=NOON, amount=1000_00)
    assert "figure=reps&amp;format=csv" in browser.get(f"{PAGE}&figure=closing").text
    [row] = csv.DictReader(browser.get(f"{PAGE}&figure=reps&format=csv").text.splitlines())
    assert (row["rep"], row["e-mail"]) == (rita.name, rita.email)
    assert (row["deals"], row["amount USD"], row["weighted USD"], row["won"]) == (
        "1",
        "1000.00",
        "100.00",
        "0",
    )
    for wrong in ("figure=reps", "figure=luck&format=csv"):
        assert browser.get(f"{PAGE}&{wrong}").status_code == 404


def test_its_drill_down_adds_up(browser, world):
    page = browser.get(f"{PAGE}&figure=revenue")
    assert page.context["total"] == 26_100
    assert [(row[1], row[3]) for row in page.context["rows"]] == [("Vega", 17_400), ("=Nova", 8_700)]


def test_its_csv_is_safe_for_spreadsheets(browser, world):
    rows = list(csv.reader(browser.get(f"{PAGE}&figure=revenue&format=csv").text.splitlines()))
    assert rows[1][1:] == ["Vega", "Sales-led", "174.00", "USD"]
    assert rows[2][1] == "'=Nova"


def test_it_exports_the_months(browser, world):
    rows = list(csv.DictReader(browser.get(f"{PAGE}&format=csv").text.splitlines()))
    assert (rows[0]["month"], rows[0]["new"], rows[0]["mrr"]) == ("2026-01", "261.00", "261.00")


def test_it_says_which_day_is_wrong_and_keeps_it(browser, world):
    page = browser.get("/admin/metrics/?since=2026-03-01&until=2026-02-01&currency=USD")
    assert page.status_code == 422
    assert "ends before it begins" in page.text
    assert 'value="2026-02-01"' in page.text


@pytest.mark.parametrize("query", ["figure=luck", "figure=revenue%27"])
def test_it_knows_no_other_figure(browser, world, query):
    assert browser.get(f"{PAGE}&{query}").status_code == 404


def test_it_is_kind_when_there_is_nothing(browser):
    assert "Nothing was billed" in browser.get("/admin/metrics/").text


def test_its_statements_do_not_grow_with_customers(browser, world):
    browser.get(PAGE)
    with CaptureQueriesContext(connection) as seen:
        browser.get(PAGE)
    # two for the figures; the seller's zone, the session, the reader and what the reader may do for the frame
    assert len([q for q in seen if "billing_figure" in q["sql"]]) == 2
    assert len(seen) <= 5
