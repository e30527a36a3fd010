"""The admin's first page: what waits for the reader, and how the seller is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.db.models import Count, Model, Q, QuerySet, Sum
from django.utils import timezone

from billing import bulk
from billing.models import Customer, Invoice, User
from sales import approving, excepting, metrics
from sales.admin.reading import fill
from sales.models import Approval, HandoffTask, Lead, PaymentException, Quote
from sales.models.quotes import open_at

SHOWN = 6
CURRENCIES = 3
# Foreign keys that the page follows.
POINTERS: dict[str, type[Model]] = {"customer": Customer, "lead": Lead, "owner": User, "asked_by": User}


def desk(user: User) -> dict[str, Any]:
    """Only what the reader may look at; a part without permission is absent."""
    now = timezone.now()
    roles = approving.roles_of(user, now)
    counts, rows = _count(user, now), _read(user, roles, now)
    made: dict[str, Any] = {"desk": True, "today": now.date()}
    if user.has_perm("sales.view_handofftask"):
        made |= {"tasks": rows.tasks, "mine": counts.mine, "task_count": counts.mine or counts.everybodys}
    if user.has_perm("sales.view_quote"):
        made["decisions"] = rows.decisions if roles else None
        made["wishes"] = rows.wishes
        made["quotes_out"] = rows.quotes
    if user.has_perm("billing.view_invoice"):
        made["overdue"], made["overdue_sums"] = rows.overdue, counts.overdue
        made["months"] = _months(counts.currencies[:CURRENCIES], now)
    if user.has_perm("billing.delete_billingfailure"):  # who may have it billed again
        made["not_billed"] = counts.not_billed
    return made


def _open_tasks() -> QuerySet[HandoffTask]:
    return HandoffTask.objects.filter(status__in=HandoffTask.OPEN)


def _late(now: datetime) -> QuerySet[Invoice]:
    return Invoice.objects.filter(
        status="open", amount_due__gt=0, due_on__lt=now.date(), livemode=settings.STRIPE_LIVE_MODE
    )


# -- Figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """Open tasks; what is late in each currency; the currencies by use; subscriptions that could not be billed."""

    mine: int
    everybodys: int
    overdue: list[dict[str, Any]]
    currencies: list[str]
    not_billed: int


def _count(user: User, now: datetime) -> Counts:
    """By one statement."""
    tasks = _open_tasks().annotate(mine=Q(owner=user)).order_by()
    late = _late(now).values_list("currency").annotate(total=Sum("amount_due"), number=Count("pk"))
    owned, sums, currencies, [[not_billed]] = bulk.tables(
        tasks.values_list("mine").annotate(number=Count("pk")),
        late.order_by("-total"),
        metrics.asking_currencies(settings.STRIPE_LIVE_MODE),
        ("select count(*) from billing_billingfailure", ()),
    )
    return Counts(
        mine=sum(number for mine, number in owned if mine),
        everybodys=sum(number for _, number in owned),
        overdue=[dict(zip(("currency", "total", "number"), row, strict=True)) for row in sums],
        currencies=[currency for (currency,) in currencies],
        not_billed=not_billed,
    )


def _months(currencies: Sequence[str], now: datetime) -> list[dict[str, Any]]:
    """Each currency's MRR now and what moved it this month."""
    start = datetime.combine(now.astimezone(UTC).date().replace(day=1), time(), UTC)
    found = metrics.months_by_currency(currencies, start=start, end=now, livemode=settings.STRIPE_LIVE_MODE)
    made = []
    for currency, months in found.items():
        month = months[-1]
        lost = month.contraction + month.churn
        gained = month.new + month.expansion + month.reactivation
        made.append(
            {"currency": currency, "month": month, "lost": lost, "gained": gained, "net": gained + lost}
        )
    return made


# -- Rows ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """The first of each, with whom they are about. Of tasks and quotes the reader's own while there are any, else
    everybody's."""

    tasks: list[HandoffTask]
    quotes: list[Quote]
    decisions: list[Quote]
    wishes: list[PaymentException]
    overdue: list[Invoice]


def _read(user: User, roles: Sequence[str], now: datetime) -> Rows:
    """By one statement."""
    tasks = _open_tasks().order_by("due_on", "-score")
    quotes = Quote.objects.filter(open_at(now), option__in=Quote.FIRST).order_by("expires_at")
    wanted = [
        tasks.filter(owner=user), tasks, quotes.filter(owner=user), quotes, _to_decide(user, roles),
        excepting.waiting_on(user).select_related(None), _late(now).order_by("due_on"),
    ]  # fmt: skip
    shown = [rows[:SHOWN] for rows in wanted]
    found = bulk.read(*shown, *(_pointed_at(name, shown) for name in POINTERS))
    read, targets = found[: len(shown)], dict(zip(POINTERS, found[len(shown) :], strict=True))
    for asked, rows in zip(shown, read, strict=True):
        for name in POINTERS:
            if _has(asked, name):
                fill(rows, name, targets[name])
    own, everybodys, own_quotes, every_quote, *others = read
    return Rows(own or everybodys, own_quotes or every_quote, *others)


def _pointed_at(name: str, shown: Sequence[QuerySet[Any]]) -> QuerySet[Any]:
    """The rows to which a foreign key of those that are shown leads."""
    first, *rest = (rows.values(name) for rows in shown if _has(rows, name))
    return POINTERS[name]._base_manager.filter(pk__in=first.union(*rest))


def _has(rows: QuerySet[Any], name: str) -> bool:
    return any(field.name == name for field in rows.model._meta.concrete_fields)


def _to_decide(user: User, roles: Sequence[str]) -> QuerySet[Quote]:
    """Quotes that the reader may decide about."""
    waiting = Approval.objects.filter(decision=Approval.Decision.WAITING, needed_role__in=roles)
    rows = Quote.objects.filter(state=Quote.State.IN_APPROVAL, pk__in=waiting.values("quote"))
    own = Q(created_by=user) | Q(owner=user) | Q(submitted_by=user)
    return rows.exclude(own).order_by("submitted_at")
