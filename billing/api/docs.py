"""The OpenAPI file, the same as pages, and the answer for addresses that lead nowhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from billing.api import problems
from billing.event_types import outside
from billing.refusals import Refused

METHODS = ("get", "post", "patch", "delete")


@cache
def openapi() -> dict[str, Any]:
    """Generated once for each process: it depends on the code alone."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


@cache
def _file() -> bytes:
    return orjson.dumps(openapi(), option=orjson.OPT_INDENT_2, default=str)


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_file(), content_type="application/vnd.oai.openapi+json;version=3.1")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "api/docs.html",
        {"groups": groups(), "refusals": refusals(), "events": outside(), "site": settings.SITE_URL},
    )


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    raise Http404


@cache
def refusals() -> list[tuple[str, int]]:
    """(code, status) of every rule that may refuse: what `type` in a problem document leads to."""
    found = {kind.code: problems.status_of(kind) for kind in _all(Refused)}
    return sorted(found.items())


def _all(kind: type[Refused]) -> Iterator[type[Refused]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _all(sub)


# -- The file, cut into what a page shows -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    about: str
    query: list[Field]
    body: list[Field]
    answer: list[Field]
    status: str
    listed: bool
    curl: str
    leads_to: list[str]

    @property
    def follows(self) -> list[tuple[str, str]]:
        """(id, title) of every operation that takes the id in the answer."""
        return [(one, titles()[one]) for one in self.leads_to]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    operations: list[Operation] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return self.name.lower().replace(" ", "-")


@cache
def groups() -> list[Group]:
    found: dict[str, Group] = {}
    for address, methods in openapi()["paths"].items():
        for method in METHODS:
            if method in methods:
                tag = methods[method]["tags"][0]
                found.setdefault(tag, Group(tag)).operations.append(
                    _operation(address, method, methods[method])
                )
    return list(found.values())


@cache
def titles() -> dict[str, str]:
    """The title of an operation by its id."""
    written = [one for methods in openapi()["paths"].values() for one in methods.values()]
    return {one["operationId"]: one["summary"] for one in written}


def _operation(address: str, method: str, written: dict[str, Any]) -> Operation:
    status, answer = next(iter(written["responses"].items()))
    body = _content(written.get("requestBody", {}))
    shown = _resolved(_content(answer))
    listed = "results" in shown.get("properties", {})
    row = shown["properties"]["results"].get("items", {}) if listed else shown
    return Operation(
        id=written["operationId"], method=method.upper(), path=address, summary=written["summary"],
        about=_about(written), query=list(_query(written)), body=list(fields(body)),
        answer=list(fields(row)), status=status, listed=listed, curl=_curl(address, method, body),
        leads_to=list(answer.get("links", {})),
    )  # fmt: skip


def _about(written: dict[str, Any]) -> str:
    """Nothing, where the description only repeats the title."""
    about = written.get("description", "")
    return "" if about == f"{written['summary']}." else about


def _content(part: dict[str, Any]) -> dict[str, Any]:
    return part.get("content", {}).get("application/json", {}).get("schema", {})


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    parts = schema.get("allOf") or [one for one in schema.get("oneOf", []) if "$ref" in one]
    return _resolved(parts[0]) if len(parts) == 1 else schema


def _query(written: dict[str, Any]) -> Iterator[Field]:
    for parameter in written.get("parameters", []):
        if parameter["in"] == "query":
            about = parameter.get("description", "")
            yield Field(parameter["name"], kind(parameter["schema"]), parameter.get("required", False), about)


def fields(schema: dict[str, Any]) -> Iterator[Field]:
    """The names of an object, with the words for their types."""
    solid = _resolved(schema)
    for name, part in solid.get("properties", {}).items():
        if not part.get("writeOnly"):
            yield Field(name, kind(part), name in solid.get("required", []), part.get("description", ""))


def kind(schema: dict[str, Any]) -> str:
    """A type in words: `text`, `list of objects`, `charge_automatically or send_invoice`."""
    solid = _resolved(schema)
    if values := [str(value) for value in solid.get("enum", []) if value not in (None, "")]:
        return " · ".join(values)
    if "properties" not in solid and (choices := solid.get("oneOf") or solid.get("anyOf")):
        parts = dict.fromkeys(kind(one) for one in choices)
        return " or ".join(part for part in parts if part)
    types = solid.get("type", "object" if "properties" in solid else "")
    name = next((t for t in types if t != "null"), "") if isinstance(types, list) else types
    if name == "array":
        return f"list of {kind(solid.get('items', {})) or 'values'}"
    named = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": ""}
    return {"date-time": "time", "date": "day"}.get(solid.get("format", ""), named.get(name, name))


def _curl(address: str, method: str, body: dict[str, Any]) -> str:
    lines = [f"curl {settings.SITE_URL}{address}"]
    if method != "get":
        lines[0] += f" -X {method.upper()}"
    lines.append('-H "Authorization: Bearer $TANDEM_KEY"')
    solid = _resolved(body)
    if solid.get("properties"):
        lines.append('-H "Content-Type: application/json"')
        example = {name: f"<{kind(solid['properties'][name])}>" for name in solid.get("required", [])}
        lines.append(f"-d '{orjson.dumps(example).decode()}'")
    return " \\\n  ".join(lines)
