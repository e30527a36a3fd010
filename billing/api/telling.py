"""What each type of event says, in the OpenAPI file: a webhook for each, with the fields of its data."""

from typing import Any

from billing.event_types import Field, outside

_TEXT = {"type": "string"}
_SHAPES: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "id": _TEXT | {"description": "an id"},
    "money": _TEXT | {"description": "major units of `currency`", "examples": ["29.00"]},
    "whole": {"type": "integer"},
    "decimal": _TEXT | {"description": "a decimal number", "examples": ["12.5"]},
    "day": _TEXT | {"format": "date"},
    "time": _TEXT | {"format": "date-time"},
    "truth": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}},
    "object": {"type": "object"},
}
_EVENT = {"$ref": "#/components/schemas/Event"}


def add(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular's."""
    result["webhooks"] = {type: {"post": _told(type, fields)} for type, fields in outside().items()}
    return result


def _told(type: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    data = {"properties": {"type": {"const": type}, "data": _data(fields)}}
    body = {
        "type": "object",
        "properties": {
            "type": {"const": type},
            "timestamp": _SHAPES["time"],
            "data": {"allOf": [_EVENT, data]},
        },
        "required": ["type", "timestamp", "data"],
    }
    content = {"application/json": {"schema": body}}
    return {
        "summary": type,
        "operationId": f"told_{type.replace('.', '_')}",
        "tags": ["Events"],
        "requestBody": {"required": True, "content": content},
        "responses": {"2XX": {"description": "It was taken. Anything else is tried again."}},
    }


def _data(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _shape(field) for field in fields},
        "required": [field.name for field in fields if not field.optional],
    }


def _shape(field: Field) -> dict[str, Any]:
    shape = _SHAPES[field.kind]
    return {**shape, "type": [shape["type"], "null"]} if field.optional else dict(shape)
