"""Every kind of line says in sentences why it has its amount."""

from datetime import date
from decimal import Decimal as D

import pytest

from billing.issuing import DraftLine
from billing.maths.discounts import Discount
from billing.maths.periods import Interval
from billing.maths.pricing import Price, PriceKind, PriceModel, Tier
from billing.maths.timeline import Item, Phase, Timeline, owed
from billing.reasons import why

JAN, MID, FEB = date(2026, 1, 1), date(2026, 1, 16), date(2026, 2, 1)


def price(model="flat", unit="0", **more):
    kind = PriceKind.USAGE if "meter" in more else PriceKind.RECURRING
    return Price("p", kind, PriceModel(model), Interval.MONTH, "USD", D(unit), **more)


def lines(one, *, start=JAN, end=None, quantity=1, used="0", discount=None):
    """The lines of a timeline of one price as a paper would have them."""
    timeline = Timeline((Phase(start, end, JAN, (Item(one, D(quantity)),), discount),))
    return [
        DraftLine(
            "minimum" if entry.true_up else entry.kind, "", entry.gross, entry.discount, entry.net, entry.quantity,
            None, explanation=entry.explanation,
        )
        for entry in owed(timeline, since=date(2020, 1, 1), until=FEB, usage=lambda *_: D(used))
    ]  # fmt: skip


def said(one, at=0, **terms):
    return why(lines(one, **terms)[at], "USD")


STAIR = (Tier(D(5), D(0)), Tier(D(10), D(2), D(1)), Tier(None, D("1.5")))


@pytest.mark.parametrize(
    ("one", "terms", "words"),
    [
        (price("flat", "29"), {"quantity": 3}, ["The price of the period is $29.00."]),
        (price("per_unit", "9.99"), {"quantity": 3}, ["3 × $9.99 = $29.97."]),
        (
            price("per_unit", "31"), {"quantity": 2, "start": MID},
            ["2 × $31.00 = $62.00.", "For 16 of the 31 days of the period."],
        ),
        (
            price("per_unit", "0.0125", meter="m", included=D(20)), {"used": "100"},
            ["100 were used, 20 of them are included.", "80 × $0.0125 = $1.00."],
        ),
        (
            price("package", "15", meter="m", package_size=D(10)), {"used": "22"},
            ["3 × $15.00 = $45.00, for every 10 begun."],
        ),
        (price("percentage", "2.99", meter="m"), {"used": "10090"}, ["2.99 % of $10,090.00 = $301.69."]),
        (
            price("percentage", tiers=(Tier(D(10), D(1), D(2)), Tier(None, D(2))), meter="m"), {"used": "12"},
            ["1 % of $10.00 + $2.00 = $2.10.", "2 % of $2.00 = $0.04."],
        ),
        (
            price("graduated", tiers=STAIR, meter="m"), {"used": "12"},
            ["The first 5 are included.", "5 × $2.00 + $1.00 = $11.00.", "2 × $1.50 = $3.00."],
        ),
        (
            price("per_unit", "1", meter="m", maximum=D(5)), {"used": "9"},
            ["9 × $1.00 = $9.00.", "Held at the agreed maximum of $5.00."],
        ),
        (
            price("flat", "10"), {"discount": Discount("d", parts=(
                Discount("a", percent_off=D(10), label="TEN"), Discount("b", amount_off=200, label="TWO"))),
            },
            ["The price of the period is $10.00.", "Discount TEN (10 %): -$1.00.", "Discount TWO: -$2.00."],
        ),
    ],
)  # fmt: skip
def test_a_line_says_how_its_amount_came_about(one, terms, words):
    assert [sentence.replace("\N{MINUS SIGN}", "-") for sentence in said(one, **terms)] == words


def test_what_was_used_in_a_trial_says_so():
    trial = {"policy": "trial", "included": "0", "quantity": "10", "unit": "2.5", "model": "per_unit"}
    line = DraftLine(
        "usage", "", 25_00, 0, 25_00, D(10), None, explanation={**trial, "days": 9, "of_days": 9}
    )
    assert why(line, "USD") == ["10 were used in the trial, 0 of them are included.", "10 × $2.50 = $25.00."]


def test_a_minimum_says_what_was_had():
    words = said(price("per_unit", "1", meter="m", minimum=D(20)), at=1, used="5")
    assert words == ["The agreed minimum is $20.00; what was had comes to $5.00."]


def test_a_credit_says_what_it_is_for():
    (credit,) = [line for line in lines(price("flat", "31"), end=MID) if line.kind == "credit"]
    assert why(credit, "USD")[-1] == "This gives back what was paid for time that the new terms replace."
    assert "For 16 of the 31 days of the period." in why(credit, "USD")


def test_tax_is_named_whether_it_is_charged_contained_or_neither():
    def line(**tax):
        return DraftLine("recurring", "", 100_00, 0, 100_00, D(1), None, **tax)

    assert why(line(tax_percentage=D("19.0000"), tax_amount=19_00), "USD") == ["Tax 19%: $19.00."]
    contained = line(tax_percentage=D(19), tax_amount=19_00, tax_in_gross=19_00)
    assert why(contained, "USD") == ["Tax that the price contains, 19%: $19.00."]
    assert why(line(tax_in_gross=19_00, tax_reason="Reverse charge"), "USD") == [
        "Tax that the price contains is taken out: $19.00. Reverse charge."
    ]


def test_a_ratio_that_is_no_decimal_is_read_too():
    told = {"included": "160/31", "quantity": "9", "unit": "1", "model": "per_unit", "policy": "usage"}
    line = DraftLine("usage", "", 3_84, 0, 3_84, D(9), None, explanation=told)
    assert why(line, "USD") == ["9 were used, 5.161 of them are included.", "3.839 × $1.00 = $3.84."]
