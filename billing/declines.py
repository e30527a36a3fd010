"""Why a card says no, in words a buyer understands, and what may be done about it.

The codes are Stripe's decline codes and error codes (docs.stripe.com/declines/codes), and a few of our own.
"""

from typing import Any, Literal

from django.utils.translation import gettext as _

NextStep = Literal["", "retry", "new_card", "authenticate"]

ANOTHER = "Please use another card."
REASONS: dict[str, tuple[str, NextStep]] = {
    "insufficient_funds": ("The card does not have enough funds.", "retry"),
    "card_velocity_exceeded": ("The card's limit is reached for now.", "retry"),
    "withdrawal_count_limit_exceeded": ("The card's limit is reached for now.", "retry"),
    "processing_error": ("The card could not be processed just now. Please try again in a moment.", "retry"),
    "try_again_later": ("The bank could not answer just now. Please try again in a moment.", "retry"),
    "issuer_not_available": ("The bank could not be reached. Please try again in a moment.", "retry"),
    "reenter_transaction": ("The bank could not process the payment. Please try again.", "retry"),
    "approve_with_id": ("The bank could not approve the payment. Please try again.", "retry"),
    "do_not_honor": ("The bank declined the card. Please contact your bank, or use another card.", "retry"),
    "generic_decline": ("The card was declined. Please contact your bank, or use another card.", "retry"),
    "call_issuer": ("The bank declined the card. Please contact your bank, or use another card.", "retry"),
    "authentication_required": ("Your bank asks you to confirm this payment.", "authenticate"),
    "authentication_failed": (
        "Your bank could not confirm that it is you. Please try again.",
        "authenticate",
    ),
    "expired_card": (f"The card has expired. {ANOTHER}", "new_card"),
    "incorrect_number": ("The card number is not right. Please check it.", "new_card"),
    "invalid_number": ("The card number is not right. Please check it.", "new_card"),
    "incorrect_cvc": ("The security code is not right. Please check it.", "new_card"),
    "invalid_cvc": ("The security code is not right. Please check it.", "new_card"),
    "incorrect_zip": ("The postal code does not belong to this card. Please check it.", "new_card"),
    "incorrect_address": ("The address does not belong to this card. Please check it.", "new_card"),
    "invalid_expiry_month": ("The expiry date is not right. Please check it.", "new_card"),
    "invalid_expiry_year": ("The expiry date is not right. Please check it.", "new_card"),
    "invalid_account": (f"The account behind this card cannot be charged. {ANOTHER}", "new_card"),
    "card_not_supported": (f"The card does not support this kind of payment. {ANOTHER}", "new_card"),
    "currency_not_supported": (f"The card cannot be charged in this currency. {ANOTHER}", "new_card"),
    "transaction_not_allowed": (f"The card does not allow this payment. {ANOTHER}", "new_card"),
    "not_permitted": (f"The card does not allow this payment. {ANOTHER}", "new_card"),
    "testmode_decline": (f"A test card cannot pay. {ANOTHER}", "new_card"),
    "test_mode_live_card": ("Only test cards work here, such as 4242 4242 4242 4242.", "new_card"),
    "amount_too_small": ("The amount is too small to be charged by card.", ""),
    "amount_unchargeable": (
        "No card can be charged exactly this amount in this currency. Please pay by bank transfer.",
        "",
    ),
    "sandbox_on_live": ("A sandbox takes no real money: this account charges real cards.", ""),
    "live_on_test": ("Payments by card are not switched on yet. Nothing was charged.", ""),
    "amount_too_large": ("The amount is too large to be charged by card.", ""),
    "payment_method_missing": (f"This card is no longer saved. {ANOTHER}", "new_card"),
    "customer_missing": ("The card account no longer exists. Please enter the card again.", "new_card"),
    "canceled": ("The payment was canceled.", ""),
    "not_confirmed": ("The payment was not completed.", "retry"),
    "never_made": ("The payment was not made.", "retry"),
}
# What the thief must not be told: these read as any other decline, and are not tried again.
HIDDEN = (
    "lost_card stolen_card pickup_card fraudulent merchant_blacklist restricted_card security_violation"
    " stop_payment_order revocation_of_authorization revocation_of_all_authorizations do_not_try_again"
)
DECLINED: tuple[str, NextStep] = (f"The card was declined. {ANOTHER}", "new_card")
REASONS |= dict.fromkeys(HIDDEN.split(), DECLINED)
UNKNOWN_REASON: tuple[str, NextStep] = REASONS["generic_decline"]


def words_of(decline_code: str | None) -> tuple[str, NextStep]:
    """(words a buyer understands, what may be done next) for a decline code."""
    return REASONS.get(decline_code or "", UNKNOWN_REASON)


# No card whatever can be charged this amount.
TOO_LITTLE = "amount_too_small"
NO_CARD = (TOO_LITTLE, "amount_unchargeable")


def not_by_card(invoice: Any, last: Any) -> str:
    """Why another try could only fail, whatever the card; "" where it could work. `last` failed last."""
    if last is None or last.decline_code not in NO_CARD or last.amount < invoice.amount_due:
        return ""
    if last.decline_code == TOO_LITTLE and invoice.collection_method == "charge_automatically":
        return f"{last.message} {_('It is charged together with your next invoice.')}"
    return str(last.message) if last.amount == invoice.amount_due else ""
