"""Pausing a plan and going on, where the seller lets customers do it themselves."""

from typing import Literal

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format

from billing import customers, pausing, subscribing
from billing.maths.periods import add_months
from billing.models import Invoice
from billing.refusals import Refused
from billing.templatetags.tandem import money
from portal import access, paying
from portal.access import Visit
from portal.reading import Terms
from portal.views.plan import one_of

# Months that a pause may last, and when it may begin.
LASTS = ("1", "2", "3")
BEGINS: dict[str, Literal["now", "period_end"]] = {"now": "now", "period_end": "period_end"}


@access.page("plan", methods=["POST"])
def pause(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """From today or the end of what is paid for, for some months; what is paid for them goes to the balance."""
    one = one_of(visit, pk)
    if not visit.seller.customers_may_pause or one.with_sales:
        raise PermissionDenied
    if request.POST.get("months") not in LASTS:
        messages.error(request, "Choose how long the pause lasts.")
        return redirect("portal:plan")
    effective = BEGINS.get(request.POST.get("from", "now"))
    if effective is None:
        messages.error(request, "Choose when the pause begins.")
        return redirect("portal:plan")
    try:
        on = subscribing.effective_day(one.subscription, one.specs, effective, visit.now)
        until = add_months(on, int(request.POST["months"]))
        done = pausing.pause(
            subscription=one.subscription,
            now=visit.now,
            actor=visit.actor,
            effective=effective,
            resume_at=until,
            reason="customer",
        )
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect("portal:plan")
    first = "" if effective == "now" else f"from {date_format(done.effective_on, 'j F Y')} "
    words = f"Your plan is paused {first}until {date_format(until, 'j F Y')}."
    messages.success(request, words + _given_back(done, one.subscription.currency))
    return redirect("portal:plan")


def _given_back(done: subscribing.Change, currency: str) -> str:
    """Where the credit of a pause went."""
    off = f" {money(done.credit_to_invoices, currency)} less is due on your unpaid invoice."
    back = f" {money(done.credit_to_balance, currency)} went to your balance."
    return (off if done.credit_to_invoices else "") + (back if done.credit_to_balance else "")


@access.page("plan", methods=["POST"])
def resume(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """Go on today, for the amount that the button said."""
    one = one_of(visit, pk)
    if one.with_sales or not visit.seller.customers_may_pause or _owes(one):
        messages.error(request, "Please pay what is open first, or ask us.")
        return redirect("portal:plan")
    try:
        if str(
            pausing.preview_resume(subscription=one.subscription, now=visit.now).due_now
        ) != request.POST.get("due"):
            messages.warning(request, "The amount has changed meanwhile. Please look at it again.")
            return redirect("portal:plan")
        done = pausing.resume(subscription=one.subscription, now=visit.now, actor=visit.actor)
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect("portal:plan")
    messages.success(request, "Your plan goes on.")
    card = customers.default_card(visit.customer)
    if done.invoice is not None and done.due_now and not one.by_invoice and card:
        return paying.pay(request, visit, done.invoice, card)
    return redirect("portal:plan")


def _owes(one: Terms) -> bool:
    """A plan that was paused because nobody paid does not go on before somebody has."""
    return Invoice.objects.of(one.subscription).filter(status="open", attempts__gt=0).exists()
