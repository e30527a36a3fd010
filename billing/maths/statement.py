"""What a new paper says: what is owed, minus what earlier papers said."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from billing.maths.money import plain
from billing.maths.periods import Period
from billing.maths.timeline import (
    ADVANCE,
    ARREARS,
    CHARGE,
    CREDIT,
    ONE,
    Entry,
    Key,
    Timeline,
    Usage,
    coming,
    owed,
)

type Said = Mapping[str, tuple[int, int]]


class Line(NamedTuple):
    """A line of a new paper, in minor units. `key` is the text under which it will have been said.

    `correction`: an earlier paper already said something under the key, and this is the difference. `entry`
    is what is owed now; None where it is owed no more: label and unit amount are then the caller's to fill.
    """

    key: str
    gross: int
    discount: int
    correction: bool
    entry: Entry | None = None

    @property
    def net(self) -> int:
        return self.gross - self.discount

    @property
    def about(self) -> Key:
        return self.entry.key if self.entry else key_of(self.key)

    @property
    def kind(self) -> str:
        """It follows the sign: a charge asks for money, a credit gives it back."""
        if self.net == 0:
            return CREDIT if self.entry is None or self.entry.kind == CREDIT else CHARGE
        return CHARGE if self.net > 0 else CREDIT

    @property
    def price_key(self) -> str:
        return self.about.price

    @property
    def quantity(self) -> Decimal:
        if self.entry:
            return self.entry.quantity
        return ONE if self.true_up else self.about.quantity

    @property
    def true_up(self) -> bool:
        """Whether it is what a minimum spend adds."""
        return self.about.true_up

    @property
    def unit_amount(self) -> Decimal:
        return self.entry.unit_amount if self.entry else Decimal(0)

    @property
    def span(self) -> Period:
        return self.entry.span if self.entry else Period(self.about.start, self.about.end)

    @property
    def period(self) -> Period:
        return self.entry.period if self.entry else Period(self.about.period_start, self.about.period_end)

    @property
    def due_on(self) -> date:
        if self.entry:
            return self.entry.due_on
        return self.about.end if self.about.in_arrears else self.about.start

    @property
    def billed(self) -> str:
        return ARREARS if self.about.in_arrears else ADVANCE

    @property
    def label(self) -> str:
        return self.entry.label if self.entry else ""

    @property
    def explanation(self) -> dict[str, Any]:
        """See `Entry.explanation`. A reversal has nothing left to compute."""
        return self.entry.explanation if self.entry else {"policy": "reversed"}


class Totals(NamedTuple):
    """Minor units; total == subtotal - discount_total + tax_total."""

    subtotal: int
    discount_total: int
    tax_total: int
    total: int


@lru_cache(maxsize=4096)
def key_text(key: Key) -> str:
    """The key as the database stores it: stable, under 200 characters, read back by `key_of`."""
    kind, price, quantity, start, end, period_start, period_end, discount = key
    span = f"{start.isoformat()}|{end.isoformat()}"
    period = f"{period_start.isoformat()}|{period_end.isoformat()}"
    return f"{kind}|{price}|{plain(quantity)}|{span}|{period}|{discount}"


def key_of(text: str) -> Key:
    """The key that a text stands for. Raises ValueError for any other text."""
    try:
        kind, price, quantity, *days, discount = text.split("|")
        start, end, period_start, period_end = (date.fromisoformat(day) for day in days)
        return Key(kind, price, Decimal(quantity), start, end, period_start, period_end, discount)
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"{text!r} is no key of an entry.") from error


def unsaid(timeline: Timeline, said: Said, *, since: date, until: date, usage: Usage) -> list[Line]:
    """The lines of the paper that is due: owed minus said, of the periods that end after `since`.

    `said` may hold all that was ever said for the subscription. Left alone is what belongs to earlier
    periods, and what will fall due only after `until`: billed ahead, or by a clock that is ahead of this one.
    """
    found = _by_text(owed(timeline, since=since, until=until, usage=usage))
    rest = [(text, key_of(text)) for text in said if text not in found]
    recent = [(text, key) for text, key in rest if key.period_end > since]
    early = _early(timeline, [key for _, key in recent], since, until)
    asked = found.keys() | {text for text, key in recent if key not in early}
    return _lines(found, {text: amounts for text, amounts in said.items() if text in asked})


def difference(entries: Iterable[Entry], said: Said) -> list[Line]:
    """Owed minus said, key by key, in the order of the entries.

    `said` maps a key text to the (gross, discount) that papers have said so far, summed. What was said and
    is owed no more is reversed; of one day what is given back stands first, as in `owed`. So `said` must answer
    the same question as the entries (see `unsaid`). Where nothing is left to say there is no line.
    """
    return _lines(_by_text(entries), said)


def totals(lines: Iterable[Line], tax_of_line: Callable[[Line], tuple[int, int]]) -> Totals:
    """Sums of lines. tax_of_line answers (net, tax) of a line; `tax.tax_of` does for one rate."""
    net_total = discount_total = tax_total = 0
    for line in lines:
        net, tax = tax_of_line(line)
        net_total, tax_total = net_total + net, tax_total + tax
        discount_total += line.discount
    return Totals(net_total + discount_total, discount_total, tax_total, net_total + tax_total)


def _by_text(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {key_text(entry.key): entry for entry in entries}


def _lines(entries: Mapping[str, Entry], said: Said) -> list[Line]:
    lines: list[Line] = []
    for text, entry in entries.items():
        gross, discount = said.get(text, (0, 0))
        if entry.gross != gross or entry.discount != discount:
            lines.append(Line(text, entry.gross - gross, entry.discount - discount, text in said, entry))
    gone = [
        Line(text, -gross, -discount, True)
        for text, (gross, discount) in said.items()
        if text not in entries and (gross or discount)
    ]
    return _in_time(lines, gone) if gone else lines


def _in_time(lines: Iterable[Line], gone: Collection[Line]) -> list[Line]:
    back = (line for line in gone if line.net < 0)
    again = (line for line in gone if line.net >= 0)
    return sorted([*back, *lines, *again], key=lambda line: line.due_on)


def _early(timeline: Timeline, keys: Collection[Key], since: date, until: date) -> set[Key]:
    """The keys that the timeline still claims, only later than `until`."""
    last_due = max((key.period_end if key.in_arrears else key.start for key in keys), default=until)
    if last_due <= until:
        return set()
    return coming(timeline, since=since, after=until, until=last_due)
