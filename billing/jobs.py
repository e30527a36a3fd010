"""Calling jobs: each in the transaction of its cause, those of one block by one statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ

_called: ContextVar[list[OrmQ] | None] = ContextVar("called", default=None)


class Queue(ORM):
    """Django Q's queue in the database, which `together` keeps waiting."""

    def enqueue(self, task: str) -> int | None:
        called = _called.get()
        if called is None:
            return super().enqueue(task)
        called.append(OrmQ(key=self.list_key, payload=task, lock=timezone.now()))
        return None


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
        OrmQ.objects.bulk_create(called)
