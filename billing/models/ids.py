"""Ids that people can read: a prefix that names the kind, and a UUIDv7 that sorts by creation.

In Python an id is the string `cus_019a…` (32 hex digits after the prefix); in the database it is a
native 16-byte uuid, so indexes stay small and bulk statements stay plain.
"""

import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

_ID = re.compile(r"([a-z]+)_[0-9a-f]{32}")
_lock = threading.Lock()
_last = 0
# Chance is asked for in pieces of so many bytes: a question to the system costs more than all the rest of an id.
_PIECE = 4096
_chance: Iterator[int] = iter(())


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562): 60 bits of time in 1/4096 ms, never going back in one process, then random."""
    high, low = _halves()
    return uuid.UUID(int=high << 64 | low)


def is_id(ref: str, prefix: str) -> bool:
    """Whether this is written as an id of the kind is; there may be nothing that has it."""
    found = _ID.fullmatch(ref)
    return found is not None and found[1] == prefix


def new_id(prefix: str) -> str:
    """A new id in its string form."""
    return f"{prefix}_%016x%016x" % _halves()


def _halves() -> tuple[int, int]:
    global _last
    with _lock:
        _last = ticks = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        number = next(_chance, None)
        if number is None:
            number = _asked()
    high = (ticks >> 12) << 16 | 0x7000 | (ticks & 0xFFF)
    return high, 0x8000_0000_0000_0000 | number >> 2


def _asked() -> int:
    """The first of new random numbers, of 64 bits."""
    global _chance
    _chance = iter(memoryview(os.urandom(_PIECE)).cast("Q"))
    return next(_chance)


def _forget() -> None:
    """Two processes never share what one of them asked for."""
    global _chance
    _chance = iter(())


os.register_at_fork(after_in_child=_forget)


class IdField(models.UUIDField):
    """A primary key whose Python value is `<prefix>_<hex>`."""

    # What type checkers take the value for, here and in foreign keys.
    _pyi_private_set_type: str
    _pyi_private_get_type: str  # type: ignore[assignment]
    _pyi_lookup_exact_type: str | None  # type: ignore[assignment]

    def __init__(self, prefix: str, **options: Any) -> None:
        self.prefix = prefix
        options["primary_key"] = True
        options["editable"] = False
        options["default"] = self.generate
        super().__init__(**options)

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        """`pk` is read by the thousand: straight from the column, not by way of the model's description."""
        super().contribute_to_class(cls, name, private_only=private_only)
        cls.pk = property(attrgetter(self.attname), cls._set_pk_val)  # type: ignore[attr-defined,method-assign,assignment]

    def generate(self) -> str:
        return new_id(self.prefix)

    def deconstruct(self) -> Any:
        name, path, _, options = super().deconstruct()
        for given in ("default", "primary_key", "editable"):
            options.pop(given, None)
        return name, path, [self.prefix], options

    def from_db_value(self, value: uuid.UUID | None, expression: object, connection: object) -> str | None:
        return None if value is None else f"{self.prefix}_{value.hex}"

    def to_python(self, value: Any) -> str | None:
        """The string form; raises ValidationError for anything that is not one of our ids."""
        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return f"{self.prefix}_{value.hex}"
        body = str(value).removeprefix(f"{self.prefix}_")
        try:
            return f"{self.prefix}_{uuid.UUID(hex=body).hex}"
        except ValueError:
            raise self._not_an_id(value) from None

    def _not_an_id(self, value: Any) -> ValidationError:
        return ValidationError(f"“{value}” is not an id of the form {self.prefix}_…", code="invalid")

    def get_prep_value(self, value: Any) -> uuid.UUID | None:
        if value is None or isinstance(value, uuid.UUID):
            return value
        try:
            return uuid.UUID(hex=str(value).removeprefix(f"{self.prefix}_"))
        except ValueError:
            raise self._not_an_id(value) from None

    def get_db_prep_value(self, value: Any, connection: object, prepared: bool = False) -> uuid.UUID | None:
        return value if prepared else self.get_prep_value(value)

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))


@IdField.register_lookup
class AnyOf(models.Lookup):
    """`id__any=ids`: one of many ids, sent as one array; `id__in` sends, parses and plans a parameter for each."""

    lookup_name = "any"

    def get_prep_lookup(self) -> Any:
        return self.rhs if hasattr(self.rhs, "resolve_expression") else array_of(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        ids, given = self.process_rhs(compiler, connection)
        return f"{column} = any({ids}::uuid[])", (*params, *given)


def array_of(ids: Iterable[str]) -> str:
    """As the database reads an array: one text, whatever the number."""
    return f"{{{','.join([value[-32:] for value in ids])}}}"
