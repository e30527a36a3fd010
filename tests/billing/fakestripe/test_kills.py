"""The stand-in's file survives the kills of the processes that share it."""

import os
import random
import signal
import time

from billing.fakestripe import FakeStripe, SqliteStore

HEADERS = {"Authorization": "Bearer sk_test_" + "t" * 24}
KILLS = 40
KEYS = 5


def charge(fake, key):
    body = "amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true"
    return fake.handle("POST", "/v1/payment_intents", {**HEADERS, "Idempotency-Key": key}, body)


def worker(path, first):
    fake = FakeStripe(SqliteStore(path))
    number = first
    while True:
        charge(fake, f"key-{number % (KEYS * KILLS)}")
        number += 1


def start(path, first):
    pid = os.fork()
    if pid == 0:
        try:
            worker(path, first)
        finally:
            os._exit(1)
    return pid


def stop(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _until_more(account, charges):
    until = time.monotonic() + 60
    while len(account.rows("charge")) <= charges and time.monotonic() < until:
        time.sleep(0.002)


def test_it_charges_every_key_once_whoever_is_killed(tmp_path):
    """Two processes charge the same keys and one of them is killed every few milliseconds."""
    path, dice = tmp_path / "stripe.sqlite3", random.Random(1)
    ours = FakeStripe(SqliteStore(path))
    running = [start(path, 0), start(path, 0)]
    for kill in range(KILLS):
        _until_more(ours, kill)
        time.sleep(dice.uniform(0, 0.03))
        stop(running.pop(0))
        running.append(start(path, kill * KEYS))
    for pid in running:
        stop(pid)
    before = len(ours.rows("charge"))
    assert before >= KILLS
    for number in range(KEYS * KILLS):
        assert charge(ours, f"key-{number}").json["status"] == "succeeded"
    charges = ours.rows("charge")
    assert len(charges) == KEYS * KILLS
    assert len({row["payment_intent"] for row in charges}) == len(charges)
    succeeded = [event for event in ours.rows("event") if event["type"] == "payment_intent.succeeded"]
    assert len(succeeded) == len(charges)
    assert len(ours.webhooks.pending()) == len(ours.rows("event"))
