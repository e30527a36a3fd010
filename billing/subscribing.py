"""Verbs on a subscription's timeline: start it, change it, let new terms follow. Its end: `ending`.

None of them computes money. They rewrite phases; `billing.invoicing.bill` then says what that owes.
A preview is the same change on phases in memory, priced by the same function.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db import models, transaction

from billing import (
    bulk,
    customers,
    discounting,
    falling_due,
    invoicing,
    issuing,
    movements,
    moves,
    owing,
    planning,
    taxes,
    timelines,
    wishes,
)
from billing.cataloguing import PlanArchived
from billing.choosing import (
    InvalidQuantity,
    UnknownPrice,
    choose_items,
    interval_of,
    refuse_uncounted,
    requantified,
    seats,
)
from billing.events import record
from billing.falling_due import collect, end_trial, locked, set_collection, terms_of
from billing.maths import timeline
from billing.maths.periods import ONE_DAY, add_months, local_date, midnight
from billing.models import (
    CollectionMethod,
    Customer,
    Discount,
    Invoice,
    MrrMovement,
    Plan,
    Segment,
    Seller,
    Subscription,
)
from billing.planning import InvalidDate, InvalidTrial, TooFarBack
from billing.refusals import Refused
from billing.timelines import PhaseSpec, with_end
from billing.wishes import KEEP, Wish

__all__ = [
    "KEEP", "Change", "ChangeWaits", "CollectionNotAllowed", "Contract", "Effective", "InvalidDate", "InvalidQuantity",
    "InvalidTrial", "NoSuchChange", "NotLive", "PlanNeedsQuote", "TooFarBack",
    "UnknownPrice", "answer", "bill_now", "change", "check_collection", "choose_items",
    "effective_day", "follow_on", "interval_of", "next_after", "next_paper", "paid_until", "pending_changes",
    "preview", "remove_change", "requantified", "seats", "sell", "set_collection", "settle_derived",
    "subscribe", "waiting", "with_end",
]  # fmt: skip

STARTED = "subscription started"
type Effective = Literal["now", "period_end", "contract_end"] | date


class PlanNeedsQuote(Refused):
    code = "plan_needs_quote"


class CollectionNotAllowed(Refused):
    code = "collection_not_allowed"


class NotLive(Refused):
    code = "subscription_not_live"


class ChangeWaits(Refused):
    """Something else waits: for a later hour of today, or for the day on which a trial that is moved is to end."""

    code = "change_waits"


class NoSuchChange(Refused):
    """There is no such change, or it has happened."""

    code = "no_such_change"


@dataclass(frozen=True, slots=True)
class Change:
    """What a change does, in minor units; the same figures whether previewed or done.

    Of a credit `credit_to_invoices` lowers invoices for the same time that are not paid, `credit_held_back` is what a
    bank has taken back already, and the rest goes to the balance. `next`: the paper that follows, where it was asked
    for. `phase`: the id under which a change that waits can be removed.
    """

    effective_on: date
    lines: Sequence[issuing.DraftLine]
    subtotal: int
    tax_total: int
    total: int
    due_now: int
    credit_to_balance: int
    credit_to_invoices: int
    credit_held_back: int
    invoice: Invoice | None = None
    next: invoicing.Upcoming | None = None
    phase: str | None = None


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
    start_at: datetime | date | None = None,
    trial_days: int | None = None,
    trial_end: datetime | date | None = None,
    anchor: str | int = "start",
    motion: str | None = None,
    contract_months: int | None = None,
    auto_renew: bool = True,
    renewal_months: int | None = None,
    payment_rule_override: str = "",
    po_number: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Subscription:
    """A new subscription, trialing or active, not yet billed (call `bill_now`); incomplete when it starts later.

    Raises PlanNeedsQuote, PlanArchived, UnknownPrice, InvalidQuantity, InvalidTrial, InvalidDate, AnchorRefused,
    DiscountRefused, CollectionNotAllowed; IntegrityError for a `source` that already made one.
    """
    customers.hold(customer.pk)
    if origin != "quote":
        _refuse_unsold_plan(plan)
    items = choose_items(
        plan, interval=interval, currency=customer.currency, quantity=quantity, quantities=quantities
    )
    given = discounting.fresh(discount)
    discounting.check(given, plan=plan, currency=customer.currency, now=now)
    discounting.redeem(given)
    at = planning.start_instant(start_at, now=now, tz=customer.timezone)
    start = local_date(at, customer.timezone)
    spec = PhaseSpec(
        plan=plan, items=items, start_on=start, end_on=None, anchor_on=start, discount=discount,
        collection_method=collection_method or customer.collection_method,
        net_days=customers.checked_net_days(net_days),
        motion=motion or plan.motion, source=source or "", starts_at=at, po_number=po_number,
    )  # fmt: skip
    free_until = planning.trial_end_of(
        customer=customer, plan=plan, start=at, trial_days=trial_days, trial_end=trial_end
    )
    specs = planning.phases(spec, trial_end=free_until, tz=customer.timezone, anchor=anchor)
    if collection_method is None:
        specs = _paid_as_allowed(customer, specs)
    contract = Contract(contract_months, auto_renew, renewal_months) if contract_months else None
    return _start(
        customer=customer, specs=specs, now=now, started_at=at, actor=actor, origin=origin, source=source,
        override=payment_rule_override, contract=contract, metadata=metadata,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contract:
    """A term that is committed to, in months from the first day; without renewal it ends the subscription."""

    months: int
    auto_renew: bool = True
    renewal_months: int | None = None


@transaction.atomic(savepoint=False)
def sell(
    *,
    customer: Customer,
    phases: Sequence[PhaseSpec],
    seller: Seller,
    rates: taxes.Table,
    now: datetime,
    actor: str,
    origin: str,
    source: str,
    among: customers.Bands | None = None,
    beside: Sequence[models.Model] = (),
    paid: issuing.Paid | None = None,
    contract: Contract | None = None,
    payment_rule_override: str = "",
) -> tuple[Subscription, invoicing.Result]:
    """A new subscription of the phases that were offered, and its first invoice, unless it starts on a later day.

    The customer is held, or new. `beside` is stored by the same statement: what the buyer brings along, and the
    customer itself while it is new. The invoice counts what was `paid` if that is what it comes to, and says so
    (`Issued.paid`). The payment rule was asked when they were offered: to refuse now would keep the money and sell
    nothing.
    """
    newcomer = customer._state.adding
    subscription = _new(customer, phases, now=now, origin=origin, source=source)
    if contract:
        _commit(subscription, contract, subscription.start_on, now)
    specs = timelines.with_end(subscription, phases)
    draft = _first_draft(subscription, specs, seller, rates, now, actor)
    timelines.refresh(subscription, specs)
    if newcomer:
        customer.mrr, customer.arr = subscription.mrr, subscription.arr
    moved = movements.of([movements.Step(subscription, movements.Level(0, 0), specs, now, first=True)])
    rows = [*beside, subscription, *timelines.laid(subscription, phases), *moved]
    _say_created(subscription, phases, actor=actor, now=now, override=payment_rule_override)
    result = invoicing.issued(draft, seller, rows, paid)
    if moved and not newcomer:
        timelines.refresh_customer(customer)
    customers.resegment(customer, now, STARTED, into=seller.currency, among=among)
    return subscription, result


def _first_draft(
    subscription: Subscription, specs: Sequence[PhaseSpec], seller: Seller, rates: taxes.Table, now: datetime, actor: str
) -> issuing.Draft | None:  # fmt: skip
    """The invoice of the first day, if that has come and anything is owed on it."""
    if subscription.status == Subscription.Status.INCOMPLETE:
        return None
    first = subscription.start_on
    due = invoicing.Due(subscription, first, now, first, subscription.source, specs)
    return invoicing.drafted(due, owing.of_nothing_yet(seller, rates), actor)


def _start(
    *,
    customer: Customer,
    specs: list[PhaseSpec],
    now: datetime,
    started_at: datetime,
    actor: str,
    origin: str,
    source: str | None,
    override: str,
    contract: Contract | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Subscription:
    check_collection(customer, next(spec for spec in specs if not spec.free), override=override)
    subscription = _new(
        customer, specs, now=now, started_at=started_at, origin=origin, source=source, metadata=metadata
    )
    if contract:
        _commit(subscription, contract, specs[0].start_on, now)
    bulk.store([subscription, *timelines.laid(subscription, specs)])
    settle_derived(subscription, now=now, actor=actor, why=STARTED)
    _say_created(subscription, specs, actor=actor, now=now, override=override)
    return subscription


def _new(
    customer: Customer,
    specs: Sequence[PhaseSpec],
    *,
    now: datetime,
    origin: str,
    source: str | None,
    started_at: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Subscription:
    """The row, not stored yet."""
    paid, start_on = next(spec for spec in specs if not spec.free), specs[0].start_on
    if started_at is None:
        ahead = start_on > local_date(now, customer.timezone)
        started_at = midnight(start_on, customer.timezone) if ahead else now
    return Subscription(
        customer=customer, livemode=customer.livemode, test_clock_id=customer.test_clock_id, motion=paid.motion,
        origin=origin, source=source, currency=customer.currency, timezone=customer.timezone, start_on=start_on,
        started_at=started_at, trial_end_at=_trial_end(specs, customer.timezone),
        status=_first_status(specs, started_at, now, customer.timezone), created_at=now, noticed_at=now,
        metadata=dict(metadata or {}),
    )  # fmt: skip


def _say_created(
    subscription: Subscription, specs: Sequence[PhaseSpec], *, actor: str, now: datetime, override: str
) -> None:
    paid = next(spec for spec in specs if not spec.free)
    data = {
        **terms_of(paid),
        "origin": subscription.origin,
        "currency": subscription.currency,
        "mrr_before": 0,
        "mrr_after": timelines.committed(paid)[0],
    }
    if override:
        data["payment_rule_override"] = override
    record("subscription.created", subject=subscription, actor=actor, now=now, data=data)
    if subscription.status == "active":
        record("subscription.activated", subject=subscription, actor=actor, now=now, data=terms_of(paid))


def _trial_end(specs: Sequence[PhaseSpec], tz: str) -> datetime | None:
    if not specs[0].free:
        return None
    return specs[1].starts_at or midnight(specs[1].start_on, tz)


def _first_status(specs: Sequence[PhaseSpec], started_at: datetime, now: datetime, tz: str) -> str:
    """It waits for a start that lies ahead; a trial that lies behind is over."""
    if started_at > now:
        return "incomplete"
    today = timelines.spec_on(specs, local_date(now, tz))
    return "trialing" if today is not None and today.free else "active"


@transaction.atomic
def bill_now(
    *, subscription: Subscription, now: datetime, actor: str, source: str | None = None
) -> invoicing.Result:
    """Bill a subscription's first day (nothing while it is a trial), with one that started in the past all days up
    to now, and set what is due next. Repeating adds nothing, and a start that lies ahead is not billed."""
    subscription = locked(subscription)
    today = timelines.local_day(subscription, now)
    if subscription.status == Subscription.Status.INCOMPLETE:
        return invoicing.nothing()
    result = invoicing.bill(
        subscription=subscription, now=now, actor=actor, cycle_on=subscription.start_on,
        until=max(today, subscription.start_on), source=source,
    )  # fmt: skip
    settle_derived(subscription, now=now, actor=actor, why=STARTED)
    return result


def _paid_as_allowed(customer: Customer, specs: Sequence[PhaseSpec]) -> list[PhaseSpec]:
    """Where nobody said how it is paid, not even of the customer: as the segment of these terms asks for.

    Invoices are something that somebody chose. Who is not allowed them (any more) is refused, not charged by card."""
    segment = _segment_of(customer, next(spec for spec in specs if not spec.free))
    usual = CollectionMethod.CHARGE_AUTOMATICALLY
    if segment is None or customer.collection_method != usual or segment.allows(usual):
        return list(specs)
    method = next((each for each in CollectionMethod.values if segment.allows(each)), usual)
    return [replace(spec, collection_method=method) for spec in specs]


def _segment_of(customer: Customer, spec: PhaseSpec, among: customers.Bands | None = None) -> Segment | None:
    """The segment that the customer would be in with these terms."""
    arr = timeline.arr(spec.pure_items(), timelines.discount_value(spec.discount))
    return customers.segment_with(customer, arr, spec.start_on, among)


def check_collection(
    customer: Customer, spec: PhaseSpec, *, override: str = "", among: customers.Bands | None = None
) -> None:
    """The payment rule: the segment that the terms lead to must allow how they are collected.

    Raises CollectionNotAllowed unless somebody with the right gave a reason.
    """
    segment = _segment_of(customer, spec, among)
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
    effective: Effective = "now",
    with_next: bool = False,
    **wished: Any,
) -> Change:
    """New terms from now, from the period's or contract's end, or from a day before or after; billed at once
    where they have begun. What waits after that day is worked out again on top of them. How it is paid may change in a
    pause, too: then it goes on so.

    `wished`: see `wishes.Wish`. Raises NotLive, PlanNeedsQuote, PlanArchived, UnknownPrice, InvalidQuantity,
    CollectionNotAllowed, DiscountRefused, ChangeWaits, InvalidDate, TooFarBack.
    """
    wish = Wish(**wished)
    counted = [] if wish.discount is KEEP else discounting.fresh(wish.discount)
    subscription = falling_due.current(subscription, now, discounts=counted)
    plan = _changed(subscription, wish, effective, now=now, source=source, override=override)
    discounting.redeem(plan.discounts)
    mrr_before, on = subscription.mrr, plan.on
    timelines.write(subscription, plan.after)
    result = invoicing.nothing()
    if on <= plan.reached:
        result = invoicing.bill(subscription=subscription, now=now, actor=actor, until=plan.reached)
        collect(subscription, _today(plan.before, plan), _today(plan.after, plan), now=now, actor=actor)
    settle_derived(subscription, now=now, actor=actor, why="subscription changed")
    old, new = timelines.spec_on(plan.before, on), timelines.spec_on(plan.after, on)
    record(
        "subscription.changed",
        subject=subscription,
        actor=actor,
        now=now,
        data={
            "effective_on": on.isoformat(),
            "from": terms_of(old) if old else None,
            "to": terms_of(new) if new else None,
            "currency": subscription.currency,
            "mrr_before": mrr_before,
            "mrr_after": timelines.committed(new)[0],
            "upgrade": timelines.committed(new)[0] > mrr_before,
            "source": source,
            **({"payment_rule_override": override} if override else {}),
        },
    )
    return answer(
        on,
        result,
        next=next_paper(subscription, now) if with_next else None,
        phase=waiting(subscription, on, now) if on > plan.reached else None,
    )


def preview(
    *,
    subscription: Subscription,
    now: datetime,
    override: str = "",
    effective: Effective = "now",
    with_next: bool = False,
    **wished: Any,
) -> Change:
    """The same figures as `change` with the same wishes; writes nothing."""
    with falling_due.as_current(subscription, now) as subscription:
        plan = _changed(subscription, Wish(**wished), effective, now=now, source="", override=override)
        after, on = with_end(subscription, plan.after), plan.on
        result = invoicing.nothing()
        if on <= plan.reached:
            result = invoicing.draft(subscription=subscription, specs=after, now=now, until=plan.reached)
        return answer(on, result, next=next_after(subscription, after, result, now) if with_next else None)


def answer(on: date, result: invoicing.Result, **more: Any) -> Change:
    """A statement in the words of a change."""
    credit = max(-result.total, 0) - result.off_invoices
    held = max(min(result.held_back, credit), 0)
    return Change(
        effective_on=on, lines=result.lines, subtotal=result.subtotal, tax_total=result.tax_total,
        total=result.total, due_now=max(result.total, 0),
        credit_to_balance=credit - held, credit_to_invoices=result.off_invoices, credit_held_back=held,
        invoice=result.invoice, **more,
    )  # fmt: skip


def next_paper(subscription: Subscription, now: datetime) -> invoicing.Upcoming:
    """What follows a change that was made."""
    return invoicing.upcoming(subscription=subscription, now=now)


def next_after(
    subscription: Subscription, specs: Sequence[PhaseSpec], result: invoicing.Result, now: datetime
) -> invoicing.Upcoming:
    """The paper after a change that was only previewed: as if the lines of the preview had been said."""
    facts = owing.gather([subscription])
    said = dict(facts.said.get(subscription.pk, {}))
    owing.tell(said, result.lines)
    told = replace(facts, said={subscription.pk: said})
    after = max(timelines.local_day(subscription, now), subscription.start_on) if result.lines else None
    return invoicing.upcoming(subscription=subscription, now=now, facts=told, specs=specs, after=after)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The phases before and after a change, the first day of the new terms, and the last that has come."""

    before: list[PhaseSpec]
    after: list[PhaseSpec]
    on: date
    reached: date
    discounts: Sequence[Discount]


def _today(specs: Sequence[PhaseSpec], plan: _Plan) -> PhaseSpec:
    """The terms of the last day that has come; of a start that lies ahead the first."""
    return timelines.spec_on(specs, max(plan.reached, specs[0].start_on)) or specs[-1]


def _changed(
    subscription: Subscription, wish: Wish, effective: Effective, *, now: datetime, source: str, override: str
) -> _Plan:
    if not (wish.is_about_paying and subscription.status == Subscription.Status.PAUSED):
        _refuse_closed(subscription)
    if wish.net_days is not KEEP:
        customers.checked_net_days(wish.net_days)
    before = timelines.planned(subscription)
    reached = timelines.reached(subscription, before, now)
    on = effective_day(subscription, before, effective, now)
    if on == timelines.local_day(subscription, now) and not wish.is_about_paying:
        refuse_before_another(subscription, before, now, field="effective")
    old = timelines.spec_on(before, on)
    if old is None or (subscription.end_on is not None and on >= subscription.end_on):
        raise InvalidDate("The subscription has ended by then.", field="effective")
    given = [] if wish.discount is KEEP else discounting.fresh(wish.discount, old.discount)
    _refuse_unsold(subscription, wish, old, given, now)
    after = wishes.follow(_with_wish(before, old, wish, on, reached, effective, source), on)
    if given:
        starts = next(spec for spec in after if spec.start_on == on and not spec.empty)
        after = wishes.follow(discounting.lasting(after, starts, given), on)
    new = timelines.spec_on(after, on)
    if new is not None and new.collection_method != old.collection_method:
        check_collection(subscription.customer, new, override=override)
    subscription.reopened_on = on if on < reached else None
    return _Plan(before, after, on, reached, given)


def _refuse_closed(subscription: Subscription) -> None:
    if not subscription.is_live and subscription.status != Subscription.Status.INCOMPLETE:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")


def refuse_before_another(
    subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime, *, field: str
) -> None:
    """A day has one set of terms: while something waits for a later hour of today, nothing else begins today. Raises
    ChangeWaits."""
    later = timelines.later_today(subscription, specs, now)
    if later:
        at = max(spec.starts_at for spec in later if spec.starts_at).astimezone(
            ZoneInfo(subscription.timezone)
        )
        what = "A pause" if any(wishes.pauses(spec) for spec in later) else "A change"
        raise ChangeWaits(
            f"{what} waits for {at:%H:%M} today. Let it begin first, or remove it.", field=field
        )


def _refuse_unsold(
    subscription: Subscription, wish: Wish, old: PhaseSpec, given: Sequence[Discount], now: datetime
) -> None:
    plan = wish.plan or old.plan
    if plan != old.plan:
        _refuse_unsold_plan(plan)
    discounting.check(given, plan=plan, currency=subscription.currency, now=now)


def _refuse_unsold_plan(plan: Plan) -> None:
    if plan.quote_only:
        raise PlanNeedsQuote(f"{plan.name} is sold by quote only.", field="plan")
    if plan.archived_at is not None:
        raise PlanArchived(
            f"{plan.name} is archived: who has it keeps it, nobody else can buy it.", field="plan"
        )


def _with_wish(
    before: list[PhaseSpec],
    old: PhaseSpec,
    wish: Wish,
    on: date,
    reached: date,
    effective: Effective,
    source: str,
) -> list[PhaseSpec]:
    """The phases with the wish granted from `on`; one that lies ahead is kept as a wish."""
    if on > reached and old.start_on == on and wishes.pauses(old):
        return _before_pause(before, old, wish, on, effective, source)
    begun = _begun(old, wish, on, reached)
    made = wishes.terms(begun[0] if begun else old, wish, on)
    refuse_uncounted(made["plan"], [price for price, _ in made["items"]], wish.quantity, wish.quantities)
    if on > reached and old.start_on == on:
        merged = None if old.wishes is None else wishes.joined(old.wishes, wish, made["items"])
        fresh = [replace(old, **made, wishes=merged)]
    else:
        new = _next(old, made, wish, on, effective, source)
        fresh = [replace(old, end_on=on), *begun, new]
    return [each for spec in before for each in (fresh if spec is old else [spec])]


def _next(
    old: PhaseSpec, made: dict[str, Any], wish: Wish, on: date, effective: Effective, source: str
) -> PhaseSpec:
    """A phase of its own, up to the end of the one that it follows."""
    starts_at = effective if isinstance(effective, datetime) else None
    return replace(
        old, start_on=on, row=None, **made, source=source, starts_at=starts_at, wishes=wish.stored()
    )


def _before_pause(
    before: list[PhaseSpec], pause: PhaseSpec, wish: Wish, on: date, effective: Effective, source: str
) -> list[PhaseSpec]:
    """A change for the day on which a pause is to begin, as if it had been asked for first: each can be removed alone."""
    at = before.index(pause)
    last = before[at - 1]
    if last.start_on == on:
        first = _with_wish([last], last, wish, on, on - ONE_DAY, effective, source)
        return wishes.follow([*before[: at - 1], *first, *before[at:]], on - ONE_DAY)
    made = wishes.terms(last, wish, on)
    refuse_uncounted(made["plan"], [price for price, _ in made["items"]], wish.quantity, wish.quantities)
    new = replace(_next(last, made, wish, on, effective, source), end_on=on)
    return wishes.follow([*before[:at], new, *before[at:]], on - ONE_DAY)


def _begun(old: PhaseSpec, wish: Wish, on: date, reached: date) -> list[PhaseSpec]:
    """Where money is to stay as it is, and a day has come on which terms go on: that they had begun on it. Were it the
    first day of a period, that period would be asked for anew otherwise."""
    goes_on = wish.proration == "none" and old.start_on < on <= reached and not old.free
    return [replace(old, start_on=on, end_on=on, row=None, starts_at=None, wishes={})] if goes_on else []


# -- What waits -------------------------------------------------------------------------------------------


def pending_changes(subscription: Subscription, now: datetime) -> list[PhaseSpec]:
    """The changes that were asked for and have not begun, in time order; each can be removed."""
    specs = timelines.specs_of(subscription)
    reached = timelines.reached(subscription, specs, now)
    return [s for s in specs if s.start_on > reached and wishes.removable(s)]


def waiting(subscription: Subscription, on: date, now: datetime, *, pause: bool = False) -> str | None:
    """The id under which the change, or pause, of that day that was asked for last, and waits, can be removed."""
    there = [s for s in pending_changes(subscription, now) if s.start_on == on and wishes.pauses(s) is pause]
    ids = [s.row.pk for s in there if s.row]
    return ids[-1] if ids else None


@transaction.atomic
def remove_change(*, subscription: Subscription, phase: str, now: datetime, actor: str) -> None:
    """Take back a change that waits, by the id of its phase; those after it are worked out again without it.

    Raises NoSuchChange, NotLive.
    """
    subscription = falling_due.current(subscription, now)
    if subscription.status != Subscription.Status.PAUSED:
        _refuse_closed(subscription)
    specs = timelines.planned(subscription)
    reached = timelines.reached(subscription, specs, now)
    gone = next((s for s in specs if s.row and s.row.pk == phase), None)
    if gone is None or gone.start_on <= reached or not wishes.removable(gone):
        raise NoSuchChange("There is no such change that waits.", field="change")
    timelines.write(subscription, wishes.without(specs, gone))
    settle_derived(subscription, now=now, actor=actor, why="change removed")
    record(
        "subscription.changed", subject=subscription, actor=actor, now=now,
        data={"effective_on": gone.start_on.isoformat(), "undo": "change", "upgrade": False, "removed": terms_of(gone)},
    )  # fmt: skip


def effective_day(
    subscription: Subscription, specs: Sequence[PhaseSpec], effective: Effective, now: datetime
) -> date:
    """The first day of new terms. Raises InvalidDate for days before the subscription and for hours that are still to
    come today, TooFarBack."""
    today = timelines.local_day(subscription, now)
    if effective == "now":
        return max(today, subscription.start_on)
    if effective == "contract_end" and subscription.contract_end_on:
        return subscription.contract_end_on
    if effective in ("period_end", "contract_end"):
        return paid_until(subscription, specs, timelines.reached(subscription, specs, now))
    if not isinstance(effective, date):
        raise InvalidDate("now, period_end, contract_end or a date.", field="effective")
    day = local_date(effective, subscription.timezone) if isinstance(effective, datetime) else effective
    if day < subscription.start_on:
        raise InvalidDate("The subscription starts after that.", field="effective")
    if day == today and isinstance(effective, datetime) and effective > now:
        _refuse_later_today(subscription, specs, now)
    if day < today - planning.LONGEST_BACKDATE:
        raise TooFarBack(f"At most {planning.LONGEST_BACKDATE.days} days back.", field="effective")
    return day


def _refuse_later_today(subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime) -> None:
    """A day that has begun has had its papers. Before the start, or the end of a trial, it has not: what is asked for
    joins what begins then."""
    today = timelines.local_day(subscription, now)
    if timelines.reached(subscription, specs, now) == today or timelines.later_today(
        subscription, specs, now
    ):
        raise InvalidDate("Now or on a later day, not at a later hour of today.", field="effective")


def paid_until(subscription: Subscription, specs: Sequence[PhaseSpec], today: date) -> date:
    """The end of the period that runs today; a trial's end while it is free."""
    day = max(today, subscription.start_on)
    running = timelines.spec_on(specs, day)
    if running is not None and running.free and running.end_on:
        return running.end_on
    period = timeline.current_period(timelines.pure(subscription, specs), day)
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
    contract: Contract | None = None,
    payment_rule_override: str = "",
    seller: Seller | None = None,
    rates: taxes.Table | None = None,
    among: customers.Bands | None = None,
    last: Sequence[MrrMovement] | None = None,
    beside: Sequence[models.Model] = (),
) -> None:
    """End the running terms where `phases` begin and let these follow. A second call with the same source does nothing.

    The subscription is held, and nothing is due (`falling_due.current`). The first phase's `start_on` decides when;
    nothing is billed here unless that day is today or past. `beside` is stored with the phases and the paper; `seller`,
    `rates`, `among` and `last` (`movements.last_of`) save their statements where the caller has read them.
    """
    if not subscription.is_live:
        raise NotLive(f"The subscription is {subscription.get_status_display().lower()}.")
    planned = timelines.planned(subscription)
    if any(spec.source == source for spec in planned):
        return
    first = phases[0]
    if first.start_on < subscription.start_on:
        raise InvalidDate("New terms cannot start before the subscription.", field="starts")
    check_collection(subscription.customer, first, override=payment_rule_override, among=among)
    specs = [*timelines.ended(planned, first.start_on), *(replace(p, source=source) for p in phases)]
    before = movements.Level.of(subscription)
    with moves.together():
        rows = timelines.rewritten(subscription, specs)
        subscription.end_on = subscription.canceled_at = None
        if contract:
            _commit(subscription, contract, first.start_on, now)
        specs = timelines.with_end(subscription, specs)
        draft, seller = _draft_of(subscription, specs, first.start_on, now, actor, seller, rates)
        begun = first.start_on <= timelines.local_day(subscription, now)
        if begun and not first.free and subscription.status == Subscription.Status.TRIALING:
            end_trial(subscription, terms_of(first), now=now, actor=actor, trial_end_at=now)
        timelines.refresh(subscription, specs)
        _save(subscription, (*DERIVED, "canceled_at", *CONTRACT))
    moved = movements.of([movements.Step(subscription, before, specs, now, last=last)])
    invoicing.issued(draft, seller, [*beside, *rows, *moved])
    _follow_level(subscription, before, now, "new terms agreed", among)
    record(
        "subscription.changed", subject=subscription, actor=actor, now=now,
        data={"effective_on": first.start_on.isoformat(), "to": terms_of(first), "source": source, "upgrade": False},
    )  # fmt: skip


def _draft_of(
    subscription: Subscription, specs: Sequence[PhaseSpec], on: date, now: datetime, actor: str,
    seller: Seller | None, rates: taxes.Table | None,
) -> tuple[issuing.Draft | None, Seller | None]:  # fmt: skip
    """What the terms that follow owe today, if they have begun; and the seller."""
    today = timelines.local_day(subscription, now)
    if on > today:
        return None, seller
    facts = owing.gather([subscription], seller=seller, rates=rates)
    return invoicing.drafted(invoicing.Due(subscription, today, now, specs=specs), facts, actor), facts.seller


# What a contract sets.
CONTRACT = ("contract_start_on", "contract_end_on", "auto_renew", "renewal_months", "end_on", "noticed_at")


def _commit(subscription: Subscription, contract: Contract, start_on: date, now: datetime) -> None:
    """Commit to a term. Without renewal its end is the subscription's end, known from the start. Saves nothing."""
    subscription.contract_start_on = start_on
    subscription.contract_end_on = add_months(start_on, contract.months)
    subscription.auto_renew = contract.auto_renew
    subscription.renewal_months = (
        (contract.renewal_months or contract.months) if contract.auto_renew else None
    )
    subscription.end_on = None if contract.auto_renew else subscription.contract_end_on
    subscription.noticed_at = now


# -- Shared ----------------------------------------------------------------------------------------------


# What a timeline says of its subscription.
DERIVED = (
    "current_period_start", "current_period_end", "next_due_at", "next_notice_at", "mrr", "arr", "billed_through",
)  # fmt: skip


def settle_derived(subscription: Subscription, *, now: datetime, actor: str, why: str) -> None:
    """Bring what is derived (period, next due, MRR, ARR, segment) in line with the phases, and save it."""
    specs, before = timelines.specs_of(subscription), movements.Level.of(subscription)
    timelines.refresh(subscription, specs)
    movements.note([movements.Step(subscription, before, specs, now)])
    _save(subscription, DERIVED)
    _follow_level(subscription, before, now, why)


def _save(subscription: Subscription, names: Sequence[str]) -> None:
    moves.change(subscription, **{name: getattr(subscription, name) for name in names})


def _follow_level(
    subscription: Subscription,
    before: movements.Level,
    now: datetime,
    why: str,
    among: customers.Bands | None = None,
) -> None:
    """What follows for the customer where revenue moved. `among` saves its statement where the caller has it."""
    if movements.Level.of(subscription) != before:
        into = timelines.refresh_customer(subscription.customer)
        customers.resegment(subscription.customer, now, why, into=into, among=among)
