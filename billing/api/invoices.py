"""Invoices and payments: read, printed, paid."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import collecting, invoicing, printing
from billing.api.fields import Amount, Day, Instant, ListQuery, Money, Number, PeriodOut, Strict, Text, minor
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.subscriptions import LineOut, line_shown, span
from billing.api.views import ApiView
from billing.maths.money import to_major
from billing.models import (
    CollectionMethod,
    Invoice,
    InvoiceLine,
    LineKind,
    Motion,
    Payment,
    PaymentMethod,
    Subscription,
)

TAG = "Invoices"


class InvoiceLineOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    description = serializers.CharField()
    kind = serializers.ChoiceField(choices=LineKind.choices)
    quantity = Number()
    unit_amount = Number(allow_null=True, help_text="major units")
    amount = Money(source="net", currency="invoice.currency", help_text="after discount, before tax")
    discount = Money(currency="invoice.currency")
    tax_rate = Number(source="tax_percentage")
    tax_amount = Money(currency="invoice.currency")
    period = serializers.SerializerMethodField()
    price = serializers.CharField(source="price_id", allow_null=True)
    subscription = serializers.CharField(source="subscription_id", allow_null=True)
    explanation = serializers.DictField(help_text="how the amount was computed")

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_period(self, line: InvoiceLine) -> Any:
        return span(line.period_start, line.period_end)


class InvoiceSummaryOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    number = serializers.CharField(help_text="empty while a draft")
    status = serializers.ChoiceField(choices=Invoice.Status.choices)
    currency = serializers.CharField()
    customer = serializers.CharField(source="customer_id")
    subscription = serializers.CharField(source="subscription_id", allow_null=True)
    motion = serializers.ChoiceField(choices=Motion.choices)
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    issued_at = Instant(allow_null=True)
    due_at = Instant(allow_null=True)
    period = serializers.SerializerMethodField()
    subtotal = Money()
    discount_total = Money()
    tax_total = Money()
    total = Money()
    amount_paid = Money()
    amount_credited = Money()
    amount_due = Money()
    po_number = serializers.CharField()
    paid_at = Instant(allow_null=True)
    pdf = serializers.SerializerMethodField(help_text="where its PDF is; null while a draft")

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_period(self, invoice: Invoice) -> Any:
        return span(invoice.period_start, invoice.period_end)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_pdf(self, invoice: Invoice) -> str | None:
        return f"/api/v1/invoices/{invoice.pk}/pdf" if invoice.issued else None


class InvoiceOut(InvoiceSummaryOut):
    seller = serializers.DictField(help_text="as printed")
    bill_to = serializers.DictField(help_text="as printed")
    lines = InvoiceLineOut(many=True)


class UpcomingOut(serializers.Serializer[Any]):
    date = Day(allow_null=True, help_text="null: nothing more will be charged")
    currency = serializers.CharField()
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    lines = LineOut(many=True)
    subtotal = serializers.CharField()
    tax_total = serializers.CharField()
    total = serializers.CharField()


class TransferNew(Strict):
    amount = Amount()
    paid_at = Instant(required=False, help_text="now, where nothing is said")
    reference = Text(
        default="", allow_blank=True, max_length=200, help_text="the same reference and amount count once"
    )


class PayNew(Strict):
    payment_method = Text(
        required=False, max_length=100, help_text="a saved card; the default one where nothing is said"
    )


class PaymentOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(choices=Payment.Status.choices)
    method = serializers.ChoiceField(choices=Payment.Method.choices)
    amount = Money()
    amount_refunded = Money()
    currency = serializers.CharField()
    customer = serializers.CharField(source="customer_id", allow_null=True)
    invoice = serializers.CharField(source="invoice_id", allow_null=True)
    payment_method = serializers.CharField(source="payment_method_id", allow_null=True)
    card = serializers.CharField(source="card_label")
    decline_code = serializers.CharField()
    message = serializers.CharField()
    action_url = serializers.CharField(help_text="where the buyer confirms it, while it requires_action")
    reference = serializers.CharField()
    created_at = Instant()
    settled_at = Instant(allow_null=True)


class InvoiceQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    subscription = Text(required=False)
    status = serializers.ChoiceField(required=False, choices=Invoice.Status.choices)


class UpcomingQuery(Strict):
    subscription = Text()


class Invoices(ApiView):
    @operation("List invoices", tag=TAG, name="list_invoices", query=InvoiceQuery, page=InvoiceSummaryOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(InvoiceQuery), Invoice.objects.filter(livemode=self.livemode)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "subscription" in asked:
            rows = rows.filter(subscription=_subscription(self, asked["subscription"]))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(InvoiceSummaryOut, rows, asked)


def _subscription(view: ApiView, ref: str) -> Subscription:
    rows = Subscription.objects.filter(customer__livemode=view.livemode).select_related(
        "customer__test_clock"
    )
    return row(rows, ref, what="subscription", field="subscription")


class Upcoming(ApiView):
    @operation(
        "What a subscription is charged next",
        tag=TAG,
        name="upcoming_invoice",
        query=UpcomingQuery,
        answer=UpcomingOut,
    )
    def get(self, request: Request) -> Response:
        subscription = _subscription(self, self.asked(UpcomingQuery)["subscription"])
        next_ = invoicing.upcoming(subscription=subscription, now=self.now(subscription.customer))
        currency = subscription.currency
        return Response({
            "date": next_.on and next_.on.isoformat(), "currency": currency,
            "collection_method": next_.collection_method,
            "lines": [line_shown(line, currency) for line in next_.result.lines],
            "subtotal": to_major(next_.result.subtotal, currency),
            "tax_total": to_major(next_.result.tax_total, currency),
            "total": to_major(next_.result.total, currency),
        })  # fmt: skip


class OneInvoice(ApiView):
    def invoices(self) -> QuerySet[Invoice]:
        return Invoice.objects.filter(livemode=self.livemode).select_related("customer__test_clock")

    def found(self, ref: str) -> Invoice:
        return row(self.invoices(), ref, what="invoice")

    def shown(self, ref: str) -> Response:
        return self.answer(InvoiceOut, row(self.invoices().prefetch_related("lines"), ref, what="invoice"))


class InvoiceDetail(OneInvoice):
    @operation("Read an invoice", tag=TAG, name="read_invoice", answer=InvoiceOut)
    def get(self, request: Request, invoice: str) -> Response:
        return self.shown(invoice)


class InvoicePdf(OneInvoice):
    @operation(
        "An invoice's PDF",
        tag=TAG,
        name="read_invoice_pdf",
        answer=OpenApiTypes.BINARY,
        media="application/pdf",
    )
    def get(self, request: Request, invoice: str) -> HttpResponse:
        document = printing.print_invoice(self.found(invoice).pk)
        response = HttpResponse(bytes(document.content), content_type=document.media_type)
        response["Content-Disposition"] = f'attachment; filename="{document.name}"'
        return response


class MarkPaid(OneInvoice):
    @operation(
        "Record a bank transfer", tag=TAG, name="mark_invoice_paid", answer=InvoiceOut, posts=True,
        body=TransferNew,
        description="Part of the amount is fine; what is over goes to the customer's balance.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found, given = self.found(invoice), self.given(TransferNew)
        now = self.now(found.customer)
        collecting.record_transfer(
            invoice=found, amount=minor(given["amount"], found.currency), reference=given["reference"],
            paid_at=given.get("paid_at") or now, now=now, actor=self.actor,
        )  # fmt: skip
        return self.shown(invoice)


class Pay(OneInvoice):
    in_one_transaction = False
    may_be_empty = True

    @operation(
        "Charge a card for what is due", tag=TAG, name="pay_invoice", body=PayNew, answer=PaymentOut,
        posts=True,
        description="What became of it is in the status; while that is unknown no other attempt is made.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found, card = self.found(invoice), self.given(PayNew).get("payment_method")
        saved = PaymentMethod.objects.filter(customer=found.customer_id, detached_at__isnull=True)
        payment = collecting.attempt(
            invoice=found, now=self.now(found.customer), actor=self.actor,
            payment_method=row(saved, card, what="payment method", field="payment_method") if card else None,
        )  # fmt: skip
        return self.answer(PaymentOut, payment)


# -- Payments
# -----------------------------------------------------------------------------------------------------


class PaymentQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    invoice = Text(required=False)
    status = serializers.ChoiceField(required=False, choices=Payment.Status.choices)


class Payments(ApiView):
    @operation("List payments", tag="Payments", name="list_payments", query=PaymentQuery, page=PaymentOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(PaymentQuery), Payment.objects.filter(livemode=self.livemode)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "invoice" in asked:
            invoices = Invoice.objects.filter(livemode=self.livemode)
            rows = rows.filter(invoice=row(invoices, asked["invoice"], what="invoice", field="invoice"))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(PaymentOut, rows, asked)


class PaymentDetail(ApiView):
    @operation("Read a payment", tag="Payments", name="read_payment", answer=PaymentOut)
    def get(self, request: Request, payment: str) -> Response:
        return self.answer(
            PaymentOut, row(Payment.objects.filter(livemode=self.livemode), payment, what="payment")
        )
