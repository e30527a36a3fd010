"""Invoices and credit notes, as finance works with them: look, print, book a bank transfer."""

import csv
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.http import content_disposition_header

from billing import bulk, collecting, leafing, noticing, printing, reasons, sending_again, witnessing
from billing.admin import putting_right
from billing.admin.amounts import typed_amount
from billing.admin.base import Screen, amount, filled_in, now_of, person, staff, state
from billing.admin.lists import CustomersCurrency
from billing.maths.money import to_major
from billing.maths.periods import local_date
from billing.models import (
    CreditNote,
    Dispute,
    Document,
    Invoice,
    Payment,
    Posting,
    Refund,
    Seller,
)  # fmt: skip
from billing.papers.text import spreadsheet_text
from billing.templatetags.tandem import money


class TransferForm(forms.Form):
    """Money seen on the bank account."""

    amount = forms.CharField(label="Amount", max_length=30)
    paid_on = forms.DateField(label="Arrived on", widget=forms.DateInput({"type": "date"}))
    reference = forms.CharField(label="Bank reference", max_length=200)

    def __init__(self, *args: Any, invoice: Invoice, **options: Any) -> None:
        super().__init__(*args, **options)
        self.invoice = invoice

    def clean_amount(self) -> int:
        return typed_amount(self.cleaned_data["amount"], self.invoice.currency)


def _mail(request: HttpRequest, invoice: Invoice) -> str:
    letter = sending_again.mail_invoice(invoice=invoice, now=now_of(invoice), actor=staff(request))
    return f"{invoice} goes out to {letter.recipient}."


def _explain(request: HttpRequest, invoice: Invoice) -> str:
    """Of a refund that was made at Stripe: what it was for."""
    rows = Refund.objects.filter(payment__invoice=invoice)
    by: noticing.Reason = "balance" if request.POST.get("by") == "balance" else "credit_note"
    refund = next((row for row in rows if row.pk == request.POST.get("refund")), None)
    if refund is None:
        raise Http404
    row = noticing.explain(refund=refund, by=by, now=now_of(invoice), actor=staff(request))
    return f"Credit note {row.credit_note} written." if row.credit_note else "Taken from the balance."


def _book(request: HttpRequest, invoice: Invoice) -> str:
    form = filled_in(TransferForm(request.POST, invoice=invoice))
    now = now_of(invoice)
    zone = ZoneInfo(Seller.objects.get().timezone)
    arrived = min(datetime.combine(form.cleaned_data["paid_on"], time(12), zone), now)
    payment = collecting.record_transfer(
        invoice=invoice, amount=form.cleaned_data["amount"], reference=form.cleaned_data["reference"], paid_at=arrived,
        now=now, actor=staff(request),
    )  # fmt: skip
    return f"{money(payment.amount, payment.currency)} booked for {invoice.number}."


@admin.register(Invoice)
class InvoiceAdmin(Screen):
    teaches = (
        "receipt-text",
        "No invoice yet",
        "Invoices are written by the billing run, by checkouts and by signed quotes, and never change afterwards.",
    )
    list_display = (
        "number",
        "customer",
        state(),
        amount("total"),
        amount("amount_due", "to pay"),
        "issued_on",
        "due_on",
        "by",
    )
    list_display_links = ("number",)
    list_filter = ("status", "motion", "collection_method", ("currency", CustomersCurrency))
    search_fields = ("number", "customer__name", "customer__email")
    grows = True
    ordering = ("-issued_on", "-pk")
    list_select_related = ("customer",)
    date_hierarchy = "issued_on"
    actions = ("as_csv",)
    template = "admin/tandem/invoice.html"
    acts = {
        "transfer": ("billing.record_payment", _book),
        "mail": ("billing.send_mail", _mail),
        "explain": ("billing.record_payment", _explain),
        "credit": ("billing.record_payment", putting_right.credit),
        "void": ("billing.void_invoice", putting_right.void),
        "write_off": ("billing.record_payment", putting_right.write_off),
    }
    guarded = frozenset({"credit", "write_off"})

    @admin.display(description="paid by", ordering="collection_method")
    def by(self, row: Invoice) -> str:
        return row.get_collection_method_display()

    def get_urls(self) -> list[Any]:
        own = path("<path:object_id>/pdf/", self.admin_site.admin_view(self.pdf), name="billing_invoice_pdf")
        return [own, *super().get_urls()]

    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.find(request, object_id)
        self.refuse_looking(request, invoice)
        return _shown(printing.print_invoice(invoice.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        return super().get_queryset(request).select_related("customer__test_clock")

    def context(self, request: HttpRequest, row: Invoice) -> dict[str, Any]:
        paid = Payment.objects.filter(invoice=row)
        leaf = leafing.leaf(row, request.GET.get(leafing.PARAM))
        payments, refunds, disputes, credit_notes, postings, sellers = bulk.read(
            paid,
            Refund.objects.filter(payment__in=paid.order_by().values("pk")),
            Dispute.objects.filter(payment__in=paid.order_by().values("pk")),
            CreditNote.objects.filter(invoice=row),
            Posting.objects.filter(invoice=row).order_by("id"),
            Seller.objects.all(),
        )
        posted = request.POST if request.POST.get("action") == "transfer" else None
        initial = {
            "amount": to_major(row.amount_due, row.currency),
            "paid_on": local_date(now_of(row), sellers[0].timezone),
            "reference": row.number,
        }
        transfer = TransferForm(posted, invoice=row, initial=initial)
        settled = [each for each in payments if each.status == "succeeded" and each.method != "balance"]
        right = putting_right.forms_of(
            request, row, left=row.total - sum(note.total for note in credit_notes),
            by_card=any(each.method == "card" for each in settled),
        )  # fmt: skip
        if settled or credit_notes:
            right.pop("void", None)
        return {
            "net": row.subtotal - row.discount_total,
            "lines": [(line, reasons.why(line, row.currency)) for line in leaf],
            "leaf": leaf,
            "payments": [
                (
                    payment,
                    *(
                        [each for each in rows if each.payment_id == payment.pk]
                        for rows in (refunds, disputes)
                    ),
                )
                for payment in payments
            ],
            "credit_notes": credit_notes,
            "postings": postings,
            "form": next((form for form in right.values() if form.is_bound), transfer),
            "transfer": transfer,
            "right": right,
            "payable": row.status in ("open", "uncollectible"),
        }

    @admin.action(description="Export the chosen invoices as CSV")
    def as_csv(self, request: HttpRequest, rows: Any) -> HttpResponse:
        witnessing.exported(request, person(request), f"Invoices as CSV ({rows.count()})")
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="invoices.csv"'
        sheet = csv.writer(response)
        sheet.writerow(
            [
                "number",
                "customer",
                "status",
                "issued",
                "due",
                "currency",
                "net",
                "tax",
                "total",
                "paid",
                "motion",
            ]
        )
        for row in rows.select_related("customer"):
            money = [
                to_major(n, row.currency)
                for n in (row.subtotal - row.discount_total, row.tax_total, row.total, row.amount_paid)
            ]
            sheet.writerow(
                [
                    row.number,
                    spreadsheet_text(row.customer.name),
                    row.status,
                    row.issued_on,
                    row.due_on,
                    row.currency,
                    *money,
                    row.motion,
                ]
            )
        return response


def _shown(document: Document) -> HttpResponse:
    """The paper, in the browser itself."""
    response = HttpResponse(document.read(), content_type=document.media_type)
    response["Content-Disposition"] = content_disposition_header(False, document.name) or "inline"
    return response


@admin.register(CreditNote)
class CreditNoteAdmin(Screen):
    teaches = (
        "undo-2",
        "No credit note yet",
        "What was invoiced too much is put right by one; the invoice itself stays as it is.",
    )
    list_display = ("number", "customer", "invoice", amount("total"), "issued_on", "to", "reason")
    list_filter = ("to", "currency")
    search_fields = ("number", "customer__name", "invoice__number")
    list_select_related = ("customer", "invoice")
    template = "admin/tandem/credit_note.html"

    def get_urls(self) -> list[Any]:
        own = path(
            "<path:object_id>/pdf/", self.admin_site.admin_view(self.pdf), name="billing_creditnote_pdf"
        )
        return [own, *super().get_urls()]

    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        note = self.find(request, object_id)
        self.refuse_looking(request, note)
        return _shown(printing.print_credit_note(note.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditNote]:
        return super().get_queryset(request).select_related("customer", "invoice")

    def context(self, request: HttpRequest, row: CreditNote) -> dict[str, Any]:
        leaf = leafing.leaf(row, request.GET.get(leafing.PARAM))
        refunds, postings = bulk.read(
            Refund.objects.filter(credit_note=row),
            Posting.objects.filter(credit_note=row).order_by("id"),
        )
        return {
            "lines": [(line, None) for line in leaf], "leaf": leaf, "refunds": refunds, "postings": postings,
        }  # fmt: skip
