"""Tables to look at: subscriptions, payments, usage, runs, users."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import (
    Count,
    DateField,
    DateTimeField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Cast, Coalesce, Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from billing import bulk, starting, timelines, trialing
from billing.admin import stepping_up, telling
from billing.admin.base import ReadOnly, Screen, Teaching, amount, badge, figure, filled_in, staff, state
from billing.maths.periods import local_date
from billing.models import (
    BillingFailure,
    BillingRun,
    Customer,
    Dispute,
    Event,
    Invoice,
    Payment,
    Phase,
    Plan,
    Subscription,
    UsageDay,
    User,
)
from billing.refusals import Refused
from billing.templatetags.tandem import NOTHING, money

SHOWN = 20
JOINED = "\N{NO-BREAK SPACE}"
LONGEST_RUN = timedelta(days=1)


def _begun() -> QuerySet[Phase]:
    """For a subquery: the phases of a subscription that have begun, by the day where its customer is."""
    present = Coalesce(OuterRef("test_clock__now"), Now())
    there = Func(OuterRef("timezone"), present, function="timezone", output_field=DateTimeField())
    phases = Phase.objects.filter(subscription=OuterRef("pk")).annotate(today=Cast(there, DateField()))
    return phases.filter(start_on__lte=F("today"))


def plan_of() -> Coalesce:
    """The name of the plan that a subscription has today, or had last; of one that is to begin, its first."""
    last = _begun().order_by("-start_on", F("end_on").desc(nulls_first=True))
    first = Phase.objects.filter(subscription=OuterRef("pk")).order_by("start_on", "end_on")
    return Coalesce(*(Subquery(phases.values("plan__name")[:1]) for phases in (last, first)))


class PlanFilter(admin.SimpleListFilter):
    """Who has a plan today."""

    title = "plan"
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Plan.objects.order_by("rank").values_list("code", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        if not self.value():
            return queryset
        lasting = Q(end_on__isnull=True) | Q(end_on__gt=F("today"))
        return queryset.filter(Exists(_begun().filter(lasting, plan__code=self.value())))


class TrialForm(forms.Form):
    """Another end of a running trial."""

    trial_end = forms.DateField(
        label="The trial ends on", widget=forms.DateInput(attrs={"type": "date"}),
        help_text="the first day that is paid for, after today",
    )  # fmt: skip

    def __init__(self, *args: Any, row: Subscription, **options: Any) -> None:
        ends = row.trial_end_at and local_date(row.trial_end_at, row.timezone)
        super().__init__(*args, initial={"trial_end": ends}, **options)  # type: ignore[misc]


def _move_trial(request: HttpRequest, row: Subscription) -> str:
    day = filled_in(TrialForm(request.POST, row=row)).cleaned_data["trial_end"]
    starting.change_trial(subscription=row, trial_end=day, now=row.customer.now, actor=staff(request))
    return f"The trial ends on {day:%-d %b %Y}."


def _end_trial(request: HttpRequest, row: Subscription) -> str:
    done = starting.change_trial(
        subscription=row, trial_end="now", now=row.customer.now, actor=staff(request)
    )
    return f"The trial is over; {money(done.due_now, row.currency)} is asked for."


def _costs_now(row: Subscription) -> int | None:
    """What ending the trial now asks for, in minor units; None where there is none that could end."""
    if row.status != Subscription.Status.TRIALING:
        return None
    try:
        return trialing.preview_end(subscription=row, trial_end="now", now=row.customer.now).due_now
    except Refused:
        return None


@admin.register(Subscription)
class SubscriptionAdmin(Screen):
    teaches = (
        "repeat",
        "No subscription yet",
        "One begins with a checkout, a signed quote or the API.",
    )
    list_display = (
        "customer",
        "plan",
        state(),
        amount("mrr", "MRR"),
        "motion",
        "period",
        "next_on",
    )
    list_filter = ("status", PlanFilter, "motion")
    ordering = ("-pk",)
    search_fields = ("customer__name", "customer__email")
    list_select_related = ("customer",)
    template = "admin/tandem/subscription.html"
    acts = {
        "trial": ("billing.change_customer", _move_trial),
        "trial_now": ("billing.change_customer", _end_trial),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return (
            super().get_queryset(request).select_related("customer__test_clock").annotate(plan_name=plan_of())
        )

    @admin.display(description="plan", ordering="plan_name")
    def plan(self, row: Subscription) -> str:
        return row.plan_name or NOTHING  # type: ignore[attr-defined]

    @admin.display(description="period", ordering="current_period_end")
    def period(self, row: Subscription) -> str:
        if row.current_period_start is None or row.current_period_end is None:
            return NOTHING
        return format_html(
            '<span class="nowrap">{} –</span> <span class="nowrap">{}</span>',
            *(date_format(day, "DATE_FORMAT") for day in (row.current_period_start, row.current_period_end)),
        )

    @admin.display(description="next looked at", ordering="next_due_at")
    def next_on(self, row: Subscription) -> date | None:
        """The day where the customer is, on which a billing run comes to it."""
        return local_date(row.next_due_at, row.timezone) if row.next_due_at else None

    def context(self, request: HttpRequest, row: Subscription) -> dict[str, Any]:
        invoices, events, *phases = bulk.read(
            Invoice.objects.of(row).order_by("-created_at")[:SHOWN],
            Event.objects.filter(object_id=row.pk).order_by("-number")[:SHOWN],
            *timelines.wanted_of(Phase.objects.filter(subscription=row).order_by("start_on")),
        )
        timelines.remember(row, phases)
        return {
            "form": TrialForm(request.POST if request.POST.get("action") == "trial" else None, row=row),
            "ends_now_for": _costs_now(row) if self.may(request, row, "trial_now") else None,
            "phases": row.phases.all(),
            "today": local_date(row.customer.now, row.timezone),
            "invoices": invoices,
            "events": telling.told(events),
        }


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
    grows = True
    ordering = ("-pk",)
    search_fields = ("customer__name", "invoice__number__exact", "reference", "provider_id")
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
    list_display = ("whose", "meter", "day", figure("count", "events"), figure("total"))
    list_display_links = None  # a day has nothing more to tell than its row
    list_filter = ("meter",)
    search_fields = ("customer__name",)
    list_select_related = ("customer", "meter")
    grows = True
    ordering = ("-pk",)

    @admin.display(description="customer", ordering="customer__name")
    def whose(self, row: UsageDay) -> SafeString:
        where = reverse("admin:billing_customer_change", args=[row.customer_id])
        return format_html('<a href="{}" dir="auto">{}</a>', where, row.customer)


class DidFilter(admin.SimpleListFilter):
    """Most runs find nothing that is due."""

    title = "what it did"
    parameter_name = "did"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("something", "Billed something"),
            ("failures", "Left something aside"),
            ("nothing", "Nothing was due"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BillingRun]) -> QuerySet[BillingRun]:
        chosen = {
            "something": queryset.filter(Q(subscriptions__gt=0) | Q(finished_at__isnull=True)),
            "failures": queryset.filter(failures__gt=0),
            "nothing": queryset.filter(subscriptions=0, finished_at__isnull=False),
        }  # fmt: skip
        return chosen.get(self.value() or "", queryset)


@admin.register(BillingRun)
class BillingRunAdmin(Screen):
    begins = "did=something"
    teaches = (
        "refresh-cw",
        "Nothing has been billed yet",
        "The job worker bills what is due every few minutes; each run that finds something stands here.",
    )
    list_display = (
        "due_at", "ended", figure("subscriptions"), figure("invoices"), figure("failures", "not billed"), "took"
    )  # fmt: skip
    list_filter = (DidFilter,)
    ordering = ("-started_at",)
    template = "admin/tandem/billing_run.html"

    @admin.display(description="status", ordering="finished_at")
    def ended(self, row: BillingRun) -> SafeString:
        return badge(*outcome(row))

    @admin.display(description="took")
    def took(self, row: BillingRun) -> str:
        return duration(row.finished_at - row.started_at) if row.finished_at else NOTHING

    def context(self, request: HttpRequest, row: BillingRun) -> dict[str, Any]:
        issued = issued_by(row)
        sums = issued.order_by("currency").values_list("currency").annotate(n=Count("pk"), total=Sum("total"))
        invoices, failures = bulk.read(
            issued.order_by("-total")[:SHOWN],
            BillingFailure.objects.filter(at=row.due_at).order_by("pk")[:SHOWN],
        )
        aside = Subscription.objects.select_related("customer").in_bulk(
            each.subscription_id for each in failures
        )
        named = Customer.objects.only("name").in_bulk(each.customer_id for each in invoices)
        words, tone = outcome(row)
        return {
            "title": f"Billing run of {date_format(timezone.localtime(row.due_at), 'DATETIME_FORMAT')}",
            "words": words, "tone": tone, "took": self.took(row), "sums": list(sums),
            "invoices": [(each, named[each.customer_id]) for each in invoices],
            "aside": [(each, aside[each.subscription_id]) for each in failures],
        }  # fmt: skip


def issued_by(run: BillingRun) -> QuerySet[Invoice]:
    """A run issues at its own time, to the microsecond. Ids tell when rows were made: few are looked at."""
    after = UUID(hex=run.pk.removeprefix("run_"))
    before = UUID(int=int((run.started_at + LONGEST_RUN).timestamp() * 1000) << 80)
    made = Invoice.objects.filter(pk__gt=after, pk__lt=before, issued_at=run.due_at, cycle_on__isnull=False)
    return made.filter(customer__test_clock=None)


def outcome(run: BillingRun) -> tuple[str, str]:
    """How a run ended, in words, and their tone."""
    if run.finished_at is None:
        return "Not finished", "warn"
    if run.failures:
        return "Left something aside", "bad"
    return ("Billed", "good") if run.subscriptions else ("Nothing was due", "")


def duration(lasted: timedelta) -> str:
    """0.4 s, 12 s, 3 min 20 s."""
    seconds = max(lasted.total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f}{JOINED}s"
    return f"{seconds // 60:.0f}{JOINED}min {seconds % 60:.0f}{JOINED}s"


@admin.register(BillingFailure)
class BillingFailureAdmin(ReadOnly):
    """Subscriptions that no run bills until somebody has put right what was wrong, and says so."""

    list_title = "Not billed"
    teaches = (
        "circle-check",
        "Everything could be billed",
        "What a billing run has to leave aside stands here with the reason, until it is put right.",
    )
    list_display = ("whose", "reason", "at")
    list_display_links = None  # its subscription has the page
    list_select_related = ("subscription__customer",)
    search_fields = ("subscription__customer__name", "reason")
    ordering = ("at",)
    actions = ("again",)

    @admin.display(description="subscription", ordering="subscription__customer__name")
    def whose(self, row: BillingFailure) -> SafeString:
        where = reverse("admin:billing_subscription_change", args=[row.subscription_id])
        return format_html('<a href="{}" dir="auto">{}</a>', where, row.subscription.customer)

    @admin.action(description="Bill again with the next run", permissions=["retry"])
    def again(self, request: HttpRequest, rows: QuerySet[BillingFailure]) -> None:
        self.log_deletions(request, rows)
        number, _ = rows.delete()
        words = ngettext("The next run bills it again.", "The next run bills these {} again.", number)
        self.message_user(request, words.format(number), messages.SUCCESS)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("billing.delete_billingfailure"))


@admin.register(User)
class UserAdmin(Teaching):
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

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Rights, and the address to which codes and new passwords are sent."""
        if {"email", "is_staff", "is_superuser", "groups", "is_active"} & {*form.changed_data}:
            stepping_up.ask(request)
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        above = obj is not None and obj.is_superuser and not request.user.is_superuser  # type: ignore[union-attr]
        return not above and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Quotes and approvals keep who made them: whoever leaves is switched off."""
        return False
