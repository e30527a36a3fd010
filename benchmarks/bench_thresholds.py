"""How long after a request the job that weighs a crossed limit is handed to a worker, against a view that notifies.

    python benchmarks/bench_thresholds.py [--requests N] [--rounds N] [--loaded] [--strict]

Each request is one usage event that takes a customer past 80 % of a limit, through Django's WSGI handler. Another
process asks the queue for jobs as a worker does; the time ends when it is handed the job. The limit is a request with the
same event to a view without middleware and key, through the same handler: one statement stores the same row of usage
and notifies, and another process listens. Beside it stands what a statement alone comes to that inserts an empty row and
notifies, without a request. Rounds alternate. With --loaded, one more process sends usage as quickly as it can
meanwhile. Prints the median and the 99th of each, and the ratio of the latter of the first two; the exit status is 1
when --strict is given and the ratio misses its budget.

By default each request has a turn: a limit is crossed now and then, never twenty times in a row, and the processor has
done something else before, for both alike.
"""

import argparse
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The first of these sets Django up.
from benchmarks import bench_usage  # isort: skip
import orjson
import psycopg
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django_q.models import OrmQ

from billing import catalogue, keys, metering
from billing.jobs import Queue
from billing.models import Customer, Meter
from billing.models.ids import uuid7
from sales import catalogue as sales_catalogue

BUDGET = {False: 4, True: 40}
PATIENCE = 10
# A connection plans its statements anew the first five times, as each web process does when it has started.
WARM = 8
CHANNEL = "bench_thresholds"

BAREST = f"""
with stored as (
    insert into billing_usageevent
        (livemode, key, customer_id, meter_id, event_name, occurred_at, day, value, properties, received_at)
    select false, id, substr(customer, 5)::uuid, %s, event_name, now(), current_date,
           (properties ->> 'value')::numeric, properties, now()
    from jsonb_to_record(%s::jsonb) as g(id text, customer text, event_name text, properties jsonb)
    returning 1
)
select pg_notify('{CHANNEL}', '') from stored
"""


def minimal(request: HttpRequest) -> HttpResponse:
    event = orjson.loads(request.body)
    with connection.cursor() as cursor:
        cursor.execute(BAREST, [METER, orjson.dumps(event).decode()])
    return HttpResponse(orjson.dumps({"accepted": 1}), status=202)


METER = ""
urlpatterns = [path("minimal", minimal)]


def bare_statement() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"insert into {CHANNEL} default values; notify {CHANNEL}")


# -- Processes that hear ------------------------------------------------------------------------------------


def work() -> None:
    """Asks for jobs as a worker's cluster does, and prints when it was handed one."""
    jobs = Queue()
    print("ready", flush=True)
    while True:
        for ack, _ in jobs.dequeue() or ():
            print(time.perf_counter(), flush=True)
            jobs.acknowledge(ack)


def listen() -> None:
    """Prints when it was told something."""
    given = connection.get_connection_params()
    given = {name: given[name] for name in ("dbname", "user", "password", "host", "port") if name in given}
    with psycopg.connect(autocommit=True, **given) as listening:
        listening.execute(f"listen {CHANNEL}")
        print("ready", flush=True)
        for _ in listening.notifies():
            print(time.perf_counter(), flush=True)


HEARERS: dict[str, Callable[[], None]] = {"work": work, "listen": listen}
type Heard = queue.Queue[float]


@contextmanager
def hearing(hearer: str) -> Iterator[Heard]:
    """When another process was handed something; the clock is one for all processes."""
    heard: Heard = queue.Queue()
    script = [sys.executable, __file__, "--hear", hearer]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        threading.Thread(target=_pass_on, args=(other.stdout, heard), daemon=True).start()
        try:
            yield heard
        finally:
            other.terminate()


def _pass_on(lines: IO[bytes], heard: Heard) -> None:
    for line in lines:
        heard.put(float(line))


def waited(heard: Heard, send: Callable[[], None]) -> float:
    """Milliseconds from the sending until it was heard."""
    began = time.perf_counter()
    send()
    while (at := heard.get(timeout=PATIENCE)) < began:
        pass  # a second job of the request before
    return (at - began) * 1000


# -- Measuring ----------------------------------------------------------------------------------------------


def crossing(customer: str, value: int) -> bytes:
    event = {
        "id": uuid7().hex,
        "customer": customer,
        "event_name": "api_call",
        "properties": {"value": value},
    }
    return orjson.dumps(event)


def nth(values: list[float], share: float) -> float:
    return sorted(values)[ceil(len(values) * share) - 1]


def measured(requests: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Of the product, of the minimal view and of the statement alone, in turns."""
    product, (_, secret) = WSGIHandler(), keys.issue(name="bench", livemode=False, now=timezone.now())
    bare = bench_usage.standalone.Bare(__name__)
    customers = bench_usage.seed(WARM + requests * rounds)
    (usage,) = metering.current(Customer.objects.get(pk=customers[0]), timezone.now())
    past = int((usage.limit or 0) * 85 / 100)
    ours: list[float] = []
    limits: list[float] = []
    alone: list[float] = []
    with hearing("work") as jobs, hearing("listen") as told:

        def one(handler: WSGIHandler, address: str, heard: Heard, customer: str) -> float:
            content = crossing(customer, past)
            return waited(heard, lambda: bench_usage.send(handler, address, content, secret))

        def one_round(customers: list[str]) -> None:
            ours.extend(one(product, "/api/v1/usage_events", jobs, customer) for customer in customers)
            limits.extend(one(bare, "/minimal", told, customer) for customer in customers)
            alone.extend(waited(told, bare_statement) for _ in customers)

        one_round(customers[:WARM])
        for warm in (ours, limits, alone):
            warm.clear()
        time.sleep(1)
        bench_usage.standalone.freeze()
        for first in range(WARM, WARM + requests * rounds, requests):
            one_round(customers[first : first + requests])
    return ours, limits, alone


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Another process that sends usage."""
    if not wanted:
        yield
        return
    script = [sys.executable, "benchmarks/bench_usage.py", "--customers", "200", "--rounds", "10000"]
    with subprocess.Popen(script, stdout=subprocess.DEVNULL, env=os.environ) as other:
        time.sleep(8)
        try:
            yield
        finally:
            other.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1, help="in each round")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--loaded", action="store_true", help="while another process sends usage")
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    parser.add_argument("--hear", choices=HEARERS, help="be the other process")
    given = parser.parse_args()
    if given.hear:
        HEARERS[given.hear]()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    sales_catalogue.ship(now=timezone.now())
    global METER
    METER = Meter.objects.get(code="api_calls").pk.partition("_")[2]
    OrmQ.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"create table if not exists {CHANNEL} (id bigserial)")
    with load(given.loaded):
        ours, limits, alone = measured(given.requests, given.rounds)
    ratio, budget = nth(ours, 0.99) / nth(limits, 0.99), BUDGET[given.loaded]
    print(f"{len(ours)} thresholds, {'loaded' if given.loaded else 'idle'}:")
    for name, times in (("product", ours), ("minimal view", limits), ("one statement alone", alone)):
        print(f"    {name:20} {nth(times, 0.5):.1f} ms, 99th {nth(times, 0.99):.1f}")
    print(
        f"    ratio of the 99th {ratio:.1f} (budget {budget}), of the middle {nth(ours, 0.5) / nth(limits, 0.5):.1f}"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"drop table {CHANNEL}")
    if ratio > budget:
        print("The ratio misses its budget.")
    return 1 if ratio > budget and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
