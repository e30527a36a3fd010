"""The short form of `python -m tests.faults anything`: a few lives, and that a life can find something."""

import logging

import pytest

from billing import subscribing
from tests.faults import acts, anything

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(settings):
    settings.STRIPE_FAKE = False
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [2, 3])
def test_whatever_happens_the_books_hold(seed):
    report = anything.run(seed=seed, steps=40)
    assert report.counts["steps"] == 40
    assert report.clean, "\n".join(report.lines())


def test_it_finds_a_change_that_is_forgotten(monkeypatch):
    """Planted: who takes other seats is told that it is done, and nothing is."""
    change = subscribing.change

    def forgetful(**wish):
        return None if "quantity" in wish and wish.get("effective") == "now" else change(**wish)

    monkeypatch.setattr(subscribing, "change", forgetful)
    report = anything.run(seed=1, steps=12, lot=[(acts.takes_seats, 1)])
    assert report.found["beliefs"]
