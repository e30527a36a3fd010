"""What a quote comes to: the phases that it would make, priced by the engine that will bill them.

`gather` reads; everything after it is pure. So a quote's schedule is, to the cent, what is invoiced once it
is accepted: the invoices come from the same phases by the same function.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from billing import bulk, subscribing, taxes, timelines
from billing.maths import pricing, timeline
from billing.maths.discounts import taken
from billing.maths.money import exponent, round_ratio, to_major
from billing.maths.periods import MONTHS, Interval, add_months, local_date
from billing.maths.phases import fixed_offs, full_amount
from billing.maths.tax import Taxed, taxed
from billing.models import Customer, Discount, Meter, Plan, Price, Seller, TaxRate
from billing.templatetags.tandem import unit_price
from billing.timelines import PhaseSpec
from sales.models import Quote, QuoteLine, QuoteRamp

YEAR = 12
type Items = tuple[tuple[Price, Decimal], ...]
ZERO = Decimal(0)
# What these come to is known when the period is over: a quote says how, not how much.
AS_USED = ("usage", "minimum")


@dataclass(frozen=True, slots=True)
class Year:
    """A year of the term in which something changes: seats, percent off (None: as the year before)."""

    number: int
    quantity: Decimal | None
    percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A quote as values. `before` are the phases of the subscription that it follows, up to `start_on`; `committed` how
    much of a usage price (by its id) is paid for in each of its periods, used or not."""

    number: str
    plan: Plan
    interval: Interval
    currency: str
    items: Items
    years: tuple[Year, ...]
    percent: Decimal | None
    amount: int | None
    escalator: Decimal | None = None
    term_months: int
    collection_method: str
    net_days: int
    motion: str
    start_on: date
    source: str
    rate_of: taxes.RateOf
    committed: Mapping[str, Decimal] = field(default_factory=dict)
    before: tuple[PhaseSpec, ...] = ()
    credit_unused: bool = True


@dataclass(frozen=True, slots=True)
class LineFigures:
    """One line of the first year, for a whole billing interval or once; minor units. `with_tax`: the list price as
    it is written, where it contains tax."""

    price: Price
    description: str
    kind: str
    quantity: Decimal
    list_unit: Decimal | None
    list_amount: int
    discount: int
    percent: Decimal | None
    tax: int
    with_tax: int | None = None

    @property
    def net(self) -> int:
        return self.list_amount - self.discount


@dataclass(frozen=True, slots=True)
class YearFigures:
    """A year [start_on, end_on) of the term: what is had in it, its ARR, and what it is invoiced for."""

    number: int
    start_on: date
    end_on: date
    quantity: Decimal | None
    percent: Decimal
    arr: int
    amount: int
    rise: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An invoice to come, without usage but for what is `committed` of it; net `amount` and `tax`, less the credit for
    the old terms."""

    date: date
    amount: int
    tax: int
    words: str
    committed: int = 0
    committed_tax: int = 0

    @property
    def total(self) -> int:
        return self.amount + self.tax

    def stored(self) -> dict[str, Any]:
        used = {"committed": self.committed, "committed_tax": self.committed_tax} if self.committed else {}
        return {
            "date": self.date.isoformat(), "amount": self.amount, "tax": self.tax, "total": self.total,
            "words": self.words, **used,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """Minor units, without tax unless named. MRR and ARR are those of the first year.

    TCV is everything that the term is invoiced for, ACV its recurring part for twelve months. Both count what is
    committed of usage, which MRR and ARR do not; none counts the rest of it, or the credit for old terms.
    """

    start_on: date
    end_on: date
    lines: tuple[LineFigures, ...]
    years: tuple[YearFigures, ...]
    schedule: tuple[Scheduled, ...]
    list_total: int
    discount_total: int
    mrr: int
    arr: int
    acv: int
    tcv: int
    tax_total: int
    credit: int
    tax_reason: str

    @property
    def discount_percent(self) -> Decimal:
        """The deepest discount of any year, in percent."""
        return max((year.percent for year in self.years), default=ZERO)

    @property
    def exit_arr(self) -> int:
        return self.years[-1].arr if self.years else self.arr


# -- Reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What pricing a quote reads."""

    lines: Sequence[QuoteLine]
    ramp: Sequence[QuoteRamp]
    seller: Seller
    rates: taxes.Table

    def of(self, quote: Quote) -> "Known":
        """Of one among several that were read."""
        lines = [line for line in self.lines if line.quote_id == quote.pk]
        return replace(self, lines=lines, ramp=[year for year in self.ramp if year.quote_id == quote.pk])


def wanted(*quotes: str) -> tuple[QuerySet[Any], ...]:
    """What has to be read for `known_of`, for one `bulk.read`; of the quotes with these ids."""
    lines, priced = QuoteLine.objects.filter(quote__in=quotes), Q(quoteline__quote__in=quotes)
    return (
        lines,
        QuoteRamp.objects.filter(quote__in=quotes),
        Price.objects.filter(pk__in=lines.order_by().values("price")),
        Plan.objects.filter(pk__in=Price.objects.filter(priced).values("plan")),
        Meter.objects.filter(pk__in=Price.objects.filter(priced).values("meter")),
        Seller.objects.all(),
        TaxRate.objects.filter(active=True),
    )


def known_of(tables: Sequence[Sequence[Any]]) -> Known:
    """The rows that were `wanted`, put together."""
    lines, ramp, prices, plans, meters, sellers, rates = tables
    plan_of, meter_of = ({row.pk: row for row in rows} for rows in (plans, meters))
    for price in prices:
        price.plan, price.meter = plan_of[price.plan_id], meter_of.get(price.meter_id)
    price_of = {price.pk: price for price in prices}
    for line in lines:
        line.price = price_of.get(line.price_id)
    return Known(lines, ramp, sellers[0], taxes.Table(rates))


def price(quote: Quote, *, now: datetime, known: Known | None = None) -> Figures:
    """What the quote comes to if it is accepted now."""
    return figures(proposal_of(quote, now=now, known=known))


def proposal_of(quote: Quote, *, now: datetime, known: Known | None = None) -> Proposal:
    """The quote as values, starting when it would if accepted now. `known`: what the caller has read."""
    known = known or known_of(bulk.read(*wanted(quote.pk)))
    follows = quote.subscription is not None and quote.subscription.is_live
    before = timelines.planned(quote.subscription) if quote.subscription and follows else []
    zone = quote.customer.timezone if quote.customer else known.seller.timezone
    start_on = _start_day(quote, before, local_date(now, zone), now)
    return _proposal(quote, known, before, start_on)


def _start_day(quote: Quote, before: Sequence[PhaseSpec], today: date, now: datetime) -> date:
    """The first day of the new terms, in the buyer's zone. Raises CannotStart."""
    if quote.starts == Quote.Starts.DATE:
        return max(quote.starts_on or today, today)
    subscription = quote.subscription
    if quote.starts == Quote.Starts.NOW or subscription is None or not subscription.is_live:
        return today  # at once, or what it should wait for has ended
    effective: subscribing.Effective = (
        "period_end" if quote.starts == Quote.Starts.PERIOD_END else "contract_end"
    )
    specs = timelines.with_end(subscription, before)
    return max(subscribing.effective_day(subscription, specs, effective, now), today)


def zone_of(quote: Quote) -> str:
    return quote.customer.timezone if quote.customer else Seller.objects.get().timezone


def _proposal(quote: Quote, known: Known, before: Sequence[PhaseSpec], start_on: date) -> Proposal:
    """The quote as values, with the phases it would follow and the tax of its buyer."""
    subscription = quote.subscription
    items = tuple(_item(quote, line) for line in known.lines)
    buyer = quote.customer or _stranger(quote)
    return Proposal(
        number=quote.number, plan=quote.plan, interval=Interval(quote.interval), currency=quote.currency,
        items=items, committed=_committed(items, known.lines),
        years=tuple(Year(r.year, r.quantity, r.discount_percent) for r in known.ramp),
        percent=quote.discount_percent, amount=quote.discount_amount, escalator=quote.escalator_percent,
        term_months=quote.term_months,
        collection_method=quote.collection_method, net_days=quote.net_days, motion=quote.plan.motion,
        start_on=start_on, source=quote.pk, rate_of=taxes.rate_of(buyer, known.seller, known.rates),
        before=tuple(timelines.ended(before, start_on)),
        credit_unused=subscription.credit_unused if subscription else True,
    )  # fmt: skip


def _stranger(quote: Quote) -> Customer:
    """Whom the quote is for before it is a customer, for the tax."""
    lead = quote.lead
    where = {"country": lead.country, "billing_address": lead.address} if lead else {}
    return Customer(name=quote.buyer_name, **where)


def _item(quote: Quote, line: QuoteLine) -> tuple[Price, Decimal]:
    if line.price is None:
        return fee_price(quote, line), line.quantity
    if line.price.kind != "usage":
        return line.price, line.quantity
    return (committed_price(quote, line.price, line.quantity) if line.quantity else line.price), Decimal(1)


def _committed(items: Items, lines: Sequence[QuoteLine]) -> dict[str, Decimal]:
    pairs = zip(items, lines, strict=True)
    return {price.pk: line.quantity for (price, _), line in pairs if price.kind == "usage" and line.quantity}


# What a price for one quote does not take over from the catalogue's.
OWN = ("id", "code", "minimum", "active", "created_at")


def committed_price(quote: Quote, price: Price, quantity: Decimal) -> Price:
    """The usage price with a least: what so much of it costs, each period. Acceptance will store it; not saved here."""
    least = round_ratio(pricing.amount(price.value, quantity))
    same = {f.name: getattr(price, f.name) for f in Price._meta.concrete_fields if f.name not in OWN}
    return Price(
        **same, code=f"{quote.number.lower()}-{quote.version}{quote.option.lower()}-{price.code}"[:60], active=False,
        minimum=max(Decimal(to_major(least, price.currency)), price.minimum or ZERO),
    )  # fmt: skip


def fee_price(quote: Quote, line: QuoteLine) -> Price:
    """A one-time fee that stands in no catalogue, as the price that acceptance will store. Not saved here."""
    return Price(
        plan=quote.plan, code=f"fee-{quote.number.lower()}-{quote.version}-{line.pk}"[:60], kind="one_time",
        label=line.description[:100], model="per_unit", currency=quote.currency, active=False,
        unit_amount=line.unit_amount or ZERO,
    )  # fmt: skip


# -- Phases: pure ------------------------------------------------------------------------------------------


def phases(proposal: Proposal) -> list[PhaseSpec]:
    """The phases that follow: one for each year that differs from the one before; the last goes on."""
    made: list[PhaseSpec] = []
    for number, quantity, discount in _terms(proposal):
        start_on = _year_start(proposal, number)
        items = _items(proposal, quantity, first=number == 1)
        if proposal.escalator and number > 1:
            items = tuple((escalated(price, proposal, number), q) for price, q in items)
        if made and _same_terms(made[-1], items, discount):
            continue
        if made:
            made[-1] = replace(made[-1], end_on=start_on)
        terms: dict[str, Any] = {
            "collection_method": proposal.collection_method,
            "net_days": proposal.net_days,
        }
        made.append(
            PhaseSpec(
                plan=proposal.plan, items=items, start_on=start_on, end_on=None, anchor_on=proposal.start_on,
                motion=proposal.motion, discount=discount, source=proposal.source, **terms,
            )
        )  # fmt: skip
    return made


def _terms(proposal: Proposal) -> Iterator[tuple[int, Decimal | None, Discount | None]]:
    """(year, seats, discount) of every year of the term; a year that says nothing keeps what was."""
    named = {year.number: year for year in proposal.years}
    quantity = seats_of(proposal.items)
    discount = discount_of(proposal, proposal.percent, proposal.amount)
    for number in range(1, years_of(proposal) + 1):
        year = named.get(number)
        if year is not None and year.quantity is not None:
            quantity = year.quantity
        if year is not None and year.percent is not None:
            discount = discount_of(proposal, year.percent, None)
        yield number, quantity, discount


def years_of(proposal: Proposal) -> int:
    return -(-proposal.term_months // YEAR)


def discount_of(proposal: Proposal, percent: Decimal | None, amount: int | None) -> Discount | None:
    """The quote's own discount, not saved: percent off everything, or an amount off each period. It is given once, with
    the signature that saves it."""
    own: dict[str, Any] = {"label": f"Quote {proposal.number}", "redemptions": 1}
    if percent:
        return Discount(**own, percent_off=percent)
    if amount:
        return Discount(**own, amount_off=amount, currency=proposal.currency)
    return None


def _items(proposal: Proposal, quantity: Decimal | None, *, first: bool) -> Items:
    """The year's prices; fees belong to the first phase, seats to the first price that counts them."""
    kept = [(price, q) for price, q in proposal.items if first or price.kind != "one_time"]
    counted = next((n for n, (price, _) in enumerate(kept) if counts_seats(price)), None)
    if counted is not None and quantity is not None:
        kept[counted] = (kept[counted][0], quantity)
    return tuple(kept)


def escalated(price: Price, proposal: Proposal, number: int) -> Price:
    """The price of a later year, not saved here: each amount times (1 + rise)^(year - 1), from the first year's.

    Rounded once, half away from zero, to the decimals that the price has, and cents at least.
    """
    if price.kind != "recurring":
        return price
    factor = (1 + (proposal.escalator or ZERO) / 100) ** (number - 1)
    tiers = [{**tier, **_risen(tier, factor, proposal.currency)} for tier in price.tiers]
    return Price(
        plan=price.plan, code=f"{proposal.number.lower()}-{price.code}-y{number}"[:60], kind=price.kind,
        label=price.label, model=price.model, interval=price.interval, currency=price.currency, active=False,
        unit_amount=_rise(price.unit_amount, factor, proposal.currency), tiers=tiers, included=price.included,
        package_size=price.package_size, billed=price.billed, prorate=price.prorate,
        tax_category=price.tax_category,
        minimum=None if price.minimum is None else _rise(price.minimum, factor, proposal.currency),
        maximum=None if price.maximum is None else _rise(price.maximum, factor, proposal.currency),
    )  # fmt: skip


def _risen(tier: Mapping[str, Any], factor: Decimal, currency: str) -> dict[str, str]:
    names = [name for name in ("unit_amount", "flat_amount") if tier.get(name)]
    return {name: f"{_rise(Decimal(tier[name]), factor, currency):f}" for name in names}


def _rise(amount: Decimal, factor: Decimal, currency: str) -> Decimal:
    exact = amount.normalize().as_tuple().exponent
    decimals = max(exponent(currency), -exact if isinstance(exact, int) else 0)
    return (amount * factor).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def counts_seats(price: Price) -> bool:
    return price.kind == "recurring" and price.model != "flat"


def seats_of(items: Items) -> Decimal | None:
    return next((quantity for price, quantity in items if counts_seats(price) and quantity), None)


def _same_terms(
    phase: PhaseSpec, items: tuple[tuple[Price, Decimal], ...], discount: Discount | None
) -> bool:
    recurring = tuple((price, q) for price, q in phase.items if price.kind != "one_time")
    return recurring == items and _worth(phase.discount) == _worth(discount)


def _worth(discount: Discount | None) -> tuple[Decimal | None, int | None]:
    return (discount.percent_off, discount.amount_off) if discount else (None, None)


def _year_start(proposal: Proposal, number: int) -> date:
    return add_months(proposal.start_on, YEAR * (number - 1))


# -- Figures: pure -----------------------------------------------------------------------------------------


def figures(proposal: Proposal) -> Figures:
    """Everything that the quote says in money."""
    specs = phases(proposal)
    end_on = add_months(proposal.start_on, proposal.term_months)
    entries = _entries(proposal, specs, end_on)
    new = [due for due in entries if due.entry.kind != timeline.CREDIT]
    first_items, first_discount = specs[0].pure_items(), timelines.discount_value(specs[0].discount)
    tcv = sum(due.told.net for due in new)
    once = {price.pk for price, _ in proposal.items if price.kind == "one_time"}
    recurring = sum(due.told.net for due in new if due.entry.price_key not in once)
    return Figures(
        start_on=proposal.start_on, end_on=end_on, lines=tuple(_lines(specs[0], proposal)),
        years=tuple(_years(proposal, specs, new, end_on)), schedule=tuple(_schedule(entries)),
        list_total=sum(due.told.gross for due in new), discount_total=sum(due.told.discount for due in new),
        mrr=timeline.mrr(first_items, first_discount), arr=timeline.arr(first_items, first_discount),
        acv=round_ratio(Fraction(recurring * YEAR, proposal.term_months)), tcv=tcv,
        tax_total=sum(due.told.tax for due in new),
        credit=-sum(due.told.net for due in entries if due.entry.kind == timeline.CREDIT),
        tax_reason=proposal.rate_of("").reason or "",
    )  # fmt: skip


class Due(NamedTuple):
    """An entry of the new timeline, and what a paper will say of it, without tax."""

    entry: timeline.Entry
    told: Taxed


def _entries(proposal: Proposal, specs: Sequence[PhaseSpec], end_on: date) -> list[Due]:
    """What the new terms are invoiced for in the whole term, and the credit for the old ones."""
    every = [*proposal.before, *specs]
    pure = timelines.timeline_of(every, credit_unused=proposal.credit_unused)
    owed = timeline.owed(pure, since=proposal.start_on, until=end_on, usage=_no_usage)
    said = {price.pk: taxes.category_of(price, spec.plan) for spec in every for price, _ in spec.items}
    return [
        Due(entry, taxed(entry.gross, entry.discount, proposal.rate_of(said[entry.price_key])))
        for entry in owed
        if entry.gross and proposal.start_on <= entry.span.start < end_on and entry.price.kind != "minimum"
    ]


def _no_usage(_meter: str, _start: date, _end: date) -> Decimal:
    return ZERO


def described(price: Price, committed: Decimal | None = None) -> str:
    """What a line of a quote calls the price. `committed`: of usage, with the price that is made for it."""
    words = price.label or price.code
    if committed and price.minimum is not None:
        least = unit_price(price.minimum, price.currency)
        each = str(price.interval or "period").replace("_", "-")
        return f"{words}: {committed.normalize():,f} committed each {each}, {least} at least"
    if price.minimum is None or price.kind != "minimum":
        return words
    return f"{words}: at least {unit_price(price.minimum, price.currency)} each period, usage included"


def _lines(spec: PhaseSpec, proposal: Proposal) -> Iterator[LineFigures]:
    items, discount = spec.pure_items(), timelines.discount_value(spec.discount)
    offs = fixed_offs(items, discount)
    for (price, quantity), item, off in zip(spec.items, items, offs, strict=True):
        used = price.kind in AS_USED
        gross = 0 if used else full_amount(item)
        less = sum(taken(gross, discount, off, item.price)) if discount else 0
        told = taxed(gross, less, proposal.rate_of(taxes.category_of(price, spec.plan)))
        shown = price.model in ("flat", "per_unit") and not told.tax_in_gross
        yield LineFigures(
            price=price, description=described(price, proposal.committed.get(price.pk)),
            kind="usage" if used else price.kind, quantity=quantity,
            list_unit=price.unit_amount if shown and not used else None, list_amount=told.gross, discount=told.discount,
            percent=discount.percent_off if discount and gross else None, tax=told.tax,
            with_tax=gross if told.tax_in_gross else None,
        )  # fmt: skip


def _years(
    proposal: Proposal, specs: Sequence[PhaseSpec], new: Sequence[Due], end_on: date
) -> Iterator[YearFigures]:
    for number in range(1, years_of(proposal) + 1):
        start, end = _year_start(proposal, number), min(_year_start(proposal, number + 1), end_on)
        spec = next(spec for spec in specs if spec.covers(start))
        discount = timelines.discount_value(spec.discount)
        yield YearFigures(
            number=number, start_on=start, end_on=end, quantity=seats_of(spec.items), percent=_percent(spec),
            arr=timeline.arr(spec.pure_items(), discount),
            amount=sum(due.told.net for due in new if start <= due.entry.span.start < end),
            rise=proposal.escalator if proposal.escalator and number > 1 else ZERO,
        )  # fmt: skip


def _percent(spec: PhaseSpec) -> Decimal:
    """What the discount takes off the recurring list price, in percent."""
    if spec.discount is None:
        return ZERO
    if spec.discount.percent_off is not None:
        return Decimal(spec.discount.percent_off)
    full = sum(full_amount(item) for item in spec.pure_items() if item.recurring)
    taken = min(spec.discount.amount_off or 0, full)
    return (Decimal(taken) * 100 / full).quantize(Decimal("0.0001")) if full else ZERO


def _schedule(entries: Sequence[Due]) -> Iterator[Scheduled]:
    for day in sorted({due.entry.due_on for due in entries}):
        found = [due for due in entries if due.entry.due_on == day]
        used = [due for due in found if due.entry.price.kind == "usage"]
        yield Scheduled(day, *_sums(found), _words([due.entry for due in found]), *_sums(used))


def _sums(found: Sequence[Due]) -> tuple[int, int]:
    """Net and tax."""
    return sum(due.told.net for due in found), sum(due.told.tax for due in found)


def _words(entries: Sequence[timeline.Entry]) -> str:
    labels = ["credit for unused time" if e.kind == timeline.CREDIT else e.label for e in entries]
    return ", ".join(dict.fromkeys(label for label in labels if label))


def interval_months(interval: str) -> int | None:
    """Months of one billing interval; None for weeks."""
    return MONTHS.get(Interval(interval))


def store(quote: Quote, found: Figures) -> Mapping[str, Any]:
    """Put the figures on the quote (not saved); answers the fields that were set."""
    fields: dict[str, Any] = {
        name: getattr(found, name)
        for name in ("list_total", "discount_total", "mrr", "arr", "acv", "tcv", "tax_total")
    }
    fields["schedule"] = [each.stored() for each in found.schedule]
    for name, value in fields.items():
        setattr(quote, name, value)
    return fields
