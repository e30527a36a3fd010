"""What a change asks for, made into the terms of a phase.

A change that waits is kept with its phase as what it asks for, not only as what came out: when something
before it changes, is removed or is added, the later ones are worked out again on top (`follow`). The ends of
a trial, a pause and a discount wait in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from itertools import takewhile
from typing import Any, Literal, Self

from billing.choosing import Items, anchored, cadence, choose_items, interval_of, requantified, seats
from billing.maths.periods import ONE_DAY
from billing.models import Discount, Plan
from billing.timelines import PhaseSpec

KEEP: Any = object()
# Wishes after which quantities that were named by the codes of prices before say nothing any more.
OTHER_PRICES = {"plan", "interval", "quantity", "reprice"}
# What a phase takes over from the one before it.
TERMS = (
    "plan", "items", "anchor_on", "discount", "collection_method", "net_days", "motion", "po_number", "free", "paused",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """New terms; what is None or KEEP stays as it is. `anchor`: where periods are counted from, as at a start;
    `reprice`: the prices of today instead of those that were agreed."""

    plan: Plan | None = None
    interval: str | None = None
    quantity: Decimal | int | None = None
    quantities: Mapping[str, Decimal] | None = None
    discount: Any = KEEP
    collection_method: str | None = None
    net_days: Any = KEEP
    motion: str | None = None
    anchor: str | int | None = None
    proration: Literal["prorate", "none"] = "prorate"
    reprice: bool = False

    def stored(self) -> dict[str, Any]:
        """As plain JSON, without what stays."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: _plain(value) for name, value in given.items() if value is not _UNSAID[name]}

    @property
    def is_about_paying(self) -> bool:
        """Is nothing wished for but how it is paid? Then no day costs anything else."""
        return bool(said := self.stored().keys()) and said <= {"collection_method", "net_days"}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """The wish that `stored` stands for."""
        given = {name: value for name, value in stored.items() if name in _UNSAID}
        if given.get("plan"):
            given["plan"] = Plan.objects.get(pk=given["plan"])
        if given.get("discount"):
            given["discount"] = Discount.objects.get(pk=given["discount"])
        if given.get("quantity") is not None:
            given["quantity"] = Decimal(given["quantity"])
        if given.get("quantities"):
            given["quantities"] = {code: Decimal(n) for code, n in given["quantities"].items()}
        return cls(**given)


_UNSAID = {f.name: f.default for f in fields(Wish)}


def _plain(value: Any) -> Any:
    if isinstance(value, Plan | Discount):
        return value.pk
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {name: str(n) for name, n in value.items()}
    return value


def terms(old: PhaseSpec, wish: Wish, on: date) -> dict[str, Any]:
    """The terms of a phase from `on` that follows `old`. Raises UnknownPrice, InvalidQuantity."""
    target = wish.plan or old.plan
    rhythm = wish.interval or _usual_cadence(old, target)
    same = target == old.plan and rhythm == interval_of(old) and not wish.reprice
    return {
        **{name: getattr(old, name) for name in TERMS},
        "plan": target,
        "items": requantified(old.items, wish.quantity, wish.quantities) if same else _chosen(old, wish, target, rhythm),
        "anchor_on": _anchor(old, wish, rhythm, on),
        "discount": _discount(old, target) if wish.discount is KEEP else wish.discount,
        "collection_method": wish.collection_method or old.collection_method,
        "net_days": old.net_days if wish.net_days is KEEP else wish.net_days,
        "motion": wish.motion or (target.motion if target != old.plan else old.motion),
        "prorate": wish.proration != "none" or old.free,
    }  # fmt: skip


def _discount(old: PhaseSpec, plan: Plan) -> Discount | None:
    """What goes on of the discount; on another plan, what is not limited to plans without it."""
    return old.discount if old.discount is None or plan == old.plan else old.discount.on(plan)


def _usual_cadence(old: PhaseSpec, target: Plan) -> str:
    """As before, where the new plan is sold by that."""
    had = interval_of(old)
    return had if target == old.plan else cadence(target, old.items[0][0].currency, had)


def _chosen(old: PhaseSpec, wish: Wish, plan: Plan, interval: str) -> Any:
    """Other prices, for as many seats as before unless the wish names them; on the same plan, as many of each."""
    quantity, quantities = wish.quantity, wish.quantities
    if quantity is None and quantities is None:
        quantity = seats(old.items)
        quantities = _same_codes(old, plan, interval) if plan == old.plan else None
    return choose_items(
        plan, interval=interval, currency=old.items[0][0].currency, quantity=quantity, quantities=quantities
    )


def _same_codes(old: PhaseSpec, plan: Plan, interval: str) -> dict[str, Decimal] | None:
    """How many of each price that the plan still sells under the same code, if any."""
    sold = plan.prices.filter(active=True, interval=interval, currency=old.items[0][0].currency)
    codes = set(sold.values_list("code", flat=True))
    return {
        price.code: n for price, n in old.items if price.kind == "recurring" and price.code in codes
    } or None


def _anchor(old: PhaseSpec, wish: Wish, cadence: str, on: date) -> date:
    """Another interval starts a new cycle on its first day, which is the end of the paid period where the change does
    not prorate; a wish for a billing day moves the cycle there."""
    if wish.anchor is not None:
        return anchored(cadence, on, wish.anchor)
    if cadence == interval_of(old):
        return old.anchor_on
    return on if wish.proration == "prorate" or old.free else _paid_until(old, on)


def _paid_until(old: PhaseSpec, on: date) -> date:
    """The end of what is paid for on the day; of a period that begins on it, if `old` had begun as well."""
    period = old.pure().period_at(on)
    return on if period is None or period.start == on != old.start_on else period.end


# -- A pause ------------------------------------------------------------------------------------------------

GOES_ON = {"ends": {"free": False, "paused": False}}


def pausing(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a pause wishes for on its first day; `facts` are told when that has come."""
    return {"pause": dict(facts), "ends": {"free": True, "paused": True}}


def pauses(spec: PhaseSpec) -> bool:
    """Whether a pause was asked for from its first day."""
    return spec.wishes is not None and "pause" in spec.wishes


def _unpaused(specs: Sequence[PhaseSpec], first: PhaseSpec) -> list[PhaseSpec]:
    """The phases as if no pause had begun with `first`, which stays for what else ends on its day."""
    assert first.wishes is not None
    at, ends = specs.index(first), _without_pause(first.wishes["ends"])
    found = [
        replace(spec, free=False, paused=False) if spec.paused and spec.start_on >= first.start_on else spec
        for spec in specs
    ]
    found = without_way_back(found, first.start_on)
    if ends:
        return [*found[:at], replace(found[at], wishes={"ends": ends}), *found[at + 1 :]]
    return _dropped(found, at)


def without_way_back(specs: Sequence[PhaseSpec], after: date) -> list[PhaseSpec]:
    """The phases without the end of a pause that was to come after that day: it would end the next pause too. What else
    was asked for that day, or ends on it, stays."""
    found = list(specs)
    for spec in specs:
        if spec.start_on > after and spec.wishes and _goes_on(spec.wishes):
            at, ends = found.index(spec), _without_pause(spec.wishes["ends"])
            asked = {name: value for name, value in spec.wishes.items() if name != "ends"}
            kept = {**asked, "ends": ends} if ends else asked
            found = (
                [*found[:at], replace(spec, wishes=kept), *found[at + 1 :]] if kept else _dropped(found, at)
            )
    return found


def _without_pause(ends: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ends.items() if name not in ("free", "paused")}


def _goes_on(stored: Mapping[str, Any]) -> bool:
    return stored.get("ends", {}).get("paused") is False


# -- What waits ---------------------------------------------------------------------------------------------


def follow(specs: Sequence[PhaseSpec], after: date) -> list[PhaseSpec]:
    """The same phases, those that start after `after` and wait worked out again on top of the one before: also of one
    that was replaced on the day it began, since what replaced it was asked for on top of it."""
    found: list[PhaseSpec] = []
    for spec in specs:
        waits = spec.wishes is not None and spec.start_on > after
        found.append(on_top(found, spec) if waits and found else spec)
    return found


def on_top(specs: Sequence[PhaseSpec], spec: PhaseSpec) -> PhaseSpec:
    """The phase worked out again as the one that follows these."""
    assert spec.wishes is not None
    before, day = specs[-1], spec.wishes.get("anchor", _billing_day(specs))
    made = terms(before, Wish.read(spec.wishes), spec.start_on)
    new = replace(spec, **made | _ended(specs, spec, made["discount"]))
    if day is None or "anchor_on" not in spec.wishes.get("ends", {}):
        return new
    return replace(new, anchor_on=anchored(interval_of(new), spec.start_on, day))


def _billing_day(before: Sequence[PhaseSpec]) -> str | int | None:
    """What was wished for last, as `Wish.anchor`, in the trial that ends here."""
    trial = takewhile(lambda spec: spec.free, reversed(before))
    return next((spec.wishes["anchor"] for spec in trial if spec.wishes and "anchor" in spec.wishes), None)


def _ended(specs: Sequence[PhaseSpec], spec: PhaseSpec, discount: Discount | None) -> dict[str, Any]:
    """What the end of a trial, a pause or a discount sets, whatever else is wished for that day; `specs` come before."""
    assert spec.wishes is not None
    ends = spec.wishes.get("ends", {})
    found: dict[str, Any] = {name: ends[name] for name in ("free", "paused") if name in ends}
    if ends.get("paused"):
        found["prorate"] = True  # what is paid for its days is given back, whatever is changed with it
    if "anchor_on" in ends:
        found["anchor_on"] = date.fromisoformat(ends["anchor_on"])
    if discount is not None and "discount" in ends:
        found["discount"] = discount.without(_over(specs, spec))
    return found


def gone(ends: Mapping[str, Any]) -> dict[str, date]:
    """The discounts that end on that day, each with the day from which it had been given; the last day there is where
    that was not kept."""
    named = ends.get("discount", {})
    if isinstance(named, Mapping):
        return {pk: date.fromisoformat(day) for pk, day in named.items()}
    return dict.fromkeys([named] if isinstance(named, str) else named, date.max)


def ending(ends: Mapping[str, Any], discount: Discount, given_on: date) -> dict[str, Any]:
    """What ends on a day, and this discount with it; of one that was given twice until then, the later time counts."""
    also = gone(ends)
    also[discount.pk] = max(given_on, also.get(discount.pk, given_on))
    return {**ends, "discount": {pk: day.isoformat() for pk, day in also.items()}}


def _over(specs: Sequence[PhaseSpec], spec: PhaseSpec) -> list[str]:
    """The discounts whose end this is. One that was dropped since, and given anew later or on this very day, lasts until
    the end that it was given then."""
    assert spec.wishes is not None
    anew = Wish.read(spec.wishes).discount
    named = [member.pk for member in anew.members] if isinstance(anew, Discount) else []
    ends = gone(spec.wishes["ends"]).items()
    return [pk for pk, given_on in ends if pk not in named and _held_since(specs, pk) <= given_on]


def _held_since(specs: Sequence[PhaseSpec], discount: str) -> date:
    """The first of the days in a row, up to the end of these phases, on which the discount held."""
    found = date.min
    for spec in reversed(specs):
        if not spec.empty:
            if spec.discount is None or discount not in [member.pk for member in spec.discount.members]:
                break
            found = spec.start_on
    return found


def joined(earlier: Mapping[str, Any], later: Wish, items: Items) -> dict[str, Any]:
    """Two wishes for one day, as stored: what the later one names wins. `items` came out of both: where the later one
    names other prices, how many of each are wanted is said of these."""
    said = later.stored()
    kept = {name: value for name, value in earlier.items() if name != "proration"}
    named = kept.pop("quantities", None)
    if named is not None and said.keys().isdisjoint(OTHER_PRICES):
        said["quantities"] = {**named, **said.get("quantities", {})}
    elif named is not None and said.keys().isdisjoint({"quantity", "quantities"}):
        said["quantities"] = {price.code: str(n) for price, n in items if price.kind == "recurring"}
    return {**kept, **said}


def removable(spec: PhaseSpec) -> bool:
    """Whether it is there because somebody asked for a change, and not for the end of something alone."""
    return spec.wishes is not None and spec.wishes.keys() != {"ends"}


def without(specs: Sequence[PhaseSpec], gone: PhaseSpec) -> list[PhaseSpec]:
    """The phases as if `gone` had never been asked for: the one before lasts until the next begins. What ends on that
    day by itself still ends."""
    at, ends = specs.index(gone), (gone.wishes or {}).get("ends")
    if pauses(gone):
        kept = _unpaused(specs, gone)
    elif ends is not None:
        kept = [*specs[:at], replace(gone, wishes={"ends": ends}), *specs[at + 1 :]]
    else:
        kept = _dropped(specs, at)
    return follow(kept, gone.start_on - ONE_DAY)


def _dropped(specs: Sequence[PhaseSpec], at: int) -> list[PhaseSpec]:
    """Without one of them: the one that it was asked for on top of lasts as long."""
    return [*specs[: at - 1], replace(specs[at - 1], end_on=specs[at].end_on), *specs[at + 1 :]]
