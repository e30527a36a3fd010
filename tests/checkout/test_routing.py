"""Routing: ordered rules, one explained answer."""

import pytest

from checkout import catalogue
from checkout.models import RoutingRule
from checkout.routing import Inputs, InvalidRule, Rule, check, decide, lines, read

LARGE = Rule("Large companies", "contact_sales", {"employees": {"over": 100}})


@pytest.mark.parametrize(
    ("employees", "outcome"),
    [(None, "self_serve"), (1, "self_serve"), (100, "self_serve"), (101, "contact_sales")],
)
def test_it_sends_more_than_a_hundred_employees_to_sales(employees, outcome):
    assert decide([LARGE], Inputs(employees=employees)).outcome == outcome


def test_it_says_why():
    inputs = Inputs(employees=250, country="DE")
    decision = decide([LARGE], inputs)
    assert decision.rule == "Large companies"
    assert decision.because == ("employees 250 is over 100",)
    assert decision.to_json()["inputs"]["country"] == "DE"


def test_it_says_that_nothing_applied():
    assert decide([LARGE], Inputs(employees=3)).because == ("no rule applies",)


def test_the_first_match_wins():
    trusted = Rule("Partners buy alone", "self_serve", {"domain": ["partner.example"]})
    inputs = Inputs(employees=900, domain="eu.partner.example")
    assert decide([trusted, LARGE], inputs).rule == "Partners buy alone"
    assert decide([LARGE, trusted], inputs).rule == "Large companies"


def test_every_condition_must_hold():
    rule = Rule(
        "German seats", "owner", {"country": ["DE", "AT"], "seats": {"at_least": 10, "under": 50}}, owner=7
    )
    assert decide([rule], Inputs(country="de", seats=10)).owner == 7
    assert decide([rule], Inputs(country="DE", seats=50)).self_serve
    assert decide([rule], Inputs(country="FR", seats=10)).self_serve


@pytest.mark.parametrize(
    ("conditions", "inputs", "applies"),
    [
        ({"domain": ["*.gov"]}, Inputs(domain="nasa.gov"), True),
        ({"domain": ["nova.example"]}, Inputs(domain="supernova.example"), False),
        ({"domain": ["nova.example"]}, Inputs(domain=""), False),
        ({"need": ["security review"]}, Inputs(need="We need a Security Review first"), True),
        ({"industry": ["Health"]}, Inputs(industry="health"), True),
        ({"plan": ["pro"]}, Inputs(plan="starter"), False),
        ({"employees": {"at_most": 5}}, Inputs(employees=5), True),
        ({}, Inputs(), True),
    ],
)  # fmt: skip
def test_it_judges_each_kind_of_condition(conditions, inputs, applies):
    assert (decide([Rule("x", "demo", conditions)], inputs).outcome == "demo") is applies


@pytest.mark.parametrize(
    "conditions",
    [
        {"shoe_size": [1]}, {"employees": [100]}, {"employees": {}}, {"employees": {"over": "100"}},
        {"employees": {"over": True}}, {"country": "DE"}, {"country": []}, {"country": [""]},
    ],
)  # fmt: skip
def test_it_refuses_conditions_that_mean_nothing(conditions):
    with pytest.raises(InvalidRule):
        check(conditions)


def test_it_is_written_and_read_a_line_at_a_time():
    conditions = {"employees": {"over": 100, "at_most": 500}, "country": ["US", "CA"], "domain": ["*.gov"]}
    written = ["employees over 100", "employees at most 500", "country US, CA", "domain *.gov"]
    assert lines(conditions) == written
    assert read(written) == conditions
    assert read(["  Employees   AT  LEAST 5 ", "", "need SSO,  audit log"]) == {
        "employees": {"at_least": 5}, "need": ["SSO", "audit log"],
    }  # fmt: skip
    assert read([]) == {}


@pytest.mark.parametrize(
    "line",
    [
        "employees",
        "employees 100",
        "employees over many",
        "employees over -1",
        "staff over 5",
        "country",
        "plan ,",
    ],
)
def test_a_line_that_means_nothing_is_named(line):
    with pytest.raises(InvalidRule, match=line.split()[0]):
        read([line])


@pytest.mark.django_db
def test_the_shipped_rules_mean_something_and_staff_keep_theirs():
    from django.utils import timezone

    for _position, rule in catalogue.RULES:
        check(rule["conditions"])
    catalogue.ship(now=timezone.now())
    RoutingRule.objects.update(name="Renamed", active=False)
    catalogue.ship(now=timezone.now())
    assert list(RoutingRule.objects.values_list("name", "active")) == [("Renamed", False)]
