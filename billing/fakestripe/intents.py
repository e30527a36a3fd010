"""/v1/payment_intents: the life of a payment."""

from typing import Any

from billing.fakestripe import charges, customers, methods, shapes
from billing.fakestripe.authentication import (
    FAILED_AUTHENTICATION,
    ask_for_authentication,
    needs_authentication,
    new_secret,
    opened,
    shown,
)
from billing.fakestripe.call import Call
from billing.fakestripe.cards import AUTHENTICATE, EXPIRED, SampleCard
from billing.fakestripe.currencies import check_amount, check_currency
from billing.fakestripe.errors import Declined, StripeFault, invalid, missing_param
from billing.fakestripe.params import choice, flag, integer, items, mapping, merged_metadata, text
from billing.fakestripe.searching import matches
from billing.fakestripe.shapes import public
from billing.fakestripe.store import Row

CONFIRM = (
    "payment_method payment_method_data confirmation_token return_url use_stripe_sdk off_session"
    " error_on_requires_action setup_future_usage mandate_data payment_method_options payment_method_types"
    " receipt_email client_secret expected_payment_method_type"
)
CREATE = (
    "amount currency customer description metadata confirm automatic_payment_methods statement_descriptor"
    " statement_descriptor_suffix capture_method confirmation_method shipping radar_options transfer_group "
) + CONFIRM
UPDATE = (
    "amount currency customer description metadata payment_method receipt_email setup_future_usage"
    " statement_descriptor statement_descriptor_suffix shipping payment_method_types"
)
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
PLAIN = (
    "description",
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


# -- endpoints ----------------------------------------
def create(call: Call) -> Row:
    for name in ("amount", "currency"):
        if name not in call.params:
            raise missing_param(name)
    currency = check_currency(str(call.params["currency"]))
    amount = integer(call.params, "amount")
    check_amount(amount, currency)
    id = "pi_3" + call.new_id("x")[2:25]
    row = shapes.payment_intent(id, new_secret(id), call.now, amount, currency)
    _apply(call, row)
    if flag(call.params, "automatic_payment_methods[enabled]") or mapping(
        call.params, "automatic_payment_methods"
    ):
        row["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    if flag(call.params, "confirm"):
        call.save(row)
        call.emit("payment_intent.created", row)
        return _confirm(call, row)
    _take_method(call, row)
    call.save(row)
    call.emit("payment_intent.created", row)
    return row


def retrieve(call: Call, id: str) -> Row:
    return shown(call, opened(call, "payment_intent", id))


def update(call: Call, id: str) -> Row:
    row = call.find("payment_intent", id)
    if row["status"] in ("succeeded", "canceled") and set(call.params) - {
        "metadata",
        "description",
        "expand",
    }:
        raise _unexpected(
            row, f"This PaymentIntent could not be updated because it has a status of {row['status']}."
        )
    if "amount" in call.params:
        row["amount"] = integer(call.params, "amount")
        check_amount(row["amount"], row["currency"])
    _apply(call, row)
    _take_method(call, row)
    return call.save(row)


def confirm(call: Call, id: str) -> Row:
    row = opened(call, "payment_intent", id)
    if row["status"] not in OPEN:
        state = "already succeeded" if row["status"] == "succeeded" else f"a status of {row['status']}"
        raise _unexpected(row, f"You cannot confirm this PaymentIntent because it has {state}.")
    _apply(call, row)
    return shown(call, _confirm(call, row))


def cancel(call: Call, id: str) -> Row:
    row = call.find("payment_intent", id)
    if row["status"] not in OPEN:
        raise _unexpected(
            row,
            f"You cannot cancel this PaymentIntent because it has a status of {row['status']}. Only one with"
            " one of the following statuses may be canceled: requires_payment_method, requires_capture,"
            " requires_confirmation, requires_action, processing.",
        )
    reasons = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
    reason = choice(call.params, "cancellation_reason", reasons)
    row.update(status="canceled", canceled_at=call.now, cancellation_reason=reason, next_action=None)
    call.save(row)
    call.emit("payment_intent.canceled", row)
    return row


def listed(call: Call) -> Row:
    return call.listed("payment_intent", "customer")


def search(call: Call) -> Row:
    """Search is eventually consistent: what is younger than `search_lag` seconds is not found yet."""
    query = text(call.params, "query")
    if not query:
        raise missing_param("query")
    limit = integer(call.params, "limit", 10)
    known = call.fake.store.rows("payment_intent", until=call.now - call.fake.search_lag)
    found = [row for row in known if matches(query, row)]
    page = shapes.page(call.path, found[:limit], len(found) > limit)
    return {**page, "object": "search_result", "next_page": None}


# -- parameters ----------------------------------------
def _apply(call: Call, row: Row) -> None:
    params = call.params
    row.update({name: text(params, name) for name in PLAIN if name in params})
    row["metadata"] = merged_metadata(row["metadata"], params)
    if customer := text(params, "customer"):
        row["customer"] = customers.living(call, customer, "customer")["id"]
    usages = ("off_session", "on_session")
    row["setup_future_usage"] = choice(params, "setup_future_usage", usages, row["setup_future_usage"])
    if return_url := text(params, "return_url"):
        row["_return_url"] = return_url
    _only_cards(params)


def _only_cards(params: dict[str, Any]) -> None:
    types = items(params, "payment_method_types")
    if types and types != ["card"]:
        raise invalid(
            f"The payment method type provided: {types[-1]} is invalid. The sandbox knows `card` only.",
            param="payment_method_types",
            code="payment_intent_invalid_parameter",
        )
    if params.get("capture_method") == "manual" or params.get("confirmation_method") == "manual":
        raise invalid("The sandbox captures and confirms automatically only.", param="capture_method")


def _take_method(call: Call, row: Row) -> Row | None:
    """The payment method of this call, or the one that the intent already has."""
    if token := text(call.params, "confirmation_token"):
        return _from_token(call, row, token)
    if given := mapping(call.params, "payment_method_data"):
        method = call.save(methods.from_form(call, given))
    elif id := text(call.params, "payment_method") or row["payment_method"]:
        method = methods.usable(call, id, row["customer"])
    else:
        return None
    row["payment_method"] = method["id"]
    row["status"] = "requires_confirmation"
    return method


def _from_token(call: Call, row: Row, id: str) -> Row:
    method, token = methods.from_token(call, id, row)
    row["payment_method"] = method["id"]
    row["setup_future_usage"] = row["setup_future_usage"] or token["setup_future_usage"]
    row.setdefault("_return_url", token["return_url"])
    return method


# -- confirming ----------------------------------------
def _confirm(call: Call, row: Row) -> Row:
    method = _take_method(call, row)
    if method is None:
        raise _unexpected(
            row,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either"
            " update the PaymentIntent with a payment method and then confirm it again, or confirm it again"
            " directly with a payment method or ConfirmationToken.",
        )
    row.update(last_payment_error=None, next_action=None)
    off_session = str(call.params.get("off_session", "false")) not in ("false", "")
    rule = methods.sample_of(method).authentication
    if needs_authentication(rule, set_up=method["_set_up"], off_session=off_session):
        if off_session or flag(call.params, "error_on_requires_action"):
            raise _decline(call, row, method, AUTHENTICATE)
        ask_for_authentication(call, row)
        call.save(row)
        call.emit("payment_intent.requires_action", row)
        return row
    return _charge(call, row, method)


def _charge(call: Call, row: Row, method: Row) -> Row:
    if call.fault == "processing":
        row["status"] = "processing"
        call.save(row)
        call.emit("payment_intent.processing", row)
        return row
    sample = methods.sample_of(method)
    if declined := _refusal(sample, method, call.now):
        raise _decline(call, row, method, declined)
    return succeed(call, row, method)


def _refusal(sample: SampleCard, method: Row, now: int) -> tuple[str, str | None, str] | None:
    return sample.decline or (EXPIRED if methods.expired(method, now) else None)


def succeed(call: Call, row: Row, method: Row) -> Row:
    """The money moves: a paid charge, and the card kept if that was asked for."""
    charge = charges.paid(call, row, method)
    row.update(status="succeeded", amount_received=row["amount"], latest_charge=charge["id"])
    row.update(next_action=None, processing=None, payment_method=method["id"])
    call.save(row)
    _keep_card(call, row, method)
    call.emit("charge.succeeded", charge)
    call.emit("payment_intent.succeeded", row)
    charges.follow_up(call, charge, methods.sample_of(method))
    return row


def _keep_card(call: Call, row: Row, method: Row) -> None:
    if row["setup_future_usage"] and row["customer"]:
        method["_set_up"] = method["_set_up"] or row["setup_future_usage"] == "off_session"
        call.save(method)
        methods.attach_to(call, method, row["customer"])
    elif not method["customer"]:
        call.save({**method, "_spent": True})


def _decline(call: Call, row: Row, method: Row, declined: tuple[str, str | None, str]) -> Declined:
    """A failed charge on record; the intent waits for another card."""
    charge = charges.failed(call, row, method, declined)
    code, decline_code, message = declined
    error = {
        "advice_code": charge["outcome"]["advice_code"],
        "charge": charge["id"],
        "code": code,
        "decline_code": decline_code,
        "doc_url": "https://stripe.com/docs/error-codes/" + code.replace("_", "-"),
        "message": message,
        "payment_method": public(method),
    }
    row.update(status="requires_payment_method", payment_method=None, next_action=None, processing=None)
    row.update(latest_charge=charge["id"], last_payment_error={**error, "type": "card_error"})
    call.save(row)
    call.emit("charge.failed", charge)
    call.emit("payment_intent.payment_failed", row)
    return Declined({**error, "payment_intent": public(shown(call, row))})


# -- what happens outside a call ----------------------------------------
def authenticated(call: Call, row: Row, ok: bool) -> Row:
    """The buyer came back from 3-D Secure."""
    if row["status"] != "requires_action":
        return row
    method = call.find("payment_method", row["payment_method"])
    if not ok:
        return _not_authenticated(call, row, method)
    try:
        return _charge(call, row, method)
    except Declined:
        return row


def _not_authenticated(call: Call, row: Row, method: Row) -> Row:
    error = {
        "code": "payment_intent_authentication_failure",
        "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
        "message": FAILED_AUTHENTICATION,
        "payment_method": public(method),
        "type": "invalid_request_error",
    }
    row.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error
    )
    call.save(row)
    call.emit("payment_intent.payment_failed", row)
    return row


def settle(call: Call, row: Row, ok: bool) -> Row:
    """The end of a payment that was `processing`."""
    if row["status"] != "processing":
        return row
    method = call.find("payment_method", row["payment_method"])
    if ok:
        return succeed(call, row, method)
    _decline(call, row, method, ("card_declined", "generic_decline", "Your card was declined."))
    return row


def _unexpected(row: Row, message: str) -> StripeFault:
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=public(row))
