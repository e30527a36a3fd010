"""What subscriptions owe and no paper has said yet, as lines with tax.

`gather` reads what a set of them owes and has been told (a fixed number of queries); `draft_lines` is pure.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, Sum

from billing import bulk, quantities, returning, taxes, timelines
from billing.issuing import DraftLine
from billing.maths import statement, tax, timeline
from billing.models import CreditNoteLine, Customer, InvoiceLine, Plan, Price, Seller, Subscription, TaxRate
from billing.models.ids import array_of
from billing.remembering import RememberedTables, RememberedValues, Slot
from billing.timelines import PhaseSpec


def grace() -> timedelta:
    """For so long a late usage event may still add to what its own, already invoiced, period owed: as long as it is
    taken, and three days at least."""
    return _days(settings.USAGE_GRACE_DAYS)


@lru_cache
def _days(days: int) -> timedelta:
    return timedelta(days=max(days, 3))


# -- Reading: a fixed number of queries, whatever the number of subscriptions --------------------------


@dataclass(slots=True)
class Facts:
    """Everything that pricing a set of subscriptions needs."""

    seller: Seller
    taxes: taxes.Table
    said: Mapping[str, Mapping[str, tuple[int, int]]]
    usage: Callable[[Customer], timeline.Usage]


def gather(
    subscriptions: Sequence[Subscription],
    *,
    seller: Seller | None = None,
    rates: taxes.Table | None = None,
    until: date | None = None,
) -> Facts:
    """`seller` and `rates` save their statements where the caller has read them; usage from `until` on is not read."""
    since = {s.pk: since_of(s) for s in subscriptions}
    if seller is None and rates is None:
        sellers, active = _sellers().fetch({})
        seller, rates = next(iter(sellers), None), taxes.Table(active)
    return Facts(
        seller=seller or Seller.objects.get(),
        taxes=taxes.rates() if rates is None else rates,
        said=_said(since),
        usage=quantities.reader(
            {s.customer_id for s in subscriptions}, since=_usage_from(subscriptions, since), until=until
        ),
    )


@cache
def _sellers() -> RememberedTables:
    return RememberedTables(Seller.objects.all(), TaxRate.objects.filter(active=True))


def gather_beside(
    subscription: Subscription, *others: bulk.Asked, seller: Seller, rates: taxes.Table, used_since: date
) -> tuple[Facts, list[list[tuple[Any, ...]]]]:
    """The facts of one subscription, by one statement together with whatever else is asked; days of use at least since
    `used_since`. Answers the rows of the others, too."""
    since = {subscription.pk: since_of(subscription)}
    first = _usage_from([subscription], since) or used_since
    days = quantities.wanted([subscription.customer_id], since=min(first, used_since))
    papers, used, *told = bulk.tables(_papers(list(since), min(since.values())), days, *others)
    return Facts(seller, rates, _by_key(papers, since), quantities.told(used)), told


def _usage_from(subscriptions: Sequence[Subscription], since: Mapping[str, date]) -> date | None:
    """A day before which no unsettled period can have begun: one whole period before the running one."""
    floors = []
    for row in subscriptions:
        start, end = row.current_period_start, row.current_period_end
        floors.append(min(start, since[row.pk]) - (end - start) - grace() if start and end else since[row.pk])
        if row.trial_end_at and row.trial_end_at.date() >= floors[-1]:
            floors.append(row.start_on)  # what is used in a trial is asked for as one
    return min(floors, default=None)


def since_of(subscription: Subscription) -> date:
    """Periods that ended up to this day are settled for good."""
    if subscription.billed_through is None:
        return subscription.start_on
    since = subscription.billed_through - grace()
    if subscription.reopened_on is not None:
        since = min(since, subscription.reopened_on)
    return max(subscription.start_on, since)


def of_nothing_yet(seller: Seller, rates: taxes.Table) -> Facts:
    """The facts of subscriptions that have just been made: no paper has said anything, and nothing is used."""
    return Facts(seller, rates, {}, lambda _customer: _no_usage)


def _no_usage(_meter: str, _start: date, _end: date) -> Decimal:
    return Decimal(0)


def _said(since: Mapping[str, date]) -> dict[str, dict[str, tuple[int, int]]]:
    """What earlier papers said, by subscription and entry key. A credit note's lines count against. A void invoice
    has spoken too: what it asked for is forgiven, not asked for again."""
    if not since:
        return {}
    asked = {"subscriptions": array_of(since), "since": min(since.values())}
    return _by_key(_told_by_papers().fetch(asked), since)


@cache
def _told_by_papers() -> RememberedValues:
    return RememberedValues(_papers(Slot("subscriptions"), Slot("since")))


def _papers(subscriptions: Collection[str] | Slot, since: date | Slot) -> QuerySet[Any, Any]:
    """(subscription, entry key, end of the cycle, gross, discount) of what papers said of cycles that end after a day."""
    invoiced = _sums(InvoiceLine.objects.all(), 1, subscriptions, since)
    credited = _sums(CreditNoteLine.objects.all(), -1, subscriptions, since)
    return invoiced.union(credited, all=True).order_by()


def _by_key(rows: Iterable[Any], since: Mapping[str, date]) -> dict[str, dict[str, tuple[int, int]]]:
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for sub, key, cycle_end, gross, discount in rows:
        if cycle_end > since[sub]:
            before = found[sub].get(key, (0, 0))
            found[sub][key] = (before[0] + gross, before[1] + discount)
    return found


def tell(said: dict[str, tuple[int, int]], lines: Iterable[DraftLine]) -> None:
    """Count lines as said that no paper says yet: what is asked next follows them."""
    for line in lines:
        if not line.entry_key:
            continue  # it says nothing of the timeline
        gross, discount = said.get(line.entry_key, (0, 0))
        more, off = line.priced
        said[line.entry_key] = gross + more, discount + off


def _sums(
    lines: QuerySet[Any], sign: int, subscriptions: Collection[str] | Slot, since: date | Slot
) -> QuerySet[Any, Any]:
    rows = lines.filter(subscription__id__any=subscriptions, cycle_end__gt=since).exclude(entry_key="")
    grouped = rows.order_by().values_list("subscription_id", "entry_key", "cycle_end")
    return grouped.annotate(
        g=Sum(F("gross") + F("tax_in_gross")) * sign, d=Sum(F("discount") + F("tax_in_discount")) * sign
    )


# -- Pricing: pure ------------------------------------------------------------------------------------------


def draft_lines(
    *, subscription: Subscription, specs: Sequence[PhaseSpec], facts: Facts, until: date
) -> list[DraftLine]:
    """Owed minus said, up to and including `until`, with tax; nothing is given back twice."""
    lines = statement.unsaid(
        timelines.pure(subscription, specs),
        facts.said.get(subscription.pk, {}),
        since=since_of(subscription),
        until=until,
        usage=facts.usage(subscription.customer),
    )
    given_back = {(line.price_key, line.about.period_start) for line in lines if line.net < 0}
    past = returning.past_of(subscription.pk, given_back)
    return returning.returned_once(_taxed(lines, subscription, specs, facts, past), past)


def _taxed(
    lines: Sequence[statement.Line],
    subscription: Subscription,
    specs: Sequence[PhaseSpec],
    facts: Facts,
    past: returning.Past,
) -> list[DraftLine]:
    """The lines as a paper says them, each with the tax of what its price is for."""
    sold = {price.pk: (price, spec.plan) for spec in specs for price, _ in spec.items}
    if not sold.keys() >= {line.price_key for line in lines}:
        sold |= _no_longer_in(sold, lines)
    rate_of = taxes.rate_of(subscription.customer, facts.seller, facts.taxes)
    return [
        taxed(
            _line(line, subscription, price),
            _charged(line, past) or rate_of(taxes.category_of(price, plan)),
        )
        for line in lines
        for price, plan in [sold[line.price_key]]
    ]


def _charged(line: statement.Line, past: returning.Past) -> tax.TaxRate | None:
    """The tax that was charged for its period, of a line that gives back or takes such a giving back. What is asked for
    instead is a new charge, with the tax of today."""
    puts_right = line.net < 0 or line.correction
    return past.rates.get((line.price_key, line.about.period_start)) if puts_right else None


def _no_longer_in(known: Collection[str], lines: Iterable[statement.Line]) -> dict[str, tuple[Price, Plan]]:
    """The prices of lines that take back what no phase has any more."""
    missing = {line.price_key for line in lines} - set(known)
    found = Price.objects.select_related("plan").filter(pk__in=missing)
    return {price.pk: (price, price.plan) for price in found}


def _line(line: statement.Line, subscription: Subscription, price: Price) -> DraftLine:
    about, label = line.about, line.label or price.label
    label = f"Minimum spend: {label}" if line.true_up else label
    return DraftLine(
        kind=_kind(line, price), description=_words(line, label), gross=line.gross, discount=line.discount,
        net=line.net, quantity=line.quantity, unit_amount=_unit(line, price), price_id=line.price_key,
        subscription_id=subscription.pk, entry_key=line.key, billed=line.billed, cycle_start=about.period_start,
        cycle_end=about.period_end, period_start=about.start, period_end=about.end,
        explanation=line.explanation,
    )  # fmt: skip


def _kind(line: statement.Line, price: Price) -> str:
    if line.correction:
        return "reversal"
    if line.kind == timeline.CREDIT:
        return "credit"
    return "minimum" if line.true_up else price.kind


def _words(line: statement.Line, label: str) -> str:
    if line.correction:
        return f"{returning.CORRECTION}{label}"
    if line.kind == timeline.CREDIT:
        return f"{returning.UNUSED}{label}"
    return label


def _unit(line: statement.Line, price: Price) -> Decimal | None:
    return price.unit_amount if price.model in ("flat", "per_unit") and not line.true_up else None


def taxed(line: DraftLine, rate: tax.TaxRate) -> DraftLine:
    """The line with its own tax, from its own net amount; what the price contains is taken out of it."""
    told = tax.taxed(line.gross, line.discount, rate)
    line.gross, line.discount, line.tax_amount, line.tax_in_gross, line.tax_in_discount = told
    line.net, line.taxes = told.net, taxes.said_of(told, rate)
    line.tax_percentage, line.tax_category, line.tax_reason = (
        rate.percentage,
        rate.category,
        rate.reason or "",
    )
    return line
