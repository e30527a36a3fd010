"""What a task's page shows, read in one statement: its signals and quotes, and what an upgrade is rated from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import bulk, timelines
from billing.models import Customer, Phase, Plan, Subscription
from sales import drafting, handing_over
from sales.admin.reading import fill
from sales.models import HandoffTask, Quote, Rule, SalesSettings, Signal


@dataclass(frozen=True, slots=True)
class Shown:
    """`running`: the customer's largest subscription, with its phases; `sold` is known where there is a customer."""

    signals: list[Signal]
    quotes: list[Quote]
    settings: SalesSettings
    running: Subscription | None = None
    sold: drafting.Sold | None = None
    trouble: str = ""


def read(task: HandoffTask, now: datetime) -> Shown:
    signals = Signal.objects.filter(task=task).order_by("-occurred_at")
    quotes = Quote.objects.filter(task=task).order_by("-created_at")
    found, made, rules, plans, settings, *more = bulk.read(
        signals,
        quotes,
        Rule.objects.filter(pk__in=signals.order_by().values("rule")),
        Plan.objects.filter(pk__in=quotes.order_by().values("plan")),
        SalesSettings.objects.filter(pk=1),
        *(_about(task.customer, now) if task.customer else ()),
    )
    fill(found, "rule", rules)
    fill(made, "plan", plans)
    for quote in made:
        if task.customer is not None and quote.customer_id == task.customer.pk:
            quote.customer = task.customer
    known = found, made, next(iter(settings), SalesSettings(pk=1))
    return Shown(*known, *_known(task.customer, now, more)) if task.customer else Shown(*known)


def _about(customer: Customer, now: datetime) -> tuple[Any, ...]:
    return (
        *handing_over.troubling({customer: now}),
        *drafting.wanted(customer),
        _running(customer),
        *timelines.wanted_of(Phase.objects.filter(subscription__in=_running(customer).values("pk"))),
    )


def _running(customer: Customer) -> Any:
    return Subscription.objects.filter(customer=customer, status__in=Subscription.LIVE).order_by("-mrr")[:1]


def _known(
    customer: Customer, now: datetime, tables: Sequence[Sequence[Any]]
) -> tuple[Subscription | None, drafting.Sold, str]:
    troubling, sold, (running, *phases) = tables[:3], tables[3:8], tables[8:]
    for subscription in running:
        subscription.customer = customer
        timelines.remember(subscription, phases)
    trouble = handing_over.troubles_of({customer: now}, troubling).get(customer.pk, "")
    return next(iter(running), None), drafting.sold_of(sold), trouble
