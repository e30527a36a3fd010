"""Staff's view of checkout: who is routed to sales, and letting one buyer past."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.admin.base import Screen, StaffOwner, staff
from checkout import sessions
from checkout.models import CheckoutSession, RoutingRule


@admin.register(RoutingRule)
class RoutingRuleAdmin(StaffOwner):
    list_display = ("position", "name", "outcome", "owner", "active")
    list_display_links = ("name",)
    list_editable = ("active",)
    list_select_related = ("owner",)


def _unlock(request: HttpRequest, session: CheckoutSession) -> str:
    sessions.unlock(session=session, now=session.now, actor=staff(request))
    return "Unlocked: this buyer can finish by card with the same link."


ANSWERS = ("company", "name", "email", "employees", "country", "tax_id")


@admin.register(CheckoutSession)
class CheckoutSessionAdmin(Screen):
    list_display = ("who", "plan", "quantity", "interval", "status", "way", "created_at")
    list_filter = ("status", "origin", "plan")
    search_fields = ("email", "customer__name", "answers__company")
    list_select_related = ("plan", "customer")
    date_hierarchy = "created_at"
    template = "admin/tandem/checkout_session.html"
    acts = {"unlock": ("checkout.unlock_checkout", _unlock)}

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
            "way": self.way(row),
            "reasons": row.routing.get("because", []),
            "lockable": row.status != "completed" and not row.unlocked_by,
        }
