"""Leads, the board of deals, and when a quote needs approval."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from billing import bulk
from billing.admin.base import (
    Careful,
    EditableList,
    Screen,
    amount,
    countries,
    figure,
    filled_in,
    now_of,
    offer,
    staff,
    state,
    too_late,
)
from billing.admin.lists import StaffFilter
from billing.models import Plan, User
from billing.moves import IllegalMove, StaleMove
from billing.refusals import Refused
from sales import comparing, deals, drafting, leads
from sales.admin import reading
from sales.models import ApprovalDelegate, ApprovalRule, Deal, HandoffTask, Lead, Quote, Rule, Signal

CLOSED_SHOWN = timedelta(days=30)
COLUMN_SHOWN = 50
SIGNALS_SHOWN = 50

# -- Leads -------------------------------------------------------------------------------------------------


class ProposalForm(forms.Form):
    """What a quote for a lead begins with; the rest is set on the quote."""

    plan = forms.ModelChoiceField(Plan.objects.none(), empty_label=None)
    quantity = forms.DecimalField(label="Seats", min_value=1, max_digits=10, decimal_places=0)

    def __init__(self, *args: Any, lead: Lead, **options: Any) -> None:
        plans = Plan.objects.filter(archived_at__isnull=True).exclude(motion="self_serve").order_by("rank")
        wanted = next((plan for plan in plans if plan.code == (lead.plan_code or "enterprise")), None)
        super().__init__(*args, initial={"plan": wanted, "quantity": lead.seats or 10}, **options)  # type: ignore[misc]
        offer(self.fields["plan"], plans)


class PlaceForm(forms.Form):
    """Where a lead is."""

    country = forms.ChoiceField(choices=lambda: [("", "–"), *countries()], required=False)
    state = forms.CharField(label="State or province", max_length=100, required=False)


def _place(request: HttpRequest, lead: Lead) -> str:
    said = {name: request.POST.get(name, "") for name in ("country", "state")}
    leads.set_place(lead=lead, **said)
    return "Saved. The taxes of its open drafts follow."


def _qualify(request: HttpRequest, lead: Lead) -> str:
    leads.qualify(lead=lead, now=now_of(lead), actor=staff(request))
    return "Qualified."


def _close(request: HttpRequest, lead: Lead) -> str:
    leads.close(lead=lead, now=now_of(lead), actor=staff(request))
    return "Closed: nothing will come of it."


def _demo_done(request: HttpRequest, lead: Lead) -> str:
    leads.mark_demo_done(lead=lead, now=now_of(lead))
    return "Noted: plans that ask for a demo can now be bought with this e-mail address."


def _take_on(request: HttpRequest, lead: Lead) -> str:
    """One click for a stranger; where customers look alike, one of the offered, or “new”."""
    said = request.POST.get("customer", "")
    found = next((each.customer for each in leads.lookalikes(lead) if each.customer.pk == said), None)
    _, deal = leads.take_on(
        lead=lead, customer=found, new=said == "new", now=now_of(lead), actor=staff(request)
    )  # fmt: skip
    messages.success(request, f"{lead.company} is a customer, and this is the deal.")
    return reverse("admin:sales_deal_change", args=[deal.pk])


def _quote(request: HttpRequest, lead: Lead) -> str:
    form = filled_in(ProposalForm(request.POST, lead=lead))
    quote = drafting.draft(
        lead=None if lead.customer else lead, customer=lead.customer, now=now_of(lead), actor=staff(request),
        by=request.user, **form.cleaned_data,  # type: ignore[arg-type]
    )  # fmt: skip
    return reverse("admin:sales_quote_change", args=[quote.pk])


@admin.register(Lead)
class LeadAdmin(Screen):
    teaches = (
        "user-plus",
        "No lead yet",
        "Who writes by “Contact sales”, or is sent to sales at checkout, stands here with an owner and a task.",
    )
    list_display = (
        "company",
        "name",
        state(),
        "employees",
        "country",
        "demo_wanted",
        "owner",
        "created_at",
    )
    list_filter = ("status", ("owner", StaffFilter), "demo_wanted", "source")
    search_fields = ("company", "name", "email")
    list_select_related = ("owner",)
    date_hierarchy = "created_at"
    template = "admin/tandem/lead.html"
    acts = {
        "qualify": ("sales.change_lead", _qualify),
        "close": ("sales.change_lead", _close),
        "place": ("sales.change_lead", _place),
        "demo": ("sales.change_lead", _demo_done),
        "quote": ("sales.add_quote", _quote),
        "take_on": ("sales.change_lead", _take_on),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("owner", "customer__test_clock")

    def context(self, request: HttpRequest, row: Lead) -> dict[str, Any]:
        sent = request.POST if request.POST.get("action") == "quote" else None
        raised = HandoffTask.objects.filter(lead=row).order_by("-raised_at")[:1]
        known = Signal.objects.filter(customer=row.customer_id)[:SIGNALS_SHOWN]
        tasks, owners, quotes, dealt, signals, rules, plans = bulk.read(
            raised,
            User.objects.filter(pk__in=raised.values("owner")),
            Quote.objects.filter(lead=row),
            Deal.objects.filter(lead=row),
            known,
            Rule.objects.all(),
            Plan.objects.all(),
        )
        reading.fill(tasks, "owner", owners)
        reading.fill(quotes, "plan", plans)
        for quote in quotes:
            quote.customer = row.customer if quote.customer_id == row.customer_id else quote.customer
        reading.fill(signals, "rule", rules)
        return {
            "title": row.company,
            "form": ProposalForm(sent, lead=row),
            "place": PlaceForm(
                request.POST if request.POST.get("action") == "place" else None,
                initial={"country": row.country, "state": row.state},
                auto_id="place-%s",
            ),
            "task": next(iter(tasks), None),
            "quotes": quotes,
            "deals": dealt,
            "signals": signals,
            "plan": next((each for each in plans if each.code == row.plan_code), None),
            "moves": Lead.MOVES[row.status],
            "lookalikes": leads.lookalikes(row) if "converted" in Lead.MOVES[row.status] else [],
        }


# -- Deals -------------------------------------------------------------------------------------------------


def _move(request: HttpRequest, deal: Deal) -> str:
    deals.set_stage(
        deal=deal, stage=request.POST.get("stage", ""), now=now_of(deal), actor=staff(request),
        reason=request.POST.get("reason", ""),
    )  # fmt: skip
    return f"{deal.name}: {deal.get_stage_display().lower()}."


@admin.register(Deal)
class DealAdmin(Screen):
    teaches = ("handshake", "No deal yet", "A deal opens with a quote, or when a lead becomes a customer.")
    list_display = ("name", state("stage"), amount("amount"), "close_on", "owner", "motion", "source_signal")
    list_filter = ("stage", ("owner", StaffFilter), "motion")
    search_fields = ("name", "customer__name", "lead__company")
    template = "admin/tandem/deal.html"
    change_list_template = "admin/tandem/deal_list.html"
    acts = {"move": ("sales.change_deal", _move)}

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .select_related("customer__test_clock", "lead", "owner", "source_signal__rule")
            .prefetch_related("source_signal__customer")  # a statement more is quicker than a join more
        )

    def get_urls(self) -> list[Any]:
        own = path("board/", self.admin_site.admin_view(self.board), name="sales_deal_board")
        return [own, *super().get_urls()]

    def context(self, request: HttpRequest, row: Deal) -> dict[str, Any]:
        quotes = list(
            row.quotes.select_related("plan", "customer__test_clock").prefetch_related("lines", "ramp")
        )
        newest = list(
            {
                (quote.number, quote.option): quote for quote in sorted(quotes, key=lambda q: q.version)
            }.values()
        )[:4]
        options = comparing.side_by_side(newest) if len(newest) > 1 else []
        return {
            "deal": row, "quotes": quotes, "stages": next_stages(row), "option_quotes": newest, "options": options,
        }  # fmt: skip

    def board(self, request: HttpRequest) -> HttpResponse:
        """Every open deal in the column of its stage, and what was closed in the last month."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._moved(request)
        mine = request.GET.get("owner") == "me"
        rows = self.get_queryset(request)
        if mine:
            rows = rows.filter(owner=request.user)
        shown = rows.filter(Q(stage__in=Deal.OPEN) | Q(closed_at__gte=timezone.now() - CLOSED_SHOWN))
        totals = deals.totals(shown, today=timezone.localdate())
        context = {
            **self.admin_site.each_context(request), "title": "Deals", "opts": Deal._meta,
            "columns": columns(shown, totals), "forecast": deals.forecast(totals)[:6],
            "likely": ", ".join(f"{stage} {chance} %" for stage, chance in deals.LIKELY.items()),
            "mine": mine,
            "may_move": request.user.has_perm("sales.change_deal"),
        }  # fmt: skip
        return TemplateResponse(request, "admin/tandem/deal_board.html", context)

    def _moved(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("sales.change_deal"):
            raise PermissionDenied
        deal = self.find(request, request.POST.get("deal", ""))
        try:
            messages.success(request, _move(request, deal))
        except Refused as refusal:
            messages.error(request, refusal.message)
        except (IllegalMove, StaleMove) as refusal:
            messages.error(request, too_late(self.find(request, deal.pk), refusal))
        return redirect(f"{request.get_full_path()}#{deal.pk}")  # whoever goes by keys goes on from there


def next_stages(deal: Deal) -> list[tuple[str, str]]:
    """Where it may go from here: forward first, then back."""
    allowed = Deal.MOVES[deal.stage]
    stages = [(value, str(label)) for value, label in Deal.Stage.choices]
    at = Deal.Stage.values.index(deal.stage)
    return [stage for stage in [*stages[at + 1 :], *stages[:at]] if stage[0] in allowed]


def columns(rows: QuerySet[Deal], totals: Iterable[deals.Total]) -> list[dict[str, Any]]:
    """[{stage, label, deals, count, sums, more}]: the first of each stage, which carry `stages`, and the totals of all.
    One statement."""
    by_stage: dict[str, list[Deal]] = {value: [] for value in Deal.Stage.values}
    for deal in _first(rows):
        deal.stages = next_stages(deal)  # type: ignore[attr-defined]
        by_stage[deal.stage].append(deal)
    counted = list(totals)
    return [
        _column(value, str(label), by_stage[value], [each for each in counted if each.stage == value])
        for value, label in Deal.Stage.choices
    ]


def _first(rows: QuerySet[Deal]) -> QuerySet[Deal]:
    """The next `COLUMN_SHOWN` to close of each stage: the database sends no other, and looks up owners of these alone."""
    order = (F("close_on").asc(nulls_last=True), F("name").asc(), F("pk").asc())
    place = Window(RowNumber(), partition_by=F("stage"), order_by=order)
    first = rows.order_by().annotate(place=place).filter(place__lte=COLUMN_SHOWN)
    found = Deal.objects.filter(pk__in=first.values("pk"))
    return found.select_related("owner").order_by(*order)


def _column(stage: str, label: str, found: list[Deal], totals: list[deals.Total]) -> dict[str, Any]:
    sums: dict[str, int] = {}
    for each in totals:
        sums[each.currency] = sums.get(each.currency, 0) + each.amount
    count = sum(each.deals for each in totals)
    return {
        "stage": stage, "label": label, "deals": found, "count": count, "sums": dict(sorted(sums.items())),
        "more": max(count - len(found), 0),
    }  # fmt: skip


# -- Approvals ---------------------------------------------------------------------------------------------


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(EditableList):
    """A rule that ever asked for an approval stays; it can be switched off."""

    list_display = ("name", "measure", figure("over"), "plan", "role", "step", "enabled", "position")
    list_editable = ("step", "enabled", "position")
    list_select_related = ("plan",)
    fieldsets = (
        ("When it asks", {"fields": ("name", "measure", "over", "plan", "enabled")}),
        ("Whom it asks", {"fields": ("role", "step", "position")}),
    )
    says = {
        "measure": ("Looks at", ""),
        "over": (
            "Asks above",
            "In the measure’s unit: 20 for a discount over 20 %; not needed for a plan or a payment",
        ),
        "plan": ("Plan", "Where it looks at the plan: every quote with it"),
        "role": ("Asks a", "Nobody decides about a quote of their own"),
        "step": ("Step", "Asked once every lower step has agreed; the same step is asked together"),
        "position": ("Place in the list", ""),
    }

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApprovalDelegate)
class ApprovalDelegateAdmin(Careful):
    """Who decides for whom while they are away. A delegate needs the permission to approve."""

    teaches = (
        "users",
        "Nobody is away",
        "Who goes on holiday names a colleague here, who then decides about quotes in their place.",
    )
    list_display = ("person", "delegate", "since", "until")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        options["queryset"] = User.objects.filter(is_staff=True, is_active=True).order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **options)
