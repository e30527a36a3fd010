"""One open handoff task for each customer that sales should talk to: who, until when, and why.

Signals add up: points by weight, halved every half-life. A customer qualifies at a score or with one high
signal; all of it is in `SalesSettings`. Later signals join the task that is open.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from django.db import IntegrityError, transaction
from django.db.models import Case, Count, Q, QuerySet, Sum, Value, When
from django_q.tasks import async_task

from billing import bulk, customers, mail
from billing.customers import Given
from billing.events import Fact, record, record_many, staff_of
from billing.maths.periods import local_date
from billing.models import Customer, Dispute, Event, Invoice, Seller, Subscription, User
from billing.moves import IllegalMove, move
from billing.refusals import Refused
from sales import addresses, chunking, owning
from sales.models import Deal, HandoffTask, Lead, Rule, SalesSettings, Signal, Weight

ASKED = ("demo_requested", "wants_annual")
"""Rules of what the customer itself asked for: it is answered, whatever else holds sales back."""
ENDED_WITHOUT = ("lost", "nurture", "returned")
LOST_FOR = timedelta(days=14)
SATURDAY = 5
CENT = Decimal("0.01")


class UnknownReason(Refused):
    """A task that ends without a deal says why: one of `HandoffTask.Why`."""

    code = "unknown_reason"


class InvalidDay(Refused):
    """A day to come back to lies after today, and within a year."""

    code = "invalid_day"


# -- Scoring: pure -----------------------------------------------------------------------------------------


def score(signals: Iterable[Signal], now: datetime, settings: SalesSettings) -> Decimal:
    """Points of the signals, each halved with every half-life of its age; two decimals."""
    total, points = Decimal(0), {weight: settings.points(weight) for weight in Weight.values}
    for signal in signals:
        age = max((now - signal.occurred_at) / timedelta(days=settings.half_life_days), 0)
        total += points[signal.weight] * Decimal(0.5**age)
    return total.quantize(CENT)


def qualifies(signals: Sequence[Signal], now: datetime, settings: SalesSettings) -> bool:
    """Enough points, or one signal of weight high."""
    if settings.high_qualifies and any(signal.weight == "high" for signal in signals):
        return True
    return bool(signals) and score(signals, now, settings) >= settings.qualifies_at


def working_day(start: date, days: int) -> date:
    """So many working days later; Saturday and Sunday are none."""
    day = start
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < SATURDAY
    return day


# -- Raising: a fixed number of statements for any number of customers ---------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings, the seller's zone (due days are its days), and all rules by their key."""

    settings: SalesSettings
    timezone: str
    rules: Mapping[int, Rule]

    @classmethod
    def current(cls) -> Self:
        return cls(SalesSettings.current(), Seller.objects.get().timezone, Rule.objects.in_bulk())

    @property
    def names(self) -> set[str]:
        return {rule.name for rule in self.rules.values()}

    def due_on(self, now: datetime, *, urgent: bool) -> date:
        days = self.settings.high_due_days if urgent else self.settings.due_days
        return working_day(local_date(now, self.timezone), days)


@transaction.atomic
def consider(*, customer: Customer, now: datetime, actor: str = "system") -> HandoffTask | None:
    """The same for one customer, whose row is waited for."""
    held = customers.held([customer.pk])
    return consider_all(held=held, moments={customer.pk: now}, actor=actor).get(customer.pk)


def consider_all(
    *, held: Mapping[str, Customer], moments: Mapping[str, datetime], actor: str = "system"
) -> dict[str, HandoffTask]:
    """Give each customer's open task its new signals, or raise one if the customer qualifies. Repeatable.

    Signals of a closed task are done with; only what came after it counts towards the next. `moments` says who is
    looked at, and when. Their rows are held, so that of two workers with a signal each the second sees both.
    Answers the open tasks by customer id.
    """
    policy = Policy.current()
    tasks = {task.customer_id or "": task for task in _open(customer__pk__any=list(moments))}
    signals = _open_signals({*tasks, *_may_qualify(policy.settings, moments)}, policy.rules)
    joined = [task for pk, task in tasks.items() if _join(task, signals[pk], policy, moments[pk])]
    ripe = {
        pk: now
        for pk, now in moments.items()
        if pk not in tasks and qualifies(signals[pk], now, policy.settings)
    }
    waiting = _who_must_wait(ripe, signals, held, policy.settings)
    raised = _made({held[pk]: now for pk, now in ripe.items() if pk not in waiting}, signals, policy)
    bulk.store(raised)
    bulk.update(HandoffTask, [vars(task) for task in joined], JOINED)
    _link([*joined, *raised], signals)
    _announce(raised, actor=actor)
    return tasks | {task.customer_id or "": task for task in raised}


JOINED = ("reason", "score", "due_on", "snoozed_until")


def _open(**which: Any) -> QuerySet[HandoffTask]:
    return HandoffTask.objects.filter(status__in=HandoffTask.OPEN, **which)


def _open_signals(ids: Iterable[str], rules: Mapping[int, Rule]) -> dict[str, list[Signal]]:
    """What counts, by customer: signals that no task has, and those of the open task."""
    counting = Q(task__isnull=True) | Q(task__status__in=HandoffTask.OPEN)
    rows = Signal.objects.filter(counting, customer__pk__any=list(ids), status=Signal.Status.OPEN)
    found: dict[str, list[Signal]] = defaultdict(list)
    for signal in rows.defer("sentence", "evidence").order_by("occurred_at", "id"):
        signal.rule = rules[signal.rule_id]
        found[signal.customer_id].append(signal)
    return found


def _may_qualify(settings: SalesSettings, ids: Iterable[str] | None = None) -> Iterable[str]:
    """Of these customers, or of all, those whose signals without a task would be enough if none of them was old."""
    rows = Signal.objects.filter(task__isnull=True, status=Signal.Status.OPEN)
    if ids is not None:
        rows = rows.filter(customer__pk__any=list(ids))
    each = Case(*(When(weight=weight, then=Value(settings.points(weight))) for weight in Weight.values))
    enough = Q(points__gte=settings.qualifies_at)
    if settings.high_qualifies:
        enough |= Q(high__gt=0)
    sums = rows.values_list("customer").annotate(points=Sum(each), high=Count("pk", filter=Q(weight="high")))
    return [pk for pk, *_ in sums.filter(enough).order_by("customer")]


def counting(customer: Customer) -> list[Signal]:
    """The signals that make up a customer's score today."""
    return _open_signals([customer.pk], Rule.objects.in_bulk())[customer.pk]


def _made(
    moments: Mapping[Customer, datetime], signals: Mapping[str, Sequence[Signal]], policy: Policy
) -> list[HandoffTask]:
    owners = owning.choose_all(moments)
    return [
        _task(customer, owners[customer.pk], signals[customer.pk], policy, now)
        for customer, now in moments.items()
    ]


def _task(
    customer: Customer, choice: owning.Choice, signals: Sequence[Signal], policy: Policy, now: datetime
) -> HandoffTask:
    owner, why = choice
    urgent = any(signal.weight == "high" for signal in signals)
    return HandoffTask(
        customer=customer, livemode=customer.livemode, owner=owner, owner_why=why, raised_at=now,
        reason=reason_of(signals), score=score(signals, now, policy.settings), due_on=policy.due_on(now, urgent=urgent),
    )  # fmt: skip


def reason_of(signals: Sequence[Signal]) -> str:
    """The names of the rules, the heaviest first: “Usage near limit, Team growing”."""
    order = {"high": 0, "medium": 1, "low": 2}
    ranked = sorted(signals, key=lambda s: (order[s.weight], s.rule.position))
    names = [signal.rule.name for signal in ranked]
    return ", ".join(dict.fromkeys(names))[:400]


def _join(task: HandoffTask, signals: Sequence[Signal], policy: Policy, now: datetime) -> bool:
    """Later signals make the task heavier; they raise no second one. False when there is none that is new."""
    if all(signal.task_id for signal in signals):
        return False
    if any(signal.weight == "high" for signal in signals):
        task.due_on = min(task.due_on, policy.due_on(now, urgent=True))
        task.snoozed_until = None
    asked = [part for part in task.reason.split(", ") if part and part not in policy.names]
    task.reason = ", ".join(dict.fromkeys([*asked, *reason_of(signals).split(", ")]))[:400]
    task.score = score(signals, now, policy.settings)
    return True


def _link(tasks: Iterable[HandoffTask], signals: Mapping[str, Sequence[Signal]]) -> None:
    rows = [
        {"id": signal.pk, "task_id": task.pk}
        for task in tasks
        for signal in signals[task.customer_id or ""]
        if signal.task_id is None
    ]
    bulk.update(Signal, rows, ["task_id"])


def _announce(tasks: Sequence[HandoffTask], *, actor: str, mailing: bool = True) -> None:
    """Each task as a fact, the customer's owner, and a mail to whoever got it: all of them by one job."""
    record_many([_raised(task, actor) for task in tasks])
    owned = [task for task in tasks if task.customer is not None and task.owner is not None]
    new = [(task.customer, task) for task in owned if task.customer and task.customer.owner_id is None]
    given = [Given(customer, task.owner, task.owner_why, task.raised_at) for customer, task in new]
    customers.assign_owners(given=given, actor=actor)
    if mailing and owned:
        async_task("sales.tasks.tell_owners", [task.pk for task in owned])


def _raised(task: HandoffTask, actor: str) -> Fact:
    data = {
        "reason": task.reason, "score": str(task.score), "due_on": task.due_on.isoformat(),
        "owner": task.owner_id and staff_of(task.owner_id),
    }  # fmt: skip
    return Fact("handoff.raised", task.pk, task.customer_id, task.livemode, actor, task.raised_at, data)


def tell_owners(*, tasks: Sequence[str]) -> None:
    """Mail whoever has each of these tasks (ids), once, with the evidence."""
    rows = HandoffTask.objects.filter(pk__in=tasks, owner__isnull=False, customer__isnull=False)
    causes = {
        event.object_id: event for event in Event.objects.filter(object_id__in=tasks, type="handoff.raised")
    }
    for task in rows.select_related("owner", "customer").prefetch_related("signals__rule"):
        _tell_owner(task, causes[task.pk])


@transaction.atomic
def _tell_owner(task: HandoffTask, cause: Event) -> None:
    customer, owner = task.customer, task.owner
    if customer is None or owner is None:
        return
    context = {
        "task": task, "signals": sorted(task.signals.all(), key=lambda each: (each.occurred_at, each.pk)),
        "url": addresses.staff_url(task), "arr": addresses.money(customer.arr, customer.currency),
    }  # fmt: skip
    mail.compose(
        template="handoff_task",
        to=owner.email,
        context=context,
        event=cause,
        now=task.raised_at,
        customer=customer,
    )


# -- When nothing is raised --------------------------------------------------------------------------------


def _who_must_wait(
    moments: Mapping[str, datetime], signals: Mapping[str, Sequence[Signal]], held: Mapping[str, Customer],
    settings: SalesSettings,
) -> set[str]:  # fmt: skip
    """Nobody is approached in trouble or just after a no; whoever asked for something is answered."""
    unasked = {
        pk: now for pk, now in moments.items() if not any(signal.rule.code in ASKED for signal in signals[pk])
    }
    if not unasked:
        return set()
    bad = troubles({held[pk]: now for pk, now in unasked.items()}) if settings.hold_back else {}
    return {*bad, *_cooling(unasked, settings)}


def trouble(customer: Customer, now: datetime) -> str:
    """What makes this a bad moment to sell, in words; "" for none."""
    return troubles({customer: now}).get(customer.pk, "")


def troubles(moments: Mapping[Customer, datetime]) -> dict[str, str]:
    """The same for those of many who are in trouble, by customer id; one statement."""
    return troubles_of(moments, bulk.read(*troubling(moments)))


def troubling(moments: Mapping[Customer, datetime]) -> tuple[QuerySet[Any], ...]:
    """What has to be read for `troubles_of`, for one `bulk.read`."""
    theirs: dict[str, Any] = {"customer__pk__any": [customer.pk for customer in moments]}
    today = max(local_date(now, customer.timezone) for customer, now in moments.items())
    late = Invoice.objects.filter(**theirs, status="open", amount_due__gt=0, due_on__lt=today)
    lost = Q(status=Dispute.Status.LOST, closed_at__gt=min(moments.values()) - LOST_FOR)
    return (
        late.order_by("customer_id", "due_on").distinct("customer_id").only("customer", "number", "due_on"),
        Subscription.objects.filter(**theirs, status=Subscription.Status.PAST_DUE).only("customer"),
        Dispute.objects.filter(Q(status__in=Dispute.OPEN) | lost, **theirs),
    )


def troubles_of(moments: Mapping[Customer, datetime], tables: Sequence[Sequence[Any]]) -> dict[str, str]:
    """The rows that are `troubling`, in words by customer id."""
    invoices, unpaid, disputes = tables
    known = {customer.pk: (customer, now) for customer, now in moments.items()}
    today = {pk: local_date(now, customer.timezone) for pk, (customer, now) in known.items()}
    told = [(each.customer_id, _disputed(each, *known[each.customer_id])) for each in reversed(disputes)]
    words = {pk: text for pk, text in told if text}
    words |= {each.customer_id: "The last payment failed." for each in unpaid}
    overdue = [each for each in invoices if each.due_on < today[each.customer_id]]
    return words | {each.customer_id: _overdue(each) for each in overdue}


def _overdue(invoice: Invoice) -> str:
    return f"Invoice {invoice.number} has been overdue since {invoice.due_on:%-d %B %Y}."


def _disputed(dispute: Dispute, customer: Customer, now: datetime) -> str:
    if dispute.status not in Dispute.OPEN and dispute.closed_at and dispute.closed_at <= now - LOST_FOR:
        return ""
    return f"A payment has been disputed since {local_date(dispute.opened_at, customer.timezone):%-d %B %Y}."


def _cooling(moments: Mapping[str, datetime], settings: SalesSettings) -> set[str]:
    days = timedelta(days=settings.cool_down_days)
    ended = HandoffTask.objects.filter(
        customer__pk__any=list(moments), status__in=ENDED_WITHOUT, closed_at__gt=min(moments.values()) - days
    )
    return {pk for pk, at in ended.values_list("customer", "closed_at") if at and at > moments[pk] - days}


def reconsider(*, now: datetime) -> int:
    """Nightly: whose trouble or cool-down is over, and what was put off until today. Answers how many tasks.

    Repeatable; a customer on a test clock is considered at its clock's time.
    """
    ripe = _may_qualify(SalesSettings.current())
    busy = _open(customer__pk__any=ripe).values_list("customer", flat=True)

    def look(held: Mapping[str, Customer]) -> Iterable[HandoffTask]:
        return consider_all(held=held, moments={pk: row.on_clock(now) for pk, row in held.items()}).values()

    done = chunking.each(sorted({*ripe} - {*busy}), look)
    done.log("customers left unconsidered")
    return len(done.found) + sum(_again(task, now) for task in _put_off(now))


def _put_off(now: datetime) -> list[HandoffTask]:
    today = local_date(now, Seller.objects.get().timezone)
    rows = HandoffTask.objects.filter(status=HandoffTask.Status.NURTURE, again_on__lte=today)
    return list(rows.select_related("customer", "owner"))


@transaction.atomic
def _again(task: HandoffTask, now: datetime) -> bool:
    """Come back to a customer on the day that was promised; once."""
    mine = HandoffTask.objects.filter(pk=task.pk, again_on__isnull=False)
    if not mine.update(again_on=None) or task.customer is None:
        return False
    reason = f"Put off: {task.reason}"
    raise_by_hand(
        customer=task.customer, reason=reason, note=task.note, owner=task.owner, now=now, actor="system"
    )
    return True


# -- By hand -----------------------------------------------------------------------------------------------


@transaction.atomic
def raise_for_lead(*, lead: Lead, reason: str, now: datetime, actor: str) -> HandoffTask:
    """The task that a lead brings; one who is a customer with an open task joins it. Mails are the lead's."""
    about = lead.customer and lead.customer.account
    task = _by_hand(about, reason, now, lead=lead, owner=lead.owner, owner_why="owner of the lead")
    return _insert_or_join(task, now=now, actor=actor, mailing=False)


@transaction.atomic
def raise_by_hand(
    *, customer: Customer, reason: str, now: datetime, actor: str, note: str = "", owner: User | None = None
) -> HandoffTask:
    """Work that somebody asked for, whatever the score: the customer's open task, or a new one."""
    why, customer = "chosen by hand", customer.account
    if owner is None:
        owner, why = owning.choose(customer)
    task = _by_hand(customer, reason, now, owner=owner, owner_why=why, note=note)
    return _insert_or_join(task, now=now, actor=actor)


def _by_hand(customer: Customer | None, reason: str, now: datetime, **fields: Any) -> HandoffTask:
    policy = Policy.current()
    return HandoffTask(
        customer=customer, reason=reason[:400], raised_at=now, due_on=policy.due_on(now, urgent=True),
        score=policy.settings.points(Weight.HIGH), **fields,
    )  # fmt: skip


def _insert_or_join(task: HandoffTask, *, now: datetime, actor: str, mailing: bool = True) -> HandoffTask:
    """The customer is held, as by whoever weighs: nobody raises another, or gives it an owner, at the same moment."""
    if task.customer is not None:
        customers.hold(task.customer.pk)
        task.customer.refresh_from_db(fields=["owner"])
    try:
        with transaction.atomic():
            task.save(force_insert=True)
    except IntegrityError:
        return _join_by_hand(task)
    if task.customer is not None:
        policy = Policy.current()
        signals = _open_signals([task.customer.pk], policy.rules)
        if _join(task, signals[task.customer.pk], policy, now):
            task.save(update_fields=JOINED)
            _link([task], signals)
    _announce([task], actor=actor, mailing=mailing)
    return task


def _join_by_hand(asked: HandoffTask) -> HandoffTask:
    """The open task takes over what was asked: the lead, another reason, the words."""
    about = Q(lead=asked.lead) if asked.lead else Q()
    about |= Q(customer=asked.customer) if asked.customer else Q()
    task = HandoffTask.objects.select_for_update(of=("self",)).get(about, status__in=HandoffTask.OPEN)
    task.lead = task.lead or asked.lead
    if asked.reason not in task.reason:
        task.reason = f"{task.reason}, {asked.reason}"[:400]
    task.note = "\n\n".join(part for part in (task.note, asked.note) if part)
    task.due_on = min(task.due_on, asked.due_on)
    task.save(update_fields=["lead", "reason", "note", "due_on"])
    return task


@transaction.atomic
def follow_lead(
    *, lead: Lead, customer: Customer, now: datetime, actor: str, beside: Sequence[bulk.Change] = ()
) -> None:
    """The lead became a customer: owner and task go along, unless the customer has its own. `beside`: what else goes
    along, by the same statement. A customer that has just been `begun` is stored by the caller."""
    newcomer = customer._state.adding
    if not newcomer:
        customers.hold(customer.pk)
    if customer.owner_id is None and lead.owner is not None:
        customers.assign_owner(
            customer=customer, owner=lead.owner, now=now, actor=actor, why="owner of the lead"
        )
    free = newcomer or not _open(customer=customer).exists()
    task: bulk.Change = (_open(lead=lead, customer__isnull=True), {"customer": customer})
    bulk.claim_all([*beside, *([task] if free else [])])


# -- Working on it -----------------------------------------------------------------------------------------


@transaction.atomic
def assign(*, task: HandoffTask, owner: User, now: datetime, actor: str, why: str = "reassigned") -> None:
    """Give an open task, and its customer or lead, to somebody else."""
    _hold(task)
    HandoffTask.objects.filter(pk=task.pk).update(owner=owner, owner_why=why[:120])
    task.owner, task.owner_why = owner, why[:120]
    if task.customer is not None:
        customers.assign_owner(customer=task.customer, owner=owner, now=now, actor=actor, why=why)
    if task.lead is not None:
        Lead.objects.filter(pk=task.lead_id).update(owner=owner)


def _hold(task: HandoffTask) -> None:
    """The lead, then the customer, before their task: as whoever takes a lead on, and whoever weighs (see “Locks”)."""
    if task.lead_id is not None:
        Lead.objects.select_for_update(no_key=True).values("pk").get(pk=task.lead_id)
    if task.customer_id is not None:
        customers.hold(task.customer_id)


@transaction.atomic
def accept(*, task: HandoffTask, by: User, now: datetime, note: str = "") -> None:
    """Somebody takes the task; it becomes theirs. Raises IllegalMove, StaleMove."""
    actor = staff_of(by.pk)
    _hold(task)
    move(
        task,
        "accepted",
        event="handoff.accepted",
        actor=actor,
        now=now,
        accepted_at=now,
        note=note or task.note,
        data={"owner": staff_of(by.pk)},
    )
    if task.owner_id != by.pk:
        assign(task=task, owner=by, now=now, actor=actor, why="accepted the task")


@transaction.atomic
def snooze(*, task: HandoffTask, until: date | None, now: datetime, actor: str) -> None:
    """Leave an open task out of the queue before a day; None brings it back. A high signal wakes it up too.

    Raises InvalidDay, IllegalMove for a task that has ended.
    """
    if not task.is_open:
        raise IllegalMove(task, task.status, "snoozed")
    if until is not None:
        _check_day(until, now)
    fields: dict[str, Any] = {"snoozed_until": until}
    if until is not None and until > task.due_on:
        fields["due_on"] = until
    HandoffTask.objects.filter(pk=task.pk).update(**fields)
    for name, value in fields.items():
        setattr(task, name, value)
    data = {"snoozed_until": until.isoformat() if until else None}
    record("handoff.snoozed", subject=task, actor=actor, now=now, data=data)


def _check_day(day: date, now: datetime) -> None:
    today = local_date(now, Seller.objects.get().timezone)
    if not today < day <= today + timedelta(days=366):
        raise InvalidDay("A day after today, within a year.", field="day")


@transaction.atomic
def complete(
    *, task: HandoffTask, outcome: str, now: datetime, actor: str, note: str = "", why: str = ""
) -> None:
    """Close it as `won` or `lost`. Raises UnknownReason, IllegalMove, StaleMove; ValueError for another outcome."""
    if outcome not in ("won", "lost"):
        raise ValueError("The outcome is won or lost.")
    _close(task, outcome, note, now=now, actor=actor, why=why if outcome == "lost" else "")
    if outcome == "lost":
        for deal in Deal.objects.filter(task=task, stage__in=Deal.OPEN):
            reason = (note or HandoffTask.Why(why).label if why else note)[:300]
            move(
                deal, "lost", event="deal.stage_changed", actor=actor, now=now, closed_at=now, lost_reason=reason
            )  # fmt: skip


@transaction.atomic
def put_off(
    *, task: HandoffTask, until: date, now: datetime, actor: str, note: str = "", why: str = "timing"
) -> None:
    """Not now: the task ends, and another is raised on the day. Raises InvalidDay and as `complete` does."""
    _check_day(until, now)
    _close(task, "nurture", note, now=now, actor=actor, why=why, again_on=until)


@transaction.atomic
def give_back(*, task: HandoffTask, now: datetime, actor: str, note: str = "", why: str = "") -> None:
    """Not ready for sales: the customer stays self-serve, and only new signals raise another task."""
    _close(task, "returned", note, now=now, actor=actor, why=why)


CLOSING = {
    "won": "handoff.won", "lost": "handoff.lost", "returned": "handoff.returned", "nurture": "handoff.returned",
}  # fmt: skip


def _close(
    task: HandoffTask, to: str, note: str, *, now: datetime, actor: str, why: str = "", **fields: Any
) -> None:
    if why and why not in HandoffTask.Why.values:
        raise UnknownReason(f"One of {', '.join(HandoffTask.Why.values)}.", field="why")
    data = {"note": note[:500], "why": why, **{name: value.isoformat() for name, value in fields.items()}}
    move(
        task, to, event=CLOSING[to], actor=actor, now=now, closed_at=now, note=note,
        closed_why=why, snoozed_until=None, data=data, **fields,
    )  # fmt: skip
