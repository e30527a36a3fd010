"""Calling jobs: each in the transaction of its cause, those of one block by one statement; and hearing of them."""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from time import sleep
from typing import Any

from django.db import connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task

from billing import prepared

_called: ContextVar[list[OrmQ] | None] = ContextVar("called", default=None)
# Workers listen here, so that a job begins when it is called and not when they look the next time.
CHANNEL = "tandem_jobs"
# The queue (as `cluster=`) of what nobody waits for and what is slow by the thousand: it has its turn when nothing else
# waits. Its name sorts after the other's.
BEHIND = f"{Conf.CLUSTER_NAME}-behind"
# How long it can be looked up that a job was done. Those that failed are kept as long as staff say (`billing.retaining`).
DONE_KEPT = timedelta(days=7)

_STORE = f"""
with called as (
    insert into django_q_ormq (key, payload, lock)
    select * from unnest(%s::text[], %s::text[], %s::timestamptz[]) returning id
), told as (select pg_notify('{CHANNEL}', ''))
select max(called.id) from called cross join told
"""  # noqa: S608 - our own name

# The oldest that wait, those behind last; what another worker is taking at the moment is left to it. Only the next few
# of each queue are looked at so: they stand first in an index, where all of them would be sorted to take two. The taking
# does not wait for the disk: where the server dies in the same instant, the job is taken again, as after any fault.
_TAKE = """
with next as materialized (
    select next.id from unnest(%(keys)s::text[]) as queue(key) cross join lateral (
        select id from django_q_ormq where key = queue.key and lock < %(now)s::timestamptz
        order by lock, id limit %(few)s::int) next
), waiting as (
    select id, key, lock from django_q_ormq where id = any(array(select id from next)) and lock < %(now)s::timestamptz
    order by key, lock, id limit %(most)s::int for update skip locked
), hurried as materialized (
    select set_config('synchronous_commit', 'off', true)
), taken as (
    update django_q_ormq job set lock = %(until)s::timestamptz from waiting cross join hurried where job.id = waiting.id
    returning job.id, job.payload, waiting.key, waiting.lock
)
select id, payload from taken order by key, lock, id
"""
# Times as many as are taken: enough for workers that take at the same moment.
FEW = 10


class Queue(ORM):
    """Django Q's queue in the database, which `together` keeps waiting, and which tells whoever listens."""

    def enqueue(self, task: str) -> int | None:
        job = OrmQ(key=self.list_key or Conf.CLUSTER_NAME, payload=task, lock=timezone.now())
        called = _called.get()
        if called is None:
            return _store([job])
        called.append(job)
        return None

    def dequeue(self) -> Any:
        """Jobs that wait, taken for as long as a worker has for them; else nothing, as soon as one is called or it is
        time to look again."""
        self.get_connection()  # closes one that is too old
        heard = prepared.until_told(CHANNEL)
        heard["nothing"] = True
        if taken := self._taken():
            return taken
        if not prepared.can_be_told():
            sleep(Conf.POLL)
        elif prepared.until_told(CHANNEL):
            select.select([connection.connection], [], [], Conf.POLL)
        return None

    def _taken(self) -> list[tuple[int, str]]:
        """The number and the payload of each."""
        with prepared.cursor() as cursor:
            cursor.execute(_TAKE, self._wanted())
            found: list[tuple[int, str]] = cursor.fetchall()
        return found

    def _wanted(self) -> dict[str, Any]:
        return {
            "keys": [self.list_key, BEHIND], "now": timezone.now(), "until": self.timeout(None), "most": Conf.BULK,
            "few": Conf.BULK * FEW,
        }  # fmt: skip


def _store(jobs: Sequence[OrmQ]) -> int:
    """By one statement, in their order. Answers the last one's number."""
    columns = [[getattr(job, name) for job in jobs] for name in ("key", "payload", "lock")]
    with prepared.cursor() as cursor:
        cursor.execute(_STORE, columns)
        return int(cursor.fetchone()[0])


@contextmanager
def together() -> Iterator[None]:
    """Jobs that are called in the block are stored at its end, by one statement; with an exception, none is."""
    if _called.get() is not None:
        yield
        return
    called: list[OrmQ] = []
    before = _called.set(called)
    try:
        yield
    finally:
        _called.reset(before)
    if called:
        _store(called)


def forget(*, now: datetime) -> int:
    """Drop jobs that were done."""
    return Task.objects.filter(success=True, stopped__lte=now - DONE_KEPT).delete()[0]
