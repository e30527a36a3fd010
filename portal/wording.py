"""How terms, charges and reasons read: plain texts for the templates, computed in one place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.maths.money import exponent
from billing.models import Plan, Price
from billing.subscribing import interval_of, seats
from billing.templatetags.tandem import money, number, unit_price
from billing.timelines import PhaseSpec
from portal.reading import Terms, prices_for

ADVERB = {
    "week": "weekly", "month": "monthly", "quarter": "quarterly", "half_year": "half-yearly",
    "year": "yearly",
}  # fmt: skip
PER = {
    "week": "a week", "month": "a month", "quarter": "a quarter", "half_year": "every six months",
    "year": "a year",
}  # fmt: skip


def terms(spec: PhaseSpec) -> str:
    """ "Enterprise, 50 seats, yearly, by invoice"."""
    parts = [spec.plan.name]
    if (n := seats(spec.items)) is not None:
        parts.append(seat_words(n))
    parts.append(_(ADVERB[interval_of(spec)]))
    parts.append(_("by invoice") if spec.collection_method == "send_invoice" else _("by card"))
    return ", ".join(parts)


def seat_words(n: Decimal) -> str:
    return f"{number(n.normalize())} {ngettext('seat', 'seats', int(n))}"


def waiting(found: Terms) -> list[str]:
    """ "From 1 March 2026: Enterprise, 50 seats, by invoice", one for each that is agreed and to come."""
    return [f"{_('From')} {date_format(spec.start_on, 'j F Y')}: {terms(spec)}" for spec in found.waiting]


# -- Why a line has its amount ---------------------------------------------------------------------------


def why(line: Any, currency: str) -> list[str]:
    """A line's explanation in sentences. Works for rows and drafts; unknown keys are left out."""
    told = line.explanation or {}
    said = [*_what(line, told, currency), *_span(told), *_limits(told, currency)]
    if line.kind == "credit":
        said.append(_("This gives back what was paid for time that the new terms replace."))
    if line.kind == "reversal":
        said.append(_("This corrects what an earlier invoice said."))
    if line.discount:
        said.append(f"{_('Discount')}: {money(-line.discount, currency)}.")
    said.extend(_tax(line, currency))
    return said


def _what(line: Any, told: dict[str, Any], currency: str) -> Iterator[str]:
    tiers = [
        tier for tier in told.get("tiers", ()) if _some(tier["quantity"]) or _some(tier.get("flat_amount"))
    ]
    for tier in tiers:
        yield _tier(tier, currency)
    unit, quantity = _decimal(told.get("unit")), _decimal(told.get("quantity"))
    if tiers or unit is None or quantity is None or line.kind in ("credit", "reversal") or not unit:
        return
    total = money(_minor(unit * quantity, currency), currency)
    yield f"{number(quantity)} × {unit_price(unit, currency)} = {total}."


def _tier(tier: dict[str, Any], currency: str) -> str:
    count, each = _decimal(tier["quantity"]) or Decimal(0), _decimal(tier.get("unit_amount")) or Decimal(0)
    flat = _decimal(tier.get("flat_amount")) or Decimal(0)
    if not each and not flat:
        return (
            _("The first %(n)s are included.") % {"n": number(count)}
            if not _some(tier["from"])
            else (_("%(n)s at no charge.") % {"n": number(count)})
        )
    words = f"{number(count)} × {unit_price(each, currency)}"
    words += f" + {unit_price(flat, currency)}" if flat else ""
    return f"{words} = {unit_price(count * each + flat, currency)}."


def _span(told: dict[str, Any]) -> Iterator[str]:
    days, whole = told.get("days"), told.get("of_days")
    if told.get("policy") in ("whole", "once", "usage") or not days or not whole or days == whole:
        return
    yield _("For %(days)s of the %(whole)s days of the period.") % {"days": days, "whole": whole}


def _limits(told: dict[str, Any], currency: str) -> Iterator[str]:
    least, came_to = told.get("minimum"), told.get("came_to")
    if least is not None and came_to is not None:
        words = _("The agreed minimum is %(least)s; what was had comes to %(amount)s.")
        yield words % {"least": money(least, currency), "amount": money(came_to, currency)}
    most, plain = told.get("maximum"), told.get("unlimited")
    if most is not None and plain is not None and plain > most:
        yield _("Held at the agreed maximum of %(amount)s.") % {"amount": money(most, currency)}


def _tax(line: Any, currency: str) -> Iterator[str]:
    contained = line.tax_in_gross - line.tax_in_discount
    if line.tax_amount:
        rate = number(Decimal(line.tax_percentage).normalize())
        words = _("Tax that the price contains,") if contained else _("Tax")
        yield f"{words} {rate}%: {money(line.tax_amount, currency)}."
    elif contained:
        taken = _("Tax that the price contains is taken out:")
        yield f"{taken} {money(contained, currency)}. {line.tax_reason}."
    elif line.tax_reason:
        yield f"{line.tax_reason}."


def _some(text: str | None) -> bool:
    return bool(_decimal(text))


def _decimal(text: str | None) -> Decimal | None:
    """None also for a ratio such as 16/31, which is no decimal."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _minor(major: Decimal, currency: str) -> int:
    return int((major * 10 ** exponent(currency)).to_integral_value())


def covers(line: Any) -> str:
    """ "1 – 31 March 2026", or "" for what has no period."""
    if not line.period_start or not line.period_end:
        return ""
    last = line.period_end - timedelta(days=1)
    return f"{date_format(line.period_start, 'j M Y')} – {date_format(last, 'j M Y')}"


# -- Plans to choose from --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan as the portal shows it. `ask`: it is sold by a person."""

    plan: Plan
    current: bool
    ask: bool
    prices: Sequence[str]
    intervals: Sequence[str]


def offer(plan: Plan, *, currency: str, current: Plan | None) -> Offer:
    mine = current is not None and plan.pk == current.pk
    recurring = [p for p in prices_for(plan, currency) if p.kind == "recurring" and p.interval]
    return Offer(
        plan=plan, current=mine, ask=not mine and not plan.self_serve,
        prices=[_priced(p) for p in sorted(recurring, key=lambda p: list(PER).index(p.interval or "week"))],
        intervals=[p.interval or "" for p in recurring],
    )  # fmt: skip


def _priced(price: Price) -> str:
    seat = f"{_('per seat')} " if price.model != "flat" else ""
    return f"{unit_price(price.unit_amount, price.currency)} {seat}{_(PER[price.interval or 'month'])}"


def intervals(plans: Iterable[Offer]) -> list[tuple[str, str]]:
    """The intervals that any of the plans can be paid by."""
    found = {interval for one in plans for interval in one.intervals}
    return [(name, _(ADVERB[name]).capitalize()) for name in PER if name in found]
