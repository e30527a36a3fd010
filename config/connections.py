"""Database connections when there are too few.

A thread of the web server keeps its connection for the next request, and one that has nothing to do keeps it from those
who have none: after a crowd, most requests would be sent away for ever. So once somebody was sent away, no process of
this web server keeps connections for a while.
"""

import mmap
import struct
import time

from django.db import connection

FOR_A_WHILE = 5.0  # seconds
# Made before the web server forks its processes, so they share it. Of the clock that is one for the whole machine.
_scarce_until = mmap.mmap(-1, 8)


def too_few() -> None:
    """Somebody was sent away."""
    _scarce_until[:8] = struct.pack("d", time.monotonic() + FOR_A_WHILE)


def enough() -> None:
    _scarce_until[:8] = struct.pack("d", 0.0)


def keep_or_not() -> None:
    """At the end of a request, before Django decides whether the thread's connection has served its time."""
    now = time.monotonic()
    if now < struct.unpack("d", _scarce_until[:8])[0] and connection.connection is not None:
        connection.close_at = now
