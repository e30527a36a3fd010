"""The admin's first page: what waits for the reader, and how the seller is doing."""

from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.db.models import Case, Count, Q, Sum, When
from django.utils import timezone

from billing.models import BillingFailure, Invoice, User
from sales import approving, excepting, metrics
from sales.models import Approval, HandoffTask, Quote

SHOWN = 6


def desk(user: User) -> dict[str, Any]:
    """Only what the reader may look at; a part without permission is absent."""
    now = timezone.now()
    made: dict[str, Any] = {"desk": True, "today": now.date()}
    if user.has_perm("sales.view_handofftask"):
        made |= _tasks(user)
    if user.has_perm("sales.view_quote"):
        made["decisions"] = _decisions(user)
        made["wishes"] = list(excepting.waiting_on(user)[:SHOWN])
        made["quotes_out"] = _quotes_out(user)
    if user.has_perm("billing.view_invoice"):
        made["overdue"], made["overdue_sums"] = _overdue(now)
        made["months"] = _months(now)
    if user.has_perm("billing.delete_billingfailure"):  # who may have it billed again
        made["not_billed"] = BillingFailure.objects.count()
    return made


def _tasks(user: User) -> dict[str, Any]:
    """The reader's own while there are any, else everybody's."""
    rows = HandoffTask.objects.filter(status__in=HandoffTask.OPEN)
    number = rows.aggregate(mine=Count("pk", filter=Q(owner=user)), everybody=Count("pk"))
    rows = rows.filter(owner=user) if number["mine"] else rows
    shown = rows.select_related("customer", "lead", "owner").order_by("due_on", "-score")[:SHOWN]
    return {
        "tasks": list(shown), "mine": number["mine"], "task_count": number["mine"] or number["everybody"]
    }  # fmt: skip


def _decisions(user: User) -> list[Quote] | None:
    """Quotes that the reader may decide about; None for somebody who decides about none."""
    roles = approving.roles_of(user, timezone.now())
    if not roles:
        return None
    waiting = Approval.objects.filter(decision=Approval.Decision.WAITING, needed_role__in=roles)
    rows = Quote.objects.filter(state=Quote.State.IN_APPROVAL, approvals__in=waiting)
    rows = rows.exclude(created_by=user).exclude(owner=user).exclude(submitted_by=user)
    return list(rows.distinct().select_related("customer", "lead", "owner").order_by("submitted_at")[:SHOWN])


def _quotes_out(user: User) -> list[Quote]:
    """The reader's own while there are any, else everybody's."""
    rows = Quote.objects.filter(state__in=Quote.OUT, option__in=Quote.FIRST)
    mine_first = Case(When(owner=user, then=0), default=1)
    shown = rows.select_related("customer", "lead", "owner").order_by(mine_first, "expires_at")[:SHOWN]
    return [each for each in shown if each.owner_id == user.pk] or list(shown)


def _overdue(now: datetime) -> tuple[list[Invoice], list[dict[str, Any]]]:
    late = Invoice.objects.filter(
        status="open", amount_due__gt=0, due_on__lt=now.date(), livemode=settings.STRIPE_LIVE_MODE
    )
    sums = late.values("currency").annotate(total=Sum("amount_due"), number=Count("pk")).order_by("-total")
    return list(late.select_related("customer").order_by("due_on")[:SHOWN]), list(sums)  # type: ignore[arg-type]


def _months(now: datetime) -> list[dict[str, Any]]:
    """Each currency's MRR now and what moved it this month."""
    start = datetime.combine(now.astimezone(UTC).date().replace(day=1), time(), UTC)
    live = settings.STRIPE_LIVE_MODE
    made = []
    for currency in metrics.currencies(live)[:3]:
        [month] = metrics.months(start=start, end=now, currency=currency, livemode=live)[-1:]
        lost = month.contraction + month.churn
        gained = month.new + month.expansion + month.reactivation
        made.append(
            {"currency": currency, "month": month, "lost": lost, "gained": gained, "net": gained + lost}
        )
    return made
