"""How the API says no: one table from named refusals to problem documents (RFC 9457).

400 malformed, 401 and 403 the key, 404 not found, 409 the state forbids it, 422 a rule refuses it, 429 too
much.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.response import Response

from billing import (
    cards,
    cataloguing,
    clocks,
    collecting,
    correcting,
    customers,
    drafting,
    ending,
    falling_due,
    forgetting,
    gateway,
    metering,
    moves,
    pausing,
    printing,
    refunding,
    signing_off,
    subscribing,
    throttling,
    trialing,
    webhooks_out,
)
from billing.away import is_away
from billing.models import Seller
from billing.papers.isolated import PaperFailed
from billing.refusals import Refused

MEDIA_TYPE = "application/problem+json"
logger = logging.getLogger("tandem.api")

TITLES = {
    400: "The request is malformed",
    401: "A key is needed",
    403: "The key does not allow this",
    404: "Not found",
    405: "The address does not take this method",
    406: "The answer is JSON only",
    409: "The present state forbids this",
    411: "The length is missing",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "A rule refuses this",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Try again in a moment",
}

# The most special class decides. What is not named here is a rule that refuses: 422.
STATUS: dict[type[Exception], int] = {
    Refused: 422,
    clocks.ClockRefused: 409,
    clocks.TooFar: 422,
    cards.CardNeeded: 409,
    cataloguing.CodeTaken: 409,
    cataloguing.PlanArchived: 409,
    collecting.AttemptOpen: 409,
    collecting.NoCard: 409,
    collecting.NothingDue: 409,
    correcting.NotCreditable: 409,
    correcting.NotOpen: 409,
    correcting.NotVoidable: 409,
    customers.AlreadyMember: 409,
    customers.TeamFull: 409,
    customers.CurrencyInUse: 409,
    customers.ExternalIdTaken: 409,
    customers.LastOwner: 409,
    drafting.NotADraft: 409,
    falling_due.NotBilled: 409,
    forgetting.HasPapers: 409,
    forgetting.HasSubscriptions: 409,
    metering.UnknownUsageEvent: 404,
    metering.UsageClosed: 409,
    pausing.NotPaused: 409,
    pausing.TrialNotPaused: 409,
    printing.NotIssued: 409,
    printing.NoElectronicInvoice: 409,
    refunding.NotRefundable: 409,
    signing_off.AnotherWaits: 409,
    subscribing.ChangeWaits: 409,
    subscribing.NoSuchChange: 404,
    subscribing.NotLive: 409,
    ending.NothingToUndo: 409,
    throttling.TooManyRequests: 429,
    trialing.CancellationPending: 409,
    trialing.NotTrialing: 409,
    trialing.TrialAgreed: 409,
    webhooks_out.EndpointDisabled: 409,
    webhooks_out.NotRepeatable: 409,
    webhooks_out.TooManyEndpoints: 409,
}
# Other named exceptions: (status, code, detail).
OTHERS: dict[type[Exception], tuple[int, str, str]] = {
    moves.IllegalMove: (409, "illegal_move", "The present state does not allow this."),
    moves.StaleMove: (409, "changed_meanwhile", "Somebody else changed this first. Read it again."),
    gateway.ProviderUnreachable: (503, "provider_unreachable", "The card network does not answer."),
    Seller.DoesNotExist: (409, "seller_missing", "Say first who sells: manage.py ship, then the seller in the admin."),
    PaperFailed: (503, "paper_not_made", "The paper could not be made in time. What it is about stands."),
    # Validation should have caught these two: the answer is harmless, the log has the rest.
    IntegrityError: (409, "conflict", "This collides with something that exists."),
    DataError: (422, "invalid_value", "A value cannot be stored."),
}  # fmt: skip


# Some messages repeat what was sent.
LONGEST_MESSAGE = 300
# Of a long list of which everything is wrong, so many are named.
MOST_ERRORS = 50


class FieldProblem(NamedTuple):
    field: str
    code: str
    message: str


class Problem(Exception):
    """A refusal by the edge itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.errors = status, code, detail, errors
        self.headers = dict(headers or {})


def document(problem: Problem, request_id: str) -> dict[str, Any]:
    return {
        "type": f"{settings.SITE_URL}/api/v1/docs/#{problem.code}",
        "title": TITLES.get(problem.status, "Refused"),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "errors": [error._asdict() for error in problem.errors],
        "request_id": request_id,
    }


def handle(exc: Exception, context: Mapping[str, Any]) -> Response:
    """REST framework's EXCEPTION_HANDLER: every exception is a problem document, never a traceback."""
    request: HttpRequest = context["request"]._request
    problem = problem_of(exc)
    if problem.status >= 500 or isinstance(exc, IntegrityError | DataError):
        logger.error("%s %s", problem.code, request.path, exc_info=exc)
    if problem.status == 500:
        got_request_exception.send(sender=None, request=request)
    response = Response(document(problem, getattr(request, "request_id", "")), status=problem.status)
    response.content_type = MEDIA_TYPE
    for name, value in problem.headers.items():
        response[name] = value
    return response


def problem_of(exc: Exception) -> Problem:
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, Refused):
        return _refused(exc)
    if isinstance(exc, exceptions.APIException | Http404 | DjangoPermissionDenied):
        return _framework(exc)
    if is_away(exc):
        return _later("try_again", "The database is busy or away. Try again.")
    for kind, (status, code, detail) in OTHERS.items():
        if isinstance(exc, kind):
            return _later(code, detail) if status == 503 else Problem(status, code, detail)
    return Problem(
        500, "internal_error", "The request was not carried out. It has been logged under its request_id."
    )


def _later(code: str, detail: str) -> Problem:
    return Problem(503, code, detail, headers={"Retry-After": "1"})


def _refused(refused: Refused) -> Problem:
    status = status_of(type(refused))
    errors = [FieldProblem(refused.field, refused.code, refused.message)] if refused.field else []
    wait = getattr(refused, "retry_after", None)
    headers = {"Retry-After": str(wait)} if wait else {}
    return Problem(status, refused.code, refused.message, errors, headers)


def status_of(kind: type[Refused]) -> int:
    return next(STATUS[one] for one in kind.__mro__ if one in STATUS)


def _framework(exc: Exception) -> Problem:
    if isinstance(exc, exceptions.ValidationError):
        return _invalid(list(_flat(exc.get_full_details())))
    if isinstance(exc, Http404):
        return Problem(404, "not_found", "There is no such thing here.")
    if isinstance(exc, DjangoPermissionDenied):
        return Problem(403, "permission_denied", "This is not allowed.")
    assert isinstance(exc, exceptions.APIException)
    headers = {}
    if getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = exc.auth_header  # type: ignore[attr-defined]
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return Problem(exc.status_code, str(exc.get_codes()), str(exc.detail), headers=headers)


def _invalid(errors: list[FieldProblem]) -> Problem:
    """One error gives the document its code; several are told apart by field."""
    if len(errors) == 1:
        return Problem(400, errors[0].code, f"{errors[0].field}: {errors[0].message}".lstrip(": "), errors)
    named = "" if len(errors) <= MOST_ERRORS else f" The first {MOST_ERRORS} are named."
    return Problem(400, "invalid_request", f"{len(errors)} fields are wrong.{named}", errors[:MOST_ERRORS])


def _flat(details: Any, path: str = "") -> Iterator[FieldProblem]:
    """REST framework's nested errors as rows: `items.0.quantity`."""
    if isinstance(details, list):
        for index, part in enumerate(details):
            leaf = isinstance(part, dict) and set(part) == {"message", "code"}
            yield from _flat(part, path if leaf else _join(path, str(index)))
    elif (
        isinstance(details, dict)
        and set(details) == {"message", "code"}
        and isinstance(details["message"], str)
    ):
        yield FieldProblem(path, str(details["code"]), str(details["message"])[:LONGEST_MESSAGE])
    elif isinstance(details, dict):
        for name, part in details.items():
            yield from _flat(part, path if name == "non_field_errors" else _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)
