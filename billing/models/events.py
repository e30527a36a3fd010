"""Facts: append-only, written in the transaction that made them true (see `billing.events.record`)."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from billing.models.customers import Customer
from billing.models.ids import IdField
from billing.models.people import Told
from billing.models.reading import ReadPlainly


class Event(ReadPlainly):
    """History, audit, outbox and what `sales` listens to, in one row."""

    number = models.BigAutoField(primary_key=True)
    id = models.UUIDField(unique=True)
    type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60, help_text="the public id of what it is about")
    sequence = models.PositiveIntegerField(help_text="1, 2, 3 … per object")
    customer = models.ForeignKey(
        Customer, models.PROTECT, null=True, blank=True, related_name="events", db_index=False
    )
    livemode = models.BooleanField(default=False)
    actor = models.CharField(
        max_length=120, help_text="who did it: user:…, member:…, key:…, system, provider"
    )
    at = models.DateTimeField(help_text="when it happened, on the customer's clock")
    recorded_at = models.DateTimeField(auto_now_add=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["object_id", "sequence"], name="event_sequence_once")]
        indexes = [
            models.Index(fields=["customer", "-at"], name="event_by_customer"),
            models.Index(fields=["type", "number"], name="event_by_type"),
            # Beside millions of live ones, the sandbox's are found without reading through them.
            models.Index(fields=["number"], condition=models.Q(livemode=False), name="event_in_sandbox"),
            BrinIndex(fields=["recorded_at"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.object_id}"

    @property
    def public_id(self) -> str:
        return f"evt_{self.id.hex}"


class ObjectSequence(models.Model):
    """The last event number given to each object."""

    object_id = models.CharField(max_length=60, primary_key=True)
    value = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.object_id


class EventDigest(models.Model):
    """A link of the chain over facts (see `billing.chaining`): what those of one stretch of numbers said then."""

    number = models.PositiveBigIntegerField(primary_key=True, help_text="1, 2, 3 …")
    up_to = models.BigIntegerField(help_text="facts after the previous link's, up to this number")
    amended_up_to = models.BigIntegerField(help_text="the same for amendments, by their id")
    since = models.DateTimeField(null=True, help_text="when the first of its facts was recorded")
    entries = models.BinaryField(help_text="40 bytes a fact: its number and the SHA-256 of what it says")
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of the previous digest and all of this, in hex"
    )
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


class EventAmendment(models.Model):
    """That an erasure changed the words of a fact; written by the database with the change."""

    event = models.BigIntegerField(help_text="the number of the fact, which may be past its retention")
    before = models.BinaryField(help_text="SHA-256 of what it said")
    after = models.BinaryField(help_text="SHA-256 of what it says")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"fact {self.event}"


class ProviderEvent(models.Model):
    """A provider's event that was noted, and whether it was acted on."""

    provider_id = models.CharField(max_length=100, unique=True)
    type = models.CharField(max_length=80)
    payload = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.provider_id


class Mail(models.Model):
    """An outgoing mail, written with its cause and sent by a job: one per event, recipient and template."""

    id = IdField("mail")
    event = models.CharField(max_length=60, help_text="what caused it")
    template = models.CharField(max_length=60)
    recipient = models.EmailField()
    customer = models.ForeignKey(Customer, models.CASCADE, null=True, blank=True, related_name="mails")
    subject = models.CharField(max_length=300)
    text = models.TextField()
    html = models.TextField()
    invoice = models.ForeignKey(
        "billing.Invoice", models.PROTECT, null=True, blank=True, help_text="attached as PDF"
    )
    document = models.ForeignKey("billing.Document", models.PROTECT, null=True, blank=True)
    more_documents = models.ManyToManyField("billing.Document", blank=True, related_name="+")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    PEOPLE = {"recipient": Told(rest=("subject", "text", "html", "error"))}

    class Meta:
        permissions = [("send_mail", "Can send a mail again")]
        constraints = [models.UniqueConstraint(fields=["event", "recipient", "template"], name="mail_once")]
        indexes = [
            models.Index(
                fields=["created_at"], condition=models.Q(sent_at__isnull=True), name="mail_waiting"
            ),
            models.Index(fields=["recipient"], name="mail_by_recipient"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} → {self.recipient}"


class KeptMail(models.Model):
    """A mail as it went out, kept where no mail server is set (sandbox and demo)."""

    recipient = models.CharField(max_length=320)
    sender = models.CharField(max_length=320)
    subject = models.CharField(max_length=300)
    text = models.TextField()
    html = models.TextField(blank=True)
    attachments = models.JSONField(default=list, help_text="names and document ids")
    at = models.DateTimeField(auto_now_add=True)

    PEOPLE = {"recipient": Told(rest=("subject", "text", "html", "attachments"))}

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.subject
