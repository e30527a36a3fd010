"""A client of the API: sends JSON with a key, and holds every answer against the published schema."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from django.test import Client
from django.urls import resolve

from billing import keys
from billing.api import docs

ROOT = "/api/v1/"
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def written_for(method: str, address: str, status: int) -> dict:
    """The schema of this answer. Fails for an operation or status that is not written down."""
    route = resolve(address).route.replace("<str:", "{").replace(">", "}")
    operation = docs.openapi()["paths"]["/" + route][method.lower()]
    answers = operation["responses"]
    answer = answers.get(str(status)) or answers[f"{status // 100}XX"]
    return next(iter(answer["content"].values()))["schema"] if "content" in answer else {}


def check(method: str, address: str, response: object) -> None:
    status, kind = response.status_code, response.headers.get("Content-Type", "")
    assert status < 500, response.content
    if not kind.endswith("json"):
        return
    body = json.loads(response.content)
    if status >= 400:
        assert kind == "application/problem+json"
        assert body["status"] == status
        assert body["request_id"]
        assert body["code"]
        assert "Traceback" not in body["detail"]
    schema = {**written_for(method, address, status), "components": docs.openapi()["components"]}
    jsonschema.Draft202012Validator(schema).validate(body)


class Api:
    """`api.post("customers", name=…)` answers the response; its JSON is in `.json()`."""

    def __init__(self, secret: str | None) -> None:
        self.client = Client(raise_request_exception=True)
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def send(
        self,
        method: str,
        path: str,
        content: bytes | str = b"",
        headers: dict | None = None,
        type_="application/json",
    ):
        address = path if path.startswith("/") else ROOT + path
        response = self.client.generic(
            method, address, content, content_type=type_, headers={**self.headers, **(headers or {})}
        )
        check(method, address.partition("?")[0], response)
        return response

    def get(self, path: str, **query: object):
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return self.send("GET", f"{path}?{pairs}" if pairs else path)

    def post(self, path: str, body: object = None, *, key: str | None = None, **fields: object):
        given = fields if body is None else body
        return self.send("POST", path, json.dumps(given), {"Idempotency-Key": key} if key else None)

    def patch(self, path: str, **fields: object):
        return self.send("PATCH", path, json.dumps(fields))

    def delete(self, path: str):
        return self.send("DELETE", path)


@pytest.fixture
def no_request_limits(settings: Any) -> None:
    """Whether a minute or a block of requests ends during a test is chance, and costs a statement."""
    settings.API_REQUESTS_PER_MINUTE = {"usage": 0, "other": 0}


@pytest.fixture
def make_api(db: None, no_request_limits: None) -> Callable[..., Api]:
    def make(scopes: tuple[str, ...] = ("write",), *, livemode: bool = False) -> Api:
        _, secret = keys.issue(name="test", livemode=livemode, now=NOON, scopes=scopes)
        return Api(secret)

    return make


@pytest.fixture
def api(catalogue: None, make_api: Callable[..., Api]) -> Api:
    """A sandbox key that may do everything."""
    return make_api()


@pytest.fixture
def live_api(catalogue: None, make_api: Callable[..., Api]) -> Api:
    return make_api(livemode=True)


@pytest.fixture
def stranger() -> Api:
    """No key at all."""
    return Api(None)


@pytest.fixture
def code() -> Callable[[object], tuple[int, str]]:
    """(status, code) of a refusal."""
    return lambda response: (response.status_code, response.json()["code"])
