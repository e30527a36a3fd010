"""F03: a real `qcluster` is asked to stop while it bills. It ends in time, and the next one finishes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.faults import judging, world
from tests.faults.kills import Report

ROOT = Path(__file__).resolve().parents[2]
# How long a job worker may take to end, in seconds; and how long the harness waits for anything.
IN_TIME, PATIENCE = 10.0, 90.0


def run(*, seed: int, rounds: int = 10, customers: int = 40, in_time: float = IN_TIME) -> Report:
    """Each round everybody is months late; a cluster bills, is stopped in the middle, and the next one goes on."""
    from django.utils import timezone

    started, dice = time.monotonic(), Random(seed)
    report = Report("asked to stop", seed)
    report.found = {"late to stop": [], "not billed": [], "books": []}
    for _ in range(rounds):
        world.make(world.Clock(timezone.now() - timedelta(days=400)), dice, customers=0)
        someone_late(dice, customers)
        ask_for_a_run()
        report.found["late to stop"] += stopped_in_the_middle(dice, report, in_time)
        due_before = due()
        ask_for_a_run()
        with cluster():
            until(lambda: not due())
        report.counts["left to the next"] += due_before
        report.found["not billed"] += [f"{due()} are still due"] if due() else []
    report.found["books"] = judging.broken_books()
    report.counts["invoices"] = papers()
    report.seconds = time.monotonic() - started
    return report


def someone_late(dice: Random, customers: int) -> None:
    from django.utils import timezone

    for _ in range(customers):
        world.on_account(timezone.now() - timedelta(days=dice.randint(200, 400)), dice)


def stopped_in_the_middle(dice: Random, report: Report, in_time: float) -> Iterator[str]:
    """What is wrong with how it ended."""
    before = papers()
    with cluster() as process:
        until(lambda: papers() > before)
        time.sleep(dice.uniform(0, 0.05))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        report.counts["in the middle"] += bool(due())
        status = process.wait(PATIENCE)
        taken = time.monotonic() - began
    report.kills += 1
    if taken > in_time or status:
        yield f"{taken:.1f} s, status {status}"


@contextmanager
def cluster() -> Iterator["subprocess.Popen[bytes]"]:
    """A job worker as an operator starts it, on the database of this process."""
    from django.db import connection

    where = (
        urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    )
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "DATABASE_URL": where, "LOG_LEVEL": "CRITICAL", "WORKERS": "2"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("nothing happened")
        time.sleep(0.005)


def ask_for_a_run() -> None:
    """What the scheduler does every five minutes; the locks of the dead have run out by then."""
    from django.utils import timezone
    from django_q.models import OrmQ
    from django_q.tasks import async_task

    OrmQ.objects.update(lock=timezone.now() - timedelta(days=1))
    async_task("billing.tasks.run_billing")


def due() -> int:
    from django.utils import timezone

    from billing import falling_due

    return falling_due.due_at(timezone.now(), None).count()


def papers() -> int:
    from billing.models import Invoice

    return Invoice.objects.count()
