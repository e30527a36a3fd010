"""`/invoices/<token>/`: one invoice, to read and to pay, for whoever has the address. It shows what the paper shows and
how it stands with it, with what was credited and went back: no saved card, no other invoice, nothing else of the
customer."""

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Exists, OuterRef, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from billing import cards, collecting, declines, hosted, leafing, printing, reasons
from billing.gateway import GatewayMisuse, ProviderUnreachable
from billing.models import CreditNote, Dispute, Document, Invoice, Payment, Refund
from billing.refusals import Refused
from billing.templatetags.tandem import money
from checkout import limits
from checkout.completing import BUYER
from checkout.views.common import TEN_MINUTES, private, slow_down, told_to_wait, with_card

CARD_TOKEN = re.compile(r"pm_[A-Za-z0-9_]{1,90}")
# From one place, and for one invoice: whoever has the address could try cards that are not theirs.
TRIES_IN_TEN_MINUTES = 10
LOOKS_IN_TEN_MINUTES = 400
UNREACHABLE = "The card could not be checked just now. Nothing was charged. Please try again in a moment."
# In the session of whoever began a payment: the bank's page is for nobody else.
BEGUN = "invoice_payment"

log = logging.getLogger(__name__)

type Opened = Callable[..., HttpResponse]
"""`(request, token, invoice, **more)`: `more` is what else the address names."""


def opened(view: Opened) -> Callable[..., HttpResponse]:
    """The invoice that a link opens, or what became of the link."""

    @wraps(view)
    def inside(request: HttpRequest, token: str, **more: str) -> HttpResponse:
        try:
            invoice = hosted.find(token)
        except hosted.UnknownLink:
            raise Http404("no such invoice") from None
        except hosted.LinkExpired:
            return _unlisted(render(request, "checkout/invoice_expired.html", status=410))
        return _unlisted(view(request, token, invoice, **more))

    return private(inside)


def pressed(view: Opened) -> Callable[..., HttpResponse]:
    """A button of the page: who opens its address is led to the page."""

    @wraps(view)
    def inside(request: HttpRequest, token: str, invoice: Invoice) -> HttpResponse:
        return view(request, token, invoice) if request.method == "POST" else _to_page(token)

    return require_http_methods(["GET", "HEAD", "POST"])(opened(inside))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """The address is a secret: no search engine keeps it, and it goes to no other site."""
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response


def _to_page(token: str) -> HttpResponse:
    return redirect("checkout:invoice", token=token)


@require_safe
@opened
def show(request: HttpRequest, token: str, invoice: Invoice) -> HttpResponse:
    return _page(request, token, invoice)


def _page(
    request: HttpRequest, token: str, invoice: Invoice, *, error: str = "", status: int = 200
) -> HttpResponse:
    leaf = leafing.leaf(invoice, request.GET.get(leafing.PARAM))
    last, waiting, disputed = _payments(invoice)
    notes = list(invoice.credit_notes.all())
    context: dict[str, Any] = {
        "invoice": invoice, "token": token, "error": error,
        "lines": [{"row": line, "covers": reasons.covers(line)} for line in leaf], "leaf": leaf,
        "taxes": leafing.taxes(invoice, leaf), "disputed": disputed,
        "notes": notes, "refunds": _refunds(invoice) if notes or invoice.amount_paid else [],
        "waiting": waiting, "mine": waiting is not None and request.session.get(BEGUN) == waiting.pk,
        "back": "payment_intent" in request.GET,  # the bank adds it when it sends the buyer back
        "not_by_card": declines.not_by_card(invoice, last),
        "by_itself": invoice.next_attempt_at if invoice.collection_method == "charge_automatically" else None,
        "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
    }  # fmt: skip
    response = render(request, "checkout/invoice.html", context, status=status)
    takes_card = invoice.payable and waiting is None and not context["not_by_card"]
    return with_card(response) if takes_card else response


def _payments(invoice: Invoice) -> tuple[Payment | None, Payment | None, bool]:
    """The last that failed, the one that has no answer yet, and whether one is disputed."""
    open_claim = Dispute.objects.filter(payment=OuterRef("pk"), status__in=Dispute.OPEN)
    found = list(invoice.payments.annotate(is_disputed=Exists(open_claim)).order_by("-created_at", "-id"))
    last = next((one for one in found if one.status == Payment.Status.FAILED), None)
    waiting = next((one for one in found if one.status in Payment.OPEN), None)
    return last, waiting, any(one.is_disputed for one in found)


def _refunds(invoice: Invoice) -> list[Refund]:
    """What goes back of what was paid: to the card that paid, or by transfer for one of the credit notes."""
    return list(Refund.objects.filter(Q(payment__invoice=invoice) | Q(credit_note__invoice=invoice)))


# -- Paying ---------------------------------------------------------------------------------------------------


@pressed
def pay(request: HttpRequest, token: str, invoice: Invoice) -> HttpResponse:
    """By a card that is typed here. It is charged once for this invoice, and not saved."""
    typed = request.POST.get("payment_method", "")
    if not CARD_TOKEN.fullmatch(typed):
        return _page(request, token, invoice, error="Please enter your card.", status=422)
    try:
        slow_down(request, "invoice-pay", limit=TRIES_IN_TEN_MINUTES)
        _slow_down_tries(invoice)
        payment = _attempt(invoice, typed)
    except limits.TooOften as refusal:
        return told_to_wait(_page(request, token, invoice, error=str(refusal), status=429), refusal)
    except Refused as refusal:
        status = 422 if isinstance(refusal, cards.UnknownCard) else 409
        return _page(request, token, hosted.find(token), error=refusal.message, status=status)
    except ProviderUnreachable:
        return _page(request, token, invoice, error=UNREACHABLE, status=503)
    except GatewayMisuse:
        # The attempt is asked about like any other; the page tells what became of it.
        log.exception("The provider refused to try a card for %s.", invoice.pk)
        return _to_page(token)
    return _after(request, token, payment)


def _slow_down_tries(invoice: Invoice) -> None:
    limits.slow_down(
        what="invoice-pay", where=invoice.pk, limit=TRIES_IN_TEN_MINUTES, window=TEN_MINUTES, now=timezone.now()
    )  # fmt: skip


def _attempt(invoice: Invoice, typed: str) -> Payment:
    now = invoice.customer.now
    collecting.refuse_nothing_due(invoice)
    card = cards.for_once(customer=invoice.customer, payment_method=typed, now=now)
    return collecting.attempt(
        invoice=invoice, now=now, actor=BUYER, payment_method=card, off_session=False, return_url=hosted.url(invoice)
    )  # fmt: skip


def _after(request: HttpRequest, token: str, payment: Payment) -> HttpResponse:
    if payment.status in Payment.OPEN:
        request.session[BEGUN] = payment.pk
    if payment.status == Payment.Status.REQUIRES_ACTION and payment.action_url:
        return redirect(payment.action_url)
    _tell(request, payment)
    return _to_page(token)


def _tell(request: HttpRequest, payment: Payment) -> None:
    if payment.status == Payment.Status.SUCCEEDED:
        amount = money(payment.amount, payment.currency)
        messages.success(request, f"Thank you. {amount} was paid.")
    elif payment.status == Payment.Status.FAILED:
        messages.error(request, payment.message or "The card was declined. Please use another card.")


@pressed
def check(request: HttpRequest, token: str, invoice: Invoice) -> HttpResponse:
    """Ask the provider what became of the payment; the page of whoever began it does so every few seconds."""
    try:
        slow_down(request, "invoice-check", limit=LOOKS_IN_TEN_MINUTES)
    except limits.TooOften as refusal:
        return told_to_wait(_page(request, token, invoice, error=refusal.message, status=429), refusal)
    waiting = invoice.payments.filter(status__in=Payment.OPEN).first()
    quietly = request.headers.get("HX-Request")
    if waiting is not None:
        after = collecting.look(waiting, now=invoice.customer.now, actor=BUYER)
        if quietly and after.status in Payment.OPEN:
            return HttpResponse(status=204)
        if request.session.get(BEGUN) == after.pk:
            _tell(request, after)
    return HttpResponse(headers={"HX-Redirect": f"/invoices/{token}/"}) if quietly else _to_page(token)


# -- The papers -----------------------------------------------------------------------------------------------


@require_safe
@opened
def paper(request: HttpRequest, token: str, invoice: Invoice) -> HttpResponse:
    return _file(printing.print_invoice(invoice.pk))


@require_safe
@opened
def credit_note(request: HttpRequest, token: str, invoice: Invoice, pk: str) -> HttpResponse:
    note = get_object_or_404(CreditNote, pk=pk, invoice=invoice)
    return _file(printing.print_credit_note(note.pk))


def _file(document: Document) -> HttpResponse:
    response = HttpResponse(document.read(), content_type=document.media_type)
    response["Content-Disposition"] = content_disposition_header(True, document.name) or "attachment"
    return response
