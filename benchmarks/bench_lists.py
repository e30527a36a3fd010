"""A page of subscriptions over HTTP against a minimal view of the same rows, and its growth with what is stored.

    python benchmarks/bench_lists.py [--subscriptions N] [--times K] [--requests N] [--rounds N]

Both go through Django's WSGI handler in this process. The product checks the key, reads the query and answers 25 of N
subscriptions with phases, items, latest invoice and links to the next page; the minimal view has no middleware, no key
and one statement for the rows of the same 25 with their phases and items as JSON, written out by the quickest writer.
Rounds alternate. Prints milliseconds of both and the ratio, then the product with K times as many rows. That is
measured minutes later, so each side of the growth is told in units of a view whose work is always the same, timed in
the same rounds. The exit status is 1 when the page takes more statements than its budget, which is steady; the two
ratios are judged with --strict.
"""

import argparse
import io
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The first of these sets Django up.
from benchmarks import bench_usage  # isort: skip
import orjson
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import path
from django.utils import timezone

from billing import catalogue, keys

RATIO_BUDGET, GROWTH_BUDGET, STATEMENTS_BUDGET = 2.0, 1.3, 3

BAREST = """
select s.id, s.customer_id, s.status, s.motion, s.origin, s.currency, s.started_at, s.mrr, s.arr, s.created_at,
    (select jsonb_agg(jsonb_build_object('id', p.id, 'start', p.start_on, 'end', p.end_on, 'plan', l.code,
        'items', (select jsonb_agg(jsonb_build_object('code', r.code, 'quantity', i.quantity::text))
                  from billing_phaseitem i join billing_price r on r.id = i.price_id where i.phase_id = p.id)))
     from billing_phase p join billing_plan l on l.id = p.plan_id where p.subscription_id = s.id),
    (select v.id from billing_invoice v where v.subscription_id = s.id order by v.id desc limit 1)
from billing_subscription s join billing_customer c on c.id = s.customer_id
where not c.livemode order by s.id desc limit 25
"""
NAMES = (
    "id", "customer", "status", "motion", "origin", "currency", "started_at", "mrr", "arr", "created_at", "phases",
    "latest_invoice",
)  # fmt: skip


def minimal(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        rows = cursor.execute(BAREST).fetchall()
    shown = [dict(zip(NAMES, row, strict=True)) for row in rows]
    return HttpResponse(orjson.dumps({"results": shown}, default=str), content_type="application/json")


def steady(request: HttpRequest) -> HttpResponse:
    """About the same work as a page, whatever is stored."""
    with connection.cursor() as cursor:
        rows = cursor.execute(
            "select n, jsonb_build_object('n', n) from generate_series(1, 1000) n"
        ).fetchall()
    return HttpResponse(orjson.dumps({"results": rows[:25]}), content_type="application/json")


urlpatterns = [path("minimal", minimal), path("steady", steady)]
BARE = {"MIDDLEWARE": [], "ROOT_URLCONF": __name__}


def get(handler: WSGIHandler, address: str, secret: str) -> tuple[float, bytes]:
    """Milliseconds, and what was answered."""
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": address, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {secret}",
    }  # fmt: skip
    began = time.perf_counter()
    response = handler(environ, lambda status, headers: answers.append(status))
    content = b"".join(response)
    taken = time.perf_counter() - began
    response.close()
    assert answers == ["200 OK"], content
    return taken * 1000, content


def page(handler: WSGIHandler, address: str, secret: str) -> float:
    """Milliseconds of a page that is full."""
    taken, content = get(handler, address, secret)
    assert len(orjson.loads(content)["results"]) == 25
    return taken


def round_of(
    product: WSGIHandler, bare: WSGIHandler, secret: str, requests: int
) -> tuple[float, float, float]:
    """The middle one of so many requests: of the product, of the minimal view, of the steady one."""
    ours = [page(product, "/api/v1/subscriptions", secret) for _ in range(requests)]
    with override_settings(**BARE):
        limit = [page(bare, "/minimal", secret) for _ in range(requests)]
        same = [page(bare, "/steady", secret) for _ in range(requests)]
    return statistics.median(ours), statistics.median(limit), statistics.median(same)


def in_steady_units(rounds: list[tuple[float, float, float]]) -> float:
    return statistics.median(ours / same for ours, _, same in rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscriptions", type=int, default=2000)
    parser.add_argument("--times", type=int, default=10, help="so many times as many for the growth")
    parser.add_argument("--requests", type=int, default=40, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="fail when a ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    bench_usage.seed(given.subscriptions)
    _, secret = keys.issue(name="bench", livemode=False, now=timezone.now(), scopes=["read"])
    product = WSGIHandler()
    with override_settings(**BARE):
        bare = WSGIHandler()
    get(product, "/api/v1/subscriptions", secret)
    with CaptureQueriesContext(connection) as queries:
        get(product, "/api/v1/subscriptions", secret)
    statements = len(queries)  # before the next request empties the list
    rounds = [round_of(product, bare, secret, given.requests) for _ in range(given.rounds)]
    ours, limit, _ = (statistics.median(part) for part in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b, _ in rounds)
    bench_usage.seed(given.subscriptions * (given.times - 1))
    large = [round_of(product, bare, secret, given.requests) for _ in range(given.rounds)]
    growth = in_steady_units(large) / in_steady_units(rounds)
    print(
        f"25 of {given.subscriptions} subscriptions: {ours:.1f} ms   minimal view {limit:.1f} ms   "
        f"ratio {ratio:.2f} (budget {RATIO_BUDGET})   {given.times} times as many: {growth:.2f} "
        f"(budget {GROWTH_BUDGET})   {statements} statements"
    )
    if missed := ratio > RATIO_BUDGET or growth > GROWTH_BUDGET:
        print("A ratio misses its budget.")
    return 0 if 0 < statements <= STATEMENTS_BUDGET and not (missed and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
