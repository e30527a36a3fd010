"""A price on the admin's pages: its tiers as lines that people write, its terms in words once they are fixed."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from billing.admin.base import facts
from billing.models import Price
from billing.templatetags.tandem import number, spelled, unit_price

DIGITS = r"[0-9]{1,15}(?:[.][0-9]{1,12})?"
TIER = re.compile(
    rf"(?:up to\s+(?P<up_to>{DIGITS})|above)\s*:\s*(?P<unit_amount>{DIGITS})(?:\s*[+]\s*(?P<flat_amount>{DIGITS}))?",
    re.IGNORECASE,
)

OF_EACH = ("fixed amount", "minimum", "maximum", "free events", "free amount")
TERM = re.compile(rf"(?P<name>{'|'.join(OF_EACH)})\s*:\s*(?P<value>{DIGITS})", re.IGNORECASE)


class Tiers(forms.CharField):
    """Tiers as stored, one to a line: `up to 1000: 0.02`, `above: 0.01 + 5` (5 once, for entering the tier)."""

    def __init__(self, **options: Any) -> None:
        lines = forms.Textarea({"rows": 4, "class": "vLargeTextField"})
        help_text = (
            "Graduated and volume, one to a line: “up to 1000: 0.02”, at last “above: 0.01”; "
            "“+ 5” after it is charged once"
        )
        super().__init__(widget=lines, required=False, help_text=help_text, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(_line, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in str(super().to_python(value)).splitlines()]
        return [_tier(nth, line) for nth, line in enumerate(lines, 1) if line]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class OfEachEvent(forms.CharField):
    """What a percentage takes of every event, one term to a line: `fixed amount: 0.30`, `free events: 100`; empty where
    it takes nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
            required=False,
            help_text=f"A percentage’s only, one to a line: “fixed amount: 0.30”. Known are {', '.join(OF_EACH)}",
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(
            f"{name.replace('_', ' ')}: {each}" for name, each in value.items() if each is not None
        )

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in str(super().to_python(value)).splitlines()]
        return dict(_of_each(nth, line) for nth, line in enumerate(lines, 1) if line) or None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != initial)


def _line(tier: dict[str, str | None]) -> str:
    reach = "above" if tier.get("up_to") is None else f"up to {tier['up_to']}"
    flat = Decimal(tier.get("flat_amount") or 0)
    return f"{reach}: {tier.get('unit_amount') or 0}" + (f" + {tier['flat_amount']}" if flat else "")


def _tier(nth: int, line: str) -> dict[str, str | None]:
    if not (found := TIER.fullmatch(line)):
        raise forms.ValidationError(
            f"Line {nth}: write it as “up to 1000: 0.02” or “above: 0.01”, digits and points alone."
        )
    return {**found.groupdict(), "flat_amount": found["flat_amount"] or "0"}


def _of_each(nth: int, line: str) -> tuple[str, str | int]:
    if not (found := TERM.fullmatch(line)):
        raise forms.ValidationError(
            f"Line {nth}: write it as “fixed amount: 0.30”; known are {', '.join(OF_EACH)}."
        )
    name, value = found["name"].lower().replace(" ", "_"), found["value"]
    return name, int(value) if name == "free_events" and value.isdigit() else value


def each(price: Price) -> str:
    """What one unit costs; where there is no such price, what takes its place."""
    if price.tiers:
        return f"{len(price.tiers)} tiers"
    if price.kind == "minimum":
        return f"at least {unit_price(price.minimum or Decimal(0), price.currency)}"
    if price.model == "percentage":
        return f"{number(price.unit_amount)} %"
    words = unit_price(price.unit_amount, price.currency)
    return f"{words} for {number(price.package_size)}" if price.package_size else words


def terms(price: Price) -> SafeString:
    """Everything that the price says, without what it does not."""
    return facts((name, value) for name, value in _terms(price) if value)


def _terms(price: Price) -> Iterator[tuple[str, Any]]:
    yield "Plan", price.plan
    yield "Kind", price.get_kind_display()
    yield "Charged", spelled(price.model)
    yield "Each", "" if price.tiers else each(price)
    yield "Tiers", format_html_join("", "<div>{}</div>", ([words] for words in _tier_words(price)))
    yield "Interval", spelled(price.interval) if price.interval else ""
    yield "Billed", price.get_billed_display()
    yield "Meter", price.meter
    yield "Included", number(price.included) if price.included else ""
    yield "Free in a trial", _some(price.included_in_trial, number)
    for name, limit in (("Minimum", price.minimum), ("Maximum", price.maximum)):
        yield name, _some(limit, lambda value: unit_price(value, price.currency))
    of_each = (price.per_transaction or {}).items()
    yield "Of every event", ", ".join(f"{spelled(name).lower()} {value}" for name, value in of_each)
    yield "By days", "yes" if price.prorate else "no"
    yield "Tax category", price.tax_category
    yield "Code", price.code
    yield "Id", price.pk


def _some(value: Decimal | None, write: Any) -> str:
    return "" if value is None else str(write(value))


def _tier_words(price: Price) -> Iterator[str]:
    for tier in price.tiers:
        reach = "above" if tier.get("up_to") is None else f"up to {number(Decimal(tier['up_to']))}"
        flat = Decimal(tier.get("flat_amount") or 0)
        once = f" and {unit_price(flat, price.currency)} once" if flat else ""
        yield f"{reach}: {unit_price(Decimal(tier.get('unit_amount') or 0), price.currency)} each{once}"
