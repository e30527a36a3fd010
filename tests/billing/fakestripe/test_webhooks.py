"""Events: in Stripe's order and form, signed as Stripe signs, and delivered in every wrong way on request."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import stripe

from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, HttpDeliverer, MemoryStore, SqliteStore, sign


@pytest.fixture
def inbox(fake):
    """Receives deliveries; `inbox.status` is what it answers."""

    class Inbox(list):
        status = 200

        def __call__(self, payload, headers):
            self.append((payload, headers))
            return self.status

        @property
        def types(self):
            return [json.loads(payload)["type"] for payload, _ in self]

    box = Inbox()
    fake.webhooks.to(box)
    return box


PAID = ["customer.created", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_it_signs_as_stripe_does(fake, inbox, pay):
    pay()
    fake.webhooks.deliver()
    for payload, headers in inbox:
        event = stripe.Webhook.construct_event(payload, headers["Stripe-Signature"], fake.webhooks.secret)
        assert event.data.object.object in ("customer", "payment_intent", "charge")
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload + b" ", headers["Stripe-Signature"], fake.webhooks.secret)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload, headers["Stripe-Signature"], "whsec_other")


def test_it_signs_what_the_library_would():
    header = sign(b'{"a": 1}', "whsec_x", 1_700_000_000)
    assert header == stripe.WebhookSignature.generate_signature_header('{"a": 1}', "whsec_x", 1_700_000_000)


def test_it_holds_until_told(fake, inbox, pay):
    pay()
    assert inbox == []
    assert [event["type"] for event in fake.webhooks.pending()] == PAID
    assert fake.webhooks.deliver() == [200] * 4
    assert inbox.types == PAID
    assert fake.webhooks.pending() == []


def test_it_delivers_before_the_api_answers(fake, inbox, pay):
    fake.webhooks.when = "before_answer"
    seen = []
    fake.webhooks.to(lambda payload, headers: seen.append(json.loads(payload)["type"]) or 200)
    fake.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    with pytest.raises(stripe.APIConnectionError):
        pay()
    assert seen[-1] == "payment_intent.succeeded"


def test_it_delivers_from_a_thread(pay, fake, inbox):
    fake.webhooks.when = "background"
    pay()
    deadline = time.monotonic() + 60
    while len(inbox) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    fake.webhooks.when = "held"
    assert sorted(inbox.types) == sorted(PAID)


def test_it_duplicates_and_shuffles_repeatably(fake, inbox, pay):
    pay()
    events = fake.webhooks.pending()
    fake.webhooks.deliver(duplicate=3, shuffle=5)
    first = inbox.types
    assert sorted(first) == sorted(PAID * 3)
    assert first != PAID * 3
    inbox.clear()
    fake.webhooks.replay(events)
    assert inbox.types == PAID


def test_it_delivers_a_part(fake, inbox, pay):
    pay()
    fake.webhooks.deliver(only="charge.")
    assert inbox.types == ["charge.succeeded"]
    assert len(fake.webhooks.pending()) == 3


def test_it_tries_again_later_until_taken(fake, inbox, pay, stripe_clock):
    pay()
    inbox.status = 503
    assert fake.webhooks.deliver_due() == 0
    assert len(inbox) == 4
    assert fake.webhooks.deliver_due() == 0
    assert len(inbox) == 4
    inbox.status = 200
    stripe_clock.advance(seconds=2)
    assert fake.webhooks.deliver_due() == 4
    assert fake.webhooks.pending() == []


def test_it_has_another_sender_take_over_from_a_dead_one(fake, inbox, pay, stripe_clock):
    pay()
    fake.webhooks._claim()
    assert fake.webhooks.deliver_due() == 0
    stripe_clock.advance(seconds=31)
    assert fake.webhooks.deliver_due() == 4


def test_it_keeps_what_is_owed_over_a_restart(tmp_path, inbox):
    first = FakeStripe(SqliteStore(tmp_path / "s.sqlite3"))
    client = stripe.StripeClient("sk_test_" + "t" * 24, http_client=FakeStripeHTTPClient(first))
    client.v1.customers.create({})
    second = FakeStripe(SqliteStore(tmp_path / "s.sqlite3"), deliver=inbox)
    assert second.webhooks.deliver_due() == 1
    assert first.webhooks.pending() == []


def test_it_tells_the_request_that_caused_an_event(fake, pay):
    pay(key="key-7")
    event = fake.rows("event")[-1]
    assert event["request"]["idempotency_key"] == "key-7"
    assert event["api_version"] == fake.api_version
    assert event["livemode"] is False


def test_it_tells_what_an_update_changed(api, fake, customer):
    api.customers.update(customer, {"name": "Alicia"})
    assert fake.rows("event")[-1]["data"]["previous_attributes"] == {"name": "Alice"}


LIVES = [
    ("pm_card_chargeDeclined", ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]),
    ("pm_card_authenticationRequired", ["payment_intent.created", "payment_intent.requires_action"]),
]


@pytest.mark.parametrize(("name", "types"), LIVES)
def test_it_tells_every_step(fake, pay, customer, name, types):
    with contextlib.suppress(stripe.CardError):
        pay(name)
    assert [event["type"] for event in fake.rows("event")][1:] == types


def test_it_knows_no_other_time(fake):
    with pytest.raises(ValueError, match="background"):
        fake.webhooks.when = "someday"
    with pytest.raises(ValueError, match="background"):
        FakeStripe(MemoryStore(), when="someday")


# -- Over HTTP ----------------------------------------------------------------------------------------


@pytest.fixture
def receiver():
    """A small HTTP server; it answers `status` and keeps what it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(got.status)
            if got.status == 302:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    class Got(list):
        status = 200

    got = Got()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    got.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield got
    server.shutdown()
    server.server_close()


def test_it_posts_the_signed_bytes(fake, receiver, pay):
    fake.webhooks.to(HttpDeliverer(receiver.url))
    pay()
    assert fake.webhooks.deliver() == [200] * 4
    headers, body = receiver[0]
    assert stripe.Webhook.construct_event(body, headers["Stripe-Signature"], fake.webhooks.secret)


def test_it_takes_a_redirect_for_a_refusal(receiver):
    receiver.status = 302
    assert HttpDeliverer(receiver.url)(b"{}", {"Content-Type": "application/json"}) == 302
    assert len(receiver) == 1


def test_it_says_0_where_nobody_listens():
    assert HttpDeliverer("http://127.0.0.1:1/hook", timeout=1)(b"{}", {}) == 0


def test_it_posts_to_web_addresses_only():
    with pytest.raises(ValueError, match="http"):
        HttpDeliverer("file:///etc/passwd")
