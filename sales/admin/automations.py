"""Automations: written in a form, tried on the past, followed in their log."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from billing import bulk
from billing.admin.base import Screen, filled_in
from billing.admin.lists import Choices
from billing.events import TYPES
from billing.models import Customer, Plan, Segment, User
from billing.refusals import Refused
from billing.templatetags.tandem import number, spelled
from sales import automating, conditions
from sales.admin.audit import SAID
from sales.admin.reading import fill
from sales.models import Automation, AutomationRun, Rule, Weight

ROWS = range(3)
MOST_ACTIONS = range(automating.MOST_ACTIONS)
RUNS_SHOWN = 20
# The number of a run.
RUN = re.compile(r"[0-9]{1,18}", re.ASCII)
DATA = {
    "event.data.rule": "signal: rule", "event.data.weight": "signal: weight", "event.data.reason": "reason",
    "event.data.percent": "usage: percent", "event.data.plan": "plan in the event",
}  # fmt: skip
# What people begin with; the rest follows by the alphabet.
FIRST = ("signal", "usage", "customer", "subscription", "invoice", "quote", "handoff")
GROUPS = {"handoff": "Tasks", "member": "Team", "schedule": "By the clock", "usage": "Usage"}
# About what is sold to everybody.
NO_CUSTOMERS = ("meter", "plan", "discount", "tax_rate")
# Names whose values are codes of rows: a person may type the row's name, and a typing mistake is told at once.
CODED: dict[str, type[Rule | Segment | Plan]] = {
    "event.data.rule": Rule, "customer.segment": Segment, "customer.plan": Plan, "event.data.plan": Plan,
}  # fmt: skip


def _fields() -> list[tuple[str, str]]:
    names = {f"customer.{name}": f"customer: {words}" for name, words in conditions.CUSTOMER.items()}
    return [("", "–"), *DATA.items(), *names.items()]


def triggers() -> list[tuple[str, list[tuple[str, str]]]]:
    """The events in groups, in words, each with its type."""
    groups: dict[str, list[tuple[str, str]]] = {name: [] for name in FIRST}
    for type in sorted(TYPES):
        group = type.partition(".")[0]
        if group in NO_CUSTOMERS:
            continue
        groups.setdefault(group, []).append((type, f"{in_words(type)} ({type})"))
    daily = (Automation.DAILY, in_words(Automation.DAILY))
    return [("By the clock", [daily]), *((_group(name), rows) for name, rows in groups.items())]


def _group(name: str) -> str:
    return GROUPS.get(name) or f"{spelled(name)}s"


def in_words(trigger: str) -> str:
    if trigger == Automation.DAILY:
        return "Every day, for each customer"
    return SAID.get(trigger) or spelled(trigger)


def known_values(rows: Iterable[Rule | Plan | Segment]) -> list[tuple[str, str]]:
    """(code, what it is) of everything that a condition may ask for by code."""
    found = [(row.code, f"{row._meta.verbose_name}: {row.name}") for row in rows]
    return [*found, *((value, f"weight: {label}") for value, label in Weight.choices)]


def _coded(field: str, value: str) -> str:
    """The code that was meant. Raises InvalidCondition where there is none such."""
    model = CODED.get(field)
    if model is None or not value:
        return value
    rows = model._default_manager.all()
    found = rows.filter(Q(code__iexact=value) | Q(name__iexact=value)).values_list("code", flat=True).first()
    if found is None:
        known = ", ".join(rows.values_list("code", flat=True))
        raise conditions.InvalidCondition(f"There is no “{value}”. There are {known}.", field="value")
    return str(found)


class AutomationForm(forms.Form):
    """Rows of the simple condition are joined by “and” and added to the written one."""

    name = forms.CharField(max_length=120)
    trigger = forms.ChoiceField(
        label="When",
        choices=triggers,
    )
    pause_days = forms.IntegerField(
        label="For the same customer again after", min_value=0, max_value=3650, required=False,
        help_text="days; 0: each time",
    )  # fmt: skip
    condition = forms.CharField(
        label="Only if", max_length=1000, required=False, widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text='It has to hold as well. Such as: customer.mrr > 500 || "vip" in customer.tags',
    )  # fmt: skip
    enabled = forms.BooleanField(label="Switched on", required=False)

    def __init__(self, *args: Any, automation: Automation, **options: Any) -> None:
        super().__init__(*args, initial=_initial(automation), **options)  # type: ignore[misc]
        self.action_rows = MOST_ACTIONS[: max(len(ROWS), len(automation.actions) + 1)]
        for n in ROWS:
            self._add_condition(n)
        for n in self.action_rows:
            self._add_action(n)

    def _add_condition(self, n: int) -> None:
        what = "What" if n == 0 else "And what"
        self.fields[f"what_{n}"] = forms.ChoiceField(label=what, choices=_fields(), required=False)
        self.fields[f"how_{n}"] = forms.ChoiceField(
            label="How", choices=list(conditions.OPERATORS.items()), required=False
        )
        listed = forms.TextInput({"list": "known-values", "autocomplete": "off"})
        self.fields[f"value_{n}"] = forms.CharField(
            label="Value", max_length=200, required=False, widget=listed
        )

    def _add_action(self, n: int) -> None:
        kinds = [("", "–"), *automating.KINDS.items()]
        self.fields[f"kind_{n}"] = forms.ChoiceField(label=f"Action {n + 1}", choices=kinds, required=n == 0)
        self.fields[f"text_{n}"] = forms.CharField(
            label="What", max_length=400, required=False,
            widget=forms.TextInput({"list": "colleagues", "autocomplete": "off"}),
        )  # fmt: skip
        self.fields[f"body_{n}"] = forms.CharField(
            label="Words", max_length=4000, required=False, widget=forms.Textarea({"rows": 3})
        )
        self.fields[f"to_{n}"] = forms.ChoiceField(
            label="A mail goes to",
            choices=[("owner", "the owner in sales"), ("customer", "the customer")],
            required=False,
        )

    # -- For the template

    @property
    def simple(self) -> list[tuple[forms.BoundField, ...]]:
        return [tuple(self[f"{name}_{n}"] for name in ("what", "how", "value")) for n in ROWS]

    @property
    def deeds(self) -> list[tuple[bool, tuple[forms.BoundField, ...]]]:
        """(whether anything stands in it, the fields) of each action."""
        names = ("kind", "text", "body", "to")
        rows = [tuple(self[f"{name}_{n}"] for name in names) for n in self.action_rows]
        return [
            (n == 0 or any(each.value() or each.errors for each in row[:3]), row)
            for n, row in enumerate(rows)
        ]

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
            "enabled": data["enabled"], "condition": self._condition(), "actions": list(self._actions()),
        }  # fmt: skip

    def _condition(self) -> str:
        lines = [self._line(n) for n in ROWS if self.cleaned_data[f"what_{n}"]]
        return conditions.joined(lines, self.cleaned_data["condition"].strip())

    def _line(self, n: int) -> str:
        what, how, value = (self.cleaned_data[f"{name}_{n}"] for name in ("what", "how", "value"))
        try:
            if how != "contains":
                parts = value.split(",") if how == "in" else [value]
                value = ", ".join(_coded(what, part.strip()) for part in parts) if what in CODED else value
            return conditions.row(what, how, value)
        except conditions.InvalidCondition as refusal:
            raise conditions.InvalidCondition(refusal.message, field=f"value_{n}") from None

    def _actions(self) -> Iterator[Mapping[str, Any]]:
        names = ("kind", "text", "body", "to")
        for n in self.action_rows:
            if self.cleaned_data[f"kind_{n}"]:
                yield {name: self.cleaned_data[f"{name}_{n}"] for name in names}


def _initial(automation: Automation) -> dict[str, Any]:
    names = ("name", "trigger", "pause_days", "enabled")
    found = {name: getattr(automation, name) for name in names}
    found["trigger"] = found["trigger"] or "signal.created"
    lines, found["condition"] = conditions.parted(automation.condition, len(ROWS))
    for n, line in enumerate(lines):
        found |= {f"{name}_{n}": part for name, part in zip(("what", "how", "value"), line, strict=True)}
    for n, action in enumerate(automation.actions):
        found |= {f"{name}_{n}": action.get(name, "") for name in ("kind", "text", "body", "to")}
    return found


def _typed(request: HttpRequest, automation: Automation, *, named: bool = True) -> dict[str, Any]:
    form = AutomationForm(request.POST, automation=automation)
    form.fields["name"].required = named
    return filled_in(form).terms()


def _save(request: HttpRequest, automation: Automation) -> str:
    seen = request.POST.get("seen", "")
    automating.save(automation=automation, now=timezone.now(), seen=seen, **_typed(request, automation))
    return "Saved." if automation.enabled else "Saved; it is switched off."


def _try(request: HttpRequest, automation: Automation) -> str:
    """What is stored, at an address that can be sent to a colleague; nothing is done."""
    return f"{reverse('admin:sales_automation_change', args=[automation.pk])}?trial=1#trial"


def _again(request: HttpRequest, automation: Automation) -> str:
    chosen = request.POST.get("run", "")
    runs = automation.runs.filter(
        status=AutomationRun.Status.FAILED, pk=int(chosen) if RUN.fullmatch(chosen) else 0
    )
    for run in runs:
        automating.again(run=run, now=timezone.now())
    return "It is tried again in a moment."


@admin.register(Automation)
class AutomationAdmin(Screen):
    teaches = (
        "repeat",
        "No automation yet",
        "When something happens, if a condition holds, a task, mail, tag or quote is made by itself.",
    )
    list_display = ("name", "when", "enabled", "ran", "failed")
    list_filter = ("enabled", "trigger")
    search_fields = ("name",)
    template = "admin/tandem/automation.html"
    acts = {
        "save": ("sales.change_automation", _save),
        "try": ("sales.change_automation", _try),
        "again": ("sales.change_automation", _again),
    }

    def choices(self, request: HttpRequest) -> Choices:
        """With how often each ran: what the list counts is read beside what it may be narrowed by."""
        triggers = self.get_queryset(request).order_by("trigger").values_list("trigger").distinct()
        found, ran = bulk.tables(triggers, automating.ran_lately(now=timezone.now()))
        request.ran = {pk: counts for pk, *counts in ran}  # type: ignore[attr-defined]
        return {"trigger": [trigger for (trigger,) in found]}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        for automation in shown.result_list:
            automation.lately = request.ran.get(automation.pk, (0, 0))  # type: ignore[attr-defined]
        return shown

    @admin.display(description="when", ordering="trigger")
    def when(self, automation: Automation) -> str:
        return in_words(automation.trigger)

    @admin.display(description="runs in 30 days")
    def ran(self, automation: Any) -> str:
        return number(automation.lately[0])

    @admin.display(description="failed")
    def failed(self, automation: Any) -> str:
        return number(automation.lately[1])

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("sales.add_automation"))

    def act(self, request: HttpRequest, row: Automation) -> HttpResponse:
        if _tries_what_is_typed(request) and request.user.has_perm("sales.change_automation"):
            return self._tried(request, row)
        return super().act(request, row)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        automation = Automation(name="", trigger="")
        if request.method != "POST":
            return self.page(request, automation)
        if _tries_what_is_typed(request):
            return self._tried(request, automation)
        try:
            messages.success(request, _save(request, automation))
        except Refused as refusal:
            return self.page(request, Automation(name="", trigger=""), status=422, refusal=refusal)
        return redirect("admin:sales_automation_change", automation.pk)

    def _tried(self, request: HttpRequest, row: Automation) -> HttpResponse:
        """What is typed, before it is stored: the page as it was sent, with what it would have done."""
        names = ("trigger", "condition", "actions")
        try:
            typed = _typed(request, row, named=False)
            trials = automating.dry_run_of(now=timezone.now(), **{name: typed[name] for name in names})
        except Refused as refusal:
            return self.page(request, row, status=422, refusal=refusal)
        page = self.page(request, row)
        page.context_data["trials"] = trials  # type: ignore[attr-defined]
        return page

    def context(self, request: HttpRequest, row: Automation) -> dict[str, Any]:
        fresh = row._state.adding
        sent = request.POST if "trigger" in request.POST else None
        form = AutomationForm(sent, automation=row)
        if request.POST.get("action") == "try":
            form.fields["name"].required = False
        now = timezone.now()
        runs = AutomationRun.objects.filter(automation_id=row.pk).order_by("-id")[:RUNS_SHOWN]
        rules, plans, segments, colleagues, ran, customers = bulk.read(
            Rule.objects.all(),
            Plan.objects.all(),
            Segment.objects.all(),
            User.objects.filter(is_staff=True, is_active=True).order_by("email"),
            runs,
            Customer.objects.filter(pk__in=runs.values("customer")),
        )
        fill(ran, "customer", customers)
        return {
            "title": "New automation" if fresh else row.name, "form": form, "fresh": fresh,
            "seen": "" if fresh else automating.fingerprint(row),
            "runs": ran,
            "trials": automating.dry_run(automation=row, now=now) if request.GET.get("trial") else None,
            "when": in_words(row.trigger), "names": list(conditions.CUSTOMER.items()),
            "examples": automating.examples(form["trigger"].value()), "known": known_values([*rules, *plans, *segments]),
            "colleagues": colleagues,
        }  # fmt: skip


def _tries_what_is_typed(request: HttpRequest) -> bool:
    return request.POST.get("action") == "try" and "trigger" in request.POST
