"""Asking for a code answers alike whether or not an address is somebody's: in words, status and time."""

import os
import re
import statistics
import time

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.test import Client

from billing.models import User

pytestmark = pytest.mark.django_db
ASK = "/accounts/login/code/"
LOGIN = "/accounts/login/"
# ALIKE_TRIES=200 for the long form.
TRIES = int(os.environ.get("ALIKE_TRIES", "8"))
# What is drawn anew for every page: tokens, nonces, challenges.
DRAWN = re.compile(r"[A-Za-z0-9_-]{40,}|nonce=\"[^\"]+\"")
WITHIN = 0.20 if TRIES >= 200 else 0.60


@pytest.fixture
def addresses():
    """(of somebody, of nobody) in turns, each address once: limits count by address."""
    known = [f"known{n}@nova.example" for n in range(TRIES)]
    secret = make_password("the right one")
    User.objects.bulk_create(User(email=address, name="Known", password=secret) for address in known)
    return list(zip(known, [f"other{n}@nova.example" for n in range(TRIES)], strict=True))


def asked(client, where, typed):
    """(seconds, status, words without the address) of one try from a place of its own."""
    cache.clear()
    started = time.perf_counter()
    answer = client.post(where, typed)
    seconds = time.perf_counter() - started
    text = client.get(answer.url).text if answer.status_code == 302 else answer.text
    return seconds, answer.status_code, DRAWN.sub("…", text.replace(next(iter(typed.values())), "…"))


@pytest.mark.parametrize(
    ("where", "typed"),
    [
        (ASK, lambda address: {"email": address}),
        (LOGIN, lambda address: {"login": address, "password": "wrong"}),
    ],
    ids=["code", "password"],
)
def test_it_takes_as_long_for_an_address_that_nobody_has(addresses, where, typed, capsys):
    asked(Client(), where, typed("first@nova.example"))  # what a process does once
    times, said = {True: [], False: []}, set()
    for n, (known, other) in enumerate(addresses):
        for is_known in (True, False) if n % 2 else (False, True):
            seconds, *answer = asked(Client(), where, typed(known if is_known else other))
            times[is_known].append(seconds)
            said.add(tuple(answer))
    ours, theirs = (statistics.median(times[side]) for side in (True, False))
    with capsys.disabled():
        print(
            f"\n{where} known {ours * 1000:.1f} ms, unknown {theirs * 1000:.1f} ms, {ours / theirs:.2f} over {TRIES}"
        )
    assert len({status for status, _ in said}) == 1
    assert len(said) == 1, "the pages differ"
    assert abs(ours / theirs - 1) <= WITHIN
