"""`expand[]`: an id in an answer replaced by the object it names."""

from typing import Any

from billing.fakestripe.errors import invalid
from billing.fakestripe.shapes import public
from billing.fakestripe.store import Row, Store

DEEPEST = 4


def expand(row: Row, paths: list[str], store: Store) -> Row:
    for path in paths:
        parts = str(path).split(".")
        if len(parts) > DEEPEST:
            raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(row, parts, path, store)
    return row


def _expand(row: Any, parts: list[str], path: str, store: Store) -> None:
    if isinstance(row, list):
        for item in row:
            _expand(item, parts, path, store)
        return
    name, rest = parts[0], parts[1:]
    if row is None:
        return
    if not isinstance(row, dict) or (name not in row and name not in LAZY):
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    value = row.get(name)
    if isinstance(value, str):
        found = store.get(value)
        if found is None:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        row[name] = value = public(found)
    elif name in LAZY and name not in row:
        row[name] = value = LAZY[name](row, store)
    if rest:
        _expand(value, rest, path, store)


def _sources(row: Row, store: Store) -> Row:
    url = f"/v1/customers/{row['id']}/sources"
    return {"object": "list", "data": [], "has_more": False, "url": url}


def _refunds(row: Row, store: Store) -> Row:
    refunds = [public(refund) for refund in store.rows("refund", charge=row["id"])]
    return {"object": "list", "data": refunds, "has_more": False, "url": f"/v1/charges/{row['id']}/refunds"}


LAZY = {"sources": _sources, "refunds": _refunds}
