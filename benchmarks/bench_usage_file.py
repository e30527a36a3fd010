"""A file of usage against `COPY` of its lines and one statement that merges them into the same rows.

    python benchmarks/bench_usage_file.py [--events N] [--customers N] [--rounds N] [--strict]

The product checks each line, counts each id once, watches limits and writes how far it is with every piece, as its job
does; taking the file in is not timed. The limit copies the lines into a table of one session and merges them by
the statement of `bench_usage`. Rounds alternate. Prints events a second of both and the ratio; with --strict the exit
status is 1 when it misses its budget.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The first of these sets Django up.
from benchmarks import bench_usage  # isort: skip
import orjson
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from billing import catalogue, importing
from billing.models import Meter

BUDGET = 0.8
GIVEN = (
    "select * from jsonb_to_recordset(%s::jsonb) "
    "as g(id text, customer text, timestamp timestamptz, properties jsonb)"
)
COPIED = """select line ->> 'id' as id, line ->> 'customer' as customer, (line ->> 'timestamp')::timestamptz as timestamp,
        line -> 'properties' as properties from copied"""


def lines(customers: list[str], events: int) -> bytes:
    made = orjson.loads(bench_usage.body(customers, events, timezone.now()))["events"]
    return b"\n".join(map(orjson.dumps, made))


def product(content: bytes) -> float:
    """Seconds."""
    made = importing.take(content=content, format="jsonl", livemode=False, now=timezone.now(), actor="bench")
    began = time.perf_counter()
    done = importing.work(import_id=made.pk)
    took = time.perf_counter() - began
    assert done.accepted == done.lines, done.errors[:1]
    return took


def limit(content: bytes, meter: str) -> float:
    """Seconds."""
    assert GIVEN in bench_usage.BAREST
    escaped = content.replace(b"\\", b"\\\\")
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("create temp table copied (line jsonb) on commit drop")
        with cursor.copy("copy copied from stdin") as copying:
            copying.write(escaped + b"\n")
        cursor.execute(bench_usage.BAREST.replace(GIVEN, COPIED), [meter])
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000, help="in the file")
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    meter = Meter.objects.get(code="api_calls").pk.partition("_")[2]
    customers = bench_usage.seed(given.customers)

    def one_round() -> tuple[float, float]:
        files = [lines(customers, given.events) for _ in range(2)]
        return given.events / product(files[0]), given.events / limit(files[1], meter)

    one_round()
    bench_usage.standalone.freeze()
    rates = [one_round() for _ in range(given.rounds)]
    ours, limits = zip(*rates, strict=True)
    ratios = [a / b for a, b in rates]
    ratio = statistics.median(ratios)
    print(
        f"a file of {given.events} events, {given.customers} customers: {statistics.median(ours):.0f} events/s   "
        f"COPY and merge {statistics.median(limits):.0f}   "
        f"ratio {ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f}, budget {BUDGET})"
    )
    if ratio < BUDGET:
        print("The ratio misses its budget.")
    return 1 if ratio < BUDGET and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
