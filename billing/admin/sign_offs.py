"""What waits for a second person: read, signed and done, or refused."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import carrying_out, customers, signing_off
from billing.admin.base import Screen, amount, now_of, person, state
from billing.models import SignOff


def _give(request: HttpRequest, row: SignOff) -> str:
    done = carrying_out.give(sign_off=row, by=person(request), now=now_of(row))
    if done.status == SignOff.Status.FAILED:
        return f"Signed, but it could not be done: {done.message}"
    return "Signed and done."


def _refuse(request: HttpRequest, row: SignOff) -> str:
    signing_off.refuse(sign_off=row, by=person(request), now=now_of(row))
    return "Refused; nothing was moved."


def _take_back(request: HttpRequest, row: SignOff) -> str:
    if not signing_off.is_own(row.asked_by, person(request)):
        raise PermissionDenied
    signing_off.refuse(sign_off=row, by=person(request), now=now_of(row))
    return "Taken back; nothing was moved."


@admin.register(SignOff)
class SignOffAdmin(Screen):
    teaches = (
        "circle-check",
        "Nothing waits for a second person",
        "Refunds, pay-outs and write-offs above the seller’s limit stand here until somebody else signs them.",
    )
    list_display = ("customer", "kind", amount("amount"), state(), "asked_at", "decided_by")
    list_display_links = ("customer", "kind")
    list_filter = ("status", "kind")
    search_fields = ("customer__name", "invoice__number", "reason")
    list_select_related = ("customer", "decided_by")
    template = "admin/tandem/sign_off.html"
    guarded = frozenset({"give"})
    acts = {
        "give": (signing_off.PERMISSION, _give),
        "refuse": (signing_off.PERMISSION, _refuse),
        "take_back": ("billing.record_payment", _take_back),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignOff]:
        rows = super().get_queryset(request)
        return rows.select_related("customer__test_clock", "invoice", "payment", "decided_by")

    def context(self, request: HttpRequest, row: SignOff) -> dict[str, Any]:
        return {
            "asker": customers.name_of(row.asked_by) or row.asked_by,
            "is_own": signing_off.is_own(row.asked_by, person(request)),
        }
