"""The billing run against the barest SQL that writes the same rows.

    python benchmarks/bench_billing_run.py [--n SUBSCRIPTIONS] [--rounds ROUNDS] [--growth] [--strict]

Seeds subscriptions with a seat price and a tiered usage price, with many quantities and starts; one in ten has a
discount, one in ten a change of seats in the middle of January. Every round bills one month for all of them as the
scheduled job and `manage.py bill` do: in one process, on its `billing.running.THREADS` threads. Then it inserts the
very rows that this wrote once more, under new keys, with one `INSERT ... SELECT` for each table: into the same tables
with their indexes, triggers and constraints (checked before the clock stops), from temporary tables that were made
before it starts. The next month is billed on one thread, and also has its limit beside it. At last two processes of
one thread share a month.

Prints invoices a second of both, the ratio, the ratio of one thread, statements an invoice, growth of the time per
invoice (on one thread) and of the peak memory from a tenth of the size, and what a second process adds. The exit
status is 1 when a steady figure (statements, memory) misses its budget; the timed ones are judged with --strict.

With --growth, for large N: bills one month of a hundredth, a tenth and all of the subscriptions, and says no more than
how time and memory grow.
"""

import argparse
import multiprocessing
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import standalone  # noqa: F401  # isort: skip

from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import bulk, catalogue, running, timelines
from billing.maths import timeline
from billing.maths.periods import add_months
from billing.models import (
    Customer,
    Discount,
    Meter,
    Phase,
    PhaseItem,
    Plan,
    Subscription,
    TestClock,
    UsageDay,
)
from billing.models.ids import new_id
from billing.numbering import open_series

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANGE = datetime(2026, 1, 16, tzinfo=UTC)
RATIO, STATEMENTS, GROWTH, MEMORY, SECOND = 0.30, 0.03, 1.15, 1.2, 1.3
CHUNK = running.CHUNK
WARM = 100  # invoices before those that are measured
MOST_ROUNDS = 8  # for which there is usage
SEED_BLOCK = 10_000
SPAWN = multiprocessing.get_context("spawn")


# -- Subscriptions to bill ---------------------------------------------------------------------------------


def seed(n: int) -> str:
    """`n` customers with a subscription each, that January was billed to. Returns the id of their clock."""
    number = TestClock.objects.count() + 1
    open_series(f"bench-{number}", f"B{number}-")
    clock = TestClock.objects.create(name=f"bench {number}", now=START, series_code=f"bench-{number}")
    rng = random.Random(n)
    for first in range(0, n, SEED_BLOCK):
        _seed_block(range(first, min(first + SEED_BLOCK, n)), clock, rng)
    vacuum()
    for moment in (START, CHANGE):
        running.run(now=moment, clock=clock, chunk=CHUNK)
    vacuum()
    return clock.pk


def _seed_block(numbers: range, clock: TestClock, rng: random.Random) -> None:
    pro = Plan.objects.get(code="pro")
    seat, calls = pro.prices.get(code="seats-month"), pro.prices.get(code="api-calls")
    meter = Meter.objects.get(code="api_calls")
    off, _ = Discount.objects.get_or_create(code="bench", defaults={"percent_off": Decimal(20)})
    rows: dict[type, list[dict]] = {m: [] for m in (Customer, Subscription, Phase, PhaseItem, UsageDay)}
    for i in numbers:
        customer, subscription = new_id("cus"), new_id("sub")
        start = add_months(START.date(), -rng.randrange(1, 25))
        seats = [Decimal(rng.randrange(1, 51)), Decimal(rng.randrange(1, 51))]
        discount = None if i % 10 else off
        paid = (timeline.Item(seat.value, seats[0]),), timelines.discount_value(discount)
        rows[Customer].append(
            {"id": customer, "name": f"Bench {i}", "email": f"b{i}@bench.example", "country": "IE",
             "test_clock_id": clock.pk, "provider_id": "cus_x", "created_at": START}
        )  # fmt: skip
        rows[Subscription].append(
            {"id": subscription, "customer_id": customer, "test_clock_id": clock.pk, "status": "active",
             "motion": "self_serve", "origin": "api", "currency": "USD", "start_on": start, "started_at": START,
             "billed_through": date(2025, 12, 31), "current_period_start": date(2025, 12, 1),
             "current_period_end": START.date(), "next_due_at": START, "mrr": timeline.mrr(*paid),
             "arr": timeline.arr(*paid), "created_at": START}
        )  # fmt: skip
        spans = [(start, None)] if i % 10 != 5 else [(start, CHANGE.date()), (CHANGE.date(), None)]
        for (begins, ends), quantity in zip(spans, seats, strict=False):
            phase = new_id("phase")
            rows[Phase].append(
                {"id": phase, "subscription_id": subscription, "plan_id": pro.pk, "start_on": begins, "end_on": ends,
                 "anchor_on": start, "collection_method": "send_invoice", "motion": "self_serve",
                 "discount_id": discount and discount.pk, "created_at": START}
            )  # fmt: skip
            rows[PhaseItem] += [
                {"phase_id": phase, "price_id": seat.pk, "quantity": quantity},
                {"phase_id": phase, "price_id": calls.pk, "quantity": Decimal(1)},
            ]
        rows[UsageDay] += [
            {"customer_id": customer, "meter_id": meter.pk, "day": add_months(START.date(), month),
             "count": 1, "total": Decimal(rng.randrange(40_000, 900_000))}
            for month in range(2 * MOST_ROUNDS + 2)
        ]  # fmt: skip
    with transaction.atomic():
        for model, given in rows.items():
            bulk.copy(model, given)


def vacuum() -> None:
    """What autovacuum does sooner or later, outside the measured time: dead rows of thrown away rounds go."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def month(n: int) -> datetime:
    """The n-th month that is billed: 0 is February."""
    return datetime.combine(add_months(date(2026, 2, 1), n), datetime.min.time(), tzinfo=UTC)


# -- The limit ---------------------------------------------------------------------------------------------

NEW_ID = "('1' || substr({0}::text, 2))::uuid"
NEW_OBJECT = "regexp_replace({0}, '^inv_0', 'inv_1')"

# Of each table: which rows the month's run wrote, what must differ in their copies, and what the table itself gives.
COPIES: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "billing_invoice": (
        "series_id = %(series)s and issued_at = %(now)s",
        {"id": NEW_ID, "sequence": "{0} + 100000000", "cycle_on": "{0} + 10000"},
        ("amount_due",),
    ),
    "billing_invoiceline": (
        "invoice_id in (select id from billing_invoice where series_id = %(series)s and issued_at = %(now)s)",
        {"id": NEW_ID, "invoice_id": NEW_ID},
        (),
    ),
    "billing_posting": (
        "id > %(posting)s",
        {"invoice_id": NEW_ID, "transaction": NEW_ID},
        ("id",),
    ),
    "billing_objectsequence": (
        "object_id in (select object_id from billing_event where number > %(event)s and object_id like 'inv%%')",
        {"object_id": NEW_OBJECT},
        (),
    ),
    "billing_event": (
        "number > %(event)s",
        {"id": NEW_ID, "object_id": NEW_OBJECT, "sequence": "{0} + 1000"},
        ("number",),
    ),
}


def marks() -> dict[str, Any]:
    """The last rows that were there before a run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select (select coalesce(max(id), 0) from billing_posting),"
            " (select coalesce(max(number), 0) from billing_event)"
        )
        posting, event = cursor.fetchone()
    return {"posting": posting, "event": event}


def barest(found: dict[str, Any]) -> float:
    """Seconds to insert what the month's run wrote with one statement for each table; then it is thrown away."""
    with connection.cursor() as cursor:
        statements = [_prepared(cursor, table, found) for table in COPIES]
        cursor.execute("begin")
        began = time.perf_counter()
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("set constraints all immediate")
        taken = time.perf_counter() - began
        cursor.execute("rollback")
        for table in COPIES:
            cursor.execute(f"drop table bench_{table}")
    return taken


def _prepared(cursor, table: str, found: dict[str, Any]) -> str:
    where, other, given = COPIES[table]
    cursor.execute(
        "select column_name from information_schema.columns where table_name = %s order by ordinal_position",
        [table],
    )
    names = [f'"{name}"' for (name,) in cursor.fetchall() if name not in given]
    wanted = ", ".join(other.get(n.strip('"'), "{0}").format(n) + f" as {n}" for n in names)
    cursor.execute(f"create temp table bench_{table} as select {wanted} from {table} where {where}", found)
    columns = ", ".join(names)
    return f"insert into {table} ({columns}) select {columns} from bench_{table}"


# -- Measuring, in processes of their own ------------------------------------------------------------------


def apart(function: Callable, *given: Any) -> Any:
    """The function's answer from a new process, so that one measurement's memory is not the next one's."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(function, *given).result()


def bill(
    clock: TestClock, now: datetime, threads: int = running.THREADS, chunk: int = CHUNK
) -> tuple[float, int]:
    """Seconds and invoices of one month's run."""
    began = time.perf_counter()
    result = running.run(now=now, clock=clock, chunk=chunk, threads=threads)
    return time.perf_counter() - began, result.invoices


def rounds(clock_id: str, n: int, count: int) -> dict[str, Any]:
    """The first month warms up and counts statements; then each round times one as the product bills it and one on one
    thread, each beside the limit. Rates and limits by the number of threads."""
    clock = TestClock.objects.get(pk=clock_id)
    with CaptureQueriesContext(connection) as queries:
        bill(clock, month(0), threads=1)
    statements = len(queries) / n
    connection.queries_log.clear()
    timed: dict[int, list[tuple[float, float]]] = {running.THREADS: [], 1: []}
    for turn in range(1, count):
        for at, threads in zip((2 * turn - 1, 2 * turn), timed, strict=True):
            timed[threads].append(_beside(clock, at, n, threads))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"timed": timed, "statements": statements, "memory": peak}


def _beside(clock: TestClock, turn: int, n: int, threads: int) -> tuple[float, float]:
    """Invoices a second of one month, and of the limit."""
    found = {**marks(), "now": month(turn), "series": clock.series_code}
    taken, invoices = bill(clock, month(turn), threads)
    assert invoices == n, (invoices, n)
    limit = barest(found)
    vacuum()
    return n / taken, n / limit


def shared(clock_id: str, n: int, turn: int, workers: int) -> float:
    """Invoices a second of one month that `workers` processes of one thread bill together; in chunks of an eighth, or the
    first of them would take all there is."""
    chunk = min(CHUNK, max(n // 8, 1))
    with SPAWN.Manager() as manager, ProcessPoolExecutor(workers, mp_context=SPAWN) as pool:
        barrier = manager.Barrier(workers)
        jobs = [pool.submit(_work, clock_id, turn, barrier, chunk) for _ in range(workers)]
        began, ended, invoices = zip(*(job.result() for job in jobs), strict=True)
    assert sum(invoices) == n, (invoices, n)
    return n / (max(ended) - min(began))


def _work(clock_id: str, turn: int, barrier: Any, chunk: int) -> tuple[float, float, int]:
    clock = TestClock.objects.get(pk=clock_id)
    barrier.wait()
    began = time.monotonic()
    _, invoices = bill(clock, month(turn), 1, chunk)
    return began, time.monotonic(), invoices


def measure(n: int, count: int) -> dict[str, Any]:
    clock_id = apart(seed, n)
    found = apart(rounds, clock_id, n, count)
    rates, limits = zip(*found["timed"][running.THREADS], strict=True)
    ratio, alone = (_ratios(found["timed"][threads]) for threads in (running.THREADS, 1))
    print(
        f"{n:7} subscriptions  {_spread(rates, 0)} invoices/s   barest SQL {_spread(limits, 0)}/s   ratio "
        f"{_spread(ratio, 3)}, of one thread {_spread(alone, 3)}   {found['statements']:.4f} statements/invoice   "
        f"{found['memory']:.0f} MiB",
        flush=True,
    )
    return {
        **found,
        "clock": clock_id,
        "alone": statistics.median(rate for rate, _ in found["timed"][1]),
        "ratio": statistics.median(ratio),
    }


def _ratios(timed: list[tuple[float, float]]) -> list[float]:
    return [rate / limit for rate, limit in timed]


def _spread(values: Sequence[float], digits: int) -> str:
    least, middle, most = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def grown(n: int) -> tuple[float, float]:
    """Seconds an invoice and peak MiB of one month's run."""
    taken, busy, invoices, memory = apart(_grown, apart(seed, n))
    print(
        f"{n:7} subscriptions  {taken:7.1f} s, of which Python worked {busy:.1f} s   "
        f"{1000 * taken / invoices:.2f} ms an invoice   {memory:.0f} MiB",
        flush=True,
    )
    return taken / invoices, memory


def _grown(clock_id: str) -> tuple[float, float, int, float]:
    clock = TestClock.objects.get(pk=clock_id)
    running.run(now=month(0), clock=clock, chunk=WARM, enough=lambda: True)
    busy = time.process_time()
    taken, invoices = bill(clock, month(0))
    busy = time.process_time() - busy
    return taken, busy, invoices, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth_alone(n: int) -> bool:
    """Whether a run of n, one of a tenth and one of a hundredth keep the budgets of time and memory."""
    (first, _), (_, small), (last, large) = (grown(size) for size in (n // 100, n // 10, n))
    print(
        f"time per invoice grows by {last / first:.2f} ({GROWTH}), peak memory by {large / small:.2f} ({MEMORY})"
    )
    return last / first <= GROWTH and large / small <= MEMORY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=4000, help="subscriptions (default 4000)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=6,
        choices=range(2, MOST_ROUNDS + 1),
        help="the first warms up (default 6)",
    )
    parser.add_argument("--strict", action="store_true", help="fail when a timed figure misses its budget")
    parser.add_argument("--growth", action="store_true", help="only how time and memory grow, up to --n")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=START)
    if given.growth:
        return 0 if growth_alone(given.n) else 1
    small = measure(max(given.n // 10, 500), given.rounds)
    large = measure(given.n, given.rounds)
    one = shared(large["clock"], given.n, 2 * given.rounds - 1, 1)
    second = shared(large["clock"], given.n, 2 * given.rounds, 2) / one
    growth, memory = small["alone"] / large["alone"], large["memory"] / small["memory"]
    print(f"time per invoice grows by {growth:.2f} ({GROWTH}), peak memory by {memory:.2f} ({MEMORY})")
    print(f"two processes are worth {second:.2f} of one ({SECOND})")
    print(f"ratio to the barest SQL {large['ratio']:.3f} ({RATIO})")
    steady = large["statements"] <= STATEMENTS and memory <= MEMORY
    timed = large["ratio"] >= RATIO and growth <= GROWTH and second >= SECOND
    if not timed:
        print("A timed figure misses its budget.")
    return 0 if steady and (timed or not given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
