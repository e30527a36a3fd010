"""Stripe's door: what comes in is checked, noted once, queued with its note, and answered at once."""

import json
import time
from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.test import Client
from django_q.models import OrmQ
from djstripe.models import Charge, Event, PaymentIntent, WebhookEndpoint, WebhookEventTrigger

from billing import collecting, webhooks_in
from billing.fakestripe import sign
from billing.models import ProviderEvent
from billing.tasks import apply_stripe_event
from tests.races import at_once

pytestmark = pytest.mark.django_db

SECRET = "whsec_tandemsandbox000000000000000000"
DOOR = "/webhooks/stripe/"


def event(id="evt_1", type="payment_intent.succeeded", **more):
    about = {"id": "pi_1", "object": "payment_intent", "metadata": {}}
    row = {"id": id, "object": "event", "type": type, "livemode": False, "data": {"object": about}}
    return (
        row
        | {"api_version": "2026-08-26.dahlia", "created": 1_768_478_400, "request": {"id": "req_1"}}
        | more
    )


def post(payload, secret=SECRET, signature=None, at=None):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    header = sign(body, secret, int(at or time.time())) if signature is None else signature
    return Client().post(DOOR, body, content_type="application/json", HTTP_STRIPE_SIGNATURE=header)


def queued():
    return sorted((task.task["func"], task.task["args"]) for task in OrmQ.objects.all())


# -- Letting in ---------------------------------------------------------------------------------------


def test_it_notes_and_queues_and_answers():
    # Processor time: a busy machine makes nobody late.
    started = time.process_time()
    answer = post(event())
    assert (answer.status_code, answer.json()) == (200, {"status": "noted"})
    assert time.process_time() - started < 5
    row = ProviderEvent.objects.get()
    assert (row.provider_id, row.type, row.applied_at) == ("evt_1", "payment_intent.succeeded", None)
    assert row.payload == event()
    assert queued() == [
        ("billing.tasks.apply_stripe_event", ("evt_1",)),
        ("billing.webhooks_in.mirror", ("evt_1",)),
    ]


def test_it_leaves_djstripe_its_rows():
    post(event())
    row = Event.objects.get(id="evt_1")
    assert (row.type, row.livemode, row.request_id) == ("payment_intent.succeeded", False, "req_1")
    assert row.created == datetime(2026, 1, 15, 12, tzinfo=UTC)
    trigger = WebhookEventTrigger.objects.get()
    assert (trigger.valid, trigger.processed, trigger.event) == (True, False, row)
    assert trigger.json_body == event()
    assert set(trigger.headers) == {"Stripe-Signature", "Content-Type"}


def test_it_notes_a_duplicate_once():
    for _ in range(4):
        assert post(event()).status_code == 200
    assert ProviderEvent.objects.count() == Event.objects.count() == WebhookEventTrigger.objects.count() == 1
    assert OrmQ.objects.count() == 2


def test_it_takes_types_that_it_does_not_know():
    assert post(event(type="something.new.in.2031")).status_code == 200
    apply_stripe_event("evt_1")
    assert ProviderEvent.objects.get().applied_at


def test_it_takes_a_name_that_postgresql_cannot_write():
    about = {"id": "cus_1", "object": "customer", "name": "A\u0000B"}
    assert post(event(type="customer.updated", data={"object": about})).status_code == 200
    assert ProviderEvent.objects.get().payload["data"]["object"]["name"] == "AB"


def test_it_keeps_note_and_job_together_or_neither(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("the queue is gone")

    monkeypatch.setattr(webhooks_in, "async_task", broken)
    with pytest.raises(RuntimeError):
        post(event())
    assert not ProviderEvent.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_notes_once_what_comes_from_everywhere_at_once():
    """Eight deliveries of one event at the same moment: one note, one pair of jobs, eight times 200."""
    answers = at_once(*[lambda: post(event()).status_code] * 8)
    assert answers == [200] * 8
    assert ProviderEvent.objects.count() == WebhookEventTrigger.objects.count() == 1
    assert OrmQ.objects.count() == 2


# -- Keeping out --------------------------------------------------------------------------------------


@pytest.fixture
def nothing_is_kept():
    yield
    assert not ProviderEvent.objects.exists()
    assert not WebhookEventTrigger.objects.exists()
    assert not OrmQ.objects.exists()


@pytest.mark.usefixtures("nothing_is_kept")
class TestRefused:
    @pytest.mark.parametrize("signature", ["", "t=1,v1=00", "nonsense", "v1=,t="])
    def test_it_refuses_what_is_not_signed(self, signature):
        assert post(event(), signature=signature).status_code == 400

    def test_it_refuses_another_secret(self):
        assert post(event(), secret="whsec_somebody_elses").status_code == 400

    @pytest.mark.parametrize("seconds", [-301, 301])
    def test_it_refuses_another_time(self, seconds):
        assert post(event(), at=time.time() + seconds).status_code == 400

    def test_it_refuses_a_changed_body(self):
        signature = sign(json.dumps(event()).encode(), SECRET, int(time.time()))
        assert post(event(id="evt_2"), signature=signature).status_code == 400

    def test_it_refuses_too_much_before_it_looks(self, monkeypatch):
        monkeypatch.setattr(webhooks_in, "check", lambda *args: pytest.fail("it looked"))
        assert post(b"x" * (256 * 1024 + 1)).status_code == 413

    def test_it_reads_nothing_before_the_signature(self, monkeypatch):
        monkeypatch.setattr(webhooks_in, "parse", lambda body: pytest.fail("it parsed"))
        assert post(event(), secret="whsec_other").status_code == 400

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not json",
            b"[]",
            b'"text"',
            b"null",
            b"\xff\xfe",
            b"[" * 5000,
            b'{"object": "charge"}',
            json.dumps(event(id="")).encode(),
            json.dumps(event(id=7)).encode(),
            json.dumps(event(id="e" * 101)).encode(),
            json.dumps(event(type=None)).encode(),
            json.dumps(event(data=None)).encode(),
            json.dumps(event(data={"object": "text"})).encode(),
            json.dumps(event(livemode=True)).encode(),
        ],
    )
    def test_it_refuses_what_is_signed_but_no_event_of_ours(self, body):
        assert post(body).status_code == 400

    @pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
    def test_it_takes_posts_only(self, method):
        assert getattr(Client(), method)(DOOR).status_code == 405


def test_it_takes_the_old_secret_while_it_is_rotated(settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_old"]
    assert post(event(id="evt_1"), secret="whsec_old").status_code == 200
    assert post(event(id="evt_2"), secret="whsec_new").status_code == 200
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new"]
    assert post(event(id="evt_3"), secret="whsec_old").status_code == 400


def test_it_takes_the_secret_of_an_endpoint_of_djstripe():
    endpoint = WebhookEndpoint.objects.create(
        id="we_1",
        url="https://a.example/",
        secret="whsec_admin",
        enabled_events=["*"],
        status="enabled",
        livemode=False,
    )
    assert post(event(), secret="whsec_admin").status_code == 200
    assert WebhookEventTrigger.objects.get().webhook_endpoint == endpoint
    WebhookEndpoint.objects.update(status="disabled")
    assert post(event(id="evt_2"), secret="whsec_admin").status_code == 400


def test_it_needs_no_csrf_token():
    body = json.dumps(event()).encode()
    strict = Client(enforce_csrf_checks=True)
    header = sign(body, SECRET, int(time.time()))
    assert (
        strict.post(DOOR, body, content_type="application/json", HTTP_STRIPE_SIGNATURE=header).status_code
        == 200
    )


def test_it_asks_the_database_a_fixed_number_of_questions(django_assert_max_num_queries):
    """Secrets, the note, dj-stripe's two rows, the jobs; of a repeat, secrets and the note. With a savepoint each."""
    for id in ("evt_1", "evt_2"):
        with django_assert_max_num_queries(5 + 2):
            post(event(id=id))
        with django_assert_max_num_queries(2 + 2):
            post(event(id=id))


# -- Acting and mirroring -----------------------------------------------------------------------------


def test_it_is_acted_on_once(monkeypatch):
    acted = []
    monkeypatch.setattr(collecting, "apply_provider_event", lambda event, now: acted.append(event["id"]))
    post(event())
    apply_stripe_event("evt_1")
    apply_stripe_event("evt_1")
    assert acted == ["evt_1"]


@pytest.fixture
def life(fake_stripe, card_gateway, stripe_door):
    """A customer, a saved card, a paid charge, a declined one and a refund, all told by webhook."""
    customer = card_gateway.create_customer(key="c-1", name="A", email="a@example.com", reference="cus_a")
    card = card_gateway.attach(key="a-1", customer=customer, payment_method="pm_card_visa")
    asked = {"customer": customer, "amount": 2000, "currency": "USD", "reference": "inv_1"}
    paid = card_gateway.charge(key="p-1", payment_method=card.id, off_session=True, **asked)
    card_gateway.charge(key="p-2", payment_method="pm_card_chargeDeclined", **asked)
    card_gateway.refund(key="r-1", payment_intent=paid.intent_id, amount=500, currency="USD")
    return stripe_door


def test_it_takes_a_whole_life_in_any_order_any_number_of_times(life, fake_stripe):
    events = fake_stripe.rows("event")
    assert set(life.deliver(duplicate=3, shuffle=11)) == {200}
    assert ProviderEvent.objects.count() == len(events)
    assert set(life.replay(events)) == {200}
    assert ProviderEvent.objects.count() == Event.objects.count() == len(events)


def test_djstripe_mirrors_what_was_told(life, fake_stripe):
    life.deliver(shuffle=3)
    for id in ProviderEvent.objects.values_list("provider_id", flat=True):
        webhooks_in.mirror(id)
    charges = {row["id"]: row for row in fake_stripe.rows("charge")}
    assert {charge.id: charge.status for charge in Charge.objects.all()} == {
        id: row["status"] for id, row in charges.items()
    }
    assert {str(charge.amount) for charge in Charge.objects.all()} == {"20.00"}
    assert PaymentIntent.objects.count() == 2
    assert not WebhookEventTrigger.objects.filter(processed=False).exists()
    webhooks_in.mirror("evt_unknown")


def test_a_job_and_its_note_share_a_transaction():
    with transaction.atomic():
        body = json.dumps(event()).encode()
        webhooks_in.note(event=event(), body=body, headers={}, address="127.0.0.1")
        assert OrmQ.objects.count() == 2
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    assert not ProviderEvent.objects.exists()
