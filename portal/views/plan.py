"""The plan: what it is, changing it after a preview, ending it, and what other plans have."""

from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.formats import date_format

from billing import customers, ending, falling_due, invoicing, owing, pausing, reasons, subscribing, timelines
from billing.events import record
from billing.models import Entitlement, Plan, Subscription
from billing.refusals import Refused
from billing.timelines import PhaseSpec
from portal import access, changing, paying, reading, wording
from portal.access import Visit
from portal.changing import Shown, Wish
from portal.forms import ChangeForm, refuse
from portal.reading import Terms
from sales.rules import ANNUAL_PRICES

REASONS = (
    "Too expensive",
    "Missing a feature",
    "Not used enough",
    "Moving to another product",
    "Something else",
)


def _plans() -> QuerySet[Plan]:
    return Plan.objects.filter(published=True, archived_at__isnull=True).prefetch_related("prices")


def one_of(visit: Visit, pk: str) -> Terms:
    """The customer's live subscription with this id, or 404."""
    row = access.own(Subscription.objects.filter(customer=visit.customer), pk)
    found = reading.terms(visit, phase__subscription=row)
    if not found:
        raise Http404
    return found[0]


@access.page("plan")
def plan(request: HttpRequest, visit: Visit) -> HttpResponse:
    found = reading.terms(visit)
    facts = owing.gather([t.subscription for t in found], seller=visit.seller) if found else None
    running = [
        {
            "terms": one, "waiting": _agreed(visit, one), "words": wording.terms(one.running),
            "back": _back(visit, one) if one.paused else None,
            "next": invoicing.upcoming(subscription=one.subscription, now=visit.now, facts=facts),
            "paid_until": _paid_until(visit, one), "ends_on": _ends_on(visit, one), "monthly": one.interval == "month",
        }
        for one in found
    ]  # fmt: skip
    current = found[0].plan if found else None
    offers = [wording.offer(p, currency=visit.customer.currency, current=current) for p in _plans()]
    context = {"running": running, "offers": offers, "reasons": REASONS}
    return access.show(request, visit, "portal/plan.html", context)


def _back(visit: Visit, one: Terms) -> subscribing.Change | None:
    """What going on now costs; None where that cannot be said, as what fell due in the pause could not be billed."""
    try:
        return pausing.preview_resume(subscription=one.subscription, now=visit.now)
    except falling_due.NotBilled:
        return None


def _agreed(visit: Visit, one: Terms) -> list[tuple[str, str]]:
    """(what is agreed and to come, the id under which it can be taken back or "")."""
    open_ = {s.start_on: s.row.pk for s in subscribing.pending_changes(one.subscription, visit.now) if s.row}
    ids = [open_.get(spec.start_on, "") if _may_take_back(visit, one, spec) else "" for spec in one.waiting]
    return list(zip(wording.waiting(one), ids, strict=True))


def _may_take_back(visit: Visit, one: Terms, spec: PhaseSpec) -> bool:
    return not one.with_sales and (visit.seller.customers_may_pause or not spec.paused)


def _ends_on(visit: Visit, one: Terms) -> Any:
    return changing.ends_on(one.subscription, _paid_until(visit, one))


def _paid_until(visit: Visit, one: Terms) -> date:
    today = timelines.reached(one.subscription, one.specs, visit.now)
    return subscribing.paid_until(one.subscription, one.specs, today)


# -- Changing --------------------------------------------------------------------------------------------


@access.page("plan", methods=["GET", "HEAD", "POST"])
def change(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """Choose and see what it costs. The button leads to an address that previews and changes nothing."""
    one = one_of(visit, pk)
    plans = {p.code: p for p in _plans()}
    if request.method == "POST":
        form = _form(one, plans, request.POST)
        if form.is_valid():
            _note_look(visit, one, form.cleaned_data["interval"])
            return redirect(f"{request.path}?{urlencode(_wish(one, form, plans).query())}#preview")
        return _page(request, visit, one, form, None, status=422)
    if not {"interval", "quantity"} & request.GET.keys():
        return _page(request, visit, one, _form(one, plans, None, request.GET), None)
    form = _form(one, plans, request.GET)
    if not form.is_valid():
        return _page(request, visit, one, form, None, status=422)
    return _previewed(request, visit, one, form, _wish(one, form, plans))


def _form(one: Terms, plans: dict[str, Plan], data: QueryDict | None, wanted: Any = None) -> ChangeForm:
    """What may be chosen: the plan that runs, and those sold without a person."""
    offers = [wording.offer(p, currency=one.subscription.currency, current=one.plan) for p in plans.values()]
    mine = [offer for offer in offers if not offer.ask and offer.intervals]
    seats = one.seats or Decimal(1)
    initial = {"plan": one.plan.code, "interval": one.interval, "quantity": f"{seats.normalize():f}"}
    if wanted and wanted.get("plan") in {offer.plan.code for offer in mine}:
        initial["plan"] = wanted["plan"]
    return ChangeForm(
        data, initial=initial, plans=[(o.plan.code, o) for o in mine],  # type: ignore[misc]
        intervals=wording.intervals(mine),
    )  # fmt: skip


def _wish(one: Terms, form: ChangeForm, plans: dict[str, Plan]) -> Wish:
    data = form.cleaned_data
    chosen = plans[data["plan"]]
    recurring = [p for p in reading.prices_for(chosen, one.subscription.currency) if p.kind == "recurring"]
    counted = any(p.model != "flat" for p in recurring)
    seats = Decimal(data["quantity"] or one.seats or 1)
    return Wish(chosen, data["interval"], seats if counted else None)


def _note_look(visit: Visit, one: Terms, interval: str) -> None:
    """Who pays by the month and looks at what a year costs: sales may want to know."""
    if one.interval == "month" and interval == "year":
        _viewed(visit, ANNUAL_PRICES)


def _previewed(request: HttpRequest, visit: Visit, one: Terms, form: ChangeForm, wish: Wish) -> HttpResponse:
    try:
        shown = changing.preview(visit=visit, one=one, wish=wish)
    except Refused as refusal:
        refuse(form, refusal)
        return _page(request, visit, one, form, None, status=422)
    return _page(request, visit, one, form, shown)


def _page(
    request: HttpRequest, visit: Visit, one: Terms, form: ChangeForm, shown: Shown | None, *,
    status: int = 200, moved: bool = False,
) -> HttpResponse:  # fmt: skip
    context: dict[str, Any] = {"one": one, "form": form, "shown": shown, "moved": moved, "section": "plan"}
    context["waiting"] = wording.waiting(one)
    if shown is not None:
        currency = one.subscription.currency
        context["lines"] = [
            {"row": line, "why": reasons.why(line, currency), "covers": reasons.covers(line)}
            for line in shown.change.lines
        ]
        context["taxes"] = reasons.taxes(shown.change.lines)
        context["after"] = _words_after(shown.wish)
        context["no_card"] = (
            shown.change.due_now > 0 and not one.by_invoice and not customers.default_card(visit.customer)
        )
    return access.show(request, visit, "portal/change.html", context, status=status)


def _words_after(wish: Wish) -> str:
    seats = [] if wish.quantity is None else [wording.seat_words(wish.quantity)]
    return ", ".join([wish.plan.name, *seats, wording.ADVERB[wish.interval]])


@access.page("plan", methods=["POST"])
def confirm(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """Make the change that was previewed; where its figures are others by now, show those first."""
    one = one_of(visit, pk)
    plans = {p.code: p for p in _plans()}
    form = _form(one, plans, request.POST)
    if not form.is_valid():
        return _page(request, visit, one, form, None, status=422)
    try:
        shown, done = changing.confirm(
            visit=visit, one=one, wish=_wish(one, form, plans), token=request.POST.get("shown", "")
        )
    except Refused as refusal:
        refuse(form, refusal)
        return _page(request, visit, one, form, None, status=422)
    if done is None:
        return _page(request, visit, one, form, shown, status=409, moved=True)
    messages.success(request, _changed_words(shown))
    card = customers.default_card(visit.customer)
    if done.invoice is not None and done.due_now and not one.by_invoice and card:
        return paying.pay(request, visit, done.invoice, card)
    return redirect("portal:plan")


def _changed_words(shown: Shown) -> str:
    words = _words_after(shown.wish)
    if shown.effective == "now":
        return f"Done: {words}."
    return f"Agreed: {words}, from {date_format(shown.change.effective_on, 'j F Y')}."


# -- Ending ----------------------------------------------------------------------------------------------


@access.page("plan", methods=["POST"])
def cancel(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    one = one_of(visit, pk)
    reason = request.POST.get("reason", "")
    words = " ".join(request.POST.get("words", "").replace("\x00", "").split())
    told = ": ".join(part for part in (reason if reason in REASONS else "", words) if part)[:300]
    try:
        done = ending.cancel(
            subscription=one.subscription, now=visit.now, actor=visit.actor, reason=told,
            effective="contract_end" if one.subscription.contract_end_on else "period_end",
        )  # fmt: skip
        day = date_format(done.effective_on, "j F Y")
        messages.success(request, f"Your plan ends on {day}. Until then everything stays as it is.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:plan")


@access.page("plan", methods=["POST"])
def keep(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    one = one_of(visit, pk)
    try:
        ending.undo_cancel(subscription=one.subscription, now=visit.now, actor=visit.actor)
        messages.success(request, "Your plan goes on. Nothing else has changed.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect(reverse("portal:plan"))


@access.page("plan", methods=["POST"])
def unplan(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """Take back a change that waits. What was agreed with sales, and a pause that customers may not make, staff do."""
    one = one_of(visit, pk)
    change = request.POST.get("change", "")
    if not all(
        _may_take_back(visit, one, spec) for spec in one.waiting if spec.row and spec.row.pk == change
    ):
        raise PermissionDenied
    try:
        subscribing.remove_change(
            subscription=one.subscription,
            phase=change,
            now=visit.now,
            actor=visit.actor,
        )
        messages.success(request, "The change is taken back. Nothing else has changed.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:plan")


# -- What other plans have -------------------------------------------------------------------------------


@access.page("plan", methods=["GET", "HEAD", "POST"])
def features(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Features of higher plans. Looking at one closely is a button, because sales may want to know of it."""
    found = reading.terms(visit)
    rank = max((t.plan.rank for t in found), default=0)
    rows = Entitlement.objects.filter(plan__in=_plans(), limit__isnull=True, meter__isnull=True)
    above: dict[str, Entitlement] = {}
    own = set(rows.filter(plan__in={t.plan.pk for t in found}).values_list("feature", flat=True))
    for row in rows.filter(plan__rank__gt=rank).select_related("plan").order_by("plan__rank", "pk"):
        if row.feature not in own:
            above.setdefault(row.feature, row)
    if request.method == "POST":
        wanted = request.POST.get("feature", "")
        if wanted not in above:
            raise Http404
        _viewed(visit, wanted)
        return redirect(f"{request.path}?{urlencode({'feature': wanted})}#{wanted}")
    context = {"above": list(above.values()), "looked_at": request.GET.get("feature", ""), "section": "plan"}
    return access.show(request, visit, "portal/features.html", context)


@transaction.atomic
def _viewed(visit: Visit, feature: str) -> None:
    record(
        "feature.viewed", subject=visit.customer, customer=visit.customer, actor=visit.actor, now=visit.now,
        data={"feature": feature},
    )  # fmt: skip
