"""The stand-in never runs beside a live key."""

import pytest

from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, LiveKeyRefused, MemoryStore, site
from billing.gateway import client

LIVE = ["sk_live_" + "a" * 24, "pk_live_" + "a" * 24, "rk_live_" + "a" * 24]


@pytest.mark.parametrize("key", LIVE)
def test_it_refuses_a_configured_live_key(key):
    with pytest.raises(LiveKeyRefused, match="live key") as caught:
        FakeStripe(MemoryStore(), keys=["sk_test_" + "a" * 24, key])
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", LIVE)
def test_it_refuses_a_live_key_in_the_environment(monkeypatch, key):
    monkeypatch.setenv("SOME_OTHER_STRIPE_KEY", key)
    with pytest.raises(LiveKeyRefused, match="SOME_OTHER_STRIPE_KEY"):
        FakeStripe(MemoryStore())


def test_it_refuses_a_call_with_a_live_key():
    http = FakeStripeHTTPClient(FakeStripe(MemoryStore()))
    with pytest.raises(LiveKeyRefused):
        client(http, LIVE[0]).v1.customers.create({})


@pytest.mark.parametrize("name", ["STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"])
def test_it_is_not_mounted_beside_a_live_key(settings, name):
    setattr(settings, name, LIVE[0])
    with pytest.raises(LiveKeyRefused):
        site.the_fake()
