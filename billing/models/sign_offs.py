"""Money that goes back, or is given up, and waits for a second person."""

from django.conf import settings
from django.db import models
from django.db.models import CharField, F, Q, Value
from django.db.models.functions import Cast, Concat

from billing.models.customers import Customer
from billing.models.ids import IdField
from billing.models.invoices import Invoice
from billing.models.payments import Payment


class SignOff(models.Model):
    """A wish above the seller's limit: one asks, another one signs, and then it is done once. Amounts are minor units."""

    class Kind(models.TextChoices):
        REFUND = "refund", "Refund"
        CREDIT_NOTE = "credit_note", "Credit note with refund"
        PAY_OUT = "pay_out", "Pay-out of the balance"
        WRITE_OFF = "write_off", "Write-off"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        GIVEN = "given", "Signed, being done"
        DONE = "done", "Signed and done"
        FAILED = "failed", "Signed, could not be done"
        REFUSED = "refused", "Refused"

    MOVES = {
        "waiting": {"given", "refused"},
        "given": {"done", "failed"},
        "done": set(),
        "failed": set(),
        "refused": set(),
    }

    id = IdField("so")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="sign_offs")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="sign_offs")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, blank=True, related_name="sign_offs")
    livemode = models.BooleanField(default=False)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=300, blank=True)
    terms = models.JSONField(default=dict, help_text="what the verb is called with, once it is signed")
    asked_by = models.CharField(max_length=120, help_text="user:<id> or key:<prefix>")
    asked_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    message = models.CharField(max_length=300, blank=True, help_text="why it could not be done")

    class Meta:
        verbose_name = "sign-off"
        ordering = ["-asked_at", "-id"]
        permissions = [("give_sign_off", "Can sign refunds and write-offs above the limit")]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(status="waiting"), name="one_sign_off_waits_per_customer"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="sign_off_positive"),
            models.CheckConstraint(
                condition=Q(status="waiting") | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="sign_off_says_who",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "refused"])
                | ~Q(asked_by=Concat(Value("user:"), Cast(F("decided_by"), CharField()))),
                name="nobody_signs_their_own_wish",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_kind_display()} for {self.customer}"
