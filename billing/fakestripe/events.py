"""/v1/events, /v1/account and the sandbox's own end of 3-D Secure."""

from billing.fakestripe import intents, setups, shapes
from billing.fakestripe.authentication import opened, shown
from billing.fakestripe.call import Call
from billing.fakestripe.errors import invalid
from billing.fakestripe.params import choice
from billing.fakestripe.store import Row


def retrieve(call: Call, id: str) -> Row:
    return call.find("event", id)


def listed(call: Call) -> Row:
    parameter = "types" if "types" in call.params else "type"
    return call.listed("event", **({"type": parameter} if parameter in call.params else {}))


def account(call: Call, id: str = "") -> Row:
    row = shapes.account(call.fake.opened_at)
    if id not in ("", row["id"]):
        raise invalid(f"No such account: '{id}'", code="resource_missing", param="account")
    return row


def authenticate(call: Call, id: str) -> Row:
    """`outcome` is `complete` or `fail`; the client secret stands for the buyer."""
    call.browser = True
    kind = "setup_intent" if id.startswith("seti_") else "payment_intent"
    outcome = choice(call.params, "outcome", ("complete", "fail"), "fail")
    return shown(call, authenticated(call, opened(call, kind, id), outcome == "complete"))


def authenticated(call: Call, row: Row, ok: bool) -> Row:
    if row["object"] == "setup_intent":
        return setups.authenticated(call, row, ok)
    return intents.authenticated(call, row, ok)
