"""What falls due on a subscription: a start, an end, new terms, a period, and the paper of the day that brings it.

A billing run does it for everything that is due (`running`). It comes every few minutes, so between the hour of
something and the run there is a gap, and whoever acts on a subscription in it would act on what has been overtaken:
a trial that is over, a pause that has begun, a cancellation that has come true. So every act begins with `current`: what
is due for the one subscription happens first, by the functions of the run, and the act finds what it would have found
after the run. A preview sees the same (`as_current`) and leaves nothing behind.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django_q.tasks import async_task

from billing import (
    bulk,
    choosing,
    customers,
    discounting,
    invoicing,
    movements,
    moves,
    renewing,
    sharing,
    timelines,
)
from billing.away import is_away
from billing.events import Fact, record, record_many
from billing.maths.periods import ONE_DAY, add_months, midnight
from billing.models import BillingFailure, CollectionMethod, Customer, Discount, Subscription, TestClock
from billing.moves import move
from billing.refusals import Refused
from billing.timelines import PhaseSpec

# What no paper says of a subscription and its customer.
NOT_ASKED = [f"{of}{name}" for of in ("", "customer__") for name in ("metadata", "created_at")]
DERIVED = ("billed_through", "current_period_start", "current_period_end", "next_due_at", "mrr", "arr")

type Specs = Sequence[PhaseSpec]

log = logging.getLogger(__name__)


class NotBilled(Refused):
    """What is due for it first could not be billed, so the act did not happen either: a run sets it aside for staff."""

    code = "subscription_not_billed"


# -- Before an act ------------------------------------------------------------------------------------------


def locked(subscription: Subscription) -> Subscription:
    """The row as it is now, held until the transaction ends; its customer's first."""
    return (
        Subscription.objects.select_for_update(of=("customer", "self"), no_key=True)
        .select_related("customer__test_clock")
        .get(pk=subscription.pk)
    )


def current(subscription: Subscription, now: datetime, *, discounts: Sequence[Discount] = ()) -> Subscription:
    """`locked`, and brought up to `now`: what every act on a subscription begins with. `discounts`: those that the act
    is going to count, since they are held before numbers are."""
    row = locked(subscription)
    if discounts and _is_due(row, now):
        discounting.hold(discounts)
    return locked(row) if catch_up([row], now) else row


@contextmanager
def as_current(subscription: Subscription, now: datetime) -> Iterator[Subscription]:
    """The row as `current` would have it, for a preview: what falls due for it happens, and is taken back at the end."""
    if not _is_due(subscription, now):
        yield subscription
        return
    with transaction.atomic():
        yield current(subscription, now)
        transaction.set_rollback(True)


def catch_up(rows: Iterable[Subscription], now: datetime) -> bool:
    """Do what has fallen due for these by `now`, day by day, with what shares their papers. Call inside a transaction.
    Whether anything was due: then the rows in memory say what was before.

    One that was set aside is tried again. Raises NotBilled where that fails, what the database says when it is away,
    and StaleMove.
    """
    late = [row for row in rows if _is_due(row, now)]
    for row in late:
        _bill_late(row, now)
    if late:
        BillingFailure.objects.filter(subscription__in=late).delete()
    return bool(late)


def _bill_late(row: Subscription, now: datetime) -> None:
    try:
        with transaction.atomic():
            renewing.renew(row, now)
            while claimed := claim(_with_siblings(row, now), row.customer.test_clock, 1):
                bill(claimed, now)
    except Exception as error:
        if is_away(error) or isinstance(error, moves.StaleMove):
            raise
        log.exception("%s could not be billed before an act on it", row.pk)
        raise NotBilled(
            "What is due on this subscription could not be billed, so nothing was changed. We are looking into it."
        ) from error


def _is_due(row: Subscription, now: datetime) -> bool:
    return (row.next_due_at is not None and row.next_due_at <= now) or renewing.is_due(row, now)


def _with_siblings(row: Subscription, now: datetime) -> QuerySet[Subscription]:
    """It, and what else is due for a customer whose subscriptions share papers."""
    wanted = Q(pk=row.pk)
    if row.customer.consolidate_invoices:
        wanted |= Q(customer=row.customer_id, billing_failure__isnull=True)
    return Subscription.objects.filter(wanted, next_due_at__lte=now, test_clock=row.test_clock_id)


# -- What is due --------------------------------------------------------------------------------------------


def due_at(now: datetime, clock: TestClock | None) -> QuerySet[Subscription]:
    """What a run at `now` has to bill, whatever its state: a paused one may owe usage, one that waits begins, and one
    that has ended may owe what was told late."""
    return Subscription.objects.filter(next_due_at__lte=now, test_clock=clock, billing_failure__isnull=True)


def of_customer(customer: Customer, now: datetime) -> QuerySet[Subscription]:
    """What is due for a customer, to `catch_up` before an act on all that it has."""
    return Subscription.objects.filter(customer=customer, next_due_at__lte=now).order_by("next_due_at", "pk")


def claim(
    due: QuerySet[Subscription], clock: TestClock | None, size: int, *, alone: bool = False
) -> list[Subscription]:
    """The next that are due, with what shares a day with them; their customers are held too."""
    held = sharing.leading(due).select_for_update(skip_locked=True, of=("customer", "self"), no_key=True)
    held = held.select_related("customer").defer(*NOT_ASKED)
    rows = list(held.order_by("next_due_at", "id")[:size])
    for row in rows:
        if row.customer.test_clock_id == row.test_clock_id:
            row.customer.test_clock = clock
    return rows if alone else [*rows, *_of_one_day(sharing.siblings(due, rows), rows)]


def _of_one_day(siblings: Sequence[Subscription], leaders: Sequence[Subscription]) -> list[Subscription]:
    """Those that are due on the same local day; later days have their turn."""
    days = {row.customer_id: _due_day(row) for row in leaders}
    return [row for row in siblings if _due_day(row) == days[row.customer_id]]


def bill(rows: Sequence[Subscription], now: datetime, priced: Callable[[], None] = lambda: None) -> int:
    """Do what the next due day of each brings, and issue its papers; how many. `priced` is called when all is priced."""
    specs = timelines.read(rows)
    dues = [_begin_day(row, specs[row.pk], now) for row in rows]
    results = invoicing.bill_many(dues, actor="system", ahead=partial(_end_day, dues, priced))
    invoices = len({result.issued.draft.id for result in results if result.issued})
    if invoices and rows[0].test_clock_id is None:
        async_task("billing.tasks.after_issue")
    return invoices


def _due_day(row: Subscription) -> date:
    assert row.next_due_at is not None
    return timelines.local_day(row, row.next_due_at)


def _begin_day(row: Subscription, specs: Specs, now: datetime) -> invoicing.Due:
    """What the day brings before money: an end, or the start of new terms. Answers what there is to bill then."""
    day = _due_day(row)
    if row.end_on == day:
        timelines.write(row, timelines.ended(specs, day))
        if row.current_period_end and day < row.current_period_end:
            invoicing.bill(subscription=row, now=now, actor="system", until=day, returns_only=True)
        return invoicing.Due(row, day, now, day, specs=timelines.specs_of(row))
    lasting = [spec for spec in specs if not spec.empty]
    if row.status == Subscription.Status.INCOMPLETE:
        begin(row, lasting[0], now=now, actor="system")
        return invoicing.Due(row, day, now, day, specs=specs)
    starting = next((i for i, spec in enumerate(lasting) if spec.start_on == day and i > 0), None)
    if starting is not None:
        before, after = lasting[starting - 1], lasting[starting]
        begin_phase(row, before, after, now=now, actor="system")
    return invoicing.Due(row, day, now, day, specs=specs)


def _end_day(dues: Sequence[invoicing.Due], priced: Callable[[], None]) -> None:
    """Derived values, renewals as facts, and the end of those that end."""
    priced()
    renewed: list[Fact] = []
    steps: list[movements.Step] = []
    for due in dues:
        row, specs = due.subscription, due.specs or ()
        before = movements.Level.of(row)
        timelines.refresh(row, specs)
        renewed.extend(_renewal(row, specs, due.day, due.now))
        if movements.Level.of(row) != before:
            steps.append(movements.Step(row, before, specs, due.now))
    movements.note(steps)
    bulk.update(Subscription, [vars(due.subscription) for due in dues], DERIVED)
    record_many(renewed)
    for due in dues:
        if due.subscription.end_on == due.day:
            finish(due.subscription, now=due.now, actor="system")
    for step in steps:
        customer = step.subscription.customer
        into = timelines.refresh_customer(customer)
        customers.resegment(customer=customer, now=step.now, why="terms changed", into=into)


def _renewal(row: Subscription, specs: Specs, day: date, now: datetime) -> list[Fact]:
    """A new period of the recurring items began today (the row is refreshed). The first is no renewal, nor is the first
    after a trial: that is an activation."""
    if row.current_period_start != day or row.current_period_end is None or day == row.start_on:
        return []
    spec = timelines.spec_on(specs, day)
    before = timelines.spec_on(specs, day - ONE_DAY)
    if spec is None or spec.free or (before is not None and before.free and not before.paused):
        return []
    data = {
        "period_start": row.current_period_start.isoformat(),
        "period_end": row.current_period_end.isoformat(),
        "plan": spec.plan.code,
    }
    return [Fact("subscription.renewed", row.pk, row.customer_id, row.customer.livemode, "system", now, data)]


# -- What a day brings ---------------------------------------------------------------------------------------


def begin(subscription: Subscription, first: PhaseSpec, *, now: datetime, actor: str) -> None:
    """The day of a start that was ahead has come. Its source says where terms that were agreed before come from."""
    data = {**terms_of(first), **({"source": first.source} if first.source else {})}
    if first.free:
        move(subscription, "trialing", event=None, actor=actor, now=now)
    else:
        move(subscription, "active", event="subscription.activated", actor=actor, now=now, data=data)


def begin_phase(row: Subscription, before: PhaseSpec, after: PhaseSpec, *, now: datetime, actor: str) -> None:
    """The day on which `after` takes the place of `before` has come: the facts of it, and the state that it brings."""
    data = _begun_with(after)
    record("subscription.phase_started", subject=row, actor=actor, now=now, data=data)
    if before.free and not after.free and row.status == "trialing":
        end_trial(row, data, now=now, actor=actor)
    if after.paused and not before.paused and row.status != "paused":
        facts = (after.wishes or {}).get("pause", {})
        move(row, "paused", event="subscription.paused", actor=actor, now=now, data=facts)
    if before.paused and not after.paused and row.status == "paused":
        move(row, "active", event="subscription.resumed", actor=actor, now=now, data=data)
    collect(row, before, after, now=now, actor=actor)


def _begun_with(spec: PhaseSpec) -> dict[str, Any]:
    return {
        "phase": spec.row.pk if spec.row else None, "plan": spec.plan.code, "source": spec.source,
        "motion": spec.motion, "collection_method": spec.collection_method,
    }  # fmt: skip


def collect(row: Subscription, before: PhaseSpec, after: PhaseSpec, *, now: datetime, actor: str) -> None:
    """From today it is paid as `after` says, and so is what the customer buys next."""
    method = after.collection_method
    if before.collection_method == method:
        return
    set_collection(row.customer, method, actor=actor, now=now, before=row.customer.collection_method)
    if method == CollectionMethod.SEND_INVOICE:
        data = _begun_with(after)
        record("subscription.converted_to_invoice", subject=row, actor=actor, now=now, data=data)


def end_trial(
    row: Subscription, data: Mapping[str, Any], *, now: datetime, actor: str, **fields: Any
) -> None:
    move(row, "active", event="subscription.trial_ended", actor=actor, now=now, **fields)
    record("subscription.activated", subject=row, actor=actor, now=now, data=data)


def terms_of(spec: PhaseSpec) -> dict[str, Any]:
    """As an event tells them."""
    quantity = choosing.seats(spec.items)
    return {
        "plan": spec.plan.code,
        "quantity": None if quantity is None else f"{quantity.normalize():f}",
        "collection_method": spec.collection_method,
        "motion": spec.motion,
        "start": spec.start_on.isoformat(),
    }


def set_collection(customer: Customer, method: str, *, actor: str, now: datetime, before: str) -> None:
    """How the customer pays from now on, as a fact with before and after."""
    if before == method:
        return
    moves.change(customer, collection_method=method)
    record(
        "customer.collection_method_changed", subject=customer, customer=customer, actor=actor, now=now,
        data={"from": before, "to": method},
    )  # fmt: skip


def finish(subscription: Subscription, *, now: datetime, actor: str) -> None:
    """The subscription has reached its end. Usage that is told late is still asked for when it can come no more."""
    specs = timelines.specs_of(subscription)
    before = movements.Level.of(subscription)
    subscription.mrr = subscription.arr = 0
    movements.note([movements.Step(subscription, before, specs, now)])
    move(
        subscription, "canceled", event="subscription.canceled", actor=actor, now=now, ended_at=now,
        next_due_at=_settled_at(subscription, specs), next_notice_at=None, mrr=0, arr=0,
        billed_through=subscription.billed_through, data={"reason": subscription.cancel_reason},
    )  # fmt: skip
    into = timelines.refresh_customer(subscription.customer)
    customers.resegment(customer=subscription.customer, now=now, why="subscription ended", into=into)


def _settled_at(subscription: Subscription, specs: Sequence[PhaseSpec]) -> datetime | None:
    """When no more usage of its days is taken: after the end the calendar month is the usage period (`usage_sql`)."""
    used = any(price.kind == "usage" for spec in specs if not spec.empty for price, _ in spec.items)
    if not used or subscription.end_on is None or subscription.billed_through is None:
        return None
    month = add_months((subscription.end_on - ONE_DAY).replace(day=1), 1)
    return midnight(month + timedelta(days=settings.USAGE_GRACE_DAYS), subscription.timezone)
