"""The short form of the kill harness, and that it can fail. The long form: `python -m tests.faults`."""

import logging
from functools import cache

import pytest

from tests.faults import bugs, clocks, freezes, kills, races, retries, stops

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def away(settings):
    """Mail is kept in memory by the tests' own backend: nothing to set. Workers ask a provider of their own."""
    settings.STRIPE_FAKE = False
    logging.disable(logging.CRITICAL)  # sessions that are killed say so
    yield
    logging.disable(logging.NOTSET)


@cache
def points():
    """Found by whichever test is the first to want them."""
    return kills.passages(5, times=4)


def clean(report):
    return report.clean or pytest.fail("\n".join(report.lines()))


def test_it_survives_two_hundred_kills():
    report = kills.kills(200, seed=20260115)
    assert report.kills >= 200
    assert clean(report)


def test_it_survives_a_death_at_named_points():
    """A few of them; `python -m tests.faults points` takes all."""
    names = points()
    assert len(names) >= 80
    assert {name.split(" in ")[0] for name in names} >= {
        "commit",
        "write",
        "provider's answer",
        "mail",
        "job done",
    }
    report = kills.points(seed=5, names=names, most=12)
    assert report.kills >= 6
    assert clean(report)


def test_who_was_frozen_while_others_took_the_work_changes_nothing():
    """Five of them; `python -m tests.faults freezes` takes a hundred."""
    report = freezes.run(seed=6, rounds=5, names=points())
    assert report.counts["frozen"] == 5
    assert clean(report)


def test_workers_whose_clocks_differ_do_nothing_twice():
    assert clean(clocks.run(seed=9, tasks=80, customers=8))


def test_it_catches_up_when_nothing_ran_for_two_months():
    assert clean(kills.run_late(seed=3))


def test_a_job_worker_that_is_stopped_leaves_the_rest_to_the_next():
    assert clean(stops.run(seed=8, rounds=1, customers=12, in_time=60))


def test_sixteen_processes_at_once_do_it_once():
    assert clean(races.run(seed=2, rounds=2))


def test_a_request_that_is_killed_can_be_tried_again():
    report = retries.run(seed=4, kills=10)
    assert report.kills == 10
    assert clean(report)


# Those that a few dozen kills are sure to bring out; `python -m tests.faults --planted` takes all.
SOON_FOUND = ("numbers_outside_the_transaction", "an_answer_counts_twice")


@pytest.mark.parametrize("name", SOON_FOUND)
def test_it_finds_a_planted_bug(name):
    report = kills.kills(60, seed=11, bug=bugs.BUGS[name])
    assert not report.clean
    assert bugs.misplaced(report.found["errors"]) == []
