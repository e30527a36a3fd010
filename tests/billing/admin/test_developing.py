"""The screens of whoever connects the seller's own systems."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.urls import reverse

from billing import webhooks_out
from billing.events import record
from billing.models import ApiKey, TestClock, User, WebhookDelivery, WebhookEndpoint
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    user = User.objects.create_superuser("grace@tandem.example", name="Grace")
    client.force_login(user)
    return user


@pytest.fixture
def endpoint(catalogue, receiver, loopback, boss):
    return webhooks_out.create(
        url=f"{receiver.url}/fine", livemode=False, actor="system", now=NOON, event_types=["customer.updated"]
    )[0]


@pytest.fixture
def event(endpoint, make_customer):
    with transaction.atomic():
        return record(
            "customer.updated", subject=make_customer(), actor="system", now=NOON, data={"name": "<b>"}
        )


def at(row):
    return reverse(f"admin:billing_{row._meta.model_name}_change", args=[row.pk])


def new(model):
    return reverse(f"admin:billing_{model._meta.model_name}_add")


def test_it_makes_an_endpoint_and_shows_its_secret_once(client, boss, catalogue, receiver, loopback):
    assert client.get(new(WebhookEndpoint)).status_code == 200
    typed = {
        "url": receiver.url,
        "event_types": "invoice.paid\ninvoice.sent",
        "description": "ERP",
        "livemode": "test",
    }
    page = client.post(new(WebhookEndpoint), typed)
    assert re.search(r"whsec_[A-Za-z0-9+/=]{40,}", page.text)
    assert "no-store" in page["Cache-Control"]
    made = WebhookEndpoint.objects.get()
    assert (made.event_types, made.livemode) == (["invoice.paid", "invoice.sent"], False)
    assert "whsec_" not in client.get(at(made)).text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"url": "https://10.0.0.1/"}, "not public"),
        ({"url": "https://8.8.8.8/", "event_types": "invoice.eaten"}, "invoice.eaten"),
        ({"url": ""}, "required"),
    ],
)
def test_it_keeps_what_was_typed_when_it_refuses(client, boss, catalogue, typed, words):
    page = client.post(new(WebhookEndpoint), {**typed, "description": "our ERP", "livemode": "test"})
    assert page.status_code == 422
    assert words in page.text
    assert "our ERP" in page.text
    assert not WebhookEndpoint.objects.exists()


def test_it_shows_what_was_sent_and_sends_it_again(client, endpoint, event, receiver):
    webhooks_out.send_due(now=datetime.now(UTC) + timedelta(seconds=1))
    delivery = WebhookDelivery.objects.get()
    page = client.get(at(endpoint)).text
    assert "customer.updated" in page
    assert "Delivered" in page
    shown = client.get(at(delivery)).text
    assert "thank you" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    client.post(at(delivery), {"action": "again"})
    delivery.refresh_from_db()
    assert delivery.status == "pending"


def test_a_test_leads_to_what_came_back(client, endpoint, receiver):
    answer = client.post(at(endpoint), {"action": "test"}, follow=True)
    assert "webhook.test" in answer.text
    assert "thank you" in answer.text
    assert len(receiver.seen) == 1


def test_it_rotates_and_shows_the_new_secret_once(client, endpoint):
    before = endpoint.secret
    assert "whsec_" in client.post(at(endpoint), {"action": "rotate"}).text
    endpoint.refresh_from_db()
    assert endpoint.old_secret == before
    assert "signs as well until" in client.get(at(endpoint)).text


def test_it_is_changed_switched_off_and_removed(client, endpoint):
    client.post(
        at(endpoint), {"action": "save", "url": endpoint.url, "event_types": "", "description": "ERP"}
    )
    endpoint.refresh_from_db()
    assert (endpoint.event_types, endpoint.description) == ([], "ERP")
    wrong = client.post(
        at(endpoint), {"action": "save", "url": "https://127.0.0.2.5/", "description": "kept"}
    )
    assert wrong.status_code in (302, 422)
    client.post(at(endpoint), {"action": "disable"})
    endpoint.refresh_from_db()
    assert endpoint.disabled_at
    client.post(at(endpoint), {"action": "enable"})
    client.post(at(endpoint), {"action": "remove"})
    assert not WebhookEndpoint.objects.exists()


def test_a_time_is_replayed(client, endpoint, event):
    since = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    page = client.post(at(endpoint), {"action": "replay", "since": since}, follow=True)
    assert "1 events are being sent" in page.text
    wrong = client.post(at(endpoint), {"action": "replay", "since": "soon"})
    assert wrong.status_code == 422


def test_an_event_shows_its_json_and_who_was_told(client, endpoint, event):
    page = client.get(at(event)).text
    assert event.public_id in page
    assert endpoint.url in page
    listed = client.get(reverse("admin:billing_event_changelist"), {"type": "customer.updated"})
    assert event.object_id in listed.text


def test_a_key_is_made_shown_once_and_revoked(client, boss):
    assert client.get(new(ApiKey)).status_code == 200
    page = client.post(new(ApiKey), {"name": "Product", "livemode": "test", "scopes": ["read", "usage"]})
    secret = re.search(r"tk_test_\w{40}", page.text)[0]
    key = ApiKey.objects.get()
    assert secret.startswith(key.prefix)
    assert secret not in client.get(at(key)).text
    client.post(at(key), {"action": "revoke"})
    key.refresh_from_db()
    assert key.revoked_at
    assert client.post(new(ApiKey), {"name": "", "scopes": []}).status_code == 422


def test_a_clock_is_made_and_moved_by_a_job(client, boss, catalogue, run_jobs):
    answer = client.post(new(TestClock), {"time": "2026-01-15T12:00", "name": "Spring"})
    clock = TestClock.objects.get()
    assert answer.url == at(clock)
    assert "Nobody lives by it yet" in client.get(at(clock)).text
    client.post(at(clock), {"action": "advance", "to": "2026-02-15T12:00"})
    clock.refresh_from_db()
    assert (clock.status, clock.now) == ("advancing", datetime(2026, 1, 15, 12, tzinfo=UTC))
    assert "On its way to" in client.get(at(clock)).text
    run_jobs()
    clock.refresh_from_db()
    assert (clock.status, clock.now) == ("ready", datetime(2026, 2, 15, 12, tzinfo=UTC))
    back = client.post(at(clock), {"action": "advance", "to": "2026-01-01T00:00"})
    assert back.status_code == 422
    assert "never goes back" in back.text


def test_only_who_may_sees_and_makes_them(client, catalogue):
    client.force_login(User.objects.create_user("rep@tandem.example", is_staff=True))
    for model in (WebhookEndpoint, ApiKey, TestClock):
        assert client.get(new(model)).status_code == 403
        assert client.get(reverse(f"admin:billing_{model._meta.model_name}_changelist")).status_code == 403
