"""docs/billing-maths.md is computed again, table by table."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal as D
from fractions import Fraction as F
from itertools import groupby
from pathlib import Path

import pytest

from billing.maths.discounts import Discount
from billing.maths.money import round_ratio, share, to_major, to_minor
from billing.maths.periods import Cycle, Interval, Period, anchor_for, midnight
from billing.maths.pricing import Billed, Price, PriceKind, PriceModel, Tier, amount
from billing.maths.proration import part, rest
from billing.maths.statement import Line, unsaid
from billing.maths.tax import Tax, TaxRate, each_of, tax_of, taxed, whole
from billing.maths.timeline import Item, Phase, Timeline, arr, mrr

DOCUMENT = Path(__file__).parents[3] / "docs" / "billing-maths.md"
LONG_AGO = date(1990, 1, 1)

Row = dict[str, str]
Table = tuple[str, list[Row]]


def tables(text: str) -> Iterator[tuple[str, str, list[Row]]]:
    """(heading, columns, rows) of every table."""
    heading, block = "", list[str]()
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            block.append(line)
            continue
        if block:
            columns, _, *rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in block]
            yield heading, " ".join(columns), [dict(zip(columns, row, strict=True)) for row in rows]
            block = []
        if line.startswith("#"):
            heading = line.strip("# ")


TABLES = list(tables(DOCUMENT.read_text()))
PROSE = {
    "question rule", "rule says formula", "a stretch of says due", "case why", "key what it says", "what becomes of it",
}  # fmt: skip
FIGURES: dict[str, Callable[[Row], None]] = {}


def figures(columns: str) -> Callable[[Callable[[Row], None]], Callable[[Row], None]]:
    def keep(check: Callable[[Row], None]) -> Callable[[Row], None]:
        FIGURES[columns] = check
        return check

    return keep


def d(text: str) -> date:
    return date.fromisoformat(text)


def words(text: str) -> dict[str, str]:
    """ "10 included 3" -> {"": "10", "included": "3"}"""
    found = re.findall(r"(?:([a-z]+) )?([\d.]+)", text)
    return dict(found)


@figures("value rounded")
def _(row: Row) -> None:
    assert round_ratio(F(row["value"])) == int(row["rounded"])


@figures("total weights parts")
def _(row: Row) -> None:
    assert share(int(row["total"]), [int(w) for w in row["weights"].split()]) == [
        int(p) for p in row["parts"].split()
    ]


@figures("amount currency minor units")
def _(row: Row) -> None:
    assert to_minor(row["amount"], row["currency"]) == int(row["minor units"])
    assert to_major(int(row["minor units"]), row["currency"]) == row["amount"]


@figures("interval anchor boundaries")
def _(row: Row) -> None:
    cycle, boundaries = Cycle(Interval(row["interval"]), d(row["anchor"])), row["boundaries"].split()
    assert [str(cycle.boundary(n)) for n in range(len(boundaries))] == boundaries


@figures("interval start rule first boundary next boundary")
def _(row: Row) -> None:
    rule = int(row["rule"]) if row["rule"].isdigit() else row["rule"]
    anchor = anchor_for(Interval(row["interval"]), d(row["start"]), rule)
    period = Cycle(Interval(row["interval"]), anchor).period_at(d(row["start"]))
    assert (str(period.start), str(period.end)) == (row["first boundary"], row["next boundary"])


@figures("day zone first instant")
def _(row: Row) -> None:
    assert midnight(d(row["day"]), row["zone"]) == datetime.fromisoformat(row["first instant"])


@figures("model unit amount tiers quantity exact cents")
def _(row: Row) -> None:
    more = words(row["unit amount"])
    tiers = [re.split(r"[:+] ?", tier) for tier in row["tiers"].split(", ") if tier]
    price = Price(
        "p",
        PriceKind.RECURRING,
        PriceModel(row["model"]),
        Interval.MONTH,
        "USD",
        D(more.get("", "0")),
        tuple(Tier(None if up_to == "rest" else D(up_to), D(unit), D(flat)) for up_to, unit, flat in tiers),
        D(more["size"]) if "size" in more else None,
        D(more.get("included", "0")),
        minimum=D(more["minimum"]) if "minimum" in more else None,
        maximum=D(more["maximum"]) if "maximum" in more else None,
    )
    assert amount(price, D(row["quantity"])) == F(row["exact cents"])


@figures("rule amount period from to cents")
def _(row: Row) -> None:
    period, start, end = Period(*map(d, row["period"].split())), d(row["from"]), d(row["to"])
    whole = int(row["amount"])
    ways = {
        "arrears": part(whole, start, end, period),
        "advance": rest(whole, start, period) - rest(whole, end, period),
    }
    assert ways[row["rule"]] == int(row["cents"])


@figures("amount percent prices net tax")
def _(row: Row) -> None:
    rate = _rate(row)
    assert tax_of(int(row["amount"]), rate) == (int(row["net"]), int(row["tax"]))


def _rate(row: Row) -> TaxRate:
    if row["prices"] == "contained":
        return TaxRate("t", D(0), category="AE", contained=D(row["percent"]))
    return TaxRate("t", D(row["percent"]), inclusive=row["prices"] == "inclusive")


@figures("price off percent prices gross discount net tax")
def _(row: Row) -> None:
    line = taxed(int(row["price"]), int(row["off"]), _rate(row))
    said = [line.gross, line.discount, line.net, line.tax]
    assert said == [int(row[name]) for name in ("gross", "discount", "net", "tax")]


@figures("amount taxes prices percent each net")
def _(row: Row) -> None:
    taxes = tuple(_tax(*each.split(" ", 2)) for each in row["taxes"].split(", "))
    assert whole(taxes) == D(row["percent"])
    rate = TaxRate("t", whole(taxes), inclusive=row["prices"] == "inclusive", taxes=taxes)
    line = taxed(int(row["amount"]), 0, rate)
    assert (each_of(line, rate), line.net) == ([int(each) for each in row["each"].split()], int(row["net"]))
    assert line.tax == sum(each_of(line, rate))


def _tax(name: str, percentage: str, on_top: str = "") -> Tax:
    return Tax(name, D(percentage), compound=on_top == "on top")


@figures("items monthly annual")
def _(row: Row) -> None:
    bought = [item for item, _ in items(row["items"])]
    assert (mrr(bought), arr(bought)) == (int(row["monthly"]), int(row["annual"]))


@pytest.mark.parametrize("columns", sorted(FIGURES))
def test_it_computes_the_figures(columns: str) -> None:
    rows = [row for _, found, rows in TABLES if found == columns for row in rows]
    assert rows
    for row in rows:
        FIGURES[columns](row)


# --- stories ---

LIFE = "from to anchor items"
PAPERS = "on line from to cents"
ITEM = re.compile(
    r"(?P<key>[\w-]+) (?P<unit>[\d.]+)(?:/(?P<interval>\w+))?(?P<each> each)?(?: x(?P<quantity>\d+))?"
    r"(?P<once> once)?(?P<arrears> arrears)?(?P<whole> whole)?"
    r"(?: used (?P<used>\d+))?(?: included (?P<included>\d+))?(?: minimum (?P<minimum>[\d.]+))?"
    r"(?: trial (?P<trial>\d+))?(?P<together> together)?"
)


def items(text: str) -> Iterator[tuple[Item, D]]:
    """(item, what its meter measures)."""
    for written in text.split("; "):
        found = ITEM.fullmatch(written)
        assert found, written
        yield Item(_price(found), D(found["quantity"] or 1)), D(found["used"] or 0)


def _price(found: re.Match[str]) -> Price:
    kind = PriceKind.USAGE if found["used"] else PriceKind.ONE_TIME if found["once"] else PriceKind.RECURRING
    kind = PriceKind.MINIMUM if found["together"] else kind
    return Price(
        found["key"],
        kind,
        PriceModel.PER_UNIT if found["used"] or found["each"] else PriceModel.FLAT,
        Interval(found["interval"]) if found["interval"] else None,
        "USD",
        D(found["unit"]),
        included=D(found["included"] or 0),
        billed=Billed.ARREARS if found["arrears"] or found["together"] else Billed.ADVANCE,
        meter=found["key"] if found["used"] else None,
        prorate=not found["whole"],
        code=found["key"],
        minimum=D(found["minimum"]) if found["minimum"] else None,
        included_in_trial=D(found["trial"]) if found["trial"] else None,
    )


def terms(text: str) -> dict[str, object]:
    if " then " in text:
        return {"discount": Discount(text, parts=tuple(discount(part) for part in text.split(" then ")))}
    if " off" in text:
        return {"discount": discount(text)}
    paused = {"free": True, "paused": True}
    return {"": {}, "free": {"free": True}, "paused": paused, "not prorated": {"prorate": False}}[text]


def discount(text: str) -> Discount:
    """`10 % off`, `1000 cents off`, either with the price that it is for behind it."""
    number, unit, _, *only = text.split()
    if unit == "%":
        return Discount(text, percent_off=D(number), only=frozenset(only))
    return Discount(text, amount_off=int(number), only=frozenset(only))


class Story:
    def __init__(self) -> None:
        self.said: dict[str, tuple[int, int]] = {}
        self.measured: dict[str, D] = {}
        self.timeline: Timeline | None = None

    def live(self, rows: list[Row]) -> None:
        phases = []
        for row in rows:
            bought = list(items(row["items"]))
            self.measured |= {item.price.key: used for item, used in bought}
            end = d(row["to"]) if row["to"] else None
            more = terms(row.get("terms", ""))
            phases.append(
                Phase(d(row["from"]), end, d(row["anchor"]), tuple(item for item, _ in bought), **more)  # type: ignore[arg-type]
            )
        self.timeline = Timeline(tuple(phases))

    def paper(self, day: date) -> list[tuple[str, str, str, int]]:
        assert self.timeline is not None
        lines = unsaid(
            self.timeline, self.said, since=LONG_AGO, until=day, usage=lambda m, *_: self.measured[m]
        )
        for line in lines:
            gross, discount = self.said.get(line.key, (0, 0))
            self.said[line.key] = gross + line.gross, discount + line.discount
        return [(_name(line), str(line.span.start), str(line.span.end), line.net) for line in lines]

    def replay(self, rows: list[Row]) -> None:
        for day, written in groupby(rows, key=lambda row: row["on"]):
            expected = [
                (row["line"], row["from"], row["to"], int(row["cents"]))
                for row in written
                if row["line"] != "nothing"
            ]
            assert self.paper(d(day)) == expected, f"the paper of {day}"


def _name(line: Line) -> str:
    return f"{line.price_key} minimum" if line.true_up else line.price_key


STORIES = sorted({heading for heading, columns, _ in TABLES if columns == PAPERS})


@pytest.mark.parametrize("heading", STORIES)
def test_it_tells_the_story(heading: str) -> None:
    story = Story()
    for found, columns, rows in TABLES:
        if found == heading and columns.startswith(LIFE):
            story.live(rows)
        elif found == heading and columns == PAPERS:
            story.replay(rows)


def test_it_knows_every_table_of_the_document() -> None:
    known = PROSE | set(FIGURES) | {PAPERS, LIFE, f"{LIFE} terms"}
    assert {columns for _, columns, _ in TABLES} == known
    assert len(STORIES) > 15
