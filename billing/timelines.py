"""Between the tables and the pure timeline: the same phases as rows, as plans to be written, and as values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, models

from billing import bulk, moves
from billing.maths import discounts, timeline
from billing.maths.periods import ONE_DAY, local_date, midnight
from billing.models import Customer, Discount, Phase, PhaseItem, Plan, Price, Subscription
from billing.models.ids import array_of
from billing.notices import next_notice
from billing.refusals import Refused
from billing.remembering import Remembered, RememberedTables, RememberedValues, Slot

type Items = tuple[tuple[Price, Decimal], ...]

PHASE_JOINS = ("plan", "discount")
COLUMNS = (
    "plan", "start_on", "end_on", "anchor_on", "starts_at", "free", "paused", "prorate", "discount",
    "collection_method", "net_days", "motion", "source", "po_number", "wishes",
)  # fmt: skip
PHASE_PREFETCH = ("phases__plan", "phases__discount", "phases__items__price")


class WrongCurrency(Refused):
    """Prices in one currency do not go on invoices in another."""

    code = "wrong_currency"


@dataclass(frozen=True, kw_only=True)
class PhaseSpec:
    """The terms of a stretch of time, before (or after) they are a row. Half-open local days.

    `wishes`: what the phase changes of the one before, where it follows it (see `billing.wishes`).
    """

    plan: Plan
    items: Items
    start_on: date
    end_on: date | None
    anchor_on: date
    collection_method: str
    motion: str
    net_days: int | None = None
    discount: Discount | None = None
    free: bool = False
    paused: bool = False
    prorate: bool = True
    starts_at: datetime | None = None
    source: str = ""
    po_number: str = ""
    wishes: Mapping[str, Any] | None = None
    row: Phase | None = None

    @property
    def empty(self) -> bool:
        return self.start_on == self.end_on

    def covers(self, day: date) -> bool:
        return self.start_on <= day and (self.end_on is None or day < self.end_on)

    def pure(self) -> timeline.Phase:
        return self._pure

    @cached_property
    def _pure(self) -> timeline.Phase:
        return _phase(
            self.start_on, self.end_on, self.anchor_on, self.pure_items(), discount_value(self.discount), self.free,
            self.prorate, self.paused,
        )  # fmt: skip

    def pure_items(self) -> tuple[timeline.Item, ...]:
        return tuple([_item(price.value, quantity) for price, quantity in self.items])


# A billing run meets the same few terms thousands of times. Equal ones are one object: what is the same is equal at a
# glance.
_item = lru_cache(maxsize=4096)(timeline.Item)
_phase = lru_cache(maxsize=4096)(timeline.Phase)


def discount_value(discount: Discount | None) -> discounts.Discount | None:
    if discount is None:
        return None
    return discounts.Discount(
        key=discount.pk, percent_off=discount.percent_off, amount_off=discount.amount_off, label=str(discount),
        only=_only(discount),
        parts=tuple(_part(member) for member in discount.members) if discount.parts else (),
    )  # fmt: skip


def _part(member: Discount) -> discounts.Discount:
    return discounts.Discount(
        key=member.pk, percent_off=member.percent_off, amount_off=member.amount_off, label=str(member),
        only=_only(member),
    )  # fmt: skip


def _only(discount: Discount) -> frozenset[str]:
    return frozenset((*discount.prices, *discount.meters))


def spec_of(phase: Phase) -> PhaseSpec:
    """A row's terms (its items and their prices prefetched)."""
    items = tuple((item.price, item.quantity) for item in phase.items.all())
    return _spec(phase, phase.plan, items, phase.discount)


def _spec(phase: Phase, plan: Plan, items: Items, discount: Discount | None) -> PhaseSpec:
    return PhaseSpec(
        plan=plan,
        items=items,
        start_on=phase.start_on,
        end_on=phase.end_on,
        anchor_on=phase.anchor_on,
        collection_method=phase.collection_method,
        motion=phase.motion,
        net_days=phase.net_days,
        discount=discount,
        free=phase.free,
        paused=phase.paused,
        prorate=phase.prorate,
        starts_at=phase.starts_at,
        source=phase.source,
        po_number=phase.po_number,
        wishes=phase.wishes,
        row=phase,
    )


def read(subscriptions: Sequence[Subscription]) -> dict[str, list[PhaseSpec]]:
    """The phases of many subscriptions as they will run, by subscription id: three statements. Plans, prices and
    discounts that they share are one object each."""  # fmt: skip
    rows = _phases().fetch({"subscriptions": array_of(s.pk for s in subscriptions)})
    items = _items().fetch({"phases": array_of(row.pk for row in rows)})
    plans, discounts, prices = _sold_to(rows, items)
    items_of: dict[str, list[tuple[Price, Decimal]]] = defaultdict(list)
    for phase, price, quantity in items:
        items_of[phase].append((prices[price], quantity))
    found: dict[str, list[PhaseSpec]] = {s.pk: [] for s in subscriptions}
    for row in rows:
        discount = discounts[row.discount_id] if row.discount_id else None
        spec = _spec(row, plans[row.plan_id], tuple(items_of[row.pk]), discount)
        found[row.subscription_id].append(spec)
    return {s.pk: with_end(s, in_order(found[s.pk])) for s in subscriptions}


def _sold_to(rows: Iterable[Phase], items: Iterable[Any]) -> list[dict[str, Any]]:
    """The plans, discounts and prices of phases and their items, by id."""
    wanted = {
        "plans": {row.plan_id for row in rows},
        "discounts": {row.discount_id for row in rows if row.discount_id},
        "prices": {price for _, price, _ in items},
    }
    tables = _terms().fetch({name: array_of(ids) for name, ids in wanted.items()})
    return [{each.pk: each for each in table} for table in tables]


@cache
def _phases() -> Remembered:
    mine = Phase.objects.filter(subscription__id__any=Slot("subscriptions"))
    return Remembered(mine.defer("created_at").order_by("pk"))


@cache
def _items() -> RememberedValues:
    mine = PhaseItem.objects.filter(phase__id__any=Slot("phases")).order_by("pk")
    return RememberedValues(mine.values_list("phase", "price", "quantity"))


@cache
def _terms() -> RememberedTables:
    return RememberedTables(
        Plan.objects.filter(id__any=Slot("plans")),
        Discount.objects.filter(id__any=Slot("discounts")),
        Price.objects.filter(id__any=Slot("prices")),
    )


def specs_of(subscription: Subscription) -> list[PhaseSpec]:
    """The phases as they will run, in time order: a scheduled end cuts them off, though the rows stay until it
    comes. Uses what is prefetched, else one statement."""
    return with_end(subscription, planned(subscription))


def with_end(subscription: Subscription, specs: Sequence[PhaseSpec]) -> list[PhaseSpec]:
    """The phases up to the scheduled end, if there is one."""
    return list(specs) if subscription.end_on is None else ended(specs, subscription.end_on)


def planned(subscription: Subscription) -> list[PhaseSpec]:
    """All phases in time order, also those beyond a scheduled end: what a verb rewrites."""
    known = "phases" in getattr(subscription, "_prefetched_objects_cache", {})
    return in_order([spec_of(row) for row in (subscription.phases.all() if known else _read(subscription))])


def _read(subscription: Subscription) -> list[Phase]:
    """The rows with all that `spec_of` asks for: five small tables by one statement."""
    return put_together(bulk.read(*wanted(subscription)))


def wanted(subscription: Subscription) -> tuple[models.QuerySet[Any], ...]:
    """What has to be read to `remember` the phases of a subscription, for one `bulk.read`."""
    return wanted_of(Phase.objects.filter(subscription=subscription))


def wanted_of(rows: models.QuerySet[Phase]) -> tuple[models.QuerySet[Any], ...]:
    """The same for any phases, in their order."""
    items = PhaseItem.objects.filter(phase__in=rows.order_by().values("pk"))
    return (
        rows,
        items.order_by("pk"),
        Plan.objects.filter(pk__in=rows.order_by().values("plan")),
        Discount.objects.filter(pk__in=rows.order_by().values("discount")),
        Price.objects.filter(pk__in=items.values("price")),
    )


def put_together(tables: Sequence[Sequence[Any]]) -> list[Phase]:
    """The phases whose rows were `wanted`, with all that `spec_of` asks for."""
    phases, found, *others = map(list, tables)
    plans, discounts, prices = ({each.pk: each for each in table} for table in others)
    for item in found:
        item.price = prices[item.price_id]
    for phase in phases:
        phase.plan, phase.discount = plans[phase.plan_id], discounts.get(phase.discount_id)
        mine = [item for item in found if item.phase_id == phase.pk]
        phase._prefetched_objects_cache = {"items": mine}
    return phases


def in_order(specs: Iterable[PhaseSpec]) -> list[PhaseSpec]:
    """What began later on the same day follows."""
    return sorted(specs, key=lambda s: (s.start_on, s.end_on or date.max, s.row.pk if s.row else "~"))


def timeline_of(
    specs: Sequence[PhaseSpec], *, credit_unused: bool, known_on: date | None = None
) -> timeline.Timeline:
    """The pure value."""
    return _timeline(tuple([s.pure() for s in _telling(specs)]), credit_unused, known_on)


def _telling(specs: Sequence[PhaseSpec]) -> list[PhaseSpec]:
    """Without the phases that were replaced on the day they began, unless what took their place does not prorate."""
    found: list[PhaseSpec] = []
    for spec in reversed(specs):
        later = found[-1] if found else None
        if not spec.empty or (later and later.start_on == spec.start_on and not later.prorate):
            found.append(spec)
    return found[::-1]


@lru_cache(maxsize=2048)
def _timeline(
    phases: tuple[timeline.Phase, ...], credit_unused: bool, known_on: date | None
) -> timeline.Timeline:
    """A run asks for it more than once, and many subscriptions have equal phases."""
    return timeline.Timeline(phases, credit_unused, known_on)


def pure(subscription: Subscription, specs: Sequence[PhaseSpec]) -> timeline.Timeline:
    """The pure value of a subscription's phases, as its end was decided."""
    return timeline_of(specs, credit_unused=subscription.credit_unused, known_on=end_known_on(subscription))


def end_known_on(subscription: Subscription) -> date | None:
    """The day on which the end was decided; None where it was agreed from the start, or there is none."""
    at = subscription.canceled_at
    return None if at is None or subscription.end_on is None else local_day(subscription, at)


def spec_on(specs: Sequence[PhaseSpec], day: date) -> PhaseSpec | None:
    """The terms in force on a day."""
    return next((spec for spec in specs if spec.covers(day)), None)


def local_day(subscription: Subscription, now: datetime) -> date:
    return local_date(now, subscription.timezone)


def reached(subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime) -> date:
    """The last local day whose business has come: the day before, while a phase of today begins at a later hour, as
    after a trial."""
    today = local_day(subscription, now)
    return today if instant(subscription, specs, today) <= now else today - ONE_DAY


def instant(subscription: Subscription, specs: Sequence[PhaseSpec], day: date) -> datetime:
    """When a day's business is due: at local midnight, or the exact time at which a phase of that day starts or a trial
    that nothing follows ends."""
    exact = [spec.starts_at for spec in specs if spec.start_on == day and spec.starts_at]
    if subscription.trial_end_at and specs[-1].end_on == day == local_day(
        subscription, subscription.trial_end_at
    ):
        exact.append(subscription.trial_end_at)
    return max(exact) if exact else midnight(day, subscription.timezone)


def later_today(subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime) -> list[PhaseSpec]:
    """The changes that wait for a later hour of today, which are neither the start nor the end of a trial."""
    today, own = local_day(subscription, now), (subscription.started_at, subscription.trial_end_at)
    return [
        spec
        for spec in specs
        if spec.start_on == today and spec.starts_at and spec.starts_at > now and spec.starts_at not in own
    ]


def without_hours(subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime) -> list[PhaseSpec]:
    """The same, what waits for a later hour of today (`later_today`) begun with the day."""
    later = later_today(subscription, specs, now)
    return [replace(spec, starts_at=None) if spec in later else spec for spec in specs]


def write(subscription: Subscription, specs: Sequence[PhaseSpec]) -> None:
    """Make the rows say what `specs` say: drop what never began, shorten, rewrite what waits, add what is new.

    A phase that has begun only ever gets another end. Raises WrongCurrency.
    """
    bulk.store(rewritten(subscription, specs))


def rewritten(subscription: Subscription, specs: Sequence[PhaseSpec]) -> list[Phase | PhaseItem]:
    """As `write`, but what is new is answered, for the caller to store."""
    _refuse_other_currency(subscription, specs)
    _keep_discounts(specs)
    kept = [spec for spec in specs if spec.row]
    gone = {phase.pk for phase in subscription.phases.all()} - {spec.row.pk for spec in kept if spec.row}
    if gone:
        PhaseItem.objects.filter(phase__in=gone).delete()
        Phase.objects.filter(pk__in=gone).delete()
    for spec in kept:
        _rewrite(spec)
    getattr(subscription, "_prefetched_objects_cache", {}).pop("phases", None)
    return laid(subscription, [spec for spec in specs if spec.row is None])


def remember(subscription: Subscription, tables: Sequence[Sequence[Any]]) -> None:
    """Its phases, of the rows that were `wanted` while it is held; asking for them again takes no statement until they
    are changed."""
    subscription._prefetched_objects_cache = {"phases": put_together(tables)}  # type: ignore[attr-defined]


def _refuse_other_currency(subscription: Subscription, specs: Sequence[PhaseSpec]) -> None:
    """What was offered in another currency than the customer has come to pay in."""
    used = {price.currency for spec in specs for price, _ in spec.items} - {subscription.currency}
    if used:
        raise WrongCurrency(
            f"Prices in {', '.join(sorted(used))} are not billed in {subscription.currency}.",
            field="currency",
        )


def _keep_discounts(specs: Sequence[PhaseSpec]) -> None:
    """What several discounts make together is stored with the first phase that has them."""
    for spec in specs:
        if spec.discount is not None:
            spec.discount.keep()


def laid(subscription: Subscription, specs: Sequence[PhaseSpec]) -> list[Phase | PhaseItem]:
    """The phases of a subscription that has none yet, with their items; not stored yet. Raises WrongCurrency."""
    _refuse_other_currency(subscription, specs)
    _keep_discounts(specs)
    phases = [Phase(subscription=subscription, **{name: getattr(s, name) for name in COLUMNS}) for s in specs]
    items = [
        PhaseItem(phase=phase, price=price, quantity=quantity)
        for phase, spec in zip(phases, specs, strict=True)
        for price, quantity in spec.items
    ]
    return [*phases, *items]


def _rewrite(spec: PhaseSpec) -> None:
    row = spec.row
    assert row is not None
    columns = {name: getattr(spec, name) for name in COLUMNS}
    changed = {name: value for name, value in columns.items() if _stored(row, name) != _key(value)}
    if changed:
        moves.change(row, **changed)
    if spec.items != spec_of(row).items:
        PhaseItem.objects.filter(phase=row).delete()
        _insert_items(row, spec)


def _stored(row: Phase, name: str) -> Any:
    return getattr(row, f"{name}_id") if name in PHASE_JOINS else getattr(row, name)


def _key(value: Any) -> Any:
    return value.pk if isinstance(value, Plan | Discount) else value


def _insert_items(phase: Phase, spec: PhaseSpec) -> None:
    PhaseItem.objects.bulk_create(
        [PhaseItem(phase=phase, price=price, quantity=quantity) for price, quantity in spec.items]
    )


def ended(specs: Sequence[PhaseSpec], on: date) -> list[PhaseSpec]:
    """The timeline cut off at `on`: later phases go, the running one ends there."""
    return [
        replace(s, end_on=on) if s.covers(on) else s
        for s in specs
        if s.start_on < on or s.start_on == s.end_on
    ]


def split(specs: Sequence[PhaseSpec], on: date, **terms: object) -> list[PhaseSpec]:
    """New terms from `on` to the end of the phase that covers it; what waits after that stays as it is."""
    result: list[PhaseSpec] = []
    for spec in specs:
        if not spec.covers(on):
            result.append(spec)
            continue
        result.append(replace(spec, end_on=on))
        result.append(replace(spec, start_on=on, row=None, **terms))  # type: ignore[arg-type]
    return result


def refresh(subscription: Subscription, specs: Sequence[PhaseSpec]) -> None:
    """Set what is derived from the timeline: period, next due instant, MRR. Saves nothing."""
    pure_ = pure(subscription, specs)
    done = subscription.billed_through
    day = max(done or subscription.start_on, subscription.start_on)
    running = spec_on(specs, day)
    period = timeline.current_period(pure_, day)
    if period is not None:
        subscription.current_period_start, subscription.current_period_end = period.start, period.end
    waits = subscription.status == Subscription.Status.INCOMPLETE
    subscription.mrr, subscription.arr = (0, 0) if waits else committed(running)
    due_on = _next_day(subscription, specs, pure_, done)
    subscription.next_due_at = None if due_on is None else instant(subscription, specs, due_on)
    subscription.next_notice_at = next_notice(subscription)


def committed(running: PhaseSpec | None) -> tuple[int, int]:
    """(MRR, ARR) of the terms in force, in minor units; nothing while free or ended."""
    if running is None or running.free:
        return 0, 0
    terms = running.pure()
    return timeline.mrr(terms.items, terms.discount), timeline.arr(terms.items, terms.discount)


def _next_day(
    subscription: Subscription, specs: Sequence[PhaseSpec], pure: timeline.Timeline, done: date | None
) -> date | None:
    """The next day on which something is owed, a phase starts, or the subscription ends."""
    if done is None:
        return subscription.start_on
    days = [timeline.next_due(pure, after=done), pure.end, *(s.start_on for s in specs if not s.empty)]
    return min((day for day in days if day is not None and day > done), default=None)


_REFRESH = "select *, (select currency from billing_seller limit 1) from tandem_refresh_customer(%s)"


def refresh_customer(customer: Customer) -> str:
    """A customer's committed MRR and ARR: the sum over its live subscriptions, added up by the database with the customer
    held, so that two of them that change at once are both in it. Answers the seller's currency. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_REFRESH, [UUID(hex=customer.pk.partition("_")[2])])
        customer.mrr, customer.arr, into = cursor.fetchone()
    return into or ""
