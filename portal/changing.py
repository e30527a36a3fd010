"""A change that the customer makes: when it starts, what it costs, and making it only as it was shown."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction

from billing import falling_due, starting, subscribing
from billing.models import Entitlement, Plan, Subscription
from billing.refusals import Refused
from billing.subscribing import Change
from portal.access import Visit
from portal.reading import Terms


class SoldByPeople(Refused):
    """This plan is not for the portal to sell: ask for it."""

    code = "plan_needs_sales"


class TooManySeats(Refused):
    code = "too_many_seats"


class NothingChanges(Refused):
    code = "nothing_changes"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the customer wants instead. `quantity` is None for plans without seats."""

    plan: Plan
    interval: str
    quantity: Decimal | None

    def query(self) -> dict[str, str]:
        seats = {} if self.quantity is None else {"quantity": f"{self.quantity:f}"}
        return {"plan": self.plan.code, "interval": self.interval, **seats}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a preview says. `token` carries it through the confirmation."""

    wish: Wish
    effective: Literal["now", "period_end"]
    change: Change

    @property
    def token(self) -> str:
        change = self.change
        credit = (change.credit_to_invoices, change.credit_to_balance, change.credit_held_back)
        figures = (change.effective_on.isoformat(), change.subtotal, change.tax_total, change.total, *credit)
        return "|".join(str(figure) for figure in figures)


def starts(one: Terms, wish: Wish, *, less_at_once: bool) -> Literal["now", "period_end"]:
    """More starts at once, less at the end of what is paid unless the seller has it otherwise; in a trial everything
    at its end, for nothing."""
    if one.running.free:
        return "period_end"
    has = starting.size(one.plan, one.interval, one.seats)
    wants = starting.size(wish.plan, wish.interval, wish.quantity)
    return "period_end" if wants < has and not less_at_once else "now"


def check(one: Terms, wish: Wish, limit: Decimal | None) -> None:
    """Raises SoldByPeople, TooManySeats, NothingChanges."""
    if wish.plan.pk != one.plan.pk and not wish.plan.self_serve:
        raise SoldByPeople(
            f"{wish.plan.name} comes with a person who sets it up. Ask for it below.", field="plan"
        )
    if limit is not None and wish.quantity is not None and wish.quantity > limit:
        raise TooManySeats(f"{wish.plan.name} has at most {limit:,.0f} seats.", field="quantity")
    if (wish.plan.pk, wish.interval, wish.quantity) == (one.plan.pk, one.interval, one.seats):
        raise NothingChanges("This is what you have. Change the plan, the billing or the seats.")


def preview(*, visit: Visit, one: Terms, wish: Wish) -> Shown:
    """What the wish would do. Writes nothing. Raises Refused."""
    limit = (
        Entitlement.objects.filter(plan=wish.plan, feature="seats").values_list("limit", flat=True).first()
    )
    check(one, wish, limit)
    effective = starts(one, wish, less_at_once=visit.seller.downgrades_at_once)
    change = subscribing.preview(
        subscription=one.subscription, now=visit.now, effective=effective, with_next=True, **_terms(one, wish)
    )
    return Shown(wish, effective, change)


@transaction.atomic
def confirm(*, visit: Visit, one: Terms, wish: Wish, token: str) -> tuple[Shown, Change | None]:
    """Make the change if it still is what was shown; else the new preview and None. Raises Refused."""
    falling_due.current(one.subscription, visit.now)
    shown = preview(visit=visit, one=one, wish=wish)
    if shown.token != token:
        return shown, None
    change = subscribing.change(
        subscription=one.subscription, now=visit.now, actor=visit.actor, source="portal",
        effective=shown.effective, **_terms(one, wish),
    )  # fmt: skip
    starting.collect_soon(change.invoice if one.by_invoice else None)
    return shown, change


def _terms(one: Terms, wish: Wish) -> dict[str, Any]:
    """Only what differs: terms that stay keep their own prices."""
    wishes: dict[str, Any] = {"quantity": wish.quantity}
    if wish.plan.pk != one.plan.pk:
        wishes["plan"] = wish.plan
    if wish.interval != one.interval or "plan" in wishes:
        wishes["interval"] = wish.interval
    return wishes


def ends_on(subscription: Subscription, paid_until: date) -> date:
    """When a cancellation that is asked for now would take effect."""
    return subscription.contract_end_on or paid_until
