"""What the checkout's views share: finding a session by its token, and answering with the right headers."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csp import csp_override

from billing.models import Entitlement
from billing.remembering import Remembered, Slot
from checkout import limits, sessions
from checkout.models import CheckoutSession

TEN_MINUTES = timedelta(minutes=10)
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def session_of(token: str) -> CheckoutSession:
    """The session, its plan, customer, discount and the plan's limit of seats, in one query; or 404."""
    found = _by_token().fetch({"token": token}) if TOKEN.fullmatch(token) else []
    if not found:
        raise Http404
    session: CheckoutSession = found[0]
    return session


@cache
def _by_token() -> Remembered:
    """Every page and every press of a button asks this."""
    seats = Entitlement.objects.filter(plan=OuterRef("plan"), feature="seats").values("limit")[:1]
    rows = CheckoutSession.objects.select_related("plan", "discount", "customer", "test_clock").order_by()
    return Remembered(rows.annotate(seat_limit=Subquery(seats)).filter(token=Slot("token")))


def most_seats(session: CheckoutSession) -> int:
    limit = getattr(session, "seat_limit", None)
    return sessions.MOST_SEATS if limit is None else min(int(limit), sessions.MOST_SEATS)


def private[View: Callable[..., HttpResponseBase]](view: View) -> View:
    """Never kept by a browser or a proxy: a page behind a secret address."""
    return never_cache(view)


def with_card(response: HttpResponse, *also_to: str) -> HttpResponse:
    """Let the page load the provider's script, and its form lead to the given origins."""
    policy: dict[str, Any] = dict(settings.CARD_PAGE_CSP)
    policy["form-action"] = [*policy["form-action"], *(origin for origin in also_to if origin)]
    return csp_override(policy)(lambda _request: response)(HttpRequest())  # type: ignore[arg-type,return-value]


def slow_down(request: HttpRequest, what: str, *, limit: int) -> None:
    """At most `limit` of these in ten minutes from one address. Raises TooOften."""
    limits.slow_down(
        what=what, where=limits.address_of(request), limit=limit, window=TEN_MINUTES, now=timezone.now()
    )


def too_often(request: HttpRequest, refusal: limits.TooOften) -> HttpResponse:
    return told_to_wait(render(request, "checkout/too_often.html", {"refusal": refusal}, status=429), refusal)


def told_to_wait(response: HttpResponse, refusal: limits.TooOften) -> HttpResponse:
    response["Retry-After"] = str(refusal.retry_after)
    return response
