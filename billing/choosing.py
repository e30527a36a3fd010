"""Which of a plan's prices a subscription is made of, and how many of each."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from billing.maths.periods import Interval, InvalidAnchor, anchor_for
from billing.models import Plan, Price
from billing.refusals import Refused
from billing.timelines import PhaseSpec

MAX_QUANTITY = Decimal(1_000_000_000)
type Items = tuple[tuple[Price, Decimal], ...]


class UnknownPrice(Refused):
    code = "unknown_price"


class InvalidQuantity(Refused):
    code = "invalid_quantity"


class AnchorRefused(Refused):
    """No period of the interval can start there."""

    code = "invalid_anchor"


def cadence(plan: Plan, currency: str, usual: str = "month") -> str:
    """The interval where nobody said one: the usual one, or the only one that the plan is sold by.

    Raises UnknownPrice where that leaves a choice.
    """
    prices = [p for p in plan.prices.all() if p.active and p.currency == currency]
    sold = {str(p.interval) for p in prices if p.kind == "recurring"}
    sold = sold or {str(p.interval) for p in prices if p.kind == "minimum"}
    if usual in sold or not sold:
        return usual
    if len(sold) > 1:
        named = " or ".join(sorted(sold))
        raise UnknownPrice(f"{plan.name} has no {usual} price in {currency}: say {named}.", field="interval")
    return sold.pop()


def choose_items(
    plan: Plan,
    *,
    interval: str,
    currency: str,
    quantity: Decimal | int | None = None,
    quantities: Mapping[str, Decimal] | None = None,
) -> tuple[tuple[Price, Decimal], ...]:
    """The plan's prices for an interval and currency, with how many of each.

    `quantity` counts the per-unit price (seats); `quantities` names prices by code, 0 of what is not taken (yet).
    Usage prices come along: of a meter that is sold by several intervals those of this one. Raises UnknownPrice,
    InvalidQuantity.
    """
    prices = [p for p in plan.prices.all() if p.active and p.currency == currency]
    if not prices:
        _refuse_currency(plan, currency)
    by_interval = {p.meter_id for p in prices if p.kind == "usage" and p.interval == interval}
    chosen = [
        p for p in prices
        if p.kind == "one_time" or p.interval == interval or (p.kind == "usage" and p.meter_id not in by_interval)
    ]  # fmt: skip
    metered_only = bool(prices) and all(p.kind in ("usage", "minimum") for p in prices)
    if not metered_only and not any(p.kind == "recurring" for p in chosen):
        raise UnknownPrice(f"{plan.name} has no {interval} price in {currency}.", field="interval")
    wanted = dict(quantities or {})
    unknown = wanted.keys() - {p.code for p in chosen}
    if unknown:
        raise UnknownPrice(f"{plan.name} has no price {sorted(unknown)[0]}.", field="quantities")
    chosen.sort(key=lambda p: p.kind == "minimum")  # papers say what it adds last
    return tuple((p, _quantity_of(p, wanted, quantity)) for p in chosen)


def _refuse_currency(plan: Plan, currency: str) -> None:
    sold = sorted({p.currency for p in plan.prices.all() if p.active})
    if sold:
        words = f"{plan.name} is not sold in {currency}, only in {', '.join(sold)}."
        raise UnknownPrice(words, field="currency")


def refuse_uncounted(
    plan: Plan,
    prices: Iterable[Price],
    quantity: Decimal | int | None,
    quantities: Mapping[str, Decimal] | None,
) -> None:
    """Whoever asks for five of what is sold as a whole would pay for one. Raises InvalidQuantity.

    For whoever asks, not for what was agreed: terms that a billing run works out again are taken as they are.
    """
    counted = {price.code: price.kind != "usage" and price.model != "flat" for price in prices}
    if quantity not in (None, 1) and not any(counted.values()):
        raise InvalidQuantity(f"{plan.name} has no seats: its prices are for the whole.", field="quantity")
    for code, count in (quantities or {}).items():
        if not counted.get(code, True) and count not in (0, 1):
            raise InvalidQuantity(
                f"{code} is for the whole: it is taken once, or 0 times.", field="quantities"
            )


def requantified(
    items: tuple[tuple[Price, Decimal], ...],
    quantity: Decimal | int | None,
    quantities: Mapping[str, Decimal] | None,
) -> tuple[tuple[Price, Decimal], ...]:
    """The same prices, also ones no longer sold, in other quantities. Raises UnknownPrice, InvalidQuantity."""
    wanted = dict(quantities or {})
    unknown = wanted.keys() - {price.code for price, _ in items}
    if unknown:
        raise UnknownPrice(f"The subscription has no price {min(unknown)}.", field="quantities")
    changed = quantity is not None
    return tuple(
        (
            price,
            _quantity_of(price, wanted, quantity)
            if price.code in wanted or (changed and price.kind == "recurring")
            else had,
        )
        for price, had in items
    )


def _quantity_of(price: Price, wanted: Mapping[str, Decimal], quantity: Decimal | int | None) -> Decimal:
    if price.kind == "usage":
        return Decimal(1)
    given = wanted.get(price.code, quantity if price.model != "flat" else None)
    value = Decimal(1) if given is None else Decimal(given)
    field = "quantities" if price.code in wanted else "quantity"
    if not value.is_finite() or not 0 <= value < MAX_QUANTITY or (value == 0 and price.code not in wanted):
        raise InvalidQuantity("The quantity must be more than 0 and less than 1,000,000,000.", field=field)
    if price.model == "per_unit" and value != value.to_integral_value():
        raise InvalidQuantity("Seats are whole numbers.", field=field)
    return value


def seats(specs_items: Sequence[tuple[Price, Decimal]]) -> Decimal | None:
    """How many of the per-unit recurring price, the first that is taken; None where there is none."""
    return next((q for p, q in specs_items if p.kind == "recurring" and p.model != "flat" and q), None)


def anchored(interval: str, start: date, rule: str | int) -> date:
    """Where periods are counted from; see `periods.anchor_for`. Raises AnchorRefused."""
    try:
        return anchor_for(Interval(interval), start, rule)
    except InvalidAnchor as error:
        raise AnchorRefused(str(error), field="anchor") from error


def interval_of(spec: PhaseSpec) -> str:
    """The interval of the recurring price; of the usage price where there is no other."""
    prices = sorted((p for p, _ in spec.items if p.interval), key=lambda p: p.kind != "recurring")
    return str(prices[0].interval)
