"""What the pages show, read in few statements: the running terms, the home page's facts, earlier periods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from billing import invoicing, metering, owing, subscribing, taxes, timelines
from billing.maths.periods import Cycle, Interval, Period
from billing.models import (
    Customer,
    Entitlement,
    Invoice,
    Member,
    Meter,
    PaymentMethod,
    Phase,
    PhaseItem,
    Plan,
    Price,
    Subscription,
    TaxRate,
)
from billing.timelines import PhaseSpec
from portal.access import Visit
from sales.models import Quote
from sales.models.quotes import open_at

LATEST = 4
PERIODS = 13


@dataclass(frozen=True, slots=True)
class Terms:
    """A subscription and its terms today, or the first to come."""

    subscription: Subscription
    specs: Sequence[PhaseSpec]
    running: PhaseSpec
    waiting: Sequence[PhaseSpec]

    @property
    def plan(self) -> Plan:
        return self.running.plan

    @property
    def seats(self) -> Decimal | None:
        return subscribing.seats(self.running.items)

    @property
    def interval(self) -> str:
        return subscribing.interval_of(self.running)

    @property
    def by_invoice(self) -> bool:
        return self.running.collection_method == "send_invoice"

    @property
    def paused(self) -> bool:
        return self.subscription.status == Subscription.Status.PAUSED

    @property
    def goes_on(self) -> date | None:
        """The day on which a pause ends by itself."""
        return self.running.end_on if self.paused else None

    @property
    def with_sales(self) -> bool:
        """Agreed with a person: changes go the same way."""
        return self.plan.quote_only or self.running.motion == "sales_led"


def terms(visit: Visit, **narrow: Any) -> list[Terms]:
    """The customer's subscriptions that run or pause, with everything that pricing them needs. One statement."""
    live = {
        "phase__subscription__customer": visit.customer,
        "phase__subscription__status__in": (*Subscription.LIVE, Subscription.Status.PAUSED),
    }
    rows = PhaseItem.objects.filter(**live, **narrow).select_related(
        "phase__subscription", "phase__plan", "phase__discount", "price__meter"
    )
    subscriptions: dict[str, Subscription] = {}
    phases: dict[str, Phase] = {}
    for item in rows.order_by("phase__subscription__started_at", "phase__start_on", "phase__end_on", "pk"):
        phase = phases.setdefault(item.phase_id, item.phase)
        subscription = subscriptions.setdefault(phase.subscription_id, phase.subscription)
        subscription.customer = visit.customer
        _held(phase, "items").append(item)
        if phase not in (held := _held(subscription, "phases")):
            held.append(phase)
    return [_terms(row, visit) for row in subscriptions.values()]


def _held(row: Any, name: str) -> list[Any]:
    """What Django would have prefetched; filled by hand from the one statement."""
    if not hasattr(row, "_prefetched_objects_cache"):
        row._prefetched_objects_cache = {}
    return row._prefetched_objects_cache.setdefault(name, [])


def _terms(subscription: Subscription, visit: Visit) -> Terms:
    specs = timelines.specs_of(subscription)
    today = timelines.reached(subscription, specs, visit.now)
    running = timelines.spec_on(specs, today) or specs[-1]
    until = subscription.end_on or date.max
    waiting = [s for s in specs if today < s.start_on < until and not s.empty and not running.free]
    if running.free and not running.paused:
        waiting = [s for s in specs if s.start_on > today and not s.empty][1:]
    return Terms(subscription, specs, running, waiting)


def limits(plans: set[str]) -> dict[str, Decimal | None]:
    """The seat limit of each plan, by plan id; absent where it has none."""
    return dict(Entitlement.objects.filter(plan__in=plans, feature="seats").values_list("plan_id", "limit"))


# -- Home ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Home:
    """What the home page shows beside the terms."""

    card: PaymentMethod | None
    people: int
    invoices: Sequence[Invoice]
    late: Sequence[Invoice]
    quotes: Sequence[Quote]
    rates: taxes.Table


INVOICE = ("id", "number", "status", "currency", "total", "amount_due", "due_on", "issued_on", "attempts",
           "collection_method", "next_attempt_at", "due_at")  # fmt: skip
QUOTE = ("id", "number", "version", "link_nonce", "state", "title", "expires_at", "currency", "arr")
CARD = ("id", "brand", "last4", "exp_month", "exp_year", "is_default")
RATE = (
    "id", "name", "percentage", "taxes", "country", "state", "product_category", "inclusive", "category",
)  # fmt: skip


def home(visit: Visit) -> Home:
    """One statement: each list is gathered as JSON beside the customer."""
    mine = {"customer": OuterRef("pk")}
    issued = Invoice.objects.filter(**mine).exclude(status="draft")
    late = issued.filter(status="open").filter(Q(attempts__gt=0) | Q(due_at__lte=visit.now))
    out = Quote.objects.filter(open_at(visit.now), **mine, option__in=Quote.FIRST).order_by(
        "expires_at", "id"
    )
    card = PaymentMethod.objects.filter(**mine, is_default=True, detached_at__isnull=True)
    people = Member.objects.filter(**mine, removed_at__isnull=True).order_by().values("customer")
    row = Customer.objects.filter(pk=visit.customer.pk).values(
        its_card=ArraySubquery(_json(card, CARD)[:1]),
        its_people=Subquery(people.annotate(n=Count("pk")).values("n")),
        its_invoices=ArraySubquery(_json(issued, INVOICE)[:LATEST]),
        its_late=ArraySubquery(_json(late, INVOICE)[:10]),
        its_quotes=ArraySubquery(_json(out, QUOTE, plan__name="plan__name")[:5]),
        its_rates=ArraySubquery(_json(TaxRate.objects.filter(active=True), RATE)),
    ).get()  # fmt: skip
    return Home(
        card=next((PaymentMethod(**_values(PaymentMethod, c)) for c in row["its_card"]), None),
        people=row["its_people"] or 0,
        invoices=[_invoice(i) for i in row["its_invoices"]],
        late=[_invoice(i) for i in row["its_late"]],
        quotes=[_quote(q) for q in row["its_quotes"]],
        rates=taxes.Table(TaxRate(**_values(TaxRate, rate)) for rate in row["its_rates"]),
    )


def _json(rows: QuerySet[Any], names: Sequence[str], **more: str) -> QuerySet[Any]:
    return rows.values(json=JSONObject(**{name: name for name in names}, **more))


def _values(model: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's values as the model's own: ids, days, instants, decimals."""
    return {name: model._meta.get_field(name).to_python(value) for name, value in row.items()}


def _invoice(row: Mapping[str, Any]) -> Invoice:
    """`amount_due` is computed by the database: it is set beside the fields."""
    given = dict(row)
    due = given.pop("amount_due")
    invoice = Invoice(**_values(Invoice, given))
    invoice.__dict__["amount_due"] = due
    return invoice


def _quote(row: Mapping[str, Any]) -> Quote:
    given = dict(row)
    plan = given.pop("plan__name")
    quote = Quote(**_values(Quote, given))
    quote.plan = Plan(name=plan)
    return quote


def upcoming(visit: Visit, found: Sequence[Terms], rates: taxes.Table) -> dict[str, invoicing.Upcoming]:
    """The next charge of each subscription, by its id, by the function that will make it. Two statements."""
    rows = [t.subscription for t in found]
    if not rows:
        return {}
    facts = owing.gather(rows, seller=visit.seller, rates=rates)
    return {row.pk: invoicing.upcoming(subscription=row, now=visit.now, facts=facts) for row in rows}


def usage(visit: Visit, found: Sequence[Terms]) -> list[metering.MeterUsage]:
    """Usage in the running period; one statement where the terms name the meters."""
    priced = (price for t in found for spec in t.specs for price, _ in spec.items)
    known: dict[str, Meter] = {p.meter_id: p.meter for p in priced if p.meter_id and p.meter}
    return metering.current(visit.customer, visit.now, known)


# -- Usage -----------------------------------------------------------------------------------------------


def periods(found: Sequence[Terms], meter: Meter, running: Period) -> list[Period]:
    """The usage periods of a meter, the running one first, back to the start or a year."""
    for one in found:
        priced = [p for p, _ in one.running.items if p.kind == "usage" and p.meter_id == meter.pk]
        if priced:
            return _back(one, Cycle(Interval(priced[0].interval or "month"), one.running.anchor_on), running)
    return [running]


def _back(one: Terms, cycle: Cycle, running: Period) -> list[Period]:
    rows = [running]
    while len(rows) < PERIODS and rows[-1].start > one.subscription.start_on:
        rows.append(cycle.period_at(rows[-1].start - timedelta(days=1)))
    return rows


def prices_for(plan: Plan, currency: str) -> list[Price]:
    """The active prices (prefetched) of a plan in a currency."""
    return [p for p in plan.prices.all() if p.active and p.currency == currency]
