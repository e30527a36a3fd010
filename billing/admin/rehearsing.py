"""Dry runs: Finance sees what a billing run would issue before it is issued."""

from datetime import UTC
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from billing import rehearsing
from billing.admin.base import Makeable, figure, state
from billing.models import BillingRehearsal, Customer
from billing.refusals import Refused
from billing.rehearsing import Rehearsal
from billing.templatetags.tandem import number


class DayForm(forms.Form):
    day = forms.DateField(
        label="Everything that is due by the end of", widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        initial=lambda: timezone.now().astimezone(UTC).date(), help_text="UTC",
    )  # fmt: skip


@admin.register(BillingRehearsal)
class BillingRehearsalAdmin(Makeable):
    """The last of them, each with its page."""

    teaches = (
        "eye",
        "No dry run yet",
        "See what a billing run would issue, its outliers and its errors, before anything is written.",
    )
    form_class = DayForm
    new_title = "Dry run of billing"
    new_note = "What would be issued, for how much, and what is out of the ordinary. Nothing is billed."
    new_button = "Start the dry run"
    list_title = "Dry runs"
    list_display = ("asked_at", "until", state(), figure("due", "subscriptions"), "figure_column", "asked_by")
    list_select_related = ("asked_by",)
    template = "admin/tandem/dry_run.html"

    @admin.display(description="invoices")
    def figure_column(self, row: BillingRehearsal) -> str:  # named for its cells' class, as `figure` is
        return number(row.found.get("invoices"))

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        row = rehearsing.ask(**typed, now=timezone.now(), by=request.user)  # type: ignore[arg-type]
        return redirect("admin:billing_billingrehearsal_change", row.pk)

    def page(
        self, request: HttpRequest, row: Any, status: int = 200, refusal: Refused | None = None
    ) -> HttpResponse:
        """A page that looks again by itself is loaded anew at the end, with its heading."""
        response = super().page(request, row, status, refusal)
        if "HX-Request" in request.headers and row.status not in BillingRehearsal.OPEN:
            response["HX-Refresh"] = "true"
        return response

    def context(self, request: HttpRequest, row: BillingRehearsal) -> dict[str, Any]:
        found = Rehearsal.restored(row.until, row.found)
        told: list[Any] = [*found.largest, *found.most_changed, *found.aside]
        names = Customer.objects.in_bulk({each.customer for each in told})
        lists = {name: [(names.get(each.customer), each) for each in getattr(found, name)] for name in LISTS}
        return {
            **lists, "found": found, "open": row.status in BillingRehearsal.OPEN,
            "currencies": [
                (code, found.invoiced[code], found.credited[code])
                for code in sorted({*found.invoiced, *found.credited})
            ],
            "segments": [
                (segment or "–", currency, found.papers_of[segment, currency], total)
                for (segment, currency), total in sorted(found.by_segment.items())
            ],
            "hidden": found.refused - len(found.aside), "may_ask": self.has_add_permission(request),
        }  # fmt: skip


LISTS = ("largest", "most_changed", "aside")
