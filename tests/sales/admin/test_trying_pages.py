"""The pages on which rules are tried."""

import pytest

from sales.models import Rule

pytestmark = pytest.mark.django_db
ALL = "/admin/sales/rule/try/"


@pytest.fixture
def nova(make_customer, happen):
    customer = make_customer(name="Nova", email="ada@nova.example", employees=60)
    make_customer(name="Nova Labs", email="bo@labs.example", employees=9)
    happen(customer, "customer.updated", {})
    return customer


def at(code):
    return f"/admin/sales/rule/{Rule.objects.get(code=code).pk}/try/"


def test_a_rep_tries_a_rule_for_a_customer_and_nothing_is_stored(browser, nova):
    asked = {"customer": "ada@nova.example", "threshold": "50", "weight": "high"}
    page = browser.get(at("company_size"), asked)
    assert page.status_code == 200
    assert "It would fire now" in page.text
    assert page.text.count("60 employees, more than 50.") >= 2
    assert "Not told yet" in page.text
    assert Rule.objects.get(code="company_size").threshold == 100
    assert "60 employees." in browser.get(at("company_size"), {**asked, "threshold": "70"}).text


def test_without_a_question_it_is_tried_as_it_is_set_for_everybody(browser, nova):
    page = browser.get(at("company_size"))
    assert page.context["before"].keys == page.context["after"].keys == frozenset()
    assert 'value="100"' in page.text


def test_all_rules_are_on_one_page_each_with_its_way_to_be_tried(browser, nova):
    assert at("company_size") in browser.get("/admin/sales/rule/").text
    page = browser.get(ALL, {"customer": nova.pk})
    assert f"{at('company_size')}?customer={nova.pk}" in page.text
    assert "60 employees." in page.text
    assert browser.get(ALL).context["customer"] is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"customer": "Nov"}, "More than one: Nova (ada@nova.example), Nova Labs (bo@labs.example)."),
        ({"customer": "cus_1"}, "No customer is called this."),
        ({"customer": "\x00"}, "Null characters are not allowed."),
        ({"threshold": "-1"}, "greater than or equal to 0"),
        ({"threshold": "NaN"}, "Enter a number."),
        ({"threshold": ""}, "This field is required."),
        ({"weight": "huge"}, "not one of the available choices"),
    ],
)
def test_what_cannot_be_asked_is_named_and_kept(browser, nova, asked, words):
    page = browser.get(at("company_size"), {"customer": "", "threshold": "77", "weight": "low", **asked})
    assert page.status_code == 422
    assert words in page.text
    assert "77" in page.text or "threshold" in asked


def test_it_says_what_billing_does_not_tell(browser, nova):
    page = browser.get(at("usage_near_limit"), {"threshold": "60", "weight": "high", "customer": ""})
    assert "Billing tells of usage from 80 % of a limit on" in page.text


@pytest.mark.parametrize("where", ["nope", "99999", "9" * 40])
def test_there_is_no_page_of_a_rule_that_there_is_not(browser, sales_catalogue, where):
    assert browser.get(f"/admin/sales/rule/{where}/try/").status_code == 404
