"""Automations: written in a form, tried on the past, followed in their log."""

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from billing.admin.base import Screen
from billing.events import TYPES
from billing.refusals import Refused
from sales import automating, conditions
from sales.models import Automation, AutomationRun

ROWS = range(3)
RUNS_SHOWN = 20
DATA = {
    "event.data.rule": "signal: rule", "event.data.weight": "signal: weight", "event.data.reason": "reason",
    "event.data.percent": "usage: percent", "event.data.plan": "plan in the event",
}  # fmt: skip


def _fields() -> list[tuple[str, str]]:
    names = {f"customer.{name}": f"customer: {words}" for name, words in conditions.CUSTOMER.items()}
    return [("", "–"), *names.items(), *DATA.items()]


class AutomationForm(forms.Form):
    """Rows of the simple condition are joined by “and” and added to the written one."""

    name = forms.CharField(max_length=120)
    trigger = forms.ChoiceField(
        label="When",
        choices=[(Automation.DAILY, "every day, for each customer"), *((t, t) for t in sorted(TYPES))],
    )
    pause_days = forms.IntegerField(
        label="For the same customer again after", min_value=0, max_value=3650, required=False,
        help_text="days; 0: each time",
    )  # fmt: skip
    condition = forms.CharField(
        label="Only if", max_length=1000, required=False, widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text='For example: customer.mrr > 500.0 && event.data.weight == "high"',
    )  # fmt: skip
    enabled = forms.BooleanField(label="Switched on", required=False)

    def __init__(self, *args: Any, automation: Automation, **options: Any) -> None:
        super().__init__(*args, initial=_initial(automation), **options)  # type: ignore[misc]
        for n in ROWS:
            self._add_condition(n)
            self._add_action(n)

    def _add_condition(self, n: int) -> None:
        self.fields[f"what_{n}"] = forms.ChoiceField(label="And", choices=_fields(), required=False)
        self.fields[f"how_{n}"] = forms.ChoiceField(
            label="How", choices=list(conditions.OPERATORS.items()), required=False
        )
        self.fields[f"value_{n}"] = forms.CharField(label="Value", max_length=200, required=False)

    def _add_action(self, n: int) -> None:
        kinds = [("", "–"), *automating.KINDS.items()]
        self.fields[f"kind_{n}"] = forms.ChoiceField(label=f"Action {n + 1}", choices=kinds, required=n == 0)
        self.fields[f"text_{n}"] = forms.CharField(
            label="What", max_length=400, required=False,
            help_text="task or subject, address, tag, or the owner’s e-mail; {customer.name} is filled in",
        )  # fmt: skip
        self.fields[f"body_{n}"] = forms.CharField(
            label="Words", max_length=4000, required=False, widget=forms.Textarea({"rows": 3})
        )
        self.fields[f"to_{n}"] = forms.ChoiceField(
            label="Mail to",
            choices=[("owner", "the owner in sales"), ("customer", "the customer")],
            required=False,
        )

    # -- For the template

    @property
    def simple(self) -> list[tuple[forms.BoundField, ...]]:
        return [tuple(self[f"{name}_{n}"] for name in ("what", "how", "value")) for n in ROWS]

    @property
    def deeds(self) -> list[tuple[forms.BoundField, ...]]:
        return [tuple(self[f"{name}_{n}"] for name in ("kind", "text", "body", "to")) for n in ROWS]

    # -- For the verb

    @staticmethod
    def field_of(name: str) -> str:
        """`actions.1.text` is the second action's text."""
        first, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        return f"{part or 'kind'}_{number}" if first == "actions" else first

    def terms(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "name": data["name"], "trigger": data["trigger"], "pause_days": data["pause_days"] or 0,
            "enabled": data["enabled"], "condition": " && ".join(self._conditions()), "actions": list(self._actions()),
        }  # fmt: skip

    def _conditions(self) -> Iterator[str]:
        data = self.cleaned_data
        rows = [(data[f"what_{n}"], data[f"how_{n}"], data[f"value_{n}"]) for n in ROWS if data[f"what_{n}"]]
        written = data["condition"].strip()
        if written:
            yield f"({written})" if rows and "||" in written else written
        for row in rows:
            yield conditions.row(*row)

    def _actions(self) -> Iterator[Mapping[str, Any]]:
        names = ("kind", "text", "body", "to")
        for n in ROWS:
            if self.cleaned_data[f"kind_{n}"]:
                yield {name: self.cleaned_data[f"{name}_{n}"] for name in names}


def _initial(automation: Automation) -> dict[str, Any]:
    names = ("name", "trigger", "condition", "pause_days", "enabled")
    found = {name: getattr(automation, name) for name in names}
    found["trigger"] = found["trigger"] or "signal.created"
    for n, action in enumerate(automation.actions[: len(ROWS)]):
        found |= {f"{name}_{n}": action.get(name, "") for name in ("kind", "text", "body", "to")}
    return found


def _save(request: HttpRequest, automation: Automation) -> str:
    form = AutomationForm(request.POST, automation=automation)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise automating.InvalidAutomation(str(errors[0]), field=field)
    automating.save(automation=automation, now=timezone.now(), **form.terms())
    return "Saved." if automation.enabled else "Saved; it is switched off."


def _try(request: HttpRequest, automation: Automation) -> str:
    """The answer stands on the page; nothing is done."""
    return f"{reverse('admin:sales_automation_change', args=[automation.pk])}?trial=1#trial"


def _again(request: HttpRequest, automation: Automation) -> str:
    runs = automation.runs.filter(status=AutomationRun.Status.FAILED, pk=request.POST.get("run", "0") or 0)
    for run in runs:
        automating.again(run=run, now=timezone.now())
    return "It is tried again in a moment."


@admin.register(Automation)
class AutomationAdmin(Screen):
    list_display = ("name", "trigger", "enabled", "pause_days", "looked_at")
    list_filter = ("enabled", "trigger")
    search_fields = ("name",)
    template = "admin/tandem/automation.html"
    acts = {
        "save": ("sales.change_automation", _save),
        "try": ("sales.change_automation", _try),
        "again": ("sales.change_automation", _again),
    }

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("sales.add_automation"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        automation = Automation(name="", trigger="")
        if request.method != "POST":
            return self.page(request, automation)
        try:
            messages.success(request, _save(request, automation))
        except Refused as refusal:
            return self.page(request, automation, status=422, refusal=refusal)
        return redirect("admin:sales_automation_change", automation.pk)

    def context(self, request: HttpRequest, row: Automation) -> dict[str, Any]:
        fresh = row._state.adding
        sent = request.POST if request.POST.get("action") == "save" else None
        return {
            "title": "New automation" if fresh else row.name,
            "form": AutomationForm(sent, automation=row),
            "fresh": fresh,
            "runs": [] if fresh else row.runs.select_related("customer")[:RUNS_SHOWN],
            "trials": automating.dry_run(automation=row, now=timezone.now())
            if request.GET.get("trial")
            else None,
            "names": list(conditions.CUSTOMER.items()),
        }
