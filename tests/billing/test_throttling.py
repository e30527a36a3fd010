"""Requests of a key in a minute."""

from datetime import timedelta

import pytest

from billing import keys, throttling
from billing.models import RequestWindow
from tests.fixtures_billing import NOON


@pytest.fixture
def key(db, settings):
    settings.API_REQUESTS_PER_MINUTE = {"other": 60, "usage": 0}
    return keys.issue(name="test", livemode=False, now=NOON)[0]


def spent(key, times, now=NOON):
    """How many of so many requests were let through."""
    done = 0
    for _ in range(times):
        try:
            throttling.spend(key, kind="other", now=now)
            done += 1
        except throttling.TooManyRequests:
            pass
    return done


def test_it_lets_as_many_through_as_the_limit(key):
    assert spent(key, 100) == 60


def test_it_says_how_long_to_wait(key):
    spent(key, 60)
    with pytest.raises(throttling.TooManyRequests) as refused:
        throttling.spend(key, kind="other", now=NOON + timedelta(seconds=20))
    assert refused.value.retry_after == 41


def test_the_next_minute_is_a_new_one(key):
    assert spent(key, 61) == 60
    assert spent(key, 61, NOON + timedelta(minutes=1)) == 60


def test_processes_share_the_limit(key, monkeypatch):
    """Another process has a memory of its own; what both are granted is the limit, whoever asks first."""
    other = {}
    here = spent(key, 31)
    monkeypatch.setattr(throttling, "_purses", other)
    there = spent(key, 100)
    assert here + there <= 60
    assert there >= 27  # a block of three may lie unspent here


def test_most_requests_cost_no_statement(key, settings, django_assert_num_queries):
    settings.API_REQUESTS_PER_MINUTE = {"other": 6_000}
    with django_assert_num_queries(2):
        assert spent(key, 100) == 100


def test_no_limit_costs_nothing(key, django_assert_num_queries):
    with django_assert_num_queries(0):
        throttling.spend(key, kind="usage", now=NOON)


def test_it_forgets_minutes_that_are_over(key):
    spent(key, 1)
    throttling.forget(now=NOON + timedelta(minutes=1))
    assert RequestWindow.objects.count() == 1
    throttling.forget(now=NOON + timedelta(minutes=3))
    assert not RequestWindow.objects.exists()
