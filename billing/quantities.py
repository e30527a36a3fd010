"""How much of a meter was used in a stretch of local days, for many customers with one query."""

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import date
from decimal import Decimal

from billing import metering
from billing.maths.timeline import Usage
from billing.models import Customer, Meter, UsageDay

ZERO = Decimal(0)
type Days = list[tuple[date, UsageDay]]


def reader(customers: Collection[str], *, since: date | None) -> Callable[[Customer], Usage]:
    """A function from a customer to its usage: `usage(meter id, start, end) -> quantity` in [start, end).

    Days before `since` are not read.
    """
    days: dict[tuple[str, str], list[UsageDay]] = defaultdict(list)
    rows = UsageDay.objects.filter(customer__in=customers).select_related("meter").order_by("day")
    for row in rows.filter(day__gte=since) if since else rows:
        days[row.customer_id, row.meter_id].append(row)

    def of_customer(customer: Customer) -> Usage:
        def usage(meter: str, start: date, end: date) -> Decimal:
            found = [d for d in days.get((customer.pk, meter), ()) if start <= d.day < end]
            return quantity(found[0].meter, customer.pk, found, start, end) if found else ZERO

        return usage

    return of_customer


def quantity(meter: Meter, customer_id: str, days: list[UsageDay], start: date, end: date) -> Decimal:
    """The days' totals put together as the meter says. Unique values are counted from the events themselves."""
    if meter.aggregation == Meter.Aggregation.COUNT:
        return Decimal(sum(day.count for day in days))
    if meter.aggregation == Meter.Aggregation.SUM:
        return sum((day.total for day in days), ZERO)
    if meter.aggregation == Meter.Aggregation.MAX:
        return max((day.peak for day in days if day.peak is not None), default=ZERO)
    if meter.aggregation == Meter.Aggregation.LAST:
        return next((day.last for day in reversed(days) if day.last is not None), ZERO)
    return metering.quantity(customer_id, meter, start, end)
