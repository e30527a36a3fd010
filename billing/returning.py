"""What may still be given back for a period: what its invoices asked for, less what credit notes returned.

A goodwill note and a void invoice give money back outside of the timeline, which does not know of it. Where the
timeline then gives back the same days, a line beside it says so, and nobody gets the same money twice. What is given
back comes with the tax that was charged for it, whatever is charged today.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet, Sum

from billing.maths.money import round_half_away
from billing.maths.tax import TaxRate
from billing.models import CreditNoteLine, InvoiceLine

if TYPE_CHECKING:
    from billing.issuing import DraftLine

type Period = tuple[str | None, date | None]

GIVEN_BEFORE = "given back before"


def returned_once(lines: Sequence["DraftLine"]) -> list["DraftLine"]:
    """The lines of one subscription's paper, each that gives back more than is left followed by what it exceeds it by.

    Reads what is left only where something is given back.
    """
    if not any(line.net < 0 for line in lines):
        return list(lines)
    left = _left(lines)
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


def _left(lines: Sequence["DraftLine"]) -> dict[Period, int]:
    """Net minor units that were asked for and not returned, by price and start of the whole period."""
    of = _of(lines[0].subscription_id, {_period(line) for line in lines if line.net < 0})
    asked = _sums(InvoiceLine.objects.filter(**of, invoice__voided_at__isnull=True), 1)
    returned = _sums(CreditNoteLine.objects.filter(**of), -1)
    left: dict[Period, int] = {}
    for price, start, net in asked.union(returned, all=True).order_by():
        left[price, start] = left.get((price, start), 0) + net
    return left


def _of(subscription: str | None, periods: Collection[Period]) -> dict[str, Any]:
    return {
        "subscription": subscription,
        "price__id__any": list({price for price, _ in periods}),
        "cycle_start__in": {start for _, start in periods},
    }


def charged_rates(subscription: str, periods: Collection[Period]) -> dict[Period, TaxRate]:
    """The tax that was last charged for these periods, by price and start; what was never charged is missing."""
    lines = InvoiceLine.objects.filter(**_of(subscription, periods), net__gt=0).exclude(kind="adjustment")
    columns = "price_id cycle_start tax_percentage tax_category tax_reason tax_in_gross tax_amount".split()
    found: dict[Period, TaxRate] = {}
    for price, start, percentage, category, reason, within, tax in lines.order_by("pk").values_list(*columns):
        # Where a price contains tax that was not charged, the line does not say how much.
        if tax or not within:
            found[price, start] = TaxRate("charged", percentage, bool(within), category, reason or None)
    return found


def _sums(lines: QuerySet[Any], sign: int) -> QuerySet[Any, Any]:
    return lines.order_by().values_list("price_id", "cycle_start").annotate(total=Sum("net") * sign)


def _answer(line: "DraftLine", excess: int) -> "DraftLine":
    """What was given back before, beside the line that gives it back again."""
    tax = round_half_away(-line.tax_amount * excess, -line.net)
    return replace(
        line, kind="adjustment", description=f"Given back before: {line.description}"[:300], gross=excess, discount=0,
        net=excess, tax_amount=tax, tax_in_gross=tax if line.tax_in_gross else 0, tax_in_discount=0, entry_key="",
        explanation={"policy": GIVEN_BEFORE, "line": line.entry_key},
    )  # fmt: skip
