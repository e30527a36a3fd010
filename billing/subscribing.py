"""Verbs on a subscription's timeline: start it, change it, let new terms follow, end it.

None of them computes money. They rewrite phases; `billing.invoicing.bill` then says what that owes.
A preview is the same change on phases in memory, priced by the same function.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction

from billing import customers, invoicing, movements, timelines
from billing.events import record
from billing.maths import timeline
from billing.maths.periods import Interval, add_months, anchor_for, local_date
from billing.models import (
    CollectionMethod,
    Customer,
    Discount,
    Invoice,
    Plan,
    Price,
    Subscription,
)
from billing.moves import move
from billing.refusals import Refused
from billing.timelines import PhaseSpec

KEEP: Any = object()
type Effective = Literal["now", "period_end", "contract_end"] | date
MAX_QUANTITY = Decimal(1_000_000_000)


class PlanNeedsQuote(Refused):
    code = "plan_needs_quote"


class UnknownPrice(Refused):
    code = "unknown_price"


class InvalidQuantity(Refused):
    code = "invalid_quantity"


class CollectionNotAllowed(Refused):
    code = "collection_not_allowed"


class NotLive(Refused):
    code = "subscription_not_live"


class NothingToUndo(Refused):
    code = "nothing_to_undo"


class InvalidDate(Refused):
    code = "invalid_date"


@dataclass(frozen=True, slots=True)
class Change:
    """What a change does, in minor units; the same figures whether previewed or done."""

    effective_on: date
    lines: Sequence[invoicing.DraftLine]
    subtotal: int
    tax_total: int
    total: int
    due_now: int
    credit_to_balance: int
    invoice: Invoice | None = None


# -- Choosing prices --------------------------------------------------------------------------------


def choose_items(
    plan: Plan,
    *,
    interval: str,
    currency: str,
    quantity: Decimal | int | None = None,
    quantities: Mapping[str, Decimal] | None = None,
) -> tuple[tuple[Price, Decimal], ...]:
    """The plan's prices for an interval and currency, with how many of each.

    `quantity` counts the per-unit price (seats); `quantities` names prices by code. Usage prices come along.
    Raises UnknownPrice, InvalidQuantity.
    """
    prices = [p for p in plan.prices.all() if p.active and p.currency == currency]
    chosen = [p for p in prices if p.kind == "usage" or p.kind == "one_time" or p.interval == interval]
    if not any(p.kind == "recurring" for p in chosen):
        raise UnknownPrice(f"{plan.name} has no {interval} price in {currency}.", field="interval")
    wanted = dict(quantities or {})
    unknown = wanted.keys() - {p.code for p in chosen}
    if unknown:
        raise UnknownPrice(f"{plan.name} has no price {sorted(unknown)[0]}.", field="quantities")
    return tuple((p, _quantity_of(p, wanted, quantity)) for p in chosen)


def requantified(
    items: tuple[tuple[Price, Decimal], ...],
    quantity: Decimal | int | None,
    quantities: Mapping[str, Decimal] | None,
) -> tuple[tuple[Price, Decimal], ...]:
    """The same prices, also ones no longer sold, in other quantities. Raises UnknownPrice, InvalidQuantity."""
    wanted = dict(quantities or {})
    unknown = wanted.keys() - {price.code for price, _ in items}
    if unknown:
        raise UnknownPrice(f"The subscription has no price {min(unknown)}.", field="quantities")
    changed = quantity is not None
    return tuple(
        (
            price,
            _quantity_of(price, wanted, quantity)
            if price.code in wanted or (changed and price.kind == "recurring")
            else had,
        )
        for price, had in items
    )


def _quantity_of(price: Price, wanted: Mapping[str, Decimal], quantity: Decimal | int | None) -> Decimal:
    if price.kind == "usage":
        return Decimal(1)
    given = wanted.get(price.code, quantity if price.model != "flat" else None)
    value = Decimal(1) if given is None else Decimal(given)
    if not value.is_finite() or value <= 0 or value > MAX_QUANTITY:
        raise InvalidQuantity("The quantity must be more than 0 and at most 1,000,000,000.", field="quantity")
    if price.model == "per_unit" and value != value.to_integral_value():
        raise InvalidQuantity("Seats are whole numbers.", field="quantity")
    return value


def seats(specs_items: Sequence[tuple[Price, Decimal]]) -> Decimal | None:
    """How many of the per-unit recurring price; None for plans without one."""
    return next((q for p, q in specs_items if p.kind == "recurring" and p.model != "flat"), None)


# -- Starting -----------------------------------------------------------------------------------------


@transaction.atomic
def subscribe(
    *,
    customer: Customer,
    plan: Plan,
    interval: str,
    now: datetime,
    actor: str,
    origin: str,
    quantity: Decimal | int | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    collection_method: str | None = None,
    net_days: int | None = None,
    source: str | None = None,
    discount: Discount | None = None,
    trial_days: int | None = None,
    anchor: str | int = "start",
    motion: str | None = None,
    payment_rule_override: str = "",
    po_number: str = "",
) -> Subscription:
    """A new subscription, trialing or active, not yet billed (call `invoicing.bill`).

    Raises PlanNeedsQuote, UnknownPrice, InvalidQuantity, CollectionNotAllowed; IntegrityError for a `source`
    that already made one.
    """
    if plan.quote_only and origin != "quote":
        raise PlanNeedsQuote(f"{plan.name} is sold by quote only.", field="plan")
    items = choose_items(
        plan, interval=interval, currency=customer.currency, quantity=quantity, quantities=quantities
    )
    start = local_date(now, customer.timezone)
    spec = PhaseSpec(
        plan=plan, items=items, start_on=start, end_on=None, anchor_on=start, discount=discount,
        collection_method=collection_method or customer.collection_method, net_days=net_days,
        motion=motion or plan.motion, source=source or "", starts_at=now, po_number=po_number,
    )  # fmt: skip
    specs = _with_trial(spec, now, customer.timezone, plan.trial_days if trial_days is None else trial_days)
    specs = [replace(s, anchor_on=_anchor(s, Interval(interval), anchor)) for s in specs]
    return _start(
        customer=customer, specs=specs, now=now, actor=actor, origin=origin, source=source,
        override=payment_rule_override,
    )  # fmt: skip


@transaction.atomic
def subscribe_to(
    *,
    customer: Customer,
    phases: Sequence[PhaseSpec],
    now: datetime,
    actor: str,
    origin: str,
    source: str | None = None,
    contract_months: int | None = None,
    auto_renew: bool = True,
    payment_rule_override: str = "",
) -> Subscription:
    """A new subscription made of given phases (an accepted quote). Same errors as `subscribe`."""
    subscription = _start(
        customer=customer, specs=list(phases), now=now, actor=actor, origin=origin, source=source,
        override=payment_rule_override,
    )  # fmt: skip
    _set_contract(subscription, phases[0].start_on, contract_months, auto_renew)
    return subscription


def _start(
    *,
    customer: Customer,
    specs: list[PhaseSpec],
    now: datetime,
    actor: str,
    origin: str,
    source: str | None,
    override: str,
) -> Subscription:
    paid = specs[-1]
    check_collection(customer, paid, override=override)
    start_on = specs[0].start_on
    subscription = Subscription(
        customer=customer, test_clock_id=customer.test_clock_id, motion=paid.motion, origin=origin, source=source,
        currency=customer.currency, timezone=customer.timezone, start_on=start_on, started_at=now,
        trial_end_at=specs[1].starts_at if specs[0].free else None,
        status="trialing" if specs[0].free else "active", created_at=now,
    )  # fmt: skip
    subscription.save(force_insert=True)
    timelines.write(subscription, specs)
    settle_derived(subscription, now=now, actor=actor, why="subscription started")
    data = {**_facts(paid), "origin": origin, "mrr_before": 0, "mrr_after": timelines.committed(paid)[0]}
    if override:
        data["payment_rule_override"] = override
    record("subscription.created", subject=subscription, actor=actor, now=now, data=data)
    if subscription.status == "active":
        record("subscription.activated", subject=subscription, actor=actor, now=now, data=_facts(paid))
    return subscription


@transaction.atomic
def bill_now(
    *, subscription: Subscription, now: datetime, actor: str, source: str | None = None
) -> invoicing.Result:
    """Bill a subscription's first day (nothing while it is a trial) and set what is due next. Repeating adds nothing."""
    subscription = locked(subscription)
    result = invoicing.bill(
        subscription=subscription, now=now, actor=actor, cycle_on=subscription.start_on, source=source
    )
    settle_derived(subscription, now=now, actor=actor, why="subscription started")
    return result


def _with_trial(spec: PhaseSpec, now: datetime, tz: str, days: int) -> list[PhaseSpec]:
    if not days:
        return [spec]
    ends_at = now + timedelta(days=days)
    end_on = local_date(ends_at, tz)
    return [
        replace(spec, end_on=end_on, free=True),
        replace(spec, start_on=end_on, anchor_on=end_on, starts_at=ends_at),
    ]


def _anchor(spec: PhaseSpec, interval: Interval, rule: str | int) -> date:
    return anchor_for(interval, spec.start_on, rule)


def _facts(spec: PhaseSpec) -> dict[str, Any]:
    quantity = seats(spec.items)
    return {
        "plan": spec.plan.code,
        "quantity": None if quantity is None else f"{quantity.normalize():f}",
        "collection_method": spec.collection_method,
        "motion": spec.motion,
        "start": spec.start_on.isoformat(),
    }


def check_collection(customer: Customer, spec: PhaseSpec, *, override: str = "") -> None:
    """The payment rule: the segment that the terms lead to must allow how they are collected.

    Raises CollectionNotAllowed unless somebody with the right gave a reason.
    """
    arr = timeline.arr(spec.pure_items(), timelines.discount_value(spec.discount))
    segment = customers.segment_for(max(arr, customer.arr))
    if segment is None or override or segment.allows(spec.collection_method):
        return
    words = "invoice" if spec.collection_method == CollectionMethod.SEND_INVOICE else "card"
    raise CollectionNotAllowed(
        f"Customers in the segment {segment.name} do not pay by {words}.", field="collection_method"
    )


# -- Changing -----------------------------------------------------------------------------------------


@transaction.atomic
def change(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    source: str = "",
    override: str = "",
    **wishes: Any,
) -> Change:
    """New terms from now, from the period's end, or from a day; billed at once where they start now.

    Wishes: plan, interval, quantity, quantities, discount, collection_method, net_days, motion, effective.
    Raises NotLive, PlanNeedsQuote, UnknownPrice, InvalidQuantity, CollectionNotAllowed, InvalidDate.
    """
    subscription = locked(subscription)
    before, after, on = _changed(subscription, now=now, source=source, override=override, **wishes)
    mrr_before = subscription.mrr
    timelines.write(subscription, after)
    invoice = None
    result = invoicing.nothing()
    if on <= timelines.local_day(subscription, now):
        result = invoicing.bill(subscription=subscription, now=now, actor=actor)
        invoice = result.invoice
    settle_derived(subscription, now=now, actor=actor, why="subscription changed")
    old, new = timelines.spec_on(before, on), timelines.spec_on(after, on)
    record(
        "subscription.changed",
        subject=subscription,
        actor=actor,
        now=now,
        data={
            "effective_on": on.isoformat(),
            "from": _facts(old) if old else None,
            "to": _facts(new) if new else None,
            "mrr_before": mrr_before,
            "mrr_after": timelines.committed(new)[0],
            "upgrade": timelines.committed(new)[0] > mrr_before,
            "source": source,
        },
    )
    return _answer(on, result, invoice)


def preview(*, subscription: Subscription, now: datetime, **wishes: Any) -> Change:
    """The same figures as `change` with the same wishes; writes nothing."""
    _, after, on = _changed(subscription, now=now, source="", **wishes)
    if on > timelines.local_day(subscription, now):
        return _answer(on, invoicing.nothing(), None)
    return _answer(on, invoicing.draft(subscription=subscription, specs=after, now=now), None)


def _answer(on: date, result: invoicing.Result, invoice: Invoice | None) -> Change:
    return Change(
        effective_on=on, lines=result.lines, subtotal=result.subtotal, tax_total=result.tax_total,
        total=result.total, due_now=max(result.total, 0), credit_to_balance=max(-result.total, 0), invoice=invoice,
    )  # fmt: skip


def _changed(
    subscription: Subscription,
    *,
    now: datetime,
    source: str,
    override: str = "",
    plan: Plan | None = None,
    interval: str | None = None,
    quantity: Decimal | int | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    discount: Any = KEEP,
    collection_method: str | None = None,
    net_days: Any = KEEP,
    motion: str | None = None,
    effective: Effective = "now",
) -> tuple[list[PhaseSpec], list[PhaseSpec], date]:
    """(phases before, phases after, first day of the new terms)."""
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    before = timelines.specs_of(subscription)
    on = effective_day(subscription, before, effective, now)
    old = timelines.spec_on(before, on)
    if old is None:
        raise InvalidDate("The subscription has ended by then.", field="effective")
    target = plan or old.plan
    if target.quote_only and plan is not None and target != old.plan:
        raise PlanNeedsQuote(f"{target.name} is sold by quote only.", field="plan")
    cadence = interval or interval_of(old)
    if target == old.plan and cadence == interval_of(old):
        items = requantified(old.items, quantity, quantities)
    else:
        items = choose_items(
            target,
            interval=cadence,
            currency=subscription.currency,
            quantity=seats(old.items) if quantity is None and quantities is None else quantity,
            quantities=quantities,
        )
    new_cycle = cadence != interval_of(old)
    terms: dict[str, Any] = {
        "plan": target,
        "items": items,
        "anchor_on": on if new_cycle else old.anchor_on,
        "discount": old.discount if discount is KEEP else discount,
        "collection_method": collection_method or old.collection_method,
        "net_days": old.net_days if net_days is KEEP else net_days,
        "motion": motion or (target.motion if target != old.plan else old.motion),
        "source": source,
        "starts_at": None,
        "free": old.free,
    }
    if collection_method and collection_method != old.collection_method:
        check_collection(subscription.customer, replace(old, **terms), override=override)
    after = timelines.split(before, on, **terms)
    return before, _beyond_trial(after, old, terms) if old.free else after, on


def _beyond_trial(specs: list[PhaseSpec], trial: PhaseSpec, terms: Mapping[str, Any]) -> list[PhaseSpec]:
    """What is chosen in a trial holds for what is paid after it, too."""
    kept = {
        name: terms[name] for name in ("plan", "items", "discount", "collection_method", "net_days", "motion")
    }
    return [replace(s, row=None, **kept) if s.start_on == trial.end_on else s for s in specs]


def interval_of(spec: PhaseSpec) -> str:
    """The interval of the recurring price."""
    return next(str(p.interval) for p, _ in spec.items if p.kind == "recurring")


def effective_day(
    subscription: Subscription, specs: Sequence[PhaseSpec], effective: Effective, now: datetime
) -> date:
    """The first day of new terms. Raises InvalidDate for days before the subscription."""
    today = timelines.local_day(subscription, now)
    if effective == "now":
        return max(today, subscription.start_on)
    if effective == "contract_end":
        return subscription.contract_end_on or paid_until(subscription, specs, today)
    if effective == "period_end":
        return paid_until(subscription, specs, today)
    if isinstance(effective, date) and effective >= today:
        return effective
    raise InvalidDate("Choose today or a later day.", field="effective")


def paid_until(subscription: Subscription, specs: Sequence[PhaseSpec], today: date) -> date:
    """The end of the period that runs today; a trial's end while it is free."""
    running = timelines.spec_on(specs, today)
    if running is not None and running.free and running.end_on:
        return running.end_on
    pure = timelines.timeline_of(specs, credit_unused=subscription.credit_unused)
    period = timeline.current_period(pure, today)
    if period is None:
        raise NotLive("The subscription has ended.")
    return period.end


# -- New terms that follow (an accepted quote, a conversion) -------------------------------------------


@transaction.atomic
def follow_on(
    *,
    subscription: Subscription,
    phases: Sequence[PhaseSpec],
    now: datetime,
    actor: str,
    source: str,
    contract_months: int | None = None,
    auto_renew: bool = True,
    payment_rule_override: str = "",
) -> None:
    """End the running terms where `phases` begin and let these follow. A second call with the same source does nothing.

    The first phase's `start_on` decides when; nothing is billed here unless that day is today or past.
    """
    subscription = locked(subscription)
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    if subscription.phases.filter(source=source).exists():
        return
    first = phases[0]
    if first.start_on < subscription.start_on:
        raise InvalidDate("New terms cannot start before the subscription.", field="starts")
    check_collection(subscription.customer, first, override=payment_rule_override)
    kept = timelines.ended(timelines.specs_of(subscription), first.start_on)
    timelines.write(subscription, [*kept, *(replace(p, source=source) for p in phases)])
    subscription.end_on = None
    _set_contract(subscription, first.start_on, contract_months, auto_renew)
    if first.start_on <= timelines.local_day(subscription, now):
        invoicing.bill(subscription=subscription, now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="new terms agreed")
    record(
        "subscription.changed", subject=subscription, actor=actor, now=now,
        data={"effective_on": first.start_on.isoformat(), "to": _facts(first), "source": source, "upgrade": False},
    )  # fmt: skip


def _set_contract(subscription: Subscription, start_on: date, months: int | None, auto_renew: bool) -> None:
    if months:
        subscription.contract_start_on = start_on
        subscription.contract_end_on = add_months(start_on, months)
        subscription.auto_renew = auto_renew
        subscription.renewal_months = months if auto_renew else None
        subscription.save(
            update_fields=["contract_start_on", "contract_end_on", "auto_renew", "renewal_months", "end_on"]
        )


@transaction.atomic
def switch_collection(
    *,
    subscription: Subscription,
    method: str,
    now: datetime,
    actor: str,
    net_days: int | None = None,
    override: str = "",
) -> Change:
    """Card to invoice or back, for the next invoice on; issued ones keep their terms.

    Raises CollectionNotAllowed; CardMissing when there is no valid card to go back to.
    """
    customer = subscription.customer
    if method == CollectionMethod.CHARGE_AUTOMATICALLY and not customers.default_card(customer):
        raise CardMissing("Save a card first.", field="collection_method")
    before = customer.collection_method
    result = change(
        subscription=subscription, now=now, actor=actor, collection_method=method, net_days=net_days,
        override=override, source="switch",
    )  # fmt: skip
    set_collection(customer, method, actor=actor, now=now, before=before)
    return result


class CardMissing(Refused):
    code = "card_missing"


def set_collection(customer: Customer, method: str, *, actor: str, now: datetime, before: str) -> None:
    """How the customer pays from now on, as a fact with before and after."""
    if before == method:
        return
    Customer.objects.filter(pk=customer.pk).update(collection_method=method)
    customer.collection_method = method
    record(
        "customer.collection_method_changed", subject=customer, customer=customer, actor=actor, now=now,
        data={"from": before, "to": method},
    )  # fmt: skip


# -- Ending ---------------------------------------------------------------------------------------------


@transaction.atomic
def cancel(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    effective: Effective = "period_end",
    reason: str = "",
    credit_unused: bool = True,
) -> Change:
    """End it now (today still counts as used), at the period's end, or on a day. Undo while it is pending."""
    subscription = locked(subscription)
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    specs = timelines.specs_of(subscription)
    on = effective_day(subscription, specs, effective, now)
    if effective == "now":
        on += timedelta(days=1)
    subscription.end_on, subscription.cancel_reason = on, reason
    subscription.credit_unused = credit_unused and effective == "now"
    subscription.canceled_at = now
    subscription.save(update_fields=["end_on", "cancel_reason", "credit_unused", "canceled_at"])
    if effective != "now":
        settle_derived(subscription, now=now, actor=actor, why="cancellation scheduled")
        record(
            "subscription.cancel_scheduled", subject=subscription, actor=actor, now=now,
            data={"end_on": on.isoformat(), "reason": reason},
        )  # fmt: skip
        return _answer(on, invoicing.nothing(), None)
    timelines.write(subscription, timelines.ended(specs, on))
    result = invoicing.bill(subscription=subscription, now=now, actor=actor, until=on)
    finish(subscription, now=now, actor=actor)
    return _answer(on, result, result.invoice)


@transaction.atomic
def undo_cancel(*, subscription: Subscription, now: datetime, actor: str) -> None:
    """Take a pending cancellation back. Raises NothingToUndo."""
    subscription = locked(subscription)
    if subscription.end_on is None or not subscription.is_live:
        raise NothingToUndo("There is no cancellation to undo.")
    subscription.end_on, subscription.canceled_at, subscription.cancel_reason = None, None, ""
    subscription.credit_unused = True
    subscription.save(update_fields=["end_on", "canceled_at", "cancel_reason", "credit_unused"])
    settle_derived(subscription, now=now, actor=actor, why="cancellation undone")
    record(
        "subscription.changed",
        subject=subscription,
        actor=actor,
        now=now,
        data={"undo": "cancel", "upgrade": False},
    )


def finish(subscription: Subscription, *, now: datetime, actor: str) -> None:
    """The subscription has reached its end."""
    specs = timelines.specs_of(subscription)
    before = movements.Level.of(subscription)
    subscription.mrr = subscription.arr = 0
    movements.note([movements.Step(subscription, before, specs, now)])
    move(
        subscription, "canceled", event="subscription.canceled", actor=actor, now=now, ended_at=now, next_due_at=None,
        mrr=0, arr=0, data={"reason": subscription.cancel_reason},
    )  # fmt: skip
    timelines.refresh_customer(subscription.customer)
    customers.resegment(customer=subscription.customer, now=now, why="subscription ended")


# -- Shared ----------------------------------------------------------------------------------------------


def locked(subscription: Subscription) -> Subscription:
    """The row as it is now, held until the transaction ends."""
    return (
        Subscription.objects.select_for_update(of=("self",))
        .select_related("customer__test_clock")
        .get(pk=subscription.pk)
    )


def settle_derived(subscription: Subscription, *, now: datetime, actor: str, why: str) -> None:
    """Bring what is derived (period, next due, MRR, ARR, segment) in line with the phases."""
    specs = with_end(subscription, timelines.specs_of(subscription))
    before = movements.Level.of(subscription)
    timelines.refresh(subscription, specs)
    movements.note([movements.Step(subscription, before, specs, now)])
    subscription.save(
        update_fields=[
            "current_period_start",
            "current_period_end",
            "next_due_at",
            "mrr",
            "arr",
            "billed_through",
        ]
    )
    timelines.refresh_customer(subscription.customer)
    customers.resegment(customer=subscription.customer, now=now, why=why)


def with_end(subscription: Subscription, specs: Sequence[PhaseSpec]) -> list[PhaseSpec]:
    """The phases as they will run: a scheduled end cuts them off, but the rows stay until it comes."""
    if subscription.end_on is None:
        return list(specs)
    return timelines.ended(specs, subscription.end_on)
