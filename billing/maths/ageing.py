"""How old a debt is: days after the due date, in the five usual buckets."""

from collections.abc import Iterable
from datetime import date

BUCKETS = ("current", "1-30", "31-60", "61-90", "90+")


def bucket(due_on: date, today: date) -> str:
    """The name of the bucket; the due date itself is still current."""
    late = (today - due_on).days
    if late <= 0:
        return "current"
    return BUCKETS[min(4, 1 + (late - 1) // 30)]


def ageing(rows: Iterable[tuple[date, int]], today: date) -> dict[str, int]:
    """Sums of (due date, open amount) by bucket; every bucket is present, in order."""
    sums = dict.fromkeys(BUCKETS, 0)
    for due_on, amount in rows:
        sums[bucket(due_on, today)] += amount
    return sums
