"""Whose time it is. Edges ask here once and pass `now` down."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing import numbering, typed
from billing.events import record
from billing.models import Customer, TestClock
from billing.refusals import Refused

LONGEST_ADVANCE = timedelta(days=2 * 366)


def now_for(customer: Customer | None) -> datetime:
    """The customer's present: its test clock's time, or the real one."""
    return customer.now if customer is not None else timezone.now()


def now_on(clock: TestClock | None) -> datetime:
    return clock.now if clock is not None else timezone.now()


class ClockRefused(Refused):
    """The clock cannot be moved there."""

    code = "clock_goes_back"


class TooFar(ClockRefused):
    code = "advance_too_long"


class Moving(ClockRefused):
    """Another process moves it just now; in seconds, when it may be asked again."""

    code = "clock_is_moving"
    retry_after = 1


def create(*, time: datetime, actor: str, name: str = "") -> TestClock:
    """A clock that stands at `time`, with number series of its own for the papers of its customers."""
    clock = TestClock(now=time, name=typed.text(name, "name", limit=100))
    clock.series_code = f"clock-{clock.pk[-12:]}"
    with transaction.atomic():
        numbering.open_series(clock.series_code, f"T{clock.pk[-6:].upper()}-")
        clock.save(force_insert=True)
        record("test_clock.created", subject=clock, actor=actor, now=time, data={"name": clock.name})
    return clock


def check_advance(clock: TestClock, to: datetime) -> None:
    """Raises ClockRefused, TooFar. A clock that was left half way may be sent on."""
    if to < clock.now:
        raise ClockRefused("A clock never goes back.", field="to")
    if to > clock.now + LONGEST_ADVANCE:
        raise TooFar(f"A clock is moved by at most {LONGEST_ADVANCE.days} days at once.", field="to")


@contextmanager
def held(clock: TestClock) -> Iterator[None]:
    """Nobody else moves it meanwhile. Raises Moving.

    A lock of a transaction that stays open on a connection of its own: what is done meanwhile is committed step by step,
    a pooler leaves an open transaction its session, and the lock is gone with a process that is killed.
    """
    own = connection.copy()
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("set local idle_in_transaction_session_timeout = 0")
            cursor.execute("select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [clock.pk])
            if not cursor.fetchone()[0]:
                raise Moving("This clock is being moved. Ask again when it is ready.")
        yield
    finally:
        with suppress(DatabaseError):
            own.rollback()  # what closes alone is noticed by the server later, and who asks again at once is refused
        own.close()
