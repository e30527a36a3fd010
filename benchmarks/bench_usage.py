"""Usage over HTTP against a minimal view that writes the same rows with the barest statement.

    python benchmarks/bench_usage.py [--customers N] [--events PER_REQUEST] [--requests N] [--rounds N]

Both go through Django's WSGI handler in this process. The product checks the key, reads strictly, validates, counts
each id once, and watches limits; the minimal view has no middleware and no key, and one `jsonb_to_recordset`
statement that inserts the events and adds to the same columns of the same day and counter rows. Rounds alternate. Prints
events a second of both and the ratio; the exit status is 1 when a request takes more statements than its budget (which
is steady). The ratio is judged with --strict.
"""

import argparse
import io
import random
import statistics
import sys
import time
from datetime import datetime

import standalone  # isort: skip

import orjson
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from billing import catalogue, keys
from billing.models import Customer, Meter, Phase, PhaseItem, Plan, Subscription, UsageCounter, UsageDay
from billing.models.ids import uuid7

RATIO_BUDGET = {1: 0.60, 100: 0.50}
STATEMENTS_BUDGET = 2  # the key's, and the one that does everything

BAREST = """
with given as materialized (
    select * from jsonb_to_recordset(%s::jsonb) as g(id text, customer text, timestamp timestamptz, properties jsonb)
), inserted as (
    insert into billing_usageevent
        (livemode, key, customer_id, meter_id, event_name, occurred_at, day, value, properties, received_at)
    select false, id, substr(customer, 5)::uuid, %s, 'api_call', timestamp, timestamp::date,
           (properties ->> 'value')::numeric, properties, now() from given
    on conflict do nothing returning customer_id, meter_id, day, value, occurred_at
), days as (
    insert into billing_usageday as d (customer_id, meter_id, day, count, total, peak, last, last_at)
    select customer_id, meter_id, day, count(*), sum(value), max(value),
           (array_agg(value order by occurred_at desc))[1], max(occurred_at)
    from inserted group by 1, 2, 3 order by 1, 2, 3
    on conflict (customer_id, meter_id, day) do update
        set count = d.count + excluded.count, total = d.total + excluded.total,
            peak = greatest(d.peak, excluded.peak), last = excluded.last, last_at = excluded.last_at
), counters as (
    insert into billing_usagecounter as u (customer_id, meter_id, start_on, end_on, used, added, last_at)
    select customer_id, meter_id, current_date, current_date + 30, sum(value), sum(value), max(occurred_at)
    from inserted group by 1, 2 order by 1, 2
    on conflict (customer_id, meter_id, start_on) do update
        set used = u.used + excluded.used, added = excluded.added, last_at = excluded.last_at
)
select count(*) from inserted
"""


def minimal(request: HttpRequest) -> HttpResponse:
    events = orjson.loads(request.body)["events"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(BAREST, [orjson.dumps(events).decode(), METER])
        accepted = cursor.fetchone()[0]
    return HttpResponse(orjson.dumps({"accepted": accepted}), status=202)


METER = ""
urlpatterns = [path("minimal", minimal)]


def seed(count: int) -> list[str]:
    """Customers on Pro, whose limit is watched."""
    now, pro = timezone.now(), Plan.objects.get(code="pro")
    price = pro.prices.get(code="api-calls")
    customers = [Customer(name=f"Bench {n}", email=f"b{n}@bench.example") for n in range(count)]
    terms = {"status": "active", "motion": "self_serve", "origin": "api", "currency": "USD"}
    subscriptions = [
        Subscription(customer=c, start_on=now.date(), started_at=now, **terms) for c in customers
    ]
    paid = {"collection_method": "charge_automatically", "motion": "self_serve"}
    phases = [
        Phase(subscription=s, plan=pro, start_on=now.date(), anchor_on=now.date(), **paid)
        for s in subscriptions
    ]
    for model, rows in ((Customer, customers), (Subscription, subscriptions), (Phase, phases)):
        model.objects.bulk_create(rows, batch_size=5000)
    PhaseItem.objects.bulk_create([PhaseItem(phase=phase, price=price) for phase in phases])
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    return [customer.pk for customer in customers]


def body(customers: list[str], events: int, now: datetime) -> bytes:
    made = [
        {"id": uuid7().hex, "customer": random.choice(customers), "event_name": "api_call",
         "timestamp": now.isoformat(), "properties": {"value": 1, "region": "eu-1", "path": "/v2/search"}}
        for _ in range(events)
    ]  # fmt: skip
    return orjson.dumps({"events": made})


def send(handler: WSGIHandler, address: str, content: bytes, secret: str) -> None:
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": address, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(content)), "wsgi.input": io.BytesIO(content),
        "wsgi.url_scheme": "http", "HTTP_HOST": "127.0.0.1", "HTTP_AUTHORIZATION": f"Bearer {secret}",
    }  # fmt: skip
    response = handler(environ, lambda status, headers: answers.append(status))
    response.close()
    assert answers[0].startswith("202"), (answers, b"".join(response))


def rate(handler: WSGIHandler, address: str, bodies: list[bytes], secret: str, events: int) -> float:
    began = time.perf_counter()
    for content in bodies:
        send(handler, address, content, secret)
    return len(bodies) * events / (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100, help="in each request")
    parser.add_argument("--requests", type=int, default=50, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    global METER
    METER = Meter.objects.get(code="api_calls").pk.partition("_")[2]
    customers = seed(given.customers)
    _, secret = keys.issue(name="bench", livemode=False, now=timezone.now(), scopes=["usage"])
    product, bare = WSGIHandler(), standalone.Bare(__name__)

    def round_of(requests: int) -> tuple[float, float]:
        bodies = [body(customers, given.events, timezone.now()) for _ in range(2 * requests)]
        ours = rate(product, "/api/v1/usage_events", bodies[:requests], secret, given.events)
        return ours, rate(bare, "/minimal", bodies[requests:], secret, given.events)

    round_of(10)
    with CaptureQueriesContext(connection) as queries:
        send(product, "/api/v1/usage_events", body(customers, given.events, timezone.now()), secret)
    statements = len([q for q in queries if q["sql"] not in ("BEGIN", "COMMIT")])
    standalone.freeze()
    rates = [round_of(given.requests) for _ in range(given.rounds)]
    ours, limits = zip(*rates, strict=True)
    ratio = statistics.median(a / b for a, b in rates)
    budget = RATIO_BUDGET.get(given.events, 0.50)
    print(
        f"{given.events} a request, {given.customers} customers: {statistics.median(ours):.0f} events/s "
        f"({min(ours):.0f}-{max(ours):.0f})   minimal view {statistics.median(limits):.0f} "
        f"({min(limits):.0f}-{max(limits):.0f})   ratio {ratio:.2f} (budget {budget})   {statements} statements"
    )
    for total in (UsageDay, UsageCounter):
        found = total.objects.filter(customer__in=customers)
        assert found.exists()
        assert not found.filter(last_at=None).exists(), "one of the two writes less"
    if ratio < budget:
        print("The ratio misses its budget.")
    return 0 if statements <= STATEMENTS_BUDGET and (ratio >= budget or not given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
