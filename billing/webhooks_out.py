"""Our webhooks: each fact to every endpoint that asked for it, as Standard Webhooks lay down.

A trigger on the events writes the deliveries, in the transaction of the fact. `work` sends them: at least once, the
events of one object in their order, several endpoints at a time and none waiting for another. Each delivery is claimed
before it is sent, so that a sender may be killed anywhere; what comes back after the claim is over changes nothing.

One process sends at a time (a lease). It holds no transaction over the network, and its threads touch no database.
"""

import base64
import random
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_q.tasks import async_task
from standardwebhooks import Webhook

from billing import event_types, mail, outside, sealing, typed
from billing.events import TYPES, record
from billing.models import Event, Seller, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.moves import StaleMove
from billing.refusals import Refused

# After the first try, so many seconds, minutes, hours until the next: the schedule of Standard Webhooks, three days.
RETRIES = (
    timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=5),
    timedelta(hours=10), timedelta(hours=14), timedelta(hours=20), timedelta(hours=24),
)  # fmt: skip
# Each wait is up to so much longer, so that what failed together does not come back together.
JITTER = 0.2
# An endpoint that fails is left alone for as long as its row of failures says, at most this.
LONGEST_PAUSE = timedelta(minutes=30)
LONGEST_RETRY_AFTER = timedelta(hours=1)
DISABLED_AFTER = timedelta(days=3)

SLOTS = 64
SLOTS_FOR_FAILING = 32
AT_ONCE = 4  # to one endpoint that takes what it is sent; one at a time to any other
CLAIM = timedelta(seconds=60)  # four times what a call may take
LEASE = timedelta(seconds=15)
SHIFT = timedelta(minutes=2)
LINGER = timedelta(seconds=10)
POLL = 0.2

OVERLAP = timedelta(hours=24)
MOST_OLD_SECRETS = 3
KEPT = timedelta(days=30)
MOST_REPLAYED = 100_000
MOST_ENDPOINTS = 50
SHOWN_OF_ANSWER = 4096


class UnknownEventType(Refused):
    code = "unknown_event_type"


class TooManyEndpoints(Refused):
    code = "too_many_endpoints"


class EndpointDisabled(Refused):
    code = "endpoint_disabled"


class NotRepeatable(Refused):
    """A test is sent once."""

    code = "test_delivery"


class ReplayTooLarge(Refused):
    code = "replay_too_large"


# -- Endpoints ------------------------------------------------------------------------------------------


@transaction.atomic
def create(
    *,
    url: str,
    livemode: bool,
    actor: str,
    now: datetime,
    event_types: Collection[str] = (),
    description: str = "",
) -> tuple[WebhookEndpoint, str]:
    """An endpoint and its secret, which nobody can read again. No types: every type but `user.*`, what staff do at
    the doors: strangers make those too.

    Raises InvalidUrl, ForbiddenAddress, UnknownEventType, TooManyEndpoints.
    """
    if WebhookEndpoint.objects.filter(livemode=livemode).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"There can be {MOST_ENDPOINTS} endpoints.")
    secret = new_secret()
    endpoint = WebhookEndpoint(
        url=outside.check(url), description=typed.text(description, "description", limit=200),
        event_types=known_types(event_types), livemode=livemode, secret=sealing.seal(secret), created_at=now,
        created_by=actor, listening_since=now,
    )  # fmt: skip
    _say("webhook_endpoint.created", endpoint, actor, now, told(endpoint))  # the others hear of it
    endpoint.save(force_insert=True)
    return endpoint, secret


def told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What facts say of an endpoint. Of its address the host: the rest may be a secret of the receiver's."""
    return {
        "host": urlsplit(endpoint.url).netloc, "event_types": endpoint.event_types,
        "description": endpoint.description, "enabled": endpoint.disabled_at is None,
    }  # fmt: skip


def _say(type: str, endpoint: WebhookEndpoint, actor: str, now: datetime, data: Mapping[str, Any]) -> None:
    record(type, subject=endpoint, actor=actor, now=now, data=data)


def _held(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The row as it is now, while nobody else changes it. Raises StaleMove for one that was removed."""
    row = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=endpoint.pk).first()
    if row is None:
        raise StaleMove(f"{endpoint.pk} was removed")
    return row


def known_types(event_types: Collection[str]) -> list[str]:
    """Sorted, each once. Raises UnknownEventType."""
    for type in event_types:
        if type not in TYPES:
            raise UnknownEventType(f"There is no event type “{type[:60]}”.", field="event_types")
    return sorted(set(event_types))


def new_secret() -> str:
    """256 bits, in the form that the libraries of Standard Webhooks read."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


@transaction.atomic
def update(*, endpoint: WebhookEndpoint, actor: str, now: datetime, **changes: Any) -> None:
    """Change `url`, `description`, `event_types` or `enabled`. Raises as `create` does, and StaleMove."""
    row = _held(endpoint)
    before, fields = told(row), _changed(row, changes, now)
    moved = fields.get("url", row.url) != row.url
    for name, value in fields.items():
        setattr(row, name, value)
    after = told(row)
    # One that is switched on hears of what comes after that; one that is switched off, of nothing more.
    if row.disabled_at:
        _store(endpoint, fields)
    if after != before or moved:
        _say("webhook_endpoint.updated", row, actor, now, {"before": before, "after": after})
    if not row.disabled_at:
        _store(endpoint, fields)
    endpoint.refresh_from_db()


def _changed(row: WebhookEndpoint, changes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "url" in changes:
        fields |= {**_HEALTHY, "url": outside.check(changes["url"])}
    if "description" in changes:
        fields["description"] = typed.text(changes["description"], "description", limit=200)
    if "event_types" in changes:
        fields |= {"event_types": known_types(changes["event_types"]), "listening_since": now}
    if changes.get("enabled") and row.disabled_at:
        fields |= {**_HEALTHY, "disabled_at": None, "disabled_reason": "", "listening_since": now}
    if changes.get("enabled") is False and not row.disabled_at:
        fields |= {"disabled_at": now, "disabled_reason": "Switched off."}
    return fields


def _store(endpoint: WebhookEndpoint, fields: Mapping[str, Any]) -> None:
    if fields:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**fields)


_HEALTHY = {"failures": 0, "failing_since": None, "paused_until": None}


@transaction.atomic
def remove(*, endpoint: WebhookEndpoint, actor: str, now: datetime) -> None:
    """It is gone with the log of what it was sent. Raises StaleMove."""
    row = _held(endpoint)
    row.delete()
    _say("webhook_endpoint.deleted", endpoint, actor, now, told(endpoint))


@transaction.atomic
def rotate(*, endpoint: WebhookEndpoint, actor: str, now: datetime, overlap: timedelta = OVERLAP) -> str:
    """A new secret. Until the overlap is over the old one signs too, so that the receiver can change when it likes; so
    does what an earlier rotation left it to change from. Without an overlap nothing but the new one counts at once.

    Raises StaleMove.
    """
    row, secret = _held(endpoint), new_secret()
    old = sealed_at(row, now)[:MOST_OLD_SECRETS] if overlap else []
    until = max(now + overlap, row.old_secret_until or now) if overlap else None
    _store(row, {"secret": sealing.seal(secret), "old_secret": " ".join(old), "old_secret_until": until})
    _say("webhook_endpoint.secret_rotated", row, actor, now, {"old_until": written(until) if until else None})
    endpoint.refresh_from_db()
    return secret


def sealed_at(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """The sealed secrets that count, the newest first."""
    over = endpoint.old_secret_until is not None and endpoint.old_secret_until <= now
    return endpoint.sealed_secrets[:1] if over else endpoint.sealed_secrets


# -- What is sent ---------------------------------------------------------------------------------------


def body(delivery: WebhookDelivery) -> bytes:
    """The same bytes for every try: `{type, timestamp, data}`, `data` being the event as the API answers it."""
    event = delivery.event
    if event is None:
        said: dict[str, Any] = {
            "id": delivery.pk,
            "message": "A test of this endpoint. Nothing has happened.",
        }
        at = delivery.created_at
    else:
        said, at = as_data(event), event.at
    return orjson.dumps({"type": delivery.type, "timestamp": written(at), "data": said})


def as_data(event: Event) -> dict[str, Any]:
    """An event as it is told outside. `sequence` counts 1, 2, 3 … for each object."""
    return {
        "id": event.public_id, "number": event.number, "type": event.type, "object": event.object_id,
        "sequence": event.sequence, "customer": event.customer_id, "actor": event.actor, "at": written(event.at),
        "data": event_types.told(event),
    }  # fmt: skip


def written(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def headers(delivery: WebhookDelivery, sent: bytes, now: datetime) -> dict[str, str]:
    """With a signature by each secret of the endpoint that still counts. Raises sealing.Unreadable."""
    name, keys = delivery.webhook_id, sealed_at(delivery.endpoint, now)
    signatures = [Webhook(sealing.unseal(key)).sign(name, now.astimezone(UTC), sent.decode()) for key in keys]
    return {
        "webhook-id": name, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": " ".join(signatures),
        "Content-Type": "application/json", "User-Agent": "Tandem-Webhooks/1",
    }  # fmt: skip


# -- Waking the sender ----------------------------------------------------------------------------------


def on_recorded(*, awaited: bool, **_: Any) -> None:
    """Facts were recorded: when they are committed, see whether somebody waits for them. Once a transaction."""
    if awaited and not any(waiting[1] is wake for waiting in connection.run_on_commit):
        transaction.on_commit(wake, robust=True)


# Whether a delivery could go out by then: it is nobody's, its endpoint takes it, and no earlier one of its object waits.
_READY = """
select exists (
    select from billing_webhookendpoint w join billing_webhookdelivery d on d.endpoint_id = w.id
    where w.disabled_at is null and (w.paused_until is null or w.paused_until <= %(at)s)
        and d.status = 'pending' and d.next_at <= %(at)s
        and (d.claimed_until is null or d.claimed_until <= %(at)s)
        and not exists (
            select from billing_webhookdelivery b where b.endpoint_id = w.id and b.status = 'pending'
                and b.object_id = d.object_id and b.sequence < d.sequence))
"""
_NOBODY_AT_WORK = "select not exists (select from billing_lease where name = 'webhooks' and until > %(at)s)"


def wake() -> None:
    """Put the sender's job into the queue, unless a sender is at work or there is nothing to send.

    An edge: called in the moment after a commit.
    """
    now = timezone.now()
    if _asked(_READY, now) and _asked(_NOBODY_AT_WORK, now):
        async_task("billing.tasks.send_webhooks")


def _asked(question: str, at: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question, {"at": at})
        return bool(cursor.fetchone()[0])


# -- Sending --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try: an answer, or why there was none."""

    answer: outside.Answer | None = None
    error: str = ""
    forbidden: bool = False

    @property
    def good(self) -> bool:
        return self.answer is not None and 200 <= self.answer.status < 300

    @property
    def gone(self) -> bool:
        return self.answer is not None and self.answer.status == 410

    @property
    def words(self) -> str:
        return f"It answered {self.answer.status}." if self.answer else self.error


def send_due(*, now: datetime) -> int:
    """Send everything that is due at `now`, and what that makes due; wait for nothing later."""
    return work(clock=lambda: now, linger=timedelta(0))


def work(*, clock: Callable[[], datetime], shift: timedelta = SHIFT, linger: timedelta = LINGER) -> int:
    """Send until nothing is due within `linger`, at most for a shift. Returns how many tries were made.

    Nothing when another sender is at work: that one looks once more after it has given up its lease.
    """
    me, tries = uuid4(), 0
    while _take_lease(me, clock()):
        sender = _Sender(me, clock)
        try:
            tries += sender.send(clock() + shift, linger)
            _give_up_lease(me)
            tries += sender.finish()
        finally:
            _give_up_lease(me)
            sender.pool.shutdown(wait=False)
        if sender.over or not _asked(_READY, clock()):
            break
    return tries


class _Sender:
    """One shift: claims, hands to threads, writes down. Only this thread speaks with the database."""

    def __init__(self, me: UUID, clock: Callable[[], datetime]) -> None:
        self.me, self.clock = me, clock
        self.flying: dict[Future[Outcome], WebhookDelivery] = {}
        self.pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="webhook")
        self.over = False

    def send(self, until: datetime, linger: timedelta) -> int:
        tries = 0
        while (now := self.clock()) < until:
            if not _take_lease(self.me, now):
                self.over = True
                return tries
            self._launch(now)
            if not self.flying:
                if not _asked(_READY, now + linger):
                    return tries
                time.sleep(POLL)
            tries += self._land()
        self.over = True
        return tries

    def finish(self) -> int:
        """Wait for what is on its way."""
        tries = 0
        while self.flying:
            tries += self._land()
        return tries

    def _launch(self, now: datetime) -> None:
        failing = sum(row.endpoint.failures > 0 for row in self.flying.values())
        for row in claim(now, SLOTS - len(self.flying), SLOTS_FOR_FAILING - failing):
            try:
                sent = body(row)
                call = self.pool.submit(_call, row.endpoint.url, sent, headers(row, sent, now))
            except sealing.Unreadable:
                write_down(row, Outcome(error="The secret cannot be read: rotate it.", forbidden=True), now)
            else:
                self.flying[call] = row

    def _land(self) -> int:
        done, _ = wait(self.flying, timeout=POLL, return_when=FIRST_COMPLETED)
        for call in done:
            write_down(self.flying.pop(call), call.result(), self.clock())
        return len(done)


def _call(url: str, sent: bytes, given: dict[str, str]) -> Outcome:
    """In a thread, without the database."""
    try:
        return Outcome(outside.post(url, body=sent, headers=given))
    except outside.Unreachable as error:
        return Outcome(error=str(error))
    except Refused as refused:
        return Outcome(error=refused.message, forbidden=True)


# -- Claims ---------------------------------------------------------------------------------------------

# Of each endpoint the first that are due, but none whose object has an earlier one waiting. An endpoint that has not
# taken anything yet, or not the last, gets one at a time.
_CLAIM = """
with chosen as (
    select d.id from billing_webhookendpoint w
    cross join lateral (
        select count(*) as flying from billing_webhookdelivery b
        where b.endpoint_id = w.id and b.claimed_until > %(now)s) busy
    cross join lateral (
        select d.id, d.next_at from billing_webhookdelivery d
        where d.endpoint_id = w.id and d.status = 'pending' and d.next_at <= %(now)s
            and (d.claimed_until is null or d.claimed_until <= %(now)s)
            and not exists (
                select from billing_webhookdelivery b where b.endpoint_id = w.id and b.status = 'pending'
                    and b.object_id = d.object_id and b.sequence < d.sequence)
        order by d.next_at, d.sequence
        limit greatest(case when w.failures = 0 and w.last_success_at is not null then %(at_once)s else 1 end
            - busy.flying, 0)
        for update skip locked) d
    where w.disabled_at is null and (w.paused_until is null or w.paused_until <= %(now)s)
        and (w.failures > 0) = %(failing)s
    order by d.next_at limit %(room)s)
update billing_webhookdelivery d set claimed_until = %(until)s, claim = gen_random_uuid()
from chosen where d.id = chosen.id returning d.id
"""


@transaction.atomic
def claim(now: datetime, room: int, room_for_failing: int) -> list[WebhookDelivery]:
    """Deliveries that are ours to send for a minute. Failing endpoints share a part of the room."""
    ids: list[Any] = []
    with connection.cursor() as cursor:
        for failing, most in ((False, room), (True, min(room, room_for_failing))):
            if (left := min(most, room - len(ids))) > 0:
                given: dict[str, Any] = {
                    "now": now,
                    "until": now + CLAIM,
                    "at_once": AT_ONCE,
                    "failing": failing,
                    "room": left,
                }
                cursor.execute(_CLAIM, given)
                ids += [id for (id,) in cursor.fetchall()]
    rows = WebhookDelivery.objects.filter(pk__in=ids).select_related("endpoint", "event")
    return list(rows.order_by("next_at", "sequence")) if ids else []


_TAKE = """
insert into billing_lease as l (name, holder, until) values ('webhooks', %(me)s, %(until)s)
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where l.until <= %(now)s or l.holder = excluded.holder
"""


def _take_lease(me: UUID, now: datetime) -> bool:
    """Take it or keep it."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"me": me, "now": now, "until": now + LEASE})
        return cursor.rowcount == 1


def _give_up_lease(me: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("delete from billing_lease where name = 'webhooks' and holder = %s", [me])


# -- What came of it ------------------------------------------------------------------------------------


@transaction.atomic
def write_down(row: WebhookDelivery, outcome: Outcome, now: datetime) -> None:
    """Note the try and plan the next. A claim that somebody else has taken over changes nothing."""
    attempts = row.attempts + 1
    fields: dict[str, Any] = {"attempts": attempts, "claim": None, "claimed_until": None}
    if outcome.good:
        fields |= {"status": "delivered", "next_at": None, "finished_at": now}
    elif row.event is None or _hopeless(outcome) or attempts > len(RETRIES):
        fields |= {"status": "failed", "next_at": None, "finished_at": now}
    else:
        fields["next_at"] = now + max(spread(RETRIES[attempts - 1]), retry_after(outcome, now))
    if not WebhookDelivery.objects.filter(pk=row.pk, claim=row.claim).update(**fields):
        return
    for name, value in fields.items():
        setattr(row, name, value)
    _note_try(row, outcome, now)
    if row.event is not None:
        (_took if outcome.good else _refused)(row.endpoint, outcome, now)


def _hopeless(outcome: Outcome) -> bool:
    return outcome.gone or outcome.forbidden


def _note_try(row: WebhookDelivery, outcome: Outcome, now: datetime) -> None:
    answer = outcome.answer
    WebhookAttempt.objects.create(
        delivery=row, at=now, milliseconds=answer.milliseconds if answer else 0,
        status=answer.status if answer else None, error=outcome.error[:300],
        response=readable(answer.body) if answer else "",
    )  # fmt: skip


def readable(answer: bytes) -> str:
    """The beginning of an answer as text that can be stored."""
    return answer[:SHOWN_OF_ANSWER].decode(errors="replace").replace("\0", "\ufffd")


def spread(wait: timedelta) -> timedelta:
    """Longer by a random part."""
    return wait * (1 + random.uniform(0, JITTER))  # noqa: S311 - no secret depends on it


def retry_after(outcome: Outcome, now: datetime) -> timedelta:
    """What the receiver asked for with 429 or 503, in seconds or as a date, within an hour."""
    answer = outcome.answer
    if answer is None or answer.status not in (429, 503):
        return timedelta(0)
    asked = answer.headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(timedelta(seconds=int(asked[:9])), LONGEST_RETRY_AFTER)
    try:
        return min(max(parsedate_to_datetime(asked) - now, timedelta(0)), LONGEST_RETRY_AFTER)
    except (ValueError, TypeError):
        return timedelta(0)


def _took(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> None:
    """Its row of failures ends. Written at most once a minute while all goes well."""
    stale = (
        Q(last_success_at__isnull=True)
        | Q(last_success_at__lte=now - timedelta(minutes=1))
        | Q(failures__gt=0)
    )
    WebhookEndpoint.objects.filter(stale, pk=endpoint.pk).update(last_success_at=now, **_HEALTHY)


def _refused(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> None:
    """Leave it alone for a while, longer each time; after three days without a success, for good."""
    pause = min(RETRIES[min(endpoint.failures, len(RETRIES) - 1)], LONGEST_PAUSE)
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    rows.update(
        failures=F("failures") + 1, failing_since=Coalesce("failing_since", now),
        paused_until=now + max(pause, retry_after(outcome, now)),
    )  # fmt: skip
    if outcome.gone:
        disable(endpoint=endpoint, why="It answered 410 Gone.", now=now)
    elif outcome.forbidden:
        disable(endpoint=endpoint, why=outcome.error, now=now)
    elif rows.filter(failing_since__lte=now - DISABLED_AFTER).exists():
        disable(endpoint=endpoint, why=f"It failed for three days. Last: {outcome.words}", now=now)


def disable(*, endpoint: WebhookEndpoint, why: str, now: datetime) -> None:
    """Send it nothing more, and tell the seller, in one transaction. What waits goes on when it is enabled again."""
    with transaction.atomic():
        rows = WebhookEndpoint.objects.filter(pk=endpoint.pk, disabled_at__isnull=True)
        if not rows.update(disabled_at=now, disabled_reason=why[:300]):
            return
        _say("webhook_endpoint.disabled", endpoint, "system", now, {"reason": why[:300]})
        waiting = WebhookDelivery.objects.filter(endpoint=endpoint, status="pending").count()
        mail.compose(
            template="webhook_disabled", to=Seller.objects.get().email, event=f"{endpoint.pk}-{now:%Y%m%d%H%M%S}",
            now=now, context={
                "endpoint": endpoint, "why": why, "waiting": waiting,
                "url": f"{settings.SITE_URL}/admin/billing/webhookendpoint/{endpoint.pk}/change/",
            },
        )  # fmt: skip


# -- Again ----------------------------------------------------------------------------------------------


@transaction.atomic
def redeliver(*, delivery: WebhookDelivery, actor: str, now: datetime) -> None:
    """Send it once more, with a whole schedule of its own. Raises EndpointDisabled, NotRepeatable, StaleMove."""
    if delivery.event_id is None:
        raise NotRepeatable("A test is sent once. Send another test.")
    endpoint = _held(delivery.endpoint)
    _refuse_disabled(endpoint)
    _say("webhook_endpoint.replayed", endpoint, actor, now, {"events": 1, "delivery": delivery.pk})
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        status="pending", attempts=0, next_at=now, finished_at=None
    )
    delivery.refresh_from_db()
    transaction.on_commit(wake, robust=True)


def _refuse_disabled(endpoint: WebhookEndpoint) -> None:
    if endpoint.disabled_at:
        raise EndpointDisabled("This endpoint is disabled. Enable it first.")


_REPLAY = """
insert into billing_webhookdelivery
    (id, endpoint_id, event_id, object_id, sequence, status, attempts, next_at, created_at)
select tandem_uuid7(), w.id, e.number, e.object_id, e.sequence, 'pending', 0, %(now)s, %(now)s
from billing_webhookendpoint w join billing_event e
    on e.livemode = w.livemode and tandem_asks_for(w.event_types, e.type)
where w.id = %(endpoint)s and e.recorded_at >= %(since)s and e.recorded_at < %(until)s
order by e.number limit %(most)s
on conflict (endpoint_id, event_id) do update
    set status = 'pending', attempts = 0, next_at = excluded.next_at, finished_at = null
"""


@transaction.atomic
def replay(*, endpoint: WebhookEndpoint, since: datetime, until: datetime, actor: str, now: datetime) -> int:
    """Send everything recorded in `[since, until)` (real time) that it asks for, again or for the first time.

    Returns how many events. Raises EndpointDisabled, ReplayTooLarge, StaleMove.
    """
    _refuse_disabled(_held(endpoint))
    if since >= until:
        raise ReplayTooLarge("The beginning must be before the end.", field="since")
    given: dict[str, Any] = {
        "endpoint": UUID(endpoint.pk.partition("_")[2]), "since": since, "until": until, "now": now,
        "most": MOST_REPLAYED + 1,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_REPLAY, given)
        count = cursor.rowcount
    if count > MOST_REPLAYED:
        raise ReplayTooLarge(
            f"These are more than {MOST_REPLAYED} events. Take a shorter time.", field="since"
        )
    span = {"since": written(since), "until": written(until)}
    _say("webhook_endpoint.replayed", endpoint, actor, now, {"events": count, **span})
    transaction.on_commit(wake, robust=True)
    return count


def test(*, endpoint: WebhookEndpoint, now: datetime) -> WebhookDelivery:
    """Send a test at once and wait for the answer; it is not repeated. Must not run inside a transaction."""
    row = WebhookDelivery(
        endpoint=endpoint, next_at=now, claim=uuid4(), claimed_until=now + CLAIM, created_at=now
    )
    row.save(force_insert=True)
    sent = body(row)
    try:
        outcome = _call(endpoint.url, sent, headers(row, sent, now))
    except sealing.Unreadable:
        outcome = Outcome(error="The secret cannot be read: rotate it.")
    write_down(row, outcome, now)
    return row


# -- Keeping no longer than promised --------------------------------------------------------------------


def forget(*, now: datetime) -> int:
    """Drop the log of what was finished a month ago, and secrets whose overlap is over."""
    WebhookEndpoint.objects.filter(old_secret_until__lte=now).update(old_secret="", old_secret_until=None)
    over = WebhookDelivery.objects.filter(finished_at__lte=now - KEPT)
    return over.delete()[0]
