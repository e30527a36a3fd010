"""The segmentation table in the admin."""

import pytest
from django.test import Client

from billing.models import Customer, Segment
from sales import catalogue as shipped

pytestmark = pytest.mark.django_db
WHERE = "/admin/billing/segment/"


@pytest.fixture
def filled(boss):
    """filled(**changes) -> the table as a browser would send it."""

    def values(**changes):
        bands = boss.get(WHERE).context["bands"]
        found = {f.html_name: f.value() for form in bands for f in form} | {
            f.html_name: f.value() for f in bands.management_form
        }
        return {k: v for k, v in {**found, **changes}.items() if v not in (None, False, "")}

    return values


def test_a_border_moves_in_both_bands_at_once(boss, browser, filled):
    given = filled(**{"form-0-max_arr": "12000", "form-1-min_arr": "12000"})
    assert given["form-2-min_arr"] == "50000"
    assert browser.post(WHERE, given).status_code == 403
    assert boss.post(WHERE, given).status_code == 302
    assert list(Segment.objects.values_list("min_arr", "max_arr")) == [
        (0, 12_000_00), (12_000_00, 50_000_00), (50_000_00, None),
    ]  # fmt: skip


def test_it_names_the_gap_and_keeps_what_was_typed(boss, filled):
    page = boss.post(WHERE, filled(**{"form-1-min_arr": "12000.50"}))
    assert page.status_code == 422
    assert "No band holds an ARR from 10000.00 USD to under 12000.50 USD." in page.text
    assert 'value="12000.50"' in page.text
    assert Segment.objects.get(code="mid-market").min_arr == 10_000_00


def test_anybody_on_the_staff_may_look(browser):
    assert browser.get(WHERE).status_code == 200
    assert "Save the table" not in browser.get(WHERE).text


def test_finance_types_a_rate_and_others_look(boss, browser, staff):
    typed = {"action": "rate", "currency": "eur", "rate": "1.08", "since": "2026-01-01"}
    assert boss.post(WHERE, typed).status_code == 403
    finance = Client()
    finance.force_login(staff("fay", shipped.FINANCE))
    wrong = finance.post(WHERE, {**typed, "rate": "0"})
    assert wrong.status_code == 422
    assert "A rate is above 0" in wrong.text
    assert 'value="eur"' in wrong.text
    assert finance.post(WHERE, typed).status_code == 302
    assert "1 EUR = 1.08 USD" in browser.get(WHERE).text


def test_it_says_whose_revenue_cannot_be_compared(browser, address, make_customer, sales_catalogue):
    customer = make_customer(currency="CHF")
    assert "No exchange rate" not in browser.get(WHERE).text
    Customer.objects.filter(pk=customer.pk).update(arr=90_000_00)
    assert "Customers who pay in CHF and have revenue: 1." in browser.get(WHERE).text
    assert "Nobody has typed what CHF is worth" in browser.get(address(customer)).text
