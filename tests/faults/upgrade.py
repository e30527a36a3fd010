"""F36: the code of an earlier commit is at work, a web server and a job worker, while the tables are migrated to those of
today. It goes on, then today's web server and job worker stand beside it, and then it is gone."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from config.embedded import places
from tests.faults import clusters
from tests.faults.clients import Clients
from tests.faults.kills import Report
from tests.faults.outages import BACK_IN_TIME
from tests.faults.stops import ROOT, ask_for_a_run, until

APPS = ("billing", "sales", "checkout")


def run(*, seed: int, since: str = "", seconds: float = 8.0, soon: float = BACK_IN_TIME) -> Report:
    """since: the earlier commit; by default the one before the newest migration. seconds: how long each state lasts.
    Raises LookupError where there is no history to take it from."""
    started = time.monotonic()
    since = since or before_the_newest_migration()
    report = Report(f"upgraded from {since[:10]}", seed)
    kinds = ("answers", "late to come back", "lost", "twice", "not billed", "books", "migrating")
    report.found = {kind: [] for kind in kinds}
    with earlier(since) as old, clusters.cluster() as server, tempfile.TemporaryDirectory() as folder:
        clusters.copied(server)
        url = f"postgres://{places.NAME}@/{places.NAME}?host={server.socket}"
        with clusters.at(server.socket):
            this = Clients(url, report, Random(seed), soon)
            this.begins()
            for app in APPS:
                report.found["migrating"] += migrated(url, folder, app, newest(old, app))
            lives_through(this, old, folder, seconds)
            this.judge()
    report.seconds = time.monotonic() - started
    return report


def lives_through(this: Clients, old: Path, folder: str, seconds: float) -> None:
    next_one = Clients(this.url, this.report, this.dice, this.soon)  # for a port of its own
    with contextlib.ExitStack() as new:
        with this.web(folder, root=old), this.worker(folder, root=old):
            until(this.is_well)
            this.worker_begins()
            with this.clients():
                ask_for_a_run()
                time.sleep(seconds / 2)
                this.report.found["migrating"] += migrated(this.url, folder)
                ask_for_a_run()
                time.sleep(seconds)
                new.enter_context(next_one.web(folder, name="next-web"))
                new.enter_context(next_one.worker(folder, name="next-worker"))
                until(next_one.is_well)
                with beside(this, next_one):
                    ask_for_a_run()
                    time.sleep(seconds)
                this.port = next_one.port
                time.sleep(1)
        this.bills_again()


@contextlib.contextmanager
def beside(this: Clients, other: Clients) -> Iterator[None]:
    """The same is asked of both."""
    other.customer, other.secret, other.cookie = this.customer, this.secret, this.cookie
    other.taken, other.named = this.taken, "next-"
    with other.clients():
        yield


def migrated(url: str, folder: str, *target: str) -> Iterator[str]:
    """By today's code, as an operator does it; what went wrong."""
    given = {**os.environ, "DATABASE_URL": url, "TANDEM_HOME": folder, "LOG_LEVEL": "CRITICAL"}
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", *target],
        cwd=ROOT, env=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        yield done.stderr.strip()[-300:]


@contextlib.contextmanager
def earlier(since: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        taken = git("archive", since)
        subprocess.run(["tar", "-x", "-C", folder], input=taken, check=True)
        yield Path(folder)


def newest(root: Path, app: str) -> str:
    """The name of that code's last migration."""
    return sorted(path.stem for path in (root / app / "migrations").glob("0*.py"))[-1]


def before_the_newest_migration() -> str:
    paths = [f"{app}/migrations/0*.py" for app in APPS]
    found = git("log", "-1", "--format=%H", "--diff-filter=A", "--", *paths).decode().strip()
    return git("rev-parse", f"{found}~1").decode().strip()


def git(*command: str) -> bytes:
    done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise LookupError(f"no history: {done.stderr.decode().strip()}")
    return done.stdout
