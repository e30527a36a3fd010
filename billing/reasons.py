"""Why a line has its amount: its explanation in sentences, for the portal and the admin."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing.maths.money import exponent, round_ratio
from billing.taxes import stated
from billing.templatetags.tandem import money, number, unit_price

type Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaxRow:
    """A rate of tax among some lines, named: "VAT 19%". `amount` in minor units; `note` says why nothing is charged."""

    label: str
    amount: int
    note: str


def taxes(lines: Iterable[Any], *, in_prices: bool = False) -> list[TaxRow]:
    """A row for each tax of the lines, rows or drafts; `in_prices`: they are shown as they were priced, so tax that was
    in the price is said to be included."""
    sums: dict[tuple[str, str, bool], int] = {}
    for line in lines:
        contained = in_prices and bool(line.tax_amount and (line.tax_in_gross or line.tax_in_discount))
        for label, amount in _each_tax(line):
            key = (label, line.tax_reason, contained)
            sums[key] = sums.get(key, 0) + amount
    return [
        TaxRow(f"{_('incl.')} {label}" if contained else label, amount, note)
        for (label, note, contained), amount in sums.items()
    ]


def _each_tax(line: Any) -> Iterator[tuple[str, int]]:
    """Every tax of a line by its name and percentage; where none is charged, the one that comes to nothing."""
    for tax in stated(line) or [{"name": "", "percentage": line.tax_percentage, "amount": 0}]:
        yield _tax_name(tax["name"], Decimal(tax["percentage"])), tax["amount"]


def _tax_name(name: str, rate: Decimal) -> str:
    label = _(name) if name else _("VAT")
    return f"{label} {number(rate.normalize())}%" if rate else label


def covers(line: Any) -> str:
    """ "1 – 31 March 2026", or "" for what has no period."""
    if not line.period_start or not line.period_end:
        return ""
    last = line.period_end - timedelta(days=1)
    return f"{date_format(line.period_start, 'j M Y')} – {date_format(last, 'j M Y')}"


def why(line: Any, currency: str) -> list[str]:
    """A line's explanation in sentences. Works for rows and drafts; unknown keys are left out."""
    told = line.explanation or {}
    said = [*_what(told, currency), *_span(told), *_limits(told, currency)]
    if line.kind == "credit":
        said.append(_("This gives back what was paid for time that the new terms replace."))
    if line.kind == "reversal":
        said.append(_("This corrects what an earlier invoice said."))
    if told.get("policy") == "credited":
        said.append(_("This takes back a part of the invoice."))
    return [*said, *_discounts(line, told, currency), *_tax(line, currency)]


def _what(told: Told, currency: str) -> Iterator[str]:
    """What the whole period costs: tier by tier, or how many of what."""
    tiers = [
        tier for tier in told.get("tiers", ()) if _some(tier["quantity"]) or _some(tier.get("flat_amount"))
    ]
    yield from _included(told)
    if each := told.get("per_transaction"):
        yield from _transactions(each, told, currency)
        return
    for tier in tiers:
        yield _tier(tier, told, currency)
    if not tiers and _decimal(told.get("unit")) and told.get("model"):
        yield from _untiered(told, currency)


def _included(told: Told) -> Iterator[str]:
    free, had = _exact(told.get("included")), _decimal(told.get("quantity"))
    if told.get("policy") == "trial" and free is not None and had is not None:
        words = _("%(had)s were used in the trial, %(free)s of them are included.")
        yield words % {"had": number(had), "free": number(min(_rounded(free), had))}
    elif free and had is not None:
        words = _("%(had)s were used, %(free)s of them are included.")
        yield words % {"had": number(had), "free": number(min(_rounded(free), had))}


def _transactions(each: Told, told: Told, currency: str) -> Iterator[str]:
    """What single events cost, and what of them was free."""
    words = _("%(n)s transactions of %(sum)s together.")
    yield words % {"n": each["events"], "sum": _money(Fraction(told["quantity"]), currency)}
    if each["free_events"] or _some(each["free_amount"]):
        words = _("Free: %(n)s of them, %(sum)s of the sum.")
        free = _money(Fraction(each["free_amount"]), currency)
        yield words % {"n": each["free_events"], "sum": free}
    price = f"{number(Decimal(told['unit']))} %"
    if _some(each["fixed_amount"]):
        price += f" + {unit_price(Decimal(each['fixed_amount']), currency)}"
    for name, limit in (("minimum", _("at least")), ("maximum", _("at most"))):
        if name in each:
            price += f", {limit} {unit_price(Decimal(each[name]), currency)}"
    yield _("Each costs %(price)s: %(total)s.") % {"price": price, "total": money(each["came_to"], currency)}


def _untiered(told: Told, currency: str) -> Iterator[str]:
    unit, had = Decimal(told["unit"]), Fraction(told["quantity"])
    units = max(had - (_exact(told.get("included")) or 0), Fraction(0))
    price = unit_price(unit, currency)
    match told["model"]:
        case "flat":
            yield _("The price of the period is %(price)s.") % {"price": price}
        case "package":
            size = Fraction(told.get("package_size") or 1)
            count = -(-units // size)
            total = _money(count * Fraction(unit), currency)
            yield f"{count} × {price} = {total}, {_('for every %(n)s begun') % {'n': number(_rounded(size))}}."
        case "percentage":
            total = _money(units * Fraction(unit) / 100, currency)
            yield f"{number(unit)} % {_('of')} {_money(units, currency)} = {total}."
        case _:
            yield f"{number(_rounded(units))} × {price} = {_money(units * Fraction(unit), currency)}."


def _tier(tier: Told, told: Told, currency: str) -> str:
    count, each = _exact(tier["quantity"]) or Fraction(0), _decimal(tier.get("unit_amount")) or Decimal(0)
    flat = _decimal(tier.get("flat_amount")) or Decimal(0)
    if not each and not flat:
        words = _("%(n)s at no charge.") if _some(tier["from"]) else _("The first %(n)s are included.")
        return words % {"n": number(_rounded(count))}
    if told.get("model") == "percentage":
        words, part = f"{number(each)} % {_('of')} {_money(count, currency)}", Fraction(each) / 100
    else:
        words, part = f"{number(_rounded(count))} × {unit_price(each, currency)}", Fraction(each)
    words += f" + {unit_price(flat, currency)}" if flat else ""
    return f"{words} = {_money(count * part + Fraction(flat), currency)}."


def _span(told: Told) -> Iterator[str]:
    days, whole = told.get("days"), told.get("of_days")
    if told.get("policy") in ("whole", "once", "usage", "trial") or not days or not whole or days == whole:
        return
    yield _("For %(days)s of the %(whole)s days of the period.") % {"days": days, "whole": whole}


def _limits(told: Told, currency: str) -> Iterator[str]:
    least, came_to = told.get("minimum"), told.get("came_to")
    if least is not None and came_to is not None:
        words = _("The agreed minimum is %(least)s; what was had comes to %(amount)s.")
        yield words % {"least": money(least, currency), "amount": money(came_to, currency)}
    most, plain = told.get("maximum"), told.get("unlimited")
    if most is not None and plain is not None and plain > most:
        yield _("Held at the agreed maximum of %(amount)s.") % {"amount": money(most, currency)}
    if before := told.get("beyond"):
        words = _("Charged for before in this period, and not again: %(quantity)s for %(amount)s.")
        yield words % {"quantity": before["quantity"], "amount": money(before["amount"], currency)}


def _discounts(line: Any, told: Told, currency: str) -> Iterator[str]:
    """Each discount with what it takes off; for a correction the sum alone."""
    steps = told.get("discount", ()) if line.kind != "reversal" else ()
    for step in steps:
        of = f" ({number(Decimal(step['percent_off']))} %)" if "percent_off" in step else ""
        yield f"{_('Discount')} {step['label']}{of}: {money(-step['off'], currency)}."
    if line.discount and not steps:
        yield f"{_('Discount')}: {money(-line.discount, currency)}."


def _tax(line: Any, currency: str) -> Iterator[str]:
    contained = line.tax_in_gross - line.tax_in_discount
    if line.tax_amount and len(line.taxes) > 1:
        for tax in line.taxes:
            yield f"{_tax_name(tax['name'], Decimal(tax['percentage']))}: {money(tax['amount'], currency)}."
    elif line.tax_amount:
        rate = number(Decimal(line.tax_percentage).normalize())
        words = _("Tax that the price contains,") if contained else _("Tax")
        yield f"{words} {rate}%: {money(line.tax_amount, currency)}."
    elif contained:
        taken = _("Tax that the price contains is taken out:")
        yield f"{taken} {money(contained, currency)}. {line.tax_reason}."
    elif line.tax_reason:
        yield f"{line.tax_reason}."


def _some(text: str | None) -> bool:
    return bool(_exact(text))


def _exact(text: str | None) -> Fraction | None:
    """Also a ratio such as 16/31, which is no decimal."""
    return Fraction(text) if text else None


def _decimal(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _rounded(value: Fraction) -> Decimal:
    """To read: at most three decimals are shown."""
    return Decimal(round_ratio(value * 10**6)).scaleb(-6)


def _money(major: Fraction, currency: str) -> str:
    """Rounded once, as on the line."""
    return money(round_ratio(major * 10 ** exponent(currency)), currency)
