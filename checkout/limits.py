"""Slowing abuse down. The counters stand in the database, so they hold for all processes together."""

from datetime import datetime, timedelta

from django.db import connection
from django.http import HttpRequest

from billing.refusals import Refused
from checkout.models import Count


class TooOften(Refused):
    """More requests from one place than a buyer makes. `retry_after` is in seconds."""

    code = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        minutes = -(-retry_after // 60)
        wait = "a minute" if minutes <= 1 else f"{minutes} minutes"
        super().__init__(f"That was a little too often. Please wait {wait} and try again.")
        self.retry_after = retry_after


_COUNT = """
insert into checkout_count (key, begun, times) values (%s, %s, 1)
on conflict (key, begun) do update set times = checkout_count.times + 1
returning times
"""


def slow_down(*, what: str, where: str, limit: int, window: timedelta, now: datetime) -> None:
    """Count one more `what` from `where`. Raises TooOften above `limit` in a stretch of `window`."""
    length = int(window.total_seconds())
    elapsed = int(now.timestamp()) % length
    with connection.cursor() as cursor:
        begun = now.replace(microsecond=0) - timedelta(seconds=elapsed)
        cursor.execute(_COUNT, [f"{what} {where}"[:200], begun])
        times = cursor.fetchone()[0]
    if times > limit:
        raise TooOften(length - elapsed)


def sweep(*, now: datetime) -> int:
    """Forget counters that no longer matter."""
    return Count.objects.filter(begun__lt=now - timedelta(days=2)).delete()[0]


def address_of(request: HttpRequest) -> str:
    """Whose request it is. The web server sets REMOTE_ADDR from a proxy that the operator trusts, and only
    then."""
    return str(request.META.get("REMOTE_ADDR", ""))
