"""Links of the OpenAPI file: which operations take the id that an answer holds, and where they take it.

They follow from the addresses. What stands at `/subscriptions/{subscription}`, what a POST to `/subscriptions` makes and
a row of their list are subscriptions; whoever has one may go wherever an id of a subscription is taken: by an address, a
query or a body.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"{(\w+)}")
ID = "$response.body#/id"
# What queries and bodies call it, where their word is another than that of the address.
CALLED = {"clock": "test_clock", "task": "handoff_task"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a link needs to know of one: `names` of its address in order, `query` and `body` by their names."""

    id: str
    method: str
    address: str
    written: dict[str, Any] = field(repr=False)
    names: tuple[str, ...]
    query: frozenset[str]
    body: frozenset[str]

    def answers(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """(status, response, component) of every object that it answers."""
        for status, response in self.written["responses"].items():
            if component := _component(response.get("content", {})):
                yield status, response, component


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The file with its links; a hook of drf-spectacular."""
    shapes = result["components"]["schemas"]
    operations = [
        _operation(address, method, written, shapes)
        for address, methods in result["paths"].items()
        for method, written in methods.items()
    ]
    kinds = _kinds(operations, shapes)
    for source in operations:
        for status, response, component in source.answers():
            links = dict(_links(source, status, component, kinds, shapes, operations))
            if links:
                response["links"] = links
    return result


def _operation(address: str, method: str, written: dict[str, Any], shapes: Mapping[str, Any]) -> Operation:
    body = shapes.get(_component(written.get("requestBody", {}).get("content", {})), {}).get("properties", {})
    asked = [p["name"] for p in written.get("parameters", []) if p["in"] == "query"]
    return Operation(
        written["operationId"], method, address, written, tuple(NAME.findall(address)), frozenset(asked),
        frozenset(taken for taken, shape in body.items() if method == "post" and _is_text(shape)),
    )  # fmt: skip


def _is_text(shape: Mapping[str, Any]) -> bool:
    return "string" in (shape.get("type"), *(shape["type"] if isinstance(shape.get("type"), list) else ()))


def _component(content: Mapping[str, Any]) -> str:
    ref = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    return str(ref).rpartition("/")[2]


def _kinds(operations: list[Operation], shapes: Mapping[str, Any]) -> dict[str, str]:
    """The name in an address by component: {"SubscriptionFull": "subscription", …}."""
    found: dict[str, str] = {}
    for detail in operations:
        parent, _, last = detail.address.rpartition("/")
        if (name := NAME.fullmatch(last)) is None:
            continue
        for one in operations:
            if one.address in (detail.address, parent):
                found |= {_row(c, shapes): name[1] for _, _, c in one.answers()}
    return {component: name for component, name in found.items() if _has(component, "id", shapes)}


def _row(component: str, shapes: Mapping[str, Any]) -> str:
    """What a page lists; otherwise the component itself."""
    items = shapes[component].get("properties", {}).get("results", {}).get("items", {})
    return str(items.get("$ref", component)).rpartition("/")[2]


def _has(component: str, name: str, shapes: Mapping[str, Any]) -> bool:
    return name in shapes[component].get("properties", {})


def _links(
    source: Operation, status: str, component: str, kinds: Mapping[str, str], shapes: Mapping[str, Any],
    operations: list[Operation],
) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
    """From what is made or read, not from each of its acts: these lead on from the same object. What nobody answers by
    itself (a change that waits) is followed from where it was made."""
    if name := kinds.get(component):
        if source.address.endswith(f"{{{name}}}") or name not in source.names:
            yield from _of(name, ID, source, operations)
        return
    below = {one.names[-1] for one in operations if one.address.startswith(f"{source.address}/{{")}
    for name in below - set(kinds.values()):
        if source.method == "post" and _has(component, name, shapes):
            yield from _of(name, f"$response.body#/{name}", source, operations)


def _of(
    name: str, value: str, source: Operation, operations: list[Operation]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A link to each operation that takes `name`, where all else in its address is known."""
    called = CALLED.get(name, name)
    for target in operations:
        others = [other for other in target.names if other != name]
        if target is source or not set(others) <= set(source.names):
            continue
        known = {other: f"$request.path.{other}" for other in others}
        link: dict[str, Any] = {"operationId": target.id}
        if name in target.names:
            yield target.id, {**link, "parameters": {**known, name: value}}
        elif called in target.query:
            yield target.id, {**link, "parameters": {**known, called: value}}
        elif called in target.body:
            parameters = {"parameters": known} if known else {}
            yield target.id, {**link, **parameters, "requestBody": {called: value}}
