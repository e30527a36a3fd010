"""An endpoint of one query through the real stack, against the same view bare.

    python benchmarks/bench_endpoint.py [--requests N] [--rounds N] [--strict]

Both go through Django's WSGI handler in this process, and both find one customer with one statement and show it by
the same function. The product's way has every middleware, the key's look-up, its limit of requests, and the checks
of the API; the bare view has none of them. Rounds alternate. Prints requests a second of both and the ratio. The
exit status is 1 when the product takes more statements than the key's and its own, which is steady; the ratio is
judged with --strict.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The first of these sets Django up.
from benchmarks import bench_lists  # isort: skip
import orjson
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from billing import keys
from billing.api.customers import CustomerOut
from billing.api.finding import customer_at
from billing.api.showing import shown
from billing.models import Customer

RATIO_BUDGET, STATEMENTS_BUDGET = 0.6, 2


def bare_view(request: HttpRequest, customer: str) -> HttpResponse:
    (found,) = shown(CustomerOut, [customer_at(customer, livemode=False)])
    return HttpResponse(orjson.dumps(found), content_type="application/json")


urlpatterns = [path("bare/<str:customer>", bare_view)]


def rate(handler: WSGIHandler, address: str, secret: str, requests: int) -> float:
    """Requests a second, by the middle one of so many."""
    return 1000 / statistics.median(bench_lists.get(handler, address, secret)[0] for _ in range(requests))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="fail when the ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    customer = Customer.objects.create(name="Bench", email="bench@bench.example").pk
    _, secret = keys.issue(name="bench", livemode=False, now=timezone.now(), scopes=["read"])
    product, address = WSGIHandler(), f"/api/v1/customers/{customer}"
    bare = bench_lists.bench_usage.standalone.Bare(__name__)
    bench_lists.get(product, address, secret)
    with CaptureQueriesContext(connection) as queries:
        bench_lists.get(product, address, secret)
    statements, rates = len(queries), []
    for _ in range(given.rounds):
        ours = rate(product, address, secret, given.requests)
        rates.append((ours, rate(bare, f"/bare/{customer}", secret, given.requests)))
    ours, limit = (statistics.median(part) for part in zip(*rates, strict=True))
    ratios = [a / b for a, b in rates]
    ratio = statistics.median(ratios)
    print(
        f"one customer: {ours:.0f} requests/s   the same view bare {limit:.0f}   ratio {ratio:.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}, budget {RATIO_BUDGET})   {statements} statements"
    )
    if missed := ratio < RATIO_BUDGET:
        print("The ratio misses its budget.")
    return 0 if 0 < statements <= STATEMENTS_BUDGET and not (missed and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
