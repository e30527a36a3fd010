"""Plans, prices, meters, taxes, discounts and the seller: what staff set up."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from billing import logos, outside, typed
from billing.admin import prices, stepping_up
from billing.admin.amounts import AmountField
from billing.admin.base import Careful, Plain, Spoken, chosen_alone, countries, figure, offer
from billing.admin.pricing import PriceList
from billing.customers import NET_DAYS
from billing.models import Entitlement, InvoiceLine, Meter, PhaseItem, Plan, Price, Seller
from billing.refusals import Refused
from billing.templatetags.tandem import spelled

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

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the plan, which each row says aloud."""
        return super().get_queryset(request).select_related("plan")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        field = chosen_alone(super().formfield_for_dbfield(db_field, request, **options))
        if db_field.name == "meter":
            offer(field, Meter.objects.all())
        return field


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
    says = {
        "code": ("Code", "By which links, files and the API know it"),
        "tagline": ("Tagline", "One line below the name"),
        "published": ("On the pricing page", ""),
        "motion": ("Motion", "Which way it is sold; stamped on what is bought"),
        "quote_only": ("By quote alone", "Checkout, portal and API refuse it"),
        "requires_demo": (
            "Needs a demo",
            "Checkout refuses it until the demo was held, or somebody of yours lets the buyer in",
        ),
        "rank": ("Rank", "Going to a plan with a higher one is an upgrade"),
        "trial_days": ("Days of trial", "0: none"),
        "trial_needs_card": ("A trial needs a card", "Without: it is asked for at the end"),
        "tax_category": (
            "Tax category",
            "The word by which a tax rate is for this kind of product alone; mostly blank",
        ),
        "archived_at": ("Sold until", "From then on nobody can buy it; who has it keeps it"),
    }
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
            return Lines(label="Highlights", help_text="What it includes, one to a line")
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
    says = {
        "code": ("Code", "What prices that follow each other have in common: seats-month"),
        "label": ("Label", "As invoices name it; blank: the plan’s name"),
        "active": ("Sold", "Off: who has it keeps it, nobody else gets it"),
        "kind": (
            "Kind",
            "What is bought for each period, what was used, what is paid once, or the least that is paid in all",
        ),
        "meter": ("Meter", "Of usage: what measures it"),
        "model": (
            "Charged",
            "Flat whatever the quantity, for each unit, by tiers, by packages, or as a percentage",
        ),
        "currency": ("Currency", "USD, EUR; one price for each"),
        "unit_amount": (
            "Price",
            "Of the period, a unit or a package, in the currency with its decimals (0.002); or the percentage",
        ),
        "package_size": ("Units in a package", "Of packages: each that was begun is paid for"),
        "interval": ("Interval", "Blank for what is paid once"),
        "billed": ("Billed", "Usage is always billed in arrears"),
        "prorate": ("By days", "A part of a period costs its part; off: all of it"),
        "included": ("Included units", "Free in each period"),
        "included_in_trial": ("Free units in a trial", "Blank: all of them"),
        "minimum": ("At least", "What a period costs even where less was bought"),
        "maximum": ("At most", "What a period costs even where more was bought"),
        "tax_category": ("Tax category", "Blank: the plan’s"),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("plan")

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
    items, lines = (model.objects.filter(price=OuterRef("pk")) for model in (PhaseItem, InvoiceLine))
    return Price.objects.filter(Exists(items) | Exists(lines), pk=price.pk).exists()


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
    fieldsets = (
        (None, {"fields": ("name", "code", "unit")}),
        (
            "What it measures",
            {
                "fields": ("event_name", "aggregation", "property"),
                "description": "Once something was measured, how it adds up stays: what was billed came of it.",
            },
        ),
    )
    says = {
        "name": ("Name", "As customers read it beside their usage: API calls"),
        "code": ("Code", "By which the API knows it: api_calls"),
        "unit": ("Unit", "What one of it is called: calls, GB"),
        "event_name": ("Event name", "The name under which your product sends the events"),
        "aggregation": ("Adds up as", "How many, their sum, the most, the last or how many different values"),
        "property": ("Property", "Which property of an event holds the value; a count needs none"),
    }

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> tuple[str, ...]:
        return ("aggregation", "property") if obj is not None and obj.usageday_set.exists() else ()


ADDRESS = {
    "line1": "Street and number", "line2": "Second line", "postal_code": "Postal code", "city": "City",
    "state": "State or region", "country": "Country",
}  # fmt: skip


def _say_what_is_not_kept(request: HttpRequest) -> None:
    """The press waits with what was typed while its maker says who they are; a file cannot wait with it."""
    if request.FILES and stepping_up.asks(request):
        messages.warning(request, "All that you typed is kept. The file is not: choose it once more.")


class SellerForm(Plain):
    """The seller's address part by part, as papers and mails print it."""

    new_logo = forms.FileField(
        label="New logo", required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
        help_text="PNG, JPEG or WebP, at most 2 MB; kept at up to 960 × 240 pixels without its empty margin. "
        "Save it by itself: with new bank details you may be asked who you are, and a file does not outlast that",
    )  # fmt: skip
    without_logo = forms.BooleanField(label="Show the initials instead of a logo", required=False)
    line1 = forms.CharField(label=ADDRESS["line1"], max_length=200)
    line2 = forms.CharField(label=ADDRESS["line2"], max_length=200, required=False)
    postal_code = forms.CharField(label=ADDRESS["postal_code"], max_length=20, required=False)
    city = forms.CharField(label=ADDRESS["city"], max_length=100)
    state = forms.CharField(label=ADDRESS["state"], max_length=100, required=False)
    country = forms.ChoiceField(
        label=ADDRESS["country"],
        choices=lambda: [("", "–"), *countries()],
        help_text="Decides which tax is taken at home and abroad",
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
        return self.checked(typed.currency, self.cleaned_data["currency"])

    def clean_new_logo(self) -> logos.Logo | None:
        given = self.cleaned_data["new_logo"]
        return self.checked(logos.drawn, given.read(logos.MOST_BYTES + 1)) if given else None

    def clean_terms_url(self) -> str:
        return self._page("terms_url")

    def clean_privacy_url(self) -> str:
        return self._page("privacy_url")

    def _page(self, name: str) -> str:
        """An address that buyers open, or none."""
        address = self.cleaned_data[name]
        return self.checked(outside.page, address, name) if address else ""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        parts = {name: given.get(name, "") for name in ADDRESS}
        kept = {name: value for name, value in self.instance.address.items() if name not in ADDRESS}
        self.instance.address = {**kept, **{name: value for name, value in parts.items() if value}}
        if given.get("new_logo") or given.get("without_logo"):
            logos.put_on(self.instance, given.get("new_logo"))
        return given


# What of the seller is changed after saying again who one is.
GUARDED = {"bank_name", "iban", "bic", "sign_off_over"}


@admin.register(Seller)
class SellerAdmin(Careful):
    form = SellerForm
    says = {
        "name": ("Name", "As buyers know you"),
        "legal_name": ("Legal name", "As papers name you"),
        "registration": ("Company registration", "Printed on papers, where your law asks for it"),
        "tax_id": ("Tax id", "VAT or GST number"),
        "bank_name": ("Bank", ""),
        "iban": ("IBAN", ""),
        "bic": ("BIC", ""),
        "currency": ("Currency", "In which segments and metrics are counted"),
        "timezone": ("Time zone", "In which days of papers and of the books begin: Europe/Dublin"),
        "footer": ("Footer of papers", "One or two lines"),
    }
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

    def save_model(self, request: HttpRequest, obj: Seller, form: Any, change: bool) -> None:
        """To where customers send their money, and what needs a second person, is changed by nobody who only found a
        screen open."""
        if GUARDED & {*form.changed_data}:
            _say_what_is_not_kept(request)
            stepping_up.ask(request)
        super().save_model(request, obj, form, change)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not Seller.objects.exists()

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """The menu, on every page, need not know whether there is one already."""
        change, view = self.has_change_permission(request), self.has_view_permission(request)
        return {"add": False, "change": change, "delete": False, "view": view}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
