"""Why an amount is what it is, in plain values (text, whole numbers, lists): enough to compute it again."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from billing.maths.discounts import Discount
from billing.maths.money import plain, round_ratio, share
from billing.maths.phases import full_amount
from billing.maths.pricing import (
    WHOLE,
    PerTransaction,
    Price,
    PriceKind,
    TierRow,
    explain,
    spend_limits,
    unlimited_ratio,
    whole_tiers,
)
from billing.maths.stretches import Claim

if TYPE_CHECKING:
    from billing.maths.timeline import Fees

ROUNDING = "half away from zero, once"


def explanation_of(claim: Claim, quantity: Decimal) -> dict[str, Any]:
    """`included`, `package_size`, `maximum` and `unlimited` are there when the price has them.

    Equal claims may share one answer: it is not to be changed.
    """
    return _measured(claim, quantity) if claim.item.price.kind == PriceKind.USAGE else _fixed(claim)


@lru_cache(maxsize=2048)
def _fixed(claim: Claim) -> dict[str, Any]:
    """The quantity of a price that is not measured is the item's: many claims are equal."""
    return _measured(claim, claim.item.quantity)


def _measured(claim: Claim, quantity: Decimal) -> dict[str, Any]:
    price = claim.item.price
    explained: dict[str, Any] = {
        "days": claim.days,
        "of_days": claim.period.days,
        "model": str(price.model),
        "quantity": plain(quantity),
        "unit": plain(price.unit_amount),
        "tiers": [],
        "rounding": ROUNDING,
        "policy": _policy(claim),
    }
    measured_over = claim.portion if price.kind == PriceKind.USAGE else WHOLE
    if claim.item.trial:
        days = (claim.end - claim.start).days
        explained |= {"included": plain(price.included), "days": days, "of_days": days}
    elif price.included:
        explained["included"] = plain(Fraction(price.included) * (measured_over if price.prorate else 1))
    if price.package_size:
        explained["package_size"] = plain(price.package_size)
    if price.tiers:
        explained["tiers"] = _tiers(price, explain(price, quantity, measured_over))
    if price.maximum is not None:
        explained |= _limits(price, quantity, claim.portion)
    if claim.beyond is not None:
        had = claim.beyond.item
        explained["beyond"] = {"quantity": plain(had.quantity), "amount": full_amount(had)}
    return explained


def explained_fees(told: dict[str, Any], price: Price, fees: "Fees") -> dict[str, Any]:
    """The explanation with what each event cost: the terms in major units, and how many there were."""
    terms = price.per_transaction or PerTransaction()
    limits = {"minimum": terms.minimum, "maximum": terms.maximum}
    each = {
        "events": fees.events,
        "free_events": fees.free_events,
        "free_amount": plain(fees.free_amount),
        "fixed_amount": plain(terms.fixed_amount),
        **{name: plain(limit) for name, limit in limits.items() if limit is not None},
        "came_to": round_ratio(Fraction(*fees.ratio)),
    }
    return {**told, "per_transaction": each}


def explained_minimum(claim: Claim, gross: int) -> dict[str, Any]:
    """What a minimum spend adds: the minimum for the days charged for, less what the price came to."""
    least, _ = spend_limits(claim.item.price, claim.portion)
    minimum = round_ratio(least or Fraction(0))
    return {
        "days": claim.days,
        "of_days": claim.period.days,
        "minimum": minimum,
        "came_to": minimum - abs(gross),
        "rounding": ROUNDING,
        "policy": "minimum",
    }


def _policy(claim: Claim) -> str:
    price = claim.item.price
    if claim.item.trial:
        return "trial"
    if price.kind == PriceKind.USAGE:
        return "usage"
    if price.kind == PriceKind.ONE_TIME:
        return "once"
    return "whole" if claim.whole else claim.kind


def _tiers(price: Price, rows: Sequence[TierRow]) -> list[dict[str, str | None]]:
    """Tiers that are used up say the same for every quantity."""
    whole, told = whole_tiers(price), _whole(price)
    return [told[n] if n < len(told) and row is whole[n] else _tier(row) for n, row in enumerate(rows)]


@lru_cache(maxsize=1024)
def _whole(price: Price) -> list[dict[str, str | None]]:
    return [_tier(row) for row in whole_tiers(price)]


def _tier(row: TierRow) -> dict[str, str | None]:
    return {
        "from": plain(row.start),
        "to": None if row.end is None else plain(row.end),
        "quantity": plain(row.quantity),
        "unit_amount": plain(row.unit_amount),
        "flat_amount": plain(row.flat_amount),
        "amount": plain(row.amount),
    }


def explained_discount(told: dict[str, Any], claim: Claim, gross: int, discount: int) -> dict[str, Any]:
    """The explanation with what each discount takes off: `off` in minor units, together the line's discount."""
    steps = claim.discount.steps if claim.discount else ()
    offs = share(abs(discount), claim.steps(abs(gross)))
    reaching = [(step, off) for step, off in zip(steps, offs, strict=True) if step.reaches(claim.item.price)]
    return {**told, "discount": [_step(step, off) for step, off in reaching]}


def _step(step: Discount, off: int) -> dict[str, str | int]:
    """`amount_off` is that of a whole period, for all items together, in minor units."""
    if step.amount_off is not None:
        return {"label": step.label, "amount_off": step.amount_off, "off": off}
    return {"label": step.label, "percent_off": plain(step.percent_off or 0), "off": off}


def _limits(price: Price, quantity: Decimal, portion: Fraction) -> dict[str, int]:
    """The maximum and what it would have been without it, in minor units of the days charged for."""
    _, most = spend_limits(price, portion)
    return {
        "maximum": round_ratio(most or Fraction(0)),
        "unlimited": round_ratio(_unlimited(price, quantity, portion)),
    }


def _unlimited(price: Price, quantity: Decimal, portion: Fraction) -> Fraction:
    if price.kind == PriceKind.USAGE:
        return Fraction(*unlimited_ratio(price, quantity, portion))
    return Fraction(*unlimited_ratio(price, quantity)) * portion
