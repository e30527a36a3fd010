"""F09: the primary database is killed under load, its standby takes over, and everybody is led there.

Synchronous: whatever anybody was told is committed is there afterwards, and the work goes on by itself. Asynchronous: the
last seconds are lost; what cards were charged in them is told by the provider's list, as after a restore.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import clusters, processes, restoring, work
from tests.faults.clients import Clients
from tests.faults.kills import Report, Round, a_round
from tests.faults.outages import BACK_IN_TIME
from tests.faults.stops import until

WORKERS = 3
# So many transactions are acknowledged before anything happens, however busy the machine is.
ENOUGH = 10


def run(
    *, seed: int, synchronous: bool = True, customers: int = 20, before: float = 5.0, after: float = 5.0,
    behind: float = 1.5, web: bool = True, soon: float = BACK_IN_TIME,
) -> Report:  # fmt: skip
    """before, after: seconds of work until the primary is killed, and from the standby's promotion. behind: seconds that
    an asynchronous standby lags. web: with a web server and its clients. soon: seconds in which it answers again."""
    started, dice = time.monotonic(), Random(seed)
    report = Report(f"failed over, {'synchronous' if synchronous else 'asynchronous'}", seed)
    report.found = {"answers": [], "late to come back": [], "lost": [], "twice": [], "books": []}
    with (
        clusters.pair(synchronous=synchronous) as (primary, standby),
        tempfile.TemporaryDirectory() as folder,
    ):
        address = clusters.Address(Path(folder), primary)
        with clusters.at(address.folder), a_round(seed, customers=customers) as this:
            clients = Clients(address.url, report, dice, soon) if web else None
            over = Failover(this, primary, standby, address, clients, Witness(Path(folder) / "told"), report)
            with over.asked_by_clients(folder):
                over.goes_on_by_itself(before, after) if synchronous else over.is_late(before, behind)
            over.judge(synchronous)
    report.kills = 1
    report.seconds = time.monotonic() - started
    return report


@dataclass
class Failover:
    this: Round
    primary: clusters.Server
    standby: clusters.Server
    address: clusters.Address
    clients: Clients | None
    witness: "Witness"
    report: Report
    behind_since: datetime | None = None

    def goes_on_by_itself(self, before: float, after: float) -> None:
        with self.workers():
            self.works(before)
            until(lambda: len(self.witness.told()) > ENOUGH)
            self.primary.kill()
            self.takes_over()
            self.works(after)
            self.charges_more()

    def is_late(self, before: float, behind: float) -> None:
        """Nobody works any more when the standby takes over: see docs/operating.md."""
        from django.utils import timezone

        with self.workers():
            self.works(before)
            until(lambda: len(self.witness.told()) > ENOUGH)
            self.behind_since = timezone.now()
            self.falls_behind()
            self.works(behind)
            self.charges_more()
            self.primary.kill()
        self.takes_over()

    def works(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.this.clock.advance(hours=self.this.dice.randint(2, 14))
            self.this.let_them_work()

    def charges_more(self) -> None:
        """However busy the machine is."""
        charges = len(self.this.provider.charges())
        self.this.clock.advance(days=31)
        until(lambda: len(self.this.provider.charges()) > charges)

    def falls_behind(self) -> None:
        """From now on the standby hears nothing, and the primary does not wait for it."""
        ((sender,),) = self.primary.ask("select pid from pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)

    def takes_over(self) -> None:
        """Judged before anybody is let in: a number that was lost may be given again."""
        self.standby.ask("select pg_promote()")
        told = self.witness.told()
        self.report.counts["commits acknowledged"] = len(told)
        self.report.found["lost"] += [f"transaction {each}" for each in lost(self.standby, told)]
        self.address.leads_to(self.standby)
        if self.clients:
            self.clients.comes_back()

    @contextmanager
    def workers(self) -> Iterator[None]:
        living = [self.this.worker(self.witness.install) for _ in range(WORKERS)]
        try:
            yield
        finally:
            for pid in living:
                processes.kill(pid)

    @contextmanager
    def asked_by_clients(self, folder: str) -> Iterator[None]:
        if self.clients is None:
            yield
            return
        some = work.some_subscription(self.this.dice)
        self.clients.lets_in(some.customer_id)
        with self.clients.web(folder), self.clients.clients():
            yield

    def judge(self, synchronous: bool) -> None:
        """What an asynchronous standby has not is lost; what was charged meanwhile is found as after a restore."""
        if self.clients:
            self.clients.judge()
        found = self.report.found
        if synchronous:
            self.report.found = found | self.this.judge(self.report, 0).found
            return
        self.report.counts["acknowledged and lost"] = len(found.pop("lost"))
        found.pop("books", None)  # restoring looks at them, before and after
        assert self.behind_since is not None
        self.report.found = found | restoring.goes_on(self.this, self.report, self.behind_since)


def lost(server: clusters.Server, told: list[int]) -> list[int]:
    """Of these transactions, those that the server knows nothing of or has not committed."""
    ((following,),) = server.ask("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    known = [each for each in told if each < following]
    rows = server.ask("select x, pg_xact_status(x::text::xid8) from unnest(%s::bigint[]) x", known)
    kept = {number for number, status in rows if status == "committed"}
    return sorted(set(told) - kept)


class Witness:
    """The server's numbers of all transactions of which some process was told that they are committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def install(self) -> None:
        """In this process: note each as soon as it is told, so that a death right after it changes nothing."""
        import psycopg
        from django.db.backends.base.base import BaseDatabaseWrapper

        commit: Any = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
        notes = os.open(self.path, os.O_WRONLY | os.O_APPEND)

        def noted(wrapper: Any) -> None:
            with wrapper.wrap_database_errors, psycopg.Cursor(wrapper.connection) as cursor:
                row = cursor.execute("select pg_current_xact_id_if_assigned()::text").fetchone()
            commit(wrapper)
            if row and row[0]:
                os.write(notes, f"{row[0]}\n".encode())

        BaseDatabaseWrapper._commit = noted  # type: ignore[attr-defined]

    def told(self) -> list[int]:
        return [int(line) for line in self.path.read_text().split()]
