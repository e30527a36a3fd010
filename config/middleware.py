"""A name for every request: answered in a header, written in the log, told in every problem document."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.template.response import SimpleTemplateResponse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from billing import bulk, witnessing
from billing.api import problems
from billing.models import Seller
from billing.models.ids import new_id
from config import connections, failing

logger = logging.getLogger("tandem.request")
API = "/api/"
# A proxy in front may have named it already.
GIVEN = re.compile(r"[A-Za-z0-9_\-]{8,64}", re.ASCII)


# In words: half a mebibyte, so that the piece made for it has as much again.
ROOM = 1 << 16


def with_room[Function: Callable[..., Any]](function: Function) -> Function:
    """Let all that the function calls have its frames in one piece of memory.

    CPython keeps them in pieces of 16 KiB; 3.12, and 3.13 and 3.14 before 2026, give one back as soon as the first frame
    in it ends: a loop that calls across an edge asks the system for memory each time around, and where the edges lie is
    chance. This function says that it needs more than it does, so a large piece is made, once a call; what is not used of
    it is never filled.
    """
    function.__code__ = function.__code__.replace(co_stacksize=ROOM)  # type: ignore[attr-defined]
    return function


class RequestId:
    """Outermost, so that what the other middleware refuses is named and answered in the same form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        name = given if GIVEN.fullmatch(given) else new_id("req")
        request.request_id = name  # type: ignore[attr-defined]
        started = time.perf_counter()
        if request.method == "TRACE":
            response: HttpResponse = HttpResponseNotAllowed(("GET", "HEAD", "POST"))
        elif request.path_info.startswith(API):
            response = self.get_response(request)
        else:
            response = self.page(request)
        if request.path_info.startswith(API):
            response = as_problem(response, name)
        response["X-Request-Id"] = name
        if response.status_code == 503:
            connections.too_few()
        connections.keep_or_not()
        note(request, response, name, time.perf_counter() - started)
        return response

    @with_room
    def page(self, request: HttpRequest) -> HttpResponse:
        """Templates call deeply, and in loops."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return failing.told(request, exception)


def for_pages(kind: type[MiddlewareMixin]) -> type[MiddlewareMixin]:
    """The same, passed by for the API: who calls it brings a key and neither cookies nor forms."""

    class ForPages(kind):  # type: ignore[misc, valid-type]
        def __call__(self, request: HttpRequest) -> Any:
            if request.path_info.startswith(API):
                return self.get_response(request)
            return super().__call__(request)

    return ForPages


Sessions = for_pages(SessionMiddleware)
Forms = for_pages(CsrfViewMiddleware)
Users = for_pages(AuthenticationMiddleware)
Messages = for_pages(MessageMiddleware)


class SellersZone:
    """Staff read dates and times in the seller's time zone, wherever they sit. What they may do is read with it: every
    page of theirs asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/admin/"):
            return self.get_response(request)
        with timezone.override(_zone_of_seller(request.user)):
            response = self.get_response(request)
            if isinstance(response, SimpleTemplateResponse):
                response = response.render()
        if response.status_code == 403 and request.user.is_staff:
            witnessing.refused(request, request.user)  # type: ignore[arg-type]
        return response


def _zone_of_seller(user: Any) -> str:
    """Whoever may do everything is not asked about."""
    sellers = Seller.objects.values_list("timezone")[:1]
    if user.is_staff and not user.is_superuser:
        zones, may = bulk.tables(sellers, user.permissions)
        user.may_do(may)
    else:
        zones = list(sellers)
    return zones[0][0] if zones else "UTC"


class SampleGate:
    """In the demo, while its sample data are being made: the pricing page opens, any other address says how far it is.

    Nobody can buy at today's date in between invoices of last year, whose numbers follow the days.
    """

    OPEN = ("/pricing/", "/healthz", "/static/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(self.OPEN) or (progress := self.progress()) is None:
            return self.get_response(request)
        response = render(request, "sample_unfinished.html", {"progress": progress}, status=503)
        response["Retry-After"], response["Refresh"], response["Cache-Control"] = "5", "2", "no-store"
        return response

    @staticmethod
    def progress() -> str | None:
        """How far the sample data are; None when they are there."""
        try:
            return str(settings.SAMPLE_UNFINISHED.read_text())
        except FileNotFoundError:
            return None


def as_problem(response: HttpResponse, request_id: str) -> HttpResponse:
    """What was refused before a view of the API saw it (a wrong host, a wrong address), as the API says
    it."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith(problems.MEDIA_TYPE):
        return response
    title = problems.TITLES.get(response.status_code, "Refused")
    problem = problems.Problem(response.status_code, _code(response.status_code), title)
    document = problems.document(problem, request_id)
    headers = {name: response[name] for name in ("Allow", "Retry-After") if name in response}
    return JsonResponse(document, status=problem.status, content_type=problems.MEDIA_TYPE, headers=headers)


def _code(status: int) -> str:
    known = {404: "not_found", 405: "method_not_allowed", 500: "internal_error", 503: "try_again"}
    return known.get(status, "bad_request")


def note(request: HttpRequest, response: HttpResponse, name: str, seconds: float) -> None:
    """One line. The route instead of the address: addresses carry sign-in and quote tokens."""
    match = request.resolver_match
    route = match.route if match else "-"
    logger.info("%s /%s %s %.0f ms %s", request.method, route, response.status_code, seconds * 1000, name)
