"""The same request twice: done once, answered twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connections
from django.utils import timezone

from billing import clocks, customers, gateway
from billing.models import ApiKey, Customer, IdempotentRequest

ACME = {"name": "Acme", "email": "it@acme.example"}


def test_it_answers_the_same_bytes_again(api):
    first = api.post("customers", **ACME, key="k-1")
    again = [api.post("customers", **ACME, key="k-1") for _ in range(2)]
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first
    for answer in again:
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer["Content-Type"] == first["Content-Type"]
        assert answer["Idempotent-Replayed"] == "true"
    assert Customer.objects.count() == 1


def test_an_answer_without_a_body_is_kept_too(api, make_customer):
    make_customer(external_id="acme")
    event = {"id": "u-1", "customer": "acme", "event_name": "api_call", "properties": {"value": 5}}
    assert api.post("usage_events", event).json()["accepted"] == 1
    first, again = (api.post("usage_events/u-1/void", {}, key="k-1") for _ in range(2))
    for answer in (first, again):
        assert (answer.status_code, answer.content, "Content-Type" in answer) == (204, b"", False)
    assert again["Idempotent-Replayed"] == "true"


def test_it_repeats_refusals_too(api):
    first = api.post("customers", name="Acme", email="nobody", key="k-1")
    again = api.post("customers", name="Acme", email="nobody", key="k-1")
    assert first.status_code == 422
    assert again.content == first.content
    assert again["Content-Type"] == "application/problem+json"


def test_it_refuses_the_key_for_another_body_or_address(api, code):
    made = api.post("customers", **ACME, key="k-1").json()
    assert code(api.post("customers", name="Other", email="o@o.example", key="k-1")) == (
        422,
        "idempotency_mismatch",
    )
    elsewhere = api.post(f"customers/{made['id']}/members", email="a@acme.example", key="k-1")
    assert code(elsewhere) == (422, "idempotency_mismatch")
    assert Customer.objects.count() == 1


def test_each_api_key_has_keys_of_its_own(api, make_api):
    other = make_api()
    assert (
        api.post("customers", **ACME, key="k-1").json() != other.post("customers", **ACME, key="k-1").json()
    )
    assert Customer.objects.count() == 2


def test_it_answers_409_while_the_first_is_running(api, code, monkeypatch):
    running = _left_by_a_dead_process(api, monkeypatch, age=timedelta(seconds=1))
    answer = api.post("customers", **ACME, key="k-1")
    assert code(answer) == (409, "idempotency_in_progress")
    assert answer["Retry-After"] == "1"
    running.refresh_from_db()
    assert running.status is None
    assert not Customer.objects.exists()


def test_a_crashed_one_is_taken_over_after_ninety_seconds(api, monkeypatch):
    _left_by_a_dead_process(api, monkeypatch, age=timedelta(seconds=91))
    assert api.post("customers", **ACME, key="k-1").status_code == 201
    assert api.post("customers", **ACME, key="k-1")["Idempotent-Replayed"] == "true"
    assert Customer.objects.count() == 1


def _left_by_a_dead_process(api, monkeypatch, age):
    """A request is killed in the middle: claimed, without an answer, and its work rolled back."""

    def killed(**fields):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(customers, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            api.post("customers", **ACME, key="k-1")
    IdempotentRequest.objects.update(locked_at=timezone.now() - age)
    return IdempotentRequest.objects.get()


def test_one_that_was_given_up_but_lives_changes_nothing(api, monkeypatch, code):
    """The late one finds its claim taken, and rolls back what it did."""
    create = customers.create

    def taken_over_meanwhile(**fields):
        made = create(**fields)
        IdempotentRequest.objects.update(locked_at=timezone.now() + timedelta(seconds=1))
        return made

    monkeypatch.setattr(customers, "create", taken_over_meanwhile)
    assert code(api.post("customers", **ACME, key="k-1")) == (409, "idempotency_in_progress")
    assert not Customer.objects.exists()


def test_a_5xx_is_not_kept(api, monkeypatch):
    customer = api.post("customers", **ACME).json()["id"]

    class Away(gateway.ProviderUnreachable):
        pass

    def away(*args, **kwargs):
        raise Away

    with monkeypatch.context() as patched:
        patched.setattr("billing.cards.gateway", away)
        failed = api.client.post(
            f"/api/v1/customers/{customer}/payment_methods", {"payment_method": "pm_card_visa"},
            content_type="application/json", headers={**api.headers, "Idempotency-Key": "k-1"},
        )  # fmt: skip
    assert failed.status_code == 503
    assert failed["Retry-After"]
    saved = api.post(f"customers/{customer}/payment_methods", payment_method="pm_card_visa", key="k-1")
    assert saved.status_code == 201
    assert "Idempotent-Replayed" not in saved


def test_after_a_day_the_key_is_free_again(api):
    api.post("customers", **ACME, key="k-1")
    IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(hours=24))
    assert api.post("customers", name="Other", email="o@o.example", key="k-1").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_it_refuses_keys_that_are_none(api, code, key):
    answer = api.send("POST", "customers", b"{}", {"Idempotency-Key": key})
    assert code(answer) == (400, "invalid_idempotency_key")


def test_the_claim_is_committed_before_anything_is_done(api, monkeypatch):
    seen = []

    def look(**fields):
        seen.append(IdempotentRequest.objects.get().status)
        raise customers.ExternalIdTaken("taken")

    monkeypatch.setattr(customers, "create", look)
    assert api.post("customers", **ACME, key="k-1").status_code == 409
    assert seen == [None]
    assert ApiKey.objects.get().idempotentrequest_set.get().status == 409


def test_what_is_kept_shows_no_secret(api, make_customer):
    """A link into the portal is stored as a hash, the secret of an endpoint sealed: so is the answer that had them."""
    customer = make_customer().pk
    link = api.post("portal_sessions", customer=customer, key="k-1")
    endpoint = api.post("webhook_endpoints", url="https://8.8.8.8/", key="k-2")
    kept = b"".join(bytes(row.body) for row in IdempotentRequest.objects.all())
    for answer, secret in (
        (link, link.json()["url"].rstrip("/")[-20:]),
        (endpoint, endpoint.json()["secret"]),
    ):
        assert secret.encode() in answer.content
        assert secret.encode() not in kept
    assert api.post("portal_sessions", customer=customer, key="k-1").content == link.content


def test_what_was_kept_before_answers_were_sealed_is_told(api):
    first = api.post("customers", **ACME, key="k-1")
    IdempotentRequest.objects.update(body=first.content)
    assert api.post("customers", **ACME, key="k-1").content == first.content


def test_an_answer_that_nobody_can_read_any_more_is_not_given_anew(api, code, settings):
    api.post("customers", **ACME, key="k-1")
    settings.SECRET_KEY = "another" * 10
    assert code(api.post("customers", **ACME, key="k-1")) == (409, "idempotency_unreadable")
    assert Customer.objects.count() == 1


def test_what_only_had_to_wait_may_be_asked_again(api, code, make_clock):
    """While somebody else moves the clock it is refused; the same request goes through when it stands."""
    clock = make_clock()
    ask = partial(
        api.post,
        f"test_clocks/{clock.pk}/advance",
        to=f"{clock.now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        key="k-1",
    )
    moving = clocks.held(clock)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(moving.__enter__).result()
        refused = ask()
        assert (code(refused), refused["Retry-After"]) == ((409, "clock_is_moving"), "1")
        pool.submit(moving.__exit__, None, None, None).result()
        pool.submit(connections.close_all).result()
    assert ask().status_code == 200
