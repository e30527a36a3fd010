"""The checkout page and its confirmation over HTTP, against a minimal template view and a minimal view that writes the
same rows by six statements in two commits.

    python benchmarks/bench_checkout.py [--requests N] [--rounds N] [--strict]

All go through Django's WSGI handler in this process. The page is a GET of a session with a plan of three prices; its
limit is a view without middleware that reads the session's row by one statement and renders the same template with
what the product gave it. The confirmation is the POST that pays, with every middleware, form and check, the commit
before the call and the one after it; the card's network is a function that says yes at once. Its limit is a view
without middleware and without a thought, which writes what the product was seen to write, every row of every table, by
six statements that the connection has planned, in two commits (docs/decisions/0035-a-limit-of-the-same-rows.md); that
both write as many rows of each table is checked. Six tiny statements are measured beside it, which were the limit
before: they read and change a session and store an attempt in one commit, and read and change both in another.

Rounds alternate, and what is loaded is left out of collections, as the web server does. Prints p50 and p99 of each in
milliseconds and the ratios. The exit status is 1 when page or confirmation takes more statements than its budget or
its limit writes other rows, which is steady; the ratios to the first limit of each are judged with --strict.
"""

import argparse
import io
import itertools
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import standalone  # isort: skip
import barest
from barest_sale import BarestSale
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from billing import catalogue
from billing.gateway import Card, Outcome, use
from billing.models.ids import new_id
from checkout import catalogue as rules
from checkout import sessions
from checkout.models import CheckoutSession
from checkout.views import paying

RATIO_BUDGET, PAGE_STATEMENTS, CONFIRMATION_STATEMENTS = 2.0, 5, 14
AROUND = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
CSRF = "b" * 32
ANSWERS = {
    "action": "pay", "payment_method": "pm_card_visa", "terms": "on", "csrfmiddlewaretoken": CSRF,
    "interval": "month", "quantity": "3", "name": "Ada Lovelace", "company": "Nova Robotics", "employees": "12",
    "country": "DE", "line1": "Hauptstr. 1", "postal_code": "53111", "city": "Bonn", "timezone": "Europe/Berlin",
}  # fmt: skip
RUN = secrets.token_hex(4)  # what is stored is told apart from an earlier run's in the same database
_numbers = (f"{RUN}{n}" for n in itertools.count(1))
_shown: dict[str, Any] = {}


class Yes:
    """The card's network, without the network."""

    def create_customer(self, **_: Any) -> str:
        return f"cus_{next(_numbers)}"

    def charge(self, *, amount: int, currency: str, **_: Any) -> Outcome:
        n = next(_numbers)
        card = Card(f"pm_{n}", "visa", "4242", 12, 2040)
        return Outcome("succeeded", f"pi_{n}", f"ch_{n}", amount, currency, card=card)


# -- The limits -----------------------------------------------------------------------------------------


def minimal_page(request: HttpRequest, token: str) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("select * from checkout_checkoutsession where token = %s", [token])
        cursor.fetchone()
    return render(request, _shown["template"], _shown["context"])


READ = "select id, status from checkout_checkoutsession where token = %s for no key update"
TRY = "update checkout_checkoutsession set attempts = attempts + 1 where token = %s"
ATTEMPT = """
insert into billing_payment (id, source, livemode, status, method, amount, amount_refunded, currency, key, provider_id,
    card_label, decline_code, message, client_secret, action_url, reference, dispute_status, off_session, created_at,
    recorded_at)
values (%s, 'checkout:bench', false, 'new', 'card', 100, 0, 'USD', %s, null, '', '', '', '', '', '', '', false, now(),
    now()) returning id
"""
HOLD = "select id, status from billing_payment where id = %s for no key update"
PAID = "update billing_payment set status = 'failed', provider_id = key where id = %s"
DONE = "update checkout_checkoutsession set message = 'done', attempted_at = null where token = %s"


def six_statements(request: HttpRequest, token: str) -> HttpResponse:
    payment = new_id("pay").partition("_")[2]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(READ, [token])
        cursor.execute(TRY, [token])
        cursor.execute(ATTEMPT, [payment, payment])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(HOLD, [payment])
        cursor.execute(PAID, [payment])
        cursor.execute(DONE, [token])
    return HttpResponse(status=302, headers={"Location": "/"})


def same_rows(request: HttpRequest, token: str) -> HttpResponse:
    _shown["sale"].sell(token)
    return HttpResponse(status=302, headers={"Location": "/"})


urlpatterns = [
    path("page/<str:token>/", minimal_page),
    path("same/<str:token>/", same_rows),
    path("six/<str:token>/", six_statements),
]


# -- Asking ---------------------------------------------------------------------------------------------


def ask(handler: WSGIHandler, address: str, body: bytes | None = None) -> tuple[float, str]:
    """Milliseconds, and the status."""
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET" if body is None else "POST", "PATH_INFO": address, "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body or b""), "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body or b"")),
        "HTTP_COOKIE": f"csrftoken={CSRF}; __Host-csrftoken={CSRF}", "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip
    began = time.perf_counter()
    response = handler(environ, lambda status, headers: answers.append(status))
    b"".join(response)
    taken = time.perf_counter() - began
    response.close()
    return taken * 1000, answers[0]


def session() -> CheckoutSession:
    return sessions.start(
        plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False, currency="USD"
    )


def show(handler: WSGIHandler, row: CheckoutSession, address: str = "/checkout/") -> float:
    taken, status = ask(handler, f"{address}{row.token}/")
    assert status == "200 OK", status
    return taken


def pay(handler: WSGIHandler, row: CheckoutSession, address: str = "/checkout/") -> float:
    answers = {**ANSWERS, "email": f"buyer{next(_numbers)}@bench.example"}
    taken, status = ask(handler, f"{address}{row.token}/", urlencode(answers).encode())
    assert status == "302 Found", status
    return taken


def paid(handler: WSGIHandler) -> float:
    """Milliseconds of a confirmation that made everything."""
    row = session()
    taken = pay(handler, row)
    assert CheckoutSession.objects.get(pk=row.pk).status == "completed"
    return taken


def statements(work: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        work()
    return len([each for each in queries if not each["sql"].strip().startswith(AROUND)])


def note_what_is_shown(handler: WSGIHandler, row: CheckoutSession) -> None:
    """Keep what the product gives its template."""

    def keep(request: HttpRequest, template: str, context: dict[str, Any], **other: Any) -> HttpResponse:
        _shown.update(template=template, context=context)
        return render(request, template, context, **other)

    paying.render = keep  # type: ignore[attr-defined]
    show(handler, row)
    paying.render = render  # type: ignore[attr-defined]


def same_sale(product: WSGIHandler, bare: WSGIHandler) -> bool:
    """Make the limit of what a confirmation writes; whether it writes as many rows of each table."""
    first, second, third = session(), session(), session()
    found = barest.written(lambda: pay(product, first))
    _shown["sale"] = BarestSale(found, rf"{RUN}\d+", lambda: next(_numbers))
    ours = barest.counted(lambda: pay(product, second))
    limit = barest.counted(lambda: pay(bare, third, "/same/"))
    for table in sorted(ours.keys() | limit.keys()):
        if ours.get(table) != limit.get(table):
            print(
                f"{table}: {ours.get(table)} rows inserted, changed, taken away; its limit {limit.get(table)}"
            )
    return ours == limit


def rounds(
    given: argparse.Namespace, product: WSGIHandler, bare: WSGIHandler, row: CheckoutSession
) -> Iterator[list[list[float]]]:
    """Of each round the milliseconds of page, its limit, confirmation, its limit and six tiny statements."""
    each = range(given.requests)
    for _ in range(given.rounds):
        pages = [show(product, row) for _ in each]
        limit = [show(bare, row, "/page/") for _ in each]
        payments = [paid(product) for _ in each]
        same = [pay(bare, session(), "/same/") for _ in each]
        six = [pay(bare, row, "/six/") for _ in each]
        yield [pages, limit, payments, same, six]


def p50(times: list[float]) -> float:
    return statistics.median(times)


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def said(what: str, ours: list[list[float]], limit: list[list[float]], count: int) -> bool:
    """Print one row; whether a ratio misses its budget. p50 is compared round by round, p99 over all of them."""
    ratios = [p50(a) / p50(b) for a, b in zip(ours, limit, strict=True)]
    all_ours, all_limit = list(itertools.chain(*ours)), list(itertools.chain(*limit))
    middle, worst = statistics.median(ratios), p99(all_ours) / p99(all_limit)
    print(
        f"{what}: p50 {p50(all_ours):.1f} ms, p99 {p99(all_ours):.1f} ms   limit {p50(all_limit):.1f}, "
        f"{p99(all_limit):.1f}   ratios {middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f}), {worst:.2f} "
        f"(budget {RATIO_BUDGET})   {count} statements"
    )
    return max(middle, worst) > RATIO_BUDGET


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=30, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="fail when a ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=timezone.now())
    rules.ship(now=timezone.now())
    product, bare, row = WSGIHandler(), standalone.Bare(__name__), session()
    with use(Yes()):  # type: ignore[arg-type]
        note_what_is_shown(product, row)
        paid(product)
        of_page, fresh = statements(lambda: show(product, row)), session()
        of_confirmation = statements(lambda: pay(product, fresh))
        same = same_sale(product, bare)
        standalone.freeze()
        parts = list(zip(*rounds(given, product, bare, row), strict=True))
    pages, limit, payments, rows, six = ([list(part) for part in each] for each in parts)
    missed = [
        said("checkout page", pages, limit, of_page),
        said("confirmation", payments, rows, of_confirmation),
    ]
    said("confirmation against six tiny statements", payments, six, of_confirmation)
    if any(missed):
        print("A ratio misses its budget.")
    kept = 0 < of_page <= PAGE_STATEMENTS and 0 < of_confirmation <= CONFIRMATION_STATEMENTS
    return 0 if kept and same and not (any(missed) and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())
