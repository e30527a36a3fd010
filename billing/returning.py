"""What may still be given back for a period: what its invoices asked for, less what credit notes returned.

A goodwill note and a void invoice give money back outside of the timeline, which does not know of it. Where the
timeline then gives back the same days, a line beside it says so, and nobody gets the same money twice. What is given
back comes with the tax that was charged for it, whatever is charged today.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import BooleanField, Case, ExpressionWrapper, F, Q, Value, When

from billing import taxes
from billing.maths.money import round_half_away
from billing.maths.tax import Tax, TaxRate
from billing.models import CreditNoteLine, InvoiceLine

if TYPE_CHECKING:
    from billing.issuing import DraftLine

type Period = tuple[str | None, date | None]

GIVEN_BEFORE = "given back before"
# What stands before what a line is of, where it takes something back.
CORRECTION, UNUSED = "Correction: ", "Unused time: "


@dataclass(frozen=True, slots=True)
class Past:
    """What papers have said of some periods: the tax that was last charged for each (what was never charged is missing),
    and what was asked for and not returned, in net minor units."""

    rates: Mapping[Period, TaxRate]
    left: Mapping[Period, int]


NO_PAST = Past({}, {})


def returned_once(lines: Sequence["DraftLine"], past: Past) -> list["DraftLine"]:
    """The lines of one subscription's paper, each that gives back more than is left followed by what it exceeds it by.
    `past`: of the periods that lines give back of."""
    left = dict(past.left)
    for line in lines:
        if line.net > 0:
            left[_period(line)] = left.get(_period(line), 0) + line.net
    found: list[DraftLine] = []
    for line in lines:
        found.append(line)
        if line.net < 0:
            given = min(-line.net, max(left.get(_period(line), 0), 0))
            left[_period(line)] = left.get(_period(line), 0) - given
            found += [_answer(line, -line.net - given)] if given < -line.net else []
    return found


def answers(line: "DraftLine") -> bool:
    """Whether the line says what was given back before, beside one that gives it back again."""
    return line.explanation.get("policy") == GIVEN_BEFORE


def _period(line: "DraftLine") -> Period:
    return line.price_id, line.cycle_start


_TAX = "tax_percentage tax_category tax_reason tax_in_gross tax_amount taxes".split()


def past_of(subscription: str, periods: Collection[Period]) -> Past:
    """One statement; none for no periods."""
    if not periods:
        return NO_PAST
    of = {
        "subscription": subscription,
        "price__id__any": list({price for price, _ in periods}),
        "cycle_start__in": {start for _, start in periods},
    }
    unless_void = Case(When(invoice__voided_at__isnull=True, then=F("net")), default=Value(0))
    taxed = ExpressionWrapper(Q(net__gt=0) & ~Q(kind="adjustment"), output_field=BooleanField())
    asked = InvoiceLine.objects.filter(**of).annotate(counts=unless_void, taxed=taxed)
    returned = CreditNoteLine.objects.filter(**of).annotate(counts=-F("net"), taxed=Value(False))
    columns = ("price_id", "cycle_start", "counts", "taxed", "pk", *_TAX)
    both = [rows.order_by().values_list(*columns) for rows in (asked, returned)]
    return _past(both[0].union(both[1], all=True).order_by("pk"))


def _past(said: Collection[Any]) -> Past:
    rates: dict[Period, TaxRate] = {}
    left: dict[Period, int] = {}
    for price, start, counts, taxed, _, percentage, category, reason, within, tax, each in said:
        left[price, start] = left.get((price, start), 0) + counts
        # Where a price contains tax that was not charged, the line does not say how much.
        if taxed and (tax or not within):
            rates[price, start] = TaxRate(
                "charged", percentage, bool(within), category, reason or None, taxes=tuple(map(Tax.from_json, each))
            )  # fmt: skip
    return Past(rates, left)


def _answer(line: "DraftLine", excess: int) -> "DraftLine":
    """What was given back before, beside the line that gives it back again."""
    tax = round_half_away(-line.tax_amount * excess, -line.net)
    label = line.description.removeprefix(CORRECTION).removeprefix(UNUSED)
    return replace(
        line, kind="adjustment", description=f"Given back before: {label}"[:300], gross=excess, discount=0,
        net=excess, tax_amount=tax, tax_in_gross=tax if line.tax_in_gross else 0, tax_in_discount=0, entry_key="",
        taxes=taxes.part_of(line.taxes, tax),
        explanation={"policy": GIVEN_BEFORE, "line": line.entry_key},
    )  # fmt: skip
