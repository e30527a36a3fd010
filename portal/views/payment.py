"""How the customer pays: saved cards, card or invoice, and what invoices say about them."""

import re
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csp import csp_override

from billing import cards, customers, switching
from billing.gateway import ProviderUnreachable, SetupOutcome
from billing.models import CollectionMethod, Invoice, PaymentMethod, Refund
from billing.refusals import Refused
from billing.templatetags.tandem import ending
from portal import access, reading
from portal.access import Visit
from portal.forms import DetailsForm, refuse
from sales import leads

CARD_TOKEN = re.compile(r"(pm|ctoken)_[A-Za-z0-9_]{1,90}")
UNREACHABLE = "The card could not be checked just now. Nothing was charged. Please try again in a moment."
SETUP = "portal_setup"


def _mine(visit: Visit) -> QuerySet[PaymentMethod]:
    rows = PaymentMethod.objects.filter(customer=visit.customer, detached_at__isnull=True)
    return rows.select_related("customer").order_by("-is_default", "-created_at")


@access.page("payment")
def payment(request: HttpRequest, visit: Visit) -> HttpResponse:
    found = reading.terms(visit)
    by_invoice = (
        any(one.by_invoice for one in found) if found else visit.customer.collection_method == "send_invoice"
    )
    days = next((one.running.net_days for one in found if one.by_invoice), None)
    context = {
        "cards": list(_mine(visit)), "by_invoice": by_invoice, "has_plan": bool(found),
        "net_days": _net_days(visit, days), "expired": _expired(visit),
        "may_invoice": customers.allowed(visit.customer, "send_invoice"),
        "may_card": customers.allowed(visit.customer, "charge_automatically"),
        "asked": _asked_for_invoice(visit), "paid_out": _paid_out(visit),
    }  # fmt: skip
    return access.show(request, visit, "portal/payment.html", context)


def _paid_out(visit: Visit) -> list[Refund]:
    """Credit that was paid out as money, the newest first."""
    rows = Refund.objects.filter(customer=visit.customer, credit_note=None, elsewhere=False)
    return list(rows.order_by("-created_at", "-id")[:5])


def _net_days(visit: Visit, of_phase: int | None) -> int:
    for days in (of_phase, visit.customer.net_days):
        if days is not None:
            return days
    return visit.seller.net_days


def _expired(visit: Visit) -> tuple[int, int]:
    """(year, month) that runs: cards that ended before it cannot be charged."""
    return visit.now.year, visit.now.month


def _asked_for_invoice(visit: Visit) -> Any:
    reason = leads.WISHES["invoice"]
    tasks = visit.customer.handoff_tasks.filter(reason__contains=reason)  # type: ignore[attr-defined]
    return tasks.filter(status__in=("open", "accepted")).first()


# -- Cards -----------------------------------------------------------------------------------------------


@access.page("payment", methods=["GET", "HEAD", "POST"])
def card(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Type a card. Its number goes to the provider; we get a token."""
    if request.method != "POST":
        return _card_page(request, visit)
    token = request.POST.get("payment_method", "")
    if not CARD_TOKEN.fullmatch(token):
        return _card_page(request, visit, "Please enter your card.")
    back = f"{settings.SITE_URL}{reverse('portal:card_back')}"
    try:
        outcome = cards.set_up(
            customer=visit.customer, payment_method=token, return_url=back, now=visit.now, actor=visit.actor
        )
    except Refused as refusal:
        return _card_page(request, visit, refusal.message)
    except ProviderUnreachable:
        return _card_page(request, visit, UNREACHABLE)
    return _after(request, visit, outcome, request.POST.get("invoice", ""))


def _after(request: HttpRequest, visit: Visit, outcome: SetupOutcome, invoice: str) -> HttpResponse:
    if outcome.state == "succeeded":
        request.session.pop(SETUP, None)
        messages.success(request, f"{_label(outcome)} is saved. Charges go to this card from now on.")
        paying = _invoice(visit, invoice)
        return redirect("portal:invoice", pk=paying.pk) if paying else redirect("portal:payment")
    if outcome.state == "requires_action" and outcome.setup_id:
        request.session[SETUP] = {
            "id": outcome.setup_id, "customer": visit.customer.pk, "invoice": invoice,
        }  # fmt: skip
        return redirect(outcome.action_url or reverse("portal:card_back"))
    return _card_page(request, visit, UNREACHABLE)


def _invoice(visit: Visit, pk: str) -> Invoice | None:
    """The invoice that somebody wants to pay with the new card."""
    return access.own(Invoice.objects.filter(customer=visit.customer), pk) if pk else None


def _label(outcome: SetupOutcome) -> str:
    return ending(outcome.card) if outcome.card else "The card"


def _card_page(request: HttpRequest, visit: Visit, error: str = "") -> HttpResponse:
    wanted = request.POST.get("invoice", "") or request.GET.get("invoice", "")
    context = {
        "error": error, "stripe_key": settings.STRIPE_PUBLISHABLE_KEY, "section": "payment",
        "invoice": _invoice(visit, wanted),
    }  # fmt: skip
    response = access.show(request, visit, "portal/card.html", context, status=422 if error else 200)
    return csp_override(settings.CARD_PAGE_CSP)(lambda _request: response)(request)  # type: ignore[arg-type,return-value]


@access.page("payment", methods=["GET", "HEAD", "POST"])
def card_back(request: HttpRequest, visit: Visit) -> HttpResponse:
    """The bank sends people back here; the button (or the page itself) asks what came of it."""
    held = request.session.get(SETUP) or {}
    if held.get("customer") != visit.customer.pk:
        return redirect("portal:payment")
    if request.method != "POST":
        return access.show(request, visit, "portal/card_back.html", {"section": "payment"})
    try:
        outcome = cards.finish(customer=visit.customer, setup_id=held["id"], now=visit.now, actor=visit.actor)
    except Refused as refusal:
        request.session.pop(SETUP, None)
        return _card_page(request, visit, refusal.message)
    except ProviderUnreachable:
        return _card_page(request, visit, UNREACHABLE)
    if outcome.state == "requires_action":
        return redirect(outcome.action_url or reverse("portal:card"))
    return _after(request, visit, outcome, held.get("invoice", ""))


@access.page("payment", methods=["POST"])
def default(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    row = access.own(_mine(visit), pk)
    try:
        cards.make_default(payment_method=row, now=visit.now, actor=visit.actor)
        messages.success(request, f"Charges go to {row} from now on.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:payment")


@access.page("payment", methods=["POST"])
def remove(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    row = access.own(_mine(visit), pk)
    try:
        cards.remove(payment_method=row, now=visit.now, actor=visit.actor)
        messages.success(request, f"{row} is no longer saved.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    except ProviderUnreachable:
        messages.error(request, "The card could not be removed just now. Please try again in a moment.")
    return redirect("portal:payment")


# -- Card or invoice -------------------------------------------------------------------------------------


@access.page("payment", methods=["POST"])
def method(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Switch where the segment allows it; where it does not, a person decides."""
    wanted = request.POST.get("method", "")
    if wanted not in CollectionMethod.values:
        messages.error(request, "Choose card or invoice.")
        return redirect("portal:payment")
    if wanted == "send_invoice" and not customers.allowed(visit.customer, wanted):
        leads.ask(customer=visit.customer, about="invoice", now=visit.now, actor=visit.actor)
        messages.success(request, "We have your request. A person looks at it and writes to you.")
        return redirect("portal:payment")
    try:
        switching.switch(customer=visit.customer, method=wanted, now=visit.now, actor=visit.actor)
        words = "by invoice" if wanted == "send_invoice" else "by card"
        messages.success(request, f"From the next invoice on you pay {words}.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:payment")


# -- Details ---------------------------------------------------------------------------------------------


@access.page("details", methods=["GET", "HEAD", "POST"])
def details(request: HttpRequest, visit: Visit) -> HttpResponse:
    form = DetailsForm(request.POST or None, initial=DetailsForm.values_of(visit.customer))
    if request.method == "POST" and form.is_valid():
        try:
            customers.update(
                customer=visit.customer, now=visit.now, actor=visit.actor, **form.fields_of_customer()
            )
            messages.success(request, "Saved. The next invoice says so; earlier ones stay as they are.")
            return redirect("portal:details")
        except Refused as refusal:
            refuse(form, refusal)
    context = {"form": form, "section": "payment"}
    return access.show(request, visit, "portal/details.html", context, status=422 if form.errors else 200)
