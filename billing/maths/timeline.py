"""What is owed for a subscription: a pure function of its timeline.

The phases are cut into stretches (`stretches.py`); each of their claims is priced here and becomes an
entry. Entries are never stored: a paper stores lines, and `statement.difference` makes lines of entries.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from billing.maths.discounts import Discount, step_shares
from billing.maths.explaining import explained_discount, explained_fees, explained_minimum, explanation_of
from billing.maths.money import round_half_away, round_ratio, share
from billing.maths.periods import ONE_DAY, Cycle, Interval, Period, add_months
from billing.maths.phases import (
    InvalidTimeline,
    Item,
    Phase,
    PhasesDoNotTouch,
    Timeline,
    full_amount,
    in_force,
    left_for_usage,
)
from billing.maths.pricing import (
    NOTHING,
    Price,
    PriceKind,
    amount_ratio,
    limited_ratio,
    spend_limits,
    unlimited_ratio,
)
from billing.maths.proration import prorated
from billing.maths.recurring import arr, mrr
from billing.maths.stretches import ADVANCE, ARREARS, CREDIT, Claim, claims

__all__ = [
    "ADVANCE",
    "ARREARS",
    "CHARGE",
    "CREDIT",
    "Entry",
    "InvalidTimeline",
    "Item",
    "Key",
    "Phase",
    "PhasesDoNotTouch",
    "Timeline",
    "Usage",
    "arr",
    "coming",
    "current_period",
    "mrr",
    "next_due",
    "owed",
]

CHARGE = "charge"
MINIMUM = ":minimum"  # behind the kind of a key
ONE = Decimal(1)

type Usage = Callable[[str, date, date], Decimal]


class Fees(NamedTuple):
    """What the single events of a stretch cost (`PerTransaction`): how many, how many of them and how much of their
    sum were free, and the exact amount in minor units."""

    events: int
    free_events: int
    free_amount: Decimal
    amount: Fraction

    @property
    def ratio(self) -> tuple[int, int]:
        """The amount, or nothing where corrections outweigh it."""
        return max(self.amount, NOTHING).as_integer_ratio()


@runtime_checkable
class KnowsEvents(Protocol):
    """A Usage that has read single events: `fees` of a price on the local days [start, end). One that has not, such as
    a projection, prices their sum by the percentage alone."""

    def fees(self, price: Price, start: date, end: date) -> Fees: ...


class Key(NamedTuple):
    """What an entry says, without the amount. No two entries of a timeline share a key.

    `kind` is advance, arrears or credit; with MINIMUM behind it what a minimum spend adds. The quantity is the
    item's, not the measured one: a late usage event changes the amount that stands under the key, and so the next
    paper says exactly the difference.
    """

    kind: str
    price: str
    quantity: Decimal
    start: date
    end: date
    period_start: date
    period_end: date
    discount: str

    @property
    def true_up(self) -> bool:
        return self.kind.endswith(MINIMUM)

    @property
    def in_arrears(self) -> bool:
        return self.kind.startswith(ARREARS)


class Entry(NamedTuple):
    """One statement of what is owed, in minor units; the amounts of a credit are negative.

    `span` is what the money is for, `period` the whole notional period, `discount` what is taken off
    `gross` (it has the sign of gross). What a minimum spend adds is an entry of its own: its quantity is one.
    """

    key: Key
    quantity: Decimal
    gross: int
    discount: int
    claim: Claim
    fees: Fees | None = None

    @property
    def net(self) -> int:
        return self.gross - self.discount

    @property
    def kind(self) -> str:
        return CREDIT if self.claim.kind == CREDIT else CHARGE

    @property
    def due_on(self) -> date:
        return self.claim.due_on

    @property
    def span(self) -> Period:
        return Period(self.claim.start, self.claim.end)

    @property
    def period(self) -> Period:
        return self.claim.period

    @property
    def price(self) -> Price:
        return self.claim.item.price

    @property
    def price_key(self) -> str:
        return self.price.key

    @property
    def unit_amount(self) -> Decimal:
        return self.price.unit_amount

    @property
    def billed(self) -> str:
        return ARREARS if self.claim.kind == ARREARS else ADVANCE

    @property
    def label(self) -> str:
        return self.price.label

    @property
    def true_up(self) -> bool:
        return self.key.true_up

    @property
    def explanation(self) -> dict[str, Any]:
        """Plain values with which a reader can compute gross and discount again. Made when asked for."""
        told = (
            explained_minimum(self.claim, self.gross)
            if self.true_up
            else explanation_of(self.claim, self.quantity)
        )
        if self.fees and not self.true_up:
            told = explained_fees(told, self.price, self.fees)
        return explained_discount(told, self.claim, self.gross, self.discount) if self.discount else told


def owed(timeline: Timeline, *, since: date, until: date, usage: Usage) -> list[Entry]:
    """Every entry due on or before `until` whose notional period ends after `since`, in time order.

    usage(meter, start, end) answers the quantity measured on the local days [start, end). Asking later
    gives the same entries and more. On one day the credits of a change stand before the charges, and each
    in the order of the items.
    """
    due = _due(timeline.recent(since), since, until)
    measured = {
        claim: _added(in_force(timeline), claim, usage) if _is_minimum(claim) else _measured(claim, usage)
        for claim, entries in due
        if not entries
    }
    if any(claim.fixed_steps and not claim.item.trial for claim in measured):
        measured = _with_what_is_left(in_force(timeline), measured)
    found: list[Entry] = []
    for claim, entries in due:
        found += entries or measured[claim].entries
    return found


# A billing run asks the same of thousands of subscriptions on equal terms.
@lru_cache(maxsize=4096)
def _due(timeline: Timeline, since: date, until: date) -> tuple[tuple[Claim, tuple[Entry, ...]], ...]:
    """The claims in time order, each with its entries, where they do not depend on what is measured."""
    due = [claim for claim in claims(in_force(timeline), since, until) if claim.due_on <= until]
    due.sort(key=_in_time)
    return tuple((claim, _fixed(claim)) for claim in due)


def coming(timeline: Timeline, *, since: date, after: date, until: date) -> set[Key]:
    """The keys of the entries that fall due after `after` and on or before `until`."""
    found = claims(in_force(timeline), since, until)
    return {
        key
        for claim in found
        if after < claim.due_on <= until
        for key in (_key(claim), *([_key(claim, MINIMUM)] if claim.item.price.minimum is not None else ()))
    }


def next_due(timeline: Timeline, *, after: date) -> date | None:
    """The first day after `after` on which an entry falls due or the subscription ends, if any."""
    days = [
        day for day in (_next_claim(timeline.bare or timeline, after), timeline.end) if day and day > after
    ]
    return min(days, default=None)


@lru_cache(maxsize=4096)
def _next_claim(as_written: Timeline, after: date) -> date | None:
    timeline = in_force(as_written)
    for phase in timeline.phases:
        if phase.end is None or phase.end > after:
            horizon = _horizon(phase, max(after, phase.start))
            dues = (claim.due_on for claim in claims(timeline, after, horizon))
            found = min((due for due in dues if after < due <= horizon), default=None)
            if found:
                return found
    return None


def current_period(timeline: Timeline, on: date) -> Period | None:
    """The whole notional period of the recurring items in force on the day: of what is paid for, where a change does
    not prorate. None outside the subscription."""
    return _period_at(timeline.bare or timeline, on)


@lru_cache(maxsize=2048)
def _period_at(timeline: Timeline, on: date) -> Period | None:
    phase = in_force(timeline).phase_at(on)
    return phase.period_at(on) if phase else None


def _horizon(phase: Phase, day: date) -> date:
    """A day by which something is due if the phase lasts: the first period end, or (an idle phase) 13
    months on, when even the arrears of a year before it are settled.
    """
    if not (phase.costs and phase.cycling):
        return add_months(day, 13)
    return min(item.cycle(phase.anchor).period_at(day).end for item in phase.cycling)


def _in_time(claim: Claim) -> tuple[date, int]:
    """By day; what a change gives back, then what is charged, then what lies beyond the end."""
    if claim.kind != CREDIT:
        return claim.due_on, 1
    return claim.due_on, 0 if claim.start == claim.due_on else 2


def _fixed(claim: Claim) -> tuple[Entry, ...]:
    return () if claim.item.price.kind in (PriceKind.USAGE, PriceKind.MINIMUM) else _prorated(claim)


def _is_minimum(claim: Claim) -> bool:
    return claim.item.price.kind == PriceKind.MINIMUM


def _prorated(claim: Claim) -> tuple[Entry, ...]:
    """A recurring or one-time price: the amount of a whole period, times days, rounded once."""
    item, days, of_days = claim.item, claim.days, claim.period.days
    if claim.beyond is not None:
        return (_made(claim, item.quantity, max(full_amount(item) - full_amount(claim.beyond.item), 0)),)
    gross = prorated(amount_ratio(item.price, item.quantity), days, of_days)
    whole = _made(claim, item.quantity, gross)
    if item.price.minimum is None:
        return (whole,)
    return _with_true_up(whole, prorated(unlimited_ratio(item.price, item.quantity), days, of_days))


class _Measured(NamedTuple):
    """What usage came to, with its bounds (gross) and without them (plain), before discounts."""

    claim: Claim
    quantity: Decimal
    gross: int
    plain: int
    fees: Fees | None

    @property
    def entries(self) -> tuple[Entry, ...]:
        if _is_minimum(self.claim):
            return (_made(self.claim, ONE, self.gross, MINIMUM),)
        whole = _made(self.claim, self.quantity, self.gross)._replace(fees=self.fees)
        return (whole,) if self.claim.item.price.minimum is None else _with_true_up(whole, self.plain)


def _measured(claim: Claim, usage: Usage) -> _Measured:
    """A usage price: what was measured is not prorated, only what is free or bounded in a period."""
    price = claim.item.price
    quantity = usage(price.meter or "", claim.start, claim.end)
    fees = _fees(claim, usage)
    plain = unlimited_ratio(price, quantity, claim.portion) if fees is None else fees.ratio
    gross = round_half_away(*limited_ratio(price, plain, claim.portion))
    return _Measured(claim, quantity, gross, round_half_away(*plain), fees)


def _added(timeline: Timeline, claim: Claim, usage: Usage) -> _Measured:
    """What a minimum spend adds to what the other prices came to, before discounts."""
    around = claims(timeline, claim.period.start - ONE_DAY, claim.period.end)
    counted = [other for other in around if _counts(claim, other)]
    came_to = sum(
        entry.gross for other in counted for entry in _fixed(other) or _measured(other, usage).entries
    )
    least, _ = spend_limits(claim.item.price, claim.portion)
    minimum = round_ratio((least or NOTHING) * Fraction(claim.item.quantity))
    added = max(minimum - came_to, 0)
    return _Measured(claim, ONE, added, added, None)


def _counts(minimum: Claim, other: Claim) -> bool:
    """Whether a minimum spend counts what is asked for or given back: for days of its own, in a period that lies in
    its own. What is paid once, and what is used in a trial, comes on top."""
    if other.item.price.kind in (PriceKind.ONE_TIME, PriceKind.MINIMUM) or other.item.trial:
        return False
    within = minimum.period.start <= other.period.start and other.period.end <= minimum.period.end
    day = other.start - ONE_DAY if other.kind == CREDIT else other.start
    return within and minimum.start <= day < minimum.end


def _with_what_is_left(timeline: Timeline, measured: dict[Claim, _Measured]) -> dict[Claim, _Measured]:
    """Fixed amounts that recurring items did not use up are taken off the usage of the period, shared by what it
    came to."""
    periods: dict[tuple[Discount, Period], list[_Measured]] = defaultdict(list)
    for claim, one in measured.items():
        if claim.discount is not None and claim.fixed_steps and not claim.item.trial:
            periods[claim.discount, claim.period].append(one)
    found = dict(measured)
    for (discount, period), together in periods.items():
        left = _left_of(timeline, discount, period, str(together[0].claim.item.price.interval))
        prices = [one.claim.item.price for one in together]
        shares = step_shares(discount, prices, [one.gross for one in together], left)
        for one, shared in zip(together, shares, strict=True):
            found[one.claim] = one._replace(claim=one.claim._replace(shared=shared))
    return found


def _left_of(timeline: Timeline, discount: Discount, period: Period, interval: str) -> list[int]:
    """What is left of each step for the usage of a period: of the phases that have it, by their days. Usage of another
    interval than the recurring items (failing those, than the longest of usage) has none, and neither have the days
    after a new cycle began in the period: they belong to one of its own."""
    exact = [Fraction(0)] * len(discount.steps)
    for phase in timeline.phases:
        start = max(phase.start, period.start)
        days = ((period.end if phase.end is None else min(phase.end, period.end)) - start).days
        shares = phase.costs and phase.discount == discount and days > 0
        if shares and Cycle(Interval(interval), phase.anchor).period_at(start) == period:
            whole = zip(exact, left_for_usage(phase, interval), strict=True)
            exact = [sum_ + Fraction(off * days, period.days) for sum_, off in whole]
    return [round_ratio(one) for one in exact]


def _fees(claim: Claim, usage: Usage) -> Fees | None:
    price = claim.item.price
    if price.per_transaction is None or not isinstance(usage, KnowsEvents):
        return None
    return usage.fees(price, claim.start, claim.end)


def _with_true_up(whole: Entry, plain: int) -> tuple[Entry, ...]:
    """The entry cut into what the price comes to without its minimum (minor units, not negative) and what the
    minimum adds. The discount is shared, so that together they are what the whole was."""
    added = abs(whole.gross) - plain
    if added <= 0:
        return (whole,)
    sign = 1 if whole.gross > 0 else -1
    off, off_added = share(whole.discount, [plain, added])
    return (
        whole._replace(gross=sign * plain, discount=off),
        Entry(_key(whole.claim, MINIMUM), ONE, sign * added, off_added, whole.claim),
    )


def _made(claim: Claim, quantity: Decimal, gross: int, what: str = "") -> Entry:
    """The entry of an amount that is not negative; a credit gives it back."""
    off = sum(claim.steps(gross))
    if claim.kind == CREDIT:
        gross, off = -gross, -off
    return Entry(_key(claim, what), quantity, gross, off, claim)


def _key(claim: Claim, what: str = "") -> Key:
    item, discount, _, period, kind, start, end = claim[:7]
    off = discount.key if discount else ""
    return Key(kind + what, item.price.key, item.quantity, start, end, period.start, period.end, off)
