"""What billing runs did, and the subscriptions that one could not bill."""

from django.conf import settings
from django.db import models

from billing.models.ids import IdField
from billing.models.subscriptions import Subscription


class BillingRun(models.Model):
    """One pass over everything due at `due_at`."""

    id = IdField("run")
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    subscriptions = models.PositiveIntegerField(default=0)
    invoices = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.due_at:%Y-%m-%d %H:%M}"


class BillingFailure(models.Model):
    """A subscription that a run had to leave aside, with the reason, until somebody looks."""

    subscription = models.OneToOneField(Subscription, models.CASCADE, related_name="billing_failure")
    reason = models.TextField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.subscription_id}: {self.reason[:60]}"


class BillingRehearsal(models.Model):
    """A dry run: what a run at `until` would do, found out page by page. `last` is the customer that it has come to,
    `found` what `rehearsing.Rehearsal` holds."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    OPEN = ("waiting", "running")

    id = IdField("dry")
    until = models.DateTimeField("due until")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    due = models.PositiveIntegerField(help_text="subscriptions that were due when it was asked for")
    last = models.CharField(max_length=60, blank=True)
    found = models.JSONField(default=dict)
    problem = models.TextField(blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "dry run"
        ordering = ["-asked_at"]

    def __str__(self) -> str:
        return f"Dry run up to {self.until:%-d %B %Y}"
