"""The short form of the kill harness, and that it can fail. The long form: `python -m tests.faults`."""

import pytest

from tests.faults import bugs, kills

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def away(settings):
    """Mail is kept in memory by the tests' own backend: nothing to set. Workers ask a provider of their own."""
    settings.STRIPE_FAKE = False


def test_it_survives_two_hundred_kills():
    report = kills.kills(240, seed=20260115)
    assert report.kills >= 200
    assert report.clean, "\n".join(report.lines())


def test_it_survives_a_death_at_named_points():
    """A few of them; `python -m tests.faults` takes all."""
    report = kills.points(seed=5, most=8)
    assert report.counts["points"] >= 30
    assert report.kills
    assert report.clean, "\n".join(report.lines())


def test_it_catches_up_when_nothing_ran_for_two_months():
    report = kills.run_late(seed=3)
    assert report.clean, "\n".join(report.lines())


# Those that a few dozen kills are sure to bring out; `python -m tests.faults --planted` takes all.
SOON_FOUND = ("unknown_is_taken_for_failed", "an_answer_counts_twice")


@pytest.mark.parametrize("name", SOON_FOUND)
def test_it_finds_a_planted_bug(name):
    report = kills.kills(60, seed=11, bug=bugs.BUGS[name])
    assert not report.clean
    assert not [line for line in report.found["errors"] if "AttributeError" in line or "TypeError" in line]
