"""The billing run: everything due, in order, in chunks, on any number of workers at once.

A chunk is claimed with SKIP LOCKED and billed in one transaction, so a worker killed anywhere leaves nothing half
done and its chunk to the next. Each subscription is billed for one due day at a time, in order: late is the same as
on time. A chunk that fails is halved until the one that cannot be billed stands alone; that one is set aside.
"""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import partial
from itertools import count
from threading import Lock
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import Min, Q
from django.utils import timezone
from django_q.tasks import async_task

from billing import (
    clocks,
    collecting,
    dunning,
    falling_due,
    renewing,
)
from billing.away import is_away
from billing.events import record
from billing.models import BillingFailure, BillingRun, Invoice, Subscription, TestClock
from billing.moves import StaleMove
from billing.uncollected import uncollected

CHUNK = 1000
# How many chunks a run has in hand at once: while the database writes one, the next is priced.
THREADS = 2
# How often a chunk is tried when the database ends its transaction, as it does with one of two in a deadlock.
TRIES = 3
# After how many chunks a thread looks for cycles: hardly any are left behind, and looking takes time.
COLLECTED = 10

NO_TURN = nullcontext()


@dataclass(slots=True)
class RunResult:
    subscriptions: int = 0
    invoices: int = 0
    failures: int = 0
    stopped: bool = False

    def add(self, other: "RunResult") -> None:
        self.subscriptions += other.subscriptions
        self.invoices += other.invoices
        self.failures += other.failures


@dataclass(slots=True)
class _Work:
    """What the threads of a run share. `pricing` is held by the one that prices: two would only take turns at the one
    interpreter, be ready at the same time, and then wait for each other's numbers."""

    now: datetime
    clock: TestClock | None
    chunk: int
    progress: Callable[[RunResult], None] | None
    enough: Callable[[], bool]
    result: RunResult = field(default_factory=RunResult)
    counting: Lock = field(default_factory=Lock)
    pricing: Lock = field(default_factory=Lock)

    def count(self, done: RunResult) -> None:
        with self.counting:
            self.result.add(done)
            if self.progress:
                self.progress(self.result)
            self.result.stopped = self.result.stopped or self.enough()


def run(
    *,
    now: datetime,
    clock: TestClock | None = None,
    chunk: int = CHUNK,
    threads: int = 1,
    progress: Callable[[RunResult], None] | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Bill every subscription due at or before `now` (a clock's own, or everybody's without one).

    `enough` is asked after each chunk; when it says so the run ends there, and its result is `stopped`.
    With several threads one prices while the database writes for another; each has a connection of its own.
    """
    work = _Work(now, clock, chunk, progress, enough)
    diary = None if clock else BillingRun.objects.create(due_at=now)
    with uncollected():
        _on_threads(threads, partial(_bill_all, work))
    if diary:
        BillingRun.objects.filter(pk=diary.pk).update(
            finished_at=timezone.now(),
            subscriptions=work.result.subscriptions,
            invoices=work.result.invoices,
            failures=work.result.failures,
        )
    return work.result


def _on_threads(threads: int, work: Callable[[], None]) -> None:
    """The caller's is one of them; it is the only one inside of a transaction, of which other connections see nothing."""
    others = 0 if connection.in_atomic_block else threads - 1
    if not others:
        return work()
    with ThreadPoolExecutor(others) as pool:
        beside = [pool.submit(_with_own_connection, work) for _ in range(others)]
        work()
        for one in beside:
            one.result()
    return None


def _with_own_connection(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connections.close_all()


def _bill_all(work: _Work) -> None:
    for chunks in count(1):
        done = _one_chunk(work.now, work.clock, work.chunk, turn=work.pricing)
        if done is None:
            return
        work.count(done)
        if work.result.stopped:
            return
        if chunks % COLLECTED == 0:
            gc.collect(0)


def _one_chunk(
    now: datetime,
    clock: TestClock | None,
    size: int,
    tries: int = TRIES,
    *,
    alone: bool = False,
    turn: AbstractContextManager[Any] = NO_TURN,
) -> RunResult | None:
    """Bill the next chunk. None when nothing is due that nobody else is billing. `alone`: nothing shares a paper.
    `turn` is held until everything is priced.

    Raises what the database says when it is gone.
    """
    claimed: list[Subscription] = []
    try:
        with ExitStack() as pricing:
            pricing.enter_context(turn)
            with transaction.atomic():
                claimed = falling_due.claim(falling_due.due_at(now, clock), clock, size, alone=alone)
                if not claimed:
                    return None
                papers = falling_due.bill(claimed, now, pricing.close)
                return RunResult(subscriptions=len(claimed), invoices=papers)
    except Exception as error:
        if is_away(error):  # a session that was ended, a deadlock: it says nothing about a subscription
            if tries == 1 or not connection.is_usable():
                raise
            return _one_chunk(now, clock, size, tries - 1, alone=alone, turn=turn)
        if not claimed:
            raise
        if len(claimed) > 1:
            return _one_chunk(now, clock, max(1, min(size, len(claimed)) // 2), alone=size == 1, turn=turn)
        return _set_aside(claimed[0], now, error)


def _set_aside(row: Subscription, now: datetime, error: Exception) -> RunResult:
    """The one that cannot be billed waits for somebody to look, and holds nobody else up.

    Unless another worker holds it: then that one finds out for itself.
    """
    with transaction.atomic():
        due = Subscription.objects.filter(pk=row.pk, next_due_at__lte=now, billing_failure__isnull=True)
        mine = due.select_for_update(skip_locked=True, of=("self",), no_key=True).first()
        if mine is not None:
            BillingFailure.objects.create(subscription=mine, reason=reason_of(error), at=now)
    return RunResult(subscriptions=1, failures=int(mine is not None))


def reason_of(error: Exception) -> str:
    """Why a subscription could not be billed, for who looks into it."""
    return f"{type(error).__name__}: {error}"[:2000]


# -- Test clocks -------------------------------------------------------------------------------------------


def advance(
    *, clock: TestClock, to: datetime, actor: str, progress: Callable[[datetime], None] | None = None
) -> None:
    """Move a clock; everything on the way happens in order, each at its own time. Can be called again after a crash.

    Raises ClockRefused for going back, Moving while another process moves it, StaleMove for one that is deleted.
    """
    with clocks.held(clock):
        clock.refresh_from_db()
        if clock.deleted_at:
            raise StaleMove(f"{clock.pk} was deleted")
        began = clock.now
        if to < clock.now:
            raise clocks.ClockRefused("A clock never goes back.", field="to")
        cut_short = clock.status == "advancing"
        TestClock.objects.filter(pk=clock.pk).update(target=to, status="advancing")
        if cut_short:
            _happen(clock, Step.NOTICE)  # what moved it may have died in the middle of a moment
        while waiting := _waiting(clock, to):
            _set(clock, max(min(waiting.values()), clock.now))
            _happen(clock, min(step for step, moment in waiting.items() if moment <= clock.now))
            if progress:
                progress(clock.now)
        _arrive(clock, began, to, actor)
    clock.refresh_from_db()


def _arrive(clock: TestClock, began: datetime, to: datetime, actor: str) -> None:
    clock.now = to
    with transaction.atomic():
        TestClock.objects.filter(pk=clock.pk).update(now=to, target=None, status="ready")
        data = {"from": began.isoformat(), "to": to.isoformat()}
        record("test_clock.advanced", subject=clock, actor=actor, now=to, data=data)


def send_on(*, clock: TestClock, to: datetime, actor: str) -> None:
    """Have a job move it. Raises as `advance` does, and TooFar."""
    with transaction.atomic(), clocks.held(clock):
        clocks.check_advance(clock, to)
        TestClock.objects.filter(pk=clock.pk).update(target=to, status="advancing")
        async_task("billing.tasks.advance_clock", clock.pk, actor)


def _set(clock: TestClock, now: datetime) -> None:
    clock.now = now
    TestClock.objects.filter(pk=clock.pk).update(now=now)


class Step(IntEnum):
    """What happens at one time, in this order: each may be a reason for those after it."""

    NOTICE, BILL, SEND, GIVE_UP, CHARGE, OVERDUE, REMIND = range(7)


def _happen(clock: TestClock, first: Step) -> None:
    """Everything that is due at the clock's time, from the first step that has something to do."""
    steps: dict[Step, Callable[..., object]] = {
        Step.NOTICE: renewing.notify,
        Step.BILL: run,
        Step.SEND: collecting.send_new,
        Step.GIVE_UP: collecting.give_up_unconfirmed,
        Step.CHARGE: collecting.collect_due,
        Step.OVERDUE: collecting.overdue,
        Step.REMIND: dunning.remind,
    }
    for step in Step:
        if step >= first:
            steps[step](now=clock.now, clock=clock)


def _waiting(clock: TestClock, to: datetime) -> dict[Step, datetime]:
    """The steps with something to do until `to`, each with the time of the first of it."""
    due = falling_due.due_at(to, clock).order_by("next_due_at").values_list("next_due_at", flat=True)
    notices = Subscription.objects.filter(test_clock=clock, next_notice_at__lte=to)
    moments = {
        Step.NOTICE: notices.order_by("next_notice_at").values_list("next_notice_at", flat=True).first(),
        Step.BILL: due.first(),
        Step.GIVE_UP: collecting.next_given_up(clock, to),
        **_of_invoices(clock, to),
    }
    return {step: moment for step, moment in moments.items() if moment is not None}


def _of_invoices(clock: TestClock, to: datetime) -> dict[Step, datetime | None]:
    by_card, by_invoice = Q(collection_method="charge_automatically"), Q(collection_method="send_invoice")
    found = Invoice.objects.filter(customer__test_clock=clock, status="open").aggregate(
        SEND=Min("issued_at", filter=by_invoice & Q(sent_at__isnull=True)),
        CHARGE=Min("next_attempt_at", filter=by_card & Q(next_attempt_at__lte=to)),
        OVERDUE=Min("due_at", filter=by_invoice & Q(due_at__lte=to, attempts=0)),
        REMIND=Min("next_reminder_at", filter=Q(next_reminder_at__lte=to)),
    )
    return {Step[name]: moment for name, moment in found.items()}
