"""`Idempotency-Key`: the same request again gets the first answer, byte for byte.

A row is claimed and committed before anything is done, so that a second request finds it. The answer is
stored with the effect, in one transaction; where the card network is called in between, the effect has a key
of its own. An answer of 5xx is not kept, nor one that waiting would have changed: the same key tries again.
Answers may hold a secret that is shown once, or a link that opens something: they are kept sealed.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from billing import clocks, falling_due, sealing
from billing.api.problems import Problem
from billing.models import ApiKey, IdempotentRequest
from billing.moves import StaleMove

KEPT = timedelta(hours=24)
# A request that has not answered by then was killed; another may take it over.
GIVEN_UP = timedelta(seconds=90)
# What no JSON begins with.
SEALED = b"gAAAA"


class ClaimLost(Problem):
    """This process was given up for dead, and another one works on the request now."""

    def __init__(self) -> None:
        words = "Another request with this key is being worked on."
        super().__init__(409, "idempotency_in_progress", words, headers={"Retry-After": "1"})


def key_of(request: Request) -> str | None:
    """The header, if it was sent. Raises Problem (400)."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Problem(
            400, "invalid_idempotency_key", "Idempotency-Key has 1 to 255 printable ASCII characters."
        )
    return key


def fingerprint(request: Request) -> str:
    """What makes two requests the same: method, address and body."""
    about = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(about + request.body).hexdigest()


def claim(api_key: ApiKey, key: str, print_: str, now: datetime) -> IdempotentRequest:
    """The row, ours to answer, or with the answer in it. Raises Problem: 422 another request, 409 still
    running."""
    row, fresh = IdempotentRequest.objects.get_or_create(
        api_key=api_key, key=key, defaults={"fingerprint": print_, "locked_at": now, "created_at": now}
    )
    if fresh:
        return row
    with transaction.atomic():
        row = IdempotentRequest.objects.select_for_update().get(pk=row.pk)
        if row.created_at + KEPT <= now:
            row.fingerprint, row.status, row.body, row.created_at = print_, None, None, now
        elif row.fingerprint != print_:
            raise Problem(422, "idempotency_mismatch", "This key was used for another request.")
        elif row.status is not None:
            return row
        elif now < row.locked_at + GIVEN_UP:
            raise Problem(
                409, "idempotency_in_progress", "The first request with this key is still running.",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        row.locked_at = now
        row.save()
    return row


def answer_once(
    row: IdempotentRequest,
    *,
    ahead: Callable[[], None],
    work: Callable[[], Response],
    excuse: Callable[[Exception], Response],
    in_one_transaction: Callable[[], bool],
) -> HttpResponse:
    """Do the work and keep its answer. `ahead` is done before anything is held, and may be done again; `excuse`
    makes the answer out of what was raised."""
    try:
        ahead()
        if not in_one_transaction():
            return keep(row, work())
        with transaction.atomic():
            return keep(row, work())
    except Exception as error:
        response = excuse(error)
        if response.status_code >= 500 or _passes(error, in_one_transaction):
            _ours(row).delete()
            return response
        return keep(row, response)


def _passes(error: Exception, undone: Callable[[], bool]) -> bool:
    """Somebody else was at it, or has to put something right first: the same request may be answered otherwise later.
    (Where the card network was called, what came before is not undone, and the same key must not do it anew.)"""
    return isinstance(error, ClaimLost | clocks.Moving) or (
        isinstance(error, StaleMove | falling_due.NotBilled) and undone()
    )


def keep(row: IdempotentRequest, response: Response) -> HttpResponse:
    body = sealing.seal(response.content.decode()).encode()
    kind = response.get("Content-Type", "")  # an answer without a body has none
    kept = _ours(row).update(status=response.status_code, body=body, content_type=kind)
    if not kept:
        raise ClaimLost
    return response


def _ours(row: IdempotentRequest):  # type: ignore[no-untyped-def]
    """The row as long as nobody took it over."""
    return IdempotentRequest.objects.filter(pk=row.pk, locked_at=row.locked_at, status__isnull=True)


def replay(row: IdempotentRequest) -> HttpResponse:
    response = HttpResponse(_opened(row), status=row.status, content_type=row.content_type)
    if not row.content_type:
        del response["Content-Type"]
    response["Idempotent-Replayed"] = "true"
    return response


def _opened(row: IdempotentRequest) -> bytes:
    """Raises Problem (409) for an answer that was sealed under a key that is gone."""
    body = bytes(row.body or b"")
    if not body.startswith(SEALED):  # kept by an earlier version
        return body
    try:
        return sealing.unseal(body.decode()).encode()
    except sealing.Unreadable:
        words = "This was answered before; the answer cannot be read any more."
        raise Problem(409, "idempotency_unreadable", words) from None


def forget(*, now: datetime) -> int:
    """Drop answers that are older than they are promised to be kept."""
    return IdempotentRequest.objects.filter(created_at__lte=now - KEPT).delete()[0]
