"""What no answer may be, whatever was sent, and what a refusal leaves: everything as it was, and one line in the log."""

import json
import re
import time
from collections.abc import Collection, Iterator
from typing import Any

from django.db import connection

INSIDE = re.compile(
    r"Traceback|SELECT |INSERT |UPDATE |select \w+ from|psycopg|/site-packages|\.py\b|DETAIL:"
)
SECONDS = 2.0
# Bytes of a refusal: what was sent is not sent back.
LONGEST_ANSWER = 20_000
# Not what they are about: counts of requests, the time of a key's last use, kept answers.
NOT_COMPARED = ("billing_requestwindow", "billing_apikey", "billing_idempotentrequest")


def fingerprint() -> list[tuple[str, int, int]]:
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
        # Parallel workers answer in any order.
        cursor.execute(f"{parts} order by 1")
        return cursor.fetchall()


class Writes:
    """Whether a statement may have written: only then is it worth comparing everything."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not re.match(r"\s*(select|savepoint|release|rollback)\b", sql, re.I) or " for update" in sql:
            self.seen = self.seen or not any(name in sql for name in NOT_COMPARED)
        return execute(sql, params, many, context)


def wrong(
    answer: Any,
    seconds: float,
    changed: Collection[str],
    lines: list[tuple[str, str]],
    secrets: Collection[str],
) -> Iterator[str]:
    """Every sentence of the rules that any answer keeps to, and this one does not."""
    if answer.status_code >= 500:
        yield f"5xx: {answer.content[:300]}"
    if seconds > SECONDS:
        yield f"{seconds:.1f} s"
    if answer.status_code >= 400 and changed:
        yield f"a refusal changed {changed}"
    if INSIDE.search(answer.content.decode(errors="replace")):
        yield f"it shows its inside: {answer.content[:500]}"
    yield from wrong_lines(answer, lines, secrets)


def wrong_document(answer: Any) -> Iterator[str]:
    """What a refusal of the API says amiss, by itself."""
    if answer.status_code < 400:
        return
    if answer["Content-Type"] != "application/problem+json":
        yield f"no problem document but {answer['Content-Type']}"
        return
    if answer.content and not json.loads(answer.content)["request_id"]:
        yield "no request_id"
    if len(answer.content) > LONGEST_ANSWER:
        yield f"{len(answer.content)} bytes to say so"


def wrong_lines(answer: Any, lines: list[tuple[str, str]], secrets: Collection[str]) -> Iterator[str]:
    own = [text for name, text in lines if name == "tandem.request"]
    if len(own) != 1 or answer["X-Request-Id"] not in own[0]:
        yield f"lines in the log: {own}"
    if leaked := [text for _, text in lines if any(secret in text for secret in secrets)]:
        yield f"a secret in the log: {leaked}"
    if forged := [text for name, text in lines if name == "tandem.request" and re.search(r"[\r\n]", text)]:
        yield f"a line break in the log: {forged}"


def started() -> tuple[float, float]:
    """For `taken`."""
    return time.process_time(), time.monotonic()


def taken(processor: float, clock: float) -> float:
    """Seconds of processor time. A busy machine makes nobody late; what waits for something shows by its length."""
    return max(time.process_time() - processor, (time.monotonic() - clock) / 10)
