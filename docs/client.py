"""A client of the HTTP API in one file, without anything to install. Copy it; the tests run it.

tandem = Tandem("https://billing.example", "tk_test_…")
tandem.post("customers", name="Acme", email="it@acme.example", external_id="acme")
for invoice in tandem.all("invoices", customer="acme"):
    print(invoice["number"], invoice["total"], invoice["currency"])
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

AGAIN = (429, 503)
TRIES = 5


class Refused(Exception):
    """The server said no. Decide by `code`; show `detail`; quote `request_id`."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']} ({problem['request_id']})")
        self.problem, self.code, self.status = problem, problem["code"], problem["status"]


class Tandem:
    def __init__(self, server: str, key: str, open: Callable[..., Any] = urlopen) -> None:
        self.root, self.key, self.open = f"{server.rstrip('/')}/api/v1/", key, open

    def get(self, path: str, **query: Any) -> Any:
        return self._send("GET", f"{self.root}{path}?{urlencode(query)}" if query else self.root + path)

    def post(self, path: str, **body: Any) -> Any:
        return self._send("POST", self.root + path, body)

    def patch(self, path: str, **body: Any) -> Any:
        return self._send("PATCH", self.root + path, body)

    def delete(self, path: str) -> None:
        self._send("DELETE", self.root + path)

    def all(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self._send("GET", page["next"])

    def _send(self, method: str, address: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if method == "POST":  # the same key with every try, so that it happens once
            headers["Idempotency-Key"] = str(uuid.uuid4())
        content = None if body is None else json.dumps(body).encode()
        for tries in range(1, TRIES + 1):
            try:
                with self.open(Request(address, content, headers, method=method), timeout=60) as answer:  # noqa: S310
                    said = answer.read()
                    return json.loads(said) if said else None
            except HTTPError as error:
                problem = json.loads(error.read())
                # Also a 409 says so where somebody else is at it just now: the same request goes through later.
                wait = problem["status"] in AGAIN or "Retry-After" in error.headers
                if not wait or tries == TRIES:
                    raise Refused(problem) from None
                time.sleep(int(error.headers.get("Retry-After", 1)))
        raise AssertionError("unreachable")
