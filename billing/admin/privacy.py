"""People who ask what is held about them, or to be forgotten: one page for each request, from the asking to the end."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.tasks import async_task

from billing import customers, disclosing, erasing, people, retaining
from billing.admin.base import EditableList, Makeable, Spoken, staff
from billing.models import PrivacyRequest, RetentionRule
from billing.refusals import Refused

WORDS = {
    "open": "Open",
    "exported": "Told",
    "erasing": "Being erased",
    "erased": "Erased",
}
SHADES = {"exported": "good", "erasing": "warn", "erased": "good"}
PAPERS = {"invoices": "invoices", "credit_notes": "credit notes", "signed_quotes": "papers of signed quotes"}


class AskForm(forms.Form):
    address = forms.EmailField(label="Whose e-mail address", widget=forms.EmailInput({"autocomplete": "off"}))
    reason = forms.CharField(
        label="Who asked, and how do you know that it was them?", max_length=300,
        widget=forms.Textarea({"rows": 3}), help_text="Kept with your name. Do not repeat the person’s name here.",
    )  # fmt: skip


class EraseForm(forms.Form):
    address = forms.CharField(
        label="Type the address once more", max_length=254, widget=forms.TextInput({"autocomplete": "off"})
    )
    with_accounts = forms.BooleanField(
        label="Also empty the accounts whose address it is", required=False,
        help_text="For somebody who buys for themselves. Their invoices stay.",
    )  # fmt: skip


def _export(request: HttpRequest, row: PrivacyRequest) -> HttpResponse:
    with disclosing.export(request=row, now=timezone.now(), actor=staff(request)) as archive:
        response = HttpResponse(archive.read(), content_type="application/zip")
    name = f"person-{timezone.localdate().isoformat()}-{row.pk[-8:]}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _erase(request: HttpRequest, row: PrivacyRequest) -> str:
    form = EraseForm(request.POST)
    if not form.is_valid() or form.cleaned_data["address"].strip().lower() != disclosing.address_of(row):
        raise Refused("This is not the address of the request.", field="address")
    terms = {
        "with_accounts": form.cleaned_data["with_accounts"],
        "now": timezone.now(),
        "actor": staff(request),
    }
    erasing.want(request=row, **terms)
    async_task("billing.tasks.erase_people")
    return "It is being done. This page says when it is finished."


@admin.register(PrivacyRequest)
class PrivacyRequestAdmin(Makeable):
    teaches = (
        "shield-check",
        "Nobody has asked yet",
        "Somebody who asks what you hold about them, or to be forgotten, is answered from here.",
    )
    form_class = AskForm
    new_title = "What is held about a person"
    new_note = (
        "Every table is looked through for the address. Then you see what there is, export it or erase it."
    )
    new_button = "Look"
    new_icon = "search"
    list_title = "Privacy requests"
    list_display = ("asked_at", "state_badge", "reason", "asker")
    search_fields = ("reason",)
    template = "admin/tandem/privacy_request.html"
    guarded = frozenset({"export", "erase"})
    acts = {"export": ("billing.export_person", _export), "erase": ("billing.erase_person", _erase)}

    @admin.display(description="state")
    def state_badge(self, row: PrivacyRequest) -> SafeString:
        shade = SHADES.get(row.state)
        return format_html(
            '<span class="badge{}">{}</span>', f" badge--{shade}" if shade else "", WORDS[row.state]
        )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        names = customers.names_of(row.asked_by for row in shown.result_list)
        for row in shown.result_list:
            row.asker = names[row.asked_by] or row.asked_by
        return shown

    @admin.display(description="asked by")
    def asker(self, row: Any) -> str:
        return str(row.asker)

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        row = disclosing.ask(**typed, now=timezone.now(), actor=staff(request))
        return redirect("admin:billing_privacyrequest_change", row.pk)

    def context(self, request: HttpRequest, row: PrivacyRequest) -> dict[str, Any]:
        known = customers.names_of(_actors(row).values())
        names = {field: known[actor] or actor for field, actor in _actors(row).items()}
        context = {
            "by": names, "state": row.state, "state_words": WORDS[row.state], "shade": SHADES.get(row.state, ""),
            "held": sorted(row.held.items(), key=lambda each: -each[1]),
            "kept": [(PAPERS.get(kind, kind), count) for kind, count in row.kept.items()],
            "changed": sum(row.erased.values()),
        }  # fmt: skip
        return (
            context
            if row.erased_at or not self.may(request, row, "erase")
            else {**context, **_ahead(request, row)}
        )


def _actors(row: PrivacyRequest) -> dict[str, str]:
    return {"asked": row.asked_by, "exported": row.exported_by, "erased": row.erase_asked_by}


def _ahead(request: HttpRequest, row: PrivacyRequest) -> dict[str, Any]:
    """What an erasure would leave, and what stands against it."""
    person = people.find(disclosing.address_of(row))
    sent = request.method == "POST" and request.POST.get("action") == "erase"
    always = erasing.objections(person, with_accounts=True)
    return {
        "address": person.address, "names": sorted(person.names), "accounts": person.accounts,
        "would_keep": [(PAPERS[kind], count) for kind, count in erasing.papers_kept(person).items()],
        "against": [refusal.message for refusal in always],
        "form": EraseForm(request.POST if sent else None),
    }  # fmt: skip


class RetentionForm(Spoken):
    def clean_days(self) -> int | None:
        days: int | None = self.cleaned_data["days"]
        if self.instance.kind not in retaining.KINDS:
            raise ValidationError("This row is not there any more. Open the page anew.")
        try:
            retaining.check(self.instance.kind, days)
        except Refused as refusal:
            raise ValidationError(refusal.message) from refusal
        return days


@admin.register(RetentionRule)
class RetentionRuleAdmin(EditableList):
    """How long each kind of rows is kept. What a setting would remove tonight stands beside it before the night."""

    changelist_form = RetentionForm
    list_title = "How long things are kept"
    list_display = ("kind", "words", "days", "least", "would_go", "removed_before")
    list_display_links = None
    list_editable = ("days",)
    ordering = ("kind",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="what")
    def words(self, row: RetentionRule) -> str:
        return retaining.KINDS[row.kind].words

    @admin.display(description="at least (days)")
    def least(self, row: RetentionRule) -> int:
        return retaining.KINDS[row.kind].least

    @admin.display(description="rows that go tonight")
    def would_go(self, row: RetentionRule) -> int | None:
        return retaining.due_of(row, now=timezone.now()).rows if row.days else None
