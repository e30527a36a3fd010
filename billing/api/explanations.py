"""Why a line has its amount, as the API tells it: the same facts as on the row, with money in major units.

Rows keep whole minor units and exact text (`billing.maths.explaining`), of which an amount can be computed again. Here
every amount is a decimal string of the invoice's currency, as everywhere in the API. What is no amount stays as it is:
a quantity, and the percentage that a price of the model `percentage` has as its unit.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rest_framework import serializers

from billing.maths.money import exponent, plain, to_major, to_unit
from billing.maths.pricing import PriceModel

type Told = dict[str, Any]


def _maybe(help_text: str = "") -> serializers.CharField:
    return serializers.CharField(required=False, help_text=help_text)


class ExplainedTierOut(serializers.Serializer[Any]):
    """A tier that was reached: what lay in it, and its exact cost."""

    vars()["from"] = serializers.CharField()  # a word of Python's
    to = serializers.CharField(allow_null=True)
    quantity = serializers.CharField()
    unit_amount = serializers.CharField(help_text="a percentage where the model is one")
    flat_amount = serializers.CharField()
    amount = serializers.CharField(
        help_text="exact, so with more decimals than the currency where it has them"
    )


class ExplainedEventsOut(serializers.Serializer[Any]):
    """What single events cost, added up."""

    events = serializers.IntegerField()
    free_events = serializers.IntegerField()
    free_amount = serializers.CharField()
    fixed_amount = serializers.CharField(help_text="for each event")
    minimum = _maybe("of each event")
    maximum = _maybe("of each event")
    came_to = serializers.CharField()


class ExplainedBeyondOut(serializers.Serializer[Any]):
    """What had been charged for in the period when units were added to a price that is not prorated."""

    quantity = serializers.CharField()
    amount = serializers.CharField()


class ExplainedDiscountOut(serializers.Serializer[Any]):
    """One discount, in the order in which they were taken off."""

    label = serializers.CharField()  # type: ignore[assignment]
    percent_off = _maybe()
    amount_off = _maybe("of a whole period, for all items together")
    off = serializers.CharField(help_text="what it took off this line")


class ExplainedTaxPartOut(serializers.Serializer[Any]):
    """One tax of several."""

    name = serializers.CharField()
    percentage = serializers.CharField()
    compound = serializers.BooleanField(required=False)
    amount = serializers.CharField()


class ExplainedTaxOut(serializers.Serializer[Any]):
    """The line's tax."""

    percentage = serializers.CharField()
    category = serializers.CharField(help_text="of EN 16931, such as S or AE")
    amount = serializers.CharField()
    reason = _maybe("why none is charged")
    in_gross = _maybe("tax that the price contained")
    in_discount = _maybe("tax that the discount contained")
    taxes = ExplainedTaxPartOut(many=True, required=False)


class ExplanationOut(serializers.Serializer[Any]):
    """How the amount was computed: docs/billing-maths.md, section 12. Only what has to do with the line is there."""

    policy = _maybe("advance, arrears, credit, whole, once, usage, trial, minimum, reversed, credited")
    days = serializers.IntegerField(required=False, help_text="charged for")
    of_days = serializers.IntegerField(required=False, help_text="of the whole period")
    model = _maybe()
    unit = _maybe("the price of one; a percentage where the model is one")
    quantity = _maybe()
    included = _maybe("units that cost nothing in these days")
    package_size = _maybe()
    tiers = ExplainedTierOut(many=True, required=False)
    per_transaction = ExplainedEventsOut(required=False)
    beyond = ExplainedBeyondOut(required=False)
    minimum = _maybe("the least that these days cost")
    maximum = _maybe("the most that these days cost")
    unlimited = _maybe("what they would have cost without a maximum")
    came_to = _maybe("what the price came to, where a minimum adds to it")
    discount = ExplainedDiscountOut(many=True, required=False)
    line = _maybe("whose amount is given back, where one is")
    tax_category = _maybe("of a line that somebody wrote")
    rounding = _maybe()
    tax = ExplainedTaxOut()


# Whole minor units, wherever they stand.
WHOLE = (
    "maximum",
    "unlimited",
    "minimum",
    "came_to",
    "amount_off",
    "off",
    "amount",
    "in_gross",
    "in_discount",
)


def told(explained: Mapping[str, Any], currency: str) -> Told:
    """`PaperLine.explained` with every amount in major units of `currency`."""
    out = _amounts(explained, currency)
    for name in ("tax", "beyond"):
        if name in out:
            out[name] = _amounts(out[name], currency)
    if "taxes" in out.get("tax", ()):
        out["tax"]["taxes"] = [_amounts(tax, currency) for tax in out["tax"]["taxes"]]
    if "discount" in out:
        out["discount"] = [_amounts(step, currency) for step in out["discount"]]
    if "per_transaction" in out:
        out["per_transaction"] = _each_event(out["per_transaction"], currency)
    percentage = out.get("model") == PriceModel.PERCENTAGE
    if "unit" in out and not percentage:
        out["unit"] = to_unit(Decimal(out["unit"]), currency)
    if "tiers" in out:
        out["tiers"] = [_tier(tier, currency, percentage=percentage) for tier in out["tiers"]]
    return out


def _amounts(part: Mapping[str, Any], currency: str) -> Told:
    return {
        name: to_major(value, currency) if name in WHOLE and value is not None else value
        for name, value in part.items()
    }


def _tier(tier: Mapping[str, Any], currency: str, *, percentage: bool) -> Told:
    unit = tier["unit_amount"]
    return {
        **tier,
        "unit_amount": unit if percentage else to_unit(Decimal(unit), currency),
        "flat_amount": to_unit(Decimal(tier["flat_amount"]), currency),
        "amount": _exactly(Fraction(tier["amount"]) / 10 ** exponent(currency), currency),
    }


def _each_event(each: Mapping[str, Any], currency: str) -> Told:
    terms = {
        name: _exactly(Fraction(each[name]), currency)
        for name in ("free_amount", "fixed_amount", "minimum", "maximum")
        if name in each
    }
    return {**each, **terms, "came_to": to_major(each["came_to"], currency)}


def _exactly(major: Fraction, currency: str) -> str:
    """With at least the currency's decimals; what is no decimal stays a ratio, such as 16/31."""
    text = plain(major)
    return text if "/" in text else to_unit(Decimal(text), currency)
