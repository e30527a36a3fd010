"""The metrics page against a minimal template view, and making its sums anew against one statement that says the same.

    python benchmarks/bench_metrics.py [--n CUSTOMERS] [--requests N] [--rounds N] [--strict]

Seeds customers whose twenty-four months are behind them: a first payment, an invoice a month, movements up and down, and
one in ten taken on by sales. The page is a GET by a signed-in reader of all 24 months, with every middleware; its limit
is a view without middleware that reads the seller by one statement and renders the same template with what the product
gave it. `figures.rebuild` then writes every sum anew, and its limit is one `create table as` of the same sums. Rounds
alternate. Prints milliseconds and the ratios. The exit status is 1 when the page takes more statements than its budget,
when they grow with the customers, or when the sums are not what was seeded; the ratios are judged with --strict.
"""

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import standalone  # isort: skip
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from billing import catalogue, figures
from billing.models import Figure, User
from config import urls
from sales.admin import metrics as page

RATIO, STATEMENTS = 3.0, 6
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RANGE = "since=2024-03-01&until=2026-02-28&currency=USD"
_shown: dict[str, Any] = {}

# `n` is the customer's place. Guards and triggers are off meanwhile: the sums are made afterwards, as by the command.
SEED = (
    """insert into billing_customer (id, name, email, country, currency, timezone, livemode, created_at{0})
       select gen_random_uuid(), 'Company ' || n, 'a' || n || '@c' || n || '.example', 'IE', 'USD', 'UTC', false,
           %(now)s{1}
       from generate_series(1, %(n)s) n""",
    """create temp table c as select id, gen_random_uuid() as sub, n,
           timestamptz '2024-03-01 09:00Z' + (n %% 700) * interval '1 day' as at
       from (select id, row_number() over (order by id) as n from billing_customer) x""",
    """insert into billing_subscription (id, customer_id, status, motion, origin, currency, start_on, started_at,
           created_at{0})
       select sub, id, 'active', case when n %% 7 = 0 then 'sales_led' else 'self_serve' end, 'api', 'USD', at::date, at,
           at{1} from c""",
    """insert into billing_phase (id, subscription_id, plan_id, start_on, anchor_on, collection_method, motion,
           created_at, source, po_number, free{0})
       select gen_random_uuid(), sub, (select id from billing_plan where code = 'pro'), at::date + 100, at::date,
           'send_invoice', 'sales_assisted', at, '', '', false{1} from c where n %% 10 = 3""",
    """insert into billing_mrrmovement (customer_id, subscription_id, at, kind, cause, motion, mrr, arr, currency,
           livemode)
       select id, sub, at + k * interval '80 days', (array['new', 'expansion', 'contraction', 'expansion'])[k + 1],
           (array['start', 'seats', 'price', 'plan'])[k + 1], 'self_serve', d, 12 * d, 'USD', false
       from c cross join lateral (values (0, 5800), (1, 2900), (2, -1900), (3, 4000)) v (k, d)
       where at + k * interval '80 days' < %(now)s""",
    "insert into billing_numberseries (code{0}) select 'bench'{1}",
    """insert into billing_invoice (id, status, livemode, number, series_id, sequence, customer_id, subscription_id,
           motion, collection_method, net_days, currency, issued_at, issued_on, subtotal, discount_total, tax_total,
           total, amount_paid, amount_credited, seller, bill_to, po_number, memo, policies, line_count, paid_at, attempts,
           created_at{0})
       select gen_random_uuid(), 'paid', false, '', 'bench', 24 * n + k, id, sub,
           case when n %% 7 = 0 then 'sales_led' else 'self_serve' end, 'charge_automatically', 0, 'USD',
           at + k * interval '1 month', at::date, 5800, 0, 0, 5800, 5800, 0, '{{}}', '{{}}', '', '', '{{}}', 1,
           at + k * interval '1 month', 0, at{1}
       from c cross join generate_series(0, 23) k where at + k * interval '1 month' < %(now)s""",
)


def seed(n: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        for sql in SEED:
            cursor.execute(_filled(cursor, sql), {"n": n, "now": NOW})
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def _filled(cursor: Any, sql: str) -> str:
    """The statement with an empty value for every other column that must have one."""
    table, _, rest = sql.partition("insert into ")[2].partition(" (")
    if "{0}" not in sql:
        return sql
    given = {name.strip() for name in rest.partition("{0}")[0].split(",")}
    cursor.execute(
        "select column_name, data_type from information_schema.columns where table_name = %s and is_nullable = 'NO'"
        " and column_default is null and is_identity = 'NO' and is_generated = 'NEVER'",
        [table],
    )
    empty = {"jsonb": "'{}'", "boolean": "false", "character varying": "''", "text": "''", "ARRAY": "'{}'"}
    missing = [(name, empty.get(kind, "0")) for name, kind in cursor.fetchall() if name not in given]
    return sql.format(
        "".join(f", {name}" for name, _ in missing), "".join(f", {value}" for _, value in missing)
    )


# -- The page ---------------------------------------------------------------------------------------------


def minimal(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("select * from billing_seller")
        cursor.fetchone()
    return render(request, _shown["template"], _shown["context"])


urlpatterns = [path("bare/metrics/", minimal), *urls.urlpatterns]


def ask(handler: WSGIHandler, cookie: str, address: str = "/admin/metrics/") -> float:
    """Milliseconds of the page."""
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": address, "QUERY_STRING": RANGE, "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "HTTP_HOST": "127.0.0.1",
        "HTTP_COOKIE": cookie, "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip
    began = time.perf_counter()
    response = handler(environ, lambda status, headers: answers.append(status))
    b"".join(response)
    taken = time.perf_counter() - began
    response.close()
    assert answers == ["200 OK"], answers
    return taken * 1000


def reader() -> str:
    """The cookies of somebody who may see the page."""
    user = User.objects.create_superuser("reader@bench.example", name="Reader", password=None)
    client = Client()
    client.force_login(user)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def note_what_is_shown(handler: WSGIHandler, cookie: str) -> None:
    """Keep what the product gives its template."""

    def keep(request: HttpRequest, template: str, context: dict[str, Any], **other: Any) -> HttpResponse:
        _shown.update(template=template, context=context)
        return TemplateResponse(request, template, context, **other)

    page.TemplateResponse = keep  # type: ignore[assignment, misc]
    ask(handler, cookie)
    page.TemplateResponse = TemplateResponse  # type: ignore[misc]


def statements(handler: WSGIHandler, cookie: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        ask(handler, cookie)
    return len(queries)


# -- The sums -----------------------------------------------------------------------------------------------

SAME = f"""
create temp table same on commit drop as select {figures._KEYS}, {figures._SUMS} from (
    select {figures._KEYS}, {figures._VALUES} from billing_plain_figures
    union all select {figures._KEYS}, {figures._VALUES} from ({figures._OF_CUSTOMERS}) of_customers
) said group by {figures._KEYS}
"""


def one_statement() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SAME.replace("sum(amount), sum(later)", "sum(amount) as amount, sum(later) as later"))


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ({min(times):.1f}-{max(times):.1f})"


def said(what: str, ours: list[float], limit: list[float]) -> bool:
    """Print one row; whether its ratio misses the budget."""
    ratios = [a / b for a, b in zip(ours, limit, strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"{what}: {_spread(ours)} ms   limit {_spread(limit)}   ratio {ratio:.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}, budget {RATIO})",
        flush=True,
    )
    return ratio > RATIO


def pages(handler: WSGIHandler, bare: WSGIHandler, cookie: str, given: argparse.Namespace) -> bool:
    ours, limit = [], []
    for _ in range(given.rounds):
        ours.append(statistics.median(ask(handler, cookie) for _ in range(given.requests)))
        limit.append(statistics.median(ask(bare, cookie, "/bare/metrics/") for _ in range(given.requests)))
    return said(f"metrics page, {given.n} customers", ours, limit)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000, help="customers (default 2000)")
    parser.add_argument("--requests", type=int, default=20, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="fail when a ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=NOW)
    handler, cookie = WSGIHandler(), reader()
    ask(handler, cookie)
    of_nobody = statements(handler, cookie)
    seed(given.n)
    figures.rebuild()
    note_what_is_shown(handler, cookie)
    of_page, rows = statements(handler, cookie), Figure.objects.count()
    print(
        f"statements of the page: {of_nobody} without customers, {of_page} with {given.n}; {rows} sums",
        flush=True,
    )
    late = pages(handler, standalone.Bare(__name__), cookie, given)
    pairs = [(timed(figures.rebuild), timed(one_statement)) for _ in range(given.rounds)]
    slow = said("all sums made anew", [a for a, _ in pairs], [b for _, b in pairs])
    if late or slow:
        print("A ratio misses its budget.")
    kept = of_page <= STATEMENTS and of_page == of_nobody and not figures.check()
    return 0 if kept and not ((late or slow) and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
