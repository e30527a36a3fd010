"""Plans, prices, meters, taxes, discounts and the seller: what staff set up."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from billing import logos, outside, typed
from billing.admin import prices
from billing.admin.base import Careful, Spoken, chosen_alone, figure
from billing.admin.papers import AmountField
from billing.admin.pricing import PriceList
from billing.customers import NET_DAYS
from billing.models import Discount, Entitlement, Meter, Plan, Price, Seller
from billing.refusals import Refused
from billing.templatetags.tandem import money, percent, spelled


def countries() -> list[tuple[str, str]]:
    return [("", "–"), *sorted(typed.countries().items(), key=lambda pair: pair[1])]


NET_TERMS = [(days, f"Net {days}" if days else "Due on receipt") for days in NET_DAYS]


class Removable(forms.BaseInlineFormSet):
    """Rows whose box for removing them says aloud which one goes."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "DELETE" in form.fields:
            whose = "new" if form.instance._state.adding else str(form.instance)
            form.fields["DELETE"].widget.attrs["aria-label"] = f"Remove: {whose}"


class Entitlements(admin.TabularInline):
    model = Entitlement
    form = Spoken
    formset = Removable
    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        return chosen_alone(super().formfield_for_dbfield(db_field, request, **options))


class Lines(forms.CharField):
    """A list of texts, one to a line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=forms.Textarea({"rows": 6, "class": "vLargeTextField"}), required=False, **options
        )

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(super().to_python(value)).splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


@admin.register(Plan)
class PlanAdmin(PriceList):
    list_display = ("name", "code", "motion", "published", "quote_only", "requires_demo", "rank")
    list_filter = ("motion", "published")
    search_fields = ("name", "code")
    inlines = (Entitlements,)
    readonly_fields = ("created_at",)
    fieldsets = (
        ("What the pricing page says", {"fields": ("name", "code", "tagline", "highlights", "published")}),
        ("Who can buy it, and how", {"fields": ("motion", "quote_only", "requires_demo", "rank")}),
        ("Trial", {"fields": ("trial_days", "trial_needs_card")}),
        ("Tax, and its end", {"fields": ("tax_category", "archived_at", "created_at")}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "highlights":
            return Lines(label="Highlights", help_text="on the pricing page, one to a line")
        return super().formfield_for_dbfield(db_field, request, **options)


@admin.register(Price)
class PriceAdmin(Careful):
    """A price that was used is frozen by the database; add a new one and switch the old one off."""

    list_display = (
        "plan",
        "code",
        "kind",
        "charged",
        "interval",
        figure("unit_amount", "each", lambda value, price: prices.each(price)),
        "active",
    )
    list_filter = ("plan", "currency", "kind", "active")
    search_fields = ("code", "label")
    list_select_related = ("plan",)

    @admin.display(description="charged", ordering="model")
    def charged(self, price: Price) -> str:
        return spelled(price.model)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "tiers":
            return prices.Tiers(label="Tiers")
        if db_field.name == "per_transaction":
            return prices.OfEachEvent(label="Of every event")
        return super().formfield_for_dbfield(db_field, request, **options)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Ways of charging and intervals in words, not as they are stored."""
        if db_field.name in ("model", "interval"):
            blank = [("", "–")] if db_field.blank else []
            options["choices"] = [*blank, *((value, spelled(value)) for value, _ in db_field.choices)]
        return super().formfield_for_choice_field(db_field, request, **options)

    @admin.display(description="terms")
    def terms(self, price: Price) -> str:
        return prices.terms(price)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and (_was_used(obj) or not self.has_change_permission(request, obj)):
            return FIXED
        return OPEN

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("terms",)


def _was_used(price: Price) -> bool:
    return price.phaseitem_set.exists() or price.invoiceline_set.exists()


OPEN = (
    (None, {"fields": ("plan", "code", "label", "active")}),
    (
        "What it costs",
        {"fields": ("kind", "meter", "model", "currency", "unit_amount", "tiers", "package_size")},
    ),
    ("When", {"fields": ("interval", "billed", "prorate")}),
    (
        "Included and limits",
        {"fields": ("included", "included_in_trial", "minimum", "maximum", "per_transaction")},
    ),
    ("Tax", {"fields": ("tax_category",)}),
)
FIXED = (
    (None, {"fields": ("label", "active")}),
    (
        None,
        {
            "fields": ("terms",),
            "description": "A price that was used stays as it is. For other terms switch it off and add another.",
        },
    ),
)


@admin.register(Meter)
class MeterAdmin(Careful):
    teaches = (
        "gauge",
        "No meter yet",
        "A meter turns the events that your product sends into a quantity: a count, a sum, the most.",
    )
    list_display = ("name", "code", "event_name", "aggregation", "unit")


class DiscountForm(forms.ModelForm):
    """Which prices and meters it is for, by what staff know them by."""

    prices = SimpleArrayField(
        forms.CharField(), required=False, help_text="codes of prices, with commas between; none: everything"
    )
    meters = forms.ModelMultipleChoiceField(
        Meter.objects.all(), required=False, help_text="it is for what these measure, too"
    )

    def clean_prices(self) -> list[str]:
        given = sorted(set(self.cleaned_data["prices"]))
        missing = set(given) - set(Price.objects.filter(code__in=given).values_list("code", flat=True))
        if missing:
            raise forms.ValidationError(f"There is no price {min(missing)}.")
        return given

    def clean_meters(self) -> list[str]:
        return [meter.pk for meter in self.cleaned_data["meters"]]


@admin.register(Discount)
class DiscountAdmin(Careful):
    form = DiscountForm
    teaches = (
        "ticket-percent",
        "No discount yet",
        "A discount with a code can be typed at checkout; without one, staff and the API give it.",
    )
    list_display = ("__str__", "code", "off", "duration", "redemptions", "expires_at")

    @admin.display(description="off")
    def off(self, row: Discount) -> str:
        return percent(row.percent_off) if row.percent_off else money(row.amount_off, row.currency)

    readonly_fields = ("redemptions", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discount]:
        """Without what several make together: that is made of these."""
        return super().get_queryset(request).filter(parts=[])


ADDRESS = {
    "line1": "Street and number", "line2": "Second line", "postal_code": "Postal code", "city": "City",
    "state": "State or region", "country": "Country",
}  # fmt: skip


class SellerForm(forms.ModelForm):
    """The seller's address part by part, as papers and mails print it."""

    new_logo = forms.FileField(
        label="New logo", required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
        help_text="PNG, JPEG or WebP, at most 2 MB; kept at up to 960 × 240 pixels without its empty margin",
    )  # fmt: skip
    without_logo = forms.BooleanField(label="Show the initials instead of a logo", required=False)
    line1 = forms.CharField(label=ADDRESS["line1"], max_length=200)
    line2 = forms.CharField(label=ADDRESS["line2"], max_length=200, required=False)
    postal_code = forms.CharField(label=ADDRESS["postal_code"], max_length=20, required=False)
    city = forms.CharField(label=ADDRESS["city"], max_length=100)
    state = forms.CharField(label=ADDRESS["state"], max_length=100, required=False)
    country = forms.ChoiceField(
        label=ADDRESS["country"], choices=countries, help_text="decides which tax is taken at home and abroad"
    )

    upgrade_alert_delta = AmountField(
        label="Large upgrade above",
        help_text="what an upgrade adds to the MRR; more is told to sales at once",
    )
    sign_off_over = AmountField(
        label="Second person above",
        required=False,
        help_text="refunds to one customer within 30 days, and write-offs, above this need one; empty: none",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ADDRESS:
            self.initial.setdefault(name, self.instance.address.get(name, ""))
        for field in self.fields.values():
            if isinstance(field, AmountField):
                field.currency = self._currency()
                field.label = f"{field.label}, {self.instance.currency}"

    def _currency(self) -> str:
        """That amounts are typed in: the one that is given along, where it is one."""
        try:
            return typed.currency(self.data.get("currency") or self.instance.currency)
        except Refused:
            return self.instance.currency

    def clean_currency(self) -> str:
        try:
            return typed.currency(self.cleaned_data["currency"])
        except Refused as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from refusal

    def clean_new_logo(self) -> logos.Logo | None:
        given = self.cleaned_data["new_logo"]
        try:
            return logos.drawn(given.read(logos.MOST_BYTES + 1)) if given else None
        except logos.InvalidLogo as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from refusal

    def clean_terms_url(self) -> str:
        return self._page("terms_url")

    def clean_privacy_url(self) -> str:
        return self._page("privacy_url")

    def _page(self, name: str) -> str:
        """An address that buyers open, or none."""
        typed = self.cleaned_data[name]
        try:
            return outside.page(typed, name) if typed else ""
        except outside.InvalidUrl as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from refusal

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        parts = {name: given.get(name, "") for name in ADDRESS}
        kept = {name: value for name, value in self.instance.address.items() if name not in ADDRESS}
        self.instance.address = {**kept, **{name: value for name, value in parts.items() if value}}
        if given.get("new_logo") or given.get("without_logo"):
            logos.put_on(self.instance, given.get("new_logo"))
        return given


@admin.register(Seller)
class SellerAdmin(Careful):
    form = SellerForm
    readonly_fields = ("logo_shown",)
    list_display = ("name", "legal_name", "currency", "timezone", "net_days")
    fieldsets = (
        ("Who sells", {"fields": ("name", "legal_name", "registration", "tax_id")}),
        (
            "Logo",
            {
                "fields": ("logo_shown", "new_logo", "without_logo"),
                "description": "On every page that buyers and customers see, on mails, and on papers that are printed "
                "from then on.",
            },
        ),
        ("Address", {"fields": tuple(ADDRESS)}),
        ("Where customers reach you", {"fields": ("email", "phone", "website")}),
        (
            "What buyers agree to",
            {
                "fields": ("terms_url", "privacy_url"),
                "description": "Linked at checkout, on quotes, in forms and at the foot of pages. What a buyer agreed to "
                "is kept by its address, so give a new text a new one (…/terms/2026-11).",
            },
        ),
        (
            "Bank",
            {
                "fields": ("bank_name", "iban", "bic"),
                "description": "Printed on invoices to be paid by transfer.",
            },
        ),
        ("How you bill", {"fields": ("currency", "timezone", "net_days", "footer")}),
        (
            "What happens by itself",
            {
                "fields": (
                    "customers_may_pause",
                    "downgrades_at_once",
                    "unpaid_end",
                    "upgrade_alert_delta",
                    "sign_off_over",
                )
            },
        ),
    )

    @admin.display(description="Logo now")
    def logo_shown(self, row: Seller) -> str:
        if not row.logo_hash:
            return "None yet: pages show the initials and the name."
        tone = f" brand__logo--{row.logo_tone}" if row.logo_tone else ""
        address = f"{reverse('logo')}?v={row.logo_hash[:8]}"
        return format_html('<img class="brand__logo{}" src="{}" alt="{}">', tone, address, row.name)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "net_days":
            return forms.TypedChoiceField(label="Payment terms", coerce=int, choices=NET_TERMS)
        return super().formfield_for_dbfield(db_field, request, **options)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not Seller.objects.exists()

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """The menu, on every page, need not know whether there is one already."""
        change, view = self.has_change_permission(request), self.has_view_permission(request)
        return {"add": False, "change": change, "delete": False, "view": view}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
