"""A state change: the legal moves of a model are a table at its top; a move is compare-and-set plus an event.

A move that is not in the table raises `IllegalMove`; one that somebody else made first raises `StaleMove`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
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
    changes = {name: to, **fields}
    with together() as gathered:
        gathered.add(_Change(row, {name: before}, changes, beside))
    for name, value in changes.items():
        setattr(row, name, value)
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


# -- Several by one statement -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """Fields of a row, with what must still be so for them to be set."""

    row: models.Model
    still: Mapping[str, Any]
    changes: Mapping[str, Any]
    beside: Sequence[models.Model] = ()


@dataclass(slots=True)
class Gathered:
    """What is written when the block ends; `beside`: new rows that come with it."""

    waiting: list[_Change] = field(default_factory=list)
    beside: list[models.Model] = field(default_factory=list)

    def add(self, change: _Change) -> None:
        """A row that changes once more does so by the next statement: one statement changes it once."""
        if any(each.row == change.row for each in self.waiting):
            self.write()
        self.waiting.append(change)
        self.beside += change.beside

    def write(self) -> None:
        waiting, beside = self.waiting, self.beside
        self.waiting, self.beside = [], []
        wanted = [(bulk.Still(each.row, each.still), each.changes) for each in waiting]
        for each, found in zip(waiting, bulk.claim_all(wanted, beside), strict=True):
            if not found:
                words = ", ".join(map(str, each.still.values())) or "there"
                raise StaleMove(f"{each.row._meta.verbose_name} {each.row.pk} is no longer {words}")


_gathered: ContextVar[Gathered | None] = ContextVar("moves", default=None)


@contextmanager
def together() -> Iterator[Gathered]:
    """What moves and changes in the block is written at its end by one statement, and `StaleMove` raised there; until
    then only the rows in memory say it. An exception that leaves the block writes nothing."""
    outer = _gathered.get()
    if outer is not None:
        yield outer
        return
    gathered = Gathered()
    before = _gathered.set(gathered)
    try:
        yield gathered
    finally:
        _gathered.reset(before)
    gathered.write()


def change(row: Any, **fields: Any) -> None:
    """Set fields of a row that the caller holds, which is no move. Call inside a transaction."""
    with together() as gathered:
        gathered.add(_Change(row, {}, fields))
    for name, value in fields.items():
        setattr(row, name, value)
