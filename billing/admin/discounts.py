"""Discounts on the admin's pages: what they take off, for how long, for what and for whom."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import cataloguing, typed
from billing.admin.amounts import AmountField
from billing.admin.base import Careful, Plain, facts
from billing.models import Discount, Meter, Price
from billing.templatetags.tandem import money, percent

# What whoever was given it pays by: the database keeps it from the first time on (`discount_frozen`).
TERMS = ("percent_off", "amount_off", "currency", "duration", "periods", "prices", "meters")

KEPT = (
    "What it takes off, and from what",
    {
        "fields": ("terms",),
        "description": "Somebody has it, so this stays as it is. For other terms make another one.",
    },
)


class DiscountForm(Plain):
    """Money as people type it; prices and meters by what staff know them by."""

    amount_off = AmountField(
        label="Amount off", required=False, help_text="Of every billing period, never more than that costs"
    )
    prices = SimpleArrayField(
        forms.CharField(),
        required=False,
        help_text="Their codes, with commas between: seats-month, seats-year",
    )
    meters = forms.ModelMultipleChoiceField(
        Meter.objects.all(), label="Usage", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="What these measure, beside the prices above",
    )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if isinstance(field := self.fields.get("amount_off"), AmountField):
            field.currency = str(self.data.get("currency") or self.instance.currency).upper()

    def clean_code(self) -> str | None:
        return self.checked(cataloguing.promotion_code, self.cleaned_data["code"], self.instance)

    def clean_currency(self) -> str:
        given = self.cleaned_data["currency"]
        return self.checked(typed.currency, given) if given else ""

    def clean_prices(self) -> list[str]:
        given = sorted(set(self.cleaned_data["prices"]))
        missing = set(given) - set(Price.objects.filter(code__in=given).values_list("code", flat=True))
        if missing:
            raise forms.ValidationError(f"There is no price {min(missing)}.")
        return given

    def clean_meters(self) -> list[str]:
        return [meter.pk for meter in self.cleaned_data["meters"]]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors and set(TERMS) <= set(self.fields):
            self.check(
                cataloguing.check_reduction, given["percent_off"], given["amount_off"], given["currency"]
            )
            self.check(cataloguing.check_duration, given["duration"], given["periods"])
            if given["amount_off"] is None:
                given["currency"] = ""
        return given


@admin.register(Discount)
class DiscountAdmin(Careful):
    """Once somebody has it, what it takes off stays; who may have it from now on can be changed."""

    form = DiscountForm
    teaches = (
        "ticket-percent",
        "No discount yet",
        "A discount with a code can be typed at checkout; without one, staff and the API give it.",
    )
    list_display = ("__str__", "code", "off", "duration", "redemptions", "expires_at")
    search_fields = ("code", "label")
    fieldsets = (
        (
            "What it takes off",
            {"fields": ("percent_off", "amount_off", "currency"), "description": "A share or an amount, one of the two."},
        ),
        ("For how long", {"fields": ("duration", "periods")}),
        (
            "What it is for",
            {
                "fields": ("prices", "meters"),
                "description": "With nothing chosen it is for everything that is bought.",
            },
        ),
        (
            "Who may use it",
            {
                "fields": ("code", "plans", "max_redemptions", "expires_at", "redemptions"),
                "description": "With a code buyers can type it at checkout; without one only staff and the API give it.",
            },
        ),
        ("How invoices name it", {"fields": ("label", "created_at")}),
    )  # fmt: skip
    says = {
        "percent_off": ("Percent off", "20 takes a fifth off"),
        "currency": ("Currency", "Of the amount: USD, EUR. What is sold in another one does not get it"),
        "periods": ("Periods", "How many billing periods, where it is for several"),
        "plans": ("Plans", "Who buys another one cannot use it; with none chosen, all"),
        "code": ("Code", "What buyers type, in large or small letters: SPRING25"),
        "max_redemptions": ("At most so many times", "Over all customers; blank: without end"),
        "expires_at": ("Can be used until", "Whoever has it by then keeps it"),
        "label": ("Label", "On invoices and at checkout; blank: the code"),
    }

    @admin.display(description="off")
    def off(self, row: Discount) -> str:
        return _off(row)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        options["widget"] = forms.CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **options)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discount]:
        """Without what several make together: that is made of these."""
        return super().get_queryset(request).filter(parts=[])

    def get_fieldsets(self, request: HttpRequest, obj: Discount | None = None) -> Any:
        if obj is None or not obj.was_given:
            return super().get_fieldsets(request, obj)
        whom_and_how = [
            group for group in super().get_fieldsets(request, obj) if not set(TERMS) & set(group[1]["fields"])
        ]
        return [KEPT, *whom_and_how]

    def get_readonly_fields(self, request: HttpRequest, obj: Discount | None = None) -> tuple[str, ...]:
        return ("terms", "redemptions", "created_at")

    @admin.display(description="terms")
    def terms(self, row: Discount) -> str:
        return facts((name, value) for name, value in _terms(row) if value)


def _off(row: Discount) -> str:
    return percent(row.percent_off) if row.percent_off else money(row.amount_off, row.currency)


def _terms(row: Discount) -> Iterator[tuple[str, str]]:
    yield "Takes off", _off(row)
    yield "For", f"{row.periods} periods" if row.periods else row.get_duration_display().lower()
    yield "Prices", ", ".join(row.prices)
    yield "Usage", ", ".join(Meter.objects.filter(pk__in=row.meters).values_list("name", flat=True))
    yield "Id", row.pk
