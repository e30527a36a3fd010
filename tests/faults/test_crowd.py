"""The short form of `python -m tests.faults crowd`."""

import logging
import shutil

import pytest

from tests.faults import crowd

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)  # who was sent away is logged, as it should
    yield
    logging.disable(logging.NOTSET)


def test_who_finds_no_place_is_asked_to_come_again_and_finds_one_then():
    report = crowd.run(seed=1, seconds=1, soon=60)  # a busy machine is slow
    assert report.clean, "\n".join(report.lines())
    assert report.counts["503"]
    assert report.counts["taken"]


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="PgBouncer is not installed")
def test_through_a_pooler_nobody_is_sent_away_and_jobs_are_done():
    report = crowd.run(seed=1, seconds=1, pooled=True, soon=60)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["taken"]
