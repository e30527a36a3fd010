"""Every bad input of the corpora: an answer that is allowed, nothing changed where it is a refusal, one line in the
log, and no trace of the inside anywhere."""

import json
import logging
import os
import re
import time

import pytest
from django.db import connection, transaction
from django.test import Client

from billing import books, keys
from tests.config import corpus
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
INSIDE = re.compile(
    r"Traceback|SELECT |INSERT |UPDATE |select \w+ from|psycopg|/site-packages|\.py\b|DETAIL:"
)
SECONDS = 2.0
# Bytes of a refusal: what was sent is not sent back.
LONGEST_ANSWER = 20_000
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


@pytest.fixture
def lines():
    """Every line of the log, of whatever level."""
    kept, root = [], logging.getLogger()

    class Kept(logging.Handler):
        def emit(self, record):
            kept.append((record.name, self.format(record)))

    handler, level = Kept(), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)


# Not what they are about: counts of requests, the time of a key's last use, kept answers.
NOT_COMPARED = ("billing_requestwindow", "billing_apikey", "billing_idempotentrequest")


def fingerprint():
    """One text for the content of every table of ours, in one statement."""
    tables = [
        name for name in connection.introspection.table_names()
        if name.startswith(("billing_", "sales_", "checkout_", "portal_", "django_q_")) and name not in NOT_COMPARED
    ]  # fmt: skip
    parts = " union all ".join(
        f"select '{name}', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) from {name} t"
        for name in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(parts)
        return cursor.fetchall()


class Writes:
    """Whether a statement may have written: only then is it worth comparing everything."""

    def __init__(self):
        self.seen = False

    def __call__(self, execute, sql, params, many, context):
        if not re.match(r"\s*(select|savepoint|release|rollback)\b", sql, re.I) or " for update" in sql:
            self.seen = self.seen or not any(name in sql for name in NOT_COMPARED)
        return execute(sql, params, many, context)


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
    if answer.status_code >= 500:
        yield f"5xx: {answer.content[:300]}"
    if seconds > SECONDS:
        yield f"{seconds:.1f} s"
    if answer.status_code >= 400 and changed - KEPT.get(case["id"], set()):
        yield f"a refusal changed {changed}"
    if INSIDE.search(answer.content.decode(errors="replace")):
        yield f"it shows its inside: {answer.content[:500]}"
    yield from wrong_document(case, answer) if sent.path.startswith("/api/") else ()
    yield from wrong_lines(answer, lines, secrets)


def wrong_document(case, answer):
    if answer.status_code < 400:
        return
    if answer["Content-Type"] != "application/problem+json":
        yield f"no problem document but {answer['Content-Type']}"
        return
    problem = json.loads(answer.content) if answer.content else {"request_id": "-", "code": "", "errors": []}
    wanted = re.search(r"error\.code=(\w+)", case["expect"].get("also", ""))
    if wanted and problem["code"] != wanted[1]:
        yield f"code {problem['code']}, not {wanted[1]}"
    named = re.search(r"error\.param=(\w+)", case["expect"].get("also", ""))
    if named and named[1] not in [error["field"] for error in problem["errors"]]:
        yield f"it does not name {named[1]}"
    if not problem["request_id"]:
        yield "no request_id"
    if len(answer.content) > LONGEST_ANSWER:
        yield f"{len(answer.content)} bytes to say so"


def wrong_lines(answer, lines, secrets):
    own = [text for name, text in lines if name == "tandem.request"]
    if len(own) != 1 or answer["X-Request-Id"] not in own[0]:
        yield f"lines in the log: {own}"
    if leaked := [text for _, text in lines if any(secret in text for secret in secrets)]:
        yield f"a secret in the log: {leaked}"
    if forged := [text for name, text in lines if name == "tandem.request" and re.search(r"[\r\n]", text)]:
        yield f"a line break in the log: {forged}"


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
            writes, began = Writes(), (time.process_time(), time.monotonic())
            with transaction.atomic(), connection.execute_wrapper(writes):
                answer = answer_to(client, sent, world["key"])
                seconds = _taken(*began)
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


def _taken(processor, clock):
    """Seconds of processor time. A busy machine makes nobody late; what waits for something shows by its length."""
    return max(time.process_time() - processor, (time.monotonic() - clock) / 10)


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
