"""Every event that the product records in any test says what `billing/event_types.py` promises of its type."""

import re
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DAY = r"\d{4}-\d\d-\d\d"
TEXTS = {
    "text": r"(?s).*",
    "inside": r"(?s).*",
    "id": r"(?s).+",
    "decimal": r"-?\d+(\.\d+)?",
    "day": DAY,
    "time": rf"{DAY}T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)",
}
TYPES = {"money": int, "whole": int, "truth": bool, "list": list, "object": dict}


def differences(type, data):
    """What is missing, unknown or of another kind."""
    from billing.event_types import FIELDS

    known = {field.name: field for field in FIELDS[type]}
    yield from (f"{name} is not named" for name in data.keys() - known.keys())
    for field in known.values():
        value = data.get(field.name)
        if value is None:
            if not field.optional:
                yield f"{field.name} is missing"
        elif not _fits(value, field.kind):
            yield f"{field.name} is no {field.kind}: {value!r}"


def _fits(value, kind):
    if kind in TEXTS:
        return isinstance(value, str) and re.fullmatch(TEXTS[kind], value) is not None
    return isinstance(value, TYPES[kind]) and (kind == "truth" or not isinstance(value, bool))


def _check(sender, events, **_):
    if _invented():
        return
    for event in events:
        found = list(differences(event.type, event.data))
        assert not found, f"{event.type}: {', '.join(found)}"


def _invented():
    """Whether a test records a fact of its own, which may say what it likes."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "record":
        frame = frame.f_back
    return frame is not None and TESTS in Path(frame.f_back.f_code.co_filename).parents


@pytest.fixture(autouse=True, scope="session")
def facts_are_as_they_are_documented(request):
    from billing import dispatch

    dispatch.recorded.connect(_check, weak=False)
    yield
    dispatch.recorded.disconnect(_check)
