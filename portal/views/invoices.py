"""Invoices and credit notes: the list, one with its reasons, its paper, and paying it."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header

from billing import bulk, collecting, declines, leafing, printing, reasons
from billing.models import CreditNote, Document, Invoice, Payment, PaymentMethod
from portal import access, paying
from portal.access import Visit

A_PAGE = 20
# The bank wants its customer there, which no charge in their absence can give it.
ASKS_TO_CONFIRM = "authentication_required"


def _mine(visit: Visit) -> QuerySet[Invoice]:
    return (
        Invoice.objects.filter(customer=visit.customer).exclude(status="draft").select_related("subscription")
    )


@access.page("invoices")
def invoices(request: HttpRequest, visit: Visit) -> HttpResponse:
    page = Paginator(_mine(visit).select_related(None), A_PAGE).get_page(request.GET.get("page"))
    notes = CreditNote.objects.filter(customer=visit.customer).select_related("invoice")[:50]
    return access.show(request, visit, "portal/invoices.html", {"page": page, "notes": notes})


@access.page("invoices")
def invoice(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    found = access.own(_mine(visit), pk)
    found.customer = visit.customer
    back = "payment_intent" in request.GET  # the bank adds it when it sends the buyer back
    return access.show(request, visit, "portal/invoice.html", {**_shown(request, visit, found), "back": back})


def _shown(request: HttpRequest, visit: Visit, found: Invoice) -> dict[str, Any]:
    payments = list(found.payments.select_related("payment_method").prefetch_related("refunds", "disputes"))
    waiting = next((p for p in payments if p.status in Payment.OPEN), None)
    cards, notes = bulk.read(
        PaymentMethod.objects.filter(customer=visit.customer, detached_at__isnull=True).order_by(
            "-is_default", "-created_at"
        ),
        CreditNote.objects.filter(invoice=found, customer=visit.customer),
    )
    heads = printing.heads(found)
    leaf = leafing.leaf(found, request.GET.get(leafing.PARAM))
    lines = [
        {
            "row": line,
            "why": reasons.why(line, found.currency),
            "covers": reasons.covers(line),
            "head": heads.get(str(line.subscription_id)),
        }
        for line in leaf
    ]
    last = max((p for p in payments if p.status == "failed"), key=lambda p: p.created_at, default=None)
    return {
        "invoice": found, "lines": lines, "leaf": leaf, "taxes": leafing.taxes(found, leaf),
        "payments": [p for p in payments if p.status not in Payment.OPEN],
        "waiting": waiting, "cards": cards if found.payable else [],
        "refunds": [refund for one in payments for refund in one.refunds.all()],
        "notes": notes, "due": found.payable,
        "asks_to_confirm": last is not None and last.decline_code == ASKS_TO_CONFIRM,
        "not_by_card": declines.not_by_card(found, last),
    }  # fmt: skip


@access.page("invoices")
def paper(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """The PDF; made by whoever asks first, which changes nothing that anybody can see."""
    found = access.own(_mine(visit), pk)
    return _file(printing.print_invoice(found.pk))


@access.page("invoices")
def credit_note(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    found = access.own(CreditNote.objects.filter(customer=visit.customer), pk)
    return _file(printing.print_credit_note(found.pk))


def _file(document: Document) -> HttpResponse:
    response = HttpResponse(document.read(), content_type="application/pdf")
    response["Content-Disposition"] = content_disposition_header(True, _name(document)) or "attachment"
    return response


def _name(document: Document) -> str:
    """The paper's number as a file name: nothing that a file system or a header could take amiss."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in document.name)
    return kept.lstrip(".") or "paper.pdf"


@access.page("invoices", methods=["POST"])
def pay(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    found = access.own(_mine(visit), pk)
    found.customer = visit.customer
    saved = PaymentMethod.objects.filter(customer=visit.customer, detached_at__isnull=True)
    wanted = request.POST.get("card", "")
    return paying.pay(request, visit, found, access.own(saved, wanted) if wanted else None)


@access.page("invoices", methods=["POST"])
def check(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    """Ask the provider what became of an attempt without an answer; the page does so after the bank."""
    found = access.own(_mine(visit), pk)
    payment = found.payments.filter(status__in=Payment.OPEN).first()
    if payment is not None:
        after = collecting.look(payment, now=visit.now, actor=visit.actor)
        if request.headers.get("HX-Request") and after.status in Payment.OPEN:
            return HttpResponse(status=204)
        paying.tell(request, after)
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Refresh": "true"})
    return redirect("portal:invoice", pk=found.pk)
