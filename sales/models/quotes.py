"""Quotes: what is proposed, who has to agree to it, and what was signed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.crypto import get_random_string
from django.utils.timezone import now as present

from billing.maths.periods import Interval, local_date
from billing.models.ids import IdField
from billing.models.people import Told


def link_nonce() -> str:
    return get_random_string(22)


OUT = ("sent", "viewed")


def open_at(now: Any) -> Q:
    """Quotes that can be accepted at `now` (a datetime or an expression); on a test clock, at its time."""
    real = Q(customer__test_clock__isnull=True, expires_at__gt=now)
    return Q(state__in=OUT) & (real | Q(customer__test_clock__now__lt=F("expires_at")))


def lapsed_at(now: Any) -> Q:
    """Quotes whose last day is over at `now`, which nobody has written down yet."""
    real = Q(customer__test_clock__isnull=True, expires_at__lte=now)
    return Q(state__in=OUT) & (real | Q(customer__test_clock__now__gte=F("expires_at")))


class Quote(models.Model):
    """One version of a priced proposal. Amounts are minor units of `currency`, without tax unless named.

    Versions of one quote share the number; a newer version closes the older one's link. A version may offer up to
    three options: rows that share number and version too, of which the buyer accepts one.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_APPROVAL = "in_approval", "In approval"
        APPROVED = "approved", "Approved"
        SENT = "sent", "Sent"
        VIEWED = "viewed", "Viewed"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"
        EXPIRED = "expired", "Expired"
        WITHDRAWN = "withdrawn", "Withdrawn"
        CONVERTED = "converted", "Converted"

    class Starts(models.TextChoices):
        NOW = "now", "When accepted"
        PERIOD_END = "period_end", "At the end of the paid period"
        CONTRACT_END = "contract_end", "At the end of the contract"
        DATE = "date", "On a date"

    PEOPLE = {
        "contact_email": Told(
            names=("contact_name",),
            rest=("decline_reason",),
            needed=(
                open_at(Now()),
                "A quote to this person is out. Withdraw it, or send it to somebody else, first.",
            ),
        ),
        "accepted_email": Told(
            names=("accepted_name", "accepted_signature"),
            rest=("accepted_title", "accepted_ip", "accepted_user_agent"),
        ),
    }
    STATE_FIELD = "state"
    MOVES = {
        "draft": {"in_approval", "approved", "withdrawn"},
        "in_approval": {"approved", "draft", "withdrawn"},
        "approved": {"sent", "draft", "withdrawn"},
        "sent": {"viewed", "accepted", "declined", "expired", "withdrawn"},
        "viewed": {"accepted", "declined", "expired", "withdrawn"},
        "accepted": {"converted"},
        "declined": set(),
        "expired": set(),
        "withdrawn": set(),
        "converted": set(),
    }
    EDITABLE = ("draft", "in_approval", "approved")
    OUT = OUT
    # Several at once are held in this order.
    IN_ORDER = ("number", "version", "option")
    OPTIONS = "ABC"
    # The other rows of its number, where they were read with it.
    family: "Sequence[Quote] | None" = None
    # One row for each version, where a quote is to be shown or counted once.
    FIRST = ("", "A")

    id = IdField("quote")
    number = models.CharField(max_length=20)
    version = models.PositiveSmallIntegerField(default=1)
    revision_of = models.OneToOneField(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="revision",
        help_text="the version it replaces",
    )
    option = models.CharField(
        max_length=1, blank=True, default="", help_text="A, B or C; none where there is nothing to choose"
    )
    option_name = models.CharField(max_length=60, blank=True, default="")
    recommended = models.BooleanField(default=False)
    state = models.CharField(max_length=11, choices=State.choices, default=State.DRAFT)
    customer = models.ForeignKey(
        "billing.Customer", models.PROTECT, null=True, blank=True, related_name="quotes"
    )
    lead = models.ForeignKey("sales.Lead", models.PROTECT, null=True, blank=True, related_name="quotes")
    livemode = models.BooleanField(db_default=False, editable=False, help_text="theirs; kept by a trigger")
    deal = models.ForeignKey("sales.Deal", models.PROTECT, null=True, blank=True, related_name="quotes")
    task = models.ForeignKey(
        "sales.HandoffTask", models.SET_NULL, null=True, blank=True, related_name="quotes"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="owned_quotes"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="created_quotes"
    )

    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    # What is proposed
    title = models.CharField(max_length=200, blank=True)
    contact_name = models.CharField(max_length=200, blank=True)
    contact_email = models.EmailField("contact e-mail", max_length=254, blank=True)
    currency = models.CharField(max_length=3, default="USD")
    plan = models.ForeignKey("billing.Plan", models.PROTECT)
    interval = models.CharField(
        max_length=10,
        choices=[(i.value, i.value.replace("_", " ")) for i in Interval],
        default=Interval.YEAR.value,
    )
    discount_percent = models.DecimalField(max_digits=7, decimal_places=4, null=True, blank=True)
    discount_amount = models.BigIntegerField(
        null=True, blank=True, help_text="minor units off each recurring invoice"
    )
    escalator_percent = models.DecimalField(
        max_digits=7, decimal_places=4, null=True, blank=True, help_text="prices rise by this each year"
    )
    term_months = models.PositiveSmallIntegerField(default=12)
    auto_renew = models.BooleanField(default=True)
    collection_method = models.CharField(
        max_length=20,
        choices=[("send_invoice", "Invoice"), ("charge_automatically", "Card")],
        default="send_invoice",
    )
    net_days = models.PositiveSmallIntegerField(default=30)
    starts = models.CharField(max_length=12, choices=Starts.choices, default=Starts.NOW)
    starts_on = models.DateField(
        null=True, blank=True, help_text="with “on a date”; else known on acceptance"
    )
    notes = models.TextField(max_length=4000, blank=True, help_text="printed on the quote")
    internal_notes = models.TextField(max_length=4000, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    history = models.JSONField(
        default=dict,
        blank=True,
        help_text="what it was made from: plan, seats, ARR and twelve months of usage",
    )

    # What it comes to; stored by `sales.quoting` whenever the proposal changes
    list_total = models.BigIntegerField(default=0)
    discount_total = models.BigIntegerField(default=0)
    mrr = models.BigIntegerField(default=0)
    arr = models.BigIntegerField(default=0)
    acv = models.BigIntegerField(default=0)
    tcv = models.BigIntegerField(default=0)
    tax_total = models.BigIntegerField(default=0)
    schedule = models.JSONField(
        default=list, blank=True, help_text="[{date, amount, tax, total, words}] of every invoice of the term"
    )

    # What happened to it
    paper = models.JSONField(default=dict, blank=True, help_text="what the document that was sent says")
    link_nonce = models.CharField(max_length=22, default=link_nonce, editable=False)
    document = models.ForeignKey("billing.Document", models.PROTECT, null=True, blank=True, related_name="+")
    signed_document = models.ForeignKey(
        "billing.Document", models.PROTECT, null=True, blank=True, related_name="+"
    )
    subscription = models.ForeignKey(
        "billing.Subscription", models.PROTECT, null=True, blank=True, related_name="quotes"
    )
    created_at = models.DateTimeField(default=present)
    submitted_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    viewed_at = models.DateTimeField(null=True, blank=True)
    declined_at = models.DateTimeField(null=True, blank=True)
    decline_reason = models.CharField(max_length=1000, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    converted_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_name = models.CharField(max_length=200, blank=True)
    accepted_title = models.CharField(max_length=200, blank=True)
    accepted_email = models.EmailField(max_length=254, blank=True)
    accepted_signature = models.CharField(max_length=200, blank=True, help_text="as typed")
    accepted_ip = models.GenericIPAddressField(null=True, blank=True)
    accepted_user_agent = models.CharField(max_length=400, blank=True)
    accepted_sha256 = models.CharField(max_length=64, blank=True, help_text="of the paper that was shown")
    accepted_terms_url = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="the seller's terms of service when it was signed",
    )
    po_number = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["number", "version", "option"], name="quote_option_once"),
            models.UniqueConstraint(
                fields=["number", "version"],
                condition=Q(recommended=True),
                name="quote_recommends_one_option",
            ),
            models.CheckConstraint(
                condition=Q(option__in=["A", "B", "C"]) | Q(option="", recommended=False, option_name=""),
                name="quote_option_sane",
            ),
            models.UniqueConstraint(
                fields=["number"],
                condition=Q(state__in=["accepted", "converted"]),
                name="quote_accepted_at_most_once",
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(state="accepted", subscription__isnull=False),
                name="one_accepted_quote_waits_per_subscription",
            ),
            models.CheckConstraint(
                condition=Q(customer__isnull=False) | Q(lead__isnull=False), name="quote_is_for_somebody"
            ),
            models.CheckConstraint(
                condition=Q(discount_percent__isnull=True) | Q(discount_amount__isnull=True),
                name="quote_discount_percent_or_amount",
            ),
            models.CheckConstraint(
                condition=Q(discount_percent__isnull=True)
                | Q(discount_percent__gte=0, discount_percent__lte=100),
                name="quote_discount_sane",
            ),
            models.CheckConstraint(
                condition=Q(discount_amount__isnull=True) | Q(discount_amount__gte=0),
                name="quote_discount_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(escalator_percent__isnull=True)
                | Q(escalator_percent__gte=0, escalator_percent__lte=100),
                name="quote_escalator_sane",
            ),
            models.CheckConstraint(
                condition=~Q(starts="date") | Q(starts_on__isnull=False),
                name="quote_starting_on_a_date_has_one",
            ),
            models.CheckConstraint(
                condition=Q(term_months__gte=1, term_months__lte=120), name="quote_term_sane"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["accepted", "converted"])
                | Q(accepted_at__isnull=False, subscription__isnull=False, signed_document__isnull=False)
                & ~Q(accepted_name="")
                & ~Q(accepted_sha256=""),
                name="accepted_quote_is_signed",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["sent", "viewed", "accepted", "converted"])
                | Q(document__isnull=False),
                name="sent_quote_has_its_paper",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(livemode=False), name="quote_in_sandbox"),
            models.Index(fields=["customer", "-created_at"], name="quote_by_customer"),
            models.Index(fields=["expires_at"], condition=Q(state__in=["sent", "viewed"]), name="quote_out"),
        ]
        permissions = [
            ("send_quote", "Can send, revise and withdraw quotes"),
            ("approve_quote", "Can approve quotes as a manager"),
            ("approve_quote_as_director", "Can approve quotes as a director"),
        ]

    def __str__(self) -> str:
        text = f"{self.number} v{self.version}" if self.version > 1 else self.number
        return f"{text} {self.option}".strip()

    @property
    def state_for_buyer(self) -> str:
        """The state in the buyer's words: that it was read, or has become a subscription, is the seller's affair."""
        words = {self.State.SENT: "Open", self.State.VIEWED: "Open", self.State.CONVERTED: "Accepted"}
        return words.get(self.standing, self.standing.label)

    def standing_at(self, now: datetime) -> State:
        """The state as everybody is told it: expired from the moment on that its last day is over, whenever the job
        comes that writes it down."""
        if self.state in self.OUT and self.expires_at is not None and self.expires_at <= now:
            return self.State.EXPIRED
        return self.State(self.state)

    @property
    def standing(self) -> State:
        """`standing_at` the buyer's present. For edges only."""
        return self.standing_at(self.now) if self.state in self.OUT else self.State(self.state)

    @classmethod
    def standing_as(cls, state: str, now: datetime) -> Q:
        """Quotes whose `standing_at` is this."""
        if state in cls.OUT:
            return Q(state=state) & open_at(now)
        return Q(state=state) | lapsed_at(now) if state == cls.State.EXPIRED else Q(state=state)

    @property
    def last_moment(self) -> datetime | None:
        """The last at which it can be accepted: an expiry at midnight belongs to the day before."""
        return self.expires_at and self.expires_at - timedelta(microseconds=1)

    def last_day(self, zone: str) -> date | None:
        return self.last_moment and local_date(self.last_moment, zone)

    @property
    def option_words(self) -> str:
        """“Option B: three years”; "" for a quote without options."""
        if not self.option:
            return ""
        return f"Option {self.option}: {self.option_name}" if self.option_name else f"Option {self.option}"

    @classmethod
    def joined(cls) -> models.QuerySet["Quote"]:
        """Rows with what pages, papers and figures need of others; not the papers themselves."""
        rows = cls.objects.select_related(
            "customer__test_clock", "lead", "plan", "owner", "deal", "task", "document", "signed_document",
            "subscription__customer__test_clock",
        )  # fmt: skip
        return rows.defer("document__content", "signed_document__content")

    def options(self, *, held: Sequence[str] = ()) -> list["Quote"]:
        """Every option of this version by letter, or this quote alone: `joined` rows, fresh unless they came with it.

        `held`: what is kept until the transaction ends, in this order. "lead", "self" of a quote for a lead: with it all
        the lead's quotes, which go where it goes. Else "self" and, where there is one, "customer", then "subscription".
        """
        if self.family is not None and not held:
            mine_too = [each for each in self.family if each.version == self.version]
            return sorted([self, *mine_too], key=lambda each: each.option)
        mine = {"number": self.number, "version": self.version} if self.option else {"pk": self.pk}
        wanted = {"lead": self.lead_id} if "lead" in held else mine
        rows = Quote.joined().filter(**wanted).order_by(*self.IN_ORDER)
        for other in {*held} - {"self"}:
            rows = rows.filter(**{f"{other}__created_at__isnull": False})  # an outer join cannot be held
        found = rows.select_for_update(of=held, no_key=len(held) > 1) if held else rows
        return [each for each in found if all(getattr(each, name) == value for name, value in mine.items())]

    @staticmethod
    def leading(options: Sequence["Quote"]) -> "Quote":
        """The one that stands for all of them: the recommended, else the first."""
        return next((each for each in options if each.recommended), options[0])

    @property
    def now(self) -> datetime:
        """The buyer's present: the customer's test clock, or the real one. For edges only."""
        return self.customer.now if self.customer else present()

    @property
    def buyer_name(self) -> str:
        if self.customer:
            return self.customer.name
        return self.lead.company if self.lead else ""

    @property
    def editable(self) -> bool:
        return self.state in self.EDITABLE

    @property
    def token(self) -> str:
        """The secret part of the buyer's link. Nothing stored can make it without the site's secret key."""
        return f"{self.pk.removeprefix('quote_')}.{_signer().signature(self._link_value)}"

    @property
    def url(self) -> str:
        return f"{settings.SITE_URL}/quotes/{self.token}/"

    @property
    def _link_value(self) -> str:
        return f"{self.pk}.{self.version}.{self.link_nonce}"

    def opens_with(self, token: str) -> bool:
        signature = token.partition(".")[2]
        try:
            _signer().unsign(f"{self._link_value}:{signature}")
        except signing.BadSignature:
            return False
        return True


def _signer() -> signing.Signer:
    return signing.Signer(salt="sales.quote.link")


class QuoteLine(models.Model):
    """A price and how many of it (of usage: how much is committed each period, 0 for none); a one-time fee may stand
    without a price of the catalogue."""

    class Kind(models.TextChoices):
        RECURRING = "recurring", "Recurring"
        USAGE = "usage", "Usage"
        ONE_TIME = "one_time", "One-time"

    quote = models.ForeignKey(Quote, models.CASCADE, related_name="lines")
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.RECURRING)
    price = models.ForeignKey("billing.Price", models.PROTECT, null=True, blank=True)
    description = models.CharField(max_length=200)
    quantity = models.DecimalField(max_digits=27, decimal_places=12, default=1)
    unit_amount = models.DecimalField(
        "list price",
        max_digits=27,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="major units; none for tiers",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["quote", "price"], condition=Q(price__isnull=False), name="price_once_per_quote"
            ),
            models.CheckConstraint(
                condition=Q(price__isnull=False) | Q(kind="one_time", unit_amount__gte=0),
                name="only_fees_stand_without_a_price",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=0) & Q(quantity__lte=1_000_000_000), name="quote_quantity_sane"
            ),
        ]

    def __str__(self) -> str:
        return self.description


class QuoteRamp(models.Model):
    """A year of the term that differs in seats or discount from the year before it."""

    quote = models.ForeignKey(Quote, models.CASCADE, related_name="ramp")
    year = models.PositiveSmallIntegerField()
    quantity = models.DecimalField(max_digits=27, decimal_places=12, null=True, blank=True)
    discount_percent = models.DecimalField(max_digits=7, decimal_places=4, null=True, blank=True)

    class Meta:
        ordering = ["year"]
        constraints = [
            models.UniqueConstraint(fields=["quote", "year"], name="ramp_year_once"),
            models.CheckConstraint(condition=Q(year__gte=1, year__lte=10), name="ramp_year_sane"),
            models.CheckConstraint(
                condition=Q(quantity__isnull=True) | Q(quantity__gt=0, quantity__lte=1_000_000_000),
                name="ramp_quantity_sane",
            ),
            models.CheckConstraint(
                condition=Q(discount_percent__isnull=True)
                | Q(discount_percent__gte=0, discount_percent__lte=100),
                name="ramp_discount_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"year {self.year}"


class QuoteComment(models.Model):
    """What the buyer and the seller said about a version."""

    quote = models.ForeignKey(Quote, models.CASCADE, related_name="comments")
    by_buyer = models.BooleanField(default=False)
    author = models.CharField(max_length=200)
    text = models.TextField(max_length=4000)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"


class Role(models.TextChoices):
    MANAGER = "manager", "Sales manager"
    DIRECTOR = "director", "Director"


class ApprovalRule(models.Model):
    """When a quote needs somebody's approval: its measure lies over the limit, or it is for the plan."""

    class Measure(models.TextChoices):
        DISCOUNT = "discount_percent", "Discount, %"
        TCV = "tcv", "Contract value, major units"
        TERM = "term_months", "Term, months"
        NET_DAYS = "net_days", "Payment terms, days"
        PLAN = "plan", "Plan"
        PAYMENT = "payment_rule", "Payment that the segment does not allow"

    name = models.CharField(max_length=100)
    measure = models.CharField(max_length=16, choices=Measure.choices)
    over = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    plan = models.ForeignKey("billing.Plan", models.CASCADE, null=True, blank=True)
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MANAGER)
    step = models.PositiveSmallIntegerField(
        default=1, help_text="asked when every lower step has agreed; the same step is asked together"
    )
    enabled = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="approval_rule_name_once"),
            models.CheckConstraint(
                condition=Q(measure="payment_rule")
                | Q(measure="plan", plan__isnull=False)
                | ~Q(measure__in=["plan", "payment_rule"]) & Q(over__isnull=False),
                name="approval_rule_has_its_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ApprovalDelegate(models.Model):
    """Somebody decides in a colleague's place for some days, both included."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="delegates")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="delegated_by")
    since = models.DateField()
    until = models.DateField()

    class Meta:
        ordering = ["-until", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(until__gte=models.F("since")), name="delegation_days_in_order"
            ),
            models.CheckConstraint(
                condition=~Q(person=models.F("delegate")), name="nobody_delegates_to_themselves"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.person}"


class Approval(models.Model):
    """One agreement that a quote needs, and how it was decided. An edit voids it."""

    class Decision(models.TextChoices):
        WAITING = "waiting", "Waiting"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        VOID = "void", "Void"

    quote = models.ForeignKey(Quote, models.CASCADE, related_name="approvals")
    rule = models.ForeignKey(ApprovalRule, models.PROTECT)
    words = models.CharField(max_length=200, help_text="the rule and the figure that met it")
    needed_role = models.CharField(max_length=8, choices=Role.choices)
    step = models.PositiveSmallIntegerField(default=1)
    decision = models.CharField(max_length=8, choices=Decision.choices, default=Decision.WAITING)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="quote_approvals"
    )
    note = models.CharField(max_length=1000, blank=True)
    asked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["asked_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(decision__in=["approved", "rejected"])
                | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="decided_approval_says_who",
            ),
            models.UniqueConstraint(
                fields=["quote", "rule"], condition=Q(decision="waiting"), name="approval_asked_once"
            ),
        ]

    def __str__(self) -> str:
        return self.words
