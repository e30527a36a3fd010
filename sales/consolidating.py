"""What several accounts of one company would be as one: shown before anybody proposes it. Nothing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Prefetch, QuerySet

from billing import customers, subscribing, timelines
from billing.maths.periods import local_date
from billing.models import Customer, Segment, Subscription, User
from billing.typed import FREE_MAIL

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Account:
    """One of the accounts: its plan, seats, people and MRR (minor units of its currency)."""

    customer: Customer
    plan: str
    seats: Decimal
    members: int
    mrr: int
    owed: int


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
    return joined(customer) if others_on_domain(customer) else None


def joined(customer: Customer) -> Joined | None:
    """The same for one that is known not to be alone."""
    rows = Customer.objects.filter(domain=customer.domain, livemode=customer.livemode)
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
    accounts = [_account(each) for each in found]
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


def _account(customer: Customer) -> Account:
    running: list[Subscription] = getattr(customer, "running", [])
    day = local_date(customer.now, customer.timezone)
    specs = [spec for row in running if (spec := timelines.spec_on(timelines.specs_of(row), day))]
    seats = sum((subscribing.seats(spec.items) or Decimal(0) for spec in specs), Decimal(0))
    owed = sum(each.amount_due for each in customer.invoices.all() if each.status == "open")
    members = sum(1 for each in customer.members.all() if each.removed_at is None)
    return Account(customer, ", ".join(str(spec.plan) for spec in specs), seats, members, customer.mrr, owed)


def others_on_domain(customer: Customer) -> int:
    """How many other accounts share the customer's business domain."""
    return on_domain(customer).count()


def on_domain(customer: Customer) -> QuerySet[Customer]:
    """The other accounts that share the customer's business domain; free mail is nobody's."""
    if not customer.domain or customer.domain in FREE_MAIL:
        return Customer.objects.none()
    return Customer.objects.filter(domain=customer.domain, livemode=customer.livemode).exclude(pk=customer.pk)
