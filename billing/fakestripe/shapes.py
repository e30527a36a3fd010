"""Stripe's objects as plain dicts, with every field that Stripe answers.

Names that begin with an underscore are the stand-in's own notes and never leave it (`public`).
"""

from typing import Any

from billing.fakestripe.cards import SampleCard

Row = dict[str, Any]

DAY = 86_400
FEE_SHARE = (29, 1000)
FEE_FIXED = 30
ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def public(value: Any) -> Any:
    """The value as Stripe would send it: without the notes, at any depth."""
    if isinstance(value, dict):
        return {key: public(item) for key, item in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [public(item) for item in value]
    return value


def customer(id: str, now: int) -> Row:
    return {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def billing_details(given: Row | None = None) -> Row:
    given = given or {}
    address = {**ADDRESS, **{k: v or None for k, v in (given.get("address") or {}).items()}}
    plain = {key: given.get(key) or None for key in ("email", "name", "phone", "tax_id")}
    return {"address": address, **plain}


def payment_method(id: str, now: int, card: SampleCard, month: int, year: int, details: Row | None) -> Row:
    return {
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(details),
        "card": card_of_method(card, month, year),
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "radar_options": {},
        "type": "card",
        "_sample": card.key,
        "_set_up": False,
        "_spent": False,
    }


def card_of_method(card: SampleCard, month: int, year: int) -> Row:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def payment_intent(id: str, secret: str, now: int, amount: int, currency: str) -> Row:
    return {
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": secret,
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def setup_intent(id: str, secret: str, now: int) -> Row:
    return {
        "id": id,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": secret,
        "created": now,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def charge(id: str, now: int, intent: Row, method: Row) -> Row:
    """A charge of a payment intent, not yet decided."""
    return {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "TANDEM",
        "captured": False,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "destination": None,
        "dispute": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _method_details(method, intent["amount"]),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def _method_details(method: Row, amount: int) -> Row:
    card = method["card"]
    kept = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "wallet",
    )
    more = {"amount_authorized": amount, "installments": None, "mandate": None, "network": card["brand"]}
    off = {"status": "disabled"}
    later = {"extended_authorization": off, "incremental_authorization": {"status": "unavailable"}}
    plain = {
        "authorization_code": "123456",
        "multicapture": {"status": "unavailable"},
        "three_d_secure": None,
    }
    taken = {key: card[key] for key in kept}
    return {"type": "card", "card": {**taken, **more, **later, **plain, "regulated_status": "unregulated"}}


def outcome(card: SampleCard, declined: tuple[str, str | None, str] | None) -> Row:
    """What Stripe says about the network's answer."""
    blocked = bool(declined and declined[1] == "fraudulent")
    refused = bool(declined) and not blocked
    return {
        "advice_code": "try_again_later" if refused else None,
        "network_advice_code": None,
        "network_decline_code": "01" if refused else None,
        "network_status": _network_status(bool(declined), blocked),
        "reason": (declined[1] or declined[0]) if declined else None,
        "risk_level": "highest" if blocked else card.risk,
        "risk_score": {"normal": 32, "elevated": 65, "highest": 92}["highest" if blocked else card.risk],
        "seller_message": _seller_message(refused, blocked),
        "type": "blocked" if blocked else ("issuer_declined" if refused else "authorized"),
    }


def _network_status(declined: bool, blocked: bool) -> str:
    if blocked:
        return "not_sent_to_network"
    return "declined_by_network" if declined else "approved_by_network"


def _seller_message(refused: bool, blocked: bool) -> str:
    if blocked:
        return "Stripe blocked this payment as too risky."
    return (
        "The bank did not return any further details with this decline." if refused else "Payment complete."
    )


def balance_transaction(id: str, now: int, kind: str, amount: int, currency: str, source: str) -> Row:
    """A movement on the account's balance; a charge pays 2.9 % and 30, everything else nothing."""
    share, of = FEE_SHARE
    fee = (amount * share + of // 2) // of + FEE_FIXED if kind == "charge" else 0
    detail = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
    }
    return {
        "id": id,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now + 2 * DAY,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [{**detail, "type": "stripe_fee"}] if fee else [],
        "net": amount - fee,
        "reporting_category": {"adjustment": "dispute"}.get(kind, kind),
        "source": source,
        "status": "pending",
        "type": kind,
    }


def refund(id: str, now: int, of: Row, amount: int, reason: str | None) -> Row:
    return {
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "customer": of["customer"],
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(id: str, now: int, of: Row, reason: str) -> Row:
    evidence = ("access_activity_log", "cancellation_policy", "customer_communication", "uncategorized_text")
    return {
        "id": id,
        "object": "dispute",
        "amount": of["amount"],
        "balance_transactions": [],
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(evidence),
        "evidence_details": {
            "due_by": now + 9 * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
        "payment_intent": of["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


def confirmation_token(id: str, now: int, preview: Row, params: Row) -> Row:
    return {
        "id": id,
        "object": "confirmation_token",
        "created": now,
        "expires_at": now + DAY // 2,
        "livemode": False,
        "mandate_data": None,
        "payment_intent": None,
        "payment_method_options": None,
        "payment_method_preview": {
            "allow_redisplay": "unspecified",
            "billing_details": preview["billing_details"],
            "card": preview["card"],
            "customer": None,
            "customer_account": None,
            "type": "card",
        },
        "return_url": params.get("return_url"),
        "setup_future_usage": params.get("setup_future_usage"),
        "setup_intent": None,
        "shipping": None,
        "use_stripe_sdk": True,
    }


def event(id: str, now: int, kind: str, row: Row, previous: Row | None, version: str, request: Row) -> Row:
    data = {"object": public(row)} | ({"previous_attributes": previous} if previous else {})
    return {
        "id": id,
        "object": "event",
        "api_version": version,
        "created": now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": request,
        "type": kind,
    }


def account(now: int) -> Row:
    return {
        "id": "acct_1TandemSandbox00",
        "object": "account",
        "business_profile": {"mcc": "5734", "name": "Tandem sandbox", "url": None, "support_email": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "created": now,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@tandem.example",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": "/v1/accounts/acct_1TandemSandbox00/external_accounts",
        },
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {"statement_descriptor_prefix": None},
            "dashboard": {"display_name": "Tandem sandbox", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "TANDEM"},
        },
        "type": "standard",
    }


def balance(amounts: dict[str, int]) -> Row:
    listed = [
        {"amount": amount, "currency": name, "source_types": {"card": amount}}
        for name, amount in amounts.items()
    ]
    return {"object": "balance", "available": [], "livemode": False, "pending": listed}


def page(url: str, rows: list[Row], has_more: bool) -> Row:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}
