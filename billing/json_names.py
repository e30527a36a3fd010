"""JSON that names a key twice. Readers differ in which of the two they keep, so it has no one meaning."""

import re
from collections.abc import Sequence
from typing import Any

_SPACED_NAME = re.compile(rb'"\s+:')


def may_come_twice(text: bytes, value: Any) -> bool:
    """Whether an object in this text, which a quick reader has read as `value`, may name a key twice; where it may, a
    careful reader has to look.

    Every name is followed by `":`, so as many of these as names were read means that none came twice. Raises
    RecursionError for what is nested too deeply to be counted.
    """
    return text.count(b'":') != _names(value) or _SPACED_NAME.search(text) is not None


def _names(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(_names(part) for part in value.values() if type(part) in (dict, list))
    if type(value) is list:
        return sum(map(_names, value))
    return 0


def that_comes_twice(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """The first name of an object that comes again in it, from its pairs as `json` hands them over."""
    if len(dict(pairs)) == len(pairs):
        return None
    names = [name for name, _ in pairs]
    return next(name for name in names if names.count(name) > 1)
