"""What the rules may look at, read for many customers at once: a fixed number of statements, whatever their number."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

import orjson
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, QuerySet, TextField, Window
from django.db.models.functions import Cast, RowNumber

from billing import timelines, typed
from billing.maths.periods import local_date
from billing.models import Customer, Entitlement, Event, Seller, Subscription
from billing.timelines import PhaseSpec
from sales import rules
from sales.models import TargetDomain, TargetProfile
from sales.rules import Account, Facts, Happened

COMPANY = frozenset({"customer.created", "customer.updated"})
TERMS = frozenset({"subscription.created", "subscription.changed"})
VIEWS = frozenset({"feature.viewed"})
COUNTED = frozenset(rules.COUNTED)
ACCOUNTS = 50

type Found = dict[str, dict[str, Any]]
"""Fields of `Facts` by customer id."""


def gather(customers: Mapping[str, Customer], events: Mapping[str, Sequence[Happened]]) -> list[Facts]:
    """The facts of each event that is to be weighed, customer by customer; `events` are each one's own, in order."""
    found: Found = {pk: _known(customers[pk]) for pk in events}
    _add(found, _companies(_whose(customers, events, COMPANY)))
    _add(found, _deltas(_whose(customers, events, TERMS)))
    _add(found, _features(_whose(customers, events, VIEWS), events))
    _add(found, _histories(_whose(customers, events, COUNTED)))
    return [Facts(event=event, **found[pk]) for pk, theirs in events.items() for event in _told(theirs)]


def _told(events: Sequence[Happened]) -> Iterable[Happened]:
    """What is counted is judged by the whole history: the last event of its type stands for those before it."""
    last = {event.type: event for event in events if event.type in COUNTED}
    return (event for event in events if last.get(event.type, event) is event)


def _whose(
    customers: Mapping[str, Customer], events: Mapping[str, Sequence[Happened]], types: frozenset[str]
) -> list[Customer]:
    return [customers[pk] for pk, theirs in events.items() if any(event.type in types for event in theirs)]


def _add(found: Found, more: Found) -> None:
    for pk, fields in more.items():
        found[pk] |= fields


def _known(customer: Customer) -> dict[str, Any]:
    return {
        "customer": customer.pk, "name": customer.name, "domain": business_domain(customer),
        "employees": customer.employees, "industry": customer.industry, "currency": customer.currency,
    }  # fmt: skip


def _deltas(customers: Sequence[Customer]) -> Found:
    if not customers:
        return {}
    delta = Seller.objects.get().upgrade_alert_delta
    return {customer.pk: {"alert_delta": delta} for customer in customers}


def _histories(customers: Sequence[Customer]) -> Found:
    """All of it: an event that committed after a younger one was weighed is counted with the next."""
    if not customers:
        return {}
    ids = {customer.pk: customer for customer in customers}
    found = happened(Event.objects.filter(customer__pk__any=ids.keys(), type__in=rules.COUNTED))
    return {pk: {"history": tuple(found.get(pk, ()))} for pk in ids}


def happened(rows: QuerySet[Event]) -> dict[str, list[Happened]]:
    """The events of a queryset as the rules see them, by customer, each one's in order."""
    at, data = Cast("at", TextField()), Cast("data", TextField())
    names = ("customer_id", "number", "type", "object_id", at, "actor", data)
    found = rows.order_by("customer_id", "number").values_list(*names)
    return {
        pk: [
            Happened(number, type_, subject, datetime.fromisoformat(at), actor, orjson.loads(data))
            for _, number, type_, subject, at, actor, data in theirs
        ]
        for pk, theirs in by_customer(found)
    }


def by_customer(rows: QuerySet[Any, Any]) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    """The rows of each customer, whose id is their first value, by which they are in order."""
    for whose, theirs in groupby(plain(rows), lambda row: row[0].int):
        yield f"cus_{whose:032x}", theirs


def plain(rows: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """The values as the database's driver gives them: ids are UUIDs. Converters cost more than the reading."""
    try:
        sql, given = rows.query.sql_with_params()
    except EmptyResultSet:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()


# -- About the company -------------------------------------------------------------------------------------


def business_domain(customer: Customer) -> str:
    return "" if customer.domain in typed.FREE_MAIL else customer.domain.lower()


def _companies(customers: Sequence[Customer]) -> Found:
    if not customers:
        return {}
    domains = {customer.pk: business_domain(customer) for customer in customers}
    listed, accounts = _listed(set(domains.values())), _accounts(set(domains.values()))
    profiles = list(TargetProfile.objects.all())
    return {
        customer.pk: {
            "target_domain": nearest(domains[customer.pk], listed),
            "target_profiles": tuple(
                p.name for p in profiles if p.matches(customer.industry, customer.employees)
            ),
            "same_domain": _older(accounts.get((domains[customer.pk], customer.livemode), ()), customer),
        }
        for customer in customers
    }


def _parents(domain: str) -> list[str]:
    parts = domain.split(".")
    return [".".join(parts[n:]) for n in range(len(parts) - 1)]


def _listed(domains: Iterable[str]) -> set[str]:
    wanted = sorted({parent for domain in domains for parent in _parents(domain)})
    return set(TargetDomain.objects.filter(domain__in=wanted).values_list("domain", flat=True))


def nearest(domain: str, listed: Set[str]) -> str:
    """The entry of the target list that covers a domain: itself or its nearest parent; "" for none."""
    return next((parent for parent in _parents(domain) if parent in listed), "")


def _accounts(domains: set[str]) -> dict[tuple[str, bool], list[Account]]:
    """The oldest accounts on each domain, by (domain, livemode)."""
    rows = Customer.objects.filter(domain__in=sorted(domains - {""}), merged_into__isnull=True)
    oldest = Window(RowNumber(), partition_by=[F("domain"), F("livemode")], order_by=F("pk").asc())
    found: dict[tuple[str, bool], list[Account]] = defaultdict(list)
    first = rows.annotate(place=oldest).filter(place__lte=ACCOUNTS).order_by("pk")
    for pk, name, domain, livemode in first.values_list("pk", "name", "domain", "livemode"):
        found[domain, livemode].append(Account(pk, name))
    return found


def _older(accounts: Sequence[Account], customer: Customer) -> tuple[Account, ...]:
    """Accounts that were there before; the newcomer is the one that is told about them."""
    return tuple(account for account in accounts if account.id < customer.pk)


# -- About the plan ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allowed:
    """A feature that a plan has."""

    plan: str
    rank: int
    offered: bool
    feature: str
    name: str
    unlimited: bool


def _features(customers: Sequence[Customer], events: Mapping[str, Sequence[Happened]]) -> Found:
    """What the plan in force at the last look has, and what only higher plans have."""
    if not customers:
        return {}
    days = {
        row.pk: local_date(next(e.at for e in reversed(events[row.pk]) if e.type in VIEWS), row.timezone)
        for row in customers
    }
    in_force, allowed = _in_force(days), _allowed()
    known: dict[str, dict[str, Any]] = {}
    made: Found = {}
    for pk in days:
        spec = in_force.get(pk)
        plan = spec.plan.pk if spec else ""
        if plan not in known:
            known[plan] = _offer(allowed, plan, spec.plan.rank if spec else 0)
        made[pk] = {**known[plan], "interval": _interval(spec)}
    return made


def _in_force(days: Mapping[str, date]) -> dict[str, PhaseSpec]:
    """Each customer's terms on its day."""
    rows = list(
        Subscription.objects.filter(customer__pk__any=days.keys(), status__in=Subscription.LIVE).order_by(
            "pk"
        )
    )
    terms = timelines.read(rows)
    found: dict[str, PhaseSpec] = {}
    for row in rows:
        spec = timelines.spec_on(terms[row.pk], days[row.customer_id])
        if spec is not None:
            found.setdefault(row.customer_id, spec)
    return found


def _interval(spec: PhaseSpec | None) -> str:
    items = spec.items if spec else ()
    return next((str(price.interval) for price, _ in items if price.kind == "recurring"), "")


def _allowed() -> list[Allowed]:
    rows = Entitlement.objects.select_related("plan").order_by("plan__rank", "pk")
    return [
        Allowed(
            row.plan_id, row.plan.rank, row.plan.archived_at is None, row.feature, row.name, row.limit is None
        )
        for row in rows
    ]


def _offer(allowed: Sequence[Allowed], plan: str, rank: int) -> dict[str, Any]:
    above = {
        each.feature: each.name for each in allowed if each.offered and each.rank > rank and each.unlimited
    }
    return {
        "plan_features": frozenset(each.feature for each in allowed if each.plan == plan),
        "higher_features": above,
    }
