"""What a new paper says: what is owed, minus what earlier papers said."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from billing.maths.money import plain
from billing.maths.periods import Period
from billing.maths.timeline import ADVANCE, ARREARS, CHARGE, CREDIT, Entry, Key, Timeline, Usage, coming, owed

type Said = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a new paper. `key` is the text under which it will have been said.

    `kind` follows the sign: a charge asks for money, a credit gives it back. `correction`: an earlier paper
    already said something under the key, and this is the difference.
    """

    key: str
    price_key: str
    kind: str
    quantity: Decimal
    unit_amount: Decimal
    span: Period
    period: Period
    gross: int
    discount: int
    due_on: date
    billed: str
    label: str
    correction: bool = False
    entry: Entry | None = field(default=None, compare=False, repr=False)

    @property
    def net(self) -> int:
        return self.gross - self.discount

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


def key_text(key: Key | str) -> str:
    """The key as the database stores it: stable, under 200 characters, read back by `key_of`."""
    if isinstance(key, str):
        return key
    kind, price, quantity, start, end, period_start, period_end, discount = key
    return f"{kind}|{price}|{plain(quantity)}|{start}|{end}|{period_start}|{period_end}|{discount}"


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
    entries = owed(timeline, since=since, until=until, usage=usage)
    known = {key_text(entry.key) for entry in entries}
    rest = [(text, key_of(text)) for text in said if text not in known]
    recent = [(text, key) for text, key in rest if key.period_end > since]
    early = _early(timeline, [key for _, key in recent], since, until)
    asked = known.union(text for text, key in recent if key not in early)
    return difference(entries, {text: amounts for text, amounts in said.items() if text in asked})


def difference(entries: Iterable[Entry], said: Said) -> list[Line]:
    """Owed minus said, key by key, in the order of the entries.

    `said` maps a key text to the (gross, discount) that papers have said so far, summed. What was said and
    is owed no more is reversed, after the rest; so `said` must answer the same question as the entries (see
    `unsaid`). Where nothing is left to say there is no line.
    """
    lines: list[Line] = []
    left = {key_text(key): amounts for key, amounts in said.items()}
    for entry in entries:
        text = key_text(entry.key)
        earlier = left.pop(text, None)
        gross, discount = earlier or (0, 0)
        if entry.gross != gross or entry.discount != discount:
            lines.append(_line(entry, text, gross, discount, earlier is not None))
    lines.extend(_reversal(text, *amounts) for text, amounts in left.items() if any(amounts))
    return lines


def totals(lines: Iterable[Line], tax_of_line: Callable[[Line], tuple[int, int]]) -> Totals:
    """Sums of lines. tax_of_line answers (net, tax) of a line; `tax.tax_of` does for one rate."""
    net_total = discount_total = tax_total = 0
    for line in lines:
        net, tax = tax_of_line(line)
        net_total, tax_total = net_total + net, tax_total + tax
        discount_total += line.discount
    return Totals(net_total + discount_total, discount_total, tax_total, net_total + tax_total)


def _early(timeline: Timeline, keys: Collection[Key], since: date, until: date) -> set[Key]:
    """The keys that the timeline still claims, only later than `until`."""
    last_due = max((key.period_end if key.kind == ARREARS else key.start for key in keys), default=until)
    if last_due <= until:
        return set()
    return coming(timeline, since=since, after=until, until=last_due)


def _line(entry: Entry, text: str, said_gross: int, said_discount: int, correction: bool) -> Line:
    gross, discount = entry.gross - said_gross, entry.discount - said_discount
    return Line(
        key=text,
        price_key=entry.price_key,
        kind=_kind(gross - discount, entry.kind),
        quantity=entry.quantity,
        unit_amount=entry.unit_amount,
        span=entry.span,
        period=entry.period,
        gross=gross,
        discount=discount,
        due_on=entry.due_on,
        billed=entry.billed,
        label=entry.label,
        correction=correction,
        entry=entry,
    )


def _reversal(text: str, gross: int, discount: int) -> Line:
    """For a key that is owed no more. Unit amount and label are not in the key: the caller fills them."""
    key = key_of(text)
    return Line(
        key=text,
        price_key=key.price,
        kind=_kind(discount - gross, CREDIT),
        quantity=key.quantity,
        unit_amount=Decimal(0),
        span=Period(key.start, key.end),
        period=Period(key.period_start, key.period_end),
        gross=-gross,
        discount=-discount,
        due_on=key.end if key.kind == ARREARS else key.start,
        billed=ARREARS if key.kind == ARREARS else ADVANCE,
        label="",
        correction=True,
    )


def _kind(net: int, otherwise: str) -> str:
    if net == 0:
        return otherwise
    return CHARGE if net > 0 else CREDIT
