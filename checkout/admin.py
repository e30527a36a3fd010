"""Staff's view of checkout: who is routed to sales, and letting one buyer past."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from billing.admin.base import EditableList, Screen, StaffOwner, staff, state
from billing.models import Customer
from billing.refusals import Refused
from checkout import routing, sending, sessions, trying
from checkout.models import CheckoutSession, RoutingRule

ASKED = (
    "One to a line, and all have to hold; none: it always applies. Such as: employees over 100 · seats at least 50 · "
    "country US, CA · industry Law · plan business · need SSO · domain *.gov"
)


class Conditions(forms.CharField):
    """What a rule asks, one to a line: “employees over 100”, “country US, CA”."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea({"rows": 5, "class": "vLargeTextField", "spellcheck": "false"})
        super().__init__(widget=widget, required=False, strip=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(routing.lines(value)) if isinstance(value, Mapping) else value

    def to_python(self, value: Any) -> Any:
        try:
            return routing.read(str(super().to_python(value)).splitlines())
        except routing.InvalidRule as error:
            raise ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != data)


@admin.register(RoutingRule)
class RoutingRuleAdmin(EditableList, StaffOwner):
    teaches = (
        "arrow-right",
        "Everybody buys alone",
        "A rule sends buyers to a person: large companies, a country, a plan. The first that holds decides.",
    )
    list_display = ("position", "name", "outcome", "owner", "active")
    list_display_links = ("name",)
    list_editable = ("active",)
    list_select_related = ("owner",)
    change_list_template = "admin/checkout/routing_rules.html"
    fieldsets = (
        (None, {"fields": ("name", "position", "active")}),
        ("If", {"fields": ("conditions",)}),
        ("Then", {"fields": ("outcome", "owner")}),
    )
    says = {
        "position": ("Position", "Rules are asked from the lowest on; the first that holds decides"),
        "outcome": ("Which way", ""),
        "owner": ("Owner", "Who gets in touch; blank: as the tasks are shared"),
    }

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "conditions":
            return Conditions(label="Only if", help_text=ASKED)
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.try_out)
        return [path("try/", page, name="checkout_routingrule_try"), *super().get_urls()]

    def try_out(self, request: HttpRequest) -> HttpResponse:
        """Which way would this buyer go, and why? A GET, so that a question can be sent to a colleague."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = trying.TryForm(request.GET or None)
        found = trying.tried(form.inputs) if form.is_bound and form.is_valid() else {}
        context = {
            **self.admin_site.each_context(request), "title": "Try the rules", "opts": self.model._meta,
            "form": form, **found,
        }  # fmt: skip
        status = 422 if form.errors else 200
        return TemplateResponse(request, "admin/tandem/routing_try.html", context, status=status)


def _unlock(request: HttpRequest, session: CheckoutSession) -> str:
    sessions.unlock(session=session, now=session.now, actor=staff(request))
    return "Unlocked: this buyer can finish by card with the same link."


ANSWERS = ("company", "name", "email", "employees", "country", "tax_id")


def _customer(pk: str) -> Customer | None:
    """Whom the link is for, where the address names one."""
    if not pk:
        return None
    try:
        return Customer.objects.get(pk=pk)
    except (Customer.DoesNotExist, ValidationError) as error:
        raise Http404 from error


def _send(request: HttpRequest, form: sending.LinkForm, customer: Customer | None) -> CheckoutSession | None:
    actor = staff(request)
    unlocked_by = actor if form.cleaned_data.get("unlock") else ""
    livemode = customer.livemode if customer else settings.STRIPE_LIVE_MODE
    try:
        return sessions.send(
            **form.wishes(), customer=customer, livemode=livemode, unlocked_by=unlocked_by, actor=actor,
            now=customer.now if customer else timezone.now(),
        )  # fmt: skip
    except Refused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return None


@admin.register(CheckoutSession)
class CheckoutSessionAdmin(Screen):
    teaches = (
        "shopping-cart",
        "No checkout yet",
        "Whoever begins to buy stands here; you can also send somebody a link.",
    )
    list_display = ("who", "plan", "quantity", "interval", state(), "way", "created_at")
    list_filter = ("status", "origin", "plan")
    search_fields = ("email", "customer__name", "answers__company")
    list_select_related = ("plan", "customer")
    date_hierarchy = "created_at"
    template = "admin/tandem/checkout_session.html"
    acts = {"unlock": ("checkout.unlock_checkout", _unlock)}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Adding one is sending its link."""
        return request.user.has_perm("checkout.add_checkoutsession")  # type: ignore[union-attr]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        customer = _customer(request.GET.get("customer", ""))
        form = sending.LinkForm(
            request.POST if request.method == "POST" else None,
            initial={"email": request.GET.get("email", "")},
            customer=customer,
            may_unlock=request.user.has_perm("checkout.unlock_checkout"),  # type: ignore[union-attr]
        )
        if form.is_valid() and (sent := _send(request, form, customer)):
            messages.success(request, f"Sent to {sent.email}.")
            return redirect("admin:checkout_checkoutsession_change", sent.pk)
        context = {
            **self.admin_site.each_context(request), "title": "Send a checkout link", "opts": self.model._meta,
            "form": form, "customer": customer, "links": list(sending.links()),
        }  # fmt: skip
        status = 422 if form.errors else 200
        return TemplateResponse(request, "admin/tandem/checkout_send.html", context, status=status)

    @admin.display(description="buyer")
    def who(self, session: CheckoutSession) -> str:
        return str(session.answers.get("company") or session.email or "A visitor")

    @admin.display(description="way")
    def way(self, session: CheckoutSession) -> str:
        return str(session.routing.get("outcome", "")).replace("_", " ")

    def context(self, request: HttpRequest, row: CheckoutSession) -> dict[str, Any]:
        return {
            "title": self.who(row),
            "answers": [
                (name.replace("_", " "), row.answers[name]) for name in ANSWERS if row.answers.get(name)
            ],
            "agreed_to": row.quote.get("terms_url", ""),
            "way": self.way(row),
            "reasons": row.routing.get("because", []),
            "lockable": row.status != "completed" and not row.unlocked_by,
        }
