"""Many customers at once: so many a transaction, each of them held by it."""

import gc
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched

from django.db import transaction

from billing import customers
from billing.models import Customer
from billing.uncollected import uncollected

CHUNK = 1000
log = logging.getLogger(__name__)

type Work[T] = Callable[[Mapping[str, Customer]], Iterable[T]]
"""What is to be done with held customers, by id."""


@dataclass(slots=True)
class Done[T]:
    """What the work found, and what went wrong with whom it could not be done."""

    found: list[T] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def log(self, words: str) -> None:
        """For a job that goes on, and comes back to who was left."""
        if self.errors:
            log.error(words, exc_info=ExceptionGroup(words, self.errors))


def each[T](ids: Iterable[str], work: Work[T], *, chunk: int = CHUNK) -> Done[T]:
    """Do it with everybody, in chunks. Whom somebody else holds comes alone, once the chunk is done and nobody is held;
    a chunk that fails is halved until who it fails with stands alone."""
    done: Done[T] = Done()
    with uncollected():
        for some in batched(ids, chunk):
            _do(some, work, done)
            gc.collect(0)
    return done


def _do[T](ids: Sequence[str], work: Work[T], done: Done[T]) -> None:
    try:
        with transaction.atomic():
            held = customers.held(ids)
            found = list(work(held)) if held else []
    except Exception as error:
        _halve(ids, work, done, error)
        return
    done.found += found
    for late in [pk for pk in ids if pk not in held and len(ids) > 1]:
        _do([late], work, done)


def _halve[T](ids: Sequence[str], work: Work[T], done: Done[T], error: Exception) -> None:
    if len(ids) == 1:
        done.errors.append(error)
        return
    middle = len(ids) // 2
    _do(ids[:middle], work, done)
    _do(ids[middle:], work, done)
