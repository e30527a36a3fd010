from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from billing.maths.discounts import Discount
from billing.maths.periods import Interval, Period
from billing.maths.pricing import Price, PriceKind, PriceModel
from billing.maths.statement import Line, Totals, difference, key_of, key_text, totals, unsaid
from billing.maths.tax import TaxRate, tax_of
from billing.maths.timeline import Item, Phase, Timeline, owed

JAN, FEB, MAR = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
MID = date(2024, 1, 16)


def fee(key: str, amount: str, **more: Any) -> Price:
    more = {"kind": PriceKind.RECURRING, "model": PriceModel.FLAT, "interval": Interval.MONTH} | more
    return Price(key, currency="USD", unit_amount=D(amount), **more)


PRO, MAX = Item(fee("pro", "29", label="Pro")), Item(fee("max", "99"))
API = Item(fee("api", "0.10", kind=PriceKind.USAGE, model=PriceModel.PER_UNIT, meter="api"))


def none(*_: Any) -> D:
    return D(0)


class Customer:
    """Keeps what papers said, as the database would: sums under a text."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[int, int]] = {}

    def bill(self, timeline: Timeline, until: date, since: date = JAN, usage: Any = none) -> list[Line]:
        lines = unsaid(timeline, self.said, since=since, until=until, usage=usage)
        for line in lines:
            gross, discount = self.said.get(line.key, (0, 0))
            self.said[line.key] = gross + line.gross, discount + line.discount
        return lines


def nets(lines: list[Line]) -> list[int]:
    return [line.net for line in lines]


def one(*items: Item, end: date | None = None, **more: Any) -> Timeline:
    return Timeline((Phase(JAN, end, JAN, items, **more),))


def changed(on: date, *then: Item) -> Timeline:
    return Timeline((Phase(JAN, on, JAN, (PRO,)), Phase(on, None, JAN, then)))


def test_it_says_what_is_new_and_then_nothing() -> None:
    customer = Customer()
    assert nets(customer.bill(one(PRO), JAN)) == [2900]
    assert customer.bill(one(PRO), JAN) == []
    assert nets(customer.bill(one(PRO), MAR)) == [2900, 2900]


def test_it_says_the_two_halves_of_a_change() -> None:
    customer = Customer()
    customer.bill(one(PRO), JAN)
    lines = customer.bill(changed(MID, MAX), MID)
    assert [(line.kind, line.net, line.correction) for line in lines] == [
        ("credit", -1497, False),
        ("charge", 5110, False),
    ]


def test_it_returns_to_the_same_money_after_an_undo_on_the_same_day() -> None:
    customer = Customer()
    customer.bill(one(PRO), JAN)
    customer.bill(changed(MID, MAX), MID)
    undone = Timeline(
        (Phase(JAN, MID, JAN, (PRO,)), Phase(MID, MID, JAN, (MAX,)), Phase(MID, None, JAN, (PRO,)))
    )
    lines = customer.bill(undone, MID)
    assert nets(lines) == [-5110, 1497]
    assert all(line.correction for line in lines)
    assert customer.bill(undone, MID) == []


def test_it_reverses_what_is_owed_no_more_under_its_own_key() -> None:
    customer = Customer()
    customer.bill(one(MAX), JAN)
    (back, new) = customer.bill(one(PRO), JAN)
    assert (new.net, back.net) == (2900, -9900)
    assert (back.kind, back.price_key, back.quantity, back.due_on) == ("credit", "max", D(1), JAN)
    assert back.span == back.period == Period(JAN, FEB)
    assert (back.unit_amount, back.label, back.billed) == (D(0), "", "advance")
    assert back.explanation == {"policy": "reversed"}
    assert customer.said[back.key] == (0, 0)
    assert customer.bill(one(PRO), JAN) == []


def test_it_corrects_the_past_exactly() -> None:
    """A change that is entered in March for the middle of January."""
    late, early = Customer(), Customer()
    late.bill(one(PRO), MAR)
    early.bill(one(PRO), JAN)
    early.bill(changed(MID, MAX), MAR)
    assert nets(late.bill(changed(MID, MAX), MAR)) == [-1497, 5110, -2900, 9900, -2900, 9900]
    assert sum(gross for gross, _ in late.said.values()) == sum(gross for gross, _ in early.said.values())


def test_it_bills_late_usage_as_the_difference() -> None:
    customer = Customer()
    timeline = one(API)
    assert nets(customer.bill(timeline, FEB, usage=lambda *_: D(100))) == [1000]
    (line,) = customer.bill(timeline, FEB, usage=lambda *_: D(130))
    assert (line.net, line.quantity, line.correction) == (300, D(130), True)
    (line,) = customer.bill(timeline, FEB, usage=lambda *_: D(90))
    assert (line.net, line.kind) == (-400, "credit")


def test_it_leaves_alone_what_lies_outside_the_window() -> None:
    customer = Customer()
    customer.bill(one(PRO, API), MAR)
    assert customer.bill(one(PRO, API), MAR, since=FEB) == []
    assert nets(customer.bill(one(MAX, API), MAR, since=FEB)) == [-2900, 9900, -2900, 9900]


def test_it_reverses_nothing_for_a_clock_that_is_behind() -> None:
    customer = Customer()
    customer.bill(one(PRO, API), FEB, usage=lambda *_: D(100))
    assert customer.bill(one(PRO, API), date(2024, 1, 31), usage=lambda *_: D(100)) == []


def test_it_lets_stand_what_was_billed_ahead_until_it_is_owed_no_more() -> None:
    customer = Customer()
    customer.bill(one(PRO), FEB)
    assert customer.bill(one(PRO), MID) == []
    assert nets(customer.bill(one(PRO, end=FEB), MID)) == [-2900]


def test_it_settles_arrears_again_when_a_cut_is_undone() -> None:
    customer = Customer()
    cut = Timeline((Phase(JAN, MID, JAN, (API,)), Phase(MID, None, MID, (API,))))
    assert nets(customer.bill(cut, MID, usage=lambda *_: D(50))) == [500]
    (line,) = customer.bill(one(API), MID, usage=lambda *_: D(50))
    assert (line.net, line.billed, line.due_on) == (-500, "arrears", MID)


def test_it_keeps_a_line_that_is_discounted_to_nothing() -> None:
    free = one(PRO, discount=Discount("all", percent_off=D(100)))
    (line,) = Customer().bill(free, JAN)
    assert (line.gross, line.discount, line.net, line.kind) == (2900, 2900, 0, "charge")


def test_it_names_a_line_of_nothing_after_what_it_was() -> None:
    customer = Customer()
    all_off = Discount("all", percent_off=D(100))
    customer.bill(one(PRO, discount=all_off), JAN)
    ended = Timeline((Phase(JAN, MID, JAN, (PRO,), all_off),))
    (credit,) = customer.bill(ended, JAN)
    assert (credit.gross, credit.net, credit.kind) == (-1497, 0, "credit")
    (gone,) = customer.bill(one(discount=all_off), JAN)[:1]
    assert (gone.net, gone.kind) == (0, "credit")


def test_it_shows_the_entry_behind_a_line() -> None:
    (line,) = Customer().bill(one(PRO), JAN)
    assert (line.label, line.billed, line.unit_amount, line.due_on) == ("Pro", "advance", D(29), JAN)
    assert line.explanation["of_days"] == 31


def test_it_finds_no_difference_between_equals() -> None:
    entries = owed(changed(MID, MAX, API), since=JAN, until=MAR, usage=none)
    assert difference(entries, {key_text(e.key): (e.gross, e.discount) for e in entries}) == []


@pytest.mark.parametrize("quantity", ["1", "2.5", "0.000000000001", "1000000000.123456789012"])
def test_it_writes_a_key_that_it_can_read(quantity: str) -> None:
    longest = fee("k" * 60, "1", model=PriceModel.PER_UNIT)
    timeline = one(Item(longest, D(quantity)), discount=Discount("d" * 60, percent_off=D(5)))
    (entry,) = owed(timeline, since=JAN, until=JAN, usage=none)
    text = key_text(entry.key)
    assert len(text) < 200
    assert key_of(text) == entry.key


def test_it_writes_equal_quantities_alike() -> None:
    keys = {
        key_text(
            owed(one(Item(fee("s", "1", model=PriceModel.PER_UNIT), D(q))), since=JAN, until=JAN, usage=none)[
                0
            ].key
        )
        for q in ("100", "100.000000000000", "1E+2")
    }
    assert keys == {"advance|s|100|2024-01-01|2024-02-01|2024-01-01|2024-02-01|"}


@pytest.mark.parametrize(
    "text", ["", "advance|s|1", "advance|s|x|2024-01-01|2024-02-01|2024-01-01|2024-02-01|"]
)
def test_it_refuses_a_key_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        key_of(text)


def test_it_totals_lines() -> None:
    lines = Customer().bill(one(PRO, MAX, discount=Discount("ten", percent_off=D(10))), JAN)
    rate = TaxRate("vat", D(19))
    sums = totals(lines, lambda line: tax_of(line.net, rate))
    assert sums == Totals(12800, 1280, 496 + 1693, 12800 - 1280 + 496 + 1693)


def test_it_totals_inclusive_prices_to_what_was_shown() -> None:
    lines = Customer().bill(one(PRO, MAX, discount=Discount("ten", percent_off=D(10))), JAN)
    rate = TaxRate("vat", D(19), inclusive=True)
    sums = totals(lines, lambda line: tax_of(line.net, rate))
    assert sums.total == 2610 + 8910
    assert sums.total == sums.subtotal - sums.discount_total + sums.tax_total


def test_it_totals_nothing_to_nothing() -> None:
    assert totals([], lambda line: (0, 0)) == Totals(0, 0, 0, 0)
