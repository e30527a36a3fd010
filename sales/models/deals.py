"""Sales opportunities."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now as present

from billing.models.customers import Motion
from billing.models.ids import IdField


class Deal(models.Model):
    """A sales opportunity with a stage; holds quotes. `amount`: first-year value, minor units, no tax."""

    class Stage(models.TextChoices):
        DISCOVERY = "discovery", "Discovery"
        PROPOSAL = "proposal", "Proposal"
        NEGOTIATION = "negotiation", "Negotiation"
        WON = "won", "Won"
        LOST = "lost", "Lost"

    STATE_FIELD = "stage"
    MOVES = {
        "discovery": {"proposal", "negotiation", "won", "lost"},
        "proposal": {"discovery", "negotiation", "won", "lost"},
        "negotiation": {"discovery", "proposal", "won", "lost"},
        "lost": {"discovery", "proposal", "negotiation"},
        "won": set(),
    }
    OPEN = ("discovery", "proposal", "negotiation")

    id = IdField("deal")
    stage = models.CharField(max_length=11, choices=Stage.choices, default=Stage.DISCOVERY)
    name = models.CharField(max_length=200)
    customer = models.ForeignKey(
        "billing.Customer", models.PROTECT, null=True, blank=True, related_name="deals"
    )
    lead = models.ForeignKey("sales.Lead", models.PROTECT, null=True, blank=True, related_name="deals")
    livemode = models.BooleanField(db_default=False, editable=False, help_text="theirs; kept by a trigger")
    amount = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, default="USD")
    close_on = models.DateField(null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="deals"
    )
    motion = models.CharField(max_length=20, choices=Motion.choices, default=Motion.SALES_LED)
    source_signal = models.ForeignKey(
        "sales.Signal", models.SET_NULL, null=True, blank=True, related_name="deals"
    )
    task = models.ForeignKey(
        "sales.HandoffTask", models.SET_NULL, null=True, blank=True, related_name="deals"
    )
    lost_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=present)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(customer__isnull=False) | Q(lead__isnull=False), name="deal_is_with_somebody"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="deal_amount_not_negative"),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(livemode=False), name="deal_in_sandbox")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.stage in self.OPEN

    @property
    def now(self) -> datetime:
        """The customer's present. For edges only."""
        return self.customer.now if self.customer else present()
