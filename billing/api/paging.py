"""Cursor pages: a page begins after a row, not after a number of rows, so nothing shifts while rows are
added."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from rest_framework.request import Request

from billing.api.problems import FieldProblem, Problem


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
    at = Cursor.read(cursor) if cursor else None
    back = at is not None and at.back
    falling = newest_first != back
    if at is not None:
        rows = _beyond(rows, f"{key}__{'lt' if falling else 'gt'}", at.key)
    found = list(rows.order_by(f"-{key}" if falling else key)[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if back:
        found.reverse()
    ends = [str(getattr(row, key)) for row in (found[0], found[-1])] if found else None
    return Page(
        found,
        _url(request, Cursor(False, ends[1])) if ends and (more or back) else None,
        _url(request, Cursor(True, ends[0])) if ends and (more if back else at is not None) else None,
    )


def _beyond(rows: QuerySet[Any], lookup: str, key: str) -> QuerySet[Any]:
    try:
        return rows.filter(**{lookup: key})
    except Exception as error:  # a cursor of another list
        raise Problem(400, "invalid_cursor", "This cursor belongs to another list.") from error


def _url(request: Request, cursor: Cursor) -> str:
    query: QueryDict = request._request.GET.copy()
    query["cursor"] = cursor.text
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
