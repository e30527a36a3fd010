"""Webhooks: signed exactly as Stripe signs them, owed in the store until the receiver says 2xx."""

import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING
from urllib import request
from urllib.error import HTTPError

from billing.fakestripe.store import Row, transaction

if TYPE_CHECKING:
    from billing.fakestripe.server import FakeStripe

Deliverer = Callable[[bytes, dict[str, str]], int]
"""Takes the body and the headers to one receiver, and answers its HTTP status (0: not reached)."""

# When an event goes out: when `deliver()` is called; before the API call answers; at once, from a thread.
WHEN = ("held", "before_answer", "background")
LONGEST_PAUSE = 3600
MOST_ATTEMPTS = 30
BATCH = 100


def sign(payload: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `<timestamp>.<body>`."""
    mac = hmac.new(secret.encode(), str(at).encode() + b"." + payload, sha256).hexdigest()
    return f"t={at},v1={mac}"


class HttpDeliverer:
    """POSTs to one address; never follows a redirect, never waits longer than `timeout` seconds."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"A webhook address starts with http:// or https://, not {url!r}.")
        self.url = url
        self.timeout = timeout
        self._opener = request.build_opener(_NoRedirect, request.ProxyHandler({}))

    def __call__(self, payload: bytes, headers: dict[str, str]) -> int:
        post = request.Request(self.url, data=payload, headers=headers, method="POST")  # noqa: S310
        try:
            with self._opener.open(post, timeout=self.timeout) as answer:
                return int(answer.status)
        except HTTPError as refused:
            return refused.code
        except OSError:
            return 0


class _NoRedirect(request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class Webhooks:
    """The outbox of one `FakeStripe`."""

    def __init__(self, fake: "FakeStripe", deliver: Deliverer | None, secret: str, when: str) -> None:
        self._fake = fake
        self._store = fake.store
        self._deliver = deliver
        self.secret = secret
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._default_when = when
        if when not in WHEN:
            raise ValueError(f"`when` is one of {', '.join(WHEN)}, not {when!r}.")

    # -- switches ----------------------------------------
    @property
    def when(self) -> str:
        return str(self._store.switch("webhooks_when") or self._default_when)

    @when.setter
    def when(self, value: str) -> None:
        if value not in WHEN:
            raise ValueError(f"`when` is one of {', '.join(WHEN)}, not {value!r}.")
        self._store.set_switch("webhooks_when", value)

    def to(self, deliver: Deliverer | None) -> None:
        """Deliver to this receiver from now on."""
        self._deliver = deliver

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Inside, nobody is told: what happens counts as delivered, for whoever makes sample data."""
        deliver, self._deliver = self._deliver, None
        try:
            yield
        finally:
            with transaction(self._store):
                for id, _ in self._store.owed(float("inf"), -1):
                    self._store.delivered(id)
            self._deliver = deliver

    # -- delivering ----------------------------------------
    def signed(self, event: Row) -> tuple[bytes, dict[str, str]]:
        """The body and headers of one delivery of an event."""
        payload = json.dumps(event).encode()
        signature = sign(payload, self.secret, int(self._fake.clock()))
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
        return payload, headers | {"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"}

    def pending(self) -> list[Row]:
        """The events that no receiver has taken yet, oldest first."""
        owed = self._store.owed(float("inf"), -1)
        return [event for id, _ in owed if (event := self._store.get(id))]

    def deliver(self, *, duplicate: int = 1, shuffle: int | None = None, only: str = "") -> list[int]:
        """Send every owed event now, whether due or not; answers the receiver's statuses.

        duplicate: how many times each. shuffle: a seed for the order. only: a prefix of the type.
        """
        events = [event for event in self.pending() if event["type"].startswith(only)] * duplicate
        if shuffle is not None:
            Random(shuffle).shuffle(events)  # noqa: S311 - an order, not a secret
        return [self._send(event, 0) for event in events]

    def replay(self, events: list[Row]) -> list[int]:
        """Send these events again, owed or not, in this order."""
        return [self._send(event, 0) for event in events]

    def deliver_due(self) -> int:
        """Send what is due; several processes may do this at once. Answers how many were taken."""
        taken = 0
        for id, attempts in self._claim():
            event = self._store.get(id)
            taken += 1 if event and 200 <= self._send(event, attempts) < 300 else 0
        return taken

    def _claim(self) -> list[tuple[str, int]]:
        now = self._fake.clock()
        with transaction(self._store):
            owed = self._store.owed(now, BATCH)
            for id, attempts in owed:
                # A sender killed in the middle leaves this time of grace, then another one takes over.
                self._store.postpone(id, now + 30, attempts)
        return owed

    def _send(self, event: Row, attempts: int) -> int:
        status = 0 if self._deliver is None else self._deliver(*self.signed(event))
        with transaction(self._store):
            if 200 <= status < 300 or attempts >= MOST_ATTEMPTS:
                self._store.delivered(event["id"])
            else:
                pause = min(2**attempts, LONGEST_PAUSE)
                self._store.postpone(event["id"], self._fake.clock() + pause, attempts + 1)
        return status

    # -- after a call ----------------------------------------
    def after_call(self) -> None:
        """Called when a call has taken effect and before it answers."""
        if self._deliver is None:
            return
        when = self.when
        if when == "before_answer":
            self.deliver()
        elif when == "background":
            self.start()
            self._wake.set()

    def start(self) -> None:
        """Deliver from a thread of this process until it ends; also what an earlier process left."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="fakestripe-webhooks", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(timeout=1)
            self._wake.clear()
            if self.when == "background":
                self.deliver_due()
