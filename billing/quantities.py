"""How much of a meter was used in a stretch of local days, for many customers with one query."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import date
from decimal import Decimal

from django.db.models import Case, F, When

from billing import metering
from billing.maths.timeline import Usage
from billing.models import Customer, Meter, UsageDay

ZERO = Decimal(0)
type Day = tuple[date, Decimal | None]

# What one day says, by how the meter adds up. Unique values are counted from the events themselves.
_OF_A_DAY = Case(
    When(meter__aggregation=Meter.Aggregation.COUNT, then=F("count")),
    When(meter__aggregation=Meter.Aggregation.MAX, then=F("peak")),
    When(meter__aggregation=Meter.Aggregation.LAST, then=F("last")),
    default=F("total"),
    output_field=UsageDay._meta.get_field("total"),
)


def reader(customers: Collection[str], *, since: date | None) -> Callable[[Customer], Usage]:
    """A function from a customer to its usage: `usage(meter id, start, end) -> quantity` in [start, end).

    Days before `since` are not read.
    """
    days: dict[tuple[str, str], list[Day]] = defaultdict(list)
    adds_up: dict[str, str] = {}
    rows = UsageDay.objects.filter(customer__id__any=customers).order_by("day")
    rows = rows.filter(day__gte=since) if since else rows
    columns = rows.values_list("customer_id", "meter_id", "meter__aggregation", "day", _OF_A_DAY)
    for customer, meter, aggregation, day, value in columns:
        days[customer, meter].append((day, value))
        adds_up[meter] = aggregation

    def of_customer(customer: Customer) -> Usage:
        def usage(meter: str, start: date, end: date) -> Decimal:
            found = [value for day, value in days.get((customer.pk, meter), ()) if start <= day < end]
            if found and adds_up[meter] == Meter.Aggregation.UNIQUE:
                return metering.quantity(customer.pk, meter, start, end)
            return quantity(adds_up[meter], found) if found else ZERO

        return usage

    return of_customer


def quantity(aggregation: str, days: Sequence[Decimal | None]) -> Decimal:
    """The days' values, oldest first, put together as the meter says."""
    values = [value for value in days if value is not None]
    if aggregation == Meter.Aggregation.MAX:
        return max(values, default=ZERO)
    if aggregation == Meter.Aggregation.LAST:
        return values[-1] if values else ZERO
    return sum(values, ZERO)
