"""Sales opportunities: opened, moved along the board, won or lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from django.db import transaction
from django.db.models import Case, Count, DateField, QuerySet, Sum, Value, When
from django.db.models.functions import Greatest, TruncMonth

from billing.events import record
from billing.maths.money import round_ratio
from billing.models import Customer, User
from billing.moves import move
from billing.refusals import Refused
from sales.models import Deal, HandoffTask, Lead, Signal

USUAL_DAYS = timedelta(days=30)


LIKELY = {"discovery": 10, "proposal": 40, "negotiation": 70}
"""Percent of open deals of a stage that a forecast counts."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Open deals that should close in a month, in one currency; minor units. `weighted`: by the stages' chances."""

    month: date
    currency: str
    deals: int
    amount: int
    weighted: int


@dataclass(frozen=True, slots=True)
class Total:
    """How many deals of a stage should close in a month, in one currency, and their amount in minor units: what is late
    counts in the present month, what has no day in none."""

    stage: str
    currency: str
    month: date | None
    deals: int
    amount: int


def totals(rows: QuerySet[Deal], *, today: date) -> list[Total]:
    """Those of the rows, by stage, currency and month; by one statement, which reads no row into memory."""
    closing = Greatest("close_on", Value(today, DateField()))
    month = TruncMonth(Case(When(close_on__isnull=False, then=closing)))  # greatest() passes over nulls
    by = rows.order_by().values_list("stage", "currency", month).annotate(n=Count("pk"), sum=Sum("amount"))
    return [Total(stage, currency, at, n, int(amount)) for stage, currency, at, n, amount in by]


def forecast(rows: Iterable[Total]) -> list[Forecast]:
    """Open deals by month of closing; what has no month is in none."""
    found: dict[tuple[date, str], list[Total]] = {}
    for each in rows:
        if each.stage in LIKELY and each.month is not None:
            found.setdefault((each.month, each.currency), []).append(each)
    return [_forecast(month, currency, each) for (month, currency), each in sorted(found.items())]


def _forecast(month: date, currency: str, found: list[Total]) -> Forecast:
    weighted = Fraction(sum(each.amount * LIKELY[each.stage] for each in found), 100)
    deals, amount = sum(each.deals for each in found), sum(each.amount for each in found)
    return Forecast(month, currency, deals, amount, round_ratio(weighted))


class UnknownStage(Refused):
    """The board has no such column."""

    code = "unknown_stage"


@transaction.atomic
def open_deal(
    *,
    name: str,
    now: datetime,
    customer: Customer | None = None,
    lead: Lead | None = None,
    owner: User | None = None,
    amount: int = 0,
    currency: str = "USD",
    close_on: date | None = None,
    motion: str = "sales_led",
    task: HandoffTask | None = None,
    source_signal: Signal | None = None,
    actor: str = "system",
) -> Deal:
    """A new opportunity. The heaviest signal of its task is its source unless one is given."""
    if source_signal is None and task is not None:
        source_signal = source_of(task)
    deal = Deal.objects.create(
        name=name[:200], customer=customer, lead=lead, owner=owner, amount=amount, currency=currency,
        motion=motion, close_on=close_on or (now + USUAL_DAYS).date(), task=task,
        source_signal=source_signal, created_at=now,
    )  # fmt: skip
    data = {"name": deal.name, "amount": amount, "currency": currency}
    record("deal.created", subject=deal, actor=actor, now=now, data=data)
    return deal


def source_of(task: HandoffTask) -> Signal | None:
    """The signal that raised the task: the heaviest, and of those the first."""
    order = {"high": 0, "medium": 1, "low": 2}
    return min(task.signals.all(), key=lambda s: (order[s.weight], s.occurred_at, s.pk), default=None)


def open_deal_of(customer: Customer | None, lead: Lead | None) -> Deal | None:
    """The opportunity that is being worked on with somebody, the youngest first."""
    rows = Deal.objects.filter(stage__in=Deal.OPEN)
    rows = rows.filter(customer=customer) if customer is not None else rows.filter(lead=lead)
    return rows.order_by("-created_at", "-id").first()


@transaction.atomic
def set_stage(*, deal: Deal, stage: str, now: datetime, actor: str, reason: str = "") -> None:
    """Move it on the board; `reason` is kept for a lost one. Raises UnknownStage, IllegalMove, StaleMove."""
    if stage not in Deal.Stage.values:
        raise UnknownStage("discovery, proposal, negotiation, won or lost.", field="stage")
    if stage == deal.stage:
        return
    closed = now if stage in ("won", "lost") else None
    why = reason[:300] if stage == "lost" else ""
    move(
        deal, stage, event="deal.stage_changed", actor=actor, now=now, closed_at=closed, lost_reason=why,
        data={"amount": deal.amount, "currency": deal.currency, "reason": why},
    )  # fmt: skip


def win(*, deal: Deal, amount: int, currency: str, now: datetime, actor: str) -> None:
    """Signed, for this much (minor units). Raises IllegalMove, StaleMove."""
    move(
        deal, "won", event="deal.stage_changed", actor=actor, now=now, closed_at=now, lost_reason="", amount=amount,
        currency=currency, data={"amount": amount, "currency": currency, "reason": ""},
    )  # fmt: skip


def advance(deal: Deal | None, stage: str, *, now: datetime, actor: str) -> None:
    """Forward only: what a quote does to its deal by the way."""
    order = ("discovery", "proposal", "negotiation", "won")
    if deal is not None and deal.stage in Deal.OPEN and order.index(stage) > order.index(deal.stage):
        set_stage(deal=deal, stage=stage, now=now, actor=actor)
