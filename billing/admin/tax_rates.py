"""Tax rates on the admin's pages: several taxes as lines that people write."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin

from billing import cataloguing
from billing.admin.base import Careful, Plain, countries, figure
from billing.maths.tax import CATEGORIES, Tax, whole
from billing.models import TaxRate
from billing.templatetags.tandem import percent

TAX = re.compile(
    r"(?P<name>[^:]{1,100}):\s*(?P<percentage>[0-9]{1,3}(?:[.][0-9]{1,4})?)\s*%?(?P<compound>\s+compound)?",
    re.IGNORECASE,
)


class Taxes(forms.CharField):
    """Taxes as stored, one to a line: `GST: 5`, `QST: 9.5 compound` (taken from the net amount and the GST)."""

    def __init__(self, **options: Any) -> None:
        lines = forms.Textarea({"rows": 3, "class": "vLargeTextField"})
        help_text = (
            "Where several are taken, one to a line: “State tax: 6.25”, “City tax: 2”. “compound” after the percentage: "
            "taken from the net amount and the taxes above it"
        )
        super().__init__(widget=lines, required=False, help_text=help_text, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(_line, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in str(super().to_python(value)).splitlines()]
        return [_tax(nth, line) for nth, line in enumerate(lines, 1) if line]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


def _line(tax: dict[str, Any]) -> str:
    return f"{tax['name']}: {tax['percentage']}{' compound' if tax.get('compound') else ''}"


def _tax(nth: int, line: str) -> dict[str, Any]:
    found = TAX.fullmatch(line)
    if found is None:
        raise forms.ValidationError(f"Line {nth}: write “GST: 5” or “QST: 9.5 compound”, not “{line}”.")
    return Tax(found["name"].strip(), Decimal(found["percentage"]), found["compound"] is not None).to_json()


# What a rate is called in electronic invoices (EN 16931, UNCL5305), in words.
CATEGORY_WORDS = {
    "S": "Standard or reduced rate", "Z": "Zero rate", "E": "Exempt", "AE": "Reverse charge", "O": "Outside the scope",
    "K": "Delivery within the EU", "G": "Export",
}  # fmt: skip


class TaxRateForm(Plain):
    country = forms.ChoiceField(
        choices=lambda: [("", "Wherever no other rate is set"), *countries()], required=False
    )
    category = forms.ChoiceField(
        choices=[(code, f"{CATEGORY_WORDS[code]} ({code})") for code in CATEGORIES], label="Kind", initial="S",
        help_text="How electronic invoices call it",
    )  # fmt: skip
    taxes = Taxes()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["percentage"].required = False

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        self._add_up(given)
        self._place(given)
        return given

    def _add_up(self, given: dict[str, Any]) -> None:
        taxes = given.get("taxes") or []
        if taxes and given.get("percentage") is None and "percentage" not in self.errors:
            given["percentage"] = whole([Tax.from_json(tax) for tax in taxes])
        elif given.get("percentage") is None and not self.errors:
            self.add_error("percentage", "A percentage, or the taxes that it is made of.")

    def _place(self, given: dict[str, Any]) -> None:
        if {"country", "state"} <= given.keys():
            given |= self.check(cataloguing.place_of, given["country"], given["state"]) or {}


@admin.register(TaxRate)
class TaxRateAdmin(Careful):
    form = TaxRateForm
    teaches = (
        "percent",
        "No tax rate yet",
        "Without one no tax is taken. Add one for each country, or state, in which you collect it.",
    )
    list_display = (
        "name",
        "country",
        "state",
        "product_category",
        figure("percentage", "rate", lambda value, row: percent(value)),
        "inclusive",
        "category",
        "active",
    )
    list_filter = ("active", "country", "product_category")
    fieldsets = (
        (None, {"fields": ("name", "percentage", "inclusive", "active")}),
        (
            "Where and for what",
            {
                "fields": ("country", "state", "product_category"),
                "description": "One rate is taken: the one that fits most closely. That of a state names the country’s "
                "tax among its own.",
            },
        ),
        ("Several taxes", {"fields": ("taxes",), "classes": ("collapse",)}),
        ("Electronic invoices", {"fields": ("category",)}),
    )
    says = {
        "name": ("Name", "As papers print it: VAT, GST, Sales tax"),
        "percentage": ("Percentage", "Of several taxes what they come to: it may be left out"),
        "inclusive": ("Prices contain it", "Otherwise it is put on top of them"),
        "state": (
            "State",
            "By name or code, such as California or QC; blank: all of the country",
        ),
        "product_category": ("Tax category", "For prices of this category alone; blank: for all"),
    }
