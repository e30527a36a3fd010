"""Handoff tasks and signals: what sales has been asked to look at, and why."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html

from billing.admin.base import (
    Careful,
    EditableList,
    Screen,
    Spoken,
    StaffOwner,
    badge,
    figure,
    filled_in,
    now_of,
    staff,
    state,
)
from billing.admin.lists import StaffFilter
from billing.models import Customer, Meter, Subscription
from billing.templatetags.tandem import number, percent, spelled
from sales import consolidating, drafting, handing_over, watching, worth
from sales.admin import task_reading, trying
from sales.catalogue import LETTERS
from sales.models import HandoffTask, Rule, SalesSettings, Signal, TargetDomain, TargetProfile


class OutcomeForm(forms.Form):
    """How a task ends; which fields count is said by the button."""

    why = forms.ChoiceField(label="Reason", choices=[("", "–"), *HandoffTask.Why.choices], required=False)
    note = forms.CharField(max_length=4000, widget=forms.Textarea({"rows": 3}), required=False)
    day = forms.DateField(
        label="Come back on", widget=forms.DateInput({"type": "date"}), required=False,
        help_text="for “Later”: a new task is raised on that day",
    )  # fmt: skip


class SnoozeForm(forms.Form):
    """A day; empty brings the task back at once."""

    until = forms.DateField(label="Until", widget=forms.DateInput({"type": "date"}), required=False)

    @staticmethod
    def field_of(name: str) -> str:
        return "until" if name == "day" else name


def _accept(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.accept(task=task, by=request.user, now=now_of(task))  # type: ignore[arg-type]
    return "The task is yours."


def _outcome(request: HttpRequest, task: HandoffTask) -> dict[str, Any]:
    typed = filled_in(OutcomeForm(request.POST)).cleaned_data
    return {"note": typed["note"], "now": now_of(task), "actor": staff(request), "why": typed["why"]}


def _won(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.complete(task=task, outcome="won", **_outcome(request, task))
    return "Closed as won."


def _lost(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.complete(task=task, outcome="lost", **_outcome(request, task))
    return "Closed as lost."


def _return(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.give_back(task=task, **_outcome(request, task))
    return "The customer stays self-serve; new signals raise a new task."


def _later(request: HttpRequest, task: HandoffTask) -> str:
    day = filled_in(OutcomeForm(request.POST)).cleaned_data["day"]
    if day is None:
        raise handing_over.InvalidDay("Say on which day to come back.", field="day")
    given = _outcome(request, task)
    handing_over.put_off(task=task, until=day, **{**given, "why": given["why"] or "timing"})
    return f"Put off: a new task comes on {day:%-d %B %Y}."


def _snooze(request: HttpRequest, task: HandoffTask) -> str:
    until = filled_in(SnoozeForm(request.POST)).cleaned_data["until"]
    handing_over.snooze(task=task, until=until, now=now_of(task), actor=staff(request))
    return f"Out of the queue until {until:%-d %B %Y}." if until else "Back in the queue."


def _quote(request: HttpRequest, task: HandoffTask) -> str:
    """One click: a quote from the live subscription."""
    row = (
        Subscription.objects.filter(customer=task.customer, status__in=Subscription.LIVE)
        .select_related("customer__test_clock")
        .order_by("-mrr")
        .first()
    )
    if row is None:
        raise drafting.InvalidQuote("This customer has no running subscription to start from.")
    quote = drafting.draft_from_subscription(
        subscription=row,
        now=now_of(task),
        actor=staff(request),
        by=request.user,  # type: ignore[arg-type]
        task=task,
    )
    return reverse("admin:sales_quote_change", args=[quote.pk])


class QueueFilter(admin.SimpleListFilter):
    """What is to be done now: open, and not snoozed. Everything stays one click away."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("mine", "Mine to do"), ("now", "Everybody's to do"), ("snoozed", "Snoozed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        today = timezone.localdate()
        awake = Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=today)
        rows = queryset.filter(status__in=HandoffTask.OPEN)
        chosen = {
            "now": rows.filter(awake), "mine": rows.filter(awake, owner=request.user),
            "snoozed": rows.filter(snoozed_until__gt=today),
        }  # fmt: skip
        return chosen.get(self.value() or "", queryset)


@admin.register(HandoffTask)
class HandoffTaskAdmin(Screen):
    begins = "queue=now"
    wider = ("queue=now", "Everybody's to do")
    teaches = (
        "inbox",
        "Nothing waits for you",
        "Signals raise tasks: usage near a limit, a growing team, a demo. Rules and thresholds are under Signals.",
    )
    list_display = ("who", "reason", figure("score", "score when raised"), "owner", "due", state())
    list_filter = (QueueFilter, "status", ("owner", StaffFilter))
    search_fields = ("customer__name", "lead__company", "reason")
    list_select_related = ("customer", "lead", "owner")
    page_select_related = ("customer__test_clock", "customer__segment", "lead", "owner")
    template = "admin/tandem/task.html"
    acts = {
        "accept": ("sales.work_handofftask", _accept),
        "won": ("sales.work_handofftask", _won),
        "lost": ("sales.work_handofftask", _lost),
        "return": ("sales.work_handofftask", _return),
        "later": ("sales.work_handofftask", _later),
        "snooze": ("sales.work_handofftask", _snooze),
        "quote": ("sales.add_quote", _quote),
    }

    def beginning(self, request: HttpRequest) -> str:
        """A rep's own tasks; everybody's for who leads reps, and for who only looks."""
        may = request.user.has_perm
        sells = may("sales.work_handofftask") and not may("sales.approve_quote")
        return "queue=mine" if sells else self.begins

    @admin.display(description="customer or lead", ordering=Coalesce("customer__name", "lead__company"))
    def who(self, task: HandoffTask) -> str:
        return str(task.customer or task.lead)

    @admin.display(description="due on", ordering="due_on")
    def due(self, task: HandoffTask) -> Any:
        late = task.is_open and task.due_on < timezone.localdate()
        return badge(date_format(task.due_on), "bad") if late else task.due_on

    def context(self, request: HttpRequest, row: HandoffTask) -> dict[str, Any]:
        now = now_of(row)
        shown = task_reading.read(row, now)
        signals, settings = shown.signals, shown.settings
        upgrade = row.is_open and shown.running
        return {
            "title": str(row.customer or row.lead),
            "signals": signals,
            "points": [
                (each, handing_over.score([each], now, settings), _letter(each, row.customer))
                for each in signals
            ],
            **_task_forms(request),
            "trouble": shown.trouble if row.is_open else "",
            **_snoozed(row, now),
            "worth": worth.worth(subscription=upgrade, now=now, sold=shown.sold) if upgrade else None,
            "accepts": row.status == "open"
            and row.owner_id in (None, request.user.pk)
            and self.may(request, row, "accept"),
            "score": handing_over.score(signals, now, settings),
            "late": row.is_open and row.due_on < timezone.localdate(now),
            "quotes": shown.quotes,
        }


def _snoozed(task: HandoffTask, now: datetime) -> dict[str, Any]:
    day = task.snoozed_until
    asleep = task.is_open and day is not None and day > timezone.localdate(now)
    return {"snoozed": asleep, "snoozed_words": f"Until {day:%-d %B %Y}." if day else ""}


OUTCOMES = ("won", "lost", "later", "return")


def _letter(signal: Signal, customer: Customer | None) -> str:
    """The address that opens a draft to the customer, where the rule asks for a personal mail."""
    if customer is None or signal.rule.code not in LETTERS:
        return ""
    subject, words = (text.replace("{customer.name}", customer.name) for text in LETTERS[signal.rule.code])
    return f"mailto:{customer.email}?{urlencode({'subject': subject, 'body': words}, quote_via=quote)}"


def _task_forms(request: HttpRequest) -> dict[str, Any]:
    """The two forms of the page; `form` is the one that was sent, where a refusal is shown."""
    act = request.POST.get("action")
    outcome = OutcomeForm(request.POST if act in OUTCOMES else None)
    snooze = SnoozeForm(request.POST if act == "snooze" else None)
    return {"outcome": outcome, "snooze": snooze, "form": snooze if act == "snooze" else outcome}


def _dismiss(request: HttpRequest, signal: Signal) -> str:
    watching.dismiss(
        signal=signal, now=now_of(signal), actor=staff(request), reason=request.POST.get("reason", "")[:200]
    )
    return "Dismissed: it no longer counts."


@admin.register(Signal)
class SignalAdmin(Screen):
    teaches = (
        "zap",
        "No signal yet",
        "Signals are found in what customers do, by the rules under Set-up: usage near a limit, a growing team, a demo.",
    )
    list_display = ("customer", "rule", state("weight"), "sentence", state(), "occurred_at")
    list_filter = ("rule", "weight", "status")
    search_fields = ("customer__name", "customer__email")
    while_short = ("sentence",)
    grows = True
    ordering = ("-pk",)
    list_select_related = ("customer", "rule")
    template = "admin/tandem/signal.html"
    acts = {"dismiss": ("sales.dismiss_signal", _dismiss)}

    def context(self, request: HttpRequest, row: Signal) -> dict[str, Any]:
        return {
            "joined": consolidating.preview(row.customer) if row.rule.code == "same_domain" else None,
            "evidence": [(spelled(name), _told(name, value)) for name, value in row.evidence.items()],
        }


def _told(name: str, value: Any) -> str:
    """Quantities of a meter are kept as texts: 42,000 for "42000"; a meter by its code, and a part in percent."""
    if name in ("used", "limit") and FIGURE.fullmatch(str(value)):
        return number(Decimal(str(value)))
    if name == "percent" and FIGURE.fullmatch(str(value)):
        return percent(Decimal(str(value)))
    if name == "meter":
        return Meter.objects.filter(code=value).values_list("name", flat=True).first() or str(value)
    return _plain(value)


def _plain(value: Any) -> str:
    """A piece of evidence as a reader takes it."""
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(each)}" for name, each in value.items())
    if isinstance(value, str) and ISO_INSTANT.fullmatch(value):
        return f"{timezone.localtime(datetime.fromisoformat(value)):%-d %B %Y, %H:%M}"
    if isinstance(value, str) and ISO_DAY.fullmatch(value):
        return f"{date.fromisoformat(value):%-d %B %Y}"
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value)
    return "–" if value is None else str(value)


FIGURE = re.compile(r"[0-9]{1,27}([.][0-9]{1,12})?")
ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ISO_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)")


class RuleRow(Spoken):
    """What a rule does not look at cannot be typed: it would change nothing."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("threshold", "window_days"):
            if name in self.fields and getattr(self.instance, name) is None:
                self.fields[name].disabled = True
                self.fields[name].widget.attrs["placeholder"] = "–"


@admin.register(Rule)
class RuleAdmin(EditableList):
    """Each rule with what came of it: how many of its signals' tasks that ended were won."""

    changelist_form = RuleRow
    change_list_template = "admin/tandem/rule_list.html"
    list_display = (
        "name", "enabled", "weight", "threshold", "unit", "window_days", "raised", "precision", "try_out",
    )  # fmt: skip
    list_editable = ("enabled", "weight", "threshold", "window_days")
    readonly_fields = ("code",)
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled")}),
        ("When it fires", {"fields": ("threshold", "unit", "window_days")}),
        ("What follows", {"fields": ("weight", "action", "position", "code")}),
    )
    says = {
        "description": ("Fires when", "In words, for whoever reads its signals"),
        "threshold": ("Threshold", "Blank: the rule needs none"),
        "unit": ("Unit", "What the threshold counts"),
        "window_days": (
            "Days",
            "Fires again no sooner, or counts only what is younger; blank: the rule needs none",
        ),
        "weight": ("Weight", "Its points stand in the sales settings"),
        "action": ("What to do", "What sales should do about it"),
        "position": ("Place in the list", ""),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        return watching.with_precision(super().get_queryset(request))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("try/", view(self.try_all), name="sales_rule_try_all"),
            path("<path:rule_id>/try/", view(self.try_one), name="sales_rule_try"),
            *super().get_urls(),
        ]

    def try_all(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return trying.every(request)

    def try_one(self, request: HttpRequest, rule_id: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return trying.one(request, rule_id)

    @admin.display(description="try it")
    def try_out(self, rule: Rule) -> str:
        where = reverse("admin:sales_rule_try", args=[rule.pk])
        return format_html('<a href="{}" aria-label="Try: {}">Try</a>', where, rule)

    @admin.display(description="signals", ordering="raised_signals")
    def raised(self, rule: Any) -> int:
        return rule.raised_signals

    def get_changelist_form(self, request: HttpRequest, **options: Any) -> Any:
        narrow = {"threshold": forms.NumberInput({"class": "vIntegerField", "step": "any"})}
        return super().get_changelist_form(request, **{**options, "widgets": narrow})

    @admin.display(description="tasks won")
    def precision(self, rule: Any) -> str:
        if rule.came_of is None:
            return "–"
        won, ended = rule.came_of
        return f"{won} of {ended} ({100 * won // ended}\N{NO-BREAK SPACE}%)"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(SalesSettings)
class SalesSettingsAdmin(Careful):
    fieldsets = (
        (
            "How signals add up",
            {
                "fields": (
                    "high_points",
                    "medium_points",
                    "low_points",
                    "half_life_days",
                    "qualifies_at",
                    "high_qualifies",
                ),
                "description": "A customer’s score is the sum of its signals’ points, each halved again and again as it "
                "ages. Who reaches the mark gets a task.",
            },
        ),
        ("Tasks", {"fields": ("high_due_days", "due_days", "cool_down_days", "hold_back")}),
        ("Quotes", {"fields": ("quote_valid_days", "approval_hours")}),
    )
    says = {
        "high_points": ("Points of a high signal", ""),
        "medium_points": ("Points of a medium signal", ""),
        "low_points": ("Points of a low signal", ""),
        "half_life_days": ("Days until half is left", ""),
        "qualifies_at": ("Score that raises a task", ""),
        "high_qualifies": ("A high signal is enough", "Whatever the score"),
        "high_due_days": ("Due after a high signal", "Working days"),
        "due_days": ("Due after any other", "Working days"),
        "cool_down_days": (
            "Days of rest",
            "After a task was lost or returned no signal raises another; who asks is answered",
        ),
        "hold_back": (
            "Hold outreach back",
            "Raise no task while an invoice is overdue, a payment failed or is disputed; who asks is answered",
        ),
        "quote_valid_days": ("A quote is open for", "Days"),
        "approval_hours": ("Hours for an approval", "One that waits longer goes to the next person up"),
    }

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TargetDomain)
class TargetDomainAdmin(StaffOwner):
    teaches = (
        "target",
        "No company on the list yet",
        "When one of these signs up, its owner hears of it at once. Add them here, or import a CSV file.",
    )
    list_display = ("domain", "note", "owner", "added_at")
    search_fields = ("domain",)
    readonly_fields = ("added_at",)
    says = {
        "domain": ("Domain", "novarobotics.example; what lies below it counts, too"),
        "note": ("Note", "What whoever reaches out should know"),
        "owner": ("Owner", "Who hears of it; blank: as the tasks are shared"),
    }
    change_list_template = "admin/tandem/target_list.html"


@admin.register(TargetProfile)
class TargetProfileAdmin(Careful):
    teaches = (
        "target",
        "No target yet",
        "An industry, a size, or both: customers that fit raise a signal.",
    )
    list_display = ("name", "industry", "min_employees", "max_employees")
    readonly_fields = ("added_at",)
    says = {
        "name": ("Name", "As signals name it: Logistics, mid-size"),
        "industry": ("Industry", "As customers give it; blank: any"),
        "min_employees": ("People, at least", "Blank: no lower bound"),
        "max_employees": ("People, at most", "Blank: no upper bound"),
    }
