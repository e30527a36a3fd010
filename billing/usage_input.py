"""Usage events as they were sent: each one made fit for the statement that stores it, or refused by name.

Only what needs no database is judged here; customer, meter, value and the window of time are judged by the
statement itself (`billing.usage_sql`), which knows them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

import orjson

from billing.bulk import copyable

MOST_EVENTS = 5_000
MOST_PROPERTIES = 50
LONGEST_NAME = 100
LONGEST_VALUE = 500
LONGEST_ID = 255
LONGEST_CUSTOMER = 200
FIELDS = frozenset({"id", "customer", "event_name", "timestamp", "properties", "replaces"})

_OUR_ID = re.compile(r"cus_[0-9a-f]{32}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_YEARS = range(1970, 2200)
_PLAIN = frozenset({int, float, bool, type(None)})

DETAILS = {
    "invalid_event": "An event is an object.",
    "duplicate_key": "“{}” is given twice.",
    "unknown_field": (
        "An event has id, customer, event_name, timestamp, properties and replaces; “{}” is none of them."
    ),
    "invalid_replaces": "replaces is the id of another event.",
    "unknown_replaced": "There is no event with the id that it replaces.",
    "already_taken_back": "The event that it replaces was taken back or replaced before.",
    "replaced_is_closed": "The usage period of the event that it replaces is closed to late events.",
    "invalid_id": "id is a text of 1 to 255 characters.",
    "invalid_customer": "customer is a customer's id or external id.",
    "invalid_event_name": "event_name is a text of 1 to 100 characters.",
    "invalid_timestamp": "timestamp is a time with an offset, such as 2026-01-31T09:30:00Z.",
    "invalid_properties": "properties has at most 50 names, each with a text, a number, true, false or null.",
    "unknown_customer": "There is no such customer.",
    "unknown_event_name": "No meter counts events of this name.",
    "timestamp_in_future": "The time lies more than five minutes ahead of the customer's present.",
    "after_grace_window": "The usage period of this time is closed, and the time for late events is over.",
    "missing_value": "The meter needs the property “{}”.",
    "invalid_value": "“{}” is a number of at most 15 digits and 12 decimals.",
}


class Bad(Exception):
    """This event is refused: `code` is a key of DETAILS, `about` fills its gap."""

    def __init__(self, code: str, about: str = "") -> None:
        super().__init__(code)
        self.code, self.about = code, about


@dataclass(frozen=True, slots=True)
class Rejection:
    """One event of the batch that was not taken, and why."""

    index: int
    id: str | None
    code: str
    detail: str


def rejection(index: int, event: Any, code: str, about: str = "") -> Rejection:
    key = event.get("id") if isinstance(event, Mapping) else None
    return Rejection(index, key if isinstance(key, str) else None, code, DETAILS[code].format(about[:100]))


def sort_out(events: Sequence[Any], first: int = 0) -> tuple[list[dict[str, Any]], list[Rejection]]:
    """(rows for the statement, rejections), both in the order of the batch, whose indexes begin with the `first`."""
    rows, rejected = [], []
    for index, event in enumerate(events, first):
        try:
            rows.append(row_of(index, event))
        except Bad as bad:
            rejected.append(rejection(index, event, bad.code, bad.about))
    return rows, rejected


def copied(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as the text of a COPY, in the order n, k, c, x, e, t, p; what is empty is null.

    Hardly any has a character that means something there, and one look at all of them is quicker than one at each."""
    text = "".join(map(_line, rows))
    tabs, ends = text.count("\t"), text.count("\n")
    if (tabs, ends) == (6 * len(rows), len(rows)) and "\\" not in text and "\r" not in text:
        return text
    return "".join(_line(row, copyable) for row in rows)


def _line(row: Mapping[str, Any], kept: Callable[[str], str] = str) -> str:
    get = row.get
    at, properties = get("t"), get("p")
    return (
        f"{row['n']}\t{kept(row['k'])}\t{get('c', '')}\t{kept(get('x', ''))}\t{kept(row['e'])}\t"
        f"{at.isoformat() if at else ''}\t{kept(orjson.dumps(properties).decode()) if properties else ''}\n"
    )


def row_of(index: int, event: Any) -> dict[str, Any]:
    """The event in the statement's short names. One that could not be read is the `Bad` which says why. Raises Bad."""
    if type(event) is not dict:
        raise event if isinstance(event, Bad) else Bad("invalid_event")
    if not event.keys() <= FIELDS:
        raise Bad("unknown_field", min(event.keys() - FIELDS))
    get = event.get
    if not _is_text(key := get("id"), LONGEST_ID):
        raise Bad("invalid_id")
    if not _is_text(name := get("event_name"), LONGEST_NAME):
        raise Bad("invalid_event_name")
    if not _is_text(customer := get("customer"), LONGEST_CUSTOMER):
        raise Bad("invalid_customer")
    row = {"n": index, "k": key, "e": name}
    if _OUR_ID.fullmatch(customer):
        row["c"] = customer[4:]
    else:
        row["x"] = customer
    if (replaces := get("replaces")) is not None:
        row["r"] = _replaced(replaces, key)
    if (timestamp := get("timestamp")) is not None:
        row["t"] = _instant(timestamp)
    if properties := get("properties"):
        row["p"] = _properties(properties)
    return row


def _is_text(value: Any, longest: int) -> TypeGuard[str]:
    return type(value) is str and 0 < len(value) <= longest and "\0" not in value


def _replaced(key: Any, own: str) -> str:
    if not _is_text(key, LONGEST_ID) or key == own:
        raise Bad("invalid_replaces")
    return key


def _instant(value: Any) -> datetime:
    """In UTC. A leap second has no place in the calendar that everything here is counted in, and is
    refused."""
    if type(value) is not str or not _RFC_3339.fullmatch(value):
        raise Bad("invalid_timestamp")
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise Bad("invalid_timestamp") from None
    if instant.year not in _YEARS:
        raise Bad("invalid_timestamp")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def _properties(properties: Any) -> dict[str, Any]:
    if type(properties) is not dict or len(properties) > MOST_PROPERTIES:
        raise Bad("invalid_properties")
    for name, value in properties.items():
        if len(name) > LONGEST_NAME or "\0" in name:
            raise Bad("invalid_properties")
        if type(value) is str:
            if len(value) > LONGEST_VALUE or "\0" in value:
                raise Bad("invalid_properties")
        elif type(value) not in _PLAIN:
            raise Bad("invalid_properties")
    return properties
