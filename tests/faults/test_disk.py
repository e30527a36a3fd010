"""The short form of `python -m tests.faults disk`."""

import logging

import pytest

from tests.faults import disk


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)  # what the database could not write is logged, as it should
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_half_written_when_the_disk_is_full():
    try:
        report = disk.run(seed=7, times=1, soon=30)
    except PermissionError as error:
        pytest.skip(str(error))
    assert report.clean, "\n".join(report.lines())
    assert report.counts["503"] >= 2
    assert (report.counts["times full"], report.counts["times cut off"]) == (2, 1)
