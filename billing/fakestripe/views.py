"""The stand-in over HTTP: its API, its 3-D Secure page, and nothing of ours.

Its own cross-site token does not protect the API (Stripe has none either: keys and client secrets do); the
challenge page has a form, and the form has one.
"""

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from billing.fakestripe.server import Answer, FakeStripe
from billing.fakestripe.site import the_fake
from billing.fakestripe.store import Row

LARGEST_BODY = 64 * 1024
OUR_OWN = ("Authorization", "Idempotency-Key", "Stripe-Version", "Content-Type")


@csrf_exempt
@transaction.non_atomic_requests
@require_http_methods(["GET", "POST", "DELETE"])
def api(request: HttpRequest, path: str) -> HttpResponseBase:
    """`/v1/…` as Stripe answers it."""
    if int(request.headers.get("Content-Length") or 0) > LARGEST_BODY:
        return HttpResponse(status=413)
    headers = {name: request.headers[name] for name in OUR_OWN if name in request.headers}
    query = request.META.get("QUERY_STRING", "")
    url = f"/v1/{path}" + (f"?{query}" if query else "")
    return _sent(the_fake().handle(request.method or "GET", url, headers, request.body))


def _sent(answer: Answer) -> HttpResponseBase:
    """The answer, or the way in which it does not arrive."""
    if answer.broken:
        kept = answer.body[: len(answer.body) // 2] if answer.broken == "half" else ""
        return StreamingHttpResponse(_torn(kept), content_type="application/json")
    response = HttpResponse(answer.body, status=answer.status)
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response


def _torn(kept: str) -> Iterator[bytes]:
    yield kept.encode()
    raise ConnectionResetError("The stand-in was told to break this answer off.")


@never_cache
@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
def challenge(request: HttpRequest, intent: str) -> HttpResponse:
    """The bank's page of 3-D Secure: the buyer completes or fails, and goes back to `return_url`."""
    fake = the_fake()
    row = _opened(fake, intent, request.GET.get("client_secret", ""))
    if request.method == "POST" and row["status"] == "requires_action":
        fake.authenticate(intent, ok=request.POST.get("outcome") == "complete")
        row = _opened(fake, intent, row["client_secret"])
    if row["status"] == "requires_action":
        return render(request, "fakestripe/challenge.html", {"intent": row, "amount": _amount(row)})
    return redirect(_way_back(row))


def _opened(fake: FakeStripe, id: str, secret: str) -> Row:
    row = fake.store.get(id)
    if row is None or not constant_time_compare(row.get("client_secret", ""), secret):
        raise Http404
    return row


def _way_back(row: Row) -> str:
    """`return_url` with what Stripe adds to it."""
    parts = urlsplit(row.get("_return_url") or "/")
    kind = row["object"]
    status = "succeeded" if row["status"] in ("succeeded", "processing") else "failed"
    told = {kind: row["id"], f"{kind}_client_secret": row["client_secret"], "redirect_status": status}
    query = "&".join(part for part in (parts.query, urlencode(told)) if part)
    return urlunsplit(parts._replace(query=query))


def _amount(row: Row) -> str:
    """For the bank's page, which shows an amount but does no arithmetic with it."""
    if "amount" not in row:
        return ""
    digits = 0 if row["currency"] in NO_DECIMALS else 3 if row["currency"] in THREE_DECIMALS else 2
    whole, rest = divmod(row["amount"], 10**digits)
    return f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "") + f" {row['currency'].upper()}"


NO_DECIMALS = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
