"""What a customer may use: the features and limits of the plans that it has."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from billing import metering
from billing.maths.periods import local_date
from billing.models import Customer, Entitlement, Subscription


@dataclass(frozen=True, slots=True)
class Granted:
    """One feature. Without a limit it is simply on; `used` is known for limits that a meter or the team
    counts."""

    feature: str
    name: str
    limit: Decimal | None
    used: Decimal | None


def granted(customer: Customer, now: datetime) -> list[Granted]:
    """By name; where two subscriptions grant the same feature, the wider one counts. Five queries at most."""
    today = local_date(now, customer.timezone)
    running = Q(plan__phase__start_on__lte=today) & (
        Q(plan__phase__end_on__isnull=True) | Q(plan__phase__end_on__gt=today)
    )
    rows = Entitlement.objects.filter(
        running, plan__phase__subscription__customer=customer,
        plan__phase__subscription__status__in=Subscription.LIVE,
    )  # fmt: skip
    widest: dict[str, Entitlement] = {}
    for row in rows.distinct().order_by("feature", "limit"):  # nulls last: no limit is the widest
        widest[row.feature] = row
    used = _used(customer, now, widest)
    return [Granted(row.feature, row.name, row.limit, used.get(row.feature)) for row in widest.values()]


def _used(customer: Customer, now: datetime, rows: dict[str, Entitlement]) -> dict[str, Decimal]:
    meters = {usage.meter.pk: usage.used for usage in metering.current(customer, now)}
    used = {feature: meters.get(row.meter_id, Decimal(0)) for feature, row in rows.items() if row.meter_id}
    if "seats" in rows:
        used["seats"] = Decimal(customer.members.filter(removed_at__isnull=True).count())
    return used
