"""Tables to look at: subscriptions, payments, usage, runs, mails, users."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from billing import bulk, timelines
from billing.admin import telling
from billing.admin.base import ReadOnly, Screen, amount, figure, state
from billing.maths.periods import local_date
from billing.models import (
    BillingFailure,
    BillingRun,
    Dispute,
    Event,
    Invoice,
    Mail,
    Payment,
    Phase,
    Subscription,
    UsageDay,
    User,
)
from billing.templatetags.tandem import money, spelled

SHOWN = 20


@admin.register(Subscription)
class SubscriptionAdmin(Screen):
    teaches = (
        "repeat",
        "No subscription yet",
        "One begins with a checkout, a signed quote or the API.",
    )
    list_display = (
        "customer",
        state(),
        "motion",
        amount("mrr", "MRR"),
        "current_period_start",
        "current_period_end",
        "next_due_at",
    )
    list_filter = ("status", "motion", "origin")
    search_fields = ("customer__name", "customer__email")
    list_select_related = ("customer",)
    template = "admin/tandem/subscription.html"

    def context(self, request: HttpRequest, row: Subscription) -> dict[str, Any]:
        invoices, events, *phases = bulk.read(
            Invoice.objects.filter(subscription=row).order_by("-created_at")[:SHOWN],
            Event.objects.filter(object_id=row.pk).order_by("-number")[:SHOWN],
            *timelines.wanted_of(Phase.objects.filter(subscription=row).order_by("start_on")),
        )
        return {
            "phases": timelines.put_together(phases),
            "today": local_date(row.customer.now, row.timezone),
            "invoices": invoices,
            "events": telling.told(events),
        }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return super().get_queryset(request).select_related("customer__test_clock")


@admin.register(Payment)
class PaymentAdmin(Screen):
    teaches = (
        "wallet",
        "No payment yet",
        "Card payments come by themselves; a bank transfer is booked on its invoice.",
    )
    list_display = (
        "customer",
        "invoice",
        state(),
        amount("amount"),
        "paid_with",
        "dispute_status",
        "created_at",
    )
    list_filter = ("status", "method", "dispute_status")
    search_fields = ("customer__name", "invoice__number", "reference", "provider_id")
    list_select_related = ("customer", "invoice")
    template = "admin/tandem/payment.html"

    def context(self, request: HttpRequest, row: Payment) -> dict[str, Any]:
        return {
            "title": money(row.amount, row.currency),
            "with": self.paid_with(row),
            "refunds": row.refunds.select_related("credit_note"),
            "disputes": row.disputes.all(),
            "events": telling.told(Event.objects.filter(object_id=row.pk).order_by("-number")[:SHOWN]),
        }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).select_related("customer", "invoice")

    @admin.display(description="paid with")
    def paid_with(self, row: Payment) -> str:
        return row.card_label or row.reference or row.get_method_display()


@admin.register(Dispute)
class DisputeAdmin(ReadOnly):
    """What card holders take back; it is answered at Stripe, where the evidence goes."""

    teaches = (
        "scale",
        "No dispute",
        "Where a card holder takes a payment back, it stands here with the day by which to answer.",
    )
    list_display = (
        "customer",
        state(),
        amount("amount"),
        amount("withdrawn"),
        "reason",
        "evidence_due_at",
        "opened_at",
        "closed_at",
        "answer",
    )
    list_filter = ("status", "reason")
    search_fields = ("customer__name", "payment__invoice__number", "provider_id")
    list_select_related = ("customer",)
    readonly_fields = ("answer",)

    @admin.display(description="Evidence")
    def answer(self, row: Dispute) -> str:
        words = "Answer at Stripe" if row.status in Dispute.OPEN else "See at Stripe"
        return format_html('<a href="{}" rel="noreferrer">{}</a>', row.evidence_url, words)


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnly):
    teaches = (
        "activity",
        "No usage yet",
        "What your product reports by the API is summed up here, by customer, meter and day.",
    )
    list_title = "Usage by day"
    list_display = ("customer", "meter", "day", figure("count", "events"), figure("total"))
    list_filter = ("meter",)
    search_fields = ("customer__name",)
    list_select_related = ("customer", "meter")
    ordering = ("-day",)


@admin.register(BillingRun)
class BillingRunAdmin(ReadOnly):
    teaches = (
        "refresh-cw",
        "No run yet",
        "The job worker bills what is due every few minutes; each time that there was something stands here.",
    )
    list_display = ("due_at", "started_at", "finished_at", "subscriptions", "invoices", "failures")
    ordering = ("-started_at",)


@admin.register(BillingFailure)
class BillingFailureAdmin(ReadOnly):
    teaches = (
        "circle-check",
        "Everything could be billed",
        "What a billing run has to leave aside stands here with the reason, until it is put right.",
    )
    list_display = ("subscription", "reason", "at")

    def has_delete_permission(self, request, obj=None) -> bool:  # type: ignore[no-untyped-def]
        """Deleting the row lets the next run try again."""
        return bool(request.user.has_perm("billing.delete_billingfailure"))


@admin.register(Mail)
class MailAdmin(ReadOnly):
    list_display = ("created_at", "subject", "recipient", "kind", "sent_at", "error")
    list_filter = ("template",)
    search_fields = ("recipient", "subject")
    exclude = ("html",)
    ordering = ("-created_at",)

    @admin.display(description="kind", ordering="template")
    def kind(self, row: Mail) -> str:
        return spelled(row.template)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("email", "name", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "groups")
    search_fields = ("email", "name")
    fields = ("email", "name", "is_active", "is_staff", "is_superuser", "groups", "last_login", "date_joined")
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ("groups",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Nobody gives rights, to themselves or others, who has not all of them."""
        mine = () if request.user.is_superuser else ("is_staff", "is_superuser", "groups")  # type: ignore[union-attr]
        return (*self.readonly_fields, *mine)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        above = obj is not None and obj.is_superuser and not request.user.is_superuser  # type: ignore[union-attr]
        return not above and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Quotes and approvals keep who made them: whoever leaves is switched off."""
        return False
