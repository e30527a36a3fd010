"""Fixtures shared by every test."""

from datetime import UTC, datetime

import pytest

pytest_plugins = ["tests.machine"]

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def catalogue(db):
    """The shipped segments, plans, prices, meter, taxes and number series."""
    from billing.catalogue import ship

    ship(now=NOON)
