"""How many requests a key may make in a minute, for all processes together.

The count stands in the database, but a process asks for it in blocks: it is granted some requests at once and
spends them from memory, so that most requests cost no statement. Together the processes are never granted more
than the limit; what a process leaves unspent at the end of the minute is lost.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from billing import prepared
from billing.models import ApiKey, RequestWindow
from billing.refusals import Refused

MINUTE = timedelta(minutes=1)
LARGEST_BLOCK = 50
MOST_REMEMBERED = 10_000


class TooManyRequests(Refused):
    """`retry_after` is in seconds."""

    code = "too_many_requests"

    def __init__(self, retry_after: int, limit: int) -> None:
        super().__init__(f"This key may make {limit:,} such requests in a minute.")
        self.retry_after = retry_after


@dataclass(slots=True)
class _Purse:
    """What a process may still spend of a window; `empty` once nothing more is granted in it."""

    begun: datetime
    left: int = 0
    empty: bool = False


_lock = threading.Lock()
_purses: dict[tuple[int, str], _Purse] = {}

# The row counts what was asked for, so that two processes at once never share a request.
_ASK = """
insert into billing_requestwindow as w (api_key_id, kind, begun, asked) values (%s, %s, %s, %s)
on conflict (api_key_id, kind, begun) do update set asked = w.asked + excluded.asked
returning asked
"""


def spend(key: ApiKey, *, kind: str, now: datetime) -> None:
    """Count one request of this kind (`usage` or `other`). Raises TooManyRequests."""
    limit = settings.API_REQUESTS_PER_MINUTE[kind]
    if not limit:
        return
    begun = now.replace(second=0, microsecond=0)
    with _lock:
        purse = _purse(key.pk, kind, begun)
        if not purse.left and not purse.empty:
            purse.left = _granted(key.pk, kind, begun, limit)
            purse.empty = not purse.left
        if purse.empty:
            raise TooManyRequests(int((begun + MINUTE - now).total_seconds()) + 1, limit)
        purse.left -= 1


def _purse(key: int, kind: str, begun: datetime) -> _Purse:
    purse = _purses.get((key, kind))
    if purse is None or purse.begun != begun:
        if len(_purses) >= MOST_REMEMBERED:
            _purses.clear()
        purse = _purses[key, kind] = _Purse(begun)
    return purse


def _granted(key: int, kind: str, begun: datetime, limit: int) -> int:
    """The next block, as much of it as the limit leaves."""
    block = max(1, min(LARGEST_BLOCK, limit // 20))
    with prepared.cursor() as cursor:
        cursor.execute(_ASK, [key, kind, begun, block])
        asked = int(cursor.fetchone()[0])
    return max(0, min(block, limit - (asked - block)))


def forget(*, now: datetime) -> int:
    """Drop counts of minutes that are over."""
    return RequestWindow.objects.filter(begun__lt=now - 2 * MINUTE).delete()[0]
