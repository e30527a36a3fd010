"""The segmentation table on one page, so that moving a border moves it in both bands at once."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from billing import segmenting
from billing.admin.base import ReadOnly
from billing.maths.money import exponent, to_major
from billing.models import ExchangeRate, Segment, Seller
from billing.refusals import Refused


class MajorAmount(forms.DecimalField):
    """Typed in major units, kept in minor ones of the seller's currency, which its form says."""

    currency = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_digits=15, widget=forms.NumberInput({"step": "any"}), **options)

    def prepare_value(self, value: Any) -> Any:
        return (
            Decimal(to_major(value, self.currency)).normalize().__format__("f")
            if isinstance(value, int)
            else value
        )

    def clean(self, value: Any) -> Any:
        typed = super().clean(value)
        if typed is None:
            return None
        minor = typed.scaleb(exponent(self.currency))
        if minor != minor.to_integral_value():
            raise forms.ValidationError("Too many decimals.")
        return int(minor)


class RateForm(forms.Form):
    """What one unit of a currency is worth in the seller's, from a day on."""

    currency = forms.CharField(
        max_length=3, widget=forms.TextInput({"size": 4, "autocapitalize": "characters"})
    )
    rate = forms.DecimalField(label="One of it is worth", widget=forms.NumberInput({"step": "any"}))
    since = forms.DateField(label="From", widget=forms.DateInput({"type": "date"}))


class BandForm(forms.ModelForm):
    min_arr = MajorAmount(label="ARR from")
    max_arr = MajorAmount(label="to under", required=False)

    class Meta:
        model = Segment
        fields = (
            "name",
            "code",
            "min_arr",
            "max_arr",
            "motion",
            "allows_card",
            "allows_invoice",
            "sales_touch",
        )

    def __init__(self, *args: Any, currency: str, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            if isinstance(field, MajorAmount):
                field.currency = currency


class BandSet(forms.BaseModelFormSet):
    """All of the bands; whether they cover every ARR once is said by the verb."""

    def remaining(self) -> list[Segment]:
        kept = [form for form in self.forms if form not in self.deleted_forms]
        return [form.instance for form in kept if form.instance.pk or form.has_changed()]

    def removed(self) -> list[Segment]:
        return [form.instance for form in self.deleted_forms if form.instance.pk]


Bands: Any = forms.modelformset_factory(Segment, form=BandForm, formset=BandSet, extra=1, can_delete=True)


def _bands(seller: Seller, sent: Any = None) -> Any:
    rows = Segment.objects.order_by("min_arr")
    return Bands(sent, queryset=rows, form_kwargs={"currency": seller.currency})


@admin.register(Segment)
class SegmentAdmin(ReadOnly):
    """Its list is the form."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        may = request.user.has_perm("billing.change_segment")
        if request.method == "POST" and request.POST.get("action") == "rate":
            return self._rate(request)
        if request.method == "POST" and not may:
            raise PermissionDenied
        seller = Seller.objects.get()
        bands = _bands(seller, request.POST or None)
        problem = self._save(bands) if request.method == "POST" else ""
        if request.method == "POST" and not problem and bands.is_valid():
            messages.success(request, "Saved; customers move tonight, or when their subscription changes.")
            return redirect("admin:billing_segment_changelist")
        return self._shown(request, seller, bands, RateForm(), problem=problem)

    def _rate(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("billing.add_exchangerate"):
            raise PermissionDenied
        form = RateForm(request.POST)
        try:
            if form.is_valid():
                rate = segmenting.set_rate(**form.cleaned_data)
                messages.success(request, f"Saved: {rate}. Customers move tonight.")
                return redirect("admin:billing_segment_changelist")
        except Refused as refusal:
            form.add_error(refusal.field, refusal.message)
        seller = Seller.objects.get()
        return self._shown(request, seller, _bands(seller), form)

    def _shown(
        self, request: HttpRequest, seller: Seller, bands: Any, rate: "RateForm", *, problem: str = ""
    ) -> HttpResponse:
        missing = [
            f"Customers who pay in {currency} and have revenue: {number}. They stay where they are until a rate is known."
            for currency, number in segmenting.without_rate(timezone.now()).items()
        ]
        context = {
            **self.admin_site.each_context(request), "title": "Segments", "opts": Segment._meta, "bands": bands,
            "problem": problem, "may": request.user.has_perm("billing.change_segment"),
            "currency": seller.currency, "rate": rate, "missing": missing,
            "may_rate": request.user.has_perm("billing.add_exchangerate"), "rates": ExchangeRate.objects.all()[:40],
        }  # fmt: skip
        status = 422 if request.method == "POST" else 200
        return TemplateResponse(request, "admin/tandem/segments.html", context, status=status)

    def _save(self, bands: Any) -> str:
        if not bands.is_valid():
            return "Look at the fields below."
        try:
            segmenting.save_table(segments=bands.remaining(), removed=bands.removed())
        except Refused as refusal:
            return refusal.message
        return ""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:billing_segment_changelist")
