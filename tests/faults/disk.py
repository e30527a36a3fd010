"""F11: the database's disk is full, and then its log cannot be written either, while a web server and a job worker work.

A file system of its own, in memory, is filled to the last byte and emptied again. Meanwhile everybody is asked to come
again; afterwards what was taken is there, nothing is half written, no number is missing, and the work goes on.
"""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
from django.db import connection

from config.embedded import places
from tests.faults import clusters
from tests.faults.clients import Clients
from tests.faults.kills import Report
from tests.faults.outages import BACK_IN_TIME
from tests.faults.stops import ask_for_a_run, until

# Room for the tables, their log and what a server needs beside.
MEGABYTES = 400


def run(*, seed: int, times: int = 5, soon: float = BACK_IN_TIME) -> Report:
    """times: how often the disk is full with room left in the log, and as often without, so that the server goes down
    and is started when there is room again. Raises PermissionError for who may not mount a file system."""
    started = time.monotonic()
    report = Report("disk full", seed)
    report.found = {
        kind: [] for kind in ("answers", "late to come back", "lost", "twice", "not billed", "books")
    }
    with clusters.servers(1) as (server,), tempfile.TemporaryDirectory() as folder, small(server) as disk:
        server.settings |= {"min_wal_size": "32MB", "max_wal_size": "32MB", "wal_recycle": "off"}
        server.start()
        clusters.copied(server)
        with clusters.at(server.socket):
            this = FullDisk(server, disk, report, Random(seed), soon)
            this.begins()
            with this.web(folder), this.worker(folder):
                until(this.is_well)
                this.worker_begins()
                with this.clients():
                    for _ in range(times):
                        this.lives_through(log_too=False)
                        this.lives_through(log_too=True)
                this.bills_again()
            this.judge()
    report.seconds = time.monotonic() - started
    return report


@contextlib.contextmanager
def small(server: clusters.Server) -> Iterator[Path]:
    """The server's room is a disk of so many megabytes."""
    if os.geteuid():
        raise PermissionError("only root mounts a file system")
    mode = oct(server.room.stat().st_mode & 0o777)[2:]
    options = f"size={MEGABYTES}m,mode={mode}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", server.room], check=False)
    if done.returncode:
        raise PermissionError("no file system can be mounted here")
    try:
        yield server.room
    finally:
        server.stop()
        subprocess.run(["umount", server.room], check=True)


class FullDisk(Clients):
    def __init__(
        self, server: clusters.Server, disk: Path, report: Report, dice: Random, soon: float
    ) -> None:
        super().__init__(f"postgres://{places.NAME}@/{places.NAME}?host={server.socket}", report, dice, soon)
        self.server, self.ballast = server, disk / "ballast"

    def lives_through(self, *, log_too: bool) -> None:
        """Until somebody was sent away for it."""
        connection.close()  # of a server that went down the last time
        sent_away = self.report.counts["503"]
        ask_for_a_run()
        with self.nothing_left():
            if log_too:
                self.uses_up_the_log()
            until(lambda: self.fills() or self.report.counts["503"] > sent_away)
            time.sleep(self.dice.uniform(0.5, 2))
        self.report.counts["times full"] += 1
        self.comes_back(self.starts_again)
        taken = len(self.taken)
        until(lambda: len(self.taken) > taken)

    @contextlib.contextmanager
    def nothing_left(self) -> Iterator[None]:
        self.fills()
        try:
            yield
        finally:
            self.ballast.unlink()

    def fills(self) -> None:
        """To the last byte, also of what the database has given back meanwhile."""
        with self.ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def uses_up_the_log(self) -> None:
        """What was kept of it for use, so that the server cannot say any more what it does."""
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                self.server.ask("select pg_switch_wal(), pg_logical_emit_message(false, 'so', 'much')")
        self.report.counts["times cut off"] += 1

    def starts_again(self) -> None:
        """What looks after the server starts it when it has gone down."""
        if self.server.process is not None and self.server.process.poll() is not None:
            self.report.counts["times down"] += 1
            self.server.start()
