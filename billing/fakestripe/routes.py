"""Every endpoint: method, address, handler, the parameters it knows, and whether a browser may call it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from billing.fakestripe import charges, customers, events, intents, methods, setups
from billing.fakestripe.call import Call
from billing.fakestripe.store import Row

PAGE = "limit starting_after ending_before created"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handle: Callable[..., Row]
    params: str = ""
    browser: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("^" + self.path.replace("{id}", r"([A-Za-z0-9_]{1,255})") + "$")

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.params.split()) | {"expand"}


def get(path: str, handle: Callable[..., Row], params: str = "", *, browser: bool = False) -> Route:
    return Route("GET", path, handle, params, browser)


def post(path: str, handle: Callable[..., Row], params: str = "", *, browser: bool = False) -> Route:
    return Route("POST", path, handle, params, browser)


ROUTES = (
    get("/v1/customers", customers.listed, PAGE + " email"),
    post("/v1/customers", customers.create, customers.FIELDS + " payment_method"),
    get("/v1/customers/{id}", customers.retrieve),
    post("/v1/customers/{id}", customers.update, customers.FIELDS),
    Route("DELETE", "/v1/customers/{id}", customers.delete),
    get("/v1/customers/{id}/payment_methods", methods.listed_of, PAGE + " type allow_redisplay"),
    get("/v1/payment_methods", methods.listed, PAGE + " customer type"),
    post(
        "/v1/payment_methods",
        methods.create,
        "type card billing_details metadata allow_redisplay payment_user_agent key referrer",
        browser=True,
    ),
    get("/v1/payment_methods/{id}", methods.retrieve),
    post("/v1/payment_methods/{id}", methods.update, "billing_details card metadata allow_redisplay"),
    post("/v1/payment_methods/{id}/attach", methods.attach, "customer"),
    post("/v1/payment_methods/{id}/detach", methods.detach),
    post(
        "/v1/confirmation_tokens",
        methods.create_token,
        "payment_method_data return_url setup_future_usage shipping use_stripe_sdk mandate_data",
        browser=True,
    ),
    get("/v1/confirmation_tokens/{id}", methods.retrieve_token),
    get("/v1/setup_intents", setups.listed, PAGE + " customer payment_method"),
    post("/v1/setup_intents", setups.create, setups.CREATE),
    get("/v1/setup_intents/{id}", setups.retrieve, "client_secret", browser=True),
    post("/v1/setup_intents/{id}", setups.update, setups.UPDATE),
    post("/v1/setup_intents/{id}/confirm", setups.confirm, setups.CONFIRM, browser=True),
    post("/v1/setup_intents/{id}/cancel", setups.cancel, "cancellation_reason"),
    get("/v1/payment_intents/search", intents.search, "query limit page"),
    get("/v1/payment_intents", intents.listed, PAGE + " customer"),
    post("/v1/payment_intents", intents.create, intents.CREATE),
    get("/v1/payment_intents/{id}", intents.retrieve, "client_secret", browser=True),
    post("/v1/payment_intents/{id}", intents.update, intents.UPDATE),
    post("/v1/payment_intents/{id}/confirm", intents.confirm, intents.CONFIRM, browser=True),
    post("/v1/payment_intents/{id}/cancel", intents.cancel, "cancellation_reason"),
    get("/v1/charges", charges.listed, PAGE + " customer payment_intent"),
    get("/v1/charges/{id}", charges.retrieve),
    get("/v1/refunds", charges.list_refunds, PAGE + " charge payment_intent"),
    post("/v1/refunds", charges.create_refund, "amount charge payment_intent metadata reason"),
    get("/v1/refunds/{id}", charges.retrieve_refund),
    get("/v1/disputes", charges.list_disputes, PAGE + " charge payment_intent"),
    get("/v1/disputes/{id}", charges.retrieve_dispute),
    post("/v1/disputes/{id}", charges.update_dispute, "evidence metadata submit"),
    post("/v1/disputes/{id}/close", charges.close_dispute),
    get("/v1/events", events.listed, PAGE + " type types delivery_success"),
    get("/v1/events/{id}", events.retrieve),
    get("/v1/balance", charges.balance),
    get("/v1/balance_transactions", charges.list_movements, PAGE + " source type currency payout"),
    get("/v1/balance_transactions/{id}", charges.retrieve_movement),
    get("/v1/account", events.account),
    get("/v1/accounts/{id}", events.account),
    # Not Stripe's: how the 3-D Secure dialogue of our stripe.js answers.
    post("/v1/sandbox/authentications/{id}", events.authenticate, "client_secret outcome", browser=True),
)


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The endpoint at an address, with the ids in it."""
    for route in ROUTES:
        if route.method == method and (found := route.pattern.match(path)):
            return route, found.groups()
    return None


def handle(route: Route, call: Call, ids: tuple[str, ...]) -> Row:
    return route.handle(call, *ids)
