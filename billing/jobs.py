"""Calling jobs: each in the transaction of its cause, those of one block by one statement; and hearing of them."""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import sleep
from typing import Any

from django.db import connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

from billing import prepared

_called: ContextVar[list[OrmQ] | None] = ContextVar("called", default=None)
# Workers listen here, so that a job begins when it is called and not when they look the next time.
CHANNEL = "tandem_jobs"
# The queue (as `cluster=`) of what nobody waits for and what is slow by the thousand: it has its turn when nothing else
# waits. Its name sorts after the other's.
BEHIND = f"{Conf.CLUSTER_NAME}-behind"

_STORE = f"""
with called as (
    insert into django_q_ormq (key, payload, lock)
    select * from unnest(%s::text[], %s::text[], %s::timestamptz[]) returning id
), told as (select pg_notify('{CHANNEL}', ''))
select max(called.id) from called cross join told
"""  # noqa: S608 - our own name


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
        """Jobs that wait; else nothing, as soon as one is called or it is time to look again."""
        heard = prepared.until_told(CHANNEL)
        heard["nothing"] = True
        if found := self._waiting():
            return [(job.pk, job.payload) for job in found if self._taken(job)]
        if connection.in_atomic_block:
            sleep(Conf.POLL)
        elif prepared.until_told(CHANNEL):
            select.select([connection.connection], [], [], Conf.POLL)
        return None

    def _waiting(self) -> list[OrmQ]:
        """The oldest, those behind last."""
        rows = self.get_connection().filter(key__in=[self.list_key, BEHIND], lock__lt=timezone.now())
        return list(rows.order_by("key", "lock", "id")[: Conf.BULK])

    def _taken(self, job: OrmQ) -> bool:
        """Whether no other worker was faster."""
        return bool(OrmQ.objects.filter(pk=job.pk, lock=job.lock).update(lock=self.timeout(job)))


def _store(jobs: Sequence[OrmQ]) -> int:
    """By one statement, in their order. Answers the last one's number."""
    columns = [[getattr(job, name) for job in jobs] for name in ("key", "payload", "lock")]
    with connection.cursor() as cursor:
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
