"""The part of Stripe's search language that asks for equal values, joined by AND."""

import re
from typing import Any

from billing.fakestripe.errors import invalid
from billing.fakestripe.store import Row

CLAUSE = re.compile(r"""^(?:metadata\[(["'])(?P<key>[^"']+)\1\]|(?P<field>\w+)):(["'])(?P<value>[^"']*)\4$""")


def matches(query: str, row: Row) -> bool:
    """Whether `metadata['key']:'value' AND status:'succeeded'` holds for the row."""
    return all(_holds(clause.strip(), row) for clause in re.split(r"\s+AND\s+", query))


def _holds(clause: str, row: Row) -> bool:
    found = CLAUSE.match(clause)
    if not found:
        raise invalid(f"We were unable to parse your search query: {clause}", param="query")
    value: Any = row["metadata"].get(found["key"]) if found["key"] else row.get(found["field"])
    return value is not None and str(value) == found["value"]
