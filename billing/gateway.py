"""The only door to Stripe: our words in, our values out.

Amounts are our whole minor units (ISO 4217), in both directions. Every call has a time-out and every writing
call an idempotency key of the caller's. The library never retries on its own: a call whose end we did not see
comes back as `unknown`, and is asked about.

**An unknown outcome** is settled in this order, and can never charge twice:

1. `look_up(key=…)` reads Stripe's own list. Found: that is the outcome.
2. Not found, and the attempt is younger than `KEY_LIFE`: `charge` again with the same key and the same
   arguments. Stripe keeps a key for at least 24 hours: if the first call did arrive after all, this answers
   with its result; if it did not, this is the one charge.
3. Not found and older: the call never took effect, and its key is not to be used any more.

`find_out` does these three. A new attempt with a new key is safe only after one of them has said `failed`.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import stripe

from billing.declines import NextStep, words_of

State = Literal["succeeded", "requires_action", "failed", "processing", "unknown"]
Row = dict[str, Any]

TIME_OUT = (5.0, 20.0)  # seconds to connect, to answer
KEY_LIFE = timedelta(hours=23)  # Stripe keeps a key for 24 hours; an hour is left for clocks and queues
MOST_PAGES = 50
KEY_FORM = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
MAX_WEBHOOK_AGE = 300  # seconds, in both directions


# -- What comes out -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """What may be shown of a card. `id` is the provider's payment method."""

    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int

    def __str__(self) -> str:
        return f"{self.brand.title()} •••• {self.last4}"


@dataclass(frozen=True)
class Outcome:
    """What became of a charge. `message` is for the buyer; `action_url` is where 3-D Secure sends the buyer.

    next_step: after a failure, try the same card later, ask for another card, or have the buyer authenticate.
    replayed: Stripe repeated what it had answered to this key before.
    """

    state: State
    intent_id: str | None = None
    charge_id: str | None = None
    amount: int = 0
    currency: str = ""
    decline_code: str | None = None
    message: str | None = None
    client_secret: str | None = None
    action_url: str | None = None
    card: Card | None = None
    next_step: NextStep = ""
    reference: str = ""
    replayed: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetupOutcome:
    """What became of saving a card without a payment."""

    state: State
    setup_id: str | None = None
    card: Card | None = None
    decline_code: str | None = None
    message: str | None = None
    client_secret: str | None = None
    action_url: str | None = None
    next_step: NextStep = ""


@dataclass(frozen=True)
class RefundOutcome:
    """`state`: succeeded, processing (on its way), failed or unknown."""

    state: State
    refund_id: str | None = None
    amount: int = 0
    currency: str = ""
    message: str | None = None


@dataclass(frozen=True)
class RefundFacts:
    """A refund as it is at Stripe now. key: ours, where we made it."""

    intent_id: str | None
    key: str
    outcome: RefundOutcome


@dataclass(frozen=True)
class DisputeFacts:
    """A dispute as it is at Stripe now.

    withdrawn: what the bank holds of `amount`. fee: what Stripe took for it, minor units of `fee_currency`.
    movements: how many times money was moved for it.
    """

    id: str
    intent_id: str | None
    status: str
    reason: str
    amount: int
    currency: str
    withdrawn: int
    fee: int
    fee_currency: str
    movements: int
    evidence_due_at: datetime | None
    opened_at: datetime


# -- What may be raised -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to which Stripe sends events: all of them for "*"."""

    url: str
    enabled: bool
    events: tuple[str, ...]

    def sends(self, type: str) -> bool:
        return "*" in self.events or type in self.events


class GatewayMisuse(Exception):
    """We asked for something that makes no sense, or with a wrong key: a bug or a setting, not an outcome."""


class KeyReused(GatewayMisuse):
    """Stripe knows this key from a call with other arguments."""


class ProviderUnreachable(Exception):
    """Stripe did not answer, or not in time. A read can be repeated; a write too, with the same key."""


class CardRefused(Exception):
    """The card cannot be saved. `message` is for the buyer."""

    def __init__(self, decline_code: str) -> None:
        self.decline_code = decline_code
        self.message, self.next_step = words_of(decline_code)
        super().__init__(self.message)


class UnchargeableAmount(Exception):
    """The amount cannot be charged by card exactly as it is: see `to_provider`."""


class InvalidSignature(Exception):
    """A webhook that Stripe did not sign with one of our secrets, or not just now."""


# -- Amounts ------------------------------------------------------------------------------------------

# Stripe's minor unit differs from ISO 4217 in these: (Stripe's units, of ours).
RATIO = {"ISK": (100, 1), "UGX": (100, 1), "MGA": (1, 100)}
# Card networks carry two decimals: the third of these currencies must be zero.
STEP = {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10}


def to_provider(amount: int, currency: str) -> int:
    """Our minor units as Stripe's: 100 JPY -> 100, 100 ISK -> 10000, 500 MGA -> 5.

    Raises UnchargeableAmount when no card can be charged exactly that: 5.124 KWD, 5.01 MGA.
    """
    up, down = RATIO.get(currency, (1, 1))
    if amount % STEP.get(currency, 1) or (amount * up) % down:
        raise UnchargeableAmount(f"Cards in {currency} cannot carry the last digit of {amount}.")
    return amount * up // down


def from_provider(amount: int, currency: str) -> int:
    """Stripe's units as our minor units; the inverse of `to_provider`."""
    up, down = RATIO.get(currency, (1, 1))
    return amount * down // up


# -- The gateway --------------------------------------------------------------------------------------


class Gateway:
    """Calls to one Stripe account."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._stripe = client

    # The account

    def webhook_endpoints(self) -> list[Endpoint]:
        """Where Stripe sends this account's events. Raises ProviderUnreachable, GatewayMisuse."""
        with _plain():
            rows = self._stripe.v1.webhook_endpoints.list({"limit": 100}).data
        return [Endpoint(row.url, row.status == "enabled", tuple(row.enabled_events)) for row in rows]

    # Customers and cards

    def create_customer(
        self,
        *,
        key: str,
        name: str,
        email: str,
        reference: str,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Stripe's id of a new customer; the same key gives the same one. Raises ProviderUnreachable."""
        about = {"tandem_reference": reference, **(metadata or {})}
        params: Any = {"name": name, "email": email, "metadata": about}
        with _plain():
            return str(self._stripe.v1.customers.create(params, _options(key)).id)

    def update_customer(self, *, key: str, customer: str, name: str, email: str) -> None:
        with _plain():
            self._stripe.v1.customers.update(customer, {"name": name, "email": email}, _options(key))

    def attach(self, *, key: str, customer: str, payment_method: str) -> Card:
        """Save a card to a customer. Raises CardRefused, ProviderUnreachable."""
        with _plain():
            params: Any = {"customer": customer}
            return _card(self._stripe.v1.payment_methods.attach(payment_method, params, _options(key)))

    def detach(self, *, key: str, payment_method: str) -> None:
        """Forget a card; nothing when it is forgotten already."""
        try:
            with _plain():
                self._stripe.v1.payment_methods.detach(payment_method, {}, _options(key))
        except GatewayMisuse:
            if self._attached(payment_method):
                raise

    def _attached(self, payment_method: str) -> bool:
        with _plain():
            try:
                return bool(self._stripe.v1.payment_methods.retrieve(payment_method).customer)
            except stripe.InvalidRequestError as error:
                if _code(error) != "resource_missing":
                    raise
                return False  # what is not there belongs to nobody

    def cards(self, customer: str) -> list[Card]:
        """The cards saved with a customer, newest first (at most 100)."""
        with _plain():
            params: Any = {"type": "card", "limit": 100}
            found = self._stripe.v1.customers.payment_methods.list(customer, params)
            return [_card(method) for method in found.data]

    def card(self, payment_method: str) -> Card:
        with _plain():
            return _card(self._stripe.v1.payment_methods.retrieve(payment_method))

    # Charging

    def charge(
        self,
        *,
        key: str,
        customer: str,
        payment_method: str,
        amount: int,
        currency: str,
        reference: str,
        metadata: Mapping[str, str] | None = None,
        off_session: bool = False,
        save: bool = False,
        return_url: str = "",
        livemode: bool | None = None,
    ) -> Outcome:
        """Charge a card, once per key.

        payment_method: a `pm_…`, one of Stripe's test names, or a `ctoken_…` of the browser.
        save: keep the card with the customer for later off-session charges.
        livemode: whose debt it is. A sandbox's is not asked of a live account, and a live one is not called paid
        because a test account said so; None where there is no debt of ours behind it.
        return_url: where 3-D Secure sends the buyer back to; with it, `action_url` is a page of its own.
        An amount that no card can be charged exactly has failed before anybody is asked. Raises GatewayMisuse; never
        for what the network or the bank did.
        """
        if mixed := _mixed(livemode):
            return _failed(mixed)
        try:
            params = _charge_params(customer, payment_method, amount, currency, off_session, save, return_url)
        except UnchargeableAmount:
            return _failed("amount_unchargeable")
        params["metadata"] = _about(key, reference, metadata)
        return self._outcome(lambda: self._stripe.v1.payment_intents.create(params, _options(key)))

    def look_up(
        self,
        *,
        payment_intent: str | None = None,
        key: str | None = None,
        reference: str | None = None,
        customer: str | None = None,
        since: datetime | None = None,
    ) -> Outcome | None:
        """What Stripe knows of a charge; nothing is changed.

        By the intent where it is known; else by the key (or reference) of `charge` in Stripe's list, which is
        up to date at once (its search is not). `customer` and `since` (when the call was made) keep it short.
        None: Stripe has no such charge. An unknown outcome: Stripe could not be asked, or has too many.
        """
        if payment_intent:
            return self._retrieved(payment_intent)
        if not (key or reference):
            raise GatewayMisuse("A charge is looked up by its intent, its key or its reference.")
        try:
            found = [row for row in self._list(customer, since) if _is_of(row, key, reference)]
            return self._retrieved(_best(found)["id"]) if found else None
        except stripe.StripeError as error:
            return _of_error(error)
        except _TooMany:
            return self._searched(key, reference)

    def resume(self, payment_intent: str) -> Outcome:
        """The outcome as it is now, for a buyer who comes back from 3-D Secure."""
        return self._retrieved(payment_intent) or _failed("never_made")

    def confirm(
        self, *, key: str, payment_intent: str, payment_method: str | None = None, return_url: str = ""
    ) -> Outcome:
        """Try an unfinished charge again with the buyer present, e.g. after `authentication_required`."""
        params: Any = {"expand": EXPAND, **({"return_url": return_url} if return_url else {})}
        params |= _method_param(payment_method) if payment_method else {}
        service = self._stripe.v1.payment_intents
        return self._outcome(lambda: service.confirm(payment_intent, params, _options(key)))

    def cancel(self, *, key: str, payment_intent: str) -> Outcome:
        """Give up an unfinished charge. If it ended meanwhile, that is the answer: it may have succeeded."""
        params: Any = {"cancellation_reason": "abandoned", "expand": EXPAND}
        try:
            row = self._stripe.v1.payment_intents.cancel(payment_intent, params, _options(key))
            return _of_intent(row.to_dict())
        except stripe.InvalidRequestError:
            return self.resume(payment_intent)
        except stripe.StripeError as error:
            return _of_error(error)

    def find_out(
        self, *, sent_at: datetime, now: datetime, key: str, customer: str, **charge: Any
    ) -> Outcome:
        """Settle an unknown charge (see the top of this module); the arguments are those of its `charge`."""
        known = self.look_up(key=key, customer=customer, since=sent_at)
        if known is not None:
            return known
        if now - sent_at >= KEY_LIFE:
            return _failed("never_made")
        try:
            again = self.charge(key=key, customer=customer, **charge)
        except KeyReused:
            again = Outcome("unknown", replayed=True)
        if again.state == "unknown" and again.replayed:
            # The first call has ended, with a server error that Stripe repeats for the key: its list decides.
            return self.look_up(key=key, customer=customer, since=sent_at) or _failed("never_made")
        return again

    def payments(self, *, since: datetime, until: datetime | None = None) -> Iterator[Outcome]:
        """Every charge that Stripe has from `since` to `until`: the other side of a reconciliation."""
        with _plain():
            for row in self._list(None, since, until, slack=timedelta(0), most_pages=10_000):
                yield _of_intent(row)

    # Saving a card without a payment

    def setup(
        self,
        *,
        key: str,
        customer: str,
        payment_method: str,
        return_url: str = "",
        reference: str = "",
        metadata: Mapping[str, str] | None = None,
        livemode: bool | None = None,
    ) -> SetupOutcome:
        """Save a card for later charges, with 3-D Secure where the bank wants it. `livemode` as in `charge`."""
        if mixed := _mixed(livemode):
            message, next_step = words_of(mixed)
            return SetupOutcome("failed", decline_code=mixed, message=message, next_step=next_step)
        params: Any = {"customer": customer, "confirm": True, "usage": "off_session", "expand": EXPAND_SETUP}
        params |= _method_param(payment_method) | {"payment_method_types": ["card"]}
        params |= {"return_url": return_url} if return_url else {}
        params["metadata"] = _about(key, reference, metadata)
        return self._setup_outcome(lambda: self._stripe.v1.setup_intents.create(params, _options(key)))

    def resume_setup(self, setup_id: str) -> SetupOutcome:
        """The outcome as it is now, for a buyer who comes back from 3-D Secure."""
        params: Any = {"expand": EXPAND_SETUP}
        return self._setup_outcome(lambda: self._stripe.v1.setup_intents.retrieve(setup_id, params))

    # Money back

    def refund(
        self,
        *,
        key: str,
        payment_intent: str,
        amount: int,
        currency: str,
        metadata: Mapping[str, str] | None = None,
    ) -> RefundOutcome:
        """Give back a part or all of a charge, once per key."""
        params: Any = {"payment_intent": payment_intent, "metadata": _about(key, "", metadata)}
        try:
            params["amount"] = to_provider(amount, currency)
            row = self._stripe.v1.refunds.create(params, _options(key))
        except UnchargeableAmount as unchargeable:
            return RefundOutcome("failed", message=str(unchargeable))
        except stripe.StripeError as error:
            return _refund_of_error(error)
        return _of_refund(row.to_dict())

    def look_up_refund(self, *, key: str, payment_intent: str) -> RefundOutcome | None:
        """What Stripe knows of a refund; None: it has no such refund."""
        params: Any = {"payment_intent": payment_intent, "limit": 100}
        try:
            rows = [row.to_dict() for row in self._stripe.v1.refunds.list(params).auto_paging_iter()]
        except stripe.StripeError as error:
            return _refund_of_error(error)
        found = [row for row in rows if (row.get("metadata") or {}).get("tandem_key") == key]
        return _of_refund(found[0]) if found else None

    def refunds(
        self, *, payment_intent: str | None = None, since: datetime | None = None
    ) -> Iterator[RefundFacts]:
        """Every refund there is, wherever it was made: of a payment, or made since then. Raises ProviderUnreachable,
        GatewayMisuse."""
        params: Any = {"limit": 100}
        params |= {"payment_intent": payment_intent} if payment_intent else {}
        params |= {"created": {"gte": int(since.timestamp())}} if since else {}
        with _plain():
            for row in self._stripe.v1.refunds.list(params).auto_paging_iter():
                yield _facts_of_refund(row.to_dict())

    # Disputes

    def dispute(self, id: str) -> DisputeFacts | None:
        """A dispute as it is now; None: Stripe has none of this id. Raises ProviderUnreachable, GatewayMisuse."""
        try:
            row = self._stripe.v1.disputes.retrieve(id)
        except stripe.StripeError as error:
            if _code(error) == "resource_missing":
                return None
            raise _as_exception(error) from error
        return _of_dispute(row.to_dict())

    def disputes(self, *, since: datetime) -> Iterator[str]:
        """The ids of every dispute that was opened since then, newest first."""
        params: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        with _plain():
            for row in self._stripe.v1.disputes.list(params).auto_paging_iter():
                yield row.id

    # Inside

    def _outcome(self, call: Any) -> Outcome:
        try:
            row = call()
        except stripe.StripeError as error:
            return _of_error(error)
        return replace(_of_intent(row.to_dict()), replayed=_replayed(row.last_response.headers))

    def _setup_outcome(self, call: Any) -> SetupOutcome:
        try:
            return _of_setup(call().to_dict())
        except stripe.StripeError as error:
            return _setup_of_error(error)

    def _retrieved(self, payment_intent: str) -> Outcome | None:
        params: Any = {"expand": EXPAND}
        try:
            row = self._stripe.v1.payment_intents.retrieve(payment_intent, params)
        except stripe.StripeError as error:
            return None if _code(error) == "resource_missing" else _of_error(error)
        return _of_intent(row.to_dict())

    def _list(
        self,
        customer: str | None,
        since: datetime | None,
        until: datetime | None = None,
        slack: timedelta = timedelta(minutes=10),
        most_pages: int = MOST_PAGES,
    ) -> Iterator[Row]:
        """Payment intents, newest first. `slack` is for two clocks that differ. Raises _TooMany."""
        created = {"gte": int((since - slack).timestamp())} if since else {}
        created |= {"lte": int(until.timestamp())} if until else {}
        params: Any = {"limit": 100}
        params |= {"customer": customer} if customer else {}
        params |= {"created": created} if created else {}
        page = self._stripe.v1.payment_intents.list(params)
        for _ in range(most_pages):
            yield from (row.to_dict() for row in page.data)
            if not page.has_more:
                return
            page = page.next_page()
        raise _TooMany

    def _searched(self, key: str | None, reference: str | None) -> Outcome:
        """By Stripe's search, which may be a minute late: what it does not find is unknown."""
        name, value = ("tandem_key", key) if key else ("tandem_reference", reference)
        params: Any = {"query": f"metadata['{name}']:'{_checked_key(value or '')}'"}
        try:
            found = [row.to_dict() for row in self._stripe.v1.payment_intents.search(params).data]
        except stripe.StripeError as error:
            return _of_error(error)
        return _of_intent(_best(found)) if found else Outcome("unknown")


EXPAND = ["latest_charge", "payment_method"]
EXPAND_SETUP = ["payment_method"]


class _TooMany(Exception):
    """The list is longer than we are willing to read."""


# -- Parameters ---------------------------------------------------------------------------------------


def _options(key: str) -> Any:
    return {"idempotency_key": _checked_key(key)}


def _checked_key(key: str) -> str:
    if not KEY_FORM.fullmatch(key):
        raise GatewayMisuse(f"A key is 1 to 255 letters, digits, `_`, `.`, `:` or `-`, not {key!r}.")
    return key


def _about(key: str, reference: str, metadata: Mapping[str, str] | None) -> dict[str, str]:
    return {**(metadata or {}), "tandem_key": key, "tandem_reference": reference}


def _method_param(payment_method: str) -> dict[str, str]:
    name = "confirmation_token" if payment_method.startswith("ctoken_") else "payment_method"
    return {name: payment_method}


def _charge_params(
    customer: str,
    payment_method: str,
    amount: int,
    currency: str,
    off_session: bool,
    save: bool,
    return_url: str,
) -> Any:
    if amount <= 0:
        raise GatewayMisuse(f"A charge is of more than nothing, not {amount}.")
    params = {"amount": to_provider(amount, currency), "currency": currency.lower(), "customer": customer}
    params |= {**_method_param(payment_method), "payment_method_types": ["card"], "confirm": True}
    if off_session:
        params["off_session"] = True
    elif return_url:
        params["return_url"] = return_url
    if save:
        params["setup_future_usage"] = "off_session"
    return {**params, "expand": EXPAND}


# -- Stripe's answers as our values -------------------------------------------------------------------


def _of_intent(row: Row) -> Outcome:
    outcome = _facts(row)
    state = STATES.get(row["status"])
    if state:
        return replace(outcome, state=state, action_url=_action_url(row))
    error = row.get("last_payment_error") or {}
    code = "canceled" if row["status"] == "canceled" else _reason(error) if error else "not_confirmed"
    message, next_step = words_of(code)
    card = outcome.card or _card_or_none(error.get("payment_method"))
    return replace(
        outcome, state="failed", decline_code=code, message=message, next_step=next_step, card=card
    )


STATES: dict[str, State] = {
    "succeeded": "succeeded",
    "processing": "processing",
    "requires_capture": "processing",
    "requires_action": "requires_action",
}


def _facts(row: Row) -> Outcome:
    """What an intent tells whatever its state."""
    charge, metadata, currency = row.get("latest_charge"), row.get("metadata") or {}, row["currency"].upper()
    return Outcome(
        state="unknown",
        intent_id=row["id"],
        charge_id=charge["id"] if isinstance(charge, dict) else charge,
        amount=from_provider(row["amount"], currency),
        currency=currency,
        client_secret=row.get("client_secret"),
        card=_card_or_none(row.get("payment_method")),
        reference=metadata.get("tandem_reference", ""),
        metadata=metadata,
    )


def _action_url(row: Row) -> str | None:
    action = row.get("next_action") or {}
    return (action.get("redirect_to_url") or {}).get("url")


def _reason(error: Row) -> str:
    code = error.get("decline_code") or error.get("code") or "generic_decline"
    if code in ("payment_intent_authentication_failure", "setup_intent_authentication_failure"):
        return "authentication_failed"
    return str(code)


def _card(method: Any) -> Card:
    row = method if isinstance(method, dict) else method.to_dict()
    card = row["card"]
    return Card(row["id"], card["brand"], card["last4"], card["exp_month"], card["exp_year"])


def _card_or_none(method: Any) -> Card | None:
    return _card(method) if isinstance(method, dict) and method.get("card") else None


def _is_of(row: Row, key: str | None, reference: str | None) -> bool:
    metadata = row.get("metadata") or {}
    if key:
        return bool(metadata.get("tandem_key") == key)
    return bool(reference) and metadata.get("tandem_reference") == reference


def _best(rows: Sequence[Row]) -> Row:
    """One key is one intent; were there more, the one in which money moved counts."""
    order = ("succeeded", "processing", "requires_action", "failed")
    return min(rows, key=lambda row: order.index(STATES.get(row["status"], "failed")))


def _of_setup(row: Row) -> SetupOutcome:
    state = STATES.get(row["status"])
    card = _card_or_none(row.get("payment_method"))
    outcome = SetupOutcome(state or "failed", row["id"], card, client_secret=row.get("client_secret"))
    if state:
        return replace(outcome, action_url=_action_url(row))
    error = row.get("last_setup_error")
    return _setup_failed(outcome, _reason(error) if error else "not_confirmed")


def _setup_failed(outcome: SetupOutcome, code: str) -> SetupOutcome:
    message, next_step = words_of(code)
    return replace(outcome, state="failed", decline_code=code, message=message, next_step=next_step)


def _of_refund(row: Row) -> RefundOutcome:
    states: dict[str, State] = {
        "succeeded": "succeeded",
        "pending": "processing",
        "requires_action": "processing",
    }
    currency = row["currency"].upper()
    state = states.get(row["status"], "failed")
    amount = from_provider(row["amount"], currency)
    return RefundOutcome(state, row["id"], amount, currency, row.get("failure_reason"))


def _facts_of_refund(row: Row) -> RefundFacts:
    key = (row.get("metadata") or {}).get("tandem_key", "")
    return RefundFacts(row.get("payment_intent"), key, _of_refund(row))


def _of_dispute(row: Row) -> DisputeFacts:
    moved = row.get("balance_transactions") or []
    currency, due_by = row["currency"].upper(), (row.get("evidence_details") or {}).get("due_by")
    amount = from_provider(row["amount"], currency)
    fee_currency = moved[0]["currency"].upper() if moved else currency
    return DisputeFacts(
        id=row["id"],
        intent_id=row.get("payment_intent"),
        status=row["status"],
        reason=row.get("reason") or "",
        amount=amount,
        currency=currency,
        # Moved in the currency of our pay-outs, which need not be the buyer's: all of it is away, or nothing.
        withdrawn=amount if sum(each["amount"] for each in moved) < 0 else 0,
        fee=from_provider(sum(each["fee"] for each in moved), fee_currency),
        fee_currency=fee_currency,
        movements=len(moved),
        evidence_due_at=datetime.fromtimestamp(due_by, UTC) if due_by else None,
        opened_at=datetime.fromtimestamp(row["created"], UTC),
    )


# -- Stripe's errors as our values --------------------------------------------------------------------

# Refusals of Stripe that are no bug of ours: somebody removed the card, or it cannot be charged like this.
EXPECTED = {
    "amount_too_small": "amount_too_small",
    "amount_too_large": "amount_too_large",
    "payment_method_unexpected_state": "payment_method_missing",
    "payment_method_customer_mismatch": "payment_method_missing",
    "customer_required": "payment_method_missing",
}


def _code(error: stripe.StripeError) -> str:
    return str(error.code or (error.error.code if error.error else "") or "")


def _expected(error: stripe.StripeError) -> str | None:
    """Our decline code for a refusal that can happen to a correct program."""
    if not isinstance(error, stripe.InvalidRequestError):
        return None
    if _code(error) == "resource_missing":
        missing = {"payment_method": "payment_method_missing", "customer": "customer_missing"}
        return missing.get(str(error.param))
    return EXPECTED.get(_code(error))


def _is_unknown(error: stripe.StripeError) -> bool:
    """No answer, half an answer, a server error, too many requests, or a call that is still running."""
    return isinstance(error, (stripe.APIConnectionError, stripe.APIError, stripe.RateLimitError))


def _of_error(error: stripe.StripeError) -> Outcome:
    if isinstance(error, stripe.CardError):
        return _of_card_error(error)
    if expected := _expected(error):
        return _failed(expected)
    if _is_unknown(error):
        return Outcome("unknown", replayed=_replayed(error.headers))
    if isinstance(error, stripe.IdempotencyError):
        raise KeyReused(str(error)) from error
    raise GatewayMisuse(str(error)) from error


def _replayed(headers: Mapping[str, str] | None) -> bool:
    return any(k.lower() == "idempotent-replayed" and v == "true" for k, v in (headers or {}).items())


def _of_card_error(error: stripe.CardError) -> Outcome:
    body: Any = (error.json_body or {}) if isinstance(error.json_body, dict) else {}
    told = body.get("error") or {}
    code = _reason(told)
    message, next_step = words_of(code)
    facts = _facts(told["payment_intent"]) if told.get("payment_intent") else Outcome("failed")
    told_card = _card_or_none(told.get("payment_method"))
    what = replace(facts, card=facts.card or told_card, charge_id=told.get("charge") or facts.charge_id)
    why = replace(what, state="failed", decline_code=code, message=message, next_step=next_step)
    return replace(why, replayed=_replayed(error.headers))


def _failed(code: str) -> Outcome:
    message, next_step = words_of(code)
    return Outcome("failed", decline_code=code, message=message, next_step=next_step)


def _setup_of_error(error: stripe.StripeError) -> SetupOutcome:
    outcome = _of_error(error)
    told = (error.json_body or {}).get("error", {}) if isinstance(error.json_body, dict) else {}
    intent = told.get("setup_intent") or {}
    return SetupOutcome(
        state=outcome.state,
        setup_id=intent.get("id"),
        card=outcome.card,
        decline_code=outcome.decline_code if outcome.state == "failed" else None,
        message=outcome.message,
        next_step=outcome.next_step,
    )


def _refund_of_error(error: stripe.StripeError) -> RefundOutcome:
    if _is_unknown(error):
        return RefundOutcome("unknown")
    if _code(error) in ("charge_already_refunded", "charge_disputed") or _param(error) == "amount":
        return RefundOutcome("failed", message=error.user_message)
    raise GatewayMisuse(str(error)) from error


def _param(error: stripe.StripeError) -> str | None:
    return error.param if isinstance(error, stripe.InvalidRequestError) else None


@contextmanager
def _plain() -> Iterator[None]:
    """For calls that answer a plain value: Stripe's errors as our exceptions."""
    try:
        yield
    except stripe.StripeError as error:
        raise _as_exception(error) from error


def _as_exception(error: stripe.StripeError) -> Exception:
    if isinstance(error, stripe.CardError):
        return CardRefused(_of_card_error(error).decline_code or "")
    if _is_unknown(error):
        return ProviderUnreachable(str(error))
    if expected := _expected(error):
        return CardRefused(expected)
    return GatewayMisuse(str(error))


# -- Webhooks -----------------------------------------------------------------------------------------


def verify_webhook(payload: bytes, signature: str, secrets: Sequence[str], now: datetime) -> None:
    """Check that Stripe signed this body with one of our secrets (two while one is rotated) and just now.

    Raises InvalidSignature. Reads nothing of the body: parse it afterwards.
    """
    at = _timestamp(signature)
    if abs(now.timestamp() - at) > MAX_WEBHOOK_AGE:
        raise InvalidSignature("The signature is too old, or from the future.")
    if not any(_signed_with(payload, signature, secret) for secret in secrets if secret):
        raise InvalidSignature("The signature does not fit the body.")


def _timestamp(signature: str) -> int:
    found = re.search(r"(?:^|,)\s*t=(\d{1,12})(?:,|$)", signature or "")
    if not found:
        raise InvalidSignature("There is no signature.")
    return int(found[1])


def _signed_with(payload: bytes, signature: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance=None))
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False


# -- Which gateway ------------------------------------------------------------------------------------

_override: list[Gateway] = []
_lock = threading.Lock()


def gateway() -> Gateway:
    """The gateway of this process, by the settings; inside `use` the one given there."""
    if _override:
        return _override[-1]
    from django.conf import settings

    return _configured(
        settings.STRIPE_SECRET_KEY, settings.STRIPE_FAKE, getattr(settings, "STRIPE_API_HOST", "")
    )


def _mixed(livemode: bool | None) -> str:
    """Why this account must not be asked, as a decline code: test and live never mix. "" where they agree."""
    from django.conf import settings

    if livemode is None or livemode == bool(settings.STRIPE_LIVE_MODE):
        return ""
    return "live_on_test" if livemode else "sandbox_on_live"


@lru_cache(maxsize=4)
def _configured(secret_key: str, fake: bool, api_host: str) -> Gateway:
    http: stripe.HTTPClient
    if fake:
        from billing.fakestripe.client import FakeStripeHTTPClient
        from billing.fakestripe.site import the_fake

        http = FakeStripeHTTPClient(the_fake())
    else:
        http = stripe.RequestsClient(timeout=TIME_OUT)
    _set_up_library(http, secret_key, api_host)
    return Gateway(client(http, secret_key, api_host))


def client(http: stripe.HTTPClient, secret_key: str, api_host: str = "") -> stripe.StripeClient:
    """A library client that never retries on its own."""
    more: Any = {"base_addresses": {"api": api_host}} if api_host else {}
    return stripe.StripeClient(secret_key, http_client=http, max_network_retries=0, **more)


def _set_up_library(http: stripe.HTTPClient, secret_key: str, api_host: str) -> None:
    """The library's own globals, which dj-stripe reads when it mirrors an object."""
    stripe.api_key = secret_key
    stripe.default_http_client = http
    stripe.max_network_retries = 0
    stripe.enable_telemetry = False
    if api_host:
        stripe.api_base = api_host


@contextmanager
def use(other: Gateway) -> Iterator[Gateway]:
    """Every `gateway()` of this process is `other` inside the block: for tests and one-off tools."""
    with _lock:
        _override.append(other)
    try:
        yield other
    finally:
        with _lock:
            _override.remove(other)
