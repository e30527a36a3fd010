"""Each switch does to a call what it says, and the stand-in's own list tells what really happened."""

import pytest
import stripe

from billing.fakestripe import FakeStripe, MemoryStore, SqliteStore
from billing.fakestripe.faults import MODES

NOTHING_HAPPENS = ["refused", "black_hole", "rate_limited", "unavailable", "conflict", "error_500"]
IT_HAPPENS = ["lose_answer", "time_out", "half_answer", "error_500_after"]
RAISES = {
    "refused": stripe.APIConnectionError,
    "black_hole": stripe.APIConnectionError,
    "rate_limited": stripe.RateLimitError,
    "unavailable": stripe.APIError,
    "conflict": stripe.APIError,
    "error_500": stripe.APIError,
    "lose_answer": stripe.APIConnectionError,
    "time_out": stripe.APIConnectionError,
    "half_answer": stripe.APIError,
    "error_500_after": stripe.APIError,
}


@pytest.mark.parametrize("mode", NOTHING_HAPPENS)
def test_it_does_nothing(fake, pay, mode):
    fake.faults.add(mode, path="/v1/payment_intents", times=1)
    with pytest.raises(RAISES[mode]):
        pay(key="k1")
    assert fake.rows("payment_intent") == []
    assert fake.webhooks.pending()[-1]["type"] == "customer.created"


@pytest.mark.parametrize("mode", IT_HAPPENS)
def test_it_happens_unseen(fake, pay, mode):
    fake.faults.add(mode, path="/v1/payment_intents", times=1)
    with pytest.raises(RAISES[mode]):
        pay(key="k1")
    assert [row["status"] for row in fake.rows("charge")] == ["succeeded"]


@pytest.mark.parametrize("mode", ["refused", "black_hole", "rate_limited", "unavailable", "conflict"])
def test_it_is_done_when_the_same_key_comes_again(fake, pay, mode):
    fake.faults.add(mode, path="/v1/payment_intents", times=1)
    with pytest.raises(stripe.StripeError):
        pay(key="k1")
    assert pay(key="k1").status == "succeeded"
    assert len(fake.rows("charge")) == 1


@pytest.mark.parametrize("mode", ["lose_answer", "time_out", "half_answer"])
def test_it_is_told_when_the_same_key_comes_again(fake, pay, mode):
    fake.faults.add(mode, path="/v1/payment_intents", times=1)
    with pytest.raises(stripe.StripeError):
        pay(key="k1")
    assert pay(key="k1").id == fake.rows("payment_intent")[0]["id"]
    assert len(fake.rows("charge")) == 1


@pytest.mark.parametrize("mode", ["error_500", "error_500_after"])
def test_it_repeats_a_500_for_the_key(fake, pay, mode):
    fake.faults.add(mode, path="/v1/payment_intents", times=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            pay(key="k1")
        assert caught.value.http_status == 500
    assert len(fake.rows("charge")) == (mode == "error_500_after")


def test_it_waits_when_slow(stripe_clock):
    waited = []
    fake = FakeStripe(MemoryStore(), clock=stripe_clock, sleep=waited.append)
    fake.faults.add("slow", method="GET", seconds=30, times=1)
    answer = fake.handle("GET", "/v1/account", {"Authorization": "Bearer sk_test_" + "t" * 24})
    assert (answer.status, waited) == (200, [30])


@pytest.mark.parametrize(("ok", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_it_leaves_a_payment_processing(fake, pay, ok, status):
    fake.faults.add("processing", times=1)
    intent = pay()
    assert intent.status == "processing"
    assert fake.settle(intent.id, ok=ok)["status"] == status
    assert len(fake.rows("charge")) == 1


def test_it_strikes_the_named_calls_only_and_so_often(fake, api, pay):
    fake.faults.add("refused", path="/v1/refunds", times=2)
    intent = pay()
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            api.refunds.create({"payment_intent": intent.id})
    assert api.refunds.create({"payment_intent": intent.id}).status == "succeeded"
    assert fake.faults.all() == []


def test_it_strikes_by_chance_repeatably(fake, api):
    def strikes():
        fake.faults.seed(7)
        told = []
        for _ in range(60):
            try:
                api.customers.create({})
            except stripe.APIConnectionError:
                told.append(True)
            else:
                told.append(False)
        return told

    fake.faults.add("refused", share=0.3)
    first = strikes()
    assert 5 < sum(first) < 35
    assert strikes() == first
    fake.faults.clear()
    assert sum(strikes()) == 0


def test_it_reaches_another_process_through_the_file(tmp_path):
    ours, theirs = (FakeStripe(SqliteStore(tmp_path / "s.sqlite3")) for _ in range(2))
    ours.faults.add("refused", method="GET", times=1)
    headers = {"Authorization": "Bearer sk_test_" + "t" * 24}
    assert theirs.handle("GET", "/v1/account", headers).broken == "reset"
    assert ours.handle("GET", "/v1/account", headers).status == 200


def test_it_knows_no_other_switch(fake):
    with pytest.raises(ValueError, match="lose_answer"):
        fake.faults.add("meteor")
    assert set(NOTHING_HAPPENS) | set(IT_HAPPENS) | {"slow", "processing"} == set(MODES)
