"""Conditions over a checked vocabulary."""

import pytest

from sales import conditions
from sales.conditions import InvalidCondition

FACTS = {
    "customer": {"mrr": "290.00", "segment": "smb", "tags": ["vip"], "name": 'No"va'},
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
    ("line", "held"),
    [
        (("event.data.total", ">", "145"), False),
        (("event.data.total", ">=", "145"), True),
        (("event.data.total", "<", "500"), True),
        (("event.data.attempt", ">=", "2"), True),
        (("customer.mrr", "==", "290"), True),
    ],
)
def test_money_and_counts_are_compared_as_numbers(line, held):
    data = {"total": "145.00", "currency": "USD", "attempt": 2}
    facts = {**FACTS, "event": {"type": "invoice.paid", "data": data}}
    assert conditions.holds(conditions.check(conditions.row(*line)), facts) == (held, "")


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
    "row",
    [
        ("customer.mrr", ">", "much"),
        ("customer.mrr", ">", "nan"),
        ("nope", "==", "1"),
        ("customer.mrr", "~", "1"),
        ("customer.mrr", "contains", "1"),
        ("customer.country", ">", "DE"),
        ("customer.tags", "==", " "),
        ("customer.name", "contains", ""),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(row):
    with pytest.raises(InvalidCondition):
        conditions.row(*row)


LINES = [
    ("customer.mrr", ">", "500"),
    ("customer.mrr", "in", "1, -2.5"),
    ("customer.name", "==", 'a"b\\ && c || d)'),
    ("customer.segment", "in", "smb, mid_market"),
    ("customer.segment", "==", ""),
    ("customer.tags", "!=", "vip"),
    ("customer.tags", "in", "a, b"),
    ("event.data.rule", "contains", "gage"),
    ("event.data.percent", ">=", "80"),
]


@pytest.mark.parametrize("line", LINES)
def test_an_expression_goes_back_into_the_line_that_made_it(line):
    text = conditions.check(conditions.row(*line))
    assert conditions.parted(text, 3) == ([line], "")


def test_what_no_line_says_stays_an_expression():
    lines = [conditions.row(*line) for line in LINES[:2]]
    text = conditions.joined(lines, "customer.days > 3 || customer.score > 5")
    rows, rest = conditions.parted(conditions.check(text), 3)
    assert (rows, rest) == (LINES[:2], "(customer.days > 3 || customer.score > 5)")
    assert conditions.joined(lines, rest) == text
    assert conditions.parted(text, 1)[0] == LINES[:1]
    assert conditions.parted("customer.mrr > 1 || customer.days > 3", 3)[0] == []


def test_tags_are_looked_for_one_by_one():
    assert conditions.holds(conditions.row("customer.tags", "in", "new, vip"), FACTS) == (True, "")
    assert conditions.holds(conditions.row("customer.tags", "in", "new, old"), FACTS) == (False, "")


def test_it_says_how_and_and_or_are_written():
    with pytest.raises(InvalidCondition, match="Write && for “and”, == for “is”"):
        conditions.check("customer.plan = 'pro' and customer.days > 3")


def test_it_says_what_the_names_stood_for():
    told = dict(
        conditions.looked_at(
            'customer.mrr > 2 && event.data.rule == "customer.x" && has(event.data.no)', FACTS
        )
    )
    assert told == {"customer.mrr": "290.00", "event.data.rule": "engagement", "event.data.no": "nothing"}
