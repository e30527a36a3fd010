"""Rows that are read by the thousand, or while somebody waits."""

from collections.abc import Collection, Sequence
from typing import Any, Self

from django.db import models
from django.db.models.base import ModelState


class ReadPlainly(models.Model):
    """A row that is read becomes an instance by having its values, field by field, and nothing else.

    Django makes one by calling `__init__`, which looks at each field for defaults, relations and signals: most of what
    reading a thousand rows costs. None of our models overrides `__init__` or listens to it.
    """

    class Meta:
        abstract = True

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        *,
        fetch_mode: Any = None,
    ) -> Self:
        """A stored row. Columns that were not read are not there, and so are read when they are asked for."""
        row = cls.__new__(cls)
        row.__dict__.update(zip(field_names, values, strict=True))
        row._state = state = ModelState()
        state.adding, state.db = False, db
        if fetch_mode is not None:
            state.fetch_mode = fetch_mode  # type: ignore[attr-defined]
        return row

    @classmethod
    def with_values(cls, names: Sequence[str], values: Sequence[Any]) -> Self:
        """A new row with just these values, to be written by who writes many; no defaults."""
        row = cls.from_db(None, names, values)
        row._state.adding = True
        return row
