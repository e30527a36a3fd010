"""How much of a meter was used in a stretch of local days, for many customers with one query."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Case, F, QuerySet, When

from billing import metering
from billing.maths import pricing
from billing.maths.timeline import Fees, Usage
from billing.models import Customer, Meter, UsageDay
from billing.models.ids import array_of
from billing.remembering import RememberedValues, Slot

ZERO = Decimal(0)
type Values = Sequence[Decimal | None]
type Days = tuple[Sequence[date], Values]
"""The days on which something was used, oldest first, and what each says."""
type ByMeter = Mapping[tuple[str, str], Days]

NO_DAYS: Days = (), ()

# What one day says, by how the meter adds up. Unique values are counted from the events themselves.
_OF_A_DAY = Case(
    When(meter__aggregation=Meter.Aggregation.COUNT, then=F("count")),
    When(meter__aggregation=Meter.Aggregation.MAX, then=F("peak")),
    When(meter__aggregation=Meter.Aggregation.LAST, then=F("last")),
    default=F("total"),
    output_field=UsageDay._meta.get_field("total"),
)


def reader(
    customers: Collection[str], *, since: date | None, until: date | None = None
) -> Callable[[Customer], Usage]:
    """A function from a customer to its usage: `usage(meter id, start, end) -> quantity` in [start, end).

    Days before `since`, and from `until` on, are not read, and none before somebody asks: many terms have no meter.
    """
    asked = {"customers": array_of(customers), "since": since or date.min, "until": until or date.max}
    read = cache(lambda: _by_meter(_wanted().fetch(asked)))
    return lambda customer: _Used(customer.pk, read)


@cache
def _wanted() -> RememberedValues:
    return RememberedValues(wanted(Slot("customers"), since=Slot("since"), until=Slot("until")))


def wanted(
    customers: Collection[str] | Slot, *, since: date | Slot, until: date | Slot = date.max
) -> QuerySet[UsageDay, Any]:
    """What has to be read for `told`: (customer id, meter id, how it adds up, its `Days`), a row for each meter."""
    rows = UsageDay.objects.filter(customer__id__any=customers, day__gte=since, day__lt=until)
    meters = rows.values("customer_id", "meter_id", "meter__aggregation").order_by()
    days = {"days": ArrayAgg("day", order_by="day"), "told": ArrayAgg(_OF_A_DAY, order_by="day")}
    return meters.annotate(**days).values_list("customer_id", "meter_id", "meter__aggregation", *days)


def told(rows: Iterable[Any]) -> Callable[[Customer], Usage]:
    """The `reader` of rows that were `wanted`."""
    known = _by_meter(rows)
    return lambda customer: _Used(customer.pk, lambda: known)


def _by_meter(rows: Iterable[Any]) -> tuple[ByMeter, Mapping[str, str]]:
    """The days by customer and meter, and how each meter adds up."""
    days: dict[tuple[str, str], Days] = {}
    adds_up: dict[str, str] = {}
    for customer, meter, aggregation, used_on, told in rows:
        days[customer, meter] = used_on, told
        adds_up[meter] = aggregation
    return days, adds_up


@dataclass(frozen=True, slots=True)
class _Used:
    """What one customer used: a `Usage` that also `KnowsEvents`."""

    customer: str
    read: Callable[[], tuple[ByMeter, Mapping[str, str]]]

    def __call__(self, meter: str, start: date, end: date) -> Decimal:
        found, adds_up = self._found(meter, start, end), self.read()[1].get(meter, "")
        if found and adds_up == Meter.Aggregation.UNIQUE:
            return metering.quantity(self.customer, meter, start, end)
        return quantity(adds_up, found) if found else ZERO

    def fees(self, price: pricing.Price, start: date, end: date) -> Fees:
        if not self._found(price.meter or "", start, end):
            return Fees(0, 0, ZERO, pricing.NOTHING)
        return metering.fees(self.customer, price, start, end)

    def _found(self, meter: str, start: date, end: date) -> Values:
        by_meter, _ = self.read()
        days, values = by_meter.get((self.customer, meter), NO_DAYS)
        return values[bisect_left(days, start) : bisect_left(days, end)]


def quantity(aggregation: str, days: Values) -> Decimal:
    """The days' values, oldest first, put together as the meter says."""
    values = [value for value in days if value is not None]
    if aggregation == Meter.Aggregation.MAX:
        return max(values, default=ZERO)
    if aggregation == Meter.Aggregation.LAST:
        return values[-1] if values else ZERO
    return sum(values, ZERO)
