"""Who may have a discount, for how long, and how often it is given. Several that hold at once are one discount made
of them; what is given anew takes the place of what was, and who stays in it keeps its end."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime

from django.db.models import F, Q

from billing import wishes
from billing.choosing import interval_of
from billing.maths.periods import Cycle, Interval
from billing.models import Discount, Plan
from billing.refusals import Refused
from billing.timelines import PhaseSpec

MOST = 5


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


class DiscountTwice(DiscountRefused):
    code = "discount_twice"


class TooManyDiscounts(DiscountRefused):
    code = "too_many_discounts"


def together(discounts: Sequence[Discount]) -> Discount | None:
    """Several discounts as one, taken off in this order. Raises DiscountRefused for too many, or one twice."""
    if len({discount.pk for discount in discounts}) < len(discounts):
        raise DiscountTwice("The same discount is named twice.", field="discounts")
    if len(discounts) > MOST:
        raise TooManyDiscounts(f"At most {MOST} discounts at once.", field="discounts")
    return Discount.together(discounts)


def fresh(discount: Discount | None, before: Discount | None = None) -> list[Discount]:
    """The discounts that are given with it and were not held before."""
    held = {member.pk for member in before.members} if before else set()
    return [member for member in discount.members if member.pk not in held] if discount else []


def check(discounts: Iterable[Discount], *, plan: Plan, currency: str, now: datetime) -> None:
    """Raises the DiscountRefused that stands in the way of one of them, if any."""
    for discount in discounts:
        _check(discount, plan=plan, currency=currency, now=now)


def _check(discount: Discount, *, plan: Plan, currency: str, now: datetime) -> None:
    if discount.expires_at is not None and discount.expires_at <= now:
        raise DiscountExpired("This code has expired.", field="discount")
    if discount.max_redemptions is not None and discount.redemptions >= discount.max_redemptions:
        raise DiscountUsedUp("This code has been used up.", field="discount")
    if discount.amount_off is not None and discount.currency != currency:
        raise DiscountCurrency(f"This code is for prices in {discount.currency}.", field="discount")
    plans = {each.pk for each in discount.plans.all()}
    if plans and plan.pk not in plans:
        raise DiscountNotForPlan(f"This code is not for {plan.name}.", field="discount")
    if not discount.reaches_something_of(plan):
        raise DiscountNotForPlan(f"{plan.name} has nothing that this code is for.", field="discount")


def hold(discounts: Iterable[Discount]) -> None:
    """Nobody else counts these until the transaction ends."""
    held = Discount.objects.select_for_update(no_key=True).order_by("pk")
    list(held.filter(pk__in=[each.pk for each in discounts]).values_list("pk"))


def redeem(discounts: Iterable[Discount]) -> None:
    """Count one use of each; the last one goes to one of many who ask at once. Raises DiscountUsedUp."""
    within = Q(max_redemptions__isnull=True) | Q(redemptions__lt=F("max_redemptions"))
    for discount in sorted(discounts, key=lambda each: each.pk):
        rows = Discount.objects.filter(within, pk=discount.pk)
        if not rows.update(redemptions=F("redemptions") + 1):
            raise DiscountUsedUp("This code has just been used up.", field="discount")


def give_back(discount: Discount) -> None:
    """Take the count back: nobody got it after all."""
    Discount.objects.filter(pk=discount.pk, redemptions__gt=0).update(redemptions=F("redemptions") - 1)


def lasting(specs: Sequence[PhaseSpec], given: PhaseSpec, discounts: Iterable[Discount]) -> list[PhaseSpec]:
    """The phases with an end of each of these discounts, which are given from the first day of `given` on, in a trial
    from the day after it. The period that runs on that day counts as one, also when only a part of it is billed."""
    found = list(specs)
    first = _first_paid(specs, given)
    for discount in discounts:
        if discount.duration != "forever":
            cycle = Cycle(Interval(interval_of(first)), first.anchor_on)
            periods = 1 if discount.duration == "once" else discount.periods or 1
            last = cycle.boundary(cycle.index_at(first.start_on) + periods)
            found = [part for spec in found for part in _ended(spec, last, discount, given.start_on)]
    return found


def _first_paid(specs: Sequence[PhaseSpec], given: PhaseSpec) -> PhaseSpec:
    """The phase itself; for one in a trial the first after it."""
    after = (
        s for s in specs if s.start_on >= given.start_on and not s.empty and not (s.free and not s.paused)
    )
    return next(after, given)


def _ended(spec: PhaseSpec, last: date, discount: Discount, given_on: date) -> list[PhaseSpec]:
    """The phase cut where the discount ends. One that begins there and follows what is before it remembers that;
    agreed terms (a quote's) stay what they are."""
    if spec.start_on == last and not spec.empty and spec.wishes is not None:
        ends = wishes.ending(spec.wishes.get("ends", {}), discount, given_on)
        return [replace(spec, wishes={**spec.wishes, "ends": ends})]
    held = spec.discount is not None and discount in spec.discount.members
    if not (held and spec.start_on < last and (spec.end_on is None or last < spec.end_on)):
        return [spec]
    assert spec.discount is not None
    rest = replace(
        spec, start_on=last, discount=spec.discount.without([discount.pk]), starts_at=None, row=None, prorate=True,
        wishes={"ends": wishes.ending({}, discount, given_on)},
    )  # fmt: skip
    return [replace(spec, end_on=last), rest]
