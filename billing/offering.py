"""What a subscription that does not exist yet would cost: its phases, its first paper and the one after.

Nothing is written. The figures come from the functions that will bill the subscription once it is made of
the same phases (`subscribing.sell`), so what was shown is what is charged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from billing import customers, invoicing, owing, planning, subscribing, timelines
from billing import taxes as taxing
from billing.choosing import Items
from billing.maths import timeline
from billing.maths.periods import local_date
from billing.models import CollectionMethod, Customer, Discount, Plan, Seller, Subscription
from billing.timelines import PhaseSpec

# Due days to look at for the next charge: a year of months, and a few to spare.
LOOK_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Offer:
    """The terms, what is due on the first day, and what follows (`next_on` None: nothing more)."""

    specs: Sequence[PhaseSpec]
    today: invoicing.Result
    next_on: date | None
    next: invoicing.Result


def terms(
    *,
    customer: Customer,
    plan: Plan,
    items: Items,
    now: datetime,
    discount: Discount | None = None,
    trial_days: int | None = None,
    collection_method: str = CollectionMethod.CHARGE_AUTOMATICALLY,
    source: str = "",
) -> list[PhaseSpec]:
    """The phases from `now` on, as `subscribing.subscribe` would make them."""
    start = local_date(now, customer.timezone)
    spec = PhaseSpec(
        plan=plan, items=items, start_on=start, end_on=None, anchor_on=start, discount=discount,
        collection_method=collection_method, motion=plan.motion, source=source, starts_at=now,
    )  # fmt: skip
    free_until = planning.trial_end_of(
        customer=customer, plan=plan, start=now, trial_days=trial_days, trial_end=None
    )
    return planning.phases(spec, trial_end=free_until, tz=customer.timezone)


def price(
    *,
    customer: Customer,
    specs: Sequence[PhaseSpec],
    now: datetime,
    seller: Seller,
    taxes: taxing.Table,
) -> Offer:
    """What these phases cost on their first day and on the next day on which anything is due."""
    subscription = Subscription(
        customer=customer, currency=specs[0].items[0][0].currency, timezone=customer.timezone,
        start_on=specs[0].start_on, started_at=now,
    )  # fmt: skip
    said: dict[str, tuple[int, int]] = {}
    facts = replace(owing.of_nothing_yet(seller, taxes), said={subscription.pk: said})
    today = _said_on(subscription, specs, facts, specs[0].start_on)
    owing.tell(said, today.lines)
    next_on, after = _next(subscription, specs, facts, said)
    return Offer(specs, today, next_on, after)


def _next(
    subscription: Subscription,
    specs: Sequence[PhaseSpec],
    facts: owing.Facts,
    said: dict[str, tuple[int, int]],
) -> tuple[date | None, invoicing.Result]:
    """The next day on which something is charged. Days on which only usage is counted, of which there is none
    yet, are passed over."""
    pure = timelines.timeline_of(specs, credit_unused=True)
    day = timeline.next_due(pure, after=specs[0].start_on)
    for _ in range(LOOK_AHEAD):
        if day is None:
            break
        result = _said_on(subscription, specs, facts, day)
        if result.total:
            return day, result
        owing.tell(said, result.lines)
        day = timeline.next_due(pure, after=day)
    return None, invoicing.nothing()


def _said_on(
    subscription: Subscription, specs: Sequence[PhaseSpec], facts: owing.Facts, day: date
) -> invoicing.Result:
    lines = owing.draft_lines(subscription=subscription, specs=specs, facts=facts, until=day)
    net, tax = sum(line.net for line in lines), sum(line.tax_amount for line in lines)
    return invoicing.Result(lines, net, tax, net + tax)


def check(customer: Customer, specs: Sequence[PhaseSpec], segments: customers.Bands) -> None:
    """Raises CollectionNotAllowed when the segment that the terms lead to does not pay this way."""
    subscribing.check_collection(customer, specs[-1], among=segments)
