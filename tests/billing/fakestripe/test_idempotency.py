"""Idempotency keys, as Stripe has them."""

import threading

import pytest
import stripe

from billing.fakestripe import FakeStripe, MemoryStore, SqliteStore

HEADERS = {"Authorization": "Bearer sk_test_" + "t" * 24}
CHARGE = "amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true"


def post(fake, key, body=CHARGE, path="/v1/payment_intents"):
    return fake.handle("POST", path, {**HEADERS, "Idempotency-Key": key}, body)


@pytest.fixture(params=["memory", "file"])
def account(request, tmp_path, stripe_clock):
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "deep" / "stripe.sqlite3")
    return FakeStripe(store, clock=stripe_clock)


def test_it_answers_the_same_bytes_and_does_nothing_again(account):
    first, second = post(account, "k1"), post(account, "k1")
    assert first.body == second.body
    assert (first.status, second.status) == (200, 200)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(account.rows("charge")) == 1


def test_it_repeats_a_decline_too(account):
    body = CHARGE.replace("pm_card_visa", "pm_card_chargeDeclined")
    first, second = post(account, "k1", body), post(account, "k1", body)
    assert first.status == second.status == 402
    assert first.body == second.body
    assert len(account.rows("charge")) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [(CHARGE.replace("2000", "2001"), "/v1/payment_intents"), ("email=a@example.com", "/v1/customers")],
)
def test_it_refuses_the_key_for_another_request(account, body, path):
    post(account, "k1")
    answer = post(account, "k1", body, path)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "idempotency_error"
    assert "'k1'" in answer.json["error"]["message"]


def test_it_does_not_keep_what_never_began(account):
    assert post(account, "k1", CHARGE.replace("usd", "xyz")).status == 400
    assert post(account, "k1").status == 200


def test_it_forgets_a_key_after_a_day(account, stripe_clock):
    post(account, "k1")
    stripe_clock.advance(hours=23, minutes=59)
    assert post(account, "k1").headers.get("Idempotent-Replayed") == "true"
    stripe_clock.advance(hours=24, minutes=1)
    assert "Idempotent-Replayed" not in post(account, "k1").headers
    assert len(account.rows("charge")) == 2


def test_it_says_409_while_the_first_is_running(account):
    """A slow call sleeps inside the key's time; the second one with the key arrives meanwhile."""
    seen = []
    account.faults.add("slow", times=1, seconds=1)
    running = account._one_at_a_time("k1")
    with running:
        seen.append(post(account, "k1").status)
    assert seen == [409]
    assert account.rows("charge") == []


def test_it_charges_once_from_many_threads(account):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(account, "k1").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409}
    assert 200 in answers
    assert len(account.rows("charge")) == 1


def test_it_shares_a_file_between_two_openings(tmp_path, stripe_clock):
    path = tmp_path / "stripe.sqlite3"
    one, other = (FakeStripe(SqliteStore(path), clock=stripe_clock) for _ in range(2))
    post(one, "k1")
    assert post(other, "k1").headers["Idempotent-Replayed"] == "true"
    assert [row["id"] for row in other.rows("charge")] == [row["id"] for row in one.rows("charge")]


def test_it_is_what_the_library_reports(api):
    options = {"idempotency_key": "k1"}
    api.customers.create({"email": "a@example.com"}, options)
    with pytest.raises(stripe.IdempotencyError):
        api.customers.create({"email": "b@example.com"}, options)
