"""A way of paying that a customer's segment does not allow: who asked for it, and what became of that."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from billing.models.customers import CollectionMethod


class PaymentException(models.Model):
    """One wish of the staff, decided by somebody who neither asked nor owns the customer."""

    class Decision(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ALLOWED = "approved", "Allowed"
        REFUSED = "rejected", "Refused"

    customer = models.ForeignKey("billing.Customer", models.CASCADE, related_name="payment_exceptions")
    method = models.CharField(max_length=20, choices=CollectionMethod.choices)
    net_days = models.PositiveSmallIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    decision = models.CharField(max_length=8, choices=Decision.choices, default=Decision.WAITING)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(decision="waiting"), name="one_payment_exception_waits"
            ),
            models.CheckConstraint(
                condition=Q(decision="waiting") | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="payment_exception_says_who",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("asked_by")),
                name="nobody_allows_their_own_exception",
            ),
        ]

    def __str__(self) -> str:
        terms = f", Net {self.net_days}" if self.net_days else ""
        return f"{self.get_method_display()}{terms}"
