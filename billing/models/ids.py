"""Ids that people can read: a prefix that names the kind, and a UUIDv7 that sorts by creation.

In Python an id is the string `cus_019a…` (32 hex digits after the prefix); in the database it is a
native 16-byte uuid, so indexes stay small and bulk statements stay plain.
"""

import os
import threading
import time
import uuid

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

    def __init__(self, prefix: str, **options: object) -> None:
        self.prefix = prefix
        options["primary_key"] = True
        options["editable"] = False
        options["default"] = self.generate
        super().__init__(**options)

    def generate(self) -> str:
        return f"{self.prefix}_{uuid7().hex}"

    def deconstruct(self):
        name, path, args, options = super().deconstruct()
        for given in ("default", "primary_key", "editable"):
            options.pop(given, None)
        return name, path, [self.prefix], options

    def from_db_value(self, value, expression, connection):
        return None if value is None else f"{self.prefix}_{value.hex}"

    def to_python(self, value):
        """The string form; raises ValidationError for anything that is not one of our ids."""
        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return f"{self.prefix}_{value.hex}"
        body = str(value).removeprefix(f"{self.prefix}_")
        try:
            return f"{self.prefix}_{uuid.UUID(hex=body).hex}"
        except ValueError:
            raise ValidationError(f"“{value}” is not an id of the form {self.prefix}_…", code="invalid") from None

    def get_prep_value(self, value):
        text = self.to_python(value)
        return None if text is None else uuid.UUID(hex=text.removeprefix(f"{self.prefix}_"))

    def get_db_prep_value(self, value, connection, prepared=False):
        return value if prepared else self.get_prep_value(value)

    def value_to_string(self, obj):
        return self.value_from_object(obj)
