"""Billing cases of other systems, replayed through the HTTP API."""

import pytest

from billing import books, keys
from config import scenarios
from tests.fixtures_billing import NOON
from tests.scenarios import (
    account_cases,
    cases,
    kindred_cases,
    mixed_cases,
    more_cases,
    neighbour_cases,
    peer_cases,
    priced_cases,
    refunding_cases,
    settled_cases,
    timeline_cases,
    waiting_cases,
)

STORIES = [
    *cases.STORIES,
    *more_cases.STORIES,
    *peer_cases.STORIES,
    *neighbour_cases.STORIES,
    *kindred_cases.STORIES,
    *mixed_cases.STORIES,
    *priced_cases.STORIES,
    *timeline_cases.STORIES,
    *settled_cases.STORIES,
    *refunding_cases.STORIES,
    *waiting_cases.STORIES,
    *account_cases.STORIES,
]


@pytest.mark.parametrize("story", STORIES, ids=[story["name"].replace(" ", "-") for story in STORIES])
def test_it_bills_to_the_cent(catalogue, no_request_limits, story):
    scenarios._check(story, story["name"])
    _, secret = keys.issue(name="test", livemode=False, now=NOON)
    report = scenarios.run([story], scenarios.in_process(secret))
    assert [str(one) for one in report.differences] == []
    assert [f"{b.id} {b.words}: {b.found}" for b in books.check()] == []
