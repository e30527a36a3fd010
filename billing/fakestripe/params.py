"""Form encoding as Stripe reads it: `a[b][0]=c`, and the checks it makes on single values."""

import re
from typing import Any
from urllib.parse import parse_qsl

from billing.fakestripe.errors import invalid, missing_param

PART = re.compile(r"\[([^\[\]]*)\]")
MAX_PARAMS = 1000


def decode(text: str) -> dict[str, Any]:
    """`customer=cus_1&expand[0]=x&metadata[k]=v` as nested dicts; numbered or empty brackets become lists."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMS):
        head, *_ = name.partition("[")
        _put(found, [head, *PART.findall(name)], value)
    return {key: _lists(value) for key, value in found.items()}


def _put(into: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        deeper = into.setdefault(part or str(len(into)), {})
        if not isinstance(deeper, dict):
            raise invalid(f"Invalid object: {path[0]}", param=path[0])
        into = deeper
    into[path[-1] or str(len(into))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(item) for key, item in value.items()}


def integer(params: dict[str, Any], name: str, default: int | None = None) -> int:
    value = params.get(name)
    if value is None or value == "":
        if default is None:
            raise missing_param(name)
        return default
    if not re.fullmatch(r"-?\d{1,18}", str(value)):
        raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    return int(value)


def flag(params: dict[str, Any], name: str) -> bool:
    value = str(params.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {params[name]}", param=name)
    return value == "true"


def text(params: dict[str, Any], name: str, default: str | None = None) -> str | None:
    """A string; the empty one means `unset`, as Stripe has it."""
    value = params.get(name, default)
    if isinstance(value, (dict, list)):
        raise invalid(f"Invalid string: {value}", param=name)
    return value or None


def choice(
    params: dict[str, Any], name: str, allowed: tuple[str, ...], default: str | None = None
) -> str | None:
    value = text(params, name, default)
    if value is not None and value not in allowed:
        listed = ", ".join(allowed[:-1]) + (" or " if allowed[:-1] else "") + allowed[-1]
        raise invalid(f"Invalid {name}: must be one of {listed}", param=name)
    return value


def items(params: dict[str, Any], name: str) -> list[Any]:
    value = params.get(name) or []
    return value if isinstance(value, list) else [value]


def mapping(params: dict[str, Any], name: str) -> dict[str, Any]:
    value = params.get(name) or {}
    if not isinstance(value, dict):
        raise invalid(f"Invalid object: {name}", param=name)
    return value


def merged_metadata(old: dict[str, str], params: dict[str, Any]) -> dict[str, str]:
    """Metadata after an update: an empty string removes a key, an empty `metadata` removes all of them."""
    if "metadata" not in params:
        return old
    new = {**old, **mapping(params, "metadata")} if params["metadata"] else {}
    new = {key: str(value) for key, value in new.items() if value != ""}
    _check_metadata(new)
    return new


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > 50:
        raise invalid("You can have at most 50 metadata keys.", param="metadata")
    for key, value in metadata.items():
        if len(key) > 40:
            raise invalid(f"Metadata keys must be at most 40 characters: {key}", param="metadata")
        if len(value) > 500:
            raise invalid(f"Metadata values must be at most 500 characters: {key}", param="metadata")
