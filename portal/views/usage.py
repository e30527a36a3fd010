"""Usage of a meter day by day: the period that runs, or an earlier one."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.formats import date_format

from billing import metering
from billing.maths.periods import Period, local_date
from billing.metering import MeterUsage
from billing.models import Meter
from portal import access, reading
from portal.access import Visit

ADDED = (Meter.Aggregation.SUM, Meter.Aggregation.COUNT)


@access.page("usage")
def usage(request: HttpRequest, visit: Visit) -> HttpResponse:
    found = reading.terms(visit)
    meters = reading.usage(visit, found)
    if not meters:
        return access.show(request, visit, "portal/usage.html", {"meters": []})
    chosen = _chosen(meters, request.GET.get("meter", ""))
    periods = reading.periods(found, chosen.meter, chosen.period)
    period = _period(periods, request.GET.get("from", ""))
    context = {"meters": meters, "chosen": chosen, "period": period, "last": period.end - timedelta(days=1),
               "periods": [(p, p.end - timedelta(days=1)) for p in periods],
               "is_running": period == periods[0], "length": (period.end - period.start).days,
               **_days(visit, chosen, period)}  # fmt: skip
    return access.show(request, visit, "portal/usage.html", context)


def _chosen(meters: list[MeterUsage], code: str) -> MeterUsage:
    if not code:
        return meters[0]
    for one in meters:
        if one.meter.code == code:
            return one
    raise Http404


def _period(periods: list[Period], start: str) -> Period:
    if not start:
        return periods[0]
    for period in periods:
        if period.start.isoformat() == start:
            return period
    raise Http404


def _days(visit: Visit, chosen: MeterUsage, period: Period) -> dict[str, object]:
    """The chart's rows: each day, and where the meter adds up, the sum so far."""
    today = local_date(visit.now, visit.customer.timezone)
    until = max(min(period.end, today + timedelta(days=1)), period.start + timedelta(days=1))
    days = metering.daily(visit.customer, chosen.meter, period.start, until)
    sums = list(accumulate(quantity for _, quantity in days)) if chosen.meter.aggregation in ADDED else []
    used = sums[-1] if sums else metering.quantity(visit.customer, chosen.meter, period.start, period.end)
    return {
        "daily": [(_day(day), [_plain(quantity)]) for day, quantity in days],
        "sums": [(_day(day), [_plain(total)]) for (day, _), total in zip(days, sums, strict=False)],
        "used": used, "busiest": max(days, key=lambda pair: pair[1], default=None),
    }  # fmt: skip


def _day(day: date) -> str:
    return date_format(day, "j M")


def _plain(value: Decimal) -> Decimal:
    return Decimal(f"{value.normalize():f}")
