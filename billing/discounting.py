"""Who may have a discount, for how long, and how often it is given. One discount holds at a time; a new one
takes the place of the old."""

from dataclasses import replace
from datetime import datetime

from django.db.models import F, Q

from billing.choosing import interval_of
from billing.maths.periods import Cycle, Interval
from billing.models import Discount, Plan
from billing.refusals import Refused
from billing.timelines import PhaseSpec


class DiscountRefused(Refused):
    """The discount cannot be given here and now; the message says why."""

    code = "discount_refused"


class DiscountExpired(DiscountRefused):
    code = "discount_expired"


class DiscountUsedUp(DiscountRefused):
    code = "discount_used_up"


class DiscountNotForPlan(DiscountRefused):
    code = "discount_not_for_plan"


class DiscountCurrency(DiscountRefused):
    code = "discount_currency"


def check(discount: Discount, *, plan: Plan, currency: str, now: datetime) -> None:
    """Raises the DiscountRefused that stands in the way, if any."""
    if discount.expires_at is not None and discount.expires_at <= now:
        raise DiscountExpired("This code has expired.", field="discount")
    if discount.max_redemptions is not None and discount.redemptions >= discount.max_redemptions:
        raise DiscountUsedUp("This code has been used up.", field="discount")
    if discount.amount_off is not None and discount.currency != currency:
        raise DiscountCurrency(f"This code is for prices in {discount.currency}.", field="discount")
    plans = set(discount.plans.values_list("pk", flat=True))
    if plans and plan.pk not in plans:
        raise DiscountNotForPlan(f"This code is not for {plan.name}.", field="discount")


def redeem(discount: Discount) -> None:
    """Count one use; the last one goes to one of many who ask at once. Raises DiscountUsedUp."""
    within = Q(max_redemptions__isnull=True) | Q(redemptions__lt=F("max_redemptions"))
    if not Discount.objects.filter(within, pk=discount.pk).update(redemptions=F("redemptions") + 1):
        raise DiscountUsedUp("This code has just been used up.", field="discount")


def give_back(discount: Discount) -> None:
    """Take the count back: nobody got it after all."""
    Discount.objects.filter(pk=discount.pk, redemptions__gt=0).update(redemptions=F("redemptions") - 1)


def lasting(spec: PhaseSpec) -> list[PhaseSpec]:
    """A phase with a discount as the periods for which it is given, and the rest. The period that runs on the
    first day counts as one, also when only a part of it is billed."""
    discount = spec.discount
    if discount is None or discount.duration == "forever":
        return [spec]
    cycle = Cycle(Interval(interval_of(spec)), spec.anchor_on)
    periods = 1 if discount.duration == "once" else discount.periods or 1
    last = cycle.boundary(cycle.index_at(spec.start_on) + periods)
    if spec.end_on is not None and spec.end_on <= last:
        return [spec]
    rest = replace(
        spec, start_on=last, discount=None, starts_at=None, row=None, prorate=True,
        wishes={"ends": {"discount": discount.pk}},
    )  # fmt: skip
    return [replace(spec, end_on=last), rest]
