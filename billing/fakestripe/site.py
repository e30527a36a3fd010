"""The one stand-in of a running Tandem, by the settings. Web and worker processes share its file."""

from functools import lru_cache
from pathlib import Path

from billing.fakestripe.server import FakeStripe
from billing.fakestripe.store import MemoryStore, SqliteStore
from billing.fakestripe.webhooks import HttpDeliverer

_given: list[FakeStripe] = []


def the_fake() -> FakeStripe:
    """The stand-in of this process. Raises LiveKeyRefused beside a live key."""
    if _given:
        return _given[-1]
    from django.conf import settings

    keys = (settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY)
    return _made(
        keys, str(settings.STRIPE_FAKE_STORE), settings.STRIPE_FAKE_URL, settings.STRIPE_FAKE_WEBHOOK_URL
    )


def give(fake: FakeStripe | None) -> None:
    """Let `the_fake` be this one (None: as before), so that tests and pages share one account."""
    _given[:] = [fake] if fake else []


@lru_cache(maxsize=1)
def _made(keys: tuple[str, ...], path: str, base_url: str, webhook_url: str) -> FakeStripe:
    from django.conf import settings

    if path == ":memory:":
        return FakeStripe(MemoryStore(), base_url=base_url, secret=settings.STRIPE_WEBHOOK_SECRET, keys=keys)
    return FakeStripe(
        SqliteStore(Path(path)),
        base_url=base_url,
        deliver=HttpDeliverer(webhook_url),
        when="background",
        secret=settings.STRIPE_WEBHOOK_SECRET,
        keys=keys,
    )
