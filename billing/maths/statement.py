"""What a new paper says: what is owed, minus what earlier papers said."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from billing.maths.periods import Period
from billing.maths.timeline import CHARGE, CREDIT, Entry, Key


class Said(NamedTuple):
    """The sum of what earlier papers said under a key text, in minor units."""

    key: str
    gross: int
    discount: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a new paper. `key` is the text under which it will have been said.

    `kind` follows the sign: a charge asks for money, a credit gives it back. `correction` marks a line for a key that
    an earlier paper already named.
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
    explanation: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def net(self) -> int:
        return self.gross - self.discount


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
    kind, price, quantity, start, end, period_start, discount = key
    return f"{kind}|{price}|{_plain(quantity)}|{start}|{end}|{period_start}|{discount}"


def key_of(text: str) -> Key:
    """The key that a text stands for. Raises ValueError for anything else."""
    kind, price, quantity, start, end, period_start, discount = text.split("|")
    dates = (date.fromisoformat(start), date.fromisoformat(end), date.fromisoformat(period_start))
    return Key(kind, price, Decimal(quantity), *dates, discount)


def difference(owed: Iterable[Entry], said: Mapping[str, tuple[int, int]]) -> list[Line]:
    """Owed minus said, key by key, in the order of the entries.

    What was said and is owed no more is reversed, after the rest, in the order of `said`. Nothing left to say: no line.
    """
    lines: list[Line] = []
    left = {key_text(key): amounts for key, amounts in said.items()}
    for entry in owed:
        text = key_text(entry.key)
        earlier = left.pop(text, None)
        gross, discount = earlier or (0, 0)
        if (entry.gross, entry.discount) != (gross, discount):
            lines.append(_line(entry, text, gross, discount, correction=earlier is not None))
    lines.extend(_reversal(text, *amounts) for text, amounts in left.items() if tuple(amounts) != (0, 0))
    return lines


def totals(lines: Iterable[Line], tax_of_line: Callable[[Line], tuple[int, int]]) -> Totals:
    """Sums of lines. tax_of_line answers (net, tax) of a line; with inclusive tax the net is what is left of it."""
    nets, discounts, taxes = 0, 0, 0
    for line in lines:
        net, tax = tax_of_line(line)
        nets, discounts, taxes = nets + net, discounts + line.discount, taxes + tax
    return Totals(nets + discounts, discounts, taxes, nets + taxes)


def _line(entry: Entry, text: str, gross: int, discount: int, *, correction: bool) -> Line:
    gross, discount = entry.gross - gross, entry.discount - discount
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
        explanation=entry.explanation,
    )


def _reversal(text: str, gross: int, discount: int) -> Line:
    """A line for a key that is owed no more. The key alone is known: the label and the unit amount are the caller's."""
    key = key_of(text)
    return Line(
        key=text,
        price_key=key.price,
        kind=_kind(discount - gross, key.kind),
        quantity=key.quantity,
        unit_amount=Decimal(0),
        span=Period(key.start, key.end),
        period=Period(key.period_start, key.end),
        gross=-gross,
        discount=-discount,
        due_on=key.start,
        billed="",
        label="",
        correction=True,
        explanation={"policy": "reversed"},
    )


def _kind(net: int, otherwise: str) -> str:
    if net == 0:
        return otherwise
    return CHARGE if net > 0 else CREDIT


def _plain(quantity: Decimal) -> str:
    return format(quantity.normalize(), "f")
