"""F07, F08, F12, F40: the database crashes, is gone for a while, takes nobody in, is slow, while a real web server and a
real job worker are at work. Clients ask for pages, send usage and webhooks, and repeat what was not answered."""

import contextlib
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import clusters
from tests.faults.clients import Clients
from tests.faults.kills import Report
from tests.faults.stops import ask_for_a_run, until

# How soon everything works again, in seconds, once the database does.
BACK_IN_TIME = 5.0
# So much is taken before it is looked for, however busy the machine is.
ENOUGH = 10


def run(
    *,
    seed: int,
    crashes: int = 10,
    gone: float = 20.0,
    full: float = 5.0,
    slow: float = 10.0,
    delay: float = 0.3,
    soon: float = BACK_IN_TIME,
) -> Report:
    """crashes: how many. gone, full, slow: for how many seconds; slow is by `delay` seconds for each thing said. soon:
    how many seconds everything may take to work again."""
    started, report = time.monotonic(), Report("database out of order", seed)
    report.found = {
        "answers": [],
        "late to come back": [],
        "lost": [],
        "twice": [],
        "not billed": [],
        "books": [],
    }
    with clusters.cluster() as server, tempfile.TemporaryDirectory() as folder:
        clusters.copied(server)
        with clusters.at(server.socket), Line(server.socket, Path(folder), Random(seed)) as line:
            this = Outages(server, line, report, Random(seed), soon)
            this.begins()
            with this.web(folder), this.worker(folder):
                with this.clients():
                    this.lives_through(crashes, gone, full, slow, delay)
                this.bills_again()
            this.judge()
    report.seconds = time.monotonic() - started
    return report


class Outages(Clients):
    def __init__(
        self, server: clusters.Cluster, line: "Line", report: Report, dice: Random, soon: float
    ) -> None:
        super().__init__(line.url, report, dice, soon)
        self.server, self.line = server, line

    # -- what goes wrong --
    def lives_through(self, crashes: int, gone: float, full: float, slow: float, delay: float) -> None:
        until(self.is_well)
        self.worker_begins()
        ask_for_a_run()
        for _ in range(crashes):
            time.sleep(self.dice.uniform(0.1, 0.6))
            self.server.crash()
            self.report.kills += 1
            self.comes_back(self.server.start)
        self.server.crash()
        time.sleep(gone)
        self.comes_back(self.server.start)
        with self.nobody_else_let_in():
            time.sleep(full)
            self.report.counts["well while full"] += self.is_well()
        self.comes_back()
        with self.line.slowly(delay, 0.01):
            time.sleep(slow)
        self.comes_back()
        until(lambda: len(self.taken) > ENOUGH)

    @contextlib.contextmanager
    def nobody_else_let_in(self) -> Iterator[None]:
        """Every place for a session is taken by somebody else."""
        import psycopg

        held: list[Any] = []
        address = f"host={self.server.socket} user=tandem dbname=tandem"
        keep = "pid <> pg_backend_pid() and application_name <> 'taken' and backend_type = 'client backend'"
        with psycopg.connect(f"{address} application_name=taken", autocommit=True) as first:
            for _ in range(3):
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        held.append(psycopg.connect(f"{address} application_name=taken"))
                first.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {keep}".encode())
            try:
                yield
            finally:
                for one in held:
                    one.close()


# -- The line -------------------------------------------------------------------------------------------------


class Line:
    """What lies between Tandem and its database: a socket in a folder of its own, which can be slow and can break."""

    def __init__(self, server: Path, folder: Path, dice: Random) -> None:
        self.server, self.dice, self.delay, self.breaks = server / ".s.PGSQL.5432", dice, 0.0, 0.0
        self.folder = folder / "line"
        self.folder.mkdir()

    @property
    def url(self) -> str:
        return f"postgres://tandem@/tandem?host={self.folder}"

    def __enter__(self) -> "Line":
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(self.folder / ".s.PGSQL.5432"))
        self.door.listen(128)
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.door.close()

    @contextlib.contextmanager
    def slowly(self, delay: float, breaks: float) -> Iterator[None]:
        """delay: seconds for each thing that is said. breaks: how likely the line is cut then."""
        self.delay, self.breaks = delay, breaks
        try:
            yield
        finally:
            self.delay = self.breaks = 0.0

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.carry, args=(self.door.accept()[0],), daemon=True).start()

    def carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, contextlib.suppress(OSError), selectors.DefaultSelector() as both:
            server.connect(str(self.server))
            both.register(client, selectors.EVENT_READ, (server, True))
            both.register(server, selectors.EVENT_READ, (client, False))
            while all(self.passed_on(key.fileobj, *key.data) for key, _ in both.select()):
                pass

    def passed_on(self, by: Any, to: socket.socket, asked: bool) -> bool:
        """False when the line ends here. It is slow one way, and cut either way."""
        data = by.recv(65536)
        time.sleep(self.delay if asked else 0)
        if not data or self.dice.random() < self.breaks:
            return False
        to.sendall(data)
        return True
