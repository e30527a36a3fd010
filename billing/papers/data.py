"""What a paper says, as plain frozen values: the only input of every renderer in this package.

Amounts are whole minor units (`int`) of the paper's `currency`, whose number of decimals is `exponent`;
unit prices, quantities and rates are `Decimal`. Periods name their first and their last day, both included,
because that is what is printed. An issued invoice keeps `to_json` of its paper and is rendered from it alone,
so fields are added with a default and are never renamed or removed.
"""

import base64
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

Kind = Literal["invoice", "credit_note"]


class UnreadablePaper(ValueError):
    """The JSON is not a paper: a field is missing, unknown or of the wrong type; the text names it."""


class PaperDoesNotAddUp(ValueError):
    """A total of the paper is not the sum of its parts; the text names the total and both figures."""


class Jsonable:
    """Round trip between a frozen dataclass and plain JSON values."""

    def to_json(self) -> dict[str, Any]:
        """Dicts, lists, strings, integers and None: dates in ISO 8601, decimals as text, bytes in base 64."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The paper that `to_json` was made from. Fields younger than the JSON take their default."""
        paper: Self = _rebuilt(cls, value, cls.__name__)
        return paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Party(Jsonable):
    """Somebody with a name and an address. `country` is ISO 3166-1 alpha-2.

    `tax_id_scheme` is the word printed before the tax id; `VAT` means an id with a country prefix that
    goes into an e-invoice as a VAT identifier. `registration` is the entry in a company register.
    """

    name: str
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    contact: str = ""
    tax_id: str = ""
    tax_id_scheme: str = "VAT"
    registration: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller(Party):
    """Who issues the paper, with the account to pay to. `accent` is `#rrggbb`; `logo` is a PNG; one whose `logo_tone` is
    "light" needs a dark ground."""

    iban: str = ""
    bic: str = ""
    bank_name: str = ""
    account_number: str = ""
    routing_number: str = ""
    website: str = ""
    footer: str = ""
    accent: str = ""
    logo: bytes | None = None
    logo_tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Jsonable):
    """Days from `first` to `last`, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTax(Jsonable):
    """One of a line's taxes: `amount` is `rate` percent of `base`, rounded once."""

    name: str
    rate: Decimal
    base: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLine(Jsonable):
    """One line. `net = gross - discount`; `tax_amount` is the tax on `net`, rounded once.

    `taxes` are those that `tax_amount` and `tax_rate` come from; none: one that the paper calls by its usual name.

    `detail` is a second, smaller line (tiers, proration in words); the period is printed without being
    repeated there. `unit_amount` is in major units, None when the price is not one (tiers, percentages).
    `unit` is a UN/ECE Recommendation 20 code. `group` heads a run of lines that share it.
    """

    description: str
    quantity: Decimal = Decimal(1)
    unit_amount: Decimal | None = None
    gross: int = 0
    discount: int = 0
    net: int = 0
    tax_rate: Decimal = Decimal(0)
    tax_category: str = "S"
    tax_amount: int = 0
    detail: str = ""
    period: Span | None = None
    unit: str = "C62"
    group: str = ""
    taxes: tuple[LineTax, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxSubtotal(Jsonable):
    """The tax of one category, name and rate. `category` is a UNTDID 5305 code: S, Z, E, AE, K, G, O, L or M.

    `name` is the tax's word on the paper. `reason` and `reason_code` (VATEX list) say why nothing is charged.
    """

    category: str = "S"
    rate: Decimal = Decimal(0)
    taxable: int = 0
    amount: int = 0
    name: str = "VAT"
    reason: str = ""
    reason_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement(Jsonable):
    """How the paper is, or was, paid. `method` is `transfer`, `card` or `other`.

    `words` replaces the sentence that would be made; `reference` is what the payer should quote (the number
    when empty); `pay_url` is printed as text for whoever pays online.
    """

    method: Literal["transfer", "card", "other"] = "transfer"
    card_brand: str = ""
    card_last4: str = ""
    paid_on: date | None = None
    reference: str = ""
    words: str = ""
    pay_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding(Jsonable):
    """The invoice that a credit note corrects."""

    number: str
    issued_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaper(Jsonable):
    """An invoice or a credit note as issued. Amounts of a credit note are positive: what is given back.

    `subtotal` is the sum of gross lines, `discount_total` of their discounts, `tax_total` of their taxes;
    `total = subtotal - discount_total + tax_total`; `amount_due = total - amount_paid - balance_applied`.
    `status` is printed as a quiet stamp when given (Paid, Draft, Void).
    """

    kind: Kind = "invoice"
    number: str
    issued_on: date
    currency: str
    exponent: int = 2
    seller: Seller
    bill_to: Party
    lines: tuple[PaperLine, ...]
    tax_subtotals: tuple[TaxSubtotal, ...] = ()
    subtotal: int = 0
    discount_total: int = 0
    tax_total: int = 0
    total: int = 0
    amount_paid: int = 0
    balance_applied: int = 0
    amount_due: int = 0
    due_on: date | None = None
    terms_days: int | None = None
    period: Span | None = None
    settlement: Settlement = Settlement()
    preceding: Preceding | None = None
    status: str = ""
    customer_id: str = ""
    purchase_order: str = ""
    buyer_reference: str = ""
    notes: str = ""
    language: str = "en"

    def check(self) -> None:
        """Raise `PaperDoesNotAddUp` at the first total that is not the sum of its parts."""
        for name, said, found in (*self._line_sums(), *self._tax_sums(), *self._totals()):
            if said != found:
                raise PaperDoesNotAddUp(f"{self.number}: {name} says {said} and adds up to {found}")

    def _line_sums(self) -> Iterable[tuple[str, int, int]]:
        for number, line in enumerate(self.lines, 1):
            yield f"net of line {number}", line.net, line.gross - line.discount
        yield "subtotal", self.subtotal, sum(line.gross for line in self.lines)
        yield "discount_total", self.discount_total, sum(line.discount for line in self.lines)

    def _tax_sums(self) -> Iterable[tuple[str, int, int]]:
        lines = taxes_of(self.lines)
        said: dict[TaxKey, tuple[int, int]] = {}
        for each in self.tax_subtotals:
            key = each.category, each.rate, each.name
            taxable, amount = said.get(key, (0, 0))
            said[key] = taxable + each.taxable, amount + each.amount
        for key in sorted({*lines, *said}):
            (taxable, amount), stated = lines.get(key, (0, 0)), said.get(key, (0, 0))
            words = f"{key[0]} {key[1]} %"
            yield f"taxable amount of {words}", stated[0], taxable
            yield f"tax of {words}", stated[1], amount
        yield "tax_total", self.tax_total, sum(line.tax_amount for line in self.lines)

    def _totals(self) -> Iterable[tuple[str, int, int]]:
        yield "total", self.total, self.subtotal - self.discount_total + self.tax_total
        yield "amount_due", self.amount_due, self.total - self.amount_paid - self.balance_applied


type TaxKey = tuple[str, Decimal, str]
USUAL_TAX = "VAT"


def taxes_of(lines: Iterable[PaperLine]) -> dict[TaxKey, tuple[int, int]]:
    """(taxable, tax) in minor units of each (category, rate, name) in the lines."""
    sums: dict[TaxKey, tuple[int, int]] = {}
    for line in lines:
        for each in line.taxes or [_only_tax(line)]:
            key = line.tax_category, each.rate, each.name
            taxable, amount = sums.get(key, (0, 0))
            sums[key] = taxable + each.base, amount + each.amount
    return sums


def _only_tax(line: PaperLine) -> LineTax:
    return LineTax(name=USUAL_TAX, rate=line.tax_rate, base=line.net, amount=line.tax_amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteLine(Jsonable):
    """One line of a quote. `list_amount - discount = net`, per billing interval or once.

    `interval` is what the amount is paid per, in words ("per year"), empty for a one-time amount.
    """

    description: str
    detail: str = ""
    quantity: Decimal = Decimal(1)
    list_unit: Decimal | None = None
    list_amount: int = 0
    discount_percent: Decimal | None = None
    discount: int = 0
    net: int = 0
    interval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampYear(Jsonable):
    """A year of the term: what is bought in it (`words`) and what it costs (`amount`, without tax)."""

    label: str
    span: Span
    words: str = ""
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledInvoice(Jsonable):
    """An invoice that acceptance would bring: when, how much without tax, for what."""

    on: date
    amount: int
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRecord(Jsonable):
    """Who accepted the quote, with what proves it. `document_sha256` is of the PDF that was shown, `terms_url` of the
    terms of service that were accepted with it."""

    name: str
    title: str
    email: str
    signed_at: datetime
    typed: str
    document_sha256: str
    address: str = ""
    po_number: str = ""
    terms_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotePaper(Jsonable):
    """A quote, one version and one option (A, B, C) of it. Totals are for the whole term where their names say so (TCV).

    `mrr`, `arr`, `acv`, `tcv` and `subtotal` are without tax; `tax_total` is the tax on `subtotal`, which is
    the net sum of `lines`. `total_words` names the sum with tax when "Total" would not do ("First invoice");
    `tax_words` explains the tax ("reverse charge", "added at the rate of the day").
    """

    number: str
    version: int = 1
    option: str = ""
    option_name: str = ""
    issued_on: date
    expires_on: date
    currency: str
    exponent: int = 2
    seller: Seller
    buyer: Party
    contact: str = ""
    prepared_by: str = ""
    prepared_by_email: str = ""
    title: str = ""
    summary: str = ""
    starts_on: date | None = None
    term_months: int | None = None
    billing_words: str = ""
    lines: tuple[QuoteLine, ...] = ()
    ramp: tuple[RampYear, ...] = ()
    schedule: tuple[ScheduledInvoice, ...] = ()
    list_total: int = 0
    discount_total: int = 0
    subtotal: int = 0
    total_words: str = ""
    tax_total: int = 0
    tax_words: str = ""
    mrr: int = 0
    arr: int = 0
    acv: int = 0
    tcv: int = 0
    payment_terms: str = ""
    notes: str = ""
    terms: str = ""
    signature: SignatureRecord | None = None
    language: str = "en"

    def check(self) -> None:
        """Raise `PaperDoesNotAddUp` at the first total that is not the sum of its parts."""
        for name, said, found in (
            ("list_total", self.list_total, sum(line.list_amount for line in self.lines)),
            ("discount_total", self.discount_total, sum(line.discount for line in self.lines)),
            ("subtotal", self.subtotal, self.list_total - self.discount_total),
            ("net of the lines", sum(line.net for line in self.lines), self.subtotal),
        ):
            if said != found:
                raise PaperDoesNotAddUp(f"{self.number}: {name} says {said} and adds up to {found}")


Paper = InvoicePaper | QuotePaper


def _plain(value: Any) -> Any:
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):  # a datetime is a date, too
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _rebuilt(cls: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UnreadablePaper(f"{where} is not an object")
    hints = _hints(cls)
    if unknown := value.keys() - hints.keys():
        raise UnreadablePaper(f"{where} has an unknown field {sorted(unknown)[0]}")
    known = {name: _read(hints[name], each, f"{where}.{name}") for name, each in value.items()}
    try:
        return cls(**known)
    except TypeError as error:
        raise UnreadablePaper(f"{where}: {error}") from error


def _read(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is UnionType:
        return None if value is None else _read(_without_none(hint), value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UnreadablePaper(f"{where} is not a list")
        return tuple(_read(get_args(hint)[0], each, f"{where}[{n}]") for n, each in enumerate(value))
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UnreadablePaper(f"{where} cannot be {value!r}")
        return value
    if isinstance(hint, type) and issubclass(hint, Jsonable):
        return _rebuilt(hint, value, where)
    return _scalar(hint, value, where)


def _without_none(hint: Any) -> Any:
    return next(each for each in get_args(hint) if each is not NoneType)


def _scalar(hint: type, value: Any, where: str) -> Any:
    wanted = int if hint is int else str
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise UnreadablePaper(f"{where} is not {'a whole number' if hint is int else 'text'}")
    try:
        return _READERS[hint](value)
    except (ValueError, ArithmeticError) as error:
        raise UnreadablePaper(f"{where}: {value!r} cannot be read") from error


_READERS: dict[type, Any] = {
    int: int,
    str: str,
    Decimal: Decimal,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    bytes: base64.b64decode,
}
