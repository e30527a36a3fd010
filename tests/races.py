"""Several deeds at the same moment: threads or processes with connections of their own, let go together.

`ROUNDS` is how often a race is run: a few times in every run, as often as the environment says by `make races`.
"""

import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

from django.db import connection, connections, transaction

from tests.faults import processes

ROUNDS = int(os.environ.get("ROUNDS", "4"))


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """What each deed answered or raised."""
    barrier = Barrier(len(deeds))

    def run(deed: Callable[[], Any]) -> Any:
        try:
            barrier.wait(timeout=60)
            return deed()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(run, deeds))


PROCESSES = 16
# Seconds that a process may wait for the others, and the parent for a process.
PATIENCE = 300


def in_processes(deed: Callable[[int, int], Any], *, rounds: int = ROUNDS) -> list[list[Any]]:
    """What `deed(round, process)` answered: a list for each round, of one answer from each of sixteen processes. They
    begin every round together. Raises AssertionError with what a process raised."""
    barrier = multiprocessing.get_context("fork").Barrier(PROCESSES)

    def live(process: int, place: Path) -> None:
        connection.ensure_connection()
        answers = []
        for turn in range(rounds):
            barrier.wait(PATIENCE)
            answers.append(deed(turn, process))
        place.write_bytes(pickle.dumps(answers))

    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(process) for process in range(PROCESSES)]
        log = Path(folder) / "errors"
        children = [processes.fork(partial(live, n, place), log) for n, place in enumerate(places)]
        ends = [processes.wait(pid, PATIENCE) for pid in children]
        assert not any(ends), log.read_text()
        by_process = [pickle.loads(place.read_bytes()) for place in places]
    return [list(answers) for answers in zip(*by_process, strict=True)]


@contextmanager
def beside(hold: Callable[[], Any], deed: Callable[[], Any]) -> Iterator[list[Any]]:
    """In a transaction that holds something, while the deed waits for it in a thread of its own; then it goes on. The
    deed's answer, afterwards."""
    answers: list[Any] = []
    thread = Thread(target=lambda: answers.extend(at_once(deed)))
    with transaction.atomic():
        hold()
        thread.start()
        _until_it_waits(answers)
        yield answers
    thread.join(60)


def _until_it_waits(answers: list[Any]) -> None:
    until = time.monotonic() + 60
    while not _somebody_waits():
        assert time.monotonic() < until, answers
        time.sleep(0.01)


def _somebody_waits() -> bool:
    """For this connection. (What `pg_stat_activity` says stands still within a transaction.)"""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])
