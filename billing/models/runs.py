"""What billing runs did, and the subscriptions that one could not bill."""

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
