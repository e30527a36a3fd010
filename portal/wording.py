"""How terms, charges and reasons read: plain texts for the templates, computed in one place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import Plan, Price
from billing.subscribing import interval_of, seats
from billing.templatetags.tandem import number, unit_price
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
    return [
        f"{_('From')} {date_format(spec.start_on, 'j F Y')}: {_('paused') if spec.paused else terms(spec)}"
        for spec in found.waiting
    ]


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
        prices=[
            *(_priced(p) for p in sorted(recurring, key=lambda p: list(PER).index(p.interval or "week"))),
            *(_least(p) for p in prices_for(plan, currency) if p.kind == "minimum"),
        ],
        intervals=[p.interval or "" for p in recurring],
    )  # fmt: skip


def _least(price: Price) -> str:
    amount = unit_price(price.minimum or Decimal(0), price.currency)
    return f"{_('at least')} {amount} {_(PER[price.interval or 'month'])}, {_('usage included')}"


def _priced(price: Price) -> str:
    seat = f"{_('per seat')} " if price.model != "flat" else ""
    return f"{unit_price(price.unit_amount, price.currency)} {seat}{_(PER[price.interval or 'month'])}"


def intervals(plans: Iterable[Offer]) -> list[tuple[str, str]]:
    """The intervals that any of the plans can be paid by."""
    found = {interval for one in plans for interval in one.intervals}
    return [(name, _(ADVERB[name]).capitalize()) for name in PER if name in found]
