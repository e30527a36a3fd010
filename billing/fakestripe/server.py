"""`FakeStripe`: one Stripe account in this process, whatever way its calls come in."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

from billing.fakestripe import charges, events, intents, routes
from billing.fakestripe.call import Call, random_text
from billing.fakestripe.errors import StripeFault, invalid, not_allowed, server_error
from billing.fakestripe.expanding import expand
from billing.fakestripe.faults import Fault, Faults
from billing.fakestripe.keys import is_test_key, refuse_live_key, refuse_live_keys
from billing.fakestripe.params import decode, items
from billing.fakestripe.shapes import public
from billing.fakestripe.store import Row, Store, transaction
from billing.fakestripe.webhooks import Deliverer, Webhooks

API_VERSION = "2026-08-26.dahlia"
KEY_LIFE = 24 * 3600
WEBHOOK_SECRET = "whsec_tandemsandbox000000000000000000"  # noqa: S105 - worth nothing outside the sandbox


@dataclass(frozen=True)
class Answer:
    """What a client gets. `broken` says how the way back fails: `reset`, `time_out`, `half` or not at all."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Request:
    method: str
    path: str
    params: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key") if self.method == "POST" else None

    @property
    def fingerprint(self) -> str:
        told = json.dumps([self.method, self.path, self.params], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


class FakeStripe:
    """One account.

    store: where everything is kept. clock: seconds since 1970, injected by tests.
    base_url: the address under which `urls.py` is mounted, for challenge pages.
    deliver: takes webhooks to a receiver; `when` one of `webhooks.WHEN`.
    keys: the Stripe keys that are configured around it; a live one raises `LiveKeyRefused`.
    declines_attach: refuse to save declining cards, as Stripe does. Off, so that a declining card can be
        saved and its renewals seen to fail.
    search_lag: seconds until a search finds a new object (Stripe: mostly under a minute).
    """

    api_version = API_VERSION

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        base_url: str = "http://127.0.0.1:8000/fakestripe",
        deliver: Deliverer | None = None,
        when: str = "held",
        secret: str = WEBHOOK_SECRET,
        keys: Iterable[str] = (),
        declines_attach: bool = False,
        search_lag: int = 60,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        refuse_live_keys(keys)
        self.store = store
        self.clock = clock
        self.base_url = base_url.rstrip("/")
        self.declines_attach = declines_attach
        self.search_lag = search_lag
        self.faults = Faults(store, Random())  # noqa: S311 - chance, not secrecy
        self.webhooks = Webhooks(self, deliver, secret, when)
        self.opened_at = int(clock())
        self._sleep = sleep
        self._running: set[str] = set()
        self._lock = threading.Lock()

    # -- calls over HTTP ----------------------------------------
    def handle(self, method: str, url: str, headers: Mapping[str, str], body: str | bytes = "") -> Answer:
        """One HTTP request, by its method, address (`/v1/…?query`), headers and form-encoded body."""
        path = urlsplit(url).path
        try:
            request = _read(method, url, headers, body)
            browser = self._authorise(request)
            fault = self.faults.draw(method, path)
            return self._with_fault(request, browser, fault)
        except StripeFault as refused:
            return self._packed(refused.status, json.dumps(refused.body))

    def _with_fault(self, request: Request, browser: bool, fault: Fault | None) -> Answer:
        mode = fault.mode if fault else ""
        if mode in BROKEN_BEFORE:
            return Answer(0, "", broken=BROKEN_BEFORE[mode])
        if mode in REFUSED:
            raise StripeFault(*REFUSED[mode])
        if fault and mode == "slow":
            self._sleep(fault.seconds)
        with self._one_at_a_time(request.key):
            answer = self._once(request, browser, mode)
        self.webhooks.after_call()
        return Answer(answer.status, answer.body, answer.headers, BROKEN_AFTER.get(mode, ""))

    def _authorise(self, request: Request) -> bool:
        """Whether a browser calls (a publishable key); refuses bad keys in Stripe's words."""
        key = _api_key(request)
        refuse_live_key(key)
        if not key:
            raise not_allowed(401, "You did not provide an API key in the Authorization header.")
        if not is_test_key(key):
            raise not_allowed(401, f"Invalid API Key provided: {key[:8]}****")
        return key.startswith("pk_")

    @contextmanager
    def _one_at_a_time(self, key: str | None) -> Iterator[None]:
        """Stripe answers 409 while another call with the same key is still running."""
        with self._lock:
            if key and key in self._running:
                raise StripeFault(*REFUSED["conflict"])
            self._running.add(key or "")
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(key or "")

    # -- idempotency ----------------------------------------
    def _once(self, request: Request, browser: bool, mode: str) -> Answer:
        """The call's answer; with a key that was used before, the first answer again."""
        self.store.begin()
        try:
            answer = self._replayed(request) or self._executed(request, browser, mode)
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()
        return answer

    def _replayed(self, request: Request) -> Answer | None:
        if not request.key:
            return None
        self.store.forget_answers(self.clock() - KEY_LIFE)
        kept = self.store.answer(request.key)
        if kept is None:
            return None
        fingerprint, status, body, _ = kept
        if fingerprint != request.fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used"
                f" with. Try using a key other than '{request.key}' if you meant to execute a different"
                " request."
            )
            raise StripeFault(400, "idempotency_error", message)
        return self._packed(status, body, {"Idempotent-Replayed": "true", "Idempotency-Key": request.key})

    def _executed(self, request: Request, browser: bool, mode: str) -> Answer:
        call = self._call(request, browser, mode)
        try:
            if mode == "error_500":
                raise server_error()
            status, told = 200, self._answered(request, call)
            if mode == "error_500_after":
                status, told = 500, server_error().body
        except StripeFault as refused:
            if not (refused.keep or refused.status >= 500):
                raise
            status, told = refused.status, refused.body
        body = json.dumps(told)
        if request.key:
            self.store.keep_answer(request.key, request.fingerprint, status, body, self.clock())
        return self._packed(status, body, {"Request-Id": str(call.request_id)})

    def _call(self, request: Request, browser: bool, mode: str) -> Call:
        id = f"req_{random_text(14)}"
        now = int(self.clock())
        return Call(self, now, request.method, request.path, request.params, browser, request.key, id, mode)

    def _answered(self, request: Request, call: Call) -> Row:
        found = routes.find(request.method, request.path)
        if found is None:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            raise not_allowed(404, message, "url_invalid")
        route, ids = found
        if call.browser and not route.browser:
            message = "This API call cannot be made with a publishable API key. Please use a secret API key."
            raise not_allowed(403, message, "secret_key_required")
        if unknown := sorted(set(request.params) - route.known):
            raise invalid(
                f"Received unknown parameter: {unknown[0]}", param=unknown[0], code="parameter_unknown"
            )
        row = public(routes.handle(route, call, ids))
        return expand(row, items(request.params, "expand"), self.store)

    def _packed(self, status: int, body: str, more: Mapping[str, str] | None = None) -> Answer:
        headers = {"Content-Type": "application/json", "Request-Id": f"req_{random_text(14)}"}
        return Answer(status, body, {**headers, "Stripe-Version": self.api_version, **(more or {})})

    # -- what happens outside calls ----------------------------------------
    def authenticate(self, id: str, *, ok: bool = True) -> Row:
        """The buyer answers the 3-D Secure challenge of a payment or setup intent."""
        return self._act(id, lambda call, row: events.authenticated(call, row, ok))

    def settle(self, payment_intent: str, *, ok: bool = True) -> Row:
        """End a payment that is `processing`."""
        return self._act(payment_intent, lambda call, row: intents.settle(call, row, ok))

    def settle_refund(self, refund: str, *, ok: bool = True) -> Row:
        """End a pending refund, or let a succeeded one fail late."""
        return self._act(refund, lambda call, row: charges.settle_refund(call, row, ok))

    def refund(self, charge: str, amount: int | None = None) -> Row:
        """Somebody gives money back in Stripe's own pages."""
        return self._act(charge, lambda call, row: charges.refund(call, row, amount))

    def dispute(self, charge: str, reason: str = "fraudulent") -> Row:
        """The card holder disputes a paid charge."""
        return self._act(charge, lambda call, row: charges.open_dispute(call, row, reason))

    def close_dispute(self, dispute: str, *, won: bool) -> Row:
        return self._act(dispute, lambda call, row: charges.close(call, row, won))

    def _act(self, id: str, act: Callable[[Call, Row], Row]) -> Row:
        with transaction(self.store):
            row = self.store.get(id)
            if row is None:
                raise KeyError(id)
            changed: Row = public(act(Call(self, int(self.clock())), row))
        self.webhooks.after_call()
        return changed

    # -- looking ----------------------------------------
    def rows(self, kind: str, **where: Any) -> list[Row]:
        """Everything of a kind (`charge`, `payment_intent`, `event`, …), oldest first."""
        return [public(row) for row in reversed(self.store.rows(kind, **where))]


def _read(method: str, url: str, headers: Mapping[str, str], body: str | bytes) -> Request:
    parts = urlsplit(url)
    text = body.decode() if isinstance(body, bytes) else body or ""
    params = decode(parts.query) | decode(text)
    lower = {name.lower(): value for name, value in headers.items()}
    return Request(method.upper(), parts.path.rstrip("/"), params, lower)


def _api_key(request: Request) -> str:
    """From `Bearer`, from Basic's user name, or from the `key` that a browser sends along."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        return base64.b64decode(rest).decode().partition(":")[0]
    return str(request.params.pop("key", ""))


BROKEN_BEFORE = {"refused": "reset", "black_hole": "time_out"}
BROKEN_AFTER = {"lose_answer": "reset", "time_out": "time_out", "half_answer": "half"}
IN_USE = (
    "There is currently another in-progress request using this Idempotent Key (that probably means you"
    " submitted twice, and the other request is still going through). Please try again later."
)
REFUSED: dict[str, tuple[int, str, str]] = {
    "rate_limited": (429, "invalid_request_error", "Request rate limit exceeded."),
    "unavailable": (503, "api_error", "Stripe is temporarily unavailable."),
    "conflict": (409, "idempotency_error", IN_USE),
}
