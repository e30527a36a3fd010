"""Invoices and payments: read, printed, paid."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import (
    carrying_out,
    collecting,
    correcting,
    drafting,
    dunning,
    hosted,
    invoicing,
    noticing,
    printing,
    taxes,
)
from billing.api import explanations
from billing.api.fields import (
    Amount,
    Day,
    Instant,
    ListQuery,
    Money,
    Number,
    PeriodOut,
    Quantity,
    Strict,
    Text,
    UnitMoney,
    minor,
)
from billing.api.finding import row
from billing.api.problems import FieldProblem, Problem
from billing.api.schema import operation
from billing.api.sign_offs import SignOffOut, waits
from billing.api.subscriptions import LineOut, NeedsCardOut, card_named, line_shown, span
from billing.api.views import ApiView
from billing.maths.money import to_major
from billing.models import (
    CollectionMethod,
    CreditNoteLine,
    Dispute,
    Invoice,
    InvoiceLine,
    LineKind,
    Motion,
    Payment,
    Refund,
    SignOff,
    Subscription,
)
from billing.remembering import Slot

TAG = "Invoices"
ABOVE = "202: it is above the seller's limit and waits for a second person."


class LineTaxOut(serializers.Serializer[Any]):
    """One of a line's taxes."""

    name = serializers.CharField()
    percentage = serializers.CharField()
    amount = serializers.CharField()


class PaperTaxOut(LineTaxOut):
    """One tax of a paper, over all of its lines."""

    taxable = serializers.CharField(
        help_text="what it was taken from; of a compound tax with the taxes before it"
    )


def line_taxes(line: InvoiceLine | CreditNoteLine, currency: str) -> list[dict[str, str]]:
    return [
        {"name": tax["name"], "percentage": tax["percentage"], "amount": to_major(tax["amount"], currency)}
        for tax in line.taxes
    ]


def paper_taxes(lines: Iterable[InvoiceLine | CreditNoteLine], currency: str) -> list[dict[str, str]]:
    return [
        {
            "name": tax.name, "percentage": tax.percentage, "amount": to_major(tax.amount, currency),
            "taxable": to_major(tax.taxable, currency),
        }
        for tax in taxes.by_name(lines)
    ]  # fmt: skip


class InvoiceLineOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    description = serializers.CharField()
    kind = serializers.ChoiceField(choices=LineKind.choices)
    quantity = Number()
    unit_amount = UnitMoney(currency="invoice.currency", allow_null=True)
    amount = Money(
        source="net",
        currency="invoice.currency",
        help_text="after discount, before tax, also where prices contain it",
    )
    discount = Money(currency="invoice.currency")
    tax_rate = Number(source="tax_percentage")
    tax_amount = Money(currency="invoice.currency")
    taxes = serializers.SerializerMethodField(
        help_text="what tax_amount is made of; none where none is charged"
    )
    period = serializers.SerializerMethodField()
    price = serializers.CharField(source="price_id", allow_null=True)
    subscription = serializers.CharField(source="subscription_id", allow_null=True)
    explanation = serializers.SerializerMethodField()

    @extend_schema_field(LineTaxOut(many=True))
    def get_taxes(self, line: InvoiceLine) -> Any:
        return line_taxes(line, line.invoice.currency)

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_period(self, line: InvoiceLine) -> Any:
        return span(line.period_start, line.period_end)

    @extend_schema_field(explanations.ExplanationOut)
    def get_explanation(self, line: InvoiceLine) -> Any:
        return explanations.told(line.explained, line.invoice.currency)


class InvoiceSummaryOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    number = serializers.CharField(help_text="empty while a draft")
    status = serializers.ChoiceField(choices=Invoice.Status.choices)
    currency = serializers.CharField()
    customer = serializers.CharField(source="customer_id")
    subscription = serializers.CharField(
        source="subscription_id",
        allow_null=True,
        help_text="null where several share it: its lines name them",
    )
    motion = serializers.ChoiceField(choices=Motion.choices)
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    issued_at = Instant(allow_null=True)
    due_at = Instant(
        source="due_by", allow_null=True, help_text="the last second of the due day, in the seller's zone"
    )
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
    memo = serializers.CharField()
    sent_at = Instant(allow_null=True)
    voided_at = Instant(allow_null=True)
    created_at = Instant()
    seller = serializers.DictField(help_text="as printed")
    bill_to = serializers.DictField(help_text="as printed")
    lines = InvoiceLineOut(many=True)
    taxes = serializers.SerializerMethodField(help_text="tax_total by tax")
    hosted_invoice_url = serializers.SerializerMethodField(
        help_text="a page that shows it and takes payment, for whoever has the address; null while a draft"
    )
    pdf = serializers.SerializerMethodField(help_text="where its PDF is; null while a draft")
    xml = serializers.SerializerMethodField(help_text="where its electronic form is; null while a draft")

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_period(self, invoice: Invoice) -> Any:
        return span(invoice.period_start, invoice.period_end)

    @extend_schema_field(PaperTaxOut(many=True))
    def get_taxes(self, invoice: Invoice) -> Any:
        return paper_taxes(invoice.lines.all(), invoice.currency)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_hosted_invoice_url(self, invoice: Invoice) -> str | None:
        return hosted.url(invoice) if invoice.issued else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_pdf(self, invoice: Invoice) -> str | None:
        return f"/api/v1/invoices/{invoice.pk}/pdf" if invoice.issued else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_xml(self, invoice: Invoice) -> str | None:
        return f"/api/v1/invoices/{invoice.pk}/xml" if invoice.issued else None


class UpcomingOut(serializers.Serializer[Any]):
    date = Day(allow_null=True, help_text="null: nothing more will be charged")
    currency = serializers.CharField()
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    lines = LineOut(many=True)
    subtotal = serializers.CharField()
    tax_total = serializers.CharField()
    total = serializers.CharField()


class InvoiceLineNew(Strict):
    either = ("amount", "unit_amount")
    description = Text(max_length=300)
    unit_amount = Amount(required=False, help_text="major units; with up to 12 decimals; times the quantity")
    quantity = Quantity(required=False, help_text="1 where nothing is said")
    amount = Amount(required=False, help_text="of the whole line, instead of unit_amount and quantity")
    tax_category = Text(
        required=False, allow_blank=True, max_length=40, help_text="the `category` of its tax rates"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """An amount, said in one of the two ways."""
        if "amount" not in attrs and "unit_amount" not in attrs:
            self._refuse("unit_amount", "required", "Say an amount.")
        if "amount" in attrs and not _agrees(attrs):
            self._refuse("amount", "ambiguous", "Give amount, or unit_amount and quantity.")
        return attrs

    def _refuse(self, field: str, code: str, words: str) -> NoReturn:
        raise serializers.ValidationError({field: [serializers.ErrorDetail(words, code=code)]})


def _agrees(line: Mapping[str, Any]) -> bool:
    """Whether the amount of a line leaves no doubt beside what else is said of it."""
    quantity = line.get("quantity", Decimal(1))
    if "unit_amount" not in line:
        return bool(quantity == 1)
    return bool(Decimal(line["unit_amount"]) * quantity == Decimal(line["amount"]))


class InvoiceNew(Strict):
    customer = Text(max_length=200, help_text="id or external id")
    lines = InvoiceLineNew(many=True)
    currency = Text(required=False, help_text="the customer's, if it is said")
    collection_method = serializers.ChoiceField(required=False, choices=CollectionMethod.choices)
    net_days = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=60)
    po_number = Text(required=False, allow_blank=True, max_length=60)
    memo = Text(required=False, allow_blank=True, max_length=500)


class Reason(Strict):
    reason = Text(required=False, allow_blank=True, max_length=200)


class TransferNew(Strict):
    amount = Amount(required=False, help_text="all that is due, where nothing is said")
    paid_at = Instant(required=False, help_text="now, where nothing is said")
    reference = Text(
        default="", allow_blank=True, max_length=200, help_text="the same reference and amount count once"
    )


class PayNew(Strict):
    payment_method = Text(
        required=False,
        max_length=100,
        help_text="a saved card, or a Stripe id to save; the default one where nothing is said",
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
    dispute_status = serializers.ChoiceField(
        choices=Dispute.Status.choices, allow_blank=True, help_text="of its newest dispute; empty: none"
    )
    created_at = Instant()
    settled_at = Instant(allow_null=True)


class RefundOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(
        choices=Refund.Status.choices, help_text="unknown: the provider is asked again"
    )
    payment = serializers.CharField(
        source="payment_id", allow_null=True, help_text="null where the balance was paid out by bank transfer"
    )
    credit_note = serializers.CharField(
        source="credit_note_id", allow_null=True, help_text="null where it pays out what stood on the balance"
    )
    elsewhere = serializers.BooleanField(help_text="made in Stripe's own pages, not here")
    unexplained = serializers.BooleanField(help_text="made elsewhere, and nobody has said yet what for")
    reference = serializers.CharField(help_text="of the bank transfer")
    amount = Money()
    currency = serializers.CharField()
    message = serializers.CharField()
    created_at = Instant()
    settled_at = Instant(allow_null=True)


class DisputeOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(choices=Dispute.Status.choices)
    reason = serializers.CharField(help_text="in Stripe's words")
    amount = Money(help_text="what the card holder wants back")
    withdrawn = Money(help_text="what the bank holds of it now")
    currency = serializers.CharField()
    fee = Money(currency="fee_currency")
    fee_currency = serializers.CharField()
    evidence_due_at = Instant(allow_null=True)
    evidence_url = serializers.CharField(help_text="where it is answered, at Stripe")
    opened_at = Instant()
    closed_at = Instant(allow_null=True)


class PaymentFullOut(PaymentOut):
    refunds = RefundOut(many=True)
    disputes = DisputeOut(many=True)


class InvoiceOut(InvoiceSummaryOut):
    payments = PaymentFullOut(many=True, help_text="every attempt, with its refunds and disputes")
    needs_card = serializers.SerializerMethodField()

    @extend_schema_field(NeedsCardOut(allow_null=True))
    def get_needs_card(self, invoice: Invoice) -> Any:
        found = dunning.needs_card(invoice)
        return found and NeedsCardOut(found).data


class InvoiceQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    subscription = Text(required=False)
    status = serializers.ChoiceField(required=False, choices=Invoice.Status.choices)


class UpcomingQuery(Strict):
    subscription = Text()


class Invoices(ApiView):
    @operation(
        "Write a one-off invoice", tag=TAG, name="create_invoice", body=InvoiceNew, answer=InvoiceOut, status=201,
        posts=True, description="A draft with its lines: finalize it to issue it.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(InvoiceNew)
        customer = self.customer(given.pop("customer"), "customer")
        refuse_other_currency(given.pop("currency", None), customer.currency)
        lines = [_line(one, n, customer.currency) for n, one in enumerate(given.pop("lines"))]
        made = drafting.write(
            customer=customer, lines=lines, now=self.now(customer), actor=self.actor, **given
        )
        return self.answer(InvoiceOut, made, 201)

    @operation("List invoices", tag=TAG, name="list_invoices", query=InvoiceQuery, page=InvoiceSummaryOut)
    def get(self, request: Request) -> Response:
        asked = self.asked(InvoiceQuery)
        if "customer" in asked:
            asked["customer"] = self.customer(asked["customer"], "customer")
        if "subscription" in asked:
            asked["subscription"] = _subscription(self, asked["subscription"])
        return self.listed(InvoiceSummaryOut, _listed, asked)


def _listed(*, livemode: bool, slots: Mapping[str, Slot]) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(livemode=livemode).defer("policies").prefetch_related("lines")
    if "subscription" in slots:
        lines = InvoiceLine.objects.filter(invoice=OuterRef("pk"), subscription=slots["subscription"])
        rows = rows.filter(Exists(lines))
    return rows.filter(**{name: slots[name] for name in ("customer", "status") if name in slots})


def _line(one: dict[str, Any], n: int, currency: str) -> drafting.NewLine:
    """A unit price may have any decimals, the amount of a line those of its currency. Raises Problem (422)."""
    whole = one.pop("amount", None)
    if whole is not None:
        minor(whole, currency, f"lines.{n}.amount")
        one.setdefault("unit_amount", whole)
    return drafting.NewLine(**{**one, "unit_amount": Decimal(one["unit_amount"])})


def refuse_other_currency(given: str | None, own: str) -> None:
    """Raises Problem (422)."""
    if given is not None and given.upper() != own:
        words = f"This customer is billed in {own}."
        raise Problem(422, "currency_mismatch", words, [FieldProblem("currency", "currency_mismatch", words)])


def _subscription(view: ApiView, ref: str) -> Subscription:
    rows = Subscription.objects.filter(livemode=view.livemode).select_related("customer__test_clock")
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
        rows = self.invoices().prefetch_related("lines", "payments__refunds", "payments__disputes")
        return self.answer(InvoiceOut, row(rows, ref, what="invoice"))


class InvoiceDetail(OneInvoice):
    @operation("Read an invoice", tag=TAG, name="read_invoice", answer=InvoiceOut)
    def get(self, request: Request, invoice: str) -> Response:
        return self.shown(invoice)

    @operation(
        "Throw a draft away", tag=TAG, name="delete_invoice", status=204,
        description="Issued invoices are never deleted: void or credit them.",
    )  # fmt: skip
    def delete(self, request: Request, invoice: str) -> Response:
        found = self.found(invoice)
        drafting.discard(invoice=found, now=self.now(found.customer), actor=self.actor)
        return Response(status=204)


class InvoiceFinalize(OneInvoice):
    may_be_empty = True

    @operation(
        "Issue a draft", tag=TAG, name="finalize_invoice", answer=InvoiceOut, posts=True,
        description="It gets its number and is frozen, then charged or sent by a job.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found = self.found(invoice)
        drafting.issue(invoice=found, now=self.now(found.customer), actor=self.actor)
        return self.shown(invoice)


class InvoiceVoid(OneInvoice):
    may_be_empty = True

    @operation(
        "Void an invoice", tag=TAG, name="void_invoice", body=Reason, answer=InvoiceOut, posts=True,
        description="While nothing was paid; what it asked for is not asked for again.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found = self.found(invoice)
        correcting.void(invoice=found, now=self.now(found.customer), actor=self.actor, **self.given(Reason))
        return self.shown(invoice)


class InvoiceUncollectible(OneInvoice):
    may_be_empty = True

    @operation(
        "Give an invoice up", tag=TAG, name="mark_invoice_uncollectible", body=Reason, answer=InvoiceOut,
        posts=True, or_={202: SignOffOut},
        description=f"A payment that comes after all is still taken. {ABOVE}",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found = self.found(invoice)
        done = carrying_out.write_off(
            invoice=found, now=self.now(found.customer), actor=self.actor, **self.given(Reason)
        )
        return waits(self, done) if isinstance(done, SignOff) else self.shown(invoice)


class InvoiceSend(OneInvoice):
    may_be_empty = True

    @operation(
        "Mail an invoice", tag=TAG, name="send_invoice", answer=InvoiceOut, posts=True,
        description="Once: a second call changes nothing.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found = self.found(invoice)
        collecting.mail_out(invoice=found, now=self.now(found.customer), actor=self.actor)
        return self.shown(invoice)


class InvoiceXml(OneInvoice):
    @operation(
        "An invoice's electronic form", tag=TAG, name="read_invoice_xml", answer=OpenApiTypes.BINARY,
        media="application/xml", description="EN 16931 (Factur-X), the same that its PDF carries.",
    )  # fmt: skip
    def get(self, request: Request, invoice: str) -> HttpResponse:
        found = self.found(invoice)
        response = HttpResponse(printing.invoice_xml(found.pk), content_type="application/xml")
        response["Content-Disposition"] = (
            content_disposition_header(True, f"{found.number}.xml") or "attachment"
        )
        return response


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
        response = HttpResponse(document.read(), content_type=document.media_type)
        response["Content-Disposition"] = content_disposition_header(True, document.name) or "attachment"
        return response


class MarkPaid(OneInvoice):
    may_be_empty = True

    @operation(
        "Record a bank transfer", tag=TAG, name="mark_invoice_paid", answer=InvoiceOut, posts=True,
        body=TransferNew,
        description="Part of the amount is fine; what is over goes to the customer's balance.",
    )  # fmt: skip
    def post(self, request: Request, invoice: str) -> Response:
        found, given = self.found(invoice), self.given(TransferNew)
        now, amount = self.now(found.customer), given.get("amount")
        collecting.record_transfer(
            invoice=found, reference=given["reference"],
            amount=None if amount is None else minor(amount, found.currency),
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
        begun = self.since and collecting.resumed(invoice=found, since=self.since, now=timezone.now())
        payment = begun or collecting.attempt(
            invoice=found, now=self.now(found.customer), actor=self.actor,
            payment_method=card_named(self, found.customer, card, default=False) if card else None,
        )  # fmt: skip
        return self.answer(PaymentOut, payment)


# -- Payments
# -----------------------------------------------------------------------------------------------------


class PaymentQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    invoice = Text(required=False)
    status = serializers.ChoiceField(required=False, choices=Payment.Status.choices)
    dispute_status = serializers.ChoiceField(required=False, choices=Dispute.Status.choices)


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
        if "dispute_status" in asked:
            rows = rows.filter(dispute_status=asked["dispute_status"])
        return self.page(PaymentOut, rows, asked)


class RefundNew(Strict):
    amount = Amount(required=False, help_text="all that is left where nothing is said")
    reason = Text(required=False, allow_blank=True, max_length=200)


class PaymentRefund(ApiView):
    in_one_transaction = False
    may_be_empty = True

    @operation(
        "Refund a card payment", tag="Payments", name="refund_payment", body=RefundNew, answer=RefundOut,
        status=201, posts=True, or_={202: SignOffOut},
        description="Through a credit note on its invoice, so that the paper says it too. What was paid too much, and "
        f"still stands on the balance, goes back first and without one. {ABOVE}",
    )  # fmt: skip
    def post(self, request: Request, payment: str) -> Response:
        rows = Payment.objects.filter(livemode=self.livemode).select_related(
            "customer__test_clock", "invoice"
        )
        found, given = row(rows, payment, what="payment"), self.given(RefundNew)
        if "amount" in given:
            given["amount"] = minor(given["amount"], found.currency)
        by: dict[str, Any] = {"now": self.now(found.customer), "actor": self.actor, "once": self.once}
        made = carrying_out.refund(payment=found, **by, **given)
        return waits(self, made) if isinstance(made, SignOff) else self.answer(RefundOut, made, 201)


class RefundReason(Strict):
    by = serializers.ChoiceField(
        choices=["credit_note", "balance"], help_text="balance: it was credit that stood there"
    )
    reason = Text(required=False, max_length=200, help_text="printed on the credit note")


class RefundExplain(ApiView):
    @operation(
        "Say what a refund was for", tag="Payments", name="explain_refund", body=RefundReason, answer=RefundOut,
        posts=True,
        description="Of a refund that was made in Stripe's own pages: it is booked as gone, and waits for its reason.",
    )  # fmt: skip
    def post(self, request: Request, refund: str) -> Response:
        rows = Refund.objects.filter(livemode=self.livemode).select_related("customer__test_clock")
        found, given = row(rows, refund, what="refund"), self.given(RefundReason)
        made = noticing.explain(refund=found, now=self.now(found.customer), actor=self.actor, **given)
        return self.answer(RefundOut, made)


class PayOutNew(Strict):
    amount = Amount(required=False, help_text="all that is there where nothing is said")
    method = serializers.ChoiceField(
        choices=["card", "bank_transfer"], default="card",
        help_text="card: back to the cards that paid, the oldest payment first; bank_transfer: books one that was made",
    )  # fmt: skip
    reference = Text(required=False, max_length=200, help_text="of the bank transfer, which it needs")


class PaidOutOut(serializers.Serializer[Any]):
    refunds = RefundOut(many=True)


class PayOut(ApiView):
    in_one_transaction = False
    may_be_empty = True

    @operation(
        "Pay the balance out", tag="Payments", name="pay_out_balance", body=PayOutNew, answer=PaidOutOut, status=201,
        posts=True, or_={202: SignOffOut},
        description=f"Never more than stands there. What a card does not take back stands there again. {ABOVE}",
    )  # fmt: skip
    def post(self, request: Request, customer: str) -> Response:
        found, given = self.customer(customer), self.given(PayOutNew)
        wanted = minor(given["amount"], found.currency) if "amount" in given else None
        by: dict[str, Any] = {
            "customer": found,
            "amount": wanted,
            "now": self.now(found),
            "actor": self.actor,
            "method": given["method"],
            "reference": given.get("reference", ""),
        }
        rows = carrying_out.pay_out(**by, once=self.once)
        return (
            waits(self, rows)
            if isinstance(rows, SignOff)
            else self.answer(PaidOutOut, {"refunds": rows}, 201)
        )


class PaymentDetail(ApiView):
    @operation("Read a payment", tag="Payments", name="read_payment", answer=PaymentFullOut)
    def get(self, request: Request, payment: str) -> Response:
        rows = Payment.objects.filter(livemode=self.livemode).prefetch_related("refunds", "disputes")
        return self.answer(PaymentFullOut, row(rows, payment, what="payment"))
