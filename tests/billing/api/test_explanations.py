"""What the API says of a line's amount: the same facts as the row keeps, with money in major units."""

import pytest

from billing.api.explanations import told

COUNTS = {"days", "of_days", "events", "free_events"}
SPANS = {"days": 10, "of_days": 31, "rounding": "half away from zero, once"}


def _whole_numbers(part, name=""):
    """The names of all whole numbers in an answer: money is none of them."""
    if isinstance(part, dict):
        return {found for key, value in part.items() for found in _whole_numbers(value, key)}
    if isinstance(part, list):
        return {found for value in part for found in _whole_numbers(value, name)}
    return {name} if isinstance(part, int) and not isinstance(part, bool) else set()


ROWS = {
    "a tier": (
        {"model": "graduated", "unit": "0", "tiers": [{
            "from": "0", "to": None, "quantity": "15", "unit_amount": "0.0125", "flat_amount": "5", "amount": "518.75",
        }]},
        {"model": "graduated", "unit": "0.00", "tiers": [{
            "from": "0", "to": None, "quantity": "15", "unit_amount": "0.0125", "flat_amount": "5.00",
            "amount": "5.1875",
        }]},
    ),
    "a tier whose amount is no decimal": (
        {"tiers": [{"from": "0", "to": None, "quantity": "16/31", "unit_amount": "7", "flat_amount": "0",
                    "amount": "11200/31"}]},
        {"tiers": [{"from": "0", "to": None, "quantity": "16/31", "unit_amount": "7.00", "flat_amount": "0.00",
                    "amount": "112/31"}]},
    ),
    "a percentage is no money": (
        {"model": "percentage", "unit": "2.5", "tiers": [{
            "from": "0", "to": None, "quantity": "10", "unit_amount": "2.5", "flat_amount": "0", "amount": "25",
        }]},
        {"model": "percentage", "unit": "2.5", "tiers": [{
            "from": "0", "to": None, "quantity": "10", "unit_amount": "2.5", "flat_amount": "0.00", "amount": "0.25",
        }]},
    ),
    "single events": (
        {"model": "percentage", "unit": "1", "per_transaction": {
            "events": 3, "free_events": 1, "free_amount": "100", "fixed_amount": "1", "minimum": "0.5",
            "maximum": "20", "came_to": 400}},
        {"model": "percentage", "unit": "1", "per_transaction": {
            "events": 3, "free_events": 1, "free_amount": "100.00", "fixed_amount": "1.00", "minimum": "0.50",
            "maximum": "20.00", "came_to": "4.00"}},
    ),
    "limits": (
        {"maximum": 5000, "unlimited": 7000, "beyond": {"quantity": "3", "amount": 900}},
        {"maximum": "50.00", "unlimited": "70.00", "beyond": {"quantity": "3", "amount": "9.00"}},
    ),
    "a minimum": ({"minimum": 68966, "came_to": 3690}, {"minimum": "689.66", "came_to": "36.90"}),
    "discounts": (
        {"discount": [{"label": "A", "amount_off": 500, "off": 250}, {"label": "B", "percent_off": "10", "off": 1}]},
        {"discount": [{"label": "A", "amount_off": "5.00", "off": "2.50"},
                      {"label": "B", "percent_off": "10", "off": "0.01"}]},
    ),
    "taxes": (
        {"tax": {"percentage": "14.975", "category": "S", "amount": -150, "in_gross": 0, "in_discount": 7, "taxes": [
            {"name": "GST", "percentage": "5", "amount": -50},
            {"name": "QST", "percentage": "9.975", "amount": -100, "compound": True}]}},
        {"tax": {"percentage": "14.975", "category": "S", "amount": "-1.50", "in_gross": "0.00", "in_discount": "0.07",
                 "taxes": [{"name": "GST", "percentage": "5", "amount": "-0.50"},
                           {"name": "QST", "percentage": "9.975", "amount": "-1.00", "compound": True}]}},
    ),
    "nothing to say": ({"policy": "reversed"}, {"policy": "reversed"}),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_money_is_told_in_major_units(row):
    kept, said = ROWS[row]
    assert told({**SPANS, **kept}, "USD") == {**SPANS, **said}
    assert _whole_numbers(told({**SPANS, **kept}, "USD")) <= COUNTS


@pytest.mark.parametrize(
    ("currency", "amount", "unit"),
    [("JPY", "4000", "3"), ("KWD", "4.000", "3.000"), ("USD", "40.00", "3.00")],
)
def test_decimals_are_those_of_the_currency(currency, amount, unit):
    said = told({"unit": "3", "model": "per_unit", "maximum": 4000}, currency)
    assert (said["maximum"], said["unit"]) == (amount, unit)


def test_what_the_row_keeps_is_not_changed():
    kept = {"maximum": 5000, "tax": {"percentage": "0", "category": "Z", "amount": 0}}
    told(kept, "USD")
    assert kept == {"maximum": 5000, "tax": {"percentage": "0", "category": "Z", "amount": 0}}
