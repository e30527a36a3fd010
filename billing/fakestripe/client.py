"""The stand-in as an HTTP client of the stripe library: calls go to an object in this process."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.fakestripe.server import FakeStripe


class FakeStripeHTTPClient(stripe.HTTPClient):
    """Give it to `stripe.StripeClient(http_client=…)`, or set it as `stripe.default_http_client`."""

    name = "fakestripe"

    def __init__(self, fake: FakeStripe) -> None:
        super().__init__()
        self.fake = fake

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        local = parts.path + ("?" + parts.query if parts.query else "")
        answer = self.fake.handle(method.upper(), local, headers or {}, post_data or "")
        if answer.broken == "reset":
            raise _lost("Connection reset by peer")
        if answer.broken == "time_out":
            raise _lost("Request timed out")
        body = answer.body[: len(answer.body) // 2] if answer.broken == "half" else answer.body
        return body, answer.status, {name.lower(): value for name, value in answer.headers.items()}

    def close(self) -> None:
        """Nothing is open."""


def _lost(message: str) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(message, should_retry=True)  # type: ignore[no-untyped-call]
