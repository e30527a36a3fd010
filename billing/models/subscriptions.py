"""A subscription is a timeline of phases that touch."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.db import models
from django.db.models import Func, Q, Value
from django.utils.timezone import now as present

from billing.maths.periods import local_date
from billing.models.catalogue import Plan, Price
from billing.models.customers import CollectionMethod, Customer, Motion
from billing.models.ids import IdField
from billing.models.reading import ReadPlainly


class DateRange(Func):
    function = "daterange"
    output_field = DateRangeField()


class Subscription(ReadPlainly):
    """One customer's agreement to one chain of plans; what it pays when is its timeline."""

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", "Incomplete"
        TRIALING = "trialing", "Trial"
        ACTIVE = "active", "Active"
        PAST_DUE = "past_due", "Past due"
        PAUSED = "paused", "Paused"
        CANCELED = "canceled", "Canceled"

    MOVES = {
        "incomplete": {"trialing", "active", "canceled"},
        "trialing": {"active", "past_due", "paused", "canceled"},
        "active": {"past_due", "paused", "canceled"},
        "past_due": {"active", "paused", "canceled"},
        "paused": {"active", "canceled"},
        "canceled": set(),
    }
    LIVE = ("trialing", "active", "past_due")

    id = IdField("sub")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="subscriptions")
    livemode = models.BooleanField(
        db_default=False, editable=False, help_text="the customer's; kept by a trigger"
    )
    test_clock = models.ForeignKey("billing.TestClock", models.PROTECT, null=True, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.INCOMPLETE)
    motion = models.CharField(max_length=20, choices=Motion.choices)
    origin = models.CharField(max_length=20, help_text="checkout, api, quote, portal, admin")
    source = models.CharField(max_length=60, null=True, blank=True)  # noqa: DJ001 - null keeps it unique
    currency = models.CharField(max_length=3)
    timezone = models.CharField(max_length=60, default="UTC")
    start_on = models.DateField()
    started_at = models.DateTimeField()
    trial_end_at = models.DateTimeField(null=True, blank=True)
    end_on = models.DateField(null=True, blank=True, help_text="first day without service")
    credit_unused = models.BooleanField(default=True)
    cancel_reason = models.CharField(max_length=300, blank=True)
    canceled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    contract_start_on = models.DateField(null=True, blank=True)
    contract_end_on = models.DateField(null=True, blank=True)
    auto_renew = models.BooleanField(default=True)
    renewal_months = models.PositiveSmallIntegerField(null=True, blank=True)
    billed_through = models.DateField(
        null=True, blank=True, help_text="everything due on or before this local day has been put on papers"
    )
    current_period_start = models.DateField(null=True, blank=True)
    current_period_end = models.DateField(null=True, blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    noticed_at = models.DateTimeField(
        null=True, blank=True, help_text="notices that were due up to here have been given"
    )
    next_notice_at = models.DateTimeField(null=True, blank=True)
    mrr = models.BigIntegerField(default=0)
    arr = models.BigIntegerField(default=0)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=present)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source"], name="subscription_once_per_source"),
            models.CheckConstraint(
                condition=Q(end_on__isnull=True) | Q(end_on__gte=models.F("start_on")),
                name="subscription_ends_after_start",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(livemode=False), name="subscription_in_sandbox"),
            models.Index(
                fields=["next_due_at", "id"],
                condition=Q(next_due_at__isnull=False),
                name="subscription_to_bill",
            ),
            models.Index(
                fields=["next_notice_at"],
                condition=Q(next_notice_at__isnull=False),
                name="subscription_to_notify",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer} · {self.pk}"

    @property
    def is_live(self) -> bool:
        return self.status in self.LIVE

    @property
    def free_until(self) -> date | None:
        """The first day of a running trial's that is paid for, where its customer is; None outside of a trial."""
        if self.status != self.Status.TRIALING or self.trial_end_at is None:
            return None
        return local_date(self.trial_end_at, self.timezone)

    # A change in the past opens the periods from this day again, for the next paper. Not stored.
    reopened_on: date | None = None


class Phase(ReadPlainly):
    """Plan, prices, quantities, discount, collection method and terms for a stretch `[start_on, end_on)`."""

    id = IdField("phase")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="phases")
    plan = models.ForeignKey(Plan, models.PROTECT)
    start_on = models.DateField()
    end_on = models.DateField(null=True, blank=True)
    anchor_on = models.DateField(help_text="periods are counted from here")
    starts_at = models.DateTimeField(
        null=True, blank=True, help_text="exact instant, where it is not midnight"
    )
    free = models.BooleanField(default=False, help_text="a trial or a pause: costs nothing")
    paused = models.BooleanField(default=False, db_default=False)
    prorate = models.BooleanField(
        default=True, db_default=True, help_text="no: its prices begin when the period paid for ends"
    )
    wishes = models.JSONField(
        null=True, blank=True, help_text="what differs from the phase before, for a phase that follows it"
    )
    collection_method = models.CharField(max_length=20, choices=CollectionMethod.choices)
    net_days = models.PositiveSmallIntegerField(null=True, blank=True)
    motion = models.CharField(max_length=20, choices=Motion.choices)
    discount = models.ForeignKey("billing.Discount", models.PROTECT, null=True, blank=True)
    source = models.CharField(
        max_length=60, blank=True, help_text="the quote, change or session that made it"
    )
    po_number = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["start_on", "end_on"]
        constraints = [
            ExclusionConstraint(
                name="phases_never_overlap",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (DateRange("start_on", "end_on"), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(end_on__isnull=True) | Q(end_on__gte=models.F("start_on")),
                name="phase_not_backwards",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} {self.start_on} – {self.end_on or '…'}"

    def covers(self, day: date) -> bool:
        return self.start_on <= day and (self.end_on is None or day < self.end_on)


class PhaseItem(ReadPlainly):
    """A price and how many of it."""

    phase = models.ForeignKey(Phase, models.CASCADE, related_name="items")
    price = models.ForeignKey(Price, models.PROTECT)
    quantity = models.DecimalField(max_digits=27, decimal_places=12, default=1)

    class Meta:
        ordering = ["id"]  # lines stand in it, and a shared discount's odd cents go to the earlier
        constraints = [
            models.UniqueConstraint(fields=["phase", "price"], name="price_once_per_phase"),
            models.CheckConstraint(
                condition=Q(quantity__gte=0) & Q(quantity__lte=1_000_000_000), name="quantity_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} × {self.price}"


class Discount(ReadPlainly):
    """A reduction of what a period costs. `amount_off` in minor units of `currency`.

    Several that hold at once are a row of their own, made when they are given: `parts` copies what each of them says,
    in the order in which they are taken off. It has no code, and no limits but those of its parts.
    """

    id = IdField("disc")
    code = models.CharField(max_length=60, null=True, blank=True, unique=True)
    label = models.CharField(max_length=100, blank=True)
    percent_off = models.DecimalField(max_digits=7, decimal_places=4, null=True, blank=True)
    amount_off = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    duration = models.CharField(
        max_length=10,
        choices=[("once", "Once"), ("repeating", "Several periods"), ("forever", "For ever")],
        default="forever",
    )
    periods = models.PositiveSmallIntegerField(null=True, blank=True)
    plans = models.ManyToManyField(Plan, blank=True)
    prices = ArrayField(
        models.CharField(max_length=60), blank=True, default=list, db_default=Value([], ArrayField(models.CharField())),
        help_text="codes of the prices that it is for, and those that take their places; without any, and without "
        "meters: all",
    )  # fmt: skip
    meters = ArrayField(
        models.CharField(max_length=40), blank=True, default=list, db_default=Value([], ArrayField(models.CharField())),
        help_text="ids of the meters whose usage it is for",
    )  # fmt: skip
    max_redemptions = models.PositiveIntegerField(null=True, blank=True)
    redemptions = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    parts = models.JSONField(
        default=list, blank=True, db_default=Value([], models.JSONField()), editable=False
    )
    created_at = models.DateTimeField(default=present)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(percent_off__gt=0, percent_off__lte=100, amount_off__isnull=True, parts=[])
                | Q(percent_off__isnull=True, amount_off__gt=0, parts=[])
                | Q(percent_off__isnull=True, amount_off__isnull=True) & ~Q(parts=[]),
                name="discount_percent_or_amount",
            ),
            models.CheckConstraint(
                condition=Q(max_redemptions__isnull=True) | Q(redemptions__lte=models.F("max_redemptions")),
                name="discount_redemptions_within_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.label or self.code or self.pk

    @property
    def was_given(self) -> bool:
        """What it takes off is somebody's terms then: the database keeps it (`discount_frozen`)."""
        return self.redemptions > 0 or self.phase_set.exists()

    SAID = ("label", "percent_off", "amount_off", "currency", "duration", "periods", "prices", "meters")

    @classmethod
    def together(cls, members: Sequence["Discount"]) -> "Discount | None":
        """One discount of several, in their order: the same row for the same ones. Not stored before `keep`."""
        if len(members) < 2:
            return members[0] if members else None
        named = uuid5(NAMESPACE_OID, " ".join(member.pk for member in members))
        made = cls(
            pk=f"disc_{named.hex}", label=" + ".join(str(member) for member in members)[:100], duration="forever",
            parts=[{"id": member.pk, **member._said()} for member in members],
        )  # fmt: skip
        made.members = list(members)
        return made

    def _said(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in self.SAID} | {"label": str(self)}
        return said | {"percent_off": None if self.percent_off is None else str(self.percent_off)}

    @cached_property
    def members(self) -> "list[Discount]":
        """The discounts that it is made of; itself, where it is one."""
        return [self._member(part) for part in self.parts] or [self]

    @staticmethod
    def _member(part: Mapping[str, Any]) -> "Discount":
        percent = part["percent_off"]
        said = {name: part[name] for name in Discount.SAID if name in part}
        return Discount(
            pk=part["id"], **said | {"percent_off": None if percent is None else Decimal(percent)}
        )

    def without(self, gone: Collection[str]) -> "Discount | None":
        """What is left when some of its members end."""
        kept = [member for member in self.members if member.pk not in gone]
        return self if len(kept) == len(self.members) else Discount.together(kept)

    def on(self, plan: Plan) -> "Discount | None":
        """What is left of it on a plan: its members that are for every plan, or for this one and something of it."""
        through = Discount.plans.through.objects.filter(discount__in=[member.pk for member in self.members])
        limited = set(through.values_list("discount_id", "plan_id"))
        elsewhere = {pk for pk, _ in limited} - {pk for pk, for_plan in limited if for_plan == plan.pk}
        return self.without(
            elsewhere | {member.pk for member in self.members if not member.reaches_something_of(plan)}
        )

    def reaches_something_of(self, plan: Plan) -> bool:
        """Whether the plan has, or had, a price that it is for."""
        if not (self.prices or self.meters):
            return True
        return plan.prices.filter(Q(code__in=self.prices) | Q(meter__in=self.meters)).exists()

    def keep(self) -> None:
        """Store what several make together, unless it is stored."""
        if self.parts and self._state.adding:
            Discount.objects.bulk_create([self], ignore_conflicts=True)
            self._state.adding = False


class MrrMovement(models.Model):
    """One change of a subscription's committed recurring revenue, written in the transaction that made it.

    Their sum up to an instant is the MRR (ARR) at that instant; amounts are minor units.
    """

    class Kind(models.TextChoices):
        NEW = "new", "New"
        EXPANSION = "expansion", "Expansion"
        CONTRACTION = "contraction", "Contraction"
        CHURN = "churn", "Churn"
        REACTIVATION = "reactivation", "Reactivation"

    class Cause(models.TextChoices):
        START = "start", "Start"
        SEATS = "seats", "Seats"
        PLAN = "plan", "Plan"
        PRICE = "price", "Price"
        END = "end", "End"

    id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="movements")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="movements", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(max_length=12, choices=Kind.choices)
    cause = models.CharField(max_length=6, choices=Cause.choices)
    motion = models.CharField(max_length=20, choices=Motion.choices)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True)
    seats = models.DecimalField(max_digits=27, decimal_places=12, null=True)
    mrr = models.BigIntegerField(help_text="change of MRR")
    arr = models.BigIntegerField(help_text="change of ARR")
    currency = models.CharField(max_length=3)
    livemode = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["livemode", "currency", "at"], name="movement_by_time"),
            models.Index(fields=["subscription", "id"], name="movement_by_subscription"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.mrr} {self.currency}"
