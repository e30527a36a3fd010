"""Who still pays a price that is no longer sold, and moving them on purpose: nothing else ever does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q

from billing import subscribing
from billing.models import PhaseItem, Plan, Price, Subscription
from billing.subscribing import Change, Effective


@dataclass(frozen=True, slots=True)
class OldPrice:
    """A subscription that pays, or will pay, a price which was replaced. `now` is None where nothing took its place."""

    subscription: Subscription
    price: Price
    quantity: Decimal
    now: Price | None


def on_old_prices(plan: Plan) -> Sequence[OldPrice]:
    """Everybody on a price of the plan that is no longer sold, in terms that run or wait. Two statements."""
    lasting = Q(phase__end_on__isnull=True) | Q(phase__end_on__gt=F("phase__subscription__billed_through"))
    rows = (
        PhaseItem.objects.filter(
            lasting, price__plan=plan, price__active=False,
            phase__subscription__status__in=(*Subscription.LIVE, "paused"),
        )
        .select_related("price", "phase__subscription__customer__test_clock")
        .order_by("phase__subscription", "price", "phase__start_on")
    )  # fmt: skip
    sold = {(p.code, p.currency): p for p in plan.prices.filter(active=True)}
    found = {(r.phase.subscription_id, r.price_id): r for r in rows}
    return [
        OldPrice(r.phase.subscription, r.price, r.quantity, sold.get((r.price.code, r.price.currency)))
        for r in found.values()
    ]


def move(
    *, subscription: Subscription, now: datetime, actor: str, effective: Effective = "period_end"
) -> Change:
    """Put a subscription on today's prices of its plan, as many of each, from its next period (or another day).

    The change waits like any other and can be removed before it happens. Raises as `subscribing.change`.
    """
    return subscribing.change(
        subscription=subscription, now=now, actor=actor, effective=effective, source="reprice", reprice=True
    )


def preview(*, subscription: Subscription, now: datetime, effective: Effective = "period_end") -> Change:
    """The figures of `move`, with the paper that follows; writes nothing."""
    return subscribing.preview(
        subscription=subscription, now=now, effective=effective, with_next=True, reprice=True
    )
