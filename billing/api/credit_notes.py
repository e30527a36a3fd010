"""Credit notes: issued, read, printed."""

from typing import Any

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import carrying_out, correcting, printing
from billing.api.fields import (
    Amount,
    Instant,
    ListQuery,
    Money,
    Number,
    PeriodOut,
    Quantity,
    Strict,
    Text,
    minor,
)
from billing.api.finding import row
from billing.api.invoices import LineTaxOut, PaperTaxOut, line_taxes, paper_taxes
from billing.api.schema import operation
from billing.api.sign_offs import SignOffOut, waits
from billing.api.subscriptions import span
from billing.api.views import ApiView
from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, SignOff

TAG = "Credit notes"
DESTINATIONS = ["balance", "refund"]


class CreditLineNew(Strict):
    line = Text(help_text="of the invoice")
    amount = Amount(required=False, help_text="before tax; or a quantity; all that is left without both")
    quantity = Quantity(required=False)


class CreditNoteNew(Strict):
    invoice = Text()
    lines = CreditLineNew(many=True, required=False)
    amount = Amount(
        required=False, help_text="with tax, over all lines; all that is left without lines and amount"
    )
    to = serializers.ChoiceField(
        choices=DESTINATIONS, default="balance",
        help_text="where it goes beyond what is still due: the balance, or back to the cards that paid (what the "
        "balance had paid goes back to it)",
    )  # fmt: skip
    reason = Text(required=False, allow_blank=True, max_length=300)


class CreditNoteLineOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    description = serializers.CharField()
    quantity = Number()
    amount = Money(source="net", currency="credit_note.currency", help_text="before tax")
    tax_rate = Number(source="tax_percentage")
    tax_amount = Money(currency="credit_note.currency")
    taxes = serializers.SerializerMethodField()
    period = serializers.SerializerMethodField()
    line = serializers.CharField(source="invoice_line_id", allow_null=True, help_text="of the invoice")

    @extend_schema_field(LineTaxOut(many=True))
    def get_taxes(self, line: CreditNoteLine) -> Any:
        return line_taxes(line, line.credit_note.currency)

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_period(self, line: CreditNoteLine) -> Any:
        return span(line.period_start, line.period_end)


class CreditNoteOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    number = serializers.CharField()
    customer = serializers.CharField(source="customer_id")
    invoice = serializers.CharField(source="invoice_id")
    currency = serializers.CharField()
    to = serializers.ChoiceField(choices=["balance", "refund", "invoice"])
    reason = serializers.CharField()
    subtotal = Money()
    tax_total = Money()
    total = Money()
    issued_at = Instant()
    lines = CreditNoteLineOut(many=True)
    taxes = serializers.SerializerMethodField(help_text="tax_total by tax")
    pdf = serializers.SerializerMethodField()

    @extend_schema_field(PaperTaxOut(many=True))
    def get_taxes(self, note: CreditNote) -> Any:
        return paper_taxes(note.lines.all(), note.currency)

    def get_pdf(self, note: CreditNote) -> str:
        return f"/api/v1/credit_notes/{note.pk}/pdf"


class CreditNoteQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    invoice = Text(required=False)


class CreditNotes(ApiView):
    def holds_one_transaction(self) -> bool:
        """A refund speaks to the card network; what goes to the balance is answered with it, or not done."""
        return bool(self.given(CreditNoteNew)["to"] != "refund")

    @operation(
        "Credit an invoice", tag=TAG, name="create_credit_note", body=CreditNoteNew, answer=CreditNoteOut,
        status=201, posts=True, or_={202: SignOffOut},
        description="Some lines, an amount, or all that is left. What is still due shrinks first. 202: what would go "
        "back to the cards is above the seller's limit and waits for a second person.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(CreditNoteNew)
        invoices = Invoice.objects.filter(livemode=self.livemode).select_related("customer__test_clock")
        invoice = row(invoices, given.pop("invoice"), what="invoice", field="invoice")
        terms = {
            "invoice": invoice, "reason": given.get("reason", ""), "actor": self.actor,
            "now": self.now(invoice.customer), **_wanted(given, invoice),
        }  # fmt: skip
        if given["to"] == "refund":
            made = carrying_out.credit_and_refund(**terms, once=self.once)
            if isinstance(made, SignOff):
                return waits(self, made)
            note = made
        else:
            note = correcting.credit(**terms)
        return self.answer(CreditNoteOut, _notes(self).prefetch_related("lines").get(pk=note.pk), 201)

    @operation(
        "List credit notes",
        tag=TAG,
        name="list_credit_notes",
        query=CreditNoteQuery,
        page=CreditNoteOut,
    )
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(CreditNoteQuery), _notes(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "invoice" in asked:
            invoices = Invoice.objects.filter(livemode=self.livemode)
            rows = rows.filter(invoice=row(invoices, asked["invoice"], what="invoice", field="invoice"))
        return self.page(CreditNoteOut, rows.prefetch_related("lines"), asked)


def _wanted(given: dict[str, Any], invoice: Invoice) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "amount" in given:
        found["amount"] = minor(given["amount"], invoice.currency)
    if "lines" in given:
        found["lines"] = [_line(one, n, invoice) for n, one in enumerate(given["lines"])]
    return found


def _line(one: dict[str, Any], n: int, invoice: Invoice) -> correcting.LineCredit:
    lines = InvoiceLine.objects.filter(invoice=invoice)
    line = row(lines, one["line"], what="line", field=f"lines.{n}.line")
    amount = one.get("amount")
    cents = None if amount is None else minor(amount, invoice.currency, f"lines.{n}.amount")
    return correcting.LineCredit(line=line, amount=cents, quantity=one.get("quantity"))


class CreditNoteDetail(ApiView):
    @operation("Read a credit note", tag=TAG, name="read_credit_note", answer=CreditNoteOut)
    def get(self, request: Request, credit_note: str) -> Response:
        rows = _notes(self).prefetch_related("lines")
        return self.answer(CreditNoteOut, row(rows, credit_note, what="credit note"))


class CreditNotePdf(ApiView):
    @operation(
        "A credit note's PDF", tag=TAG, name="read_credit_note_pdf", answer=OpenApiTypes.BINARY,
        media="application/pdf",
    )  # fmt: skip
    def get(self, request: Request, credit_note: str) -> HttpResponse:
        document = printing.print_credit_note(row(_notes(self), credit_note, what="credit note").pk)
        response = HttpResponse(document.read(), content_type=document.media_type)
        response["Content-Disposition"] = content_disposition_header(True, document.name) or "attachment"
        return response


def _notes(view: ApiView) -> Any:
    return CreditNote.objects.filter(livemode=view.livemode)
