"""What staff let happen by itself: when, on which conditions, what; and what came of it."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now as present

from billing.models.ids import IdField


class Automation(models.Model):
    """A trigger, a condition in CEL, and actions. What it looks like is checked by `sales.automating.save`."""

    DAILY = "schedule.daily"

    id = IdField("auto")
    name = models.CharField(max_length=120)
    shipped_code = models.SlugField(max_length=60, null=True, blank=True, unique=True)
    trigger = models.CharField(max_length=60, help_text="an event type, or schedule.daily")
    condition = models.TextField(max_length=1000, blank=True)
    actions = models.JSONField(default=list, help_text="[{kind, …}] in order")
    pause_days = models.PositiveSmallIntegerField(
        default=0, help_text="for the same customer, not again sooner than this"
    )
    enabled = models.BooleanField(default=False)
    enabled_at = models.DateTimeField(null=True, blank=True, help_text="what happened before is left alone")
    looked_at = models.DateTimeField(null=True, blank=True, help_text="events were looked through until then")
    created_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(enabled_at__isnull=False), name="automation_enabled_since"
            )
        ]

    def __str__(self) -> str:
        return self.name


class AutomationRun(models.Model):
    """One time that an automation's condition held. `log` has a row for each action that was tried."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    automation = models.ForeignKey(Automation, models.CASCADE, related_name="runs")
    event = models.ForeignKey("billing.Event", models.CASCADE, null=True, blank=True, related_name="+")
    customer = models.ForeignKey("billing.Customer", models.CASCADE, null=True, blank=True, related_name="+")
    key = models.CharField(max_length=120, help_text="the event's number, or the day and the customer")
    actions = models.JSONField(default=list, help_text="the automation's, as they were")
    log = models.JSONField(default=list, help_text="[{kind, ok, words, at}]")
    done = models.PositiveSmallIntegerField(default=0, help_text="so many actions have succeeded")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(help_text="on the customer's clock")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["automation", "key"], name="automation_runs_once")]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(status="waiting"), name="automation_waiting"),
            models.Index(fields=["automation", "customer", "-at"], name="automation_by_customer"),
            models.Index(fields=["at"], include=["automation", "status"], name="automation_lately"),
        ]

    def __str__(self) -> str:
        return f"{self.automation} {self.key}"


class CustomerTag(models.Model):
    """A word that staff or automations put on a customer."""

    customer = models.ForeignKey("billing.Customer", models.CASCADE, related_name="tags")
    tag = models.SlugField(max_length=40)
    added_by = models.CharField(max_length=120, blank=True)
    added_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["tag"]
        constraints = [models.UniqueConstraint(fields=["customer", "tag"], name="customer_tag_once")]

    def __str__(self) -> str:
        return self.tag
