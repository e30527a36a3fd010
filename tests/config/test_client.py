"""The client in docs/ does what the guide says of it."""

import importlib.util
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from billing import clocks, keys
from billing.models import Customer
from tests.fixtures_billing import NOON

spec = importlib.util.spec_from_file_location("tandem_client", settings.BASE_DIR / "docs" / "client.py")
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def tandem(catalogue, no_request_limits, sent):
    """The client, speaking to this process instead of a socket."""
    _, secret = keys.issue(name="client", livemode=False, now=NOON)

    def open_here(request, timeout):
        sent.append(request)
        parts = urlsplit(request.full_url)
        answer = Client().generic(
            request.get_method(), f"{parts.path}?{parts.query}", request.data or b"", content_type="application/json",
            headers=dict(request.header_items()),
        )  # fmt: skip
        if answer.status_code >= 400:
            body = io.BytesIO(answer.content)
            raise HTTPError(request.full_url, answer.status_code, "", answer.headers, body)
        return io.BytesIO(answer.content)

    return client.Tandem("http://testserver", secret, open=open_here)


def test_it_makes_reads_changes_and_deletes(tandem):
    made = tandem.post("customers", name="Acme", email="it@acme.example", external_id="acme")
    assert tandem.get("customers/acme") == made
    assert tandem.patch("customers/acme", name="Acme AG")["name"] == "Acme AG"
    tandem.delete("customers/acme")
    with pytest.raises(client.Refused) as refused:
        tandem.get("customers/acme")
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_it_goes_through_all_pages(tandem):
    for n in range(5):
        tandem.post("customers", name=f"Customer {n}", email=f"a{n}@acme.example")
    names = [row["name"] for row in tandem.all("customers", limit=2)]
    assert names == [f"Customer {n}" for n in (4, 3, 2, 1, 0)]


def test_it_tries_again_with_the_same_key_and_makes_one(tandem, sent, monkeypatch):
    real, waits = tandem.open, []
    monkeypatch.setattr(client.time, "sleep", waits.append)

    def lost_once(request, timeout):
        answer = real(request, timeout)
        if len(sent) == 1:
            said = b'{"status": 503, "code": "try_again", "detail": "", "request_id": "r"}'
            raise HTTPError(request.full_url, 503, "", {"Retry-After": "2"}, io.BytesIO(said))
        return answer

    tandem.open = lost_once
    tandem.post("customers", name="Acme", email="it@acme.example")
    assert waits == [2]
    assert len({request.get_header("Idempotency-key") for request in sent}) == 1
    assert Customer.objects.count() == 1


def test_it_waits_while_somebody_else_moves_the_clock(tandem, sent, make_clock, monkeypatch):
    clock, waits = make_clock(), []
    moving = clocks.held(clock)
    with ThreadPoolExecutor(1) as somebody:
        somebody.submit(moving.__enter__).result()

        def until_it_stands(seconds):
            waits.append(seconds)
            somebody.submit(moving.__exit__, None, None, None).result()
            somebody.submit(connections.close_all).result()

        monkeypatch.setattr(client.time, "sleep", until_it_stands)
        tandem.post(
            f"test_clocks/{clock.pk}/advance", to=f"{clock.now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        )
    assert waits == [1]
    assert len({request.get_header("Idempotency-key") for request in sent}) == 1
    assert len(sent) == 2
    clock.refresh_from_db()
    assert clock.status == "ready"


def test_it_does_not_ask_again_what_is_refused_for_good(tandem, sent, monkeypatch):
    monkeypatch.setattr(client.time, "sleep", None)
    tandem.post("customers", name="Acme", email="it@acme.example", external_id="acme")
    with pytest.raises(client.Refused) as refused:
        tandem.post("customers", name="Acme", email="it@acme.example", external_id="acme")
    assert (refused.value.status, len(sent)) == (409, 2)
