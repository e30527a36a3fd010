"""What people type, made fit to store: text without tricks, mail addresses, countries, time zones, tax ids.

Each function takes the value and the name of its field, and answers the stored form or raises `Refused` with
that field's name.
"""

import re
import unicodedata
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from stdnum import get_cc_module
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError as StdnumError

from billing.maths.money import EXPONENTS
from billing.refusals import Refused
from billing.taxes import EU


class InvalidText(Refused):
    """Not text, or with a character that cannot be stored."""

    code = "invalid_text"


class Missing(Refused):
    """Nothing visible was given for a field that is needed."""

    code = "required"


class TooLong(Refused):
    """The message says how much is allowed."""

    code = "too_long"


class InvalidEmail(Refused):
    """Not an address that mail servers take."""

    code = "invalid_email"


class InvalidDomain(Refused):
    """Not a name under which a company could be found."""

    code = "invalid_domain"


class UnknownCountry(Refused):
    """Not a code of ISO 3166-1."""

    code = "unknown_country"


class UnknownCurrency(Refused):
    """Not a code of ISO 4217."""

    code = "unknown_currency"


class UnknownTimezone(Refused):
    """Not a name of the IANA database."""

    code = "unknown_timezone"


class InvalidTaxId(Refused):
    """The number fails the check of its country."""

    code = "invalid_tax_id"


# Direction overrides and invisible characters make one name look like another. The joiners U+200C and U+200D
# stay: Persian and emoji are written with them.
_TRICKS = re.compile(
    "[\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad]"
)
_SPACES = re.compile(r"\s+")

# Greece writes EL before its VAT numbers, Northern Ireland XI.
_VAT_PREFIX = {"GR": "EL"}
_NOT_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}

# What the number is called where it is not VAT, and the module of stdnum that knows it.
_TAX_ID_MODULES = {"US": "ein", "AU": "abn", "IN": "gstin", "BR": "cnpj", "ZA": "tin"}

FREE_MAIL = frozenset(  # a text to read and to add to
    """
    126.com 163.com aol.com comcast.net fastmail.com fastmail.fm free.fr gmail.com gmx.at gmx.ch gmx.com
    gmx.de gmx.net googlemail.com hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.fr icloud.com
    laposte.net libero.it live.com mac.com mail.com mail.ru mailbox.org me.com msn.com naver.com
    orange.fr outlook.com outlook.de pm.me posteo.de proton.me protonmail.com qq.com rediffmail.com
    rocketmail.com seznam.cz t-online.de tuta.com tutanota.com verizon.net web.de wp.pl yahoo.co.in
    yahoo.co.jp yahoo.co.uk yahoo.com yahoo.de yahoo.fr yandex.com yandex.ru ymail.com zoho.com
    """.split()
)


def text(value: Any, field: str, *, limit: int, required: bool = False) -> str:
    """One line without control characters, direction tricks and doubled spaces; "" when nothing shows."""
    if not isinstance(value, str):
        raise InvalidText("This must be text.", field=field)
    if "\x00" in value:
        raise InvalidText("This contains a character that cannot be stored.", field=field)
    clean = _visible(_SPACES.sub(" ", _TRICKS.sub("", value)))
    if required and not clean:
        raise Missing("This is needed.", field=field)
    if len(clean) > limit:
        raise TooLong(f"This can have at most {limit} characters.", field=field)
    return clean


def _visible(value: str) -> str:
    if value.isprintable():  # as nearly everything is: nothing but letters, signs and plain spaces
        return value.strip()
    kept = "".join(c for c in value if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn"))
    return kept.strip() if any(unicodedata.category(c)[0] not in "CZ" for c in kept) else ""


def email(value: Any, field: str = "email") -> str:
    """The address, its domain in lower-case ASCII. Few servers take other letters before the @ or a number in
    brackets behind it: refused."""
    if not isinstance(value, str) or not value.strip():
        raise Missing("An e-mail address is needed.", field=field)
    local, _, domain = value.strip().rpartition("@")
    try:
        address = f"{local}@{domain.encode('idna').decode().lower()}"
        validate_email(address)
    except (UnicodeError, ValidationError):
        raise InvalidEmail("Enter an e-mail address such as name@company.com.", field=field) from None
    if not address.isascii() or len(address) > 254 or '"' in local or address.endswith("]"):
        raise InvalidEmail("Enter an e-mail address such as name@company.com.", field=field)
    return address


def business_domain(address: str) -> str:
    """The domain of a mail address, or "" where it says nothing about a company."""
    domain = address.rpartition("@")[2].lower()
    return "" if domain in FREE_MAIL else domain


def domain(value: Any, field: str = "domain") -> str:
    """A host name in lower-case ASCII, without scheme or path; "" for nothing."""
    clean = text(value, field, limit=253).lower()
    if not clean:
        return ""
    try:
        return email(f"a@{clean}", field).rpartition("@")[2]
    except InvalidEmail:
        raise InvalidDomain("Enter a domain such as company.com.", field=field) from None


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 alpha-2 codes with their English names, by name."""
    names = {k: v for k, v in Locale("en").territories.items() if len(k) == 2 and k.isalpha()}
    kept = {code: name for code, name in names.items() if code not in _NOT_COUNTRIES}
    return dict(sorted(kept.items(), key=lambda pair: unicodedata.normalize("NFD", pair[1])))


def country(value: Any, field: str = "country") -> str:
    """Two capital letters; "" for nothing."""
    code = text(value, field, limit=60).upper()
    if code and code not in countries():
        raise UnknownCountry("Use a two-letter country code such as DE.", field=field)
    return code


def currency(value: Any, field: str = "currency") -> str:
    code = text(value, field, limit=60).upper()
    if code not in EXPONENTS:
        raise UnknownCurrency("Use a three-letter currency code such as USD.", field=field)
    return code


# Names of files beside the zones: what they mean is the machine's own affair, and differs from one to the next.
_NOT_ZONES = {"localtime", "posixrules", "Factory"}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_ZONES)


def timezone(value: Any, field: str = "timezone") -> str:
    name = text(value, field, limit=60)
    if name not in _zones():
        raise UnknownTimezone("Use a time zone name such as Europe/Berlin.", field=field)
    return name


def tax_id(value: Any, in_country: str, field: str = "tax_id") -> str:
    """The number in compact form, its check digits verified where known. EU numbers get their prefix."""
    number = text(value, field, limit=40)
    if not number:
        return ""
    if in_country in EU or number[:2].upper() in ("EL", "XI"):
        return _eu_vat(number, in_country, field)
    return _other_tax_id(number, in_country, field)


def _eu_vat(number: str, in_country: str, field: str) -> str:
    prefix = _VAT_PREFIX.get(in_country, in_country)
    compact = re.sub(r"[\s.\-/]", "", number).upper()
    if prefix and not compact.startswith((prefix, "XI")):
        compact = prefix + compact
    try:
        return eu_vat.validate(compact)
    except StdnumError:
        where = countries().get(in_country, "the EU")
        raise InvalidTaxId(f"This is not a valid VAT number of {where}.", field=field) from None


def _other_tax_id(number: str, in_country: str, field: str) -> str:
    module = get_cc_module(in_country.lower(), _TAX_ID_MODULES.get(in_country, "vat")) if in_country else None
    if module is None:
        if not re.fullmatch(r"[A-Za-z0-9 ./\-]{4,40}", number):
            raise InvalidTaxId("A tax number has letters, digits, spaces, dots and dashes.", field=field)
        return number
    try:
        return module.validate(number)
    except StdnumError:
        where = countries()[in_country]
        raise InvalidTaxId(f"This is not a valid tax number of {where}.", field=field) from None
