"""The page that takes CSV files: target lists, and what companies are like."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from billing.admin.base import staff
from billing.refusals import Refused
from sales import targeting

KINDS = {
    "domains": ("Target domains", "sales.add_targetdomain", "domain, note, owner"),
    "companies": (
        "Company data",
        "billing.change_customer",
        "customer, employees, industry, country, domain",
    ),
}
PROBLEMS_SHOWN = 100


class ImportForm(forms.Form):
    """A file, or lines pasted into the field."""

    kind = forms.ChoiceField(label="What it is", choices=[])
    file = forms.FileField(label="CSV file", required=False)
    lines = forms.CharField(
        label="Or the lines themselves",
        widget=forms.Textarea({"rows": 8, "spellcheck": "false"}),
        required=False,
    )

    def __init__(self, *args: Any, kinds: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        chosen: Any = self.fields["kind"]
        chosen.choices = [(kind, KINDS[kind][0]) for kind in kinds]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("file") and not data.get("lines"):
            self.add_error("file", "Choose a file, or paste lines below.")
        return data

    @property
    def content(self) -> bytes:
        file = self.cleaned_data["file"]
        return file.read() if file else self.cleaned_data["lines"].encode()


def page(request: HttpRequest) -> HttpResponse:
    kinds = [kind for kind, (_, needed, _) in KINDS.items() if request.user.has_perm(needed)]
    if not kinds:
        raise PermissionDenied
    given = (
        (request.POST, request.FILES) if request.method == "POST" else ({"kind": request.GET.get("kind")},)
    )
    form = ImportForm(*(given if request.method == "POST" else ()), kinds=kinds, initial=given[0])
    done = _taken(request, form) if request.method == "POST" and form.is_valid() else None
    context = {
        **admin.site.each_context(request), "title": "Import", "form": form, "done": done,
        "problems": done.problems[:PROBLEMS_SHOWN] if done else [],
        "columns": [(name, columns) for kind, (name, _, columns) in KINDS.items() if kind in kinds],
    }  # fmt: skip
    status = 422 if form.is_bound and form.errors else 200
    return TemplateResponse(request, "admin/tandem/import.html", context, status=status)


def _taken(request: HttpRequest, form: ImportForm) -> targeting.Imported | None:
    take: Callable[[bytes, datetime, str], targeting.Imported] = TAKE[form.cleaned_data["kind"]]
    try:
        return take(form.content, timezone.now(), staff(request))
    except Refused as refusal:
        form.add_error("file", refusal.message)
        return None


def _companies(content: bytes, now: datetime, actor: str) -> targeting.Imported:
    live = settings.STRIPE_LIVE_MODE
    return targeting.import_companies(content=content, livemode=live, now=now, actor=actor)


TAKE: dict[str, Callable[[bytes, datetime, str], targeting.Imported]] = {
    "domains": lambda content, now, _: targeting.import_domains(content=content, now=now),
    "companies": _companies,
}
