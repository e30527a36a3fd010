"""Where the seller's own systems hear of facts: endpoints, what each is owed, and every try at sending it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.events import Event
from billing.models.ids import IdField


class WebhookEndpoint(models.Model):
    """An address that wants events. A trigger on the events writes it a delivery for each that it asks for."""

    id = IdField("we")
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=60), default=list, blank=True, help_text="none: every type but user.*"
    )
    livemode = models.BooleanField(default=False)
    secret = models.TextField(help_text="sealed")
    old_secret = models.TextField(blank=True, help_text="sealed; signs as well until its time is over")
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=120)
    listening_since = models.DateTimeField(help_text="with its present types, without a break")
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    failing_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "webhook endpoint"

    def __str__(self) -> str:
        return self.url

    @property
    def status(self) -> str:
        """enabled, failing or disabled."""
        if self.disabled_at:
            return "disabled"
        return "failing" if self.failures else "enabled"

    @property
    def sealed_secrets(self) -> list[str]:
        """What signs, the newest first. Of two rotations in one overlap, the older ones stand together."""
        return [self.secret, *self.old_secret.split()]


class WebhookDelivery(models.Model):
    """One event for one endpoint, or a test (no event). Whoever sends it holds a claim on it meanwhile."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    id = IdField("whd")
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, models.PROTECT, null=True, blank=True, related_name="deliveries")
    object_id = models.CharField(max_length=60, blank=True)
    sequence = models.PositiveIntegerField(default=0, help_text="the event's, of its object")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="since it was last asked for")
    next_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(status="pending", next_at__isnull=False) | ~Q(status="pending"),
                name="pending_delivery_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="delivery_log"),
            models.Index(fields=["object_id"], name="delivery_by_object"),
            models.Index(
                fields=["endpoint", "next_at", "sequence"], condition=Q(status="pending"), name="delivery_due"
            ),
            models.Index(
                fields=["endpoint", "object_id", "sequence"],
                condition=Q(status="pending"),
                name="delivery_in_order",
            ),
            models.Index(
                fields=["endpoint", "claimed_until"],
                condition=Q(claimed_until__isnull=False),
                name="delivery_on_its_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.object_id}".strip()

    @property
    def type(self) -> str:
        return self.event.type if self.event else "webhook.test"

    @property
    def webhook_id(self) -> str:
        """The same for every try and every endpoint, so that a receiver can tell what it has seen."""
        return self.event.public_id if self.event else self.pk


class WebhookAttempt(models.Model):
    """One try: when, how long, and what came back."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, help_text="of the answer; none when nothing came")
    error = models.CharField(max_length=300, blank=True)
    response = models.TextField(blank=True, help_text="the beginning of the answer")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.status or self.error)


class Lease(models.Model):
    """Who does what only one process should do at a time, and until when that holds without a word."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.UUIDField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
