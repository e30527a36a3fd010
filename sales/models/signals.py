"""The rules that say what sales should know, what they found, and what has been weighed."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now as present

from billing.models.ids import IdField
from billing.models.reading import ReadPlainly


class Weight(models.TextChoices):
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class SalesSettings(models.Model):
    """How findings add up and how long things may wait. One row."""

    high_points = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(3))
    medium_points = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(2))
    low_points = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(1))
    half_life_days = models.PositiveSmallIntegerField(default=30)
    qualifies_at = models.DecimalField(max_digits=6, decimal_places=2, default=Decimal(5))
    high_qualifies = models.BooleanField(
        default=True, help_text="one high signal is enough, whatever the score"
    )
    high_due_days = models.PositiveSmallIntegerField(
        default=1, help_text="working days for a task with a high signal"
    )
    due_days = models.PositiveSmallIntegerField(default=3, help_text="working days for any other task")
    quote_valid_days = models.PositiveSmallIntegerField(default=30)
    approval_hours = models.PositiveSmallIntegerField(
        default=24, help_text="an approval that waits longer is escalated"
    )
    hold_back = models.BooleanField(
        "hold outreach back",
        default=True,
        help_text="raise no task while an invoice is overdue, a payment failed or is disputed; who asks is answered",
    )
    cool_down_days = models.PositiveSmallIntegerField(
        default=14,
        help_text="after a task was lost or returned, days before signals raise another; who asks is answered",
    )

    given_permissions = models.JSONField(
        default=dict, editable=False, help_text="what each shipped group was given once, by its name"
    )

    class Meta:
        verbose_name = verbose_name_plural = "sales settings"
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="one_row_of_sales_settings"),
            models.CheckConstraint(condition=Q(half_life_days__gt=0), name="half_life_positive"),
        ]

    def __str__(self) -> str:
        return "Sales settings"

    @classmethod
    def current(cls) -> "SalesSettings":
        """The stored row, or the defaults while nobody has saved one."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    def points(self, weight: str) -> Decimal:
        return Decimal(getattr(self, f"{weight}_points"))


class Rule(models.Model):
    """What makes a signal. Its code names the function in `sales.rules`; the rest is for staff to change."""

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200, blank=True, help_text="fires when …")
    enabled = models.BooleanField(default=True)
    weight = models.CharField(max_length=6, choices=Weight.choices, default=Weight.MEDIUM)
    threshold = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    unit = models.CharField(max_length=40, blank=True, help_text="what the threshold counts")
    window_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="fires again no sooner than this, or counts only what is younger"
    )
    action = models.CharField(max_length=120, help_text="what sales should do about it")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class Signal(ReadPlainly):
    """A dated finding about a customer that sales should know: `evidence` in figures, `sentence` in words."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        DISMISSED = "dismissed", "Dismissed"

    MOVES = {"open": {"dismissed"}, "dismissed": {"open"}}

    id = IdField("sig")
    customer = models.ForeignKey("billing.Customer", models.CASCADE, related_name="signals")
    livemode = models.BooleanField(
        db_default=False, editable=False, help_text="the customer's; kept by a trigger"
    )
    rule = models.ForeignKey(Rule, models.PROTECT, related_name="signals")
    weight = models.CharField(max_length=6, choices=Weight.choices)
    sentence = models.CharField(max_length=400)
    evidence = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(help_text="on the customer's clock")
    dedupe_key = models.CharField(max_length=250, unique=True)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    dismissed_reason = models.CharField(max_length=200, blank=True)
    task = models.ForeignKey(
        "sales.HandoffTask", models.SET_NULL, null=True, blank=True, related_name="signals"
    )
    created_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["-occurred_at", "-id"]
        indexes = [
            models.Index(fields=["customer", "-occurred_at"], name="signal_by_customer"),
            models.Index(fields=["id"], condition=Q(livemode=False), name="signal_in_sandbox"),
        ]
        permissions = [("dismiss_signal", "Can dismiss a signal")]

    def __str__(self) -> str:
        return f"{self.rule}: {self.customer}"


class WeighedEvent(models.Model):
    """An event that the rules have looked at: each is weighed once."""

    event = models.OneToOneField("billing.Event", models.CASCADE, primary_key=True, related_name="weighed")
    at = models.DateTimeField(default=present)

    def __str__(self) -> str:
        return f"event {self.pk}"


class HandoffTask(models.Model):
    """Work for a salesperson that signals or a lead raised. A customer has one open at a time."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "In progress"
        WON = "won", "Won"
        LOST = "lost", "Lost"
        NURTURE = "nurture", "Later"
        RETURNED = "returned", "Returned"

    class Why(models.TextChoices):
        """Why a task ended without a deal."""

        PRICE = "price", "Price"
        TIMING = "timing", "Timing"
        COMPETITOR = "competitor", "Went elsewhere"
        NO_NEED = "no_need", "No need"
        NO_ANSWER = "no_answer", "No answer"
        CONTENT = "content", "Happy with self-serve"
        OTHER = "other", "Something else"

    MOVES = {
        "open": {"accepted", "won", "lost", "nurture", "returned"},
        "accepted": {"won", "lost", "nurture", "returned"},
        "won": set(),
        "lost": set(),
        "nurture": set(),
        "returned": set(),
    }
    OPEN = ("open", "accepted")

    id = IdField("task")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    customer = models.ForeignKey(
        "billing.Customer", models.CASCADE, null=True, blank=True, related_name="handoff_tasks"
    )
    lead = models.ForeignKey(
        "sales.Lead", models.CASCADE, null=True, blank=True, related_name="handoff_tasks"
    )
    livemode = models.BooleanField(db_default=False, editable=False, help_text="theirs; kept by a trigger")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="handoff_tasks"
    )
    owner_why = models.CharField(max_length=120, blank=True, help_text="the rule that chose the owner")
    due_on = models.DateField()
    reason = models.CharField(max_length=400)
    score = models.DecimalField(
        max_digits=6, decimal_places=2, default=0, help_text="when it was last raised"
    )
    note = models.TextField(blank=True, help_text="the outcome, in the owner's words")
    closed_why = models.CharField("reason", max_length=10, choices=Why.choices, blank=True)
    snoozed_until = models.DateField(null=True, blank=True, help_text="left out of the queue before this day")
    again_on = models.DateField(
        null=True, blank=True, help_text="of one put off: the day on which a new task is raised"
    )
    raised_at = models.DateTimeField(default=present)
    accepted_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["due_on", "-score", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(status__in=["open", "accepted"], customer__isnull=False),
                name="one_open_task_per_customer",
            ),
            models.UniqueConstraint(
                fields=["lead"],
                condition=Q(status__in=["open", "accepted"], lead__isnull=False),
                name="one_open_task_per_lead",
            ),
            models.CheckConstraint(
                condition=Q(customer__isnull=False) | Q(lead__isnull=False), name="task_is_about_somebody"
            ),
        ]
        indexes = [
            models.Index(
                fields=["owner", "due_on"], condition=Q(status__in=["open", "accepted"]), name="task_queue"
            ),
            models.Index(fields=["id"], condition=Q(livemode=False), name="task_in_sandbox"),
        ]
        permissions = [("work_handofftask", "Can accept, complete and return handoff tasks")]

    def __str__(self) -> str:
        return f"{self.customer or self.lead}: {self.reason}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


class EngagementScore(models.Model):
    """How much a customer used what it pays for on a day: of 100, with the parts that add up to it."""

    customer = models.ForeignKey(
        "billing.Customer", models.CASCADE, related_name="engagement", db_index=False
    )
    day = models.DateField()
    score = models.PositiveSmallIntegerField()
    parts = models.JSONField(help_text="[{name, points, of, words}]")

    class Meta:
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "day"], name="engagement_once_a_day"),
            models.CheckConstraint(condition=Q(score__lte=100), name="engagement_of_a_hundred"),
        ]
        indexes = [models.Index(fields=["day"], name="engagement_by_day")]

    def __str__(self) -> str:
        return f"{self.customer}: {self.score} on {self.day}"
