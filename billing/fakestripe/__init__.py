"""An in-house stand-in for Stripe: the same JSON, cards, errors, idempotency and webhooks, without a network.

`FakeStripe(MemoryStore())` is one account. `FakeStripeHTTPClient(fake)` gives it to the stripe library,
`views.py` mounts it under an address, and `fake.faults` makes its calls and webhooks go wrong on purpose.
"""

from billing.fakestripe.client import FakeStripeHTTPClient
from billing.fakestripe.faults import Faults
from billing.fakestripe.keys import LiveKeyRefused, refuse_live_keys
from billing.fakestripe.server import FakeStripe
from billing.fakestripe.store import MemoryStore, SqliteStore, Store
from billing.fakestripe.webhooks import HttpDeliverer, sign

__all__ = [
    "FakeStripe",
    "FakeStripeHTTPClient",
    "Faults",
    "HttpDeliverer",
    "LiveKeyRefused",
    "MemoryStore",
    "SqliteStore",
    "Store",
    "refuse_live_keys",
    "sign",
]
