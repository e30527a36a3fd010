"""Stripe's webhooks: note, enqueue, answer.

dj-stripe's own view is not used: it stores a body before it has checked the signature, and calls Stripe back
while the request waits and its transaction is open. Its tables are: a verified event becomes its `Event` and
`WebhookEventTrigger`, and a job lets its handlers mirror the object (`mirror`). Acting on the event is ours:
`ProviderEvent`, once per event id, applied by `billing.tasks.apply_stripe_event`.
"""

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isinf
from typing import Any, NoReturn

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_q.tasks import async_task
from djstripe.models import Event, WebhookEndpoint, WebhookEventTrigger

from billing import jobs
from billing.gateway import InvalidSignature, gateway, verify_webhook

log = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
KEPT_HEADERS = ("Stripe-Signature", "User-Agent", "Content-Type")


class NotAnEvent(Exception):
    """A signed body that is no event of this account's mode; the message says why."""


@csrf_exempt
@require_POST
@transaction.non_atomic_requests
def receive(request: HttpRequest) -> HttpResponse:
    """Stripe's door: 200 once the event is noted, 400 for what Stripe did not sign, 413 for too much."""
    body, now = request.read(LARGEST_BODY + 1), timezone.now()
    if len(body) > LARGEST_BODY:
        return _said(413, "too_large")
    try:
        endpoint = check(body, request.headers.get("Stripe-Signature", ""), now)
        event = parse(body)
    except (InvalidSignature, NotAnEvent) as refused:
        log.warning("Refused a webhook: %s", refused)
        return _said(400, "refused")
    note(event=event, body=body, headers=kept_headers(request), address=sender(request), endpoint=endpoint)
    return _said(200, "noted")


def _said(status: int, word: str) -> HttpResponse:
    return JsonResponse({"status": word}, status=status)


# -- Checking -----------------------------------------------------------------------------------------


def check(body: bytes, signature: str, now: datetime) -> WebhookEndpoint | None:
    """The endpoint with whose secret Stripe signed this body; None for a secret of the settings. Raises
    InvalidSignature."""
    endpoints = {each.secret: each for each in _endpoints()}
    refused = InvalidSignature("There is no secret to check it with.")
    for secret in dict.fromkeys([*settings.STRIPE_WEBHOOK_SECRETS, *endpoints]):
        try:
            verify_webhook(body, signature, [secret], now)
        except InvalidSignature as error:
            refused = error
        else:
            return endpoints.get(secret)
    raise refused


def _endpoints() -> Iterable[WebhookEndpoint]:
    """Those that an operator made in dj-stripe's admin."""
    endpoints = WebhookEndpoint.objects.filter(livemode=settings.STRIPE_LIVE_MODE).exclude(secret="")
    return endpoints.exclude(status="disabled")


def parse(body: bytes) -> dict[str, Any]:
    """A verified body as an event. Raises NotAnEvent."""
    try:
        event = _storable(json.loads(body.decode(), parse_constant=_no_constant))
    except (ValueError, RecursionError):
        raise NotAnEvent("it is not JSON") from None
    if not isinstance(event, dict) or event.get("object") != "event":
        raise NotAnEvent("it is not an event")
    if not (_is_text(event.get("id"), 100) and _is_text(event.get("type"), 80)):
        raise NotAnEvent("it has no id or no type")
    if not isinstance(event.get("data"), dict) or not isinstance(event["data"].get("object"), dict):
        raise NotAnEvent("it is about nothing")
    if bool(event.get("livemode")) != settings.STRIPE_LIVE_MODE:
        raise NotAnEvent("it is of the other mode, test or live")
    return event


def _storable(value: Any) -> Any:
    """PostgreSQL has no NUL and no half characters in text; a customer's name may."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_storable(name): _storable(part) for name, part in value.items()}
    if isinstance(value, float) and isinf(value):
        raise NotAnEvent("it has a number that cannot be stored")
    return [_storable(part) for part in value] if isinstance(value, list) else value


def _no_constant(name: str) -> NoReturn:
    raise NotAnEvent(f"{name} is not JSON")


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


def kept_headers(request: HttpRequest) -> dict[str, str]:
    return {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}


def sender(request: HttpRequest) -> str:
    return request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - an unknown sender, not a binding


# -- Noting -------------------------------------------------------------------------------------------


@transaction.atomic
def note(
    *,
    event: dict[str, Any],
    body: bytes,
    headers: dict[str, str],
    address: str,
    endpoint: WebhookEndpoint | None = None,
) -> bool:
    """Keep the event and queue its jobs, in one transaction. False: it was noted before, nothing changed."""
    if not _insert(event):
        return False
    _keep_for_djstripe(event, body.decode(), headers, address, endpoint)
    with jobs.together():
        async_task("billing.tasks.apply_stripe_event", event["id"])
        async_task("billing.webhooks_in.mirror", event["id"])
    return True


_ONCE = """
insert into billing_providerevent (provider_id, type, payload, received_at) values (%s, %s, %s, %s)
on conflict (provider_id) do nothing
"""


def _insert(event: dict[str, Any]) -> bool:
    """Whether it is new. One statement, whoever else notes it; who is second waits for the first."""
    with connection.cursor() as cursor:
        cursor.execute(_ONCE, [event["id"], event["type"], json.dumps(event), timezone.now()])
        return cursor.rowcount == 1


def _keep_for_djstripe(
    event: dict[str, Any], body: str, headers: dict[str, str], address: str, endpoint: WebhookEndpoint | None
) -> None:
    about = event.get("request")
    request = about if isinstance(about, dict) else {"id": about}
    row = Event(
        id=event["id"], stripe_data=event, api_version=_word(event.get("api_version"), 64),
        created=_instant(event.get("created")), data=event["data"],
        idempotency_key=_word(request.get("idempotency_key"), 255), livemode=bool(event.get("livemode")),
        request_id=_word(request.get("id"), 50), type=event["type"],
    )  # fmt: skip
    Event.objects.bulk_create([row], ignore_conflicts=True)
    WebhookEventTrigger.objects.create(
        body=body, event_id=row.id, headers=headers, remote_ip=address, valid=True, webhook_endpoint=endpoint
    )


def _word(value: object, longest: int) -> str:
    return value if isinstance(value, str) and len(value) <= longest else ""


def _instant(seconds: object) -> datetime:
    """Of Stripe's clock; 1970 for what is no time."""
    usable = isinstance(seconds, int) and 0 <= seconds < 2**33
    return datetime.fromtimestamp(seconds if usable else 0, UTC)  # type: ignore[arg-type]


# -- Mirroring ----------------------------------------------------------------------------------------


def mirror(event_id: str) -> None:
    """Let dj-stripe copy a noted event's object, as it is at Stripe now. A job; nothing depends on it."""
    gateway()  # sets the stripe library up, through which dj-stripe asks
    event = Event.objects.filter(id=event_id).first()
    if event is None:
        return
    event.invoke_webhook_handlers()
    WebhookEventTrigger.objects.filter(event__id=event_id).update(processed=True)
