"""A state change: the legal moves of a model are a table at its top; a move is compare-and-set plus an event.

A move that is not in the table raises `IllegalMove`; one that somebody else made first raises `StaleMove`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db import models

from billing import bulk
from billing.events import record


class IllegalMove(Exception):
    """The table of moves does not allow this."""

    def __init__(self, row: models.Model, before: str, after: str) -> None:
        super().__init__(f"{row._meta.verbose_name} cannot go from {before} to {after}")
        self.before, self.after = before, after


class StaleMove(Exception):
    """Somebody else changed the row first; nothing was written."""


def move(
    row: Any,
    to: str,
    *,
    event: str | None,
    actor: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    customer: Any = None,
    through: str = "",
    beside: Sequence[models.Model] = (),
    **fields: Any,
) -> None:
    """Take `row` to state `to`, setting `fields` with it, and record `event`. Call inside a transaction.

    `through`: a state that it passes at the same instant. `beside`: new rows that come with it, by the same statement.
    """
    name = getattr(type(row), "STATE_FIELD", "status")
    before = getattr(row, name)
    _check(row, [before, through, to] if through else [before, to])
    still = type(row).objects.filter(pk=row.pk, **{name: before})
    changes = {name: to, **fields}
    if not (bulk.claim(still, changes, *beside) if beside else still.update(**changes)):
        raise StaleMove(f"{row._meta.verbose_name} {row.pk} is no longer {before}")
    for field, value in changes.items():
        setattr(row, field, value)
    if event:
        record(
            event,
            subject=row,
            actor=actor,
            now=now,
            customer=customer,
            data={"from": before, "to": to, **(data or {})},
        )


def _check(row: models.Model, states: Sequence[str]) -> None:
    for before, after in pairwise(states):
        if after not in type(row).MOVES[before]:  # type: ignore[attr-defined]
            raise IllegalMove(row, before, after)
