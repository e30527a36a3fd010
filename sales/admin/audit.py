"""Who did what: the facts that colleagues caused, and what they changed in forms, newest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.models import Event, User
from billing.templatetags.tandem import spelled
from sales.admin.customers import WORDS
from sales.admin.quotes import HAPPENED

SHOWN = 60
MODES = {1: "Added", 2: "Changed", 3: "Removed"}
PAGES = {
    "cus": "billing_customer", "quote": "sales_quote", "task": "sales_handofftask", "sig": "sales_signal",
    "deal": "sales_deal", "lead": "sales_lead", "inv": "billing_invoice",
    "so": "billing_signoff", "prv": "billing_privacyrequest",
}  # fmt: skip
KINDS = {
    "usr": "Sign-in",
    "task": "A lead’s task",
    "lead": "A lead",
    "deal": "A lead’s deal",
    "quote": "A lead’s quote",
}
SAID = {type: words for type, (words, *_) in {**HAPPENED, **WORDS}.items()}


class AuditForm(forms.Form):
    """Whose, and from which day back."""

    who = forms.ModelChoiceField(User.objects.none(), label="Who", empty_label="Everybody", required=False)
    until = forms.DateField(label="Up to", widget=forms.DateInput({"type": "date"}), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        people: Any = self.fields["who"]
        people.queryset = User.objects.filter(is_staff=True).order_by("name", "email")


@dataclass(frozen=True, slots=True)
class Deed:
    """One line: when, who, what, about what (with its page), and details."""

    at: datetime
    who: str
    what: str
    about: str
    href: str
    text: str


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("billing.view_event"):
        raise PermissionDenied
    form = AuditForm(request.GET or None)
    given = form.cleaned_data if form.is_bound and form.is_valid() else {}
    deeds = found(given.get("who"), given.get("until"))
    context = {
        **admin.site.each_context(request), "title": "Who did what", "form": form, "deeds": deeds[:SHOWN],
        "older": deeds[SHOWN - 1].at.date() if len(deeds) > SHOWN else None, "who": given.get("who"),
    }  # fmt: skip
    status = 422 if form.is_bound and form.errors else 200
    return TemplateResponse(request, "admin/tandem/audit.html", context, status=status)


def found(who: User | None, until: Any) -> list[Deed]:
    """The newest deeds of colleagues, one more than is shown if there are more. Three statements."""
    people = User.objects.filter(pk=who.pk) if who else User.objects.filter(is_staff=True)
    names = {f"user:{user.pk}": str(user.name or user.email) for user in people}
    day = (until or timezone.localdate()) + timedelta(days=1)
    end = timezone.make_aware(datetime.combine(day, datetime.min.time()))
    events = (
        Event.objects.filter(actor__in=names, recorded_at__lt=end)
        .order_by("-number")
        .select_related("customer")
    )
    entries = LogEntry.objects.filter(Q(user__in=people), action_time__lt=end).order_by("-action_time", "-pk")
    made = [_of_event(event, names) for event in events[: SHOWN + 1]]
    made += [_of_entry(entry, names) for entry in entries.select_related("content_type")[: SHOWN + 1]]
    return sorted(made, key=lambda deed: deed.at, reverse=True)[: SHOWN + 1]


def _of_event(event: Event, names: dict[str, str]) -> Deed:
    words = SAID.get(event.type) or spelled(event.type)
    customer = str(event.customer or "")
    about = str(
        event.data.get("number") or customer or KINDS.get(event.object_id.partition("_")[0], event.object_id)
    )
    parts = [
        customer if about != customer else "",
        *(str(event.data.get(key) or "") for key in ("note", "why", "reason", "address")),
    ]
    text = " · ".join(dict.fromkeys(part for part in parts if part))
    return Deed(event.recorded_at, names[event.actor], words, about, _page(event.object_id), text)


def _page(object_id: str) -> str:
    name = PAGES.get(object_id.partition("_")[0])
    return reverse(f"admin:{name}_change", args=[object_id]) if name else ""


def _of_entry(entry: LogEntry, names: dict[str, str]) -> Deed:
    kind = str(entry.content_type.name if entry.content_type else "")
    href = (entry.get_admin_url() or "") if entry.action_flag != 3 else ""
    what = f"{MODES[entry.action_flag]} {kind}"
    return Deed(
        entry.action_time,
        names[f"user:{entry.user_id}"],
        what,
        entry.object_repr,
        href,
        entry.get_change_message(),
    )
