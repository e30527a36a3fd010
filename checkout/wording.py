"""How a session and its offer read on the page: plain texts and amounts for the templates, computed in one
place."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from billing import reasons, taxes, typed
from billing.issuing import DraftLine
from billing.maths.money import exponent, round_ratio
from billing.maths.pricing import PriceModel
from billing.models import PaymentMethod, Plan, Price
from billing.offering import Offer
from billing.templatetags.tandem import number, short_money, unit_price
from checkout.models import CheckoutSession

PER = {
    "month": "a month",
    "quarter": "a quarter",
    "half_year": "every six months",
    "year": "a year",
    "week": "a week",
}
ADVERB = {
    "month": "monthly",
    "quarter": "quarterly",
    "half_year": "half-yearly",
    "year": "yearly",
    "week": "weekly",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the summary. `amount` in minor units."""

    label: str
    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is due today and what follows. Amounts in minor units of `currency`."""

    currency: str
    lines: Sequence[Row]
    discount: Row | None
    net: int
    taxes: Sequence[reasons.TaxRow]
    total: int
    next_on: date | None
    next_total: int
    next_tax: int
    per: str
    usage: Sequence[str]
    trial_until: date | None
    trial_off: int


def summary(session: CheckoutSession, offer: Offer) -> Summary:
    first = offer.today if offer.today.lines else offer.next
    off = sum(line.shown[1] for line in first.lines)
    free = offer.specs[0].free and not offer.today.lines
    return Summary(
        currency=session.currency,
        lines=[_row(session, line) for line in first.lines if line.gross],
        discount=Row(str(session.discount), -off) if off and session.discount else None,
        net=offer.today.subtotal,
        taxes=reasons.taxes(offer.today.lines, in_prices=True),
        total=offer.today.total,
        next_on=offer.next_on,
        next_total=offer.next.total,
        next_tax=offer.next.tax_total,
        per=_(PER.get(session.interval, "")),
        usage=usage_notes(price for spec in offer.specs[-1:] for price, _quantity in spec.items),
        trial_until=offer.specs[0].end_on if offer.specs[0].free else None,
        trial_off=off - sum(line.shown[0] for line in first.lines) if free else 0,
    )


def _row(session: CheckoutSession, line: DraftLine) -> Row:
    label = f"{session.plan.name}, {_(ADVERB.get(session.interval, ''))}"
    gross = line.shown[0]
    if line.unit_amount is None or line.quantity == 1:
        return Row(label, gross, line.description if line.description != session.plan.name else "")
    if gross != line.priced[0]:
        return Row(label, gross, f"{number(line.quantity)} {_('seats')}")
    each = unit_price(line.unit_amount, session.currency)
    return Row(label, gross, f"{number(line.quantity)} {_('seats')} × {each}")


# -- Usage --------------------------------------------------------------------------------------------------


def usage_notes(prices: Iterable[Price]) -> list[str]:
    """ "50,000 API calls a month included, then $0.0015 each" for each usage price; "At least $100.00 a month" of a
    minimum spend."""
    return [note for price in prices if (note := _note(price))]


def _note(price: Price) -> str:
    if price.kind == "minimum" and price.minimum is not None:
        per = _(PER.get(price.interval or "", ""))
        return f"{_('At least')} {unit_price(price.minimum, price.currency)} {per}, {_('usage included')}"
    return _usage(price) if price.kind == "usage" else ""


def _usage(price: Price) -> str:
    free, paid = included(price)
    what = price.label or "units"
    per = _(PER.get(price.interval or "", ""))
    then = _next_one(price, paid) if paid is not None else ""
    if not free:
        return f"{what}: {then}" if then else ""
    start = f"{number(free)} {what} {per} {_('included')}"
    return f"{start}, {_('then')} {then}" if then else start


def _beyond(prices: Iterable[Price]) -> list[str]:
    """ "More API calls: $0.0015 each": what the plan's highlights leave out."""
    found = [(price, included(price)[1]) for price in prices if price.kind == "usage"]
    return [f"{_('More')} {p.label}: {_next_one(p, paid)}" for p, paid in found if paid]


def _next_one(price: Price, paid: Decimal) -> str:
    """ "$0.0015 each", or "1.3 % + $2.00 each" of a percentage."""
    if price.model != PriceModel.PERCENTAGE:
        return f"{unit_price(paid, price.currency)} {_('each')}"
    terms = price.value.per_transaction
    fixed = (
        f" + {unit_price(terms.fixed_amount, price.currency)} {_('each')}"
        if terms and terms.fixed_amount
        else ""
    )
    return f"{number(paid)} %{fixed}"


def included(price: Price) -> tuple[Decimal, Decimal | None]:
    """(how many are free, what the next one costs) of a usage price."""
    free = price.included
    for tier in price.value.tiers:
        if tier.unit_amount or tier.flat_amount:
            return free, tier.unit_amount
        if tier.up_to is None:
            return free, None
        free = tier.up_to + price.included
    return free, price.unit_amount if not price.value.tiers else None


# -- The pricing page ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """A plan on the pricing page: its price in words, and by the year also what that is a month and saves."""

    plan: Plan
    price: Price | None
    amount: str
    a_month: str
    saving: Decimal | None
    more_usage: Sequence[str]
    seats: bool
    with_tax: bool


def card_of(plan: Plan, *, interval: str, currency: str, contains_tax: Callable[[str], bool]) -> Card:
    """The plan at an interval and currency; without a price where it has none. `contains_tax`: whether prices of a
    tax category do."""
    prices = [price for price in plan.prices.all() if price.active and price.currency == currency]
    chosen, monthly = _recurring(prices, interval), _recurring(prices, "month")
    yearly = chosen is not None and interval == "year"
    return Card(
        plan=plan, price=chosen, amount=short_price(chosen.unit_amount, currency) if chosen else "",
        a_month=short_price(chosen.unit_amount / 12, currency) if chosen and yearly else "",
        saving=_saving(chosen, monthly), more_usage=_beyond(prices),
        seats=bool(chosen and chosen.model != "flat"),
        with_tax=bool(chosen and contains_tax(taxes.category_of(chosen, plan))),
    )  # fmt: skip


def either(names: Sequence[str]) -> str:
    """ "Starter, Team or Pro"."""
    *most, last = names or [""]
    return f"{', '.join(most)} {_('or')} {last}" if most else last


def short_price(value: Decimal, currency: str) -> str:
    """To the minor unit, without decimals where there are none: $19, $24.17."""
    return short_money(round_ratio(value * 10 ** exponent(currency)), currency)


def _saving(price: Price | None, monthly: Price | None) -> Decimal | None:
    """What a year costs less than twelve months, by the seat where it is priced so; None where it does not."""
    if price is None or monthly is None or price.interval != "year":
        return None
    return max(monthly.unit_amount * 12 - price.unit_amount, Decimal(0)) or None


def _recurring(prices: Sequence[Price], interval: str) -> Price | None:
    return next((p for p in prices if p.kind == "recurring" and p.interval == interval), None)


def saving_percent(cards: Sequence[Card]) -> int:
    """The largest share that paying by the year saves, in whole percents rounded down."""
    shares = [c.saving * 100 / (c.saving + c.price.unit_amount) for c in cards if c.saving and c.price]
    return int(max(shares, default=Decimal(0)))


@dataclass(frozen=True, slots=True)
class Compared:
    """What is included: (the plan's name, a limit in words or whether it is there at all), plan by plan."""

    name: str
    cells: Sequence[tuple[str, str | bool]]


def comparison(plans: Sequence[Plan]) -> list[Compared]:
    """Every feature that a plan entitles to, in the order in which the plans bring them. Entitlements prefetched."""
    names: dict[str, str] = {}
    limits: set[str] = set()
    for plan in plans:
        for row in plan.entitlements.all():
            names.setdefault(row.feature, row.name)
            if row.limit is not None:
                limits.add(row.feature)
    return [
        Compared(name, [(plan.name, _included_in(plan, feature, feature in limits)) for plan in plans])
        for feature, name in names.items()
    ]


def _included_in(plan: Plan, feature: str, counted: bool) -> str | bool:
    """Where others have a limit, none at all means as many as wanted."""
    found = next((row for row in plan.entitlements.all() if row.feature == feature), None)
    if counted:
        return number(found.limit.normalize()) if found and found.limit is not None else _("Unlimited")
    return found is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """An interval to choose, with what it costs; or a card, with when it expires."""

    name: str
    note: str

    def __str__(self) -> str:
        return f"{self.name}: {self.note}"


def interval_choices(plan: Plan, prices: Sequence[Price], currency: str) -> list[tuple[str, Choice]]:
    """The intervals that the plan has prices for."""
    found = [p for p in prices if p.kind == "recurring" and p.active and p.currency == currency]
    found.sort(key=lambda p: list(PER).index(p.interval or "week"))
    monthly = _recurring(found, "month")
    return [(p.interval or "", _priced(p, monthly)) for p in found]


def _priced(price: Price, monthly: Price | None) -> Choice:
    """ "Yearly, save 16%" and "$290.00 per seat a year": the saving where it is sold by the month, too."""
    seat = f"{_('per seat')} " if price.model != "flat" else ""
    words = f"{unit_price(price.unit_amount, price.currency)} {seat}{_(PER[price.interval or 'month'])}"
    name = _(ADVERB[price.interval or "month"]).capitalize()
    if saving := _saving(price, monthly):
        name += f", {_('save')} {int(saving * 100 / (saving + price.unit_amount))}%"
    return Choice(name, words)


ANOTHER_CARD = "another"


def card_choices(cards: Sequence[PaymentMethod]) -> list[tuple[str, Choice]]:
    """The cards that are saved, by id, and another one; nothing where none is."""
    saved = [
        (card.pk, Choice(str(card), f"{_('until')} {card.exp_month:02}/{card.exp_year}")) for card in cards
    ]
    return [*saved, (ANOTHER_CARD, Choice(_("Use another card"), ""))] if saved else []


# -- Countries ----------------------------------------------------------------------------------------------


@cache
def _options() -> dict[str, SafeString]:
    """An `<option>` for each country; made once, they are a fourth of the page's work."""
    return {
        code: format_html('<option value="{}">{}</option>', code, name)
        for code, name in typed.countries().items()
    }


def country_options(chosen: str) -> SafeString:
    """The options of the country field with one of them selected."""
    return _options_with(chosen if chosen in _options() else "", str(_("Choose a country")))


@lru_cache
def _options_with(chosen: str, none: str) -> SafeString:
    rows = _options()
    if chosen in rows:
        marked = format_html('<option value="{}" selected>{}</option>', chosen, typed.countries()[chosen])
        rows = {**rows, chosen: marked}
    first = format_html('<option value="">{}</option>', none)
    return format_html("{}{}", first, format_html_join("", "{}", ((row,) for row in rows.values())))
