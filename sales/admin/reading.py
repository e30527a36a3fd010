"""What a customer's page shows beside its terms, read in two statements: its rows, then what those point at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q

from billing import bulk, taxes
from billing.models import (
    Customer,
    Event,
    Invoice,
    Mail,
    Member,
    Meter,
    PaymentMethod,
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


def read(customer: Customer, events: Any, mails: Any, now: datetime) -> Shown:
    """`events` and `mails` are those of the timeline, in their order."""
    row, moments = {"customer": customer}, {customer: now}
    (
        running, signals, members, cards, invoices, changes, quotes, scores, tasks, wishes, settings, happened,
        letters, meters, sellers, rates, others, *troubling,
    ) = bulk.read(
        Subscription.objects.filter(**row).exclude(status="canceled").order_by("-mrr"),
        Signal.objects.filter(**row, status="open").order_by("-occurred_at")[:12],
        Member.objects.filter(**row).order_by("added_at"),
        PaymentMethod.objects.filter(**row, detached_at__isnull=True),
        Invoice.objects.filter(of_account(customer)).order_by("-issued_at", "-sequence")[:10],
        SegmentChange.objects.filter(**row).order_by("-at", "-pk")[:6],
        Quote.objects.filter(**row).order_by("-created_at")[:8],
        EngagementScore.objects.filter(**row).order_by("-day")[:60],
        HandoffTask.objects.filter(**row, status__in=HandoffTask.OPEN)[:1],
        PaymentException.objects.filter(**row, decision="waiting")[:1],
        SalesSettings.objects.filter(pk=1),
        events,
        mails,
        Meter.objects.all(),
        Seller.objects.defer("logo"),
        TaxRate.objects.filter(active=True),
        consolidating.on_domain(customer).only("pk")[:1],
        *handing_over.troubling(moments),
    )  # fmt: skip
    for subscription in running:
        subscription.customer = customer
    people = {member.user_id for member in members} | {task.owner_id for task in tasks}
    people |= {wish.asked_by_id for wish in wishes} | set(_colleagues(happened))
    rules, plans, segments, users = bulk.read(
        Rule.objects.filter(pk__in={signal.rule_id for signal in signals}),
        Plan.objects.filter(pk__in={quote.plan_id for quote in quotes}),
        Segment.objects.all(),
        User.objects.filter(pk__in=people - {None}),
    )
    known = _by_key(users)
    _fill(signals, "rule", rules)
    _fill(quotes, "plan", plans)
    _fill(members, "user", users)
    _fill(tasks, "owner", users)
    _fill(wishes, "asked_by", users)
    _fill(changes, "before", segments)
    _fill(changes, "after", segments)
    return Shown(
        running, signals, [each for each in members if each.removed_at is None], cards, invoices, changes, quotes, scores,
        next(iter(tasks), None), next(iter(wishes), None), next(iter(settings), SalesSettings(pk=1)), happened,
        letters, known, _by_key(members), _by_key(meters), sellers[0], taxes.Table(rates),
        handing_over.troubles_of(moments, troubling).get(customer.pk, ""), not others,
    )  # fmt: skip


def _colleagues(events: Iterable[Event]) -> Iterable[int]:
    """The staff who did something, by what their actor says: `user:7`."""
    for event in events:
        kind, _, key = event.actor.partition(":")
        if kind == "user" and key.isascii() and key.isdigit() and len(key) < 10:
            yield int(key)


def _by_key(rows: Iterable[Any]) -> dict[Any, Any]:
    return {row.pk: row for row in rows}


def _fill(rows: Iterable[Model], field: str, targets: Iterable[Model]) -> None:
    """Set a foreign key to the row that was read beside it."""
    known = _by_key(targets)
    for row in rows:
        setattr(row, field, known.get(getattr(row, f"{field}_id")))
