"""Stories told through the HTTP API, with the answers they must get: `manage.py scenario run FILE`.

A file holds scenarios; a scenario is steps; a step is a call, or a move of its test clock. Answers are compared
with what is expected field by field, and every difference is named by its place. `docs/scenarios.md` shows one.
"""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client

from billing import json_names
from billing.models.ids import uuid7

ROOT = "/api/v1/"
STEP = frozenset({"call", "body", "as", "status", "expect", "advance", "clock", "note", "key"})
SCENARIO = frozenset({"name", "steps", "note", "source"})
REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.\-]+)\}")
METHODS = ("GET", "POST", "PATCH", "DELETE")
LONGEST_ANSWER = 120


class Malformed(Exception):
    """The file cannot be run; the message names the place."""


class Answer(NamedTuple):
    status: int
    body: Any


type Send = Callable[[str, str, Any, Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True)
class Difference:
    """What one step should have answered, and what it did."""

    scenario: str
    step: int
    call: str
    words: str

    def __str__(self) -> str:
        return f"{self.scenario}, step {self.step} ({self.call}): {self.words}"


@dataclass(slots=True)
class Report:
    scenarios: int = 0
    steps: int = 0
    differences: list[Difference] = field(default_factory=list)


# -- Two ways to the API ------------------------------------------------------------------------------------


def in_process(secret: str) -> Send:
    """Through the whole stack of this process, without a server."""
    client = Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)
    host = urlsplit(settings.SITE_URL).netloc

    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        response = client.generic(
            method, path, content, content_type="application/json", headers=dict(headers), secure=True,
            SERVER_NAME=host.partition(":")[0], HTTP_HOST=host,
        )  # fmt: skip
        return Answer(response.status_code, _read(response.content, response.headers.get("Content-Type", "")))

    return send


def over_http(server: str, secret: str) -> Send:
    """To a server that runs, such as http://127.0.0.1:8000."""

    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the operator names the server
            server.rstrip("/") + path, data=content, method=method,
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **headers},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
                return Answer(answer.status, _read(answer.read(), answer.headers.get("Content-Type", "")))
        except HTTPError as error:
            return Answer(error.code, _read(error.read(), error.headers.get("Content-Type", "")))

    return send


def _read(content: bytes, kind: str) -> Any:
    return json.loads(content) if content and "json" in kind else None


# -- Running ------------------------------------------------------------------------------------------------


def load(text: str) -> list[dict[str, Any]]:
    """The scenarios of a file: {"scenarios": […]}, a list of them, or one. Raises Malformed."""
    try:
        given = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None
    except RecursionError:
        raise Malformed("not JSON that can be read: it is nested too deeply") from None
    rows = given.get("scenarios", [given]) if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        raise Malformed("no scenarios")
    for number, row in enumerate(rows, 1):
        _check(row, f"scenario {number}")
    return rows


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that are expected, the first would never be looked at."""
    if (twice := json_names.that_comes_twice(pairs)) is not None:
        raise Malformed(f"“{twice}” stands twice in one place")
    return dict(pairs)


def _check(row: Any, where: str) -> None:
    if not isinstance(row, dict) or not isinstance(row.get("steps"), list) or not row.get("name"):
        raise Malformed(f"{where}: it has a name and a list of steps")
    if not row["steps"]:
        raise Malformed(f"{where} “{row['name']}”: it has no steps, so that nothing would be tried")
    _refuse_unknown(row, SCENARIO, where)
    for number, step in enumerate(row["steps"], 1):
        at = f"{where} “{row['name']}”, step {number}"
        if not isinstance(step, dict) or ("call" in step) == ("advance" in step):
            raise Malformed(f"{at}: it has a call, or an advance")
        _refuse_unknown(step, STEP, at)
        if "call" in step and str(step["call"]).partition(" ")[0] not in METHODS:
            raise Malformed(f"{at}: a call is such as “GET /invoices”, not “{step['call']}”")
        for name in ("as", "clock"):
            if name in step and not (isinstance(step[name], str) and step[name]):
                raise Malformed(f"{at}: “{name}” is the name of an answer")


def _refuse_unknown(row: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := row.keys() - known:
        raise Malformed(f"{where}: there is no “{min(unknown)}”")


def run(
    scenarios: Sequence[Mapping[str, Any]], send: Send, tell: Callable[[str], None] | None = None
) -> Report:
    """All of them, each to its first difference; `tell` hears of each one's end."""
    report = Report()
    for scenario in scenarios:
        report.scenarios += 1
        found = _run_one(scenario, send, report)
        report.differences.extend(found)
        if tell:
            tell(f"{'differs' if found else 'ok':8}{scenario['name']}")
    return report


def _run_one(scenario: Mapping[str, Any], send: Send, report: Report) -> list[Difference]:
    """`${run}` is a word of its own in every run, for codes that must not be taken yet."""
    known: dict[str, Any] = {"run": uuid7().hex[-12:]}
    for number, step in enumerate(scenario["steps"], 1):
        report.steps += 1
        call = step.get("call") or f"advance to {step['advance']}"
        try:
            words = list(_step(step, known, send))
        except Malformed as error:
            words = [str(error)]
        if words:
            return [Difference(scenario["name"], number, call, each) for each in words]
    return []


def _step(step: Mapping[str, Any], known: dict[str, Any], send: Send) -> Iterator[str]:
    method, path, body = _call(step, known)
    headers = {"Idempotency-Key": str(_filled(step["key"], known))} if "key" in step else {}
    answer = send(method, path, body, headers)
    if "as" in step:
        known[step["as"]] = answer.body
    wanted = step.get("status")
    if wanted is None and not HTTPStatus(answer.status).is_success:
        yield f"answered {answer.status}: {_problem(answer.body)}"
        return
    if wanted is not None and answer.status != wanted:
        yield f"expected status {wanted}, got {answer.status}: {_problem(answer.body)}"
        return
    if "expect" in step:
        yield from differences(_filled(step["expect"], known), answer.body)


def _call(step: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[str, str, Any]:
    if "advance" in step:
        clock = known.get(step.get("clock", "clock"))
        if not isinstance(clock, Mapping) or "id" not in clock:
            raise Malformed("there is no answer named “clock” with an id: make a test clock first")
        path = f"{ROOT}test_clocks/{clock['id']}/advance"
        return "POST", path, {"to": _filled(step["advance"], known)}
    method, _, path = str(_filled(step["call"], known)).partition(" ")
    body = _filled(step["body"], known) if "body" in step else ({} if method == "POST" else None)
    return method, ROOT + path.strip().lstrip("/"), body


def _problem(body: Any) -> str:
    if not isinstance(body, Mapping):
        return "no document"
    errors = "; ".join(f"{e.get('field')}: {e.get('message')}" for e in body.get("errors", []))
    return f"{body.get('code')}: {errors or body.get('detail')}"


# -- References: ${name.path} -------------------------------------------------------------------------------


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole:
            return _looked_up(whole[1], known)
        return REFERENCE.sub(lambda found: str(_looked_up(found[1], known)), value)
    if isinstance(value, list):
        return [_filled(each, known) for each in value]
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    return value


def _looked_up(path: str, known: Mapping[str, Any]) -> Any:
    found: Any = known
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Malformed(f"“${{{path}}}”: there is no {part}") from None
    return found


# -- Comparing ----------------------------------------------------------------------------------------------


def differences(wanted: Any, got: Any, at: str = "") -> Iterator[str]:
    """Where an answer is not what was wanted. An object's other fields do not matter; a list has exactly the
    wanted parts in their order; `{"$length": 2}`, `{"$contains": {…}}` and `{"$sum": {"of": "total", "is": "3.00"}}`
    speak of a list without saying all of it; `{"$not": null}` is anything else."""
    if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
        for name, value in wanted.items():
            yield from _OPERATORS.get(name, _unknown)(value, got, at)
    elif isinstance(wanted, dict):
        yield from _object(wanted, got, at)
    elif isinstance(wanted, list):
        yield from _list(wanted, got, at)
    elif wanted != got or type(wanted) is not type(got):
        yield f"{at or 'the answer'}: expected {_short(wanted)}, got {_short(got)}"


def _object(wanted: dict[str, Any], got: Any, at: str) -> Iterator[str]:
    if not isinstance(got, dict):
        yield f"{at or 'the answer'}: expected an object, got {_short(got)}"
        return
    for name, value in wanted.items():
        if name not in got:
            yield f"{_join(at, name)}: there is no such field"
        else:
            yield from differences(value, got[name], _join(at, name))


def _list(wanted: list[Any], got: Any, at: str) -> Iterator[str]:
    if not isinstance(got, list):
        yield f"{at or 'the answer'}: expected a list, got {_short(got)}"
        return
    if len(wanted) != len(got):
        yield f"{at or 'the answer'}: expected {len(wanted)} entries, got {len(got)}: {_short(got)}"
    for number, (one, other) in enumerate(zip(wanted, got, strict=False)):
        yield from differences(one, other, _join(at, str(number)))


def _length(wanted: Any, got: Any, at: str) -> Iterator[str]:
    if not isinstance(got, list) or len(got) != wanted:
        yield f"{at or 'the answer'}: expected {wanted} entries, got {_short(got)}"


def _contains(wanted: Any, got: Any, at: str) -> Iterator[str]:
    if not isinstance(got, list) or not any(not list(differences(wanted, one)) for one in got):
        yield f"{at or 'the answer'}: expected one to be {_short(wanted)}, got {_short(got)}"


def _sum(wanted: Any, got: Any, at: str) -> Iterator[str]:
    try:
        hoped = Decimal(wanted["is"])
    except (TypeError, KeyError, ValueError, InvalidOperation):
        yield f'{at or "the answer"}: a sum is such as {{"of": "total", "is": "3.00"}}'
        return
    try:
        total = sum((Decimal(one[wanted["of"]]) for one in got), Decimal(0))
    except (TypeError, KeyError, ValueError, InvalidOperation):
        yield f"{at or 'the answer'}: nothing to add up in {_short(got)}"
        return
    if total != hoped:
        yield f"{at or 'the answer'}: expected the sum of {wanted['of']} to be {wanted['is']}, got {total}"


def _not(wanted: Any, got: Any, at: str) -> Iterator[str]:
    if wanted == got:
        yield f"{at or 'the answer'}: expected anything but {_short(wanted)}"


def _unknown(wanted: Any, got: Any, at: str) -> Iterator[str]:
    yield f"{at or 'the answer'}: use $length, $contains, $sum or $not"


_OPERATORS: dict[str, Callable[[Any, Any, str], Iterator[str]]] = {
    "$length": _length, "$contains": _contains, "$sum": _sum, "$not": _not,
}  # fmt: skip


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}…"
