"""F30: four workers whose clocks differ by ten minutes either way, of which each is set back by an hour now and then.

Real time (claims, leases, jobs, age of an attempt) and the world's (what is due) are off alike, as on a machine whose
clock is wrong. Nothing runs twice, no period is negative, numbers and dates stay in one order.
"""

import time
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import time_machine

from tests.faults import kills, processes, work
from tests.faults.kills import Report, Round
from tests.faults.world import Clock

APART = tuple(timedelta(minutes=minutes) for minutes in (0, 10, -10, 3))
BACK = timedelta(hours=1)
# How many tasks a worker does between two of its clock's steps.
BETWEEN = 6


class Skewed:
    """The world's clock as a machine sees it whose own is wrong by `off`."""

    def __init__(self, clock: Clock, off: timedelta) -> None:
        self.clock, self.off = clock, off

    def __call__(self) -> datetime:
        return self.clock() + self.off

    def advance(self, **span: float) -> None:
        self.clock.advance(**span)


def run(*, seed: int, tasks: int = 400, customers: int = 20) -> Report:
    """tasks: done by all workers together."""
    started = time.monotonic()
    report = Report("clocks that differ", seed)
    with kills.a_round(seed, customers=customers) as this:
        living = [worker(this, apart, tasks) for apart in APART]
        while this.tally() < tasks:
            time.sleep(0.05)
            this.clock.advance(hours=this.dice.randint(1, 8))
        for pid in living:
            processes.wait(pid, 120)
        report.counts["tasks"] = this.tally()
        this.clock.advance(hours=2)  # nobody has seen a later time than the end
        found = this.judge(report, started)
        report.found["periods that are none"] = backwards()
        return found


def worker(this: Round, apart: timedelta, tasks: int) -> int:
    dice = Random(this.dice.randrange(2**31))

    def live() -> None:
        with work.ready(this.provider):
            while this.tally() < tasks:
                works(this, apart - BACK * dice.choice([0, 0, 1]), dice, this.log)

    return processes.fork(live, this.log)


def works(this: Round, off: timedelta, dice: Random, log: Path) -> None:
    """A few tasks on a machine whose clock is off by so much."""
    clock = Skewed(this.clock, off)
    with time_machine.travel(datetime.now().astimezone() + off, tick=True):
        for _ in range(BETWEEN):
            this.tally.one_more()
            work.one(clock, dice, log)


def backwards() -> list[str]:
    """Lines and phases that end before they begin."""
    from django.db.models import F

    from billing.models import InvoiceLine, Phase

    lines = InvoiceLine.objects.filter(period_end__lte=F("period_start")).values_list("pk", flat=True)
    phases = Phase.objects.filter(end_on__lt=F("start_on")).values_list("pk", flat=True)
    return [*lines, *phases]
