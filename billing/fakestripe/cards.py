"""Stripe's test cards: the number, or its test name, decides what happens.

Source: Stripe, "Testing" (docs.stripe.com/testing). Numbers are looked up and forgotten: the store keeps the
row's `key`, brand and last four digits, never a number.
"""

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class SampleCard:
    """One row of Stripe's table.

    decline: (code, decline_code, message) that every charge meets, or None.
    authentication: when 3-D Secure is asked for: `never`, `unless_set_up`, `always`, `on_session`.
    attaches: False where Stripe declines saving the card to a customer.
    afterwards: what follows a paid charge: `dispute:<reason>`, `refund_pending`, `refund_fails`.
    """

    number: str
    names: tuple[str, ...]
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: tuple[str, str | None, str] | None = None
    authentication: str = "never"
    attaches: bool = True
    afterwards: str = ""
    risk: str = "normal"
    failed_check: str = ""

    @property
    def key(self) -> str:
        return self.names[0]

    @property
    def fingerprint(self) -> str:
        return sha256(self.number.encode()).hexdigest()[:16]


DECLINED = "Your card was declined."
GENERIC = ("card_declined", "generic_decline", DECLINED)
NO_FUNDS = ("card_declined", "insufficient_funds", "Your card has insufficient funds.")
EXPIRED = ("expired_card", "expired_card", "Your card has expired.")
WRONG_CVC = ("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
LOST = ("card_declined", "lost_card", DECLINED)
STOLEN = ("card_declined", "stolen_card", DECLINED)
FRAUD = ("card_declined", "fraudulent", DECLINED)
VELOCITY = ("card_declined", "card_velocity_exceeded", DECLINED)
PROCESSING = (
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
AUTHENTICATE = (
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)


def _declining(number: str, *names: str, decline: tuple[str, str | None, str]) -> SampleCard:
    return SampleCard(number, names, decline=decline, attaches=False)


CARDS = (
    SampleCard("4242424242424242", ("pm_card_visa",)),
    SampleCard("4000056655665556", ("pm_card_visa_debit",), funding="debit"),
    SampleCard("5555555555554444", ("pm_card_mastercard",), brand="mastercard"),
    SampleCard("2223003122003222", ("pm_card_mastercard_2series",), brand="mastercard"),
    SampleCard("5200828282828210", ("pm_card_mastercard_debit",), brand="mastercard", funding="debit"),
    SampleCard("5105105105105100", ("pm_card_mastercard_prepaid",), brand="mastercard", funding="prepaid"),
    SampleCard("378282246310005", ("pm_card_amex",), brand="amex"),
    SampleCard("371449635398431", ("pm_card_amex_second",), brand="amex"),
    SampleCard("6011111111111117", ("pm_card_discover",), brand="discover"),
    SampleCard("3056930009020004", ("pm_card_diners",), brand="diners"),
    SampleCard("3566002020360505", ("pm_card_jcb",), brand="jcb", country="JP"),
    SampleCard("6200000000000005", ("pm_card_unionpay",), brand="unionpay", country="CN"),
    SampleCard("4000002760000016", ("pm_card_de", "pm_card_germany"), country="DE"),
    SampleCard("4000008260000000", ("pm_card_gb",), country="GB"),
    _declining("4000000000000002", "pm_card_visa_chargeDeclined", "pm_card_chargeDeclined", decline=GENERIC),
    _declining(
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedInsufficientFunds",
        decline=NO_FUNDS,
    ),
    _declining("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", decline=LOST),
    _declining("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", decline=STOLEN),
    _declining(
        "4000000000000069",
        "pm_card_chargeDeclinedExpiredCard",
        "pm_card_visa_chargeDeclinedExpiredCard",
        decline=EXPIRED,
    ),
    _declining(
        "4000000000000127",
        "pm_card_chargeDeclinedIncorrectCvc",
        "pm_card_visa_chargeDeclinedIncorrectCvc",
        decline=WRONG_CVC,
    ),
    _declining(
        "4000000000000119",
        "pm_card_chargeDeclinedProcessingError",
        "pm_card_visa_chargeDeclinedProcessingError",
        decline=PROCESSING,
    ),
    _declining("4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", decline=VELOCITY),
    _declining("4100000000000019", "pm_card_radarBlock", "pm_card_chargeDeclinedFraudulent", decline=FRAUD),
    SampleCard("4000000000000341", ("pm_card_chargeCustomerFail",), decline=GENERIC),
    SampleCard("4000000000004954", ("pm_card_riskLevelHighest",), risk="highest"),
    SampleCard("4000000000009235", ("pm_card_riskLevelElevated",), risk="elevated"),
    SampleCard("4000000000000101", ("pm_card_cvcCheckFail",), failed_check="cvc_check"),
    SampleCard("4000000000000036", ("pm_card_avsZipFail",), failed_check="address_postal_code_check"),
    SampleCard(
        "4000002500003155",
        ("pm_card_authenticationRequiredOnSetup",),
        authentication="unless_set_up",
        country="IE",
    ),
    SampleCard(
        "4000002760003184", ("pm_card_authenticationRequired",), authentication="always", country="DE"
    ),
    SampleCard(
        "4000003800000446",
        ("pm_card_authenticationRequiredSetupForOffSession",),
        authentication="on_session",
        country="IT",
    ),
    SampleCard(
        "4000008260003178",
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",),
        authentication="unless_set_up",
        decline=NO_FUNDS,
        country="GB",
    ),
    SampleCard("4000000000003220", ("pm_card_threeDSecure2Required",), authentication="always"),
    SampleCard(
        "4000008400001629",
        ("pm_card_threeDSecureRequiredChargeDeclined",),
        authentication="always",
        decline=GENERIC,
    ),
    SampleCard("4000000000003055", ("pm_card_threeDSecureOptional",)),
    SampleCard("4000000000000259", ("pm_card_createDispute",), afterwards="dispute:fraudulent"),
    SampleCard(
        "4000000000002685",
        ("pm_card_createDisputeProductNotReceived",),
        afterwards="dispute:product_not_received",
    ),
    SampleCard("4000000000007726", ("pm_card_pendingRefund",), afterwards="refund_pending"),
    SampleCard("4000000000005126", ("pm_card_refundFail",), afterwards="refund_fails"),
    SampleCard("4000000000000077", ("pm_card_bypassPending",)),
)

BY_NUMBER = {card.number: card for card in CARDS}
BY_NAME = {name: card for card in CARDS for name in card.names}


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]
    return len(digits) > 11 and (sum(digits[0::2]) + sum(doubled)) % 10 == 0
