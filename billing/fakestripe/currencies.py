"""What Stripe takes: currencies, smallest and largest amounts, and the special ones.

Source: Stripe, "Supported currencies" (docs.stripe.com/currencies).
"""

from billing.fakestripe.errors import StripeFault, invalid

CODES = """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp
    byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip
    gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt
    lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr
    nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd
    std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar
    zmw
"""
SUPPORTED = frozenset(CODES.split())

# The least that can be charged, in Stripe's units.
MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip

# Amounts that must be a multiple: the last digit of a three-decimal currency is zero, and two currencies
# without decimals are still written with two.
STEP = {"bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10, "isk": 100, "ugx": 100}

MAXIMUM = 99_999_999
WIDER_MAXIMUM = {"idr": 999_999_999_999, "cop": 9_999_999_999, "huf": 9_999_999_999, "jpy": 9_999_999_999}


def check_currency(currency: str) -> str:
    lower = currency.lower()
    if lower not in SUPPORTED:
        listed = ", ".join(sorted(SUPPORTED))
        raise invalid(
            f"Invalid currency: {lower}. Stripe currently supports these currencies: {listed}",
            param="currency",
        )
    return lower


def check_amount(amount: int, currency: str) -> None:
    if amount < 1:
        raise _amount("This value must be greater than or equal to 1.", "parameter_invalid_integer")
    if amount < MINIMUM.get(currency, 1):
        least = f"{MINIMUM[currency]} {currency} (in the smallest unit)"
        raise _amount(f"Amount must be at least {least}.", "amount_too_small")
    if amount > WIDER_MAXIMUM.get(currency, MAXIMUM):
        raise _amount("Amount must be no more than 8 digits in the smallest unit.", "amount_too_large")
    if amount % STEP.get(currency, 1):
        raise _amount(
            f"Amounts in {currency} must be a multiple of {STEP[currency]}.", "parameter_invalid_integer"
        )


def _amount(message: str, code: str) -> StripeFault:
    return invalid(message, param="amount", code=code)
