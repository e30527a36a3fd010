"""The short form of `python -m tests.faults failover`."""

import logging

import pytest

from tests.faults import failover

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(settings):
    settings.STRIPE_FAKE = False
    logging.disable(logging.CRITICAL)  # what the database did not answer is logged, as it should
    yield
    logging.disable(logging.NOTSET)


def test_what_anybody_was_told_is_kept_by_a_synchronous_standby():
    report = failover.run(seed=3, customers=5, before=0.5, after=0.3, web=False)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["commits acknowledged"] > 10


def test_what_an_asynchronous_one_loses_is_found_again():
    report = failover.run(seed=3, synchronous=False, customers=5, before=0.5, behind=0.3, web=False)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["acknowledged and lost"]  # else nothing was looked for
    assert report.counts["charged after the dump"]
