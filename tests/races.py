"""Several deeds at the same moment: threads with connections of their own, let go together.

`ROUNDS` is how often a race is run: a few times in every run, as often as the environment says by `make races`.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any

from django.db import connection, connections, transaction

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
