"""F04: a worker is stopped (SIGSTOP) at a border of the code with what lasts, longer than anything holds. Others take
its work; then it goes on as if nothing had been (SIGCONT). What it does so late changes nothing that they have done.

The database ends the session of whoever froze inside a transaction, as it does after two minutes in production: here
after a moment.
"""

import os
import signal
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from random import Random

from tests.faults import kills, processes, work
from tests.faults.kills import Report, Round
from tests.faults.points import Points
from tests.faults.provider import PATIENT
from tests.faults.stops import until

# How long a transaction may stand open, in milliseconds; two minutes in production.
LEFT_OPEN = 50
# Longer than a worker's claim of a job, of a webhook, and than an attempt may have no answer.
FROZEN_FOR = timedelta(minutes=45)


def run(*, seed: int, rounds: int, names: Mapping[str, list[str]]) -> Report:
    """`names`: see `kills.passages`."""
    started = time.monotonic()
    report = Report("frozen, and late", seed)
    with kills.a_round(seed, customers=8) as this:
        left = 5 * rounds  # not every place is reached each time
        while report.counts["frozen"] < rounds and left:
            left -= 1
            name = this.dice.choice(sorted(names))
            report.counts["frozen"] += freezes_at(this, name, names[name], report)
        return this.judge(report, started)


def freezes_at(this: Round, name: str, tasks: Collection[str], report: Report) -> bool:
    """False when it ended before it came there."""
    pid = processes.fork(lambda: late(this, name, tasks), this.log)
    if not stopped(pid, 60):
        return False
    try:
        report.counts["in a transaction"] += left_open()
        until(lambda: not left_open())
        others(this)
    finally:
        os.kill(pid, signal.SIGCONT)
    processes.wait(pid, 60)
    return True


def late(this: Round, name: str, tasks: Collection[str]) -> None:
    """The worker: it is stopped in one of its tasks, and ends that task afterwards."""
    from django.db import connection

    where = Points(name, this.dice.choice([1, 1, 1, 2]), signal.SIGSTOP)
    passing = [task for task, _ in work.TASKS if task.__name__ in tasks]
    limit = f"-c idle_in_transaction_session_timeout={LEFT_OPEN}"
    connection.settings_dict["OPTIONS"]["options"] = limit  # of each session that it opens, on any thread
    with work.ready(this.provider):
        where.install()
        dice = Random(this.dice.random())
        for _ in range(40):
            this.clock.advance(hours=dice.randint(1, 30))
            work.one(this.clock, dice, this.log, dice.choice(passing))
            if where.reached:
                return


def stopped(pid: int, seconds: float) -> bool:
    """Waits until it is; False when it ends instead."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if found:
            return os.WIFSTOPPED(status)
        time.sleep(0.002)
    processes.kill(pid)
    raise TimeoutError(f"process {pid} neither stopped nor ended in {seconds} s")


def left_open() -> int:
    """How many sessions of others stand in a transaction and say nothing."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and state like 'idle in transaction%'"
        )
        (count,) = cursor.fetchone()
    return int(count)


def others(this: Round) -> None:
    """Everything that waits is done by somebody else, after all that the frozen one held is over."""
    from django.utils import timezone
    from django_q.models import OrmQ

    from billing import collecting, refunding, running, webhooks_out

    now, later = this.clock(), timezone.now() + FROZEN_FOR
    OrmQ.objects.update(lock=timezone.now() - timedelta(days=1))
    with work.ready(this.provider, PATIENT):
        running.run(now=now)
        for reconcile in (collecting.reconcile, refunding.reconcile):
            reconcile(now=later, older_than=work.NO_WAIT)
        collecting.collect_due(now=now)
        work.remind(now, Random(0))
        while work.work_one():
            pass
        work.mail(now, Random(0))
        webhooks_out.send_due(now=later)
