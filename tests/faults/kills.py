"""Rounds: workers are killed anywhere (`kills`), at named points (`points`), or asked to stop (`stops`)."""

import json
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.faults import judging, processes, work, world
from tests.faults.points import Points
from tests.faults.provider import PATIENT, Provider, Receiver, provider, receiver

# Seconds from the last of so many tasks, begun by any of the workers, to the next kill.
LONGEST_LIFE, TASKS_A_LIFE = 0.04, (0, 0, 1, 2, 4)
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
    tally: world.Tally = field(default_factory=world.Tally)

    def let_them_work(self) -> None:
        """A few tasks, however busy the machine is, and then up to the longest life."""
        wanted, end = self.tally() + self.dice.choice(TASKS_A_LIFE), time.monotonic() + 2
        while self.tally() < wanted and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(self.dice.uniform(0, LONGEST_LIFE))

    def worker(self, bug: Callable[[], None] | None = None) -> int:
        seed = self.dice.randrange(2**31)

        def live() -> None:
            if bug:
                bug()
            work.forever(self.clock, self.provider, seed, self.log, self.tally)

        return processes.fork(live, self.log)

    def judge(self, report: Report, started: float) -> Report:
        """Finish without faults, then look."""
        from billing.models import Event, Invoice, Payment, WebhookAttempt

        self.provider.faults()
        with work.ready(self.provider, PATIENT):
            try:
                work.finish(self.clock)
            except Exception as error:  # what holds up a clean run is a finding, not the end of the harness
                processes.note(self.log, error)
        report.found = judging.judge(self.provider, self.receiver, self.log)
        report.counts.update(
            invoices=Invoice.objects.count(), attempts=Payment.objects.filter(method="card").count(),
            facts=Event.objects.count(), webhooks=WebhookAttempt.objects.count(),
        )  # fmt: skip
        report.seconds = time.monotonic() - started
        return report


def clear() -> None:
    """An empty database for the next world."""
    from tests.emptying import empty

    empty()


@contextmanager
def a_round(seed: int, *, customers: int = 30, hooks: bool = True) -> Iterator[Round]:
    dice, clock = Random(seed), world.Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        provider() as bank,
        receiver() if hooks else nullcontext() as ears,
        work.ready(bank, PATIENT),
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
            while report.kills < number:
                this.let_them_work()
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


def points(*, seed: int, names: Mapping[str, list[str]], most: int = 0) -> Report:
    """F02, F14: die at each named place (or `most` of them, by lot), at one of its first passages. `names`: see
    `passages`."""  # fmt: skip
    started = time.monotonic()
    report = Report("killed at named points", seed)
    report.counts["points known"] = len(names)
    with a_round(seed, customers=8) as this:
        for name in this.dice.sample(sorted(names), min(most or len(names), len(names))):
            died = dies_at(this, name, names[name])
            report.kills += died
            report.counts["points not reached"] += not died
        return this.judge(report, started)


def passages(seed: int, times: int = 15) -> dict[str, list[str]]:
    """Every point there is: its name, and the tasks that pass it. Told by a child that lives through each task so many
    times that rare branches are taken too."""  # fmt: skip
    tasks = [task for task, _ in work.TASKS] * times
    with a_round(seed, customers=12) as this:
        listed = this.log.with_name("points")

        def live() -> None:
            seen, found = Points(), defaultdict(set)
            seen.install()
            with work.ready(this.provider):
                for task in this.dice.sample(tasks, len(tasks)):
                    seen.passed.clear()
                    this.clock.advance(hours=this.dice.randint(1, 30))
                    work.one(this.clock, this.dice, this.log, task)
                    for name in seen.passed:
                        found[name].add(task.__name__)
            listed.write_text(json.dumps({name: sorted(tasks) for name, tasks in found.items()}))

        processes.wait(processes.fork(live, this.log), 300)
        names: dict[str, list[str]] = json.loads(listed.read_text())
    clear()
    return names


def dies_at(this: Round, name: str, tasks: Collection[str]) -> bool:
    """False when it ended before it came there."""
    number, seed = this.dice.choice([1, 1, 1, 2]), this.dice.randrange(2**31)
    passing = [task for task, _ in work.TASKS if task.__name__ in tasks]

    def live() -> None:
        Points(name, number).install()
        with work.ready(this.provider):
            dice = Random(seed)
            for _ in range(40):
                this.clock.advance(hours=dice.randint(1, 30))
                work.one(this.clock, dice, this.log, dice.choice(passing))

    return processes.wait(processes.fork(live, this.log), 60) == signal.SIGKILL


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
