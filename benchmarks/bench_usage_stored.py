"""A request of usage beside many stored events, against the same request beside none.

    python benchmarks/bench_usage_stored.py [--stored N] [--customers N] [--events PER_REQUEST] [--rounds N] [--strict]

Two databases are made on the server of DATABASE_URL and dropped at the end; the events of one fill the year until
today, evenly over its customers, with their days' totals. A process for each sends requests through Django's WSGI
handler as `bench_usage` does, one process at a time, round by round. Prints events a second of both, the ratio, and
what a customer's usage page reads and a billing run's quantities take of both. The exit status is 1 when a statement
reads a large table from end to end; the ratio is judged with --strict.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from urllib.parse import urlsplit

import standalone  # isort: skip

import orjson
import psycopg
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from benchmarks import bench_usage
from billing import catalogue, keys, metering, usage_input, usage_sql
from billing.models import Customer, Meter

BUDGET = 0.85
AT_ONCE = 500_000
LARGE = ("billing_usageevent", "billing_usageday", "billing_usagecounter")

# Keys grow with the time, as those of most senders; customers come in no order.
EVENTS = """
insert into billing_usageevent
    (livemode, key, customer_id, meter_id, event_name, occurred_at, day, value, properties, received_at)
select false, lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || substr(md5(n::text), 1, 20),
       c.id, %(meter)s, 'api_call', at, at::date, 1, '{"value": 1, "region": "eu-1", "path": "/v2/search"}', at
from generate_series(%(first)s, %(last)s) as n
cross join lateral (
    select %(today)s::date - interval '365 days' * (1 - n / %(stored)s::float) - interval '1 second' as at
) moment
join filled_for c on c.nth = (hashint8(n) & 2147483647) %% %(customers)s
"""
DAYS = """
insert into billing_usageday (customer_id, meter_id, day, count, total, peak, last, last_at)
select customer_id, meter_id, day, count(*), sum(value), max(value),
       (array_agg(value order by occurred_at desc))[1], max(occurred_at)
from billing_usageevent group by 1, 2, 3
"""


def fill(customers: list[str], stored: int) -> None:
    uuids = [pk.partition("_")[2] for pk in customers]
    meter = Meter.objects.get(code="api_calls").pk.partition("_")[2]
    given = {
        "meter": meter,
        "stored": stored,
        "customers": len(customers),
        "today": timezone.now().date(),
    }
    with connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
        cursor.execute(
            "create temp table filled_for as "
            "select id, nth - 1 as nth from unnest(%s::uuid[]) with ordinality as c(id, nth)",
            [uuids],
        )
        for first in range(1, stored + 1, AT_ONCE):
            cursor.execute(EVENTS, {**given, "first": first, "last": min(first + AT_ONCE - 1, stored)})
        cursor.execute(DAYS)
        cursor.execute("vacuum analyze")


# -- One database: a process that does a round when it is asked to ------------------------------------------


class Side:
    """A process of this script that works on a database of its own."""

    def __init__(self, url: str, given: argparse.Namespace, stored: int) -> None:
        words = [__file__, "--serve", "--stored", stored, "--customers", given.customers]
        words += ["--events", given.events, "--requests", given.requests]
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**os.environ, "DATABASE_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def says(self) -> dict[str, float]:
        assert self.process.stdout
        return orjson.loads(self.process.stdout.readline())

    def ask(self) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.says()

    def end(self) -> None:
        self.process.communicate()


def serve(given: argparse.Namespace) -> None:
    """Prints what it found out of plans once it is ready, then a round's figures for each line that comes in."""
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    customers = bench_usage.seed(given.customers)
    if given.stored:
        fill(customers, given.stored)
    _, secret = keys.issue(name="bench", livemode=False, now=timezone.now(), scopes=["usage"])
    handler = WSGIHandler()
    one_round(handler, secret, customers, given)
    standalone.freeze()
    answer({"scans": whole_tables(customers, given.events)})
    for _ in sys.stdin:
        answer(one_round(handler, secret, customers, given))


def answer(said: dict[str, float]) -> None:
    print(orjson.dumps(said).decode(), flush=True)


def one_round(
    handler: WSGIHandler, secret: str, customers: list[str], given: argparse.Namespace
) -> dict[str, float]:
    """Events a second over HTTP; milliseconds of a customer's usage, and of the quantities of a billing chunk."""
    bodies = [bench_usage.body(customers, given.events, timezone.now()) for _ in range(given.requests)]
    rate = bench_usage.rate(handler, "/api/v1/usage_events", bodies, secret, given.events)
    today = timezone.now().date()
    wanted = [
        (pk, meter(), today - timedelta(days=60), today - timedelta(days=30)) for pk in customers[:1000]
    ]
    return {
        "rate": rate,
        "page": usage_page(customers),
        "chunk": milliseconds(lambda: metering.quantities(wanted)),
    }


def meter() -> str:
    return Meter.objects.get(code="api_calls").pk


def usage_page(customers: list[str]) -> float:
    """Of twenty customers: what they use now, and each day of the last ninety."""
    found = list(Customer.objects.filter(pk__in=customers[:20]))
    calls, now = Meter.objects.get(code="api_calls"), timezone.now()

    def read() -> None:
        for customer in found:
            metering.current(customer, now)
            metering.daily(customer, calls, now.date() - timedelta(days=90), now.date())

    return milliseconds(read) / len(found)


def milliseconds(work) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def whole_tables(customers: list[str], events: int) -> int:
    """How often the statement that takes usage, and those that read it, would go through all of a large table."""
    made = orjson.loads(bench_usage.body(customers, events, timezone.now()))["events"]
    rows, _ = usage_input.sort_out(made)
    today = timezone.now().date()
    taking = {
        "events": orjson.dumps(rows).decode(), "livemode": False, "now": timezone.now(), "grace": 3, "percents": [80],
        "alone": False,
    }  # fmt: skip
    customer, uuid = Customer.objects.get(pk=customers[0]), meter().partition("_")[2]
    days = {
        "customer": customers[0].partition("_")[2],
        "meter": uuid,
        "start": today - timedelta(days=90),
        "end": today,
    }
    asked = [(usage_sql.RECORD, taking), metering.wanted({customer: timezone.now()}), (usage_sql.DAILY, days)]
    with transaction.atomic(), connection.cursor() as cursor:
        plans = []
        for statement, values in asked:
            cursor.execute("explain " + statement, values)
            plans += [line for (line,) in cursor.fetchall()]
        transaction.set_rollback(True)
    return sum(f"Seq Scan on {table}" in line for line in plans for table in LARGE)


# -- Both -----------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stored", type=int, default=200_000)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100, help="in each request")
    parser.add_argument("--requests", type=int, default=30, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given)
        return 0
    here = urlsplit(os.environ["DATABASE_URL"])
    names = {f"{here.path[1:]}_{side}": stored for side, stored in (("none", 0), ("many", given.stored))}
    urls = [here._replace(path=f"/{name}").geturl() for name in names]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        for name in names:
            server.execute(f'create database "{name}"')
        try:
            rounds, scans = measured([Side(url, given, names[url_name(url)]) for url in urls], given.rounds)
        finally:
            for name in names:
                server.execute(f'drop database "{name}" with (force)')
    return told(given, rounds, scans)


def url_name(url: str) -> str:
    return urlsplit(url).path[1:]


def measured(sides: list[Side], rounds: int) -> tuple[list[list[dict[str, float]]], float]:
    """(of each round, what both did: the empty one first; how many plans read a whole table)."""
    try:
        scans = sum(side.says()["scans"] for side in sides)
        return [[side.ask() for side in sides] for _ in range(rounds)], scans
    finally:
        for side in sides:
            side.end()


def told(given: argparse.Namespace, rounds: list[list[dict[str, float]]], scans: float) -> int:
    def middle(side: int, figure: str) -> float:
        return statistics.median(done[side][figure] for done in rounds)

    ratios = [many["rate"] / none["rate"] for none, many in rounds]
    ratio = statistics.median(ratios)
    print(
        f"{given.events} a request beside {given.stored} stored: {middle(1, 'rate'):.0f} events/s   "
        f"beside none {middle(0, 'rate'):.0f}   "
        f"ratio {ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f}, budget {BUDGET})   "
        f"a customer's usage and its days {middle(1, 'page'):.2f} and {middle(0, 'page'):.2f} ms   "
        f"quantities of 1000 {middle(1, 'chunk'):.1f} and {middle(0, 'chunk'):.1f} ms   {scans:.0f} whole tables read"
    )
    if ratio < BUDGET:
        print("The ratio misses its budget.")
    return 0 if not scans and (ratio >= BUDGET or not given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
