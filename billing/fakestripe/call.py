"""One API call while it runs: what was asked, and the verbs that every resource needs."""

import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billing.fakestripe import shapes
from billing.fakestripe.errors import invalid, no_such
from billing.fakestripe.params import integer, items, mapping
from billing.fakestripe.store import Row

if TYPE_CHECKING:
    from billing.fakestripe.server import FakeStripe

LETTERS = string.ascii_letters + string.digits
NAMES = {"payment_intent": "payment_intent", "payment_method": "PaymentMethod", "setup_intent": "setupintent"}


def random_text(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


@dataclass
class Call:
    """`now` is in whole seconds; `browser` tells that a publishable key is calling."""

    fake: "FakeStripe"
    now: int
    method: str = ""
    path: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    browser: bool = False
    key: str | None = None
    request_id: str | None = None
    fault: str = ""

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{random_text(24)}"

    def save(self, row: Row) -> Row:
        self.fake.store.put(row)
        return row

    def find(self, kind: str, id: str | None, param: str = "id") -> Row:
        """The object, or Stripe's `resource_missing`."""
        row = self.fake.store.get(id) if id else None
        if row is None or row["object"] != kind:
            raise no_such(NAMES.get(kind, kind), id or "", param)
        return row

    def emit(self, kind: str, row: Row, previous: Row | None = None) -> None:
        """Record an event about `row` as it is now, and owe it to the webhook receiver."""
        request = {"id": self.request_id, "idempotency_key": self.key}
        id = self.new_id("evt")
        self.save(shapes.event(id, self.now, kind, row, previous, self.fake.api_version, request))
        self.fake.store.owe(id, self.fake.clock())

    def balance_transaction(self, kind: str, amount: int, currency: str, source: str) -> str:
        row = shapes.balance_transaction(self.new_id("txn"), self.now, kind, amount, currency, source)
        return str(self.save(row)["id"])

    def listed(self, kind: str, *links: str, **equal: str) -> Row:
        """A page of objects, newest first.

        `links` are indexed filters; `equal` maps a field to the parameter that filters it.
        """
        where = {link: self.params.get(link) for link in links}
        limit = self._limit()
        rows = self.fake.store.rows(
            kind, **where, **self._created(), **self._cursor(kind), limit=_enough(limit, equal)
        )
        for name, parameter in equal.items():
            wanted = items(self.params, parameter)
            rows = [row for row in rows if not wanted or row[name] in wanted]
        kept = rows[-limit:] if self.params.get("ending_before") else rows[:limit]
        return shapes.page(self.path, kept, len(rows) > limit)

    def _limit(self) -> int:
        limit = integer(self.params, "limit", 10)
        if not 1 <= limit <= 100:
            raise invalid("Invalid limit: must be between 1 and 100.", param="limit")
        return limit

    def _created(self) -> dict[str, int]:
        created = self.params.get("created")
        if created is None:
            return {}
        if not isinstance(created, dict):
            at = integer(self.params, "created")
            return {"since": at, "until": at}
        bounds = mapping(self.params, "created")
        shifts = {"gte": ("since", 0), "gt": ("since", 1), "lte": ("until", 0), "lt": ("until", -1)}
        return {shifts[name][0]: integer(bounds, name) + shifts[name][1] for name in bounds if name in shifts}

    def _cursor(self, kind: str) -> dict[str, str]:
        found = {}
        for parameter, name in (("starting_after", "after"), ("ending_before", "before")):
            if id := self.params.get(parameter):
                found[name] = str(self.find(kind, id, parameter)["id"])
        return found


def _enough(limit: int, equal: dict[str, str]) -> int | None:
    """One more than asked for tells whether there are more; a filter in Python needs all of them."""
    return None if equal else limit + 1
