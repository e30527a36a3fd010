"""Drafting quotes: for a lead, for a customer, in one click from a live subscription; and editing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import TruncMonth

from billing import bulk, numbering, subscribing, timelines, typed
from billing.events import record
from billing.maths.periods import add_months, local_date
from billing.models import (
    Customer,
    Entitlement,
    Member,
    Meter,
    Plan,
    Price,
    Seller,
    Subscription,
    UsageDay,
    User,
)
from billing.refusals import Refused
from sales import approving, comparing, deals, owning, proposing, quote_terms
from sales.catalogue import QUOTE_SERIES
from sales.models import Deal, HandoffTask, Lead, Quote, SalesSettings
from sales.quote_terms import InvalidQuote

MONTHS_SHOWN = 12


class NotEditable(Refused):
    """It is out, or done with: revise it instead."""

    code = "quote_not_editable"


@transaction.atomic
def draft(
    *,
    plan: Plan,
    now: datetime,
    actor: str,
    by: User | None = None,
    customer: Customer | None = None,
    lead: Lead | None = None,
    subscription: Subscription | None = None,
    currency: str | None = None,
    interval: str = "year",
    **terms: Any,
) -> Quote:
    """A quote for a customer or a lead; with `subscription`, the terms that are to follow it.

    Terms: quantity (seats) or quantities {price code: n}; fees [{description, unit_amount, quantity}] in
    major units; ramp [{year, quantity, discount_percent}]; discount_percent or discount_amount (minor units
    off each period); term_months, net_days, collection_method, auto_renew, escalator_percent, starts,
    starts_on, expires_at, title, contact_name, contact_email, notes, internal_notes, owner, deal,
    task. Raises Refused naming the field.
    """
    customer = customer or (subscription.customer if subscription else None)
    if customer is None and lead is None:
        raise InvalidQuote("A quote is for a customer or a lead.", field="customer")
    owner = terms.pop("owner", None) or by or _owner(customer, lead)
    quote = Quote(
        number=numbering.take([(QUOTE_SERIES, now)], Seller.objects.get())[0].text, customer=customer,
        lead=lead, subscription=subscription, created_by=by, owner=owner, plan=plan, created_at=now,
        currency=_currency(customer, subscription, currency), interval=interval,
        expires_at=now + timedelta(days=SalesSettings.current().quote_valid_days), **_contact(customer, lead),
    )  # fmt: skip
    quote_terms.apply(quote, {"plan": plan, "interval": interval, **terms}, now)
    quote.deal = quote.deal or deal_for(quote, now, actor)
    quote.save(force_insert=True)
    quote_terms.write_parts(quote, {"plan": plan, "interval": interval, **terms})
    settle(quote, now)
    created(quote, now, actor)
    return quote


def created(quote: Quote, now: datetime, actor: str) -> None:
    _say("quote.created", quote, now, actor)
    value_deal(quote)


def _say(event: str, quote: Quote, now: datetime, actor: str) -> None:
    data = {
        "number": quote.number, "version": quote.version, "option": quote.option, "plan": quote.plan.code,
        "arr": quote.arr, "tcv": quote.tcv, "currency": quote.currency,
    }  # fmt: skip
    record(event, subject=quote, actor=actor, now=now, data=data)


def _owner(customer: Customer | None, lead: Lead | None) -> User | None:
    if lead is not None and lead.owner is not None:
        return lead.owner
    return owning.choose(customer)[0]


def _currency(customer: Customer | None, subscription: Subscription | None, wanted: str | None) -> str:
    """A customer is billed in its own currency; a lead in the one asked for, or the seller's."""
    own = subscription.currency if subscription else customer.currency if customer else None
    if own and wanted and wanted != own:
        raise InvalidQuote(f"This customer is billed in {own}.", field="currency")
    return own or (typed.currency(wanted) if wanted else Seller.objects.get().currency)


def _contact(customer: Customer | None, lead: Lead | None) -> dict[str, str]:
    """Who reads it: the customer's first owner among the members, its own address, or the lead."""
    if customer is None:
        return {"contact_name": lead.name, "contact_email": lead.email} if lead else {}
    member = (
        customer.members.filter(removed_at__isnull=True, role="owner")
        .select_related("user")
        .order_by("added_at")
        .first()
    )
    if member is None:
        return {"contact_name": "", "contact_email": customer.email}
    return {"contact_name": member.user.name, "contact_email": member.user.email}


def deal_for(quote: Quote, now: datetime, actor: str) -> Deal:
    """The opportunity that is open with the buyer, or a new one."""
    found = deals.open_deal_of(quote.customer, quote.lead)
    if found is not None:
        return found
    return deals.open_deal(
        name=_deal_name(quote), customer=quote.customer, lead=quote.lead, owner=quote.owner,
        currency=quote.currency, motion=quote.plan.motion, task=quote.task or _task(quote), now=now,
        actor=actor,
    )  # fmt: skip


def _deal_name(quote: Quote) -> str:
    return f"{quote.buyer_name}: {quote.plan}"[:200]


def _task(quote: Quote) -> HandoffTask | None:
    about = {"customer": quote.customer} if quote.customer else {"lead": quote.lead}
    return HandoffTask.objects.filter(status__in=HandoffTask.OPEN, **about).first()


# -- From a live subscription, in one click ------------------------------------------------------------------


@transaction.atomic
def draft_from_subscription(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    by: User | None = None,
    plan: Plan | None = None,
    **terms: Any,
) -> Quote:
    """The next plan up for the seats in use, for a year, from the end of the paid period.

    `quote.history` keeps what was used in twelve months, and the ARR now and proposed. Any term may be given.

    Raises NotLive when the subscription has ended, and as `draft` does.
    """
    if not subscription.is_live:
        raise subscribing.NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    customer = subscription.customer
    spec = timelines.spec_on(timelines.specs_of(subscription), local_date(now, subscription.timezone))
    sold = sold_to(customer)
    seats = seats_in_use(spec, sold.members)
    usage = usage_by_month(customer, now, sold.meters)
    plan = plan or next_plan(spec.plan if spec else None, sold, seats=seats, usage=usage)
    title = f"{plan.name} for {customer.name}"[:200]
    wanted = {"quantity": seats, "starts": Quote.Starts.PERIOD_END, "title": title, **terms}
    quote = draft(subscription=subscription, plan=plan, now=now, actor=actor, by=by, **wanted)
    quote.history = {
        "plan": spec.plan.name if spec else "", "seats": int(seats), "arr_now": subscription.arr,
        "arr_proposed": quote.arr, "mrr_now": subscription.mrr, "currency": quote.currency, "usage": usage,
    }  # fmt: skip
    if quote.task is None:
        quote.task = _task(quote)
    quote.save(update_fields=["history", "task"])
    return quote


@dataclass(frozen=True, slots=True)
class Sold:
    """What a proposal is made of: the plans that are sold, by rank, with their limits and prices; every meter; and how
    many members the customer has."""

    plans: Sequence[Plan]
    meters: Mapping[str, Meter]
    members: int


def sold_to(customer: Customer) -> Sold:
    """One statement."""
    return sold_of(bulk.read(*wanted(customer)))


def wanted(customer: Customer) -> tuple[QuerySet[Any], ...]:
    """What has to be read for `sold_of`, for one `bulk.read`."""
    plans = Plan.objects.filter(archived_at__isnull=True)
    return (
        plans.order_by("rank"),
        Entitlement.objects.filter(plan__in=plans.order_by().values("pk")).order_by("pk"),
        Price.objects.filter(plan__in=plans.order_by().values("pk")).order_by("kind", "created_at", "pk"),
        Meter.objects.all(),
        Member.objects.filter(customer=customer, removed_at__isnull=True).only("pk"),
    )


def sold_of(tables: Sequence[Sequence[Any]]) -> Sold:
    """From the rows that were `wanted`."""
    plans, limits, prices, meters, members = tables
    known = {meter.pk: meter for meter in meters}
    for limit in limits:
        limit.meter = known.get(limit.meter_id)
    for plan in plans:
        mine = [price for price in prices if price.plan_id == plan.pk]
        for price in mine:
            price.plan = plan
        plan._prefetched_objects_cache = {
            "entitlements": _read(
                Entitlement.objects.filter(plan=plan), [row for row in limits if row.plan_id == plan.pk]
            ),
            "prices": _read(Price.objects.filter(plan=plan), mine),
        }
    return Sold(plans, known, len(members))


def _read(rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
    """Rows that were read, as a prefetch leaves them: narrowed further they are asked for anew."""
    rows._result_cache, rows._prefetch_done = found, True  # type: ignore[attr-defined]
    return rows


def seats_in_use(spec: timelines.PhaseSpec | None, members: int) -> Decimal:
    """What is paid for, or the members if there are more of them."""
    paid = subscribing.seats(spec.items) if spec else None
    return max(paid or Decimal(1), Decimal(members))


def next_plan(
    present: Plan | None, sold: Sold, *, seats: Decimal, usage: Sequence[Mapping[str, Any]] = ()
) -> Plan:
    """The lowest plan above the present one that sales sells and whose limits hold what is used.

    The highest plan when none does, or there is nothing above.
    """
    rank = present.rank if present else 0
    above = (plan for plan in sold.plans if plan.rank > rank and plan.motion != "self_serve")
    return next((plan for plan in above if _holds(plan, seats, usage)), sold.plans[-1])


def _holds(plan: Plan, seats: Decimal, usage: Sequence[Mapping[str, Any]]) -> bool:
    for limit in plan.entitlements.all():
        if limit.limit is None:
            continue
        if limit.feature == "seats" and seats > limit.limit:
            return False
        if limit.meter and _busiest(usage, limit.meter.code) > limit.limit:
            return False
    return True


def _busiest(usage: Sequence[Mapping[str, Any]], meter: str) -> Decimal:
    months: list[Mapping[str, str]] = next((row["months"] for row in usage if row["meter"] == meter), [])
    return max((Decimal(month["quantity"]) for month in months), default=Decimal(0))


def usage_by_month(customer: Customer, now: datetime, meters: Mapping[str, Meter]) -> list[dict[str, Any]]:
    """Twelve months of each meter: [{meter, name, months: [{month, quantity}]}], quantities as text."""
    today = local_date(now, customer.timezone)
    first = add_months(today.replace(day=1), 1 - MONTHS_SHOWN)
    rows = UsageDay.objects.filter(customer=customer, day__gte=first, day__lte=today)
    totals: dict[str, dict[date, Any]] = {}
    months: Any = rows.annotate(month=TruncMonth("day")).values("meter", "month")
    for row in months.annotate(n=Sum("count"), total=Sum("total"), peak=Max("peak")).order_by("month"):
        totals.setdefault(row["meter"], {})[row["month"]] = row
    shown = [add_months(first, n) for n in range(MONTHS_SHOWN)]
    return [
        {
            "id": pk,
            "meter": meters[pk].code,
            "name": meters[pk].name,
            "months": [_month(meters[pk], found, m) for m in shown],
        }
        for pk, found in totals.items()
    ]


def _month(meter: Meter, found: Mapping[date, Mapping[str, Any]], month: date) -> dict[str, str]:
    column = {"count": "n", "max": "peak"}.get(meter.aggregation, "total")
    quantity = Decimal((found.get(month) or {}).get(column) or 0)
    return {"month": f"{month:%Y-%m}", "quantity": f"{quantity.normalize():f}"}


# -- Editing -------------------------------------------------------------------------------------------------


@transaction.atomic
def edit(*, quote: Quote, now: datetime, actor: str, seen: str = "", **terms: Any) -> Quote:
    """Change any of the terms of `draft`. What was approved is a draft again, its approvals void.

    `seen` is the fingerprint of what the editor looked at, if anything. Raises NotEditable for a quote that is out
    (revise it), InvalidQuote naming the field, ChangedMeanwhile.
    """
    rows = quote.options(held=("self",))
    comparing.refuse_stale(rows, seen)
    row = next(each for each in rows if each.pk == quote.pk)
    if not row.editable:
        raise NotEditable(f"Quote {row} is {row.get_state_display().lower()}; make a new version.")
    for each in rows:
        approving.reopen(each, now=now, actor=actor)
    named_after_plan, deal_name = row.title == _title(row.plan, row), _deal_name(row)
    quote_terms.apply(row, terms, now)
    if named_after_plan and "title" not in terms:
        row.title = _title(row.plan, row)
    _share(row, rows, terms)
    row.save()
    quote_terms.write_parts(row, terms)
    settle(row, now)
    value_deal(row)
    Deal.objects.filter(pk=row.deal_id, name=deal_name).update(name=_deal_name(row))
    _say("quote.updated", row, now, actor)
    quote.refresh_from_db()
    return row


# What a buyer must find the same on every option.
SHARED = ("contact_name", "contact_email", "expires_at", "owner", "deal", "task")


def _share(row: Quote, rows: Sequence[Quote], terms: Mapping[str, Any]) -> None:
    """What one option says for all of them; a recommendation moves."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in SHARED if name in terms}
    if terms.get("recommended"):
        fields["recommended"] = False
    others = [each.pk for each in rows if each.pk != row.pk]
    if fields and others:
        Quote.objects.filter(pk__in=others).update(**fields)


def value_deal(quote: Quote) -> None:
    """An open deal is worth what the quote would bring: the option that is recommended, else the first."""
    lead = Quote.leading(quote.options())
    Deal.objects.filter(pk=lead.deal_id, stage__in=Deal.OPEN).update(amount=lead.acv, currency=lead.currency)


def _title(plan: Plan, quote: Quote) -> str:
    return f"{plan.name} for {quote.buyer_name}"[:200]


def settle(quote: Quote, now: datetime) -> None:
    """Bring the stored figures in line with the terms."""
    fields = proposing.store(quote, proposing.price(quote, now=now))
    quote.save(update_fields=list(fields))
