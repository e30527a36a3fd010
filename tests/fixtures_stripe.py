"""The in-house Stripe for tests: a fresh account in memory, and everything that would call Stripe calls it.

`fake_stripe` is the account; `fake_stripe.faults.add("lose_answer")` makes its next call go wrong;
`fake_stripe.rows("charge")` is its own list. Its webhooks are held until `deliver()`:
with `stripe_door` they come in through our own address.
"""

import time
from contextlib import contextmanager
from datetime import timedelta

import pytest

KEY = "sk_test_" + "t" * 24
PUBLISHABLE = "pk_test_" + "t" * 24


class StripeClock:
    """Real time (or time-machine's) plus what a test has moved it by."""

    def __init__(self):
        self.moved = 0.0

    def __call__(self):
        return time.time() + self.moved

    def advance(self, **span):
        self.moved += timedelta(**span).total_seconds()


@pytest.fixture
def stripe_clock():
    return StripeClock()


@pytest.fixture
def fake_stripe(stripe_clock, monkeypatch):
    """An empty Stripe account in memory; `gateway()` and dj-stripe use it while the test runs."""
    from billing.fakestripe import MemoryStore

    yield from _account(MemoryStore(), stripe_clock, monkeypatch)


@pytest.fixture
def stripe_in_a_file(stripe_clock, monkeypatch, tmp_path):
    """The same for tests with threads: each has a connection of its own."""
    from billing.fakestripe import SqliteStore

    yield from _account(SqliteStore(tmp_path / "stripe.sqlite3"), stripe_clock, monkeypatch)


def _account(store, clock, monkeypatch):
    import stripe

    from billing import gateway
    from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, site

    fake = FakeStripe(store, clock=clock, sleep=lambda seconds: None)
    http = FakeStripeHTTPClient(fake)
    monkeypatch.setattr(stripe, "default_http_client", http)
    monkeypatch.setattr(stripe, "api_key", KEY)
    site.give(fake)
    with gateway.use(gateway.Gateway(gateway.client(http, KEY))):
        yield fake
    site.give(None)


@contextmanager
def undone(fake):
    """What this account (in memory) does meanwhile is undone, as what the database does is by a test that rolls back."""
    before = fake.store._open().serialize()
    try:
        yield
    finally:
        fake.store._open().deserialize(before)


@pytest.fixture
def card_gateway(fake_stripe):
    """The gateway that talks to `fake_stripe`."""
    from billing.gateway import gateway

    return gateway()


@pytest.fixture
def stripe_door(fake_stripe, db):
    """`fake_stripe`'s webhooks, delivered to our own address; `stripe_door.deliver()` answers statuses."""
    from django.test import Client

    browser = Client()

    def post(payload, headers):
        given = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        kind = given.pop("HTTP_CONTENT_TYPE")
        return browser.post("/webhooks/stripe/", payload, content_type=kind, **given).status_code

    fake_stripe.webhooks.to(post)
    return fake_stripe.webhooks


@pytest.fixture
def told(stripe_door, run_jobs):
    """told(duplicate=, shuffle=): webhooks come in, and their jobs run."""

    def tell(**how):
        assert set(stripe_door.deliver(**how)) <= {200}
        run_jobs()

    return tell
