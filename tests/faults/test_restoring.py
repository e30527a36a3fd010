"""The short form of `python -m tests.faults restore`."""

import logging

import pytest

from tests.faults import restoring


@pytest.mark.django_db(transaction=True)
def test_what_a_dump_has_holds_and_what_was_charged_after_it_is_found(settings):
    settings.STRIPE_FAKE = False
    logging.disable(logging.CRITICAL)  # sessions that are killed say so
    try:
        report = restoring.run(seed=5, customers=10, before=1, after=1.5)
    finally:
        logging.disable(logging.NOTSET)
    assert report.clean, "\n".join(report.lines())
    assert report.counts["charged after the dump"]
