"""Gapless numbers. The counter's row is locked as late as possible and rises only if the papers commit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing import prepared
from billing.maths.periods import local_date
from billing.models import Customer, NumberSeries, Seller


@dataclass(frozen=True, slots=True)
class Number:
    series: str
    sequence: int
    text: str
    issued_on: date


def series_of(customer: Customer) -> str:
    """Live invoices, sandbox invoices and each test clock number on their own: order of numbers is order of dates."""
    if customer.test_clock_id:
        return customer.test_clock.series_code  # type: ignore[union-attr]
    return "live" if customer.livemode else "test"


def credit_series_of(customer: Customer) -> str:
    return f"{series_of(customer)}-credit"


def open_series(code: str, prefix: str) -> None:
    """The invoice and credit note series of a test clock."""
    NumberSeries.objects.get_or_create(code=code, defaults={"prefix": prefix})
    NumberSeries.objects.get_or_create(code=f"{code}-credit", defaults={"prefix": f"{prefix}CN-"})


_TAKE = """
update billing_numberseries
set next = next + %s, last_issued_on = greatest(last_issued_on, %s)
where code = %s
returning next - %s, prefix, last_issued_on
"""


def take(wanted: Sequence[tuple[str, datetime]], seller: Seller) -> list[Number]:
    """One number for each (series, instant), in that order; one statement for each series.

    The issue date is the seller's local day, and never before that of an earlier number of the series.
    """
    days: dict[str, date] = {}
    for code, now in wanted:
        day = local_date(now, seller.timezone)
        days[code] = max(day, days.get(code, day))
    counts = Counter(code for code, _ in wanted)
    blocks = {code: _block(code, counts[code], days[code]) for code in sorted(counts)}
    return [next(blocks[code]) for code, _ in wanted]


def _block(code: str, count: int, day: date) -> Iterator[Number]:
    with prepared.cursor() as cursor:
        cursor.execute(_TAKE, [count, day, code, count])
        row = cursor.fetchone()
    if row is None:
        raise NumberSeries.DoesNotExist(f"There is no number series {code}.")
    first, prefix, issued_on = row
    return (Number(code, n, f"{prefix}{n:06d}", issued_on) for n in range(first, first + count))
