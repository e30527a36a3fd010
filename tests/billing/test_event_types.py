"""What events say of themselves to who is outside."""

import pytest

from billing import event_types
from billing.models import Event
from tests.facts_said import differences


def event(type, data, customer=None):
    return Event(type=type, data=data, customer=customer)


@pytest.mark.parametrize(
    ("type", "kept", "told"),
    [
        ("invoice.paid", {"total": 14500, "currency": "USD"}, {"total": "145.00", "currency": "USD"}),
        ("invoice.paid", {"total": 14500, "currency": "JPY"}, {"total": "14500", "currency": "JPY"}),
        ("invoice.paid", {"total": 14500, "currency": "KWD"}, {"total": "14.500", "currency": "KWD"}),
        ("payment.failed", {"amount": 5, "currency": "EUR"}, {"amount": "0.05", "currency": "EUR"}),
        ("credit_note.issued", {"total": -5, "currency": "EUR"}, {"total": "-0.05", "currency": "EUR"}),
        ("deal.stage_changed", {"from": "new", "to": "won"}, {"from": "new", "to": "won"}),
        ("member.added", {"members": 12}, {"members": 12}),
        ("invoice.payment_failed", {"attempt": 2}, {"attempt": 2}),
    ],
)
def test_money_is_a_decimal_string_beside_its_currency(type, kept, told):
    before = dict(kept)
    assert event_types.told(event(type, kept)) == told
    assert kept == before


@pytest.mark.django_db
def test_a_fact_from_before_it_said_its_currency_takes_the_customers(make_customer):
    old = event("subscription.created", {"mrr_before": 0, "mrr_after": 900}, make_customer(currency="JPY"))
    assert event_types.told(old) == {"mrr_before": "0", "mrr_after": "900", "currency": "JPY"}


@pytest.mark.django_db
def test_one_about_nobody_takes_the_sellers(catalogue):
    assert event_types.told(event("quote.created", {"arr": 100}))["arr"] == "1.00"


def test_where_there_is_money_there_is_a_currency():
    for type, fields in event_types.FIELDS.items():
        money = {field.name for field in fields if field.kind == "money"}
        assert not money or "currency" in {field.name for field in fields}, type


def test_kinds_are_known():
    assert {kind for _, kind in event_types.KINDS} == {
        "text", "id", "money", "whole", "decimal", "day", "time", "truth", "list", "object", "inside"
    }  # fmt: skip


def test_where_somebody_came_from_stays_inside():
    came = event("user.signed_in", {"note": "password", "address": "203.0.113.7"})
    assert event_types.told(came) == {"note": "password"}
    assert "address" not in {field.name for field in event_types.outside()["user.signed_in"]}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"total": 1, "currency": "USD"}, []),
        ({"total": "1", "currency": "USD"}, ["total is no money: '1'"]),
        ({"total": True, "currency": "USD"}, ["total is no money: True"]),
        ({"total": 1}, ["currency is missing"]),
        ({"total": 1, "currency": "USD", "more": 1}, ["more is not named"]),
    ],
)
def test_what_is_recorded_is_held_against_it(data, found):
    assert list(differences("invoice.created", data)) == found
