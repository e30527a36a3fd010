"""Asking for a person: help, a demo, a quote, yearly billing, invoices; and what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from billing.models import Plan
from billing.refusals import Refused
from portal import access
from portal.access import Visit
from portal.forms import AskForm, refuse
from sales import leads
from sales.models import HandoffTask, Signal

SHORT = ("annual", "invoice")
STATES = {
    "": ("Received", "info"), "open": ("Received", "info"), "accepted": ("A person is on it", "accent"),
    "won": ("Done", "good"), "lost": ("Closed", ""), "returned": ("Closed", ""),
}  # fmt: skip
# What was asked for as a signal rather than as a task.
BY_RULE = {"demo_requested": "demo", "wants_annual": "annual"}
THANKS = "We have your request. A person looks at it and writes to you."


@dataclass(frozen=True, slots=True)
class Asked:
    at: datetime
    what: str
    status: str
    tone: str


@access.page("help", methods=["GET", "HEAD", "POST"])
def helping(request: HttpRequest, visit: Visit) -> HttpResponse:
    if request.POST.get("about") in SHORT:
        return _ask_shortly(request, visit)
    wanted = {"about": request.GET.get("about", ""), "text": _about_plan(request.GET.get("plan", ""))}
    form = AskForm(request.POST if request.method == "POST" else None, initial=wanted)
    if request.method == "POST" and form.is_valid() and _sent(visit, form):
        messages.success(request, THANKS)
        return redirect("portal:help")
    context = {"form": form, "asked": list(asked(visit))}
    return access.show(request, visit, "portal/help.html", context, status=422 if form.errors else 200)


def _about_plan(code: str) -> str:
    """A beginning for who comes from a plan's card."""
    plan = Plan.objects.filter(code=code, published=True).first() if code and code.isprintable() else None
    return f"We are interested in {plan.name}." if plan else ""


def _sent(visit: Visit, form: AskForm) -> bool:
    data = form.cleaned_data
    try:
        leads.ask(
            customer=visit.customer, about=data["about"], text=data["text"], now=visit.now, actor=visit.actor
        )
    except Refused as refusal:
        refuse(form, refusal)
    return not form.errors


def _ask_shortly(request: HttpRequest, visit: Visit) -> HttpResponse:
    """One button, nothing to fill in: yearly billing, or invoices."""
    leads.ask(customer=visit.customer, about=request.POST["about"], now=visit.now, actor=visit.actor)
    messages.success(request, THANKS)
    return redirect("portal:help")


def asked(visit: Visit) -> Iterator[Asked]:
    """What this customer asked for, newest first. Only its own words: why sales looks at it is not shown."""
    rows = [*_as_tasks(visit), *_as_signals(visit)]
    yield from sorted(rows, key=lambda one: one.at, reverse=True)[:20]


def _as_tasks(visit: Visit) -> Iterator[Asked]:
    by_words = {words: about for about, words in leads.WISHES.items()}
    for task in HandoffTask.objects.filter(customer=visit.customer).order_by("-raised_at")[:50]:
        for words in (part for part in task.reason.split(", ") if part in by_words):
            yield Asked(task.raised_at, words, *STATES[task.status])


def _as_signals(visit: Visit) -> Iterator[Asked]:
    rows = Signal.objects.filter(customer=visit.customer, rule__code__in=BY_RULE)
    for signal in rows.select_related("rule", "task")[:50]:
        words = leads.WISHES[BY_RULE[signal.rule.code]]
        yield Asked(signal.occurred_at, words, *STATES[signal.task.status if signal.task else ""])
