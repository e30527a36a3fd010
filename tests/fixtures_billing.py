"""A seller's small world: the shipped catalogue, a test clock, customers on it, and the verbs in short form."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import pytest
from django.db import transaction

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
type ShippedRows = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="session")
def shipped_rows(django_db_setup: None, django_db_blocker: Any) -> ShippedRows:
    """The rows of the catalogue and of what sales ships. Whatever a run that was killed left behind goes first."""
    from billing.catalogue import ship as billing
    from sales.catalogue import ship as sales
    from tests.emptying import empty
    from tests.shipped import written_by

    with django_db_blocker.unblock():
        empty()
        rows = written_by(partial(billing, now=NOON), partial(sales, now=NOON))
    return dict(zip(("billing", "sales"), rows, strict=True))


@pytest.fixture
def catalogue(db: None, shipped_rows: ShippedRows) -> None:
    """The shipped segments, plans, prices, meter, taxes and number series."""
    from tests.shipped import put

    put(shipped_rows["billing"])


@pytest.fixture
def sales_catalogue(catalogue: None, shipped_rows: ShippedRows) -> None:
    """The shipped rules, automations, approvals and groups."""
    from tests.shipped import put

    put(shipped_rows["sales"])


@pytest.fixture
def make_clock(catalogue: None) -> Callable[..., object]:
    """make_clock(now=NOON) -> TestClock with its own number series."""
    from billing.models import TestClock
    from billing.numbering import open_series

    numbers = count(1)

    def make(now: datetime = NOON) -> object:
        code = f"clock-{next(numbers)}"
        open_series(code, f"T{code[-1]}-")
        return TestClock.objects.create(name=code, now=now, series_code=code)

    return make


@pytest.fixture
def clock(make_clock: Callable[..., object]) -> object:
    return make_clock()


@pytest.fixture
def make_customer(catalogue: None) -> Callable[..., object]:
    """make_customer(clock=None, **fields) -> Customer."""
    from billing import customers

    numbers = count(1)

    def make(clock: object = None, **fields: object) -> object:
        n = next(numbers)
        now = clock.now if clock else NOON
        given = {
            "name": f"Customer {n}",
            "email": f"owner@customer{n}.example",
            "country": "IE",
            "test_clock": clock,
            "livemode": False,
        }
        with transaction.atomic():
            return customers.create(**{**given, **fields}, now=now, actor="system")

    return make


@pytest.fixture
def subscribe(catalogue: None) -> Callable[..., object]:
    """subscribe(customer, plan="pro", interval="month", quantity=3, bill=True, **options) -> Subscription."""
    from billing import subscribing
    from billing.models import Plan

    def make(customer, plan="pro", interval="month", quantity=3, bill=True, now=None, **options):
        now = now or customer.now
        subscription = subscribing.subscribe(
            customer=customer, plan=Plan.objects.get(code=plan), interval=interval,
            quantity=None if quantity is None else Decimal(quantity), now=now, actor="system", origin="api", **options,
        )  # fmt: skip
        if bill:
            subscribing.bill_now(subscription=subscription, now=now, actor="system")
        subscription.refresh_from_db()
        return subscription

    return make


@pytest.fixture
def advance() -> Callable[..., None]:
    """advance(clock, to=datetime) or advance(clock, days=30)."""
    from billing import running

    def move(clock, to: datetime | None = None, **delta: int) -> None:
        clock.refresh_from_db()
        running.advance(clock=clock, to=to or clock.now + timedelta(**delta), actor="system")

    return move


@pytest.fixture
def customer_first() -> Iterator[None]:
    """When the test ends: no deed has locked several tables of a customer's without the customer's own row first."""
    from tests.locks import watched

    with watched() as breaches:
        yield
    assert breaches == []


@pytest.fixture
def books(customer_first: None) -> Iterator[Callable[[], None]]:
    """books() asserts that every invariant holds; it is asked once more when the test ends."""
    from billing import books as module

    def hold() -> None:
        assert [f"{b.id} {b.words}: {b.found}" for b in module.check()] == []

    yield hold
    hold()


@pytest.fixture
def run_jobs(settings) -> Callable[[], int]:
    """run_jobs() works the queue off in this process until it is empty; a job that raises fails the test."""
    from django.utils.module_loading import import_string
    from django_q.models import OrmQ
    from django_q.signing import SignedPackage

    def drain() -> int:
        done = 0
        while (row := OrmQ.objects.order_by("id").first()) is not None:
            task = SignedPackage.loads(row.payload)
            row.delete()
            function = import_string(task["func"]) if isinstance(task["func"], str) else task["func"]
            function(*task.get("args", ()), **task.get("kwargs", {}))
            done += 1
            assert done < 10_000
        return done

    return drain


@contextmanager
def replica() -> Iterator[None]:
    """Triggers off: what a test needs to plant a wrong row that the database would refuse."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("set session_replication_role = origin")


@pytest.fixture
def without_triggers() -> Callable[[], object]:
    return replica
