"""Checkout's tables: sessions, the rules that route them, and counters that slow abuse down."""

import secrets
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now as present

from billing.models import Customer, Discount, Invoice, Plan, Subscription
from billing.models.ids import IdField
from billing.models.people import Told
from billing.models.reading import ReadPlainly


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Outcome(models.TextChoices):
    """Where a buyer is sent."""

    SELF_SERVE = "self_serve", "Buys alone, by card"
    CONTACT_SALES = "contact_sales", "A person gets in touch"
    DEMO = "demo", "A demo comes first"
    OWNER = "owner", "A named owner takes over"


class RoutingRule(ReadPlainly):
    """One row of the ordered list; the first whose conditions all hold decides.

    `conditions` by input: `{"employees": {"over": 100}, "country": ["US", "CA"], "domain": ["*.gov"]}`.
    """

    position = models.PositiveSmallIntegerField(unique=True)
    name = models.CharField(max_length=100)
    conditions = models.JSONField(default=dict)
    outcome = models.CharField(max_length=13, choices=Outcome.choices)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class CheckoutSession(ReadPlainly):
    """A buyer on the way to a subscription. The token in its address is the only key to it.

    While a payment is being decided, `quote` and `quoted_at` hold what was offered: exactly that is charged,
    subscribed to and invoiced, whatever is typed or repriced meanwhile.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        COMPLETED = "completed", "Completed"
        EXPIRED = "expired", "Expired"
        ABANDONED = "abandoned", "Abandoned"

    PEOPLE = {
        "email": Told(
            rest=("answers", "metadata", "routing"),
            needed=(
                Q(status="open", attempted_at__isnull=False),
                "A checkout of this person is being paid. Wait until it is decided.",
            ),
        )
    }
    # Money that arrives late still completes: the buyer has paid.
    MOVES = {
        "open": {"completed", "expired", "abandoned"},
        "expired": {"completed"},
        "abandoned": {"completed"},
        "completed": set(),
    }

    class Origin(models.TextChoices):
        LINK = "link", "Link"
        API = "api", "API"
        REP = "rep", "Sales rep"

    id = IdField("cs")
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    origin = models.CharField(max_length=4, choices=Origin.choices, default=Origin.LINK)
    livemode = models.BooleanField(default=False)
    test_clock = models.ForeignKey("billing.TestClock", models.PROTECT, null=True, blank=True)

    plan = models.ForeignKey(Plan, models.PROTECT)
    interval = models.CharField(max_length=10)
    quantity = models.PositiveIntegerField(default=1)
    currency = models.CharField(max_length=3, default="USD")
    trial_days = models.PositiveSmallIntegerField(null=True, blank=True)
    needs_card = models.BooleanField(
        default=True, db_default=True, help_text="no: while nothing is due today, no card is asked for"
    )
    discount = models.ForeignKey(Discount, models.PROTECT, null=True, blank=True)
    discount_held = models.BooleanField(default=False, help_text="a redemption is counted for this session")
    allow_promotion_codes = models.BooleanField(default=True)
    email = models.EmailField(blank=True)
    customer = models.ForeignKey(
        Customer, models.PROTECT, null=True, blank=True, related_name="checkout_sessions"
    )
    answers = models.JSONField(default=dict, help_text="everything that was typed, as it was typed")
    metadata = models.JSONField(default=dict, blank=True)
    success_url = models.CharField(max_length=500, blank=True)
    cancel_url = models.CharField(max_length=500, blank=True)

    routing = models.JSONField(default=dict, help_text="the last decision: outcome, rule, reasons, inputs")
    lead_id = models.CharField(max_length=60, blank=True)
    unlocked_by = models.CharField(max_length=120, blank=True, help_text="who let this buyer finish by card")
    unlocked_at = models.DateTimeField(null=True, blank=True)

    quote = models.JSONField(default=dict)
    quoted_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    card_token = models.CharField(max_length=100, blank=True, help_text="the provider's, never a card number")
    setup_id = models.CharField(max_length=100, blank=True, help_text="the provider's, while nothing is due")
    setup_url = models.CharField(max_length=500, blank=True)
    provider_customer_id = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=300, blank=True, help_text="why the last card was not charged")

    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True)
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True)
    created_at = models.DateTimeField(default=present)
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["subscription"], name="one_session_per_subscription"),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(status="open", attempted_at__isnull=False),
                name="one_paying_session_per_customer",
            ),
            models.CheckConstraint(
                condition=~Q(status="completed") | Q(subscription__isnull=False, customer__isnull=False),
                name="completed_sessions_have_a_subscription",
            ),
            models.CheckConstraint(
                condition=Q(test_clock__isnull=True) | Q(livemode=False), name="session_clock_only_in_sandbox"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="checkout_to_expire"),
            models.Index(
                fields=["attempted_at"],
                condition=Q(status="open", attempted_at__isnull=False),
                name="checkout_paying",
            ),
        ]
        permissions = [("unlock_checkout", "Can let a buyer who was sent to sales finish by card")]

    def __str__(self) -> str:
        return f"{self.plan} for {self.answers.get('company') or self.email or 'a visitor'}"

    @property
    def now(self) -> datetime:
        """The session's present: its test clock's, or the real one. For edges only."""
        return self.test_clock.now if self.test_clock else present()

    @property
    def url(self) -> str:
        return f"{settings.SITE_URL}/checkout/{self.token}/"


class Count(models.Model):
    """How often something was done from one place in one stretch of time."""

    key = models.CharField(max_length=200)
    begun = models.DateTimeField()
    times = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "begun"], name="count_once_per_stretch")]

    def __str__(self) -> str:
        return f"{self.key}: {self.times}"
