"""/v1/setup_intents: a card saved for later without a payment."""

from billing.fakestripe import customers, methods, shapes
from billing.fakestripe.authentication import (
    FAILED_AUTHENTICATION,
    ask_for_authentication,
    needs_authentication,
    new_secret,
    opened,
    shown,
)
from billing.fakestripe.call import Call
from billing.fakestripe.errors import Declined, StripeFault, invalid
from billing.fakestripe.params import choice, flag, items, mapping, merged_metadata, text
from billing.fakestripe.shapes import public
from billing.fakestripe.store import Row

CONFIRM = (
    "payment_method payment_method_data confirmation_token return_url use_stripe_sdk mandate_data"
    " payment_method_options client_secret expected_payment_method_type"
)
CREATE = (
    "customer description metadata confirm automatic_payment_methods payment_method_types usage " + CONFIRM
)
UPDATE = "customer description metadata payment_method payment_method_types"
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(call: Call) -> Row:
    id = "seti_1" + call.new_id("x")[2:25]
    row = shapes.setup_intent(id, new_secret(id), call.now)
    _apply(call, row)
    row["usage"] = choice(call.params, "usage", ("off_session", "on_session"), "off_session")
    if mapping(call.params, "automatic_payment_methods"):
        row["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    call.save(row)
    call.emit("setup_intent.created", row)
    if flag(call.params, "confirm"):
        return _confirm(call, row)
    _take_method(call, row)
    return call.save(row)


def retrieve(call: Call, id: str) -> Row:
    return shown(call, opened(call, "setup_intent", id))


def listed(call: Call) -> Row:
    return call.listed("setup_intent", "customer")


def update(call: Call, id: str) -> Row:
    row = call.find("setup_intent", id)
    _apply(call, row)
    _take_method(call, row)
    return call.save(row)


def confirm(call: Call, id: str) -> Row:
    row = opened(call, "setup_intent", id)
    if row["status"] not in OPEN:
        raise _unexpected(
            row, f"You cannot confirm this SetupIntent because it has a status of {row['status']}."
        )
    _apply(call, row)
    return shown(call, _confirm(call, row))


def cancel(call: Call, id: str) -> Row:
    row = call.find("setup_intent", id)
    if row["status"] not in OPEN:
        raise _unexpected(
            row, f"You cannot cancel this SetupIntent because it has a status of {row['status']}."
        )
    reason = choice(call.params, "cancellation_reason", ("abandoned", "duplicate", "requested_by_customer"))
    row.update(status="canceled", cancellation_reason=reason, next_action=None)
    call.save(row)
    call.emit("setup_intent.canceled", row)
    return row


def _apply(call: Call, row: Row) -> None:
    params = call.params
    row["metadata"] = merged_metadata(row["metadata"], params)
    row["description"] = text(params, "description", row["description"])
    if customer := text(params, "customer"):
        row["customer"] = customers.living(call, customer, "customer")["id"]
    if return_url := text(params, "return_url"):
        row["_return_url"] = return_url
    if items(params, "payment_method_types") not in ([], ["card"]):
        raise invalid("The sandbox knows `card` only.", param="payment_method_types")


def _take_method(call: Call, row: Row) -> Row | None:
    if token := text(call.params, "confirmation_token"):
        method, made = methods.from_token(call, token, row)
        row.setdefault("_return_url", made["return_url"])
    elif given := mapping(call.params, "payment_method_data"):
        method = call.save(methods.from_form(call, given))
    elif id := text(call.params, "payment_method") or row["payment_method"]:
        method = methods.usable(call, id, row["customer"])
    else:
        return None
    row.update(payment_method=method["id"], status="requires_confirmation")
    return method


def _confirm(call: Call, row: Row) -> Row:
    method = _take_method(call, row)
    if method is None:
        raise _unexpected(row, "You cannot confirm this SetupIntent because it's missing a payment method.")
    row.update(last_setup_error=None, next_action=None)
    rule = methods.sample_of(method).authentication
    if needs_authentication(rule, set_up=False, off_session=rule == "on_session"):
        ask_for_authentication(call, row)
        call.save(row)
        call.emit("setup_intent.requires_action", row)
        return row
    return _finish(call, row, method)


def _finish(call: Call, row: Row, method: Row) -> Row:
    sample = methods.sample_of(method)
    if sample.decline and not sample.attaches:
        raise _decline(call, row, method, sample.decline)
    row.update(status="succeeded", payment_method=method["id"], next_action=None)
    method["_set_up"] = True
    call.save(method)
    call.save(row)
    if row["customer"]:
        methods.attach_to(call, method, row["customer"])
    call.emit("setup_intent.succeeded", row)
    return row


def _decline(call: Call, row: Row, method: Row, declined: tuple[str, str | None, str]) -> Declined:
    code, decline_code, message = declined
    error = {"code": code, "decline_code": decline_code, "message": message, "payment_method": public(method)}
    _fail(call, row, {**error, "type": "card_error"})
    return Declined({**error, "setup_intent": public(shown(call, row))})


def _fail(call: Call, row: Row, error: Row) -> None:
    row.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error
    )
    call.save(row)
    call.emit("setup_intent.setup_failed", row)


def authenticated(call: Call, row: Row, ok: bool) -> Row:
    """The buyer came back from 3-D Secure."""
    if row["status"] != "requires_action":
        return row
    method = call.find("payment_method", row["payment_method"])
    if not ok:
        error = {"code": "setup_intent_authentication_failure", "message": FAILED_AUTHENTICATION}
        _fail(call, row, {**error, "payment_method": public(method), "type": "invalid_request_error"})
        return row
    try:
        return _finish(call, row, method)
    except Declined:
        return row


def _unexpected(row: Row, message: str) -> StripeFault:
    return invalid(message, code="setup_intent_unexpected_state", setup_intent=public(row))
