"""Money that moves. The attempt is a row, committed before the provider is called."""

from datetime import date

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.customers import Customer
from billing.models.ids import IdField
from billing.models.invoices import Invoice
from billing.models.reading import ReadPlainly


class PaymentMethod(models.Model):
    """A saved card: only what may be shown. The number itself never comes near us."""

    id = IdField("pm")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="payment_methods")
    provider_id = models.CharField(max_length=100)
    brand = models.CharField(max_length=20)
    last4 = models.CharField(max_length=4)
    exp_month = models.PositiveSmallIntegerField()
    exp_year = models.PositiveSmallIntegerField()
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    detached_at = models.DateTimeField(null=True, blank=True)
    single_use = models.BooleanField(
        default=False, db_default=False, help_text="typed to pay one invoice, and never saved"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider_id", "customer"], name="card_once_per_customer"),
            models.CheckConstraint(
                condition=Q(single_use=False) | Q(is_default=False, detached_at__isnull=False),
                name="single_use_card_is_not_saved",
            ),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(is_default=True, detached_at__isnull=True),
                name="one_default_card",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.brand.title()} •••• {self.last4}"

    def expired(self, today: date) -> bool:
        """A card is good until the end of the month that it names."""
        return (self.exp_year, self.exp_month) < (today.year, today.month)


class DisputeStatus(models.TextChoices):
    """In Stripe's words; a warning is an inquiry, for which no money is taken yet."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response", "Inquiry: needs an answer"
    WARNING_UNDER_REVIEW = "warning_under_review", "Inquiry: under review"
    WARNING_CLOSED = "warning_closed", "Inquiry closed"
    NEEDS_RESPONSE = "needs_response", "Needs an answer"
    UNDER_REVIEW = "under_review", "Under review"
    PREVENTED = "prevented", "Prevented"
    WON = "won", "Won"
    LOST = "lost", "Lost"


class Payment(ReadPlainly):
    """One attempt to move money for an invoice or a checkout. `key` is the provider's idempotency key."""

    class Status(models.TextChoices):
        NEW = "new", "New"
        SENT = "sent", "Sent"
        UNKNOWN = "unknown", "Unknown"
        REQUIRES_ACTION = "requires_action", "Needs confirmation"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Canceled"

    MOVES = {
        "new": {"sent", "unknown", "requires_action", "succeeded", "failed", "canceled"},
        "sent": {"unknown", "requires_action", "succeeded", "failed", "canceled"},
        "unknown": {"requires_action", "succeeded", "failed", "canceled"},
        "requires_action": {"unknown", "succeeded", "failed", "canceled"},
        "failed": {"succeeded"},
        "succeeded": set(),
        "canceled": {"succeeded"},
    }
    OPEN = ("new", "sent", "unknown", "requires_action")

    class Method(models.TextChoices):
        CARD = "card", "Card"
        BANK_TRANSFER = "bank_transfer", "Bank transfer"
        BALANCE = "balance", "Customer balance"

    id = IdField("pay")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="payments")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="payments")
    source = models.CharField(
        max_length=60, blank=True, help_text="the checkout session it pays, before an invoice"
    )
    livemode = models.BooleanField(default=False)
    status = models.CharField(max_length=15, choices=Status.choices, default=Status.NEW)
    method = models.CharField(max_length=13, choices=Method.choices, default=Method.CARD)
    amount = models.BigIntegerField()
    amount_refunded = models.BigIntegerField(default=0)
    dispute_status = models.CharField(
        max_length=23, choices=DisputeStatus.choices, blank=True, default="", db_default="",
        help_text="of its newest dispute",
    )  # fmt: skip
    currency = models.CharField(max_length=3)
    key = models.CharField(max_length=100, unique=True)
    provider_id = models.CharField(max_length=100, null=True, blank=True, unique=True)
    payment_method = models.ForeignKey(PaymentMethod, models.PROTECT, null=True, blank=True)
    card_label = models.CharField(max_length=60, blank=True)
    decline_code = models.CharField(max_length=60, blank=True)
    message = models.CharField(max_length=300, blank=True)
    client_secret = models.CharField(max_length=200, blank=True)
    action_url = models.CharField(max_length=500, blank=True)
    reference = models.CharField(max_length=200, blank=True, help_text="of the bank transfer")
    off_session = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    recorded_at = models.DateTimeField(
        default=timezone.now, help_text="real time, as the provider's clock runs"
    )
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"],
                condition=Q(status__in=["new", "sent", "unknown", "requires_action"], method="card"),
                name="one_open_attempt_per_invoice",
            ),
            models.UniqueConstraint(
                fields=["source"],
                condition=Q(status__in=["new", "sent", "unknown", "requires_action"]) & ~Q(source=""),
                name="one_open_attempt_per_source",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_positive"),
            models.CheckConstraint(
                condition=Q(invoice__isnull=False) | ~Q(source="") | Q(method="bank_transfer"),
                name="payment_pays_for_something",
            ),
            models.CheckConstraint(
                condition=Q(amount_refunded__gte=0, amount_refunded__lte=models.F("amount")),
                name="refund_within_payment",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(status__in=["new", "sent", "unknown", "requires_action"]),
                name="payment_without_answer",
            ),
            models.Index(fields=["id"], condition=Q(livemode=False), name="payment_in_sandbox"),
            models.Index(fields=["reference"], condition=~Q(reference=""), name="payment_by_reference"),
            models.Index(fields=["method"], condition=~Q(method="card"), name="payment_not_by_card"),
            models.Index(
                fields=["status"],
                condition=Q(status__in=["failed", "canceled"]),
                name="payment_came_to_nothing",
            ),
            models.Index(fields=["dispute_status"], condition=~Q(dispute_status=""), name="payment_disputed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_method_display()} {self.amount} {self.currency}"

    @property
    def contested(self) -> bool:
        """Its card holder has taken it back, or tries to: it cannot be refunded as well."""
        return self.dispute_status in Dispute.CONTESTED


class Refund(models.Model):
    """Money on its way back. The row is committed before the provider is called; `key` is its idempotency key."""

    class Status(models.TextChoices):
        NEW = "new", "New"
        UNKNOWN = "unknown", "Unknown"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    MOVES = {
        "new": {"unknown", "succeeded", "failed"},
        "unknown": {"succeeded", "failed"},
        "succeeded": {"failed"},
        "failed": set(),
    }
    OPEN = ("new", "unknown")

    id = IdField("ref")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="refunds")
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="refunds",
        help_text="none where it was paid out by bank transfer",
    )  # fmt: skip
    credit_note = models.ForeignKey(
        "billing.CreditNote", models.PROTECT, null=True, blank=True, related_name="refunds",
        help_text="none where it pays out what stood on the balance",
    )  # fmt: skip
    elsewhere = models.BooleanField(
        default=False, db_default=False, help_text="made in the provider's own pages, not here"
    )
    explained_at = models.DateTimeField(
        null=True, blank=True, help_text="when somebody said what one made elsewhere was for"
    )
    reference = models.CharField(max_length=200, blank=True, db_default="", help_text="of the bank transfer")
    livemode = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    key = models.CharField(max_length=100, unique=True)
    provider_id = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    recorded_at = models.DateTimeField(default=timezone.now, help_text="real time")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive"),
            models.CheckConstraint(
                condition=Q(payment__isnull=False) | Q(elsewhere=False),
                name="refund_elsewhere_is_of_a_payment",
            ),
        ]
        indexes = [
            models.Index(
                fields=["recorded_at"],
                condition=Q(status__in=["new", "unknown"]),
                name="refund_without_answer",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    @property
    def unexplained(self) -> bool:
        """Money left at the provider, and nobody has said yet what for."""
        return self.elsewhere and self.explained_at is None and self.status != self.Status.FAILED


_DECIDED = {"won", "lost", "prevented"}


class Dispute(models.Model):
    """A card holder tells the bank to take a payment back. Amounts are minor units of the payment's currency; the
    fee is of the currency in which Stripe pays out. `movements` counts what Stripe has moved for it so far: it only
    grows, so that an older answer is known as such."""

    Status = DisputeStatus

    MOVES = {
        "warning_needs_response": {
            "warning_under_review",
            "warning_closed",
            "needs_response",
            "under_review",
            *_DECIDED,
        },
        "warning_under_review": {"warning_closed", "needs_response", "under_review", *_DECIDED},
        "warning_closed": {"needs_response", "under_review", *_DECIDED},
        "needs_response": {"under_review", *_DECIDED},
        "under_review": _DECIDED,
        "prevented": set(),
        "won": set(),
        "lost": {"won"},
    }
    OPEN = ("warning_needs_response", "warning_under_review", "needs_response", "under_review")
    CONTESTED = ("needs_response", "under_review", "lost")

    id = IdField("dp")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="disputes")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes")
    livemode = models.BooleanField(default=False)
    provider_id = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=23, choices=DisputeStatus.choices)
    reason = models.CharField(max_length=60)
    amount = models.BigIntegerField(help_text="what the card holder wants back")
    withdrawn = models.BigIntegerField(default=0, help_text="what the bank holds of it now")
    currency = models.CharField(max_length=3)
    fee = models.BigIntegerField(default=0)
    fee_currency = models.CharField(max_length=3)
    movements = models.PositiveSmallIntegerField(default=0)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, withdrawn__gte=0, withdrawn__lte=models.F("amount"), fee__gte=0),
                name="dispute_takes_no_more_than_it_asks",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.amount} {self.currency}"

    @property
    def evidence_url(self) -> str:
        """Where the seller answers it."""
        mode = "" if self.livemode else "test/"
        return f"https://dashboard.stripe.com/{mode}disputes/{self.provider_id}"
