"""The short form of `python -m tests.faults restore`."""

import logging

import pytest

from tests.faults import restoring

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def away(settings):
    settings.STRIPE_FAKE = False
    logging.disable(logging.CRITICAL)  # sessions that are killed say so
    yield
    logging.disable(logging.NOTSET)


def test_what_a_dump_has_holds_and_what_was_charged_after_it_is_found():
    report = restoring.run(seed=5, customers=10, before=1, after=1.5)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["charged after the dump"]


def test_a_moment_inside_of_a_run_holds_and_what_was_charged_after_it_is_found():
    report = restoring.to_a_moment(seed=6, customers=8, before=0.5, after=0.5)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["charged after the dump"]
