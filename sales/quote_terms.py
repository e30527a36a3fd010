"""The terms that a quote may have, checked: each alone, then together, then its lines and ramp."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billing import subscribing, typed
from billing.customers import NET_DAYS
from billing.maths.money import LIMIT, exponent
from billing.models import Price
from billing.refusals import Refused
from sales import proposing
from sales.models import Quote, QuoteLine, QuoteRamp

MAX_SEATS = 1_000_000_000
MAX_FEES = 1_000_000
FIRST_FEE = 100


class InvalidQuote(Refused):
    """A field is out of range or contradicts another; `field` names it."""

    code = "invalid_quote"


def apply(quote: Quote, terms: Mapping[str, Any], now: datetime) -> None:
    """Put checked terms on the row; saves nothing. Raises InvalidQuote and others naming the field."""
    unknown = terms.keys() - TERMS
    if unknown:
        raise InvalidQuote(f"A quote has no field “{min(unknown)}”.", field=min(unknown))
    for name, value in terms.items():
        if name in _CHECKS:
            setattr(quote, name, _CHECKS[name](value, name))
        elif name in ROWS:
            setattr(quote, name, value)
    _check_together(quote, terms, now)


def _check_together(quote: Quote, terms: Mapping[str, Any], now: datetime) -> None:
    if (
        "discount_percent" in terms
        and terms["discount_percent"] is not None
        and "discount_amount" not in terms
    ):
        quote.discount_amount = None
    if (
        "discount_amount" in terms
        and terms["discount_amount"] is not None
        and "discount_percent" not in terms
    ):
        quote.discount_percent = None
    if quote.discount_percent is not None and quote.discount_amount is not None:
        raise InvalidQuote("A discount is a percentage or an amount.", field="discount_percent")
    months = proposing.interval_months(quote.interval)
    if months and quote.term_months % months:
        raise InvalidQuote(f"A term is a whole number of periods of {months} months.", field="term_months")
    if quote.starts == Quote.Starts.DATE and quote.starts_on is None:
        raise InvalidQuote("Say on which day it starts.", field="starts_on")
    if quote.starts in (Quote.Starts.PERIOD_END, Quote.Starts.CONTRACT_END) and quote.subscription is None:
        raise InvalidQuote("There is no running subscription to wait for.", field="starts")
    if not quote.option and (quote.option_name or quote.recommended):
        raise InvalidQuote("Only one of several options has a name or is recommended.", field="option_name")
    if "expires_at" in terms and quote.expires_at is not None and quote.expires_at <= now:
        raise InvalidQuote("The last day lies in the past.", field="expires_at")


def _text(limit: int) -> Any:
    return lambda value, field: typed.text(value or "", field, limit=limit)


def _long(value: Any, field: str) -> str:
    if not isinstance(value or "", str) or len(value or "") > 4000:
        raise InvalidQuote("Text of at most 4,000 characters.", field=field)
    return "\n".join(typed.text(line, field, limit=4000) for line in (value or "").splitlines()).strip()


def _email(value: Any, field: str) -> str:
    return typed.email(value, field) if value else ""


def _choice(*allowed: Any) -> Any:
    def check(value: Any, field: str) -> Any:
        if value not in allowed:
            raise InvalidQuote(f"One of {', '.join(str(each) for each in allowed)}.", field=field)
        return value

    return check


def _whole(low: int, high: int) -> Any:
    def check(value: Any, field: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidQuote(f"A whole number from {low} to {high:,}.", field=field)
        return value

    return check


def _percent(value: Any, field: str) -> Decimal | None:
    if value is None or value == "":
        return None
    number = _number(value, field)
    if not 0 <= number <= 100 or number != round(number, 4):
        raise InvalidQuote("A percentage from 0 to 100 with at most four decimals.", field=field)
    return number


def _number(value: Any, field: str) -> Decimal:
    """A finite number of reasonable size."""
    if isinstance(value, bool | float) or not isinstance(value, int | str | Decimal):
        raise InvalidQuote("Write a number as digits.", field=field)
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise InvalidQuote("Write a number as digits.", field=field) from None
    if not number.is_finite() or abs(number) >= LIMIT:
        raise InvalidQuote("This number is too large.", field=field)
    return number


def _amount(value: Any, field: str) -> int | None:
    return None if value is None else _whole(0, LIMIT - 1)(value, field)


def _flag(value: Any, field: str) -> bool:
    return _choice(True, False)(value, field)


def _day(value: Any, field: str) -> date | None:
    if value is not None and (isinstance(value, datetime) or not isinstance(value, date)):
        raise InvalidQuote("A day such as 2026-02-01.", field=field)
    return value


def _instant(value: Any, field: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidQuote("A time with its offset.", field=field)
    return value


_CHECKS: dict[str, Any] = {
    "title": _text(200), "contact_name": _text(200), "contact_email": _email, "notes": _long,
    "internal_notes": _long, "interval": _choice("month", "quarter", "half_year", "year"),
    "discount_percent": _percent, "escalator_percent": _percent, "discount_amount": _amount,
    "term_months": _whole(1, 120), "auto_renew": _flag,
    "collection_method": _choice("send_invoice", "charge_automatically"),
    "net_days": _choice(*NET_DAYS), "starts": _choice(*Quote.Starts.values), "starts_on": _day,
    "expires_at": _instant, "option_name": _text(60), "recommended": _flag,
}  # fmt: skip


ROWS = ("owner", "deal", "task", "plan")
PARTS = ("quantity", "quantities", "fees", "ramp")
TERMS = frozenset([*_CHECKS, *ROWS, *PARTS])


# -- Lines and ramp ------------------------------------------------------------------------------------------


def write_parts(quote: Quote, terms: Mapping[str, Any]) -> None:
    """Replace the lines and the ramp where the terms speak of them."""
    if terms.keys() & {"plan", "interval", "quantity", "quantities"}:
        _write_plan_lines(quote, terms.get("quantity"), terms.get("quantities"))
    if "fees" in terms:
        quote.lines.filter(price__isnull=True).delete()
        QuoteLine.objects.bulk_create(_fees(quote, terms["fees"] or ()))
    if "ramp" in terms:
        quote.ramp.all().delete()
        QuoteRamp.objects.bulk_create(_ramp(quote, terms["ramp"] or ()))


def _write_plan_lines(quote: Quote, quantity: Any, quantities: Mapping[str, Any] | None) -> None:
    """The plan's prices for the interval and currency; seats and what is committed stay as they were unless given."""
    metered = set(quote.plan.prices.filter(kind="usage").values_list("code", flat=True))
    given = quantities or {}
    counts = {
        code: _number(1 if n is None else n, "quantities") for code, n in given.items() if code not in metered
    }
    before = {line.price.code: line for line in quote.lines.select_related("price") if line.price}
    if quantity is None and not counts:
        seats = (
            line.quantity for line in before.values() if line.price and proposing.counts_seats(line.price)
        )
        quantity = next((each for each in seats if each), None)
    items = subscribing.choose_items(
        quote.plan, interval=quote.interval, currency=quote.currency,
        quantity=None if quantity is None else _number(quantity, "quantity"), quantities=counts or None,
    )  # fmt: skip
    kept = {code: line.quantity for code, line in before.items() if code in metered}
    asked = {code: _commitment(n, code) for code, n in given.items() if code in metered}
    rows = [
        _plan_line(quote, price, quantity, kept | asked, n) for n, (price, quantity) in enumerate(items, 1)
    ]
    _refuse_unknown(given, [price for price, _ in items])
    quote.lines.filter(price__isnull=False).delete()
    QuoteLine.objects.bulk_create(rows)


def _refuse_unknown(given: Mapping[str, Any], prices: Sequence[Price]) -> None:
    unknown = given.keys() - {price.code for price in prices}
    if unknown:
        raise InvalidQuote(f"The plan has no price {min(unknown)} for this interval.", field="quantities")


def _commitment(value: Any, code: str) -> Decimal:
    """How much of a meter is paid for in each period, used or not; 0 for none."""
    field = f"quantities.{code}"
    number = _number(0 if value is None else value, field)
    if not 0 <= number <= MAX_SEATS:
        raise InvalidQuote(f"A committed quantity is from 0 to {MAX_SEATS:,}.", field=field)
    return number


def _committed(quote: Quote, price: Price, quantity: Decimal) -> str:
    made = proposing.committed_price(quote, price, quantity)
    if made.minimum is not None and made.minimum * 10 ** exponent(quote.currency) >= LIMIT:
        raise InvalidQuote("This is too much money.", field=f"quantities.{price.code}")
    return proposing.described(made, quantity)


def _plan_line(
    quote: Quote, price: Price, quantity: Decimal, committed: Mapping[str, Decimal], position: int
) -> QuoteLine:
    words = proposing.described(price)
    if price.kind == "usage":
        quantity = committed.get(price.code, Decimal(0))
        if quantity and price.per_transaction:
            raise InvalidQuote("What single events cost is not committed.", field=f"quantities.{price.code}")
        words = _committed(quote, price, quantity) if quantity else words
    return QuoteLine(
        quote=quote, kind="usage" if price.kind in proposing.AS_USED else price.kind, price=price,
        description=words[:200], quantity=quantity, position=position,
        unit_amount=price.unit_amount if price.model in ("flat", "per_unit") and price.kind != "minimum" else None,
    )  # fmt: skip


def _fees(quote: Quote, fees: Iterable[Mapping[str, Any]]) -> list[QuoteLine]:
    rows = []
    for n, fee in enumerate(fees):
        field = fee.get("field", f"fees.{n}")
        amount = _number(fee.get("unit_amount", ""), f"{field}.unit_amount")
        quantity = _number(fee.get("quantity", 1), f"{field}.quantity")
        if amount < 0 or not 0 < quantity <= 1_000_000:
            raise InvalidQuote("A fee has a price of 0 or more and a quantity above 0.", field=field)
        if amount * quantity * 10 ** exponent(quote.currency) >= LIMIT:
            raise InvalidQuote("This is too much money.", field=field)
        words = typed.text(fee.get("description", ""), f"{field}.description", limit=200, required=True)
        rows.append(
            QuoteLine(
                quote=quote,
                kind="one_time",
                description=words,
                quantity=quantity,
                unit_amount=amount,
                position=100 + n,
            )
        )
    return rows


def _of_seats(quote: Quote, row: Mapping[str, Any], field: str) -> Any:
    """The quantity of a year that names its price: what changes from year to year is the seats."""
    if row.get("quantity") is not None or len(row["quantities"]) != 1:
        raise InvalidQuote("A year has one quantity: of the plan's seats.", field=field)
    [(code, quantity)] = row["quantities"].items()
    if not quote.plan.prices.filter(code=code, kind="recurring").exclude(model="flat").exists():
        raise InvalidQuote(f"“{code[:60]}” is no price for seats of this plan.", field=field)
    return quantity


def _ramp(quote: Quote, ramp: Iterable[Mapping[str, Any]]) -> list[QuoteRamp]:
    rows: list[QuoteRamp] = []
    years = -(-quote.term_months // 12)
    for n, row in enumerate(ramp):
        year = _whole(1, years)(row.get("year"), f"ramp.{n}.year")
        quantity = (
            row.get("quantity")
            if row.get("quantities") is None
            else _of_seats(quote, row, f"ramp.{n}.quantities")
        )
        seats = None if quantity is None else _number(quantity, f"ramp.{n}.quantity")
        if seats is not None and (seats <= 0 or seats != seats.to_integral_value() or seats > 1_000_000_000):
            raise InvalidQuote("Seats are whole numbers above 0.", field=f"ramp.{n}.quantity")
        if any(before.year == year for before in rows):
            raise InvalidQuote("Each year stands once.", field=f"ramp.{n}.year")
        percent = _percent(row.get("discount_percent"), f"ramp.{n}.discount_percent")
        rows.append(QuoteRamp(quote=quote, year=year, quantity=seats, discount_percent=percent))
    return rows
