"""Conditions over a checked vocabulary."""

import pytest

from sales import conditions
from sales.conditions import InvalidCondition

FACTS = {
    "customer": {"mrr": 290.0, "segment": "smb", "tags": ["vip"], "name": 'No"va'},
    "event": {"type": "signal.created", "data": {"rule": "engagement", "n": 3}},
}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", True),
        ("customer.mrr > 200.0", True),
        ("customer.mrr > 200 && event.data.rule == 'engagement'", True),
        ("'vip' in customer.tags", True),
        ("customer.tags.exists(t, t == 'vip')", True),
        ("event.data.rule in ['a', 'b']", False),
        ("has(event.data.percent) && event.data.percent > 80", False),
    ],
)
def test_it_holds_or_not(text, held):
    assert conditions.holds(conditions.check(text), FACTS) == (held, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event.data.percent > 80", "percent is not there"),
        ("customer.mrr + 1.0", "neither true nor false"),
        ("customer.name > 3", "No such overload"),
    ],
)
def test_what_cannot_be_told_does_not_hold(text, words):
    held, why = conditions.holds(conditions.check(text), FACTS)
    assert not held
    assert words in why


@pytest.mark.parametrize(
    "text",
    [
        "customer.mrr >",
        "customer.income > 3",
        "mrr > 3",
        "event.payload == 1",
        "x" * 1001,
        "invoice.total > 3",
        "'",
    ],
)
def test_it_refuses_what_is_outside_the_vocabulary(text):
    with pytest.raises(InvalidCondition):
        conditions.check(text)


@pytest.mark.parametrize(
    ("row", "text", "held"),
    [
        (("customer.mrr", ">", "200"), "customer.mrr > 200.0", True),
        (("customer.name", "==", 'No"va'), 'customer.name == "No\\"va"', True),
        (("customer.segment", "in", "smb, enterprise"), 'customer.segment in ["smb", "enterprise"]', True),
        (("customer.tags", "==", "vip"), '"vip" in customer.tags', True),
        (("customer.tags", "!=", "vip"), '!("vip" in customer.tags)', False),
        (("event.data.rule", "contains", "gage"), 'event.data.rule.contains("gage")', True),
    ],
)
def test_a_row_of_the_form_becomes_an_expression(row, text, held):
    made = conditions.row(*row)
    assert made == text
    assert conditions.holds(conditions.check(made), FACTS) == (held, "")


@pytest.mark.parametrize(
    "row", [("customer.mrr", ">", "much"), ("nope", "==", "1"), ("customer.mrr", "~", "1")]
)
def test_a_row_that_makes_no_sense_is_refused(row):
    with pytest.raises(InvalidCondition):
        conditions.row(*row)
