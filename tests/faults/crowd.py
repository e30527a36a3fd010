"""F12: more clients than the database has places for. Who gets none is asked to come again, in the address's own form;
when the crowd is gone everybody gets one. With a pooler before the same database nobody is sent away."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.faults import clusters
from tests.faults.clients import Clients, process
from tests.faults.kills import Report
from tests.faults.outages import BACK_IN_TIME
from tests.faults.stops import ask_for_a_run, due, until

PLACES = 20
# Five kinds of clients, so many times: 65 of them.
TIMES = 13


def run(
    *, seed: int, seconds: float = 10.0, pooled: bool = False, times: int = TIMES, soon: float = BACK_IN_TIME
) -> Report:
    """seconds: how long the crowd stays. pooled: through PgBouncer, each transaction in another session. Raises
    FileNotFoundError where that is not installed."""
    started = time.monotonic()
    report = Report(f"{5 * times} clients, {PLACES} places{', a pooler' if pooled else ''}", seed)
    report.found = {
        "answers": [],
        "late to come back": [],
        "lost": [],
        "twice": [],
        "books": [],
        "not billed": [],
    }
    with (
        clusters.servers(1, max_connections=str(PLACES)) as (server,),
        tempfile.TemporaryDirectory() as folder,
    ):
        Path(folder).chmod(0o711)  # the server's user goes through it
        server.start()
        clusters.copied(server)
        with clusters.at(server.socket), led_to(server, Path(folder), pooled) as url:
            clients = Clients(url, report, Random(seed), soon)
            clients.begins()
            with clients.web(folder, WEB_WORKERS="2", WEB_THREADS=str(5 * times // 2)):
                until(clients.is_well)
                with clients.clients(times):
                    time.sleep(seconds)
                clients.comes_back()
                report.found["late to come back"] += steadily(clients)
            if pooled:
                report.found["answers"] += (
                    [f"{report.counts['503']} sent away"] if report.counts["503"] else []
                )
                bills(report, folder, url)
            clients.judge()
    report.seconds = time.monotonic() - started
    return report


@contextlib.contextmanager
def led_to(server: clusters.Server, folder: Path, pooled: bool) -> Iterator[str]:
    if not pooled:
        yield f"postgres://tandem@/tandem?host={server.socket}"
        return
    with clusters.pooler(server, folder / "pooler", size=PLACES // 2) as url:
        yield url


def steadily(clients: Clients) -> Iterator[str]:
    """Once it is well it stays so, whichever of its threads is asked."""
    wrong = sum(not clients.is_well() for _ in range(50))
    if wrong:
        yield f"{wrong} of 50 were sent away after the crowd had gone"


def bills(report: Report, folder: str, url: str) -> None:
    """A job worker behind the pooler: it takes jobs and bills."""
    ask_for_a_run()
    with process("worker", folder, url, "manage", "qcluster", WORKERS="1"):
        try:
            until(lambda: not due())
        except TimeoutError:
            report.found["not billed"].append(f"{due()} are still due")
