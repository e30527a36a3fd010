"""Every bad input of the corpora: an answer that is allowed, nothing changed where it is a refusal, one line in the
log, and no trace of the inside anywhere."""

import json
import os
import re

import pytest
from django.db import connection, transaction
from django.test import Client

from billing import books, keys
from tests.config import answers, corpus
from tests.config.answers import Writes, fingerprint
from tests.fixtures_billing import NOON

# What takes two processes, a fault in the middle or a job is told elsewhere, where it can be made to happen.
ELSEWHERE = {
    "API-53": "tests/billing/api/test_idempotency.py",
    "WIN-17": "tests/billing/test_webhooks_in.py",
    "WOUT-12": "tests/billing/test_webhooks_out.py",
}
# Where the file leaves it to us: what was decided.
DECIDED = {
    # Money that is paid twice is stopped by the reference; a key is offered, not demanded.
    "API-47": [200],
    "API-49": [200],
    # The first counts; the second is told as a duplicate.
    "USE-02": [202],
    # A time without an offset is refused; with one it is an instant.
    "API-31": [201],
}
# What a refusal leaves behind on purpose: the customer's account at the card network, made before its card was refused.
KEPT = {"OWN-113": {"billing_customer"}, "OWN-124": {"billing_customer"}}
# By hand: the cases whose id has this in it.
ONLY = os.environ.get("BAD_INPUTS", "")


@pytest.fixture
def world(things):
    """What the words in braces stand for, and the keys that headers name."""
    revoked, secret = keys.issue(name="revoked", livemode=False, now=NOON)
    keys.revoke(key=revoked, now=NOON)
    reads = keys.issue(name="reads", livemode=False, now=NOON, scopes=["read"])[1]
    live = keys.issue(name="live", livemode=True, now=NOON)[1]
    return {
        **things, "Bearer revoked": f"Bearer {secret}", "Bearer rk_readonly": f"Bearer {reads}",
        "Bearer live": f"Bearer {live}", "key": keys.issue(name="test", livemode=False, now=NOON)[1],
    }  # fmt: skip


def answer_to(client, sent, secret):
    headers = {**({"Authorization": f"Bearer {secret}"} if sent.authorized else {}), **sent.headers}
    extra = {name: headers.pop(name) for name in ("CONTENT_LENGTH",) if name in headers}
    return client.generic(
        sent.method, sent.path, sent.body, content_type=sent.content_type, headers=headers, **extra
    )


def wrong(case, sent, answer, seconds, changed, lines, secrets):
    """Every sentence of the rules that this answer breaks."""
    allowed = DECIDED.get(case["id"], case["expect"]["status"])
    if answer.status_code not in allowed:
        yield f"{answer.status_code}, not {allowed}: {answer.content[:300]}"
    yield from answers.wrong(answer, seconds, changed - KEPT.get(case["id"], set()), lines, secrets)
    if sent.path.startswith("/api/"):
        yield from answers.wrong_document(answer)
        yield from wrong_words(case, answer)


def wrong_words(case, answer):
    """What a refusal does not say that its case asks for."""
    if answer.status_code < 400:
        return
    problem = json.loads(answer.content or b'{"code": "", "errors": []}')
    wanted = re.search(r"error\.code=(\w+)", case["expect"].get("also", ""))
    if wanted and problem["code"] != wanted[1]:
        yield f"code {problem['code']}, not {wanted[1]}"
    named = re.search(r"error\.param=(\w+)", case["expect"].get("also", ""))
    if named and named[1] not in [error["field"] for error in problem["errors"]]:
        yield f"it does not name {named[1]}"


def judged(client, case, world, whole, lines):
    """What is wrong with the answers to one case. Whatever it did is undone: after each request, or after its last where
    they build on each other."""
    secrets = [value.removeprefix("Bearer ") for name, value in world.items() if name.startswith("Bearer")]
    secrets += [world["key"], corpus.DOOR_SECRET, "4242424242424242"]
    led = "first" in case["request"] or case["id"] in corpus.FIRST
    together = led or "repeat" in case["request"]
    found, before = [], whole
    client.cookies.clear()
    with transaction.atomic():
        for number, sent in enumerate(corpus.requests(case, world)):
            lines.clear()
            writes, began = Writes(), answers.started()
            with transaction.atomic(), connection.execute_wrapper(writes):
                answer = answer_to(client, sent, world["key"])
                seconds = answers.taken(*began)
                after = fingerprint() if writes.seen and (together or answer.status_code >= 400) else before
                transaction.set_rollback(not together)
            changed = {one[0] for one, other in zip(after, before, strict=True) if one != other}
            if together:
                before = after
            about = f"{sent.method} {sent.path} {sent.body[:120]!r} {sent.content_type} {dict(sent.headers)}"
            said = wrong(case, sent, answer, seconds, changed, lines, secrets)
            if not (led and number == 0):
                found += [f"{case['id']} {case['name']}: {about}: {words}" for words in said]
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("surface", ["api", "usage", "webhook_in", "webhook_out"])
def test_it_answers_every_bad_input_as_it_may(world, no_request_limits, lines, surface):
    told = [case for case in corpus.cases(surface) if case["id"] not in ELSEWHERE and ONLY in case["id"]]
    client, whole = Client(raise_request_exception=False), fingerprint()
    found = [words for case in told for words in judged(client, case, world, whole, lines)]
    assert found == [], "\n".join(found)
    assert [f"{b.id} {b.words}: {b.found}" for b in books.check()] == []


def test_it_leaves_no_case_out():
    ids = [case["id"] for case in corpus.cases("api", "usage", "webhook_in", "webhook_out")]
    assert len(ids) == len(set(ids))
    assert set(ELSEWHERE) | set(DECIDED) <= set(ids)
    assert all((corpus.HERE.parents[1] / place).is_file() for place in ELSEWHERE.values())
