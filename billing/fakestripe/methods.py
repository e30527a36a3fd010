"""/v1/payment_methods and /v1/confirmation_tokens"""

import re
from datetime import UTC, datetime
from typing import Any

from billing.fakestripe import shapes
from billing.fakestripe.call import Call
from billing.fakestripe.cards import BY_NAME, BY_NUMBER, SampleCard, passes_luhn
from billing.fakestripe.errors import Declined, invalid, missing_param
from billing.fakestripe.params import integer, mapping, merged_metadata, text
from billing.fakestripe.store import Row

SPENT = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment,"
    " shared with a connected account without Customer attachment, or was detached from a Customer. It may"
    " not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first."
)
RAW_NUMBERS = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. To continue processing use"
    " Stripe.js, the Stripe mobile bindings, or Stripe Elements."
)


# -- what a card is ----------------------------------------
def sample_of(method: Row) -> SampleCard:
    return BY_NAME[method["_sample"]]


def expired(method: Row, now: int) -> bool:
    today = datetime.fromtimestamp(now, UTC)
    card = method["card"]
    return bool((card["exp_year"], card["exp_month"]) < (today.year, today.month))


# -- making one ----------------------------------------
def create(call: Call) -> Row:
    row = from_form(call, call.params)
    row["metadata"] = merged_metadata({}, call.params)
    return call.save(row)


def from_form(call: Call, given: Row) -> Row:
    """A payment method from `card[number]` … as a browser sends it; not saved yet."""
    if given.get("type", "card") != "card":
        raise invalid("Invalid type: must be card", param="type")
    card = mapping(given, "card")
    if not card:
        raise missing_param("card")
    if not call.browser:
        raise invalid(RAW_NUMBERS)
    sample = _sample(str(card.get("number", "")))
    month, year = _expiry(card, call.now)
    row = shapes.payment_method(
        call.new_id("pm"), call.now, sample, month, year, mapping(given, "billing_details")
    )
    _note_checks(row, sample, card)
    return row


def named(call: Call, name: str) -> Row:
    """A fresh payment method from one of Stripe's test names, such as `pm_card_visa`."""
    year = datetime.fromtimestamp(call.now, UTC).year + 1
    return call.save(shapes.payment_method(call.new_id("pm"), call.now, BY_NAME[name], 12, year, None))


def _sample(typed: str) -> SampleCard:
    number = re.sub(r"[\s-]", "", typed)
    if not re.fullmatch(r"\d{12,19}", number) or not passes_luhn(number):
        raise _card_error("incorrect_number", "Your card number is incorrect.", "number")
    if number not in BY_NUMBER:
        message = "Your card was declined. Your request was in test mode, but used a non test card."
        raise _card_error("card_declined", message, "", decline_code="test_mode_live_card")
    return BY_NUMBER[number]


def _expiry(card: Row, now: int) -> tuple[int, int]:
    month, year = integer(card, "exp_month"), integer(card, "exp_year")
    year += 2000 if year < 100 else 0
    today = datetime.fromtimestamp(now, UTC)
    if not 1 <= month <= 12:
        raise _card_error("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if not today.year <= year <= today.year + 50:
        raise _card_error("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    if (year, month) < (today.year, today.month):
        raise _card_error("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    return month, year


def _note_checks(row: Row, sample: SampleCard, card: Row) -> None:
    cvc = str(card.get("cvc", ""))
    if cvc and not re.fullmatch(r"\d{4}" if sample.brand == "amex" else r"\d{3}", cvc):
        raise _card_error("invalid_cvc", "Your card's security code is invalid.", "cvc")
    checks = row["card"]["checks"]
    checks["cvc_check"] = "pass" if cvc else None
    postal = row["billing_details"]["address"]["postal_code"]
    checks["address_postal_code_check"] = "pass" if postal else None
    if sample.failed_check and checks.get(sample.failed_check):
        checks[sample.failed_check] = "fail"


def _card_error(code: str, message: str, param: str, **more: Any) -> Declined:
    return Declined({"code": code, "message": message, "param": param or None, **more})


# -- using one ----------------------------------------
def usable(call: Call, id: str | None, customer: str | None = None) -> Row:
    """The payment method to pay with: made on the spot for a test name, refused if spent or another's."""
    if id in BY_NAME:
        return named(call, id)
    row = call.find("payment_method", id, "payment_method")
    if row["_spent"]:
        raise invalid(SPENT, code="payment_method_unexpected_state")
    if row["customer"] and row["customer"] != customer:
        raise invalid(
            f"The payment method {row['id']} belongs to a different customer, or no customer was given."
            " Provide the customer that it is attached to.",
            param="payment_method",
            code="payment_method_customer_mismatch" if customer else "customer_required",
        )
    return row


def retrieve(call: Call, id: str) -> Row:
    return named(call, id) if id in BY_NAME else call.find("payment_method", id)


def listed(call: Call) -> Row:
    return call.listed("payment_method", "customer")


def listed_of(call: Call, customer: str) -> Row:
    call.find("customer", customer)
    call.params["customer"] = customer
    return call.listed("payment_method", "customer")


def update(call: Call, id: str) -> Row:
    row = call.find("payment_method", id)
    card = mapping(call.params, "card")
    if card:
        row["card"]["exp_month"] = integer(card, "exp_month", row["card"]["exp_month"])
        row["card"]["exp_year"] = integer(card, "exp_year", row["card"]["exp_year"])
    if "billing_details" in call.params:
        row["billing_details"] = shapes.billing_details(mapping(call.params, "billing_details"))
    row["metadata"] = merged_metadata(row["metadata"], call.params)
    call.save(row)
    call.emit("payment_method.updated", row)
    return row


def attach(call: Call, id: str) -> Row:
    customer = text(call.params, "customer")
    if not customer:
        raise missing_param("customer")
    if call.find("customer", customer, "customer").get("deleted"):
        call.find("customer", "", "customer")
    return attach_to(call, usable(call, id, customer), customer)


def attach_to(call: Call, method: Row, customer: str) -> Row:
    if method["customer"] == customer:
        return method
    sample = sample_of(method)
    if sample.decline and not sample.attaches and call.fake.declines_attach:
        code, decline_code, message = sample.decline
        raise Declined({"code": code, "decline_code": decline_code, "message": message})
    method["customer"] = customer
    call.save(method)
    call.emit("payment_method.attached", method)
    return method


def detach(call: Call, id: str) -> Row:
    method = call.find("payment_method", id)
    if not method["customer"]:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    return detach_from(call, method)


def detach_from(call: Call, method: Row) -> Row:
    before = method["customer"]
    method.update(customer=None, _spent=True)
    call.save(method)
    call.emit("payment_method.detached", method, {"customer": before})
    return method


# -- confirmation tokens ----------------------------------------
def create_token(call: Call) -> Row:
    given = mapping(call.params, "payment_method_data")
    if not given:
        raise missing_param("payment_method_data")
    preview = from_form(call, given)
    row = shapes.confirmation_token(call.new_id("ctoken"), call.now, preview, call.params)
    return call.save({**row, "_method": preview})


def retrieve_token(call: Call, id: str) -> Row:
    return call.find("confirmation_token", id)


def from_token(call: Call, id: str, intent: Row) -> tuple[Row, Row]:
    """The payment method that a confirmation token stands for, and the token. A token works once."""
    token = call.find("confirmation_token", id, "confirmation_token")
    if token["payment_intent"] or token["setup_intent"]:
        raise invalid(
            "The confirmation token has already been used to confirm a PaymentIntent or SetupIntent.",
            param="confirmation_token",
        )
    if token["expires_at"] <= call.now:
        raise invalid("The confirmation token has expired.", param="confirmation_token")
    token[intent["object"]] = intent["id"]
    method = call.save(token["_method"])
    call.save(token)
    return method, token
