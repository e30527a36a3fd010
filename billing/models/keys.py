"""Keys for the HTTP API, the answers already given to idempotent requests, and links into the portal."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from billing.models.customers import Customer
from billing.models.ids import uuid7
from billing.models.reading import ReadPlainly


class ApiKey(ReadPlainly):
    """A key is shown once; only its hash is stored."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, help_text="shown, to tell keys apart")
    digest = models.CharField(max_length=64, unique=True)
    livemode = models.BooleanField(default=False)
    scopes = ArrayField(models.CharField(max_length=20), default=list)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    # What the framework asks of whoever sends a request.
    is_authenticated = True

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def actor(self) -> str:
        """How events name it."""
        return f"key:{self.prefix}"


class RequestWindow(models.Model):
    """How many requests the processes together asked for in one minute of a key (see `billing.throttling`)."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE)
    kind = models.CharField(max_length=10)
    begun = models.DateTimeField()
    asked = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "kind", "begun"], name="request_window_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.asked}"


class IdempotentRequest(models.Model):
    """The first answer to a request with an `Idempotency-Key`."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    content_type = models.CharField(max_length=60, blank=True)
    locked_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api_key", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class PortalLink(models.Model):
    """A way into one customer's portal without signing in: once, within the hour. Only its hash is stored."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="portal_links")
    uuid = models.UUIDField(default=uuid7, null=True, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    return_url = models.CharField(max_length=500, blank=True)
    sections = ArrayField(models.CharField(max_length=20), default=list)
    made_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.customer} until {self.expires_at:%Y-%m-%d %H:%M}"

    @property
    def public_id(self) -> str:
        return f"ps_{self.uuid.hex}" if self.uuid else ""
