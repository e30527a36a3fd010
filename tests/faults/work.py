"""What a worker does until it is killed: everything that Tandem does on its own, and what customers and staff do."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import processes
from tests.faults.provider import PATIENCE, Provider
from tests.faults.world import Clock, Tally, newcomer

NO_WAIT = timedelta(0)


def forever(clock: Clock, provider: Provider, seed: int, log: Path, tally: Tally) -> None:
    """Tasks in random order. What may be refused is refused; a lost database is found again; the rest is noted."""
    with ready(provider):
        dice = Random(seed)
        while True:
            tally.one_more()
            one(clock, dice, log)


@contextlib.contextmanager
def ready(provider: Provider, patience: tuple[float, float] = PATIENCE) -> Iterator[None]:
    """This process with a provider, and with nothing but its own children's patience."""
    from django.conf import settings

    from billing import gateway
    from billing.papers import isolated

    settings.OUTSIDE_NETWORKS = ["127.0.0.0/8"]
    press, isolated.render_isolated = isolated.render_isolated, lambda paper: b"%PDF a paper"
    try:
        with gateway.use(provider.gateway(patience)):
            yield
    finally:
        isolated.render_isolated = press


def one(clock: Clock, dice: Random, log: Path, task: "Task | None" = None) -> None:
    """One task, by lot unless it is said."""
    from django.db import InterfaceError, OperationalError, connection

    from billing.gateway import ProviderUnreachable
    from billing.moves import IllegalMove, StaleMove
    from billing.refusals import Refused

    task = task or dice.choices([task for task, _ in TASKS], [weight for _, weight in TASKS])[0]
    try:
        task(clock(), dice)
    except (
        Refused,
        IllegalMove,
        StaleMove,
        ProviderUnreachable,
    ):  # told by name, as to whoever would try again
        pass
    except (OperationalError, InterfaceError) as error:
        if "deadlock" in str(error) or "serialize" in str(error):
            processes.note(log, error)
        connection.close()
        time.sleep(0.005)
    except Exception as error:
        if not lost(error):
            processes.note(log, error)
        connection.close()


def lost(error: BaseException) -> bool:
    """Nothing but the loss of the database, however it is wrapped."""
    from billing.away import is_away

    if isinstance(error, BaseExceptionGroup):
        return all(lost(each) for each in error.exceptions)
    return is_away(error)


# -- What Tandem does by itself ---------------------------------------------------------------------------


def bill(now: datetime, dice: Random) -> None:
    from billing import running

    running.run(now=now, chunk=dice.choice([1, 3, 8]), threads=dice.choice([1, running.THREADS]))


def collect(now: datetime, dice: Random) -> None:
    from billing import collecting

    collecting.collect_due(now=now, limit=5)


def reconcile(now: datetime, dice: Random) -> None:
    """The provider's clock is real, and so is the age of an attempt."""
    from django.utils import timezone

    from billing import collecting, refunding

    collecting.reconcile(now=timezone.now(), older_than=NO_WAIT)
    refunding.reconcile(now=timezone.now(), older_than=NO_WAIT)


def remind(now: datetime, dice: Random) -> None:
    from billing import collecting

    collecting.send_new(now=now)
    collecting.overdue(now=now)


def work_queue(now: datetime, dice: Random) -> None:
    """Jobs as the job workers take them: locked, done, then acknowledged."""
    for _ in range(5):
        if not work_one():
            return


def work_one() -> bool:
    from django.utils.module_loading import import_string
    from django_q.brokers import get_broker
    from django_q.signing import SignedPackage

    broker = get_broker()
    taken = broker.dequeue()
    for ticket, payload in taken or []:
        job = SignedPackage.loads(payload)
        if job["func"] not in SLOW:
            import_string(job["func"])(*job["args"], **job["kwargs"])
        broker.acknowledge(ticket)
    return bool(taken)


# The sender has a shift of its own below; papers take longer than a kill leaves.
SLOW = {"billing.tasks.send_webhooks", "billing.tasks.print_paper"}


def tell(now: datetime, dice: Random) -> None:
    from django.utils import timezone

    from billing import webhooks_out

    webhooks_out.work(clock=timezone.now, shift=timedelta(seconds=1), linger=NO_WAIT)


def mail(now: datetime, dice: Random) -> None:
    from billing import tasks

    tasks.send_waiting_mail()


# -- What people do ---------------------------------------------------------------------------------------


def seats(now: datetime, dice: Random) -> None:
    from billing import subscribing

    row = some_subscription(dice)
    if row:
        subscribing.change(subscription=row, quantity=Decimal(dice.randint(1, 12)), now=now, actor="system")


def interval(now: datetime, dice: Random) -> None:
    from billing import subscribing

    row = some_subscription(dice)
    if row:
        subscribing.change(
            subscription=row,
            interval=dice.choice(["month", "year"]),
            quantity=Decimal(2),
            now=now,
            actor="system",
        )


def come(now: datetime, dice: Random) -> None:
    newcomer(now, dice, dice.randrange(10**9))


def leave(now: datetime, dice: Random) -> None:
    from billing import ending

    row = some_subscription(dice)
    if row:
        ending.cancel(subscription=row, effective=dice.choice(["now", "period_end"]), now=now, actor="system")


def transfer(now: datetime, dice: Random) -> None:
    from billing import collecting
    from billing.models import Invoice

    invoice = some(Invoice.objects.filter(status="open"), dice)
    if invoice:
        amount = dice.choice([invoice.amount_due, invoice.amount_due, max(invoice.amount_due // 2, 1), 5000])
        collecting.record_transfer(
            invoice=invoice,
            amount=amount,
            reference=f"T-{dice.randrange(10**9)}",
            paid_at=now,
            now=now,
            actor="system",
        )


def pay(now: datetime, dice: Random) -> None:
    """A customer presses the button in the portal while the run charges the same card."""
    from billing import collecting
    from billing.models import Invoice

    invoice = some(Invoice.objects.filter(status="open"), dice)
    if invoice:
        collecting.attempt(invoice=invoice, now=now, actor="system", off_session=False)


def use(now: datetime, dice: Random) -> None:
    """The same event may come twice, from two processes."""
    from billing import metering
    from billing.models import Customer

    customer = some(Customer.objects.all(), dice)
    if customer:
        events = [
            {"id": f"u-{dice.randrange(3000)}", "customer": customer.pk, "event_name": "api_call",
             "timestamp": now, "properties": {"value": str(dice.randint(1, 9000))}}
            for _ in range(5)
        ]  # fmt: skip
        metering.record(events=events, livemode=False, now=now)


def credit(now: datetime, dice: Random) -> None:
    """Staff take back a part, or the rest."""
    from billing import correcting
    from billing.models import Invoice

    invoice = some(Invoice.objects.filter(status__in=("open", "paid")), dice)
    if invoice:
        correcting.credit(
            invoice=invoice, amount=dice.choice([None, 1, max(invoice.total // 3, 1)]), reason="it", now=now,
            actor="system",
        )  # fmt: skip


def refund(now: datetime, dice: Random) -> None:
    from billing import refunding
    from billing.models import Payment

    payment = some(Payment.objects.filter(method="card", status="succeeded"), dice)
    if payment:
        amount = dice.choice([None, max(payment.amount // 2, 1)])
        refunding.refund(payment=payment, amount=amount, now=now, actor="system")


def give_up(now: datetime, dice: Random) -> None:
    """An open invoice is taken back, or nobody believes in it any more."""
    from billing import correcting
    from billing.models import Invoice

    invoice = some(Invoice.objects.filter(status="open"), dice)
    if invoice:
        verb = dice.choice([correcting.void, correcting.mark_uncollectible])
        verb(invoice=invoice, now=now, actor="system")


def rest(now: datetime, dice: Random) -> None:
    """A pause, and its end."""
    from billing import pausing

    row = some_subscription(dice)
    if row:
        verb = pausing.resume if row.status == "paused" else pausing.pause
        verb(subscription=row, now=now, actor="system")


def some(rows: Any, dice: Random) -> Any:
    """One of `rows`, or nothing: asked in one statement, as other processes end rows in between."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    return rows.filter(pk=dice.choice(keys)).first() if keys else None


def some_subscription(dice: Random) -> Any:
    from billing.models import Subscription

    return some(Subscription.objects.filter(status__in=Subscription.LIVE).select_related("customer"), dice)


type Task = Callable[[datetime, Random], None]


def chain(now: datetime, dice: Random) -> None:
    """Facts that were committed; whoever is in the middle of writing some is not waited for."""
    from billing import chaining

    chaining.extend(now=now, patience=0.2)


TASKS: list[tuple[Task, int]] = [
    (bill, 20), (collect, 20), (reconcile, 8), (remind, 3), (work_queue, 10), (tell, 10), (mail, 3), (seats, 8),
    (interval, 2), (come, 2), (leave, 1), (transfer, 5), (pay, 6), (use, 5), (credit, 2), (refund, 2),
    (give_up, 1), (rest, 1), (chain, 1),
]  # fmt: skip


# -- Afterwards -------------------------------------------------------------------------------------------


def finish(clock: Clock) -> None:
    """A clean run, as the next day brings it: nothing is due or unanswered any more when it returns. The provider may
    still be at work on what a killed worker asked, and say so for a while."""
    from django.utils import timezone
    from django_q.models import OrmQ

    from billing import collecting, refunding, running, webhooks_out
    from billing.models import Invoice, Payment, WebhookDelivery

    OrmQ.objects.update(lock=timezone.now() - timedelta(days=1))  # the locks of the dead have run out
    for _ in range(200):
        now = clock()
        running.run(now=now)
        for later in (NO_WAIT, timedelta(minutes=30)):  # what nobody can be calling any more is given up
            collecting.reconcile(now=timezone.now() + later, older_than=NO_WAIT)
            refunding.reconcile(now=timezone.now() + later, older_than=NO_WAIT)
        collecting.collect_due(now=now)
        remind(now, Random(0))
        while work_one():
            pass
        due = Invoice.objects.filter(
            status="open", next_attempt_at__lte=now, collection_method="charge_automatically"
        )
        if not due.exists() and not Payment.objects.filter(status__in=("new", "sent", "unknown")).exists():
            break
    later = timezone.now() + timedelta(minutes=2)  # the claims of the dead have run out
    for step in range(60):
        webhooks_out.send_due(now=later + timedelta(hours=step))
        if not WebhookDelivery.objects.filter(status="pending").exists():
            break
