"""Ids that people can read: a prefix that names the kind, and a UUIDv7 that sorts by creation.

In Python an id is the string `cus_019a…` (32 hex digits after the prefix); in the database it is a
native 16-byte uuid, so indexes stay small and bulk statements stay plain.
"""

import os
import threading
import time
import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

_lock = threading.Lock()
_last = 0


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562): 60 bits of time in 1/4096 ms, never going back in one process, then random."""
    global _last
    with _lock:
        _last = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        ticks = _last
    high = (ticks >> 12) << 16 | 0x7000 | (ticks & 0xFFF)
    low = 0x8000_0000_0000_0000 | int.from_bytes(os.urandom(8)) >> 2
    return uuid.UUID(int=high << 64 | low)


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

    def generate(self) -> str:
        return f"{self.prefix}_{uuid7().hex}"

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
            raise ValidationError(
                f"“{value}” is not an id of the form {self.prefix}_…", code="invalid"
            ) from None

    def get_prep_value(self, value: Any) -> uuid.UUID | None:
        text = self.to_python(value)
        return None if text is None else uuid.UUID(hex=text.removeprefix(f"{self.prefix}_"))

    def get_db_prep_value(self, value: Any, connection: object, prepared: bool = False) -> uuid.UUID | None:
        return value if prepared else self.get_prep_value(value)

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))
