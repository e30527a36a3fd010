"""What a customer may use: the features and limits of the plans that it has."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Q

from billing import metering
from billing.maths.periods import local_date
from billing.models import Customer, Entitlement, Plan, Subscription


@dataclass(frozen=True, slots=True)
class Granted:
    """One feature. Without a limit it is simply on; `used` is known for limits that a meter or the team
    counts."""

    feature: str
    name: str
    limit: Decimal | None
    used: Decimal | None


def limit_of(customer: Customer, feature: str, now: datetime) -> Decimal | None:
    """How much of a feature the running plans allow; the widest counts. None: without limit, or no plan at all."""
    plans = Plan.objects.filter(_running(local_date(now, customer.timezone), customer)).distinct()
    limits = [row.limit for row in Entitlement.objects.filter(plan__in=plans, feature=feature)]
    if None in limits or len(limits) < plans.count():
        return None
    return max(limits, default=None)  # type: ignore[type-var]


def _running(today: date, customer: Customer, prefix: str = "") -> Q:
    """Plans (or, with a prefix, rows of theirs) of which a phase runs today in a live subscription."""
    at = f"{prefix}phase__"
    begun, open_ended = Q(**{f"{at}start_on__lte": today}), Q(**{f"{at}end_on__isnull": True})
    lasting = open_ended | Q(**{f"{at}end_on__gt": today})
    live = Q(**{f"{at}subscription__customer": customer, f"{at}subscription__status__in": Subscription.LIVE})
    return begun & lasting & live


def granted(customer: Customer, now: datetime) -> list[Granted]:
    """By name; where two subscriptions grant the same feature, the wider one counts. Five queries at most."""
    today = local_date(now, customer.timezone)
    rows = Entitlement.objects.filter(_running(today, customer, "plan__"))
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
