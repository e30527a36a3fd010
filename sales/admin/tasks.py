"""Handoff tasks and signals: what sales has been asked to look at, and why."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from billing.admin.base import Screen, StaffFilter, StaffOwner, now_of, staff
from billing.models import Subscription
from sales import drafting, handing_over, watching
from sales.models import HandoffTask, Rule, SalesSettings, Signal, TargetDomain, TargetProfile


def _accept(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.accept(task=task, by=request.user, now=now_of(task))  # type: ignore[arg-type]
    return "The task is yours."


def _won(request: HttpRequest, task: HandoffTask) -> str:
    note = request.POST.get("note", "")
    handing_over.complete(task=task, outcome="won", now=now_of(task), actor=staff(request), note=note)
    return "Closed as won."


def _lost(request: HttpRequest, task: HandoffTask) -> str:
    note = request.POST.get("note", "")
    handing_over.complete(task=task, outcome="lost", now=now_of(task), actor=staff(request), note=note)
    return "Closed as lost."


def _return(request: HttpRequest, task: HandoffTask) -> str:
    handing_over.give_back(
        task=task, now=now_of(task), actor=staff(request), note=request.POST.get("note", "")
    )
    return "The customer stays self-serve; new signals raise a new task."


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


@admin.register(HandoffTask)
class HandoffTaskAdmin(Screen):
    list_display = ("who", "reason", "score", "owner", "due_on", "status")
    list_filter = ("status", ("owner", StaffFilter))
    search_fields = ("customer__name", "lead__company", "reason")
    list_select_related = ("customer", "lead", "owner")
    template = "admin/tandem/task.html"
    acts = {
        "accept": ("sales.work_handofftask", _accept),
        "won": ("sales.work_handofftask", _won),
        "lost": ("sales.work_handofftask", _lost),
        "return": ("sales.work_handofftask", _return),
        "quote": ("sales.add_quote", _quote),
    }

    @admin.display(description="customer or lead")
    def who(self, task: HandoffTask) -> str:
        return str(task.customer or task.lead)

    def context(self, request: HttpRequest, row: HandoffTask) -> dict[str, Any]:
        now = now_of(row)
        signals = list(row.signals.select_related("rule").order_by("-occurred_at"))
        return {
            "title": str(row.customer or row.lead),
            "signals": signals,
            "score": handing_over.score(signals, now, SalesSettings.current()),
            "late": row.is_open and row.due_on < now.date(),
            "quotes": row.quotes.select_related("plan").order_by("-created_at"),
        }


def _dismiss(request: HttpRequest, signal: Signal) -> str:
    watching.dismiss(
        signal=signal, now=now_of(signal), actor=staff(request), reason=request.POST.get("reason", "")[:200]
    )
    return "Dismissed: it no longer counts."


@admin.register(Signal)
class SignalAdmin(Screen):
    list_display = ("occurred_at", "customer", "rule", "weight", "sentence", "status")
    list_filter = ("rule", "weight", "status")
    search_fields = ("customer__name", "sentence")
    list_select_related = ("customer", "rule")
    template = "admin/tandem/signal.html"
    acts = {"dismiss": ("sales.dismiss_signal", _dismiss)}

    def context(self, request: HttpRequest, row: Signal) -> dict[str, Any]:
        return {
            "evidence": [
                (name.replace("_", " ").capitalize(), _plain(value)) for name, value in row.evidence.items()
            ]
        }


def _plain(value: Any) -> str:
    """A piece of evidence as a reader takes it."""
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(each)}" for name, each in value.items())
    return "–" if value is None else str(value)


@admin.register(Rule)
class RuleAdmin(admin.ModelAdmin):
    list_display = ("name", "enabled", "weight", "threshold", "unit", "window_days", "action")
    list_editable = ("enabled", "weight", "threshold")
    readonly_fields = ("code",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(SalesSettings)
class SalesSettingsAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TargetDomain)
class TargetDomainAdmin(StaffOwner):
    list_display = ("domain", "note", "owner", "added_at")
    search_fields = ("domain",)
    readonly_fields = ("added_at",)


@admin.register(TargetProfile)
class TargetProfileAdmin(admin.ModelAdmin):
    list_display = ("name", "industry", "min_employees", "max_employees")
    readonly_fields = ("added_at",)
