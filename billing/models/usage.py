"""What customers used: every event once, its day's totals, and the limits it crossed.

Each table has the one index that its rows are found by, with the customer first; none for its foreign keys alone,
because every index is written with every event.
"""

from django.db import models
from django.utils import timezone

from billing.models.catalogue import Meter
from billing.models.customers import Customer
from billing.models.ids import IdField


class UsageEvent(models.Model):
    """One thing that was used. `key` is the sender's id: the same key twice counts once."""

    id = models.BigAutoField(primary_key=True)
    livemode = models.BooleanField(default=False)
    key = models.CharField(max_length=255)
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, db_index=False)
    event_name = models.CharField(max_length=100)
    occurred_at = models.DateTimeField()
    day = models.DateField(help_text="the customer's local day")
    value = models.DecimalField(max_digits=27, decimal_places=12)
    properties = models.JSONField(default=dict, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "key", "meter"], name="usage_event_once"),
        ]
        indexes = [models.Index(fields=["customer", "meter", "day"], name="usage_by_customer_day")]

    def __str__(self) -> str:
        return self.key


class UsageImport(models.Model):
    """A file of usage events, taken in by a job piece by piece; a killed job goes on after the last piece."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"

    id = IdField("imp")
    livemode = models.BooleanField(default=False)
    format = models.CharField(max_length=5, choices=[("csv", "CSV"), ("jsonl", "JSON lines")])
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    content = models.BinaryField(help_text="empty once it is done")
    lines = models.PositiveIntegerField(help_text="events in the file")
    processed = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list, help_text="the first of the rejected: [{line, id, code, detail}]")
    actor = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(processed__lte=models.F("lines")), name="import_within_its_file"
            )
        ]

    def __str__(self) -> str:
        return self.pk


class UsageDay(models.Model):
    """A day's totals of one meter for one customer, kept in the transaction that stores the events."""

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, db_index=False)
    day = models.DateField()
    count = models.BigIntegerField(default=0)
    # Room for a hundred billion of the largest events.
    total = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    peak = models.DecimalField(max_digits=27, decimal_places=12, null=True)
    last = models.DecimalField(max_digits=27, decimal_places=12, null=True)
    last_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "meter", "day"], name="usage_day_once")]

    def __str__(self) -> str:
        return f"{self.day}: {self.total}"


class UsageCounter(models.Model):
    """What was used so far in a usage period that has a limit: the row on which concurrent batches meet.

    Days are summed wherever an exact figure is shown. This row exists because two batches for different days of one
    customer could each miss the other's events and let a threshold pass unseen; here the second waits for the first.
    """

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, db_index=False)
    start_on = models.DateField(help_text="first day of the usage period")
    end_on = models.DateField(help_text="first day after it")
    used = models.DecimalField(max_digits=38, decimal_places=12)
    added = models.DecimalField(max_digits=38, decimal_places=12, help_text="what the last batch brought")
    last_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "meter", "start_on"], name="usage_counter_once")
        ]

    def __str__(self) -> str:
        return f"{self.start_on}: {self.used}"


class ThresholdCrossing(models.Model):
    """A limit's share was reached: once per threshold, period and customer."""

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, db_index=False)
    percent = models.PositiveSmallIntegerField()
    period_start = models.DateField()
    limit = models.DecimalField(max_digits=27, decimal_places=6)
    used = models.DecimalField(max_digits=38, decimal_places=12)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "meter", "percent", "period_start", "limit"], name="threshold_fires_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.limit}"
