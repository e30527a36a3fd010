"""Paying an open invoice with a saved card while the buyer is there, and how the answer reads."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from billing import collecting
from billing.models import Invoice, Payment, PaymentMethod
from billing.refusals import Refused
from billing.templatetags.tandem import money
from portal.access import Visit


def pay(
    request: HttpRequest, visit: Visit, invoice: Invoice, card: PaymentMethod | None = None
) -> HttpResponse:
    """One attempt; to the bank's page where it asks, else to the invoice with what became of it."""
    here = reverse("portal:invoice", args=[invoice.pk])
    try:
        payment = collecting.attempt(
            invoice=invoice, now=visit.now, actor=visit.actor, payment_method=card, off_session=False,
            return_url=f"{settings.SITE_URL}{here}",
        )  # fmt: skip
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect(here)
    if payment.status == Payment.Status.REQUIRES_ACTION and payment.action_url:
        return redirect(payment.action_url)
    tell(request, payment)
    return redirect(here)


def tell(request: HttpRequest, payment: Payment) -> None:
    amount = money(payment.amount, payment.currency)
    if payment.status == "succeeded":
        messages.success(request, f"Thank you. {amount} was paid with {payment.card_label}.")
    elif payment.status == "failed":
        messages.error(request, payment.message or "The card was declined. Please use another card.")
