"""Our webhooks: owed with the fact, sent at least once, in order, signed; and what becomes of receivers that fail."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models import Min
from django_q.models import OrmQ
from standardwebhooks import Webhook

from billing import books, outside, sealing, webhooks_out
from billing.events import record
from billing.models import Event, Lease, Mail, WebhookDelivery, WebhookEndpoint
from billing.moves import StaleMove
from tests.races import at_once

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def listen(catalogue, receiver, loopback):
    """listen("/fine", types=[…]) -> an endpoint at the local receiver."""

    def make(path="/fine", types=(), **options):
        given = {"livemode": False, "actor": "system", "now": NOW, **options}
        return webhooks_out.create(url=receiver.url + path, event_types=types, **given)[0]

    return make


@pytest.fixture
def happen(make_customer):
    """happen("invoice.paid") records a fact about a customer and answers it."""
    customers = {}

    def record_one(type="customer.updated", of="one", now=NOW, **data):
        subject = customers.get(of) or customers.setdefault(of, make_customer())
        with transaction.atomic():
            return record(type, subject=subject, actor="system", now=now, data=data)

    return record_one


def send(days=0, **later):
    """Everything that is due then. The database's clock gave the deliveries their first time."""
    return webhooks_out.send_due(now=soon(days=days, **later))


def soon(**later):
    return datetime.now(UTC) + timedelta(seconds=1) + timedelta(**later)


def only(endpoint, **filters):
    return list(endpoint.deliveries.filter(**filters).order_by("event"))


# -- Endpoints --------------------------------------------------------------------------------------------


def test_its_secret_is_answered_once_and_kept_sealed(listen, receiver):
    endpoint, secret = webhooks_out.create(url=receiver.url, livemode=False, actor="system", now=NOW)
    endpoint.refresh_from_db()
    assert secret.startswith("whsec_")
    assert secret not in endpoint.secret
    assert sealing.unseal(endpoint.secret) == secret


def test_a_secret_opens_under_an_older_key_and_under_no_other(settings):
    sealed = sealing.seal("whsec_1")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert sealing.unseal(sealed) == "whsec_1"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(sealing.Unreadable):
        sealing.unseal(sealed)


def test_it_refuses_types_that_do_not_exist(listen):
    with pytest.raises(webhooks_out.UnknownEventType) as refused:
        listen(types=["invoice.paid", "invoice.eaten"])
    assert refused.value.field == "event_types"


def test_there_are_not_too_many(listen, monkeypatch):
    monkeypatch.setattr(webhooks_out, "MOST_ENDPOINTS", 1)
    listen()
    with pytest.raises(webhooks_out.TooManyEndpoints):
        listen()


# -- What is owed -----------------------------------------------------------------------------------------


def test_a_fact_is_owed_to_every_endpoint_that_asks_for_it(listen, happen):
    every, some, other = listen(), listen(types=["customer.updated"]), listen(types=["invoice.paid"])
    live, off = listen(livemode=True), listen()
    webhooks_out.update(endpoint=off, actor="user:1", enabled=False, now=NOW)
    event = happen()
    assert [row.event for row in only(every)][-1] == event
    assert [row.event for row in only(some)] == [event]
    assert only(other) == only(live) == only(off) == []
    row = only(some)[0]
    assert (row.object_id, row.sequence, row.status) == (event.object_id, event.sequence, "pending")
    assert row.pk.startswith("whd_")
    assert UUID(row.pk.partition("_")[2]).version == 7


def test_what_staff_do_at_the_doors_is_owed_to_who_names_it(listen, happen):
    every, named = listen(), listen(types=["user.signed_in"])
    WebhookEndpoint.objects.update(listening_since=datetime.now(UTC) - timedelta(hours=1))
    came = happen("user.signed_in", note="password")
    assert came not in [row.event for row in only(every)]
    assert [row.event for row in only(named)] == [came]
    assert books.check() == []
    given = {"since": came.recorded_at, "until": soon(hours=1), "actor": "user:1", "now": NOW}
    assert webhooks_out.replay(endpoint=named, **given) == 1
    webhooks_out.replay(endpoint=every, **given)
    assert came not in [row.event for row in only(every)]


def test_it_is_owed_with_the_fact_or_not_at_all(listen, happen):
    endpoint = listen(types=["customer.updated"])
    with transaction.atomic():
        happen()
        transaction.set_rollback(True)
    assert only(endpoint) == []


def test_the_books_see_what_is_not_owed(listen, happen, without_triggers):
    endpoint = listen(types=["customer.updated"])
    WebhookEndpoint.objects.update(listening_since=datetime.now(UTC) - timedelta(hours=1))
    event = happen()
    assert books.check() == []
    endpoint.deliveries.filter(event=event).delete()
    assert [breach.id for breach in books.check()] == ["I-32c"]


# -- What is sent -----------------------------------------------------------------------------------------


def test_it_sends_what_the_standard_says(listen, happen, receiver):
    _, secret = endpoint, secret = webhooks_out.create(
        url=receiver.url, livemode=False, actor="system", now=NOW
    )
    event = happen("customer.updated", name="Zoë")
    send()
    _, headers, body = receiver.seen[-1]
    told = Webhook(secret).verify(body, headers)
    assert headers["webhook-id"] == event.public_id
    assert "." not in headers["webhook-id"]
    assert headers["Content-Type"] == "application/json"
    assert set(told) == {"type", "timestamp", "data"}
    assert (told["type"], told["timestamp"]) == ("customer.updated", "2026-01-15T12:00:00Z")
    assert told["data"] == {
        "id": event.public_id, "number": event.number, "type": "customer.updated", "object": event.object_id,
        "sequence": 2, "customer": event.customer_id, "actor": "system", "at": "2026-01-15T12:00:00Z",
        "data": {"name": "Zoë"},
    }  # fmt: skip
    row = only(endpoint)[-1]
    assert (row.status, row.attempts, row.claim) == ("delivered", 1, None)
    tried = row.tries.get()
    assert (tried.status, tried.response) == (200, "thank you")


def test_it_signs_as_the_standard_shows(listen, happen):
    """The vector of the specification's own libraries."""
    endpoint = listen()
    endpoint.secret = sealing.seal("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    happen()
    row = only(endpoint)[0]
    row.endpoint = endpoint
    sent, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    given = webhooks_out.headers(row, sent, at)
    signed = f"{row.webhook_id}.1614265330.".encode() + sent
    import base64
    import hashlib
    import hmac

    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert given["webhook-signature"] == f"v1,{expected}"
    assert Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", at, sent.decode()
    ) == ("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


def test_both_secrets_sign_until_the_overlap_is_over(listen, happen, receiver):
    endpoint, old = webhooks_out.create(url=receiver.url, livemode=False, actor="system", now=NOW)
    new = webhooks_out.rotate(
        endpoint=endpoint, actor="user:1", now=datetime.now(UTC), overlap=timedelta(hours=1)
    )
    happen()
    send()
    _, headers, body = receiver.seen[-1]
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)
    happen()
    send(hours=2)
    _, headers, body = receiver.seen[-1]
    expected = Webhook(new).sign(
        headers["webhook-id"], datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC), body.decode()
    )
    assert headers["webhook-signature"] == expected
    webhooks_out.forget(now=soon(hours=2))
    endpoint.refresh_from_db()
    assert endpoint.old_secret == ""


def test_a_second_rotation_leaves_what_is_still_in_use(listen, happen, receiver):
    """Whoever rotates twice, or two at once, has given the receiver at most one of the secrets by then."""
    endpoint, first = webhooks_out.create(url=receiver.url, livemode=False, actor="system", now=NOW)
    by = {"endpoint": endpoint, "actor": "user:1", "now": datetime.now(UTC)}
    second, third = webhooks_out.rotate(**by), webhooks_out.rotate(**by, overlap=timedelta(hours=1))
    happen()
    send()
    _, headers, body = receiver.seen[-1]
    for secret in (first, second, third):
        assert Webhook(secret).verify(body, headers)
    for _ in range(9):
        webhooks_out.rotate(**by)
    assert len(webhooks_out.sealed_at(endpoint, by["now"])) == 1 + webhooks_out.MOST_OLD_SECRETS
    last = webhooks_out.rotate(**by, overlap=timedelta(0))
    assert [sealing.unseal(each) for each in webhooks_out.sealed_at(endpoint, by["now"])] == [last]


def test_what_is_done_to_a_removed_endpoint_is_refused(listen, happen):
    endpoint = listen()
    happen()
    again = only(endpoint)[0]
    by = {"actor": "user:1", "now": NOW}
    old = WebhookEndpoint.objects.get(pk=endpoint.pk)
    webhooks_out.remove(endpoint=endpoint, **by)
    for act in (
        partial(webhooks_out.update, endpoint=old, enabled=False), partial(webhooks_out.rotate, endpoint=old),
        partial(webhooks_out.remove, endpoint=old), partial(webhooks_out.redeliver, delivery=again),
        partial(webhooks_out.replay, endpoint=old, since=NOW - timedelta(days=1), until=NOW),
    ):  # fmt: skip
        with pytest.raises(StaleMove):
            act(**by)


def test_what_is_told_of_an_endpoint_holds_no_secret_and_not_to_itself(listen):
    other = listen(types=["webhook_endpoint.created", "webhook_endpoint.updated"])
    endpoint = listen("/hook/canary?token=canary")
    webhooks_out.update(endpoint=endpoint, actor="user:1", now=NOW, url=f"{endpoint.url}2")
    webhooks_out.update(endpoint=endpoint, actor="user:1", now=NOW, description="")
    facts = Event.objects.filter(object_id=endpoint.pk).order_by("number")
    assert [fact.type for fact in facts] == ["webhook_endpoint.created", "webhook_endpoint.updated"]
    assert "canary" not in str([fact.data for fact in facts])
    assert [row.event for row in only(other)] == list(facts)
    webhooks_out.update(endpoint=endpoint, actor="user:1", now=NOW, enabled=False)
    webhooks_out.update(endpoint=endpoint, actor="user:1", now=NOW, enabled=True)
    assert [row.type for row in only(endpoint)] == ["webhook_endpoint.updated"]


def test_the_events_of_one_object_come_in_their_order(listen, happen, receiver):
    endpoint = listen("/turn/a")
    receiver.turns["a"] = [503, 200]
    first, second, third = happen("customer.updated"), happen("customer.updated"), happen(of="another")
    send()
    assert [row.status for row in only(endpoint, event__in=[first, second])] == ["pending", "pending"]
    for minutes in (1, 2, 3):
        send(minutes=minutes)
    told = [json.loads(body)["data"] for _, _, body in receiver.seen]
    mine = [data["sequence"] for data in told if data["object"] == first.object_id]
    assert mine == [1, 1, 2, 3]
    assert third.object_id in {data["object"] for data in told}
    assert only(endpoint, status="pending") == []


def test_one_event_that_is_refused_holds_up_its_own_object_only(listen, happen, receiver):
    """The receiver takes everything but what is about one customer."""
    endpoint = listen("/fine", types=["customer.updated"])
    bad = happen(of="bad")
    happen(of="bad")
    for n in range(5):
        happen(of=f"good {n}")

    def refuse_the_bad(handler):
        handler.status(500 if bad.object_id in handler.server.seen[-1][2].decode() else 200)

    receiver.RequestHandlerClass = type("Picky", (receiver.RequestHandlerClass,), {"fine": refuse_the_bad})
    for minutes in (0, 1, 2, 3):
        send(minutes=minutes)
    waiting = only(endpoint, status="pending")
    assert {row.object_id for row in waiting} == {bad.object_id}
    assert len(waiting) == 2


# -- Receivers that fail ----------------------------------------------------------------------------------


def walk(endpoint, hours):
    """Let time pass, sending what becomes due; answers the times of the tries."""
    now = start = soon()
    times = []
    while now is not None and now <= start + timedelta(hours=hours):
        if webhooks_out.send_due(now=now):
            times.append(now - start)
        endpoint.refresh_from_db()
        due = endpoint.deliveries.filter(status="pending").aggregate(at=Min("next_at"))["at"]
        waits = [moment for moment in (due, endpoint.paused_until) if moment]
        now = None if endpoint.disabled_at or due is None else max(waits)
    return times


def test_it_tries_for_three_days_then_disables_and_tells_the_seller(listen, happen, receiver, monkeypatch):
    monkeypatch.setattr(webhooks_out.random, "uniform", lambda low, high: 0)
    endpoint = listen("/status/500", types=["customer.updated"])
    happen()
    times = walk(endpoint, hours=80)
    assert len(times) == 10
    assert timedelta(hours=75) < times[-1] < timedelta(hours=78)
    endpoint.refresh_from_db()
    assert endpoint.disabled_at
    assert "three days" in endpoint.disabled_reason
    assert only(endpoint)[0].status == "failed"
    mail = Mail.objects.get(template="webhook_disabled")
    assert "/status/500" in mail.text
    assert "answered 500" in mail.text


def test_a_dead_receiver_is_asked_seldom_however_much_waits(listen, happen, receiver, monkeypatch):
    monkeypatch.setattr(webhooks_out, "LONGEST_PAUSE", timedelta(hours=3))
    endpoint = listen("/status/500", types=["customer.updated"])
    for n in range(20):
        happen(of=f"c{n}")
    times = walk(endpoint, hours=6)
    assert len(times) < 10
    assert only(endpoint, status="failed") == []
    walk(endpoint, hours=90)
    endpoint.refresh_from_db()
    assert endpoint.disabled_at


def test_what_waited_goes_on_when_it_is_enabled_again(listen, happen, receiver):
    endpoint = listen("/turn/a", types=["customer.updated"])
    receiver.turns["a"] = [410, 200]
    happen()
    later = happen()
    send()
    endpoint.refresh_from_db()
    assert endpoint.status == "disabled"
    assert "410" in endpoint.disabled_reason
    assert [row.status for row in only(endpoint)] == ["failed", "pending"]
    assert send(hours=1) == 0
    missed = happen()
    webhooks_out.update(endpoint=endpoint, actor="user:1", enabled=True, now=soon())
    send(hours=1)
    assert [row.status for row in only(endpoint)] == ["failed", "delivered"]
    assert only(endpoint)[1].event == later
    assert only(endpoint, event=missed) == []


def test_it_waits_as_long_as_it_is_asked_to_within_an_hour(listen, happen, receiver):
    endpoint = listen("/status/429", types=["customer.updated"])
    receiver.answer_headers = {"Retry-After": "120"}
    happen()
    send()
    assert send(seconds=100) == 0
    assert send(seconds=130) == 1
    receiver.answer_headers = {"Retry-After": "99999999"}
    WebhookEndpoint.objects.update(paused_until=None)
    WebhookDelivery.objects.update(next_at=soon(), attempts=0)
    assert send(seconds=5) == 1
    row = only(endpoint)[0]
    assert timedelta(minutes=59) < row.next_at - soon() <= timedelta(minutes=61)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("7", 7),
        ("", 0),
        ("-7", 0),
        ("soon", 0),
        ("٧", 0),
        ("9" * 400, 3600),
        ("Thu, 15 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 15 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 15 Jan 2026 12:01:00", 0),
    ],
)
def test_it_reads_retry_after(given, seconds):
    answer = outside.Answer(503, {"retry-after": given}, b"", 1)
    outcome = webhooks_out.Outcome(answer)
    assert webhooks_out.retry_after(outcome, NOW) == timedelta(seconds=seconds)


def test_an_address_that_turned_inside_is_not_called_again(listen, happen, receiver, settings):
    endpoint = listen(types=["customer.updated"])
    settings.OUTSIDE_NETWORKS = []
    happen()
    send()
    endpoint.refresh_from_db()
    assert receiver.seen == []
    assert endpoint.disabled_at
    assert "not public" in endpoint.disabled_reason
    assert only(endpoint)[0].status == "failed"
    assert Mail.objects.filter(template="webhook_disabled").count() == 1


def test_a_secret_that_cannot_be_read_stops_it_with_a_reason(listen, happen, settings, receiver):
    endpoint = listen(types=["customer.updated"])
    settings.SECRET_KEY = "another"
    happen()
    send()
    endpoint.refresh_from_db()
    assert "rotate" in endpoint.disabled_reason
    assert receiver.seen == []


def test_an_answer_is_kept_in_part_and_as_text(listen, happen, receiver):
    endpoint = listen("/endless", types=["customer.updated"])
    happen()
    send()
    assert len(only(endpoint)[0].tries.get().response) == webhooks_out.SHOWN_OF_ANSWER
    assert webhooks_out.readable(b"a\0\xff") == "a\ufffd\ufffd"


# -- Many at once, and the killed -------------------------------------------------------------------------


def test_slow_receivers_do_not_delay_the_others(listen, happen, receiver):
    """Ten do not answer before the eleventh has everything."""
    all_heard, heard = threading.Event(), []

    def fine(handler):
        heard.append(handler.path)
        if len(heard) == 20:
            all_heard.set()
        handler.status(200)

    def hold(handler):
        handler.status(200 if all_heard.wait(10) else 500)

    receiver.RequestHandlerClass = type("Slow", (receiver.RequestHandlerClass,), {"fine": fine, "hold": hold})
    slow = [listen(f"/hold?{n}", types=["customer.updated"]) for n in range(10)]
    good = listen("/fine", types=["customer.updated"])
    for n in range(20):
        happen(of=f"c{n}")
    send()
    assert len(only(good, status="delivered")) == 20
    assert not WebhookDelivery.objects.filter(endpoint__in=slow, tries__status=500).exists()


def test_a_claim_keeps_others_away_until_it_is_over(listen, happen):
    listen(types=["customer.updated"])
    happen()
    now = soon()
    mine = webhooks_out.claim(now, 10, 10)
    assert len(mine) == 1
    assert webhooks_out.claim(now, 10, 10) == []
    again = webhooks_out.claim(now + webhooks_out.CLAIM, 10, 10)
    assert [row.pk for row in again] == [mine[0].pk]


def test_what_comes_back_after_the_claim_is_over_changes_nothing(listen, happen):
    """A sender that was frozen while another took its work."""
    endpoint = listen(types=["customer.updated"])
    happen()
    frozen = webhooks_out.claim(soon(), 10, 10)[0]
    send(minutes=2)
    assert only(endpoint)[0].status == "delivered"
    webhooks_out.write_down(frozen, webhooks_out.Outcome(error="late"), soon(minutes=3))
    assert (only(endpoint)[0].status, only(endpoint)[0].tries.count()) == ("delivered", 1)
    endpoint.refresh_from_db()
    assert endpoint.failures == 0


def test_one_sender_works_at_a_time(listen, happen):
    listen(types=["customer.updated"])
    happen()
    lease = Lease.objects.create(name="webhooks", holder=uuid4(), until=soon() + timedelta(seconds=20))
    assert send() == 0
    Lease.objects.filter(pk=lease.pk).update(until=soon())
    assert send() == 1
    assert not Lease.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_commit_wakes_the_sender_once(listen, happen, make_customer):
    OrmQ.objects.all().delete()
    customer = make_customer()
    assert jobs() == 0
    listen()
    with transaction.atomic():
        for _ in range(3):
            record("customer.updated", subject=customer, actor="system", now=NOW)
        assert jobs() == 0
    assert jobs() == 1


def jobs():
    from django_q.signing import SignedPackage

    named = [SignedPackage.loads(row.payload)["func"] for row in OrmQ.objects.all()]
    return named.count("billing.tasks.send_webhooks")


@pytest.mark.django_db(transaction=True)
def test_senders_in_two_threads_send_each_once(listen, happen, receiver):
    from django.db import connections

    endpoint = listen(types=["customer.updated"])
    for n in range(12):
        happen(of=f"c{n % 4}")

    def run():
        webhooks_out.send_due(now=soon())
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send()
    assert len(only(endpoint, status="delivered")) == 12
    assert len(receiver.seen) == 12


# -- Again ------------------------------------------------------------------------------------------------


def test_it_is_sent_again_under_the_same_name(listen, happen, receiver):
    endpoint = listen(types=["customer.updated"])
    happen()
    send()
    webhooks_out.redeliver(delivery=only(endpoint)[0], actor="user:1", now=soon())
    assert send(seconds=5) == 1
    first, second = (headers["webhook-id"] for _, headers, _ in receiver.seen)
    assert first == second
    assert only(endpoint)[0].tries.count() == 2


def test_nothing_is_sent_again_to_a_disabled_one(listen, happen):
    endpoint = listen(types=["customer.updated"])
    happen()
    send()
    webhooks_out.update(endpoint=endpoint, actor="user:1", enabled=False, now=NOW)
    with pytest.raises(webhooks_out.EndpointDisabled):
        webhooks_out.redeliver(delivery=only(endpoint)[0], actor="user:1", now=soon())
    with pytest.raises(webhooks_out.EndpointDisabled):
        webhooks_out.replay(endpoint=endpoint, actor="user:1", since=NOW, until=soon(), now=soon())


def test_a_time_is_replayed_in_order_with_what_was_never_sent(listen, happen, receiver):
    began = datetime.now(UTC)
    before = happen()
    endpoint = listen(types=["customer.updated"])
    happen()
    send()
    ended = datetime.now(UTC)
    outsider = happen()
    count = webhooks_out.replay(endpoint=endpoint, actor="user:1", since=began, until=ended, now=soon())
    assert count == 2
    send(seconds=5)
    told = [json.loads(body)["data"]["sequence"] for _, _, body in receiver.seen]
    assert told[0] == before.sequence + 1
    assert told[1:] == [before.sequence, before.sequence + 1, outsider.sequence]


def test_a_replay_has_a_limit(listen, happen, monkeypatch):
    monkeypatch.setattr(webhooks_out, "MOST_REPLAYED", 1)
    endpoint = listen(types=["customer.updated"])
    happen(), happen()
    with pytest.raises(webhooks_out.ReplayTooLarge) as refused:
        webhooks_out.replay(endpoint=endpoint, actor="user:1", since=soon(days=-1), until=soon(), now=soon())
    assert refused.value.field == "since"


def test_a_test_is_sent_at_once_and_once(listen, receiver):
    endpoint = listen("/status/500")
    row = webhooks_out.test(endpoint=endpoint, now=soon())
    assert (row.status, row.tries.get().status) == ("failed", 500)
    told = json.loads(receiver.seen[0][2])
    assert told["type"] == "webhook.test"
    assert receiver.seen[0][1]["webhook-id"] == row.pk
    endpoint.refresh_from_db()
    assert endpoint.failures == 0
    assert send(days=1) == 0
    with pytest.raises(webhooks_out.NotRepeatable):
        webhooks_out.redeliver(delivery=row, actor="user:1", now=soon())


def test_old_logs_are_forgotten(listen, happen):
    endpoint = listen(types=["customer.updated"])
    happen()
    send()
    happen()
    webhooks_out.forget(now=soon(days=31))
    assert [row.status for row in only(endpoint)] == ["pending"]
    assert Event.objects.count() >= 3


@pytest.mark.django_db(transaction=True)
def test_a_secret_that_is_rotated_while_deliveries_run_loses_none(catalogue, loopback, happen, receiver):
    """A receiver that has either of the two secrets can verify every one of them."""
    endpoint, old = webhooks_out.create(
        url=receiver.url, livemode=False, actor="system", now=NOW, event_types=["customer.updated"]
    )
    for n in range(60):
        happen(of=f"c{n % 20}")

    def rotate():
        until = datetime.now(UTC) + timedelta(seconds=60)
        while len(receiver.seen) < 10 and datetime.now(UTC) < until:
            time.sleep(0.001)
        return webhooks_out.rotate(endpoint=endpoint, actor="user:1", now=datetime.now(UTC))

    sent, new = at_once(send, rotate)
    happen(of="after")
    send()
    mine = [(headers, body) for path, headers, body in receiver.seen if path == "/"]
    assert len({headers["webhook-id"] for headers, _ in mine}) == len(mine) == 61
    signed = [len(headers["webhook-signature"].split(" ")) for headers, _ in mine]
    assert {signed[0], signed[-1]} == {1, 2}
    for (headers, body), signatures in zip(mine, signed, strict=True):
        for secret in (old, new)[:signatures]:
            assert Webhook(secret).verify(body, headers)
    assert sent >= 60
