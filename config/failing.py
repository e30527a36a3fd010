"""What a visitor is told when the database was away, whoever noticed: a view, middleware, or another error's page; when a
paper could not be made; and when the mail server was away, which a code to sign in waits for."""

import logging
import sys

from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from billing import away
from billing.papers.isolated import PaperFailed
from portal.accounts import MailAway

logger = logging.getLogger("tandem.request")


def is_away(error: BaseException | None) -> bool:
    return away.is_away(error) or isinstance(error, MailAway | PaperFailed)


def try_again(request: HttpRequest, error: BaseException | None) -> HttpResponse:
    """Nothing was done, and it is worth another try. So Stripe sends its event again, and a buyer reads what to do."""
    no_mail = isinstance(error, MailAway)
    logger.error("Asked to come again, as the %s: %s", reason(error), error)
    response = render(request, "503.html", {"no_mail": no_mail}, status=503)
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
    """Django's `handler500`, called while the exception is being handled."""
    error = sys.exception()
    return try_again(request, error) if is_away(error) else defaults.server_error(request)
