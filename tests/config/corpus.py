"""Bad inputs as a file: cases read, their paths mapped to the real addresses, each told as requests.

A case has id, surface, name, request and expect, as `how_to_use` of bad_inputs.json says; more_bad_inputs.json has our
own in the same form. What a case leaves out of a body is filled in, so that it is refused for what it is about.
"""

import gzip
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billing.fakestripe import sign

HERE = Path(__file__).parent
FILES = ("bad_inputs.json", "more_bad_inputs.json")
DOOR_SECRET = "whsec_tandemsandbox000000000000000000"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it goes out; `headers` without the key, which `authorized` adds."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    authorized: bool = True


def cases(*surfaces: str) -> list[dict[str, Any]]:
    found = []
    for name in FILES:
        found += json.loads((HERE / name).read_text(encoding="utf-8"))["cases"]
    return [case for case in found if case["surface"] in surfaces]


# -- From the paths of the file to ours ---------------------------------------------------------------------


def _whole(given: dict[str, Any]) -> dict[str, Any]:
    return given


def _line(given: dict[str, Any]) -> dict[str, Any]:
    """An item of an invoice is a line of a draft here, and money is text in major units."""
    currency, line = given.pop("currency", None), {"description": "Item", "unit_amount": "1.00"}
    given.pop("invoice", None)
    if "unit_amount_decimal" in given:
        given["unit_amount"] = given.pop("unit_amount_decimal")
    elif isinstance(given.get("unit_amount"), int):
        given["unit_amount"] = str(given["unit_amount"])
    whole = {"customer": "{customer}", "lines": [{**line, **given}]}
    return whole if currency is None else {**whole, "currency": currency}


def _billed(given: dict[str, Any]) -> dict[str, Any]:
    if "billing_anchor" in given:  # without an offset it would be two instants: with one it is one of them
        given = {"start_at": given["billing_anchor"] + "+02:00"}
    return {"customer": "{customer}", "plan": "pro", "quantity": 1, **given}


def _used(given: dict[str, Any]) -> dict[str, Any]:
    base = {"id": "u1", "customer": "acme", "event_name": "api_call", "properties": {"value": 1}}
    names = {"ts": "timestamp", "metric": "event_name"}
    quantity = {"properties": {"value": given.pop("qty")}} if "qty" in given else {}
    return {**base, **quantity, **{names.get(name, name): value for name, value in given.items()}}


def _paid(given: dict[str, Any]) -> dict[str, Any]:
    amount = "2.00" if given.pop("invoice", "in_1") == "in_2" else "1.00"
    return {"amount": amount, **given}


def _refunded(given: dict[str, Any]) -> dict[str, Any]:
    given.pop("payment", None)
    return given


def _told(given: dict[str, Any]) -> dict[str, Any]:
    """An event of the card network."""
    about = {"object": {"id": "pi_1", "object": "payment_intent", "metadata": {}}}
    for name in ("amount", "currency"):
        if name in given:
            about["object"] |= {name: given.pop(name), "status": "succeeded", "metadata": {"key": "k"}}
    base = {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "livemode": False,
        "data": about,
    }
    if "data" in given and not isinstance(given["data"], dict):
        given["data"] = {"object": {"id": "pi_2", "object": "payment_intent"}}
    return {**base, "created": 1_768_478_400, **given}


CUSTOMER = {"name": "A", "email": "a@b.example"}
QUOTE = {"customer": "{customer}", "plan": "pro", "quantity": 3}
PLAN = {"code": "p", "name": "P", "motion": "self_serve"}
LEAD = {"name": "A", "email": "a@b.example", "company": "B"}
SESSION = {
    "plan": "pro", "success_url": "http://testserver/", "cancel_url": "http://testserver/", "email": "a@b.example",
}  # fmt: skip
# The path of the file: ours, and how its body becomes one of ours.
ROUTES: dict[str, tuple[str, Any]] = {
    "/v1/invoices": ("/api/v1/invoices", lambda b: {**_line({}), **b}),
    "/v1/invoices/in_final": ("/api/v1/invoices/{invoice}", _whole),
    "/v1/invoice_items": ("/api/v1/invoices", _line),
    "/v1/customers": ("/api/v1/customers", lambda b: {**CUSTOMER, **b}),
    "/v1/subscriptions": ("/api/v1/subscriptions", _billed),
    "/v1/changes": (
        "/api/v1/subscriptions/{subscription}/changes/preview",
        lambda b: {**({} if "quantities" in b else {"quantity": 4}), **b},
    ),
    "/v1/plans": ("/api/v1/plans", lambda b: {**PLAN, **b}),
    "/v1/prices": (
        "/api/v1/plans",
        lambda b: {**PLAN, "prices": [{"model": "per_unit", "amount": "1", **b}]},
    ),
    "/v1/quotes": ("/api/v1/quotes", lambda b: {**QUOTE, **b}),
    "/v1/leads": ("/api/v1/leads", lambda b: {**LEAD, **b}),
    "/v1/discounts": ("/api/v1/discounts", lambda b: {"code": "D", "percent_off": 5, **b}),
    "/v1/checkout_sessions": ("/api/v1/checkout_sessions", lambda b: {**SESSION, **b}),
    "/v1/credit_notes": ("/api/v1/credit_notes", lambda b: {"invoice": "{invoice}", **b}),
    "/v1/deals": ("/api/v1/deals", lambda b: {"name": "D", "customer": "{customer}", **b}),
    "/v1/signals": ("/api/v1/signals", lambda b: {"customer": "acme", "rule": "engagement", **b}),
    "/v1/portal_sessions": ("/api/v1/portal_sessions", lambda b: {"customer": "acme", **b}),
    "/v1/refunds": ("/api/v1/payments/{payment}/refund", _refunded),
    "/v1/payments": ("/api/v1/invoices/{invoice}/mark_paid", _paid),
    "/v1/usage": ("/api/v1/usage_events", _used),
    "/v1/webhook_endpoints": ("/api/v1/webhook_endpoints", lambda b: {"url": "https://8.8.8.8/", **b}),
    "/webhooks/provider": ("/webhooks/stripe/", _told),
}


# Cases whose hint says too little: where they go instead, …
ASIDE: dict[str, tuple[str, Any]] = {
    # A unit price may have twelve decimals; an amount has those of its currency.
    "API-25": (
        "/api/v1/deals",
        lambda b: {
            "name": "D", "customer": "{customer}", "currency": b["currency"], "amount": b["unit_amount_decimal"]
        },
    ),
    "API-27": ("/api/v1/invoices", lambda b: _line({**b, "currency": "eur"})),
}  # fmt: skip
# … and what was sent before them.
FIRST = {"API-51": {"invoice": "in_1"}, "USE-02": {"id": "u1", "qty": 1}, "WIN-09": {"id": "evt_1"}}


def _address(path: str) -> tuple[str, Any]:
    bare, mark, query = path.partition("?")
    if bare in ROUTES:
        return ROUTES[bare][0] + mark + query, ROUTES[bare][1]
    if bare == "/v1/usage/summary":
        return "/api/v1/usage?customer=acme&" + query.replace("group_by", "group"), _whole
    return (f"/api{path}" if path.startswith("/v1/") else path), _whole


# -- Requests -----------------------------------------------------------------------------------------------


def requests(case: Mapping[str, Any], world: Mapping[str, str]) -> Iterator[Sent]:
    """Every request of the case, in order."""
    asked = case["request"]
    first = asked.get("first", FIRST.get(case["id"]))
    if first is not None:
        alone = {name: value for name, value in asked.items() if name != "json_each"}
        yield from _each({**alone, "json": first}, ROUTES[asked["path"]], world)
    yield from _each(asked, ASIDE.get(case["id"]), world)


def _each(asked: Mapping[str, Any], aside: Any, world: Mapping[str, str]) -> Iterator[Sent]:
    for path in asked.get("path_each", [asked.get("path", "")]):
        for method in asked.get("method_each", [asked.get("method", "GET")]):
            for headers in asked.get("headers_each", [asked.get("headers", {})]):
                address, shape = aside or _address(path)
                for body in _bodies(asked, shape):
                    sent = _filled(body, world)
                    yield from _sent(asked, method, _named(address, world), sent, headers, world)


def _bodies(asked: Mapping[str, Any], shape: Any) -> Iterator[bytes]:
    if "raw_hex" in asked:
        yield bytes.fromhex(asked["raw_hex"])
    elif "raw_gen" in asked:
        yield _made(asked["raw_gen"])
    elif "raw" in asked or "raw_each" in asked:
        yield from (raw.encode() for raw in asked.get("raw_each", [asked.get("raw", "")]))
    elif asked.get("method") == "GET" or "method_each" in asked:
        yield json.dumps(asked.get("json", {})).encode() if "json" in asked else b""
    else:
        each = asked.get("json_each") or _of_urls(asked.get("json", {}))
        yield from (_long(json.dumps(shape(dict(one)))).encode() for one in each)


def _of_urls(given: Any) -> list[Any]:
    return [{"url": url} for url in given["urls"]] if "urls" in given else [given]


def _made(words: str) -> bytes:
    if words == "<gzip bomb>":
        return gzip.compress(bytes(10 * 1024 * 1024))
    if words == "<1 MiB event>":
        return json.dumps(_told({"padding": "a" * 1024 * 1024})).encode()
    return _long(words).encode()


def _long(words: str) -> str:
    """`<x xN>` is the text before the blank, N times."""
    return re.sub(r"<([^<>]*?) x(\d+)>", lambda found: found[1] * int(found[2]), words)


def _filled(body: bytes, world: Mapping[str, str]) -> bytes:
    for name, value in world.items():
        body = body.replace(f'"{{{name}}}"'.encode(), json.dumps(value).encode())
    return body


def _named(path: str, world: Mapping[str, str]) -> str:
    return _long(re.sub(r"{(\w+)}", lambda found: world[found[1]], path))


def _sent(
    asked: Mapping[str, Any], method: str, path: str, body: bytes, headers: Mapping[str, str],
    world: Mapping[str, str],
) -> Iterator[Sent]:  # fmt: skip
    given = {name: _long(world.get(value, value)) for name, value in headers.items()}
    bare = "headers_each" in asked and not path.startswith("/webhooks") and "Authorization" not in given
    anonymous = bare and asked.get("anonymous", not given)
    if asked.get("signed"):
        given = {**given, "Stripe-Signature": _signature(asked, body, given.get("Stripe-Signature", ""))}
    kind = given.pop("Content-Type", asked.get("content_type", "application/json"))
    if "Content-Length" in given:
        given["CONTENT_LENGTH"] = given.pop("Content-Length")
    for _ in range(min(asked.get("repeat", 1), 10)):
        yield Sent(method, path, body, kind, given, not anonymous)


def _signature(asked: Mapping[str, Any], body: bytes, form: str) -> str:
    at = int(time.time()) + int(asked.get("clock", "0s")[:-1])
    signed = sign(body, "whsec_of_the_other_mode" if asked["signed"] == "test secret" else DOOR_SECRET, at)
    if "v1=bad" not in form:
        return signed
    stamp, _, good = signed.partition(",")
    return f"{stamp},v1={'0' * 64},{good}"
