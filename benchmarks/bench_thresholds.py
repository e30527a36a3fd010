"""How long after a request the job that weighs a crossed limit is handed to a worker, against one statement and NOTIFY.

    python benchmarks/bench_thresholds.py [--requests N] [--rounds N] [--loaded] [--strict]

Each request is one usage event that takes a customer past 80 % of a limit, through Django's WSGI handler. A thread
asks the queue for jobs as a worker does; the time ends when it is handed the job. The limit is a statement that
inserts a row and notifies, and a thread that listens. Rounds alternate. With --loaded, another process sends usage as
quickly as it can meanwhile. Prints the median and the 99th of a hundred of both and the ratio of the latter; the exit
status is 1 when --strict is given and the ratio misses its budget.
"""

import argparse
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The first of these sets Django up.
from benchmarks import bench_usage  # isort: skip
import orjson
import psycopg
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from billing import catalogue, keys, metering
from billing.jobs import Queue
from billing.models import Customer
from billing.models.ids import uuid7
from sales import catalogue as sales_catalogue

BUDGET = {False: 4, True: 40}
PATIENCE = 10
# A connection plans its statements anew the first five times, as each web process does when it has started.
WARM = 8


@contextmanager
def hearing(ask: object) -> Iterator["queue.Queue[float]"]:
    """When a thread was handed something."""
    heard: queue.Queue[float] = queue.Queue()
    thread = threading.Thread(target=ask, args=(heard,), daemon=True)
    thread.start()
    yield heard


def worker(heard: "queue.Queue[float]") -> None:
    """Asks for jobs as a worker's cluster does."""
    jobs = Queue()
    while True:
        for ack, _ in jobs.dequeue() or ():
            heard.put(time.perf_counter())
            jobs.acknowledge(ack)


def listener(heard: "queue.Queue[float]") -> None:
    with psycopg.connect(autocommit=True, **_parameters()) as listening:
        listening.execute("listen bench_thresholds")
        for _ in listening.notifies():
            heard.put(time.perf_counter())


def _parameters() -> dict[str, object]:
    given = connection.get_connection_params()
    return {name: given[name] for name in ("dbname", "user", "password", "host", "port") if name in given}


def waited(heard: "queue.Queue[float]", send: object) -> float:
    """Milliseconds from the sending until it was heard."""
    while not heard.empty():
        heard.get()
    began = time.perf_counter()
    send()  # type: ignore[operator]
    return (heard.get(timeout=PATIENCE) - began) * 1000


def crossing(customer: str, value: int) -> bytes:
    event = {
        "id": uuid7().hex,
        "customer": customer,
        "event_name": "api_call",
        "properties": {"value": value},
    }
    return orjson.dumps(event)


def barest() -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into bench_thresholds default values; notify bench_thresholds")


def nth(values: list[float], share: float) -> float:
    return sorted(values)[ceil(len(values) * share) - 1]


def measured(requests: int, rounds: int) -> tuple[list[float], list[float]]:
    """Of the product and of the limit, in turns."""
    product, (_, secret) = WSGIHandler(), keys.issue(name="bench", livemode=False, now=timezone.now())
    customers = bench_usage.seed(WARM + requests * rounds)
    (usage,) = metering.current(Customer.objects.get(pk=customers[0]), timezone.now())
    past = int((usage.limit or 0) * 85 / 100)
    ours, limits = [], []
    with hearing(worker) as jobs, hearing(listener) as told:

        def crossed(customer: str) -> float:
            content = crossing(customer, past)
            return waited(jobs, lambda: _send(product, content, secret))

        for customer in customers[:WARM]:
            crossed(customer)
        time.sleep(1)
        bench_usage.standalone.freeze()
        for n in range(rounds):
            first = WARM + n * requests
            ours += [crossed(customer) for customer in customers[first : first + requests]]
            limits += [waited(told, barest) for _ in range(requests)]
    return ours, limits


def _send(product: WSGIHandler, content: bytes, secret: str) -> None:
    bench_usage.send(product, "/api/v1/usage_events", content, secret)


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
    parser.add_argument("--requests", type=int, default=20, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loaded", action="store_true", help="while another process sends usage")
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    sales_catalogue.ship(now=timezone.now())
    OrmQ.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("create table if not exists bench_thresholds (id bigserial)")
    with load(given.loaded):
        ours, limits = measured(given.requests, given.rounds)
    ratio, budget = nth(ours, 0.99) / nth(limits, 0.99), BUDGET[given.loaded]
    print(
        f"{len(ours)} thresholds, {'loaded' if given.loaded else 'idle'}: {nth(ours, 0.5):.1f} ms, "
        f"99th {nth(ours, 0.99):.1f}   one statement and NOTIFY {nth(limits, 0.5):.1f}, "
        f"99th {nth(limits, 0.99):.1f}   ratio of the 99th {ratio:.1f} (budget {budget})"
    )
    with connection.cursor() as cursor:
        cursor.execute("drop table bench_thresholds")
    if ratio > budget:
        print("The ratio misses its budget.")
    return 1 if ratio > budget and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
