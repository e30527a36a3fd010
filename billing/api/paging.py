"""Cursor pages: a page begins after a row, not after a number of rows, so nothing shifts while rows are
added."""

import base64
import binascii
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.encoding import escape_uri_path
from rest_framework.request import Request

from billing.api.problems import FieldProblem, Problem
from billing.remembering import Remembered, Slot


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row beside which a page begins; `back` for the page before it."""

    back: bool
    key: str

    @property
    def text(self) -> str:
        return (
            base64.urlsafe_b64encode(f"{'-' if self.back else '+'}{self.key}".encode()).decode().rstrip("=")
        )

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Raises Problem (400)."""
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        except (binascii.Error, ValueError):
            plain = ""
        if plain[:1] not in ("+", "-") or not plain[1:].replace("_", "").isalnum():
            raise Problem(
                400, "invalid_cursor", "A cursor is taken from next or previous of another answer.",
                [FieldProblem("cursor", "invalid_cursor", "This is not a cursor.")],
            )  # fmt: skip
        return cls(plain[0] == "-", plain[1:])


type Fetch = Callable[[str | None, bool], list[Any]]


def page(
    request: Request,
    rows: QuerySet[Any],
    *,
    limit: int,
    cursor: str = "",
    key: str = "pk",
    newest_first: bool = True,
) -> Page:
    """One page in the order of `key`, in one query."""

    def fetch(beyond: str | None, falling: bool) -> list[Any]:
        at = None if beyond is None else _key(rows, key, beyond)
        return list(_in_order(rows, key, at, falling, limit))

    return _page(request, fetch, limit, cursor, key, newest_first)


def _page(
    request: Request, fetch: Fetch, limit: int, cursor: str, key: str = "pk", newest_first: bool = True
) -> Page:
    """`fetch` answers one row more than the page has, beyond a key, rising or falling."""
    at = Cursor.read(cursor) if cursor else None
    back = at is not None and at.back
    found = fetch(None if at is None else at.key, newest_first != back)
    more, found = len(found) > limit, found[:limit]
    if back:
        found.reverse()
    ends = [str(getattr(row, key)) for row in (found[0], found[-1])] if found else None
    return Page(
        found,
        _url(request, Cursor(False, ends[1])) if ends and (more or back) else None,
        _url(request, Cursor(True, ends[0])) if ends and (more if back else at is not None) else None,
    )


def _key(rows: QuerySet[Any], key: str, text: str) -> Any:
    """As the database takes it. Raises Problem (400)."""
    meta = rows.model._meta
    try:
        return (meta.pk if key == "pk" else meta.get_field(key)).get_prep_value(text)
    except (ValueError, ValidationError) as error:
        raise Problem(400, "invalid_cursor", "This cursor belongs to another list.") from error


def _in_order(rows: QuerySet[Any], key: str, beyond: Any, falling: bool, limit: int) -> QuerySet[Any]:
    if beyond is not None:
        rows = rows.filter(**{f"{key}__{'lt' if falling else 'gt'}": beyond})
    return rows.order_by(f"-{key}" if falling else key)[: limit + 1]


# -- Lists whose queries are remembered ----------------------------------------------------------------------


class Listing(Hashable, Protocol):
    """The rows on one side for the names that were asked for; `slots` has a place for the value of each."""

    def __call__(self, *, livemode: bool, slots: Mapping[str, Slot]) -> QuerySet[Any]: ...


def listed(
    request: Request,
    rows: Listing,
    *,
    livemode: bool,
    wanted: Mapping[str, Any],
    limit: int,
    cursor: str = "",
    key: str = "pk",
    newest_first: bool = True,
) -> Page:
    """As `page`, of a query that is written once for each set of names in `wanted`."""

    def fetch(beyond: str | None, falling: bool) -> list[Any]:
        known = _remembered(rows, livemode, frozenset(wanted), key, beyond is not None, falling, limit)
        at = {} if beyond is None else {"beyond": _key(known.rows, key, beyond)}
        return known.fetch({**wanted, **at})

    return _page(request, fetch, limit, cursor, key, newest_first)


# Who asks for pages of many sizes pushes others' queries out.
@lru_cache(maxsize=300)
def _remembered(
    rows: Listing, livemode: bool, names: frozenset[str], key: str, beyond: bool, falling: bool, limit: int
) -> Remembered:
    found = rows(livemode=livemode, slots={name: Slot(name) for name in names})
    return Remembered(_in_order(found, key, Slot("beyond") if beyond else None, falling, limit))


def _url(request: Request, cursor: Cursor) -> str:
    """The same address and query with this cursor."""
    query = [pair for pair in request.query_params.items() if pair[0] != "cursor"]
    host = f"{request.scheme}://{request.get_host()}"
    return f"{host}{escape_uri_path(request.path)}?{urlencode([*query, ('cursor', cursor.text)])}"
