"""Papers: invoices, credit notes, their numbers and files. What is issued never changes (triggers)."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Value
from django.http import Http404
from django.utils import timezone

from billing.maths.money import plain
from billing.models.catalogue import Price
from billing.models.customers import CollectionMethod, Customer, Motion
from billing.models.ids import IdField
from billing.models.reading import ReadPlainly
from billing.models.subscriptions import Subscription
from billing.refusals import Refused


class NumberSeries(models.Model):
    """A gapless counter. Its row is locked last in the transaction that takes numbers from it."""

    code = models.CharField(max_length=40, primary_key=True)
    prefix = models.CharField(max_length=20)
    next = models.PositiveBigIntegerField(default=1)
    last_issued_on = models.DateField(null=True, help_text="numbers and issue dates rise together")

    def __str__(self) -> str:
        return self.code


class Document(models.Model):
    """A stored file: written once, byte-identical ever after."""

    id = IdField("doc")
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=60, default="application/pdf")
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """What is stored. Raises PaperRemoved: its period is over, or it named a person who was erased."""
        if not self.content:
            raise PaperRemoved("This paper is no longer kept.")
        return bytes(self.content)


class PaperRemoved(Refused, Http404):
    """A paper that is no longer kept; pages answer it as not found."""

    code = "paper_removed"


class Invoices(models.QuerySet["Invoice"]):
    def of(self, *subscriptions: Subscription | str) -> Self:
        """Those with a line of one of these subscriptions, alone or among others."""
        lines = InvoiceLine.objects.filter(invoice=OuterRef("pk"), subscription__in=subscriptions)
        return self.filter(Exists(lines))


class Invoice(ReadPlainly):
    """A demand for payment. Amounts are minor units of `currency`.

    `subscription` is set where all lines are of one; its lines name the subscriptions that share an invoice.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        VOID = "void", "Void"
        UNCOLLECTIBLE = "uncollectible", "Uncollectible"

    MOVES = {
        "draft": {"open", "paid"},
        "open": {"paid", "void", "uncollectible"},
        "uncollectible": {"paid", "void"},
        "paid": set(),
        "void": set(),
    }

    id = IdField("inv")
    status = models.CharField(max_length=13, choices=Status.choices, default=Status.DRAFT)
    livemode = models.BooleanField(default=False)
    series = models.ForeignKey(NumberSeries, models.PROTECT, null=True, db_index=False)
    sequence = models.PositiveBigIntegerField(null=True)
    number = models.CharField(max_length=60, blank=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="invoices", db_index=False)
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="invoices"
    )
    cycle_on = models.DateField(
        null=True, blank=True, help_text="the due day of the billing run that made it"
    )
    source = models.CharField(max_length=60, null=True, blank=True)  # noqa: DJ001 - null keeps it unique
    motion = models.CharField(max_length=20, choices=Motion.choices)
    collection_method = models.CharField(max_length=20, choices=CollectionMethod.choices)
    net_days = models.PositiveSmallIntegerField(default=0)
    currency = models.CharField(max_length=3)
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    issued_at = models.DateTimeField(null=True)
    issued_on = models.DateField(null=True)
    due_on = models.DateField(null=True)
    due_at = models.DateTimeField(null=True)
    subtotal = models.BigIntegerField(default=0)
    discount_total = models.BigIntegerField(default=0)
    tax_total = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    amount_paid = models.BigIntegerField(default=0)
    amount_credited = models.BigIntegerField(default=0)
    amount_due = models.GeneratedField(
        expression=F("total") - F("amount_paid") - F("amount_credited"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    seller = models.JSONField(default=dict)
    bill_to = models.JSONField(default=dict)
    po_number = models.CharField(max_length=60, blank=True)
    memo = models.CharField(max_length=500, blank=True)
    policies = models.JSONField(default=dict)
    line_count = models.PositiveIntegerField(default=0)
    document = models.OneToOneField(Document, models.PROTECT, null=True, blank=True)
    sent_at = models.DateTimeField(null=True)
    paid_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    reminders = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_reminder_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = Invoices.as_manager()

    class Meta:
        ordering = ["-issued_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["series", "sequence"], name="invoice_number_once"),
            models.UniqueConstraint(
                fields=["subscription", "cycle_on"],
                condition=Q(cycle_on__isnull=False) & ~Q(status="void"),
                name="one_invoice_per_subscription_and_cycle",
            ),
            models.UniqueConstraint(fields=["source"], name="invoice_once_per_source"),
            models.CheckConstraint(condition=Q(total__gte=0), name="invoice_total_not_negative"),
            models.CheckConstraint(
                condition=Q(total=F("subtotal") - F("discount_total") + F("tax_total")),
                name="invoice_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(amount_paid__gte=0, amount_credited__gte=0), name="invoice_payments_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(total__gte=F("amount_paid") + F("amount_credited")), name="invoice_never_overpaid"
            ),
            models.CheckConstraint(
                condition=Q(status="draft")
                | Q(series__isnull=False, sequence__isnull=False, issued_at__isnull=False),
                name="issued_invoices_are_numbered",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-issued_at"], name="invoice_by_customer"),
            models.Index(fields=["id"], condition=Q(livemode=False), name="invoice_in_sandbox"),
            models.Index(fields=["next_attempt_at"], condition=Q(status="open"), name="invoice_to_collect"),
            models.Index(fields=["due_at"], condition=Q(status="open"), name="invoice_open_by_due"),
            models.Index(
                fields=["next_reminder_at"],
                condition=Q(next_reminder_at__isnull=False),
                name="invoice_to_remind",
            ),
            models.Index(fields=["issued_on", "id"], name="invoice_by_day"),
            models.Index(fields=["number"], name="invoice_by_number"),
            # What few have, for lists that are narrowed to it.
            models.Index(fields=["motion"], condition=~Q(motion="self_serve"), name="invoice_through_sales"),
            models.Index(
                fields=["collection_method"],
                condition=Q(collection_method="send_invoice"),
                name="invoice_by_transfer",
            ),
            models.Index(
                fields=["status"],
                condition=Q(status__in=["draft", "void", "uncollectible"]),
                name="invoice_out_of_the_way",
            ),
            models.Index(
                fields=["id"],
                condition=Q(document__isnull=True) & ~Q(status="draft"),
                name="invoice_unprinted",
            ),
        ]
        permissions = [
            ("record_payment", "Can record a bank transfer"),
            ("void_invoice", "Can void an invoice"),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"

    @property
    def issued(self) -> bool:
        return self.status != self.Status.DRAFT

    @property
    def payable(self) -> bool:
        return self.status in (self.Status.OPEN, self.Status.UNCOLLECTIBLE) and self.amount_due > 0

    def late(self, now: datetime) -> bool:
        """Whether it is past due: expected after its day or after a card that failed. What is written off is not."""
        if self.status != self.Status.OPEN or self.amount_due <= 0:
            return False
        return self.attempts > 0 or (self.due_at is not None and self.due_at <= now)

    @property
    def due_by(self) -> datetime | None:
        """The last second of the day on which it is due; `due_at` is the instant at which that day is over."""
        return None if self.due_at is None else self.due_at - timedelta(seconds=1)

    @property
    def subscriptions(self) -> list[Subscription]:
        """Everything that it asks money for: one, several that share it, or none."""
        if self.subscription is not None:
            return [self.subscription]
        return list(Subscription.objects.filter(pk__in=self.lines.values("subscription")).order_by("pk"))


class LineKind(models.TextChoices):
    RECURRING = "recurring", "Subscription"
    USAGE = "usage", "Usage"
    ONE_TIME = "one_time", "One-time"
    CREDIT = "credit", "Credit for unused time"
    REVERSAL = "reversal", "Correction"
    MINIMUM = "minimum", "Minimum spend"
    ADJUSTMENT = "adjustment", "Adjustment"


class PaperLine(ReadPlainly):
    """What invoice lines and credit note lines share. `entry_key` is the timeline entry it states."""

    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=LineKind.choices)
    description = models.CharField(max_length=300)
    price = models.ForeignKey(Price, models.PROTECT, null=True, blank=True)
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True, db_index=False)
    entry_key = models.CharField(max_length=200, blank=True)
    cycle_start = models.DateField(null=True, blank=True, help_text="start of the whole period it belongs to")
    cycle_end = models.DateField(null=True, blank=True)
    period_start = models.DateField(null=True, blank=True)
    period_end = models.DateField(null=True, blank=True)
    quantity = models.DecimalField(max_digits=27, decimal_places=12, default=1)
    unit_amount = models.DecimalField(max_digits=27, decimal_places=12, null=True, blank=True)
    gross = models.BigIntegerField(help_text="minor units, before discount")
    discount = models.BigIntegerField(default=0)
    net = models.BigIntegerField(help_text="gross less discount, without tax")
    tax_percentage = models.DecimalField(max_digits=7, decimal_places=4, default=0)
    tax_category = models.CharField(max_length=2, default="O")
    tax_reason = models.CharField(max_length=200, blank=True)
    tax_amount = models.BigIntegerField(default=0)
    taxes = models.JSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        help_text="name, percentage, compound and amount of each that tax_amount is made of",
    )
    tax_in_gross = models.BigIntegerField(
        default=0, db_default=0, help_text="tax that the price contained; with it, gross is what was priced"
    )
    tax_in_discount = models.BigIntegerField(default=0, db_default=0)
    explanation = models.JSONField(default=dict)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.description

    @property
    def priced(self) -> tuple[int, int]:
        """Gross and discount as the price says them, with the tax that it contains."""
        return self.gross + self.tax_in_gross, self.discount + self.tax_in_discount

    @property
    def explained(self) -> dict[str, Any]:
        """How the amount was computed, with its tax. See `explanation_of` in `billing.maths.explaining`."""
        tax = {
            "percentage": plain(self.tax_percentage),
            "category": self.tax_category,
            "amount": self.tax_amount,
        }
        if len(self.taxes) > 1:
            tax["taxes"] = self.taxes
        if self.tax_reason:
            tax["reason"] = self.tax_reason
        if self.tax_in_gross:
            tax |= {"in_gross": self.tax_in_gross, "in_discount": self.tax_in_discount}
        return {**self.explanation, "tax": tax}


class InvoiceLine(PaperLine):
    id = IdField("line")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="lines", db_index=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="invoice_line_position_once"),
            models.CheckConstraint(condition=Q(net=F("gross") - F("discount")), name="invoice_line_adds_up"),
        ]
        indexes = [models.Index(fields=["subscription", "cycle_end"], name="invoice_line_until")]


class CreditNote(ReadPlainly):
    """Takes back (part of) an invoice: to the customer's balance, or as a refund."""

    id = IdField("cn")
    livemode = models.BooleanField(default=False)
    series = models.ForeignKey(NumberSeries, models.PROTECT, db_index=False)
    sequence = models.PositiveBigIntegerField()
    number = models.CharField(max_length=60)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_notes")
    currency = models.CharField(max_length=3)
    to = models.CharField(
        max_length=10, choices=[("balance", "Balance"), ("refund", "Refund"), ("invoice", "Invoice")]
    )
    reason = models.CharField(max_length=300)
    issued_at = models.DateTimeField()
    issued_on = models.DateField()
    subtotal = models.BigIntegerField()
    tax_total = models.BigIntegerField()
    total = models.BigIntegerField()
    seller = models.JSONField(default=dict)
    bill_to = models.JSONField(default=dict)
    document = models.OneToOneField(Document, models.PROTECT, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-issued_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["series", "sequence"], name="credit_note_number_once"),
            models.CheckConstraint(
                condition=Q(total__gt=0) & Q(total=F("subtotal") + F("tax_total")), name="credit_note_adds_up"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(PaperLine):
    """Amounts are positive where they give money back; `entry_key` lines count negatively as said."""

    id = IdField("cnl")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="lines")
    invoice_line = models.ForeignKey(
        InvoiceLine, models.PROTECT, null=True, blank=True, help_text="which line it takes back"
    )

    class Meta:
        ordering = ["position"]
        indexes = [models.Index(fields=["subscription", "cycle_end"], name="credit_note_line_until")]


class Posting(models.Model):
    """One side of a journal entry: positive debits, negative credits; a transaction's postings sum to zero."""

    class Account(models.TextChoices):
        RECEIVABLE = "receivable", "Accounts receivable"
        CASH = "cash", "Cash"
        REVENUE = "revenue", "Revenue"
        DEFERRED = "deferred_revenue", "Deferred revenue"
        TAX = "tax_payable", "Tax payable"
        CUSTOMER_BALANCE = "customer_balance", "Customer balances"
        BAD_DEBT = "bad_debt", "Bad debt"
        DISPUTED = "disputed_payments", "Disputed payments"
        FEES = "payment_fees", "Payment fees"
        ELSEWHERE = "refunds_elsewhere", "Refunds to be explained"

    id = models.BigAutoField(primary_key=True)
    transaction = models.UUIDField()
    posted_on = models.DateField()
    account = models.CharField(max_length=20, choices=Account.choices)
    amount = models.BigIntegerField(help_text="minor units; debit positive, credit negative")
    currency = models.CharField(max_length=3)
    livemode = models.BooleanField(default=False)
    customer = models.ForeignKey(Customer, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True)
    payment = models.ForeignKey("billing.Payment", models.PROTECT, null=True, blank=True)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, null=True, blank=True)
    memo = models.CharField(max_length=100)

    class Meta:
        indexes = [
            models.Index(fields=["transaction"], name="posting_by_transaction"),
            models.Index(fields=["account", "posted_on"], name="posting_by_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.amount} {self.currency}"
