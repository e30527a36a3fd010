"""JSON, read strictly: one meaning, or refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import IO, Any, NoReturn

from rest_framework.parsers import BaseParser

from billing import json_names
from billing.api.problems import FieldProblem, Problem

DEEPEST = 20


class StrictJSONParser(BaseParser):
    """Refuses what other readers would take differently: a name twice, NaN, text that is no text.

    Numbers with decimals become `Decimal`; money is never a number at all (see `fields.Amount`).
    """

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        return read(stream.read())


def read(body: bytes) -> Any:
    """The value. Raises Problem (400): invalid_json, duplicate_key, invalid_characters,
    invalid_number."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise malformed("invalid_json", "The body is not UTF-8.") from None
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_float=_decimal, parse_int=_whole, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise malformed("invalid_json", "The body is not JSON.") from None
    _refuse_unstorable(value, "", 0)
    return value


def malformed(code: str, detail: str, field: str = "") -> Problem:
    errors = [FieldProblem(field, code, detail)] if field else []
    return Problem(400, code, detail, errors)


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands where something was that has no one meaning, until it is known where that is; there, it is the part with
    this `name`, or the whole."""

    code: str
    why: str
    name: str | None = None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
    if (twice := json_names.that_comes_twice(pairs)) is not None:
        return _Refused("duplicate_key", f"“{twice[:100]}” is given twice.", twice[:100])
    return dict(pairs)


def _whole(digits: str) -> int | _Refused:
    return int(digits) if len(digits) <= 20 else _Refused("invalid_number", "A number has at most 20 digits.")


def _decimal(digits: str) -> Decimal | _Refused:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return _Refused("invalid_number", "This number is too large or too small.")


def _no_constant(name: str) -> NoReturn:
    raise malformed("invalid_json", f"{name} is not JSON.")


def _refuse_unstorable(value: Any, path: str, depth: int) -> None:
    """NUL, half characters and endless numbers cannot be stored; nothing here is nested deeply."""
    if depth > DEEPEST:
        raise malformed("invalid_json", f"The body is nested deeper than {DEEPEST} levels.")
    if isinstance(value, str):
        _refuse_characters(value, path)
    if isinstance(value, _Refused):
        _refuse_characters(value.name or "", path or "body")
        raise malformed(value.code, value.why, path if value.name is None else _within(path, value.name))
    for name, part in _parts(value):
        _refuse_characters(name, path or "body")
        _refuse_unstorable(part, _within(path, name), depth + 1)


def _within(path: str, name: str) -> str:
    """Where the part with this name is."""
    return f"{path}.{name}" if path else name


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), part) for index, part in enumerate(value))


def _refuse_characters(text: str, path: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise malformed("invalid_characters", "This contains a character that cannot be stored.", path)
