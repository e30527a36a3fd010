"""Rounds: workers are killed anywhere (`kills`), at named points (`points`), or asked to stop (`stops`)."""

import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.faults import judging, processes, work, world
from tests.faults.points import Points
from tests.faults.provider import Provider, Receiver, provider, receiver

LONGEST_LIFE = 0.04
# What may happen to the provider's answers, and how often.
WEATHER = [
    {"mode": "lose_answer", "path": "/v1/payment_intents", "share": 0.08},
    {"mode": "half_answer", "path": "/v1/payment_intents", "share": 0.05},
    {"mode": "time_out", "path": "/v1/payment_intents", "share": 0.01},
    {"mode": "refused", "path": "/v1/payment_intents", "share": 0.05},
    {"mode": "unavailable", "path": "/v1/payment_intents", "share": 0.04},
    {"mode": "error_500_after", "path": "/v1/payment_intents", "share": 0.03},
]  # fmt: skip


@dataclass
class Report:
    """What a round did and what was found. Everything is well when `found` has nothing but empty lists."""

    what: str
    seed: int
    kills: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not any(self.found.values())

    def lines(self) -> Iterator[str]:
        yield f"{self.what}: seed {self.seed}, {self.kills} kills in {self.seconds:.0f} s"
        yield "  " + ", ".join(f"{count} {name}" for name, count in self.counts.items())
        for kind, rows in self.found.items():
            yield f"  {kind}: {len(rows)}"
            yield from (f"      {row}" for row in rows[:10])


@dataclass
class Round:
    """One world with everything around it."""

    seed: int
    clock: world.Clock
    dice: Random
    provider: Provider
    receiver: Receiver | None
    log: Path

    def worker(self, bug: Callable[[], None] | None = None) -> int:
        seed = self.dice.randrange(2**31)

        def live() -> None:
            if bug:
                bug()
            work.forever(self.clock, self.provider, seed, self.log)

        return processes.fork(live, self.log)

    def judge(self, report: Report, started: float) -> Report:
        """Finish without faults, then look."""
        from billing.models import Event, Invoice, Payment, WebhookAttempt

        self.provider.faults()
        with work.ready(self.provider):
            work.finish(self.clock)
        report.found = judging.judge(self.provider, self.receiver, self.log)
        report.counts.update(
            invoices=Invoice.objects.count(), attempts=Payment.objects.filter(method="card").count(),
            facts=Event.objects.count(), webhooks=WebhookAttempt.objects.count(),
        )  # fmt: skip
        report.seconds = time.monotonic() - started
        return report


@contextmanager
def a_round(seed: int, *, customers: int = 30, hooks: bool = True) -> Iterator[Round]:
    dice, clock = Random(seed), world.Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        provider() as bank,
        receiver() if hooks else nullcontext() as ears,
        work.ready(bank),
    ):
        world.make(clock, dice, customers=customers, receiver_url=ears.url if ears else "")
        yield Round(seed, clock, dice, bank, ears, Path(folder) / "errors.log")


def kills(
    number: int, *, seed: int, workers: int = 4, bug: Callable[[], None] | None = None, weather: bool = True
) -> Report:
    """F01, F06, F15, F27: processes killed after 0 to 40 ms of work, sessions ended, answers lost."""
    started = time.monotonic()
    report = Report("killed anywhere" if bug is None else f"planted: {bug.__name__}", seed)
    with a_round(seed) as this:
        if weather:
            this.provider.faults(*WEATHER)
        living = [this.worker(bug) for _ in range(workers)]
        try:
            for _ in range(number):
                time.sleep(this.dice.uniform(0, LONGEST_LIFE))
                if this.dice.random() < 0.15:
                    report.counts["sessions ended"] += end_a_session(this.dice)
                    continue
                this.clock.advance(hours=this.dice.randint(2, 14))
                processes.kill(living.pop(this.dice.randrange(len(living))))
                report.kills += 1
                living.append(this.worker(bug))
        finally:
            for pid in living:
                processes.kill(pid)
        return this.judge(report, started)


def end_a_session(dice: Random) -> int:
    """Take the database away from somebody."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_type = 'client backend'"
        )
        pids = [pid for (pid,) in cursor.fetchall()]
        if pids:
            cursor.execute("select pg_terminate_backend(%s)", [dice.choice(pids)])
    return len(pids[:1])


def points(*, seed: int, times: int = 1, most: int = 0) -> Report:
    """F02, F14: die at each named place (or `most` of them), at one of its first passages."""
    started = time.monotonic()
    report = Report("killed at named points", seed)
    with a_round(seed, customers=8) as this:
        names = passages(this)
        report.counts["points"] = len(names)
        for _ in range(times):
            for name in this.dice.sample(names, most) if most else names:
                report.kills += dies_at(this, name)
        return this.judge(report, started)


def passages(this: Round) -> list[str]:
    """The names that a busy while passes, told by a child that lives through it."""
    listed = this.log.with_name("points")

    def live() -> None:
        seen = Points()
        seen.install()
        with work.ready(this.provider):
            busy(this, Random(this.seed), 150)
        listed.write_text("\n".join(sorted(seen.passed)))

    processes.wait(processes.fork(live, this.log), 120)
    return listed.read_text().splitlines()


def dies_at(this: Round, name: str) -> bool:
    """False when it ended before it came there."""
    this.clock.advance(days=this.dice.randint(1, 12))
    number, seed = this.dice.choice([1, 1, 2, 3]), this.dice.randrange(2**31)

    def live() -> None:
        Points(name, number).install()
        with work.ready(this.provider):
            busy(this, Random(seed), 60)

    return processes.wait(processes.fork(live, this.log), 60) == signal.SIGKILL


def busy(this: Round, dice: Random, tasks: int) -> None:
    for _ in range(tasks):
        this.clock.advance(hours=dice.randint(1, 12))
        work.one(this.clock, dice, this.log)


def run_late(*, seed: int, days: int = 62) -> Report:
    """F33, F05: nothing ran for two months, then four schedulers wake at once."""
    started = time.monotonic()
    report = Report("run late, four at once", seed)
    with a_round(seed, customers=20) as this:
        this.clock.advance(days=days)

        def live() -> None:
            with work.ready(this.provider):
                while this.clock() < late:
                    time.sleep(0.001)
                work.bill(this.clock(), Random(1))
                work.collect(this.clock(), Random(1))

        late = this.clock() + timedelta(seconds=1)
        four = [processes.fork(live, this.log) for _ in range(4)]
        this.clock.set(late)
        for pid in four:
            processes.wait(pid, 60)
        return this.judge(report, started)
