"""What a customer's page shows beside what it uses and owes, read in one statement: its rows, and what those point at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Func, IntegerField, Model, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from billing import bulk, taxes, timelines
from billing.models import (
    Customer,
    Event,
    Invoice,
    Mail,
    Member,
    Meter,
    PaymentMethod,
    Phase,
    Plan,
    Segment,
    SegmentChange,
    Seller,
    Subscription,
    TaxRate,
    User,
)
from sales import consolidating, handing_over
from sales.models import (
    EngagementScore,
    HandoffTask,
    PaymentException,
    Quote,
    Rule,
    SalesSettings,
    Signal,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest of each, with their foreign keys filled in. `actors` are the names behind the events."""

    subscriptions: list[Subscription]
    signals: list[Signal]
    people: list[Member]
    cards: list[PaymentMethod]
    invoices: list[Invoice]
    segment_changes: list[SegmentChange]
    quotes: list[Quote]
    engagement: list[EngagementScore]
    task: HandoffTask | None
    wish: PaymentException | None
    settings: SalesSettings
    events: list[Event]
    mails: list[Mail]
    users: dict[Any, User]
    members: dict[Any, Member]
    meters: dict[Any, Meter]
    seller: Seller
    rates: taxes.Table
    trouble: str
    alone: bool


def parts(customer: Customer) -> list[str]:
    """The ids of the accounts that became parts of it, as its page has read them."""
    return getattr(customer, "parts", [])


def of_account(customer: Customer) -> Q:
    """Whose papers and facts are the account's: its own, and those of its parts."""
    joined = parts(customer)
    return Q(customer__pk__any=[customer.pk, *joined]) if joined else Q(customer=customer)


def read(customer: Customer, events: QuerySet[Event], mails: QuerySet[Mail], now: datetime) -> Shown:
    """`events` and `mails` are those of the timeline, in their order. The first subscription has its phases."""
    row, moments = {"customer": customer}, {customer: now}
    live = Subscription.objects.filter(**row).exclude(status="canceled").order_by("-mrr", "pk")
    open_signals = Signal.objects.filter(**row, status="open").order_by("-occurred_at")[:12]
    team = Member.objects.filter(**row)
    work = HandoffTask.objects.filter(**row, status__in=HandoffTask.OPEN)[:1]
    asked = PaymentException.objects.filter(**row, decision="waiting")[:1]
    latest = Quote.objects.filter(**row).order_by("-created_at")[:8]
    named = (
        Q(pk__in=team.values("user")) | Q(pk__in=work.values("owner")) | Q(pk__in=asked.values("asked_by"))
    )
    of_phases = timelines.wanted_of(Phase.objects.filter(subscription__in=live.values("pk")[:1]))
    (
        running, signals, members, cards, invoices, changes, quotes, scores, tasks, wishes, settings, happened,
        letters, meters, sellers, rates, others, rules, plans, segments, users, *more,
    ) = bulk.read(
        live,
        open_signals,
        team.order_by("added_at"),
        PaymentMethod.objects.filter(**row, detached_at__isnull=True),
        Invoice.objects.filter(of_account(customer)).order_by("-issued_at", "-sequence")[:10],
        SegmentChange.objects.filter(**row).order_by("-at", "-pk")[:6],
        latest,
        EngagementScore.objects.filter(**row).order_by("-day")[:60],
        work,
        asked,
        SalesSettings.objects.filter(pk=1),
        events,
        mails,
        Meter.objects.all(),
        Seller.objects.all(),
        TaxRate.objects.filter(active=True),
        consolidating.on_domain(customer).only("pk")[:1],
        Rule.objects.filter(pk__in=open_signals.values("rule")),
        Plan.objects.filter(pk__in=latest.values("plan")),
        Segment.objects.all(),
        User.objects.filter(named | Q(pk__in=_colleagues(events))),
        *of_phases,
        *handing_over.troubling(moments),
    )  # fmt: skip
    phases, troubling = more[: len(of_phases)], more[len(of_phases) :]
    for subscription in running:
        subscription.customer = customer
    for subscription in running[:1]:
        timelines.remember(subscription, phases)
    known = _by_key(users)
    fill(signals, "rule", rules)
    fill(quotes, "plan", plans)
    for quote in quotes:
        quote.customer = customer
    fill(members, "user", users)
    fill(tasks, "owner", users)
    fill(wishes, "asked_by", users)
    fill(changes, "before", segments)
    fill(changes, "after", segments)
    return Shown(
        running, signals, [each for each in members if each.removed_at is None], cards, invoices, changes, quotes, scores,
        next(iter(tasks), None), next(iter(wishes), None), next(iter(settings), SalesSettings(pk=1)), happened,
        letters, known, _by_key(members), _by_key(meters), sellers[0], taxes.Table(rates),
        handing_over.troubles_of(moments, troubling).get(customer.pk, ""), not others,
    )  # fmt: skip


def _colleagues(events: QuerySet[Event]) -> QuerySet[Any, Any]:
    """The staff who did something, by what their actor says: `user:7`."""
    key = Func(F("actor"), Value(r"^user:(\d{1,9})$"), function="substring", output_field=TextField())
    return events.values(key=Cast(key, IntegerField()))


def _by_key(rows: Iterable[Any]) -> dict[Any, Any]:
    return {row.pk: row for row in rows}


def fill(rows: Iterable[Model], field: str, targets: Iterable[Model]) -> None:
    """Set a foreign key to the row that was read beside it."""
    known = _by_key(targets)
    for row in rows:
        setattr(row, field, known.get(getattr(row, f"{field}_id")))
