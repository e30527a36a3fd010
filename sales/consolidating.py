"""Accounts of one company: what they would be as one, shown before anybody joins them; and made one.

What a joined account bought stays its own, as `billing.joining` says. Sales has one account from then on: signals, the
open task and deals without a paper go over, and what happens to the part later is weighed for the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet

from billing import customers, joining, subscribing, timelines
from billing.maths.periods import local_date
from billing.models import Customer, Segment, Subscription, User
from billing.typed import FREE_MAIL
from sales import handing_over
from sales.models import CustomerTag, Deal, HandoffTask, Signal

SHOWN = 50


# -- Making them one ----------------------------------------------------------------------------------------


@transaction.atomic
def consolidate(*, customer: Customer, into: Customer, now: datetime, actor: str) -> Customer:
    """Make `customer` a part of `into`, for good; answers the account. Raises joining.NotOneAccount."""
    other, stays = joining.join(customer=customer, into=into, now=now, actor=actor)
    _move_tasks(other, stays, now=now, actor=actor)
    Deal.objects.filter(customer=other, stage__in=Deal.OPEN, quotes__isnull=True).update(customer=stays)
    known = CustomerTag.objects.filter(customer=stays).values("tag")
    CustomerTag.objects.filter(customer=other).exclude(tag__in=known).update(customer=stays)
    if stays.owner_id is None and other.owner is not None:
        customers.assign_owner(
            customer=stays, owner=other.owner, now=now, actor=actor, why=f"owner of {other.name}"
        )
    handing_over.consider(customer=stays, now=now, actor=actor)
    return stays


def _move_tasks(other: Customer, stays: Customer, *, now: datetime, actor: str) -> None:
    """Signals and tasks go over. Of two open tasks the account's stays, and is about the signals of both."""
    tasks = HandoffTask.objects.filter(customer=other)
    mine = HandoffTask.objects.filter(customer=stays, status__in=HandoffTask.OPEN).first()
    theirs = tasks.filter(status__in=HandoffTask.OPEN).first()
    if mine is not None and theirs is not None:
        Signal.objects.filter(task=theirs).update(task=mine)
        words = f"Joined with {stays.name}, which has an open task."
        handing_over.give_back(task=theirs, now=now, actor=actor, note=words)
        tasks = tasks.exclude(pk=theirs.pk)  # its end is no answer of the customer's: nothing cools down
    tasks.update(customer=stays)
    Signal.objects.filter(customer=other).update(customer=stays)


# -- What they would be -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """One of the accounts: its plan, seats, people and MRR (minor units of its currency). `objection` says why it cannot
    become a part of the one that is looked at; "" for that one, and for who can or is."""

    customer: Customer
    plan: str
    seats: Decimal
    members: int
    mrr: int
    owed: int
    objection: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The account that they would make. Amounts are minor units of `currency`; only accounts in it are summed."""

    domain: str
    currency: str
    accounts: tuple[Account, ...]
    members: int
    shared_members: int
    seats: Decimal
    mrr: int
    arr: int
    owed: int
    segment: Segment | None
    other_currencies: tuple[str, ...]


def preview(customer: Customer) -> Joined | None:
    """The joined account of everybody on the customer's business domain; None when it is alone there."""
    return joined(customer) if on_domain(customer).exists() or customer.joined.exists() else None


def joined(customer: Customer) -> Joined | None:
    """The same for one that is known not to be alone."""
    rows = Customer.objects.filter(
        Q(pk=customer.pk) | Q(pk__in=on_domain(customer)) | Q(merged_into=customer)
    )
    live = Subscription.objects.filter(status__in=Subscription.LIVE).prefetch_related(
        *timelines.PHASE_PREFETCH
    )
    found = list(
        rows.select_related("owner", "segment", "test_clock")
        .prefetch_related(Prefetch("subscriptions", live, to_attr="running"), "invoices", "members")
        .order_by("pk")[:SHOWN]
    )
    return _joined(customer, found) if len(found) > 1 else None


def _joined(customer: Customer, found: Sequence[Customer]) -> Joined:
    accounts = [_account(each, customer) for each in found]
    summed = [each for each in accounts if each.customer.currency == customer.currency]
    people = User.objects.filter(memberships__customer__in=found, memberships__removed_at__isnull=True)
    single, arr = people.distinct().count(), sum(each.customer.arr for each in summed)
    return Joined(
        domain=customer.domain, currency=customer.currency, accounts=tuple(accounts), members=single,
        shared_members=sum(each.members for each in accounts) - single,
        seats=sum((each.seats for each in summed), Decimal(0)), mrr=sum(each.mrr for each in summed), arr=arr,
        owed=sum(each.owed for each in summed),
        segment=customers.segment_for(arr, customer.currency, customer.now.date()),
        other_currencies=tuple(sorted({each.customer.currency for each in accounts} - {customer.currency})),
    )  # fmt: skip


def _account(customer: Customer, looked_at: Customer) -> Account:
    running: list[Subscription] = getattr(customer, "running", [])
    day = local_date(customer.now, customer.timezone)
    specs = [spec for row in running if (spec := timelines.spec_on(timelines.specs_of(row), day))]
    seats = sum((subscribing.seats(spec.items) or Decimal(0) for spec in specs), Decimal(0))
    owed = sum(each.amount_due for each in customer.invoices.all() if each.status == "open")
    members = sum(1 for each in customer.members.all() if each.removed_at is None)
    plans = ", ".join(str(spec.plan) for spec in specs)
    return Account(customer, plans, seats, members, customer.mrr, owed, _objection(customer, looked_at))


def _objection(other: Customer, looked_at: Customer) -> str:
    if looked_at.pk in (other.pk, other.merged_into_id):
        return ""
    return joining.objection(other, looked_at)


def on_domain(customer: Customer) -> QuerySet[Customer]:
    """The other accounts on the customer's business domain that are no part of another; free mail is nobody's."""
    if not customer.domain or customer.domain in FREE_MAIL:
        return Customer.objects.none()
    rows = Customer.objects.filter(
        domain=customer.domain, livemode=customer.livemode, merged_into__isnull=True
    )
    return rows.exclude(pk=customer.pk)
