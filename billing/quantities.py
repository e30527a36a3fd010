"""How much of a meter was used in a stretch of local days, for many customers with one query."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import Case, F, QuerySet, When

from billing import metering
from billing.maths import pricing
from billing.maths.timeline import Fees, Usage
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


type Days = Mapping[tuple[str, str], Sequence[Day]]


def reader(customers: Collection[str], *, since: date | None) -> Callable[[Customer], Usage]:
    """A function from a customer to its usage: `usage(meter id, start, end) -> quantity` in [start, end).

    Days before `since` are not read, and none before somebody asks: many terms have no meter.
    """
    read = cache(lambda: _sorted(wanted(customers, since=since)))
    return lambda customer: _Used(customer.pk, read)


def wanted(customers: Collection[str], *, since: date | None) -> QuerySet[UsageDay, Any]:
    """What has to be read for `told`: (customer id, meter id, how it adds up, day, value)."""
    rows = UsageDay.objects.filter(customer__id__any=customers).order_by("day")
    rows = rows.filter(day__gte=since) if since else rows
    return rows.values_list("customer_id", "meter_id", "meter__aggregation", "day", _OF_A_DAY)


def told(rows: Iterable[Any]) -> Callable[[Customer], Usage]:
    """The `reader` of rows that were `wanted`."""
    known = _sorted(rows)
    return lambda customer: _Used(customer.pk, lambda: known)


def _sorted(rows: Iterable[Any]) -> tuple[Days, Mapping[str, str]]:
    """The days by customer and meter, and how each meter adds up."""
    days: dict[tuple[str, str], list[Day]] = defaultdict(list)
    adds_up: dict[str, str] = {}
    for customer, meter, aggregation, day, value in rows:
        days[customer, meter].append((day, value))
        adds_up[meter] = aggregation
    return days, adds_up


@dataclass(frozen=True, slots=True)
class _Used:
    """What one customer used: a `Usage` that also `KnowsEvents`."""

    customer: str
    read: Callable[[], tuple[Days, Mapping[str, str]]]

    def __call__(self, meter: str, start: date, end: date) -> Decimal:
        found, adds_up = self._found(meter, start, end), self.read()[1].get(meter, "")
        if found and adds_up == Meter.Aggregation.UNIQUE:
            return metering.quantity(self.customer, meter, start, end)
        return quantity(adds_up, found) if found else ZERO

    def fees(self, price: pricing.Price, start: date, end: date) -> Fees:
        if not self._found(price.meter or "", start, end):
            return Fees(0, 0, ZERO, pricing.NOTHING)
        return metering.fees(self.customer, price, start, end)

    def _found(self, meter: str, start: date, end: date) -> list[Decimal | None]:
        days, _ = self.read()
        return [value for day, value in days.get((self.customer, meter), ()) if start <= day < end]


def quantity(aggregation: str, days: Sequence[Decimal | None]) -> Decimal:
    """The days' values, oldest first, put together as the meter says."""
    values = [value for value in days if value is not None]
    if aggregation == Meter.Aggregation.MAX:
        return max(values, default=ZERO)
    if aggregation == Meter.Aggregation.LAST:
        return values[-1] if values else ZERO
    return sum(values, ZERO)
