"""JSON that names a key twice. Readers differ in which of the two they keep, so it has no one meaning."""

from collections.abc import Sequence
from typing import Any

import orjson


def may_come_twice(text: bytes, value: Any) -> bool:
    """Whether an object in this text, which a quick reader has read as `value`, may name a key twice; where it may, a
    careful reader has to look.

    A name that came twice was read once, and its colon is missing in what was read. Other colons are written alike by
    everybody, unless as their number (`\\u003a`).
    """
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested too deeply
        return True
    return text.count(b":") != written.count(b":") or b"\\u003" in text


def that_comes_twice(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """The first name of an object that comes again in it, from its pairs as `json` hands them over."""
    if len(dict(pairs)) == len(pairs):
        return None
    names = [name for name, _ in pairs]
    return next(name for name in names if names.count(name) > 1)
