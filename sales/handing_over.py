"""One open handoff task for each customer that sales should talk to: who, until when, and why.

Signals add up: points by weight, halved every half-life. A customer qualifies at a score or with one high
signal; all of it is in `SalesSettings`. Later signals join the task that is open.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q

from billing import customers, mail
from billing.events import record
from billing.maths.periods import local_date
from billing.models import Customer, Dispute, Invoice, Seller, Subscription, User
from billing.moves import IllegalMove, move
from billing.refusals import Refused
from sales import addresses
from sales.models import Deal, HandoffTask, Lead, Rule, SalesSettings, Signal, TargetDomain, Weight

REPS = "Sales reps"
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
    total = Decimal(0)
    for signal in signals:
        age = max((now - signal.occurred_at) / timedelta(days=settings.half_life_days), 0)
        total += settings.points(signal.weight) * Decimal(2) ** -Decimal(age)
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


# -- Raising -----------------------------------------------------------------------------------------------


@transaction.atomic
def consider(*, customer: Customer, now: datetime, actor: str = "system") -> HandoffTask | None:
    """Give the customer's open task its new signals, or raise one if the customer qualifies. Repeatable.

    Signals of a closed task are done with; only what came after it counts towards the next. The customer's
    row is held, so that of two workers with a signal each the second sees both.
    """
    customer = _held(customer)
    task = _open_task(customer)
    if task is None:
        waiting = list(_waiting(customer))
        settings = SalesSettings.current()
        if not qualifies(waiting, now, settings) or _must_wait(customer, waiting, settings, now):
            return None
        task, raised = _raise(customer, waiting, settings, now)
        if raised:
            _announce(task, now=now, actor=actor)
            return task
    _join(task, customer, now)
    return task


def _held(customer: Customer) -> Customer:
    rows = Customer.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("test_clock", "owner").get(pk=customer.pk)


def _open_task(customer: Customer) -> HandoffTask | None:
    return HandoffTask.objects.filter(customer=customer, status__in=HandoffTask.OPEN).first()


def _waiting(customer: Customer) -> Iterable[Signal]:
    rows = customer.signals.filter(status=Signal.Status.OPEN, task__isnull=True)
    return rows.select_related("rule").order_by("occurred_at", "id")


def _must_wait(customer: Customer, signals: Sequence[Signal], settings: SalesSettings, now: datetime) -> bool:
    """Nobody is approached in trouble or just after a no; whoever asked for something is answered."""
    if any(signal.rule.code in ASKED for signal in signals):
        return False
    return bool(settings.hold_back and trouble(customer, now)) or _cooling(customer, settings, now)


def trouble(customer: Customer, now: datetime) -> str:
    """What makes this a bad moment to sell, in words; "" for none."""
    today = local_date(now, customer.timezone)
    late = Invoice.objects.filter(customer=customer, status="open", amount_due__gt=0, due_on__lt=today)
    if (invoice := late.order_by("due_on").first()) is not None:
        return f"Invoice {invoice.number} has been overdue since {invoice.due_on:%-d %B %Y}."
    if customer.subscriptions.filter(status=Subscription.Status.PAST_DUE).exists():
        return "The last payment failed."
    lately_lost = Q(status=Dispute.Status.LOST, closed_at__gt=now - LOST_FOR)
    dispute = customer.disputes.filter(Q(status__in=Dispute.OPEN) | lately_lost).first()
    if dispute is None:
        return ""
    day = f"{local_date(dispute.opened_at, customer.timezone):%-d %B %Y}"
    return f"A payment has been disputed since {day}."


def _cooling(customer: Customer, settings: SalesSettings, now: datetime) -> bool:
    since = now - timedelta(days=settings.cool_down_days)
    return customer.handoff_tasks.filter(status__in=ENDED_WITHOUT, closed_at__gt=since).exists()


def reconsider(*, now: datetime) -> int:
    """Nightly: whose trouble or cool-down is over, and what was put off until today. Answers how many tasks.

    Repeatable; a customer on a test clock is considered at its clock's time.
    """
    signals = Signal.objects.filter(status=Signal.Status.OPEN, task__isnull=True)
    busy = HandoffTask.objects.filter(customer=OuterRef("pk"), status__in=HandoffTask.OPEN)
    rows = Customer.objects.filter(Exists(signals.filter(customer=OuterRef("pk"))) & ~Exists(busy))
    raised = 0
    for customer in rows.select_related("test_clock").order_by("pk").iterator(chunk_size=500):
        present = customer.on_clock(now)
        raised += consider(customer=customer, now=present) is not None
    return raised + sum(_again(task, now) for task in _put_off(now))


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


def _raise(
    customer: Customer, signals: Sequence[Signal], settings: SalesSettings, now: datetime
) -> tuple[HandoffTask, bool]:
    """The new task and True; or the one that another worker raised at the same moment, and False."""
    owner, why = choose_owner(customer)
    urgent = any(signal.weight == "high" for signal in signals)
    task = HandoffTask(
        customer=customer, owner=owner, owner_why=why, raised_at=now, reason=reason_of(signals),
        score=score(signals, now, settings), due_on=_due_on(settings, urgent, now),
    )  # fmt: skip
    try:
        with transaction.atomic():
            task.save(force_insert=True)
    except IntegrityError:
        return HandoffTask.objects.get(customer=customer, status__in=HandoffTask.OPEN), False
    Signal.objects.filter(pk__in=[signal.pk for signal in signals], task__isnull=True).update(task=task)
    return task, True


def _due_on(settings: SalesSettings, urgent: bool, now: datetime) -> date:
    today = local_date(now, Seller.objects.get().timezone)
    return working_day(today, settings.high_due_days if urgent else settings.due_days)


def reason_of(signals: Sequence[Signal]) -> str:
    """The names of the rules, the heaviest first: “Usage near limit, Team growing”."""
    order = {"high": 0, "medium": 1, "low": 2}
    ranked = sorted(signals, key=lambda s: (order[s.weight], s.rule.position))
    names = [signal.rule.name for signal in ranked]
    return ", ".join(dict.fromkeys(names))[:400]


def _join(task: HandoffTask, customer: Customer, now: datetime) -> None:
    """Later signals make the task heavier; they raise no second one."""
    if not Signal.objects.filter(customer=customer, task__isnull=True, status="open").update(task=task):
        return
    signals = list(task.signals.filter(status="open").select_related("rule").order_by("occurred_at", "id"))
    settings = SalesSettings.current()
    due_on = task.due_on
    if any(signal.weight == "high" for signal in signals):
        due_on = min(due_on, _due_on(settings, True, now))
        task.snoozed_until = None
    task.reason = ", ".join(dict.fromkeys([*_asked(task), *reason_of(signals).split(", ")]))[:400]
    task.score, task.due_on = score(signals, now, settings), due_on
    task.save(update_fields=["reason", "score", "due_on", "snoozed_until"])


def _asked(task: HandoffTask) -> list[str]:
    """What is in the reason besides names of rules: what somebody asked for by hand."""
    names = set(Rule.objects.values_list("name", flat=True))
    return [part for part in task.reason.split(", ") if part and part not in names]


def _announce(task: HandoffTask, *, now: datetime, actor: str, mailing: bool = True) -> None:
    """The task as a fact, the customer's owner, and a mail to whoever got it."""
    customer, owner = task.customer, task.owner
    data: dict[str, Any] = {
        "reason": task.reason,
        "score": str(task.score),
        "due_on": task.due_on.isoformat(),
    }
    data["owner"] = owner and owner.pk
    event = record("handoff.raised", subject=task, customer=customer, actor=actor, now=now, data=data)
    if customer is None or owner is None:
        return
    if customer.owner_id is None:
        customers.assign_owner(customer=customer, owner=owner, now=now, actor=actor, why=task.owner_why)
    if mailing:
        context = {**_mail_facts(task), "arr": addresses.money(customer.arr, customer.currency)}
        mail.compose(
            template="handoff_task", to=owner.email, context=context, event=event, now=now, customer=customer
        )


def _mail_facts(task: HandoffTask) -> dict[str, Any]:
    signals = task.signals.select_related("rule").order_by("occurred_at", "id")
    return {"task": task, "signals": list(signals), "url": addresses.staff_url(task)}


@transaction.atomic
def raise_for_lead(*, lead: Lead, reason: str, now: datetime, actor: str) -> HandoffTask:
    """The task that a lead brings; one who is a customer with an open task joins it. Mails are the lead's."""
    task = _by_hand(lead.customer, reason, now, lead=lead, owner=lead.owner, owner_why="owner of the lead")
    return _insert_or_join(task, now=now, actor=actor, mailing=False)


@transaction.atomic
def raise_by_hand(
    *, customer: Customer, reason: str, now: datetime, actor: str, note: str = "", owner: User | None = None
) -> HandoffTask:
    """Work that somebody asked for, whatever the score: the customer's open task, or a new one."""
    why = "chosen by hand"
    if owner is None:
        owner, why = choose_owner(customer)
    task = _by_hand(customer, reason, now, owner=owner, owner_why=why, note=note)
    return _insert_or_join(task, now=now, actor=actor)


def _by_hand(customer: Customer | None, reason: str, now: datetime, **fields: Any) -> HandoffTask:
    settings = SalesSettings.current()
    points = settings.points(Weight.HIGH)
    due_on = _due_on(settings, True, now)
    return HandoffTask(
        customer=customer, reason=reason[:400], raised_at=now, due_on=due_on, score=points, **fields
    )


def _insert_or_join(task: HandoffTask, *, now: datetime, actor: str, mailing: bool = True) -> HandoffTask:
    try:
        with transaction.atomic():
            task.save(force_insert=True)
    except IntegrityError:
        return _join_by_hand(task)
    if task.customer is not None:
        _join(task, task.customer, now)
    _announce(task, now=now, actor=actor, mailing=mailing)
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
def follow_lead(*, lead: Lead, customer: Customer, now: datetime, actor: str) -> None:
    """The lead became a customer: owner and task go along, unless the customer has its own."""
    if customer.owner_id is None and lead.owner is not None:
        customers.assign_owner(
            customer=customer, owner=lead.owner, now=now, actor=actor, why="owner of the lead"
        )
    if not HandoffTask.objects.filter(customer=customer, status__in=HandoffTask.OPEN).exists():
        tasks = HandoffTask.objects.filter(lead=lead, customer__isnull=True, status__in=HandoffTask.OPEN)
        tasks.update(customer=customer)


# -- Owners ------------------------------------------------------------------------------------------------


def choose_owner(customer: Customer | None = None, *, domain: str = "") -> tuple[User | None, str]:
    """(owner, what chose it): who has the customer, then who has its company, then who has least to do."""
    if customer is not None and customer.owner is not None and customer.owner.is_active:
        return customer.owner, "owner of the customer"
    domain = domain or (customer.domain if customer else "")
    if domain and (known := _owner_of_company(domain, customer)):
        return known, f"owner of {domain}"
    return next_in_turn(), "round robin by load"


def _owner_of_company(domain: str, customer: Customer | None) -> User | None:
    target = TargetDomain.objects.filter(domain=domain, owner__is_active=True).select_related("owner").first()
    if target is not None:
        return target.owner
    others = Customer.objects.filter(domain=domain, owner__is_active=True)
    if customer is not None:
        others = others.filter(livemode=customer.livemode).exclude(pk=customer.pk)
    found = others.select_related("owner").order_by("pk").first()
    return found.owner if found else None


def next_in_turn() -> User | None:
    """The rep with the fewest open tasks; among equals, who waited longest for one. None without reps."""
    open_ones = Count("handoff_tasks", filter=Q(handoff_tasks__status__in=HandoffTask.OPEN))
    reps = User.objects.filter(groups__name=REPS, is_active=True, is_staff=True)
    ranked = reps.annotate(load=open_ones, last=Max("handoff_tasks__raised_at"))
    never = datetime.min.replace(tzinfo=UTC)
    return min(ranked, key=lambda rep: (rep.load, rep.last or never, rep.pk), default=None)


@transaction.atomic
def assign(*, task: HandoffTask, owner: User, now: datetime, actor: str, why: str = "reassigned") -> None:
    """Give an open task, and its customer or lead, to somebody else."""
    HandoffTask.objects.filter(pk=task.pk).update(owner=owner, owner_why=why[:120])
    task.owner, task.owner_why = owner, why[:120]
    if task.customer is not None:
        customers.assign_owner(customer=task.customer, owner=owner, now=now, actor=actor, why=why)
    if task.lead is not None:
        Lead.objects.filter(pk=task.lead_id).update(owner=owner)


# -- Working on it -----------------------------------------------------------------------------------------


@transaction.atomic
def accept(*, task: HandoffTask, by: User, now: datetime) -> None:
    """Somebody takes the task; it becomes theirs. Raises IllegalMove, StaleMove."""
    actor = f"user:{by.pk}"
    move(
        task,
        "accepted",
        event="handoff.accepted",
        actor=actor,
        now=now,
        accepted_at=now,
        data={"owner": by.pk},
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
