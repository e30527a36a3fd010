"""What is sent in place of a right value: of every kind that somebody's program, or somebody, has ever sent.

Each kind is tried in each field whatever the field is of, so that most of what is here is wrong in most places.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Raw:
    """Text that goes into the JSON as it stands: what `json.dumps` would not write."""

    text: str


def nested(depth: int) -> Raw:
    return Raw("[" * depth + "]" * depth)


TYPES = (
    None, True, False, 0, 1, 1.5, "null", "true", [], {}, [[]], [None], [1, "a", None], {"a": {"b": {}}}, {"": 1},
    {"$gt": ""}, Raw("[" + "1," * 9_999 + "1]"), Raw('{"a":1,"a":2}'), Raw('[{"a":1,"a":2}]'), nested(100), nested(400),
)  # fmt: skip
TEXTS = (
    "", " ", "\t\n", "\u3000", "\u200b", "\ufeff", "\u200b\u200e", "\u2028", "\xa0x\xa0", "a\x00b", "\x7f", "\x1b[31m",
    "\ufffe", "\ufdd0", Raw('"\\ud800"'), Raw('"\\udfff\\ud800"'), Raw('"\\u0000"'), "\u202eabc\u202c", "\u2066x\u2069",
    "é" * 300, "x" * 100_000, "x" * 1_000_000, "\U0001f4a9" * 50, "a\u0301" * 100, "z" + "\u0300" * 2000, "ﷺ" * 40,
    "<script>alert(1)</script>", "{{7*7}} $name %s %(x)s {0}", "a\r\nBcc: x@y.example", "'; drop table x;--", "=1+1",
    "../../etc/passwd", "\\\\evil\\share", "-", "ab" * 130,
)  # fmt: skip
NUMBERS = (
    Raw("1e400"), Raw("-1e400"), Raw("1e-400"), Raw("1E5"), Raw("1e9999999999999999999"), Raw("-0"), Raw("-0.0"),
    Raw("0.1"), Raw("0." + "1" * 30), Raw("1.0"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("01"), Raw("+1"),
    Raw(".5"), Raw("1."), Raw("0x10"), Raw("1_000"), Raw("9" * 21), Raw("9" * 5000), -1, 2**31 - 1, 2**31, -(2**31),
    2**53 + 1, 2**63, 10**15 - 1, 10**15, 10**18,
)  # fmt: skip
NUMERALS = (
    "NaN", "sNaN", "Infinity", "-Infinity", "1e5", "1e3", "1E-5", "1_000", "١٢", "١", "１２", "٣", "Ⅻ", "½", "²", " 1",
    "1 ", "1\n", "+1", "0x10", "1,5", "1,00", "1.000,00", "$1", "1 USD", "-1", "-0.00", "-0", "0", "0.00", "00001",
    "1.", ".5", "1.5", "0.001", "0.000000000001", "0.0000000000001", "9999999999999.99", "999999999999999",
    "999999999999999.999999999999", "10000000000000000", "9" * 41, "3.0",
)  # fmt: skip
TIMES = (
    "0001-01-01", "9999-12-31", "10000-01-01", "-0001-01-01", "1969-12-31", "1970-01-01", "2200-12-31", "2201-01-01",
    "2026-02-30", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2025-01-01", "2026-01-14", "2027-01-31",
    "2199-12-31", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00", "10000-01-01T00:00:00Z", "1970-01-01T00:00:00+14:00", "2200-12-31T23:59:59-14:00",
    "2016-12-31T23:59:60Z",
    "2026-01-15T23:59:60Z", "2026-01-15T24:00:00Z", "2026-01-15T25:00:00Z", "2026-01-15T12:60:00Z",
    "2026-01-15T12:00:00+14:00", "2026-01-15T12:00:00-12:00", "2026-01-15T12:00:00+99:99", "2026-01-15T12:00:00+24:00",
    "2026-01-15T12:00:00+23:59", "2026-01-15T12:00:00+00:60", "2026-01-15T12:00:00-00:00", "2026-01-15T12:00:00",
    "2026-01-15 12:00:00Z", "2026-01-15t12:00:00z", "2026-01-15T12:00:00.123456789Z", "2026-01-15T12:00:00.Z",
    "2026-01-15T12:00:00,5Z", "2026-01-15T12Z", "2026-03-29T02:30:00", "2026-03-29T02:30:00+01:00",
    "2026-10-25T02:30:00+02:00", "2026-W03-4", "2026-015", "20260115", "2026-1-5", "01/02/2026", "15.01.2026",
    "２０２６-01-15", "now", "NOW", "period_end", "contract_end", "tomorrow", "1768478400", 1_768_478_400,
    "2026-01-15T12:00:00Z ", " 2026-01-15",
)  # fmt: skip
WORDS = (
    "pro", "PRO", "enterprise", "starter", "business", "XXX", "XTS", "usd", "USD ", "JPY", "KWD", "BTC", "US", "XX",
    "de",
    "d\u0130", "ß", "ſ", "K", "Europe/Nowhere", "europe/berlin", "../../../etc/localtime", "Etc/GMT-14", "right/UTC",
    "posixrules", "Europe", "UTC\n", "pm_card_chargeDeclined", "pm_card_nothing", "seats-month", "seats-year", "flat",
    "usage", "once", "forever", "monday", "nobody@x.example", "root", "*", "%", "_", "%00",
)  # fmt: skip
ADDRESSES = (
    "http://evil.example/", "javascript:alert(1)", "data:text/html,x", "http://testserver@evil.example/",
    "http://testserver.evil.example/", "//evil.example", "http://testserver:99999/", "http://testserver:0x50/",
    "http://[::1", "http://[::1%25lo]/", "http://testserver\\@evil.example", "http://testserver\t/", "http:///x",
    "http://",
    "https://8.8.8.8:22/", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://2130706433/",
    "https://8.8.8.8/" + "a" * 480, "https://8.8.8.8/\r\nX: y", "https://8.8.8.8/#f", "https://u:p@8.8.8.8/",
    "https://xn--/", "https://" + "a" * 64 + ".example/", "https://a..b.example/", "mailto:a@b.example", "a@b",
    "a@b.example\n", "a@b..example", "a" * 65 + "@b.example", "ä@ö.example", "a@xn--.example",
    "a@" + "b" * 64 + ".example", "\"a b\"@b.example", "a@[127.0.0.1]", "A <a@b.example>", "a@b.example,c@d.example",
    "a@р\u0430ypal.example",
    "@", "a@",
)  # fmt: skip
# Names of what is there, and not what is asked for: of another kind, of another customer, of the other mode, gone.
IDS = (
    "{customer}", "{buyer}", "{live}", "{gone}", "{subscription}", "{other_subscription}", "{live_subscription}",
    "{invoice}", "{other_invoice}", "{line}", "{other_line}", "{card}", "{payment}", "{quote}", "{lead}", "{discount}",
    "{clock}", "{endpoint}", "{event}", "acme", "acme ", "ACME", "acme\x00", "acme/../x", "live-acme",
    "cus_" + "0" * 32,
    "CUS_" + "F" * 32, "cus_zz", "cus_", "sub_" + "0" * 32, "quote_" + "0" * 32, "none",
)  # fmt: skip

KINDS: Mapping[str, tuple[Any, ...]] = {
    "types": TYPES, "texts": TEXTS, "numbers": NUMBERS, "numerals": NUMERALS, "times": TIMES, "words": WORDS,
    "addresses": ADDRESSES, "ids": IDS,
}  # fmt: skip
