"""Stories through the HTTP API, told by `manage.py scenario run`."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from billing.models import ApiKey
from config import scenarios

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "scenarios.md"


def example():
    return re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)[1]


def run(tmp_path, text, **options):
    out, err = StringIO(), StringIO()
    path = tmp_path / "stories.json"
    path.write_text(text, encoding="utf-8")
    try:
        call_command("scenario", "run", str(path), stdout=out, stderr=err, no_color=True, **options)
    except CommandError as error:
        return str(error), err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.mark.usefixtures("catalogue")
def test_the_documents_example_runs_twice(tmp_path):
    for _ in range(2):
        said, wrong = run(tmp_path, example())
        assert said.endswith("1 scenarios, 10 steps: every answer as expected\n")
        assert wrong == ""
    assert set(ApiKey.objects.values_list("revoked_at", flat=True)).isdisjoint({None})


@pytest.mark.usefixtures("catalogue")
def test_it_names_every_difference_and_fails(tmp_path):
    said, wrong = run(tmp_path, example().replace('{"total": "16.00", "lines"', '{"total": "16.01", "lines"'))
    assert said == "1 differences in 1 scenarios"
    assert 'step 7 (POST /subscriptions/${sub.id}/changes): total: expected "16.01", got "16.00"' in wrong


@pytest.mark.usefixtures("catalogue")
def test_a_refusal_that_was_not_expected_is_told_with_its_words(tmp_path):
    said, wrong = run(
        tmp_path, json.dumps({"name": "A", "steps": [{"call": "POST /customers", "body": {"name": "A"}}]})
    )
    assert said == "1 differences in 1 scenarios"
    assert "answered 400: required: email: This field is required." in wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no scenarios"),
        ('{"name": "A"}', "a list of steps"),
        ('{"name": "A", "steps": [{}]}', "step 1: it has a call, or an advance"),
        ('{"name": "A", "steps": [{"call": "PUT /x"}]}', "GET /invoices"),
        ('{"name": "A", "steps": [{"call": "GET /x", "expects": {}}]}', "there is no “expects”"),
        ("[" * 100_000, "nested too deeply"),
        ('{"name": "A", "steps": []}', "it has no steps"),
        (
            '{"name": "A", "steps": [{"call": "GET /x", "expect": {"a": 1}, "expect": {}}]}',
            "“expect” stands twice",
        ),
        ('{"name": "A", "steps": [{"call": "GET /x", "as": []}]}', "“as” is the name of an answer"),
        ('{"name": "A", "steps": [{"advance": "2026-01-01", "clock": {}}]}', "“clock” is the name"),
    ],
)
def test_it_says_what_is_wrong_with_a_file(tmp_path, text, words):
    said, _ = run(tmp_path, text)
    assert words in said


@pytest.mark.django_db
def test_it_says_which_reference_leads_nowhere(tmp_path):
    _, wrong = run(tmp_path, '{"name": "A", "steps": [{"call": "GET /customers/${acme.id}"}]}')
    assert "“${acme.id}”: there is no acme" in wrong


@pytest.mark.parametrize(
    ("wanted", "got", "words"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": "1"}, {"a": 1}, ['a: expected "1", got 1']),
        ({"a": True}, {"a": 1}, ["a: expected true, got 1"]),
        ({"a": {"b": None}}, {"a": {}}, ["a.b: there is no such field"]),
        ([1, 2], [1], ["the answer: expected 2 entries, got 1: [1]"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a.0.b: expected 1, got 2"]),
        ({"$length": 2}, [1, 2], []),
        ({"$length": 2}, [1], ["the answer: expected 2 entries, got [1]"]),
        ({"$contains": {"b": 2}}, [{"b": 1}, {"b": 2}], []),
        ({"$contains": {"b": 3}}, [{"b": 1}], ['the answer: expected one to be {"b": 3}, got [{"b": 1}]']),
        ({"$sum": {"of": "t", "is": "0.30"}}, [{"t": "0.10"}, {"t": "0.20"}], []),
        (
            {"$sum": {"of": "t", "is": "1"}},
            [{"t": "2"}],
            ["the answer: expected the sum of t to be 1, got 2"],
        ),
        ({"$not": None}, 1, []),
        ({"$not": None}, None, ["the answer: expected anything but null"]),
        ({"$more": 1}, 1, ["the answer: use $length, $contains, $sum or $not"]),
        ({"a": 1}, [1], ["the answer: expected an object, got [1]"]),
    ],
)
def test_it_compares_field_by_field(wanted, got, words):
    assert list(scenarios.differences(wanted, got)) == words
