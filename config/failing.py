"""What a visitor is told when the database was away, whoever noticed: a view, middleware, or another error's page; when a
paper could not be made; when the mail server was away, which a code to sign in waits for; when they asked too often; and
when it is our own fault."""

import logging
import re
import sys
from dataclasses import dataclass

from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render
from django.template.loader import render_to_string

from billing import away
from billing.papers.isolated import PaperFailed
from portal.accounts import MailAway

logger = logging.getLogger("tandem.request")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a visitor whose page broke goes on, and what to look at there before doing it again."""

    label: str
    advice: str
    link: str = ""
    """Empty for a page that its address names: a checkout, an invoice, a quote."""


TWICE = "nothing is charged twice."
PLACES = {
    r"/admin/": Place("Back to the overview", "Look whether it was done before you do it again.", "/admin/"),
    r"/checkout/[\w-]{20,64}/": Place(
        "Back to the checkout", f"If you were paying, the checkout says whether it went through: {TWICE}"
    ),
    r"/invoices/[\w.-]{20,200}/": Place(
        "Back to the invoice", f"If you were paying, the invoice says whether it went through: {TWICE}"
    ),
    r"/quotes/[\w.-]{20,200}/": Place(
        "Back to the quote", "If you were answering it, the quote says whether we have your answer."
    ),
    r"/accounts/": Place(
        "Back to signing in", "If you wait for a code, ask for a new one.", "/accounts/login/"
    ),
    r"/(pricing|checkout|contact-sales)/": Place("Back to the plans", "Nothing was charged.", "/pricing/"),
    r"": Place(
        "Go to my account",
        f"If you were paying, look into your invoices before you pay again: {TWICE}",
        "/portal/",
    ),
}


def way_on(request: HttpRequest) -> dict[str, object]:
    """For the template: `place`, its `link`, and whether `again` is a way, as it is for what only reads.

    Told by the address alone: the database may be what is missing.
    """
    found, place = next(
        (found, place)
        for start, place in PLACES.items()
        if (found := re.match(start, request.path, re.ASCII))
    )
    return {"place": place, "link": place.link or found[0], "again": request.method in ("GET", "HEAD")}


def is_away(error: BaseException | None) -> bool:
    return away.is_away(error) or isinstance(error, MailAway | PaperFailed)


def try_again(request: HttpRequest, error: BaseException | None) -> HttpResponse:
    """Nothing was done, and it is worth another try. So Stripe sends its event again, and a buyer reads what to do."""
    no_mail = isinstance(error, MailAway)
    logger.error("Asked to come again, as the %s: %s", reason(error), error)
    told = {"no_mail": no_mail, "no_paper": isinstance(error, PaperFailed)}
    response = render(request, "503.html", {**told, **way_on(request)}, status=503)
    response["Retry-After"] = "60" if no_mail else "5"
    return response


def reason(error: BaseException | None) -> str:
    """For the log."""
    if isinstance(error, PaperFailed):
        return "paper could not be made"
    return f"{'mail server' if isinstance(error, MailAway) else 'database'} did not answer"


def not_stored(request: HttpRequest, error: DataError) -> HttpResponse:
    """What no form refused and the database cannot hold: a NUL in what a choice was changed to, a number without end.

    A NUL is typed by nobody, and says nothing of us; for all else the log tells where a form is missing.
    """
    if _sends_nul(request):
        logger.warning("Text with a NUL was sent to %s", request.path)
    else:
        logger.error("A value cannot be stored: %s", error, exc_info=error)
    return render(request, "400.html", status=400)


def _sends_nul(request: HttpRequest) -> bool:
    return any(
        "\x00" in text for sent in (request.GET, request.POST) for _, texts in sent.lists() for text in texts
    )


def told(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The page for what a view raised; None where it is our own fault."""
    if is_away(error):
        return try_again(request, error)
    return not_stored(request, error) if isinstance(error, DataError) else None


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, called while the exception is being handled. Whoever asks us about it names the request."""
    error = sys.exception()
    if is_away(error):
        return try_again(request, error)
    name = getattr(request, "request_id", "")
    return HttpResponseServerError(render_to_string("500.html", {**way_on(request), "name": name}))


def too_often(request: HttpRequest) -> HttpResponse:
    """allauth's `handler429`: its limits are by the minute."""
    response = render(request, "429.html", way_on(request), status=429)
    response["Retry-After"] = "60"
    return response


def not_sent_from_here(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's `CSRF_FAILURE_VIEW`."""
    logger.warning("Not taken from %s: %s", request.path, reason)
    return render(request, "403_csrf.html", way_on(request), status=403)
