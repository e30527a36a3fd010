"""Pages of lists over HTTP against minimal views of the same rows, and their growth with what is stored.

    python benchmarks/bench_lists.py [--rows N] [--times K] [--requests N] [--rounds N]

Both go through Django's WSGI handler in this process. The product checks the key, reads the query and answers 25 of N
subscriptions (with phases, items and latest invoice), invoices (with two lines), customers or events, and links to the
next page; the minimal view has no middleware, no key and one statement for the columns of the same 25 with what belongs
to them as JSON, written out by the quickest writer, and is spared Django's statement that asks whether the connection
lives. What is loaded is left out of collections, as the web server does. Rounds alternate. Prints milliseconds of both
and the ratio, then the product with K times as many rows. That is measured minutes later, so each side of the growth is
told in units of a view whose work is always the same, timed in the same rounds. The exit status is 1 when a page takes
more statements than its budget, which is steady; the two ratios are judged with --strict.
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
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from billing import catalogue, keys
from billing.models import Customer, Event, Invoice, InvoiceLine, Segment
from billing.models.ids import uuid7

RATIO_BUDGET, GROWTH_BUDGET, STATEMENTS_BUDGET = 2.0, 1.3, 3

SUBSCRIPTIONS = """
select s.id, s.customer_id, s.status, s.motion, s.origin, s.currency, s.started_at, s.mrr, s.arr, s.created_at,
    (select jsonb_agg(jsonb_build_object('id', p.id, 'start', p.start_on, 'end', p.end_on, 'plan', l.code,
        'items', (select jsonb_agg(jsonb_build_object('code', r.code, 'quantity', i.quantity::text))
                  from billing_phaseitem i join billing_price r on r.id = i.price_id where i.phase_id = p.id)))
     from billing_phase p join billing_plan l on l.id = p.plan_id where p.subscription_id = s.id),
    (select v.id from billing_invoice v where v.subscription_id = s.id order by v.id desc limit 1)
from billing_subscription s where not s.livemode order by s.id desc limit 25
"""
INVOICES = """
select i.id, i.number, i.status, i.currency, i.customer_id, i.subscription_id, i.motion, i.collection_method,
    i.issued_at, i.due_on, i.period_start, i.period_end, i.subtotal, i.discount_total, i.tax_total, i.total,
    i.amount_paid, i.amount_credited, i.amount_due, i.po_number, i.paid_at, i.memo, i.sent_at, i.voided_at,
    i.created_at, i.seller, i.bill_to,
    (select jsonb_agg(to_jsonb(l) order by l.position) from billing_invoiceline l where l.invoice_id = i.id)
from billing_invoice i where not i.livemode order by i.id desc limit 25
"""
CUSTOMERS = """
select c.id, c.name, c.email, c.external_id, c.livemode, c.currency, c.country, c.timezone, c.domain, c.employees,
    c.industry, c.tax_id, c.tax_exempt, c.billing_address, c.net_days, c.consolidate_invoices, c.collection_method,
    c.metadata, c.test_clock_id, s.code, s.motion, u.email, c.merged_into_id, c.arr, c.mrr, c.balance, c.created_at
from billing_customer c left join billing_segment s on s.id = c.segment_id left join {users} u on u.id = c.owner_id
where not c.livemode order by c.id desc limit 25
"""
EVENTS = """
select id, number, type, object_id, sequence, customer_id, actor, at, data
from billing_event where not livemode order by number desc limit 25
"""
LISTS = {"subscriptions": SUBSCRIPTIONS, "invoices": INVOICES, "customers": CUSTOMERS, "events": EVENTS}


def minimal(request: HttpRequest, name: str) -> HttpResponse:
    connection.health_check_done = True
    with connection.cursor() as cursor:
        cursor.execute(LISTS[name].replace("{users}", get_user_model()._meta.db_table))
        names = [column.name for column in cursor.description]
        shown = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return HttpResponse(orjson.dumps({"results": shown}, default=str), content_type="application/json")


def steady(request: HttpRequest) -> HttpResponse:
    """About the same work as a page, whatever is stored."""
    connection.health_check_done = True
    with connection.cursor() as cursor:
        rows = cursor.execute(
            "select n, jsonb_build_object('n', n) from generate_series(1, 1000) n"
        ).fetchall()
    return HttpResponse(orjson.dumps({"results": rows[:25]}), content_type="application/json")


urlpatterns = [path("minimal/<str:name>", minimal), path("steady", steady)]


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
    name: str, product: WSGIHandler, bare: WSGIHandler, secret: str, requests: int
) -> tuple[float, float, float]:
    """The middle one of so many requests: of the product, of the minimal view, of the steady one."""
    ours = [page(product, f"/api/v1/{name}", secret) for _ in range(requests)]
    limit = [page(bare, f"/minimal/{name}", secret) for _ in range(requests)]
    same = [page(bare, "/steady", secret) for _ in range(requests)]
    return statistics.median(ours), statistics.median(limit), statistics.median(same)


def in_steady_units(rounds: list[tuple[float, float, float]]) -> float:
    return statistics.median(ours / same for ours, _, same in rounds)


def seed(count: int) -> None:
    """Customers in a segment, each with a subscription, a draft of two lines and an event."""
    ids = bench_usage.seed(count)
    Customer.objects.filter(pk__any=ids).update(segment=Segment.objects.get(code="smb"))
    now = timezone.now()
    terms = {
        "motion": "self_serve",
        "collection_method": "charge_automatically",
        "currency": "USD",
        "net_days": 30,
    }
    drafts = [
        Invoice(customer_id=pk, created_at=now, line_count=2, subtotal=2900, total=2900, **terms)
        for pk in ids
    ]
    lines = [
        InvoiceLine(
            invoice=draft, position=n, kind="one_time", description="Work", quantity=1, unit_amount=29, gross=1450,
            discount=0, net=1450, tax_percentage=0, tax_amount=0,
        )
        for draft in drafts for n in (1, 2)
    ]  # fmt: skip
    for model, rows in ((Invoice, drafts), (InvoiceLine, lines)):
        model.objects.bulk_create(rows, batch_size=5000)
    told = {"type": "invoice.created", "data": {"total": 2900, "currency": "USD"}}
    Event.objects.bulk_create(
        Event(
            id=uuid7(),
            object_id=draft.pk,
            customer_id=draft.customer_id,
            actor="bench",
            at=now,
            sequence=1,
            **told,
        )
        for draft in drafts
    )
    with connection.cursor() as cursor:
        cursor.execute("analyze")


def statements_of(product: WSGIHandler, name: str, secret: str) -> int:
    """Of a page whose query is known and whose key has an allowance."""
    get(product, f"/api/v1/{name}", secret)
    with CaptureQueriesContext(connection) as queries:
        get(product, f"/api/v1/{name}", secret)
    return len(queries)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--times", type=int, default=10, help="so many times as many for the growth")
    parser.add_argument("--requests", type=int, default=40, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="fail when a ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    seed(given.rows)
    _, secret = keys.issue(name="bench", livemode=False, now=timezone.now(), scopes=["read"])
    product, bare = WSGIHandler(), bench_usage.standalone.Bare(__name__)

    def measured(name: str) -> list[tuple[float, float, float]]:
        return [round_of(name, product, bare, secret, given.requests) for _ in range(given.rounds)]

    statements = {name: statements_of(product, name, secret) for name in LISTS}
    bench_usage.standalone.freeze()
    small = {name: measured(name) for name in LISTS}
    seed(given.rows * (given.times - 1))
    large = {name: measured(name) for name in LISTS}
    missed = False
    for name, rounds in small.items():
        ours, limit, _ = (statistics.median(part) for part in zip(*rounds, strict=True))
        ratio = statistics.median(a / b for a, b, _ in rounds)
        growth = in_steady_units(large[name]) / in_steady_units(rounds)
        missed |= ratio > RATIO_BUDGET or growth > GROWTH_BUDGET
        print(
            f"25 of {given.rows} {name}: {ours:.1f} ms   minimal view {limit:.1f} ms   ratio {ratio:.2f} "
            f"(budget {RATIO_BUDGET})   {given.times} times as many: {growth:.2f} (budget {GROWTH_BUDGET})   "
            f"{statements[name]} statements"
        )
    if missed:
        print("A ratio misses its budget.")
    steady_ones = all(0 < n <= STATEMENTS_BUDGET for n in statements.values())
    return 0 if steady_ones and not (missed and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
