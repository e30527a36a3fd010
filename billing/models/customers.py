"""Who buys, who signs in, and which segment they are in."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser, Permission
from django.db import models
from django.db.models.functions import Lower
from django.utils.functional import cached_property
from django.utils.timezone import now as present

from billing.models.ids import IdField
from billing.models.people import Told
from billing.models.reading import ReadPlainly


class UserManager(BaseUserManager["User"]):
    """People are known by their e-mail address, whatever its case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password) if password else user.set_unusable_password()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A person who can sign in: staff of the seller, or a member of one or more customers."""

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField("e-mail", unique=True)
    name = models.CharField(max_length=200, blank=True)

    PEOPLE = {"email": Told(names=("name",))}
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    @cached_property
    def _perm_cache(self) -> set[str]:
        """Where Django's backends keep what somebody may do; filled by one statement, theirs takes two on every page."""
        return {f"{app}.{name}" for app, name in self.permissions}

    @property
    def permissions(self) -> models.QuerySet[Permission, tuple[str, str]]:
        """(app, codename) of everything that this person may do."""
        rows = Permission.objects.order_by().values_list("content_type__app_label", "codename")
        if self.is_superuser:
            return rows
        return rows.filter(user=self).union(rows.filter(group__user=self)).order_by()

    def may_do(self, names: Iterable[tuple[str, str]]) -> None:
        """Somebody has read `permissions` already."""
        self._perm_cache = {f"{app}.{name}" for app, name in names}

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class CollectionMethod(models.TextChoices):
    CHARGE_AUTOMATICALLY = "charge_automatically", "Card"
    SEND_INVOICE = "send_invoice", "Invoice"


class Motion(models.TextChoices):
    SELF_SERVE = "self_serve", "Self-serve"
    SALES_ASSISTED = "sales_assisted", "Sales-assisted"
    SALES_LED = "sales_led", "Sales-led"


class Segment(ReadPlainly):
    """A row of the segmentation table. `min_arr <= ARR < max_arr`, in minor units of the seller's currency."""

    code = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    min_arr = models.BigIntegerField()
    max_arr = models.BigIntegerField(null=True, blank=True)
    motion = models.CharField(max_length=20, choices=Motion.choices)
    allows_card = models.BooleanField(default=True)
    allows_invoice = models.BooleanField(default=True)
    sales_touch = models.CharField(
        max_length=10, choices=[("none", "None"), ("light", "Light"), ("high", "High")], default="none"
    )

    class Meta:
        ordering = ["min_arr"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(max_arr__isnull=True) | models.Q(max_arr__gt=models.F("min_arr")),
                name="segment_band_not_empty",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def holds(self, arr: int) -> bool:
        """Whether this yearly revenue lies in its band."""
        return self.min_arr <= arr and (self.max_arr is None or arr < self.max_arr)

    def allows(self, collection_method: str) -> bool:
        if collection_method == CollectionMethod.SEND_INVOICE:
            return self.allows_invoice
        return self.allows_card


class ExchangeRate(models.Model):
    """What one unit of a currency is worth to the seller from a day on. It puts customers in segments, and never
    touches a price or a paper."""

    currency = models.CharField(max_length=3)
    into = models.CharField(max_length=3, help_text="the seller's currency when it was typed")
    rate = models.DecimalField(max_digits=18, decimal_places=9, help_text="units of it for one of the other")
    since = models.DateField()

    class Meta:
        ordering = ["currency", "-since"]
        constraints = [
            models.UniqueConstraint(fields=["currency", "into", "since"], name="exchange_rate_once_a_day"),
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="exchange_rate_above_nothing"),
            models.CheckConstraint(
                condition=~models.Q(currency=models.F("into")), name="exchange_rate_between_two"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.words} from {self.since}"

    @property
    def words(self) -> str:
        return f"1 {self.currency} = {self.rate.normalize():f} {self.into}"


class WithoutLogo(models.Manager["Seller"]):
    """The bytes of the logo are read by whoever draws it, and by nobody else who wants the seller."""

    def get_queryset(self) -> models.QuerySet["Seller"]:
        return super().get_queryset().defer("logo")


class Seller(ReadPlainly):
    """The organisation that runs Tandem. One row; what papers print of it is copied into them."""

    name = models.CharField(max_length=200)
    legal_name = models.CharField(max_length=200)
    address = models.JSONField(default=dict)
    email = models.EmailField()
    phone = models.CharField(max_length=40, blank=True)
    website = models.CharField(max_length=200, blank=True)
    terms_url = models.CharField(
        "terms of service", max_length=500, blank=True, default="", db_default="",
        help_text="the page, https://…; buyers agree to it at checkout and by signing a quote; empty: no link",
    )  # fmt: skip
    privacy_url = models.CharField(
        "privacy policy", max_length=500, blank=True, default="", db_default="",
        help_text="the page, https://…; shown wherever somebody tells who they are; empty: no link",
    )  # fmt: skip
    tax_id = models.CharField(max_length=40, blank=True)
    registration = models.CharField(max_length=100, blank=True)
    bank_name = models.CharField(max_length=100, blank=True)
    iban = models.CharField(max_length=34, blank=True)
    bic = models.CharField(max_length=11, blank=True)
    footer = models.CharField(max_length=300, blank=True)
    logo = models.BinaryField(null=True, blank=True)
    # Tells that there is a logo, and which, without its bytes; kept by the database, whoever writes the logo.
    logo_hash = models.GeneratedField(
        expression=models.Func("logo", function="md5"), output_field=models.CharField(max_length=32), db_persist=True,
        null=True,
    )  # fmt: skip
    logo_tone = models.CharField(
        max_length=5, choices=[("light", "Light"), ("dark", "Dark")], blank=True, default="", db_default="",
        help_text="on a ground of this tone much of the logo cannot be seen",
    )  # fmt: skip
    currency = models.CharField(max_length=3, default="USD")
    timezone = models.CharField(max_length=60, default="UTC")
    net_days = models.PositiveSmallIntegerField(default=30)
    customers_may_pause = models.BooleanField(
        default=False, db_default=False, help_text="customers pause and resume their plan in the portal"
    )
    downgrades_at_once = models.BooleanField(
        default=False,
        db_default=False,
        help_text="less begins at once, and what was paid for is credited; else at the end of what is paid",
    )
    unpaid_end = models.CharField(
        max_length=13,
        choices=[
            ("nothing", "Nothing: somebody decides"),
            ("uncollectible", "Mark the invoice uncollectible"),
            ("pause", "Pause the subscription"),
            ("cancel", "Cancel the subscription"),
        ],
        default="uncollectible",
        db_default="uncollectible",
        help_text="what happens when the last reminder or retry has brought no money",
    )
    upgrade_alert_delta = models.BigIntegerField(
        default=50_000, help_text="MRR gain that alerts sales, minor units"
    )
    sign_off_over = models.BigIntegerField(
        null=True, blank=True, verbose_name="second person above",
        help_text="refunds to one customer within 30 days, and write-offs, above this need one; minor units; empty: none",
    )  # fmt: skip

    objects = WithoutLogo()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(pk=1), name="one_seller"),
            models.CheckConstraint(
                condition=models.Q(sign_off_over__isnull=True) | models.Q(sign_off_over__gte=0),
                name="sign_off_limit_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Standing(models.Manager["Customer"]):
    """Customers that were not deleted; what belonged to a deleted one still leads to its row."""

    def get_queryset(self) -> models.QuerySet["Customer"]:
        return super().get_queryset().filter(deleted_at__isnull=True)


class Customer(ReadPlainly):
    """A company (or person) that buys. A deleted one is an empty row that its events still point to."""

    id = IdField("cus")
    name = models.CharField(max_length=200)
    email = models.EmailField(max_length=254)
    external_id = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - null keeps it unique
    livemode = models.BooleanField(default=False)
    test_clock = models.ForeignKey("billing.TestClock", models.PROTECT, null=True, blank=True)
    currency = models.CharField(max_length=3, default="USD")
    country = models.CharField(max_length=2, blank=True)
    timezone = models.CharField(max_length=60, default="UTC")
    domain = models.CharField(max_length=253, blank=True, db_index=True)
    employees = models.PositiveIntegerField(null=True, blank=True)
    industry = models.CharField(max_length=80, blank=True)
    tax_id = models.CharField(max_length=40, blank=True)
    tax_exempt = models.BooleanField(default=False)
    billing_address = models.JSONField(default=dict, blank=True)
    net_days = models.PositiveSmallIntegerField(null=True, blank=True)
    collection_method = models.CharField(
        max_length=20, choices=CollectionMethod.choices, default=CollectionMethod.CHARGE_AUTOMATICALLY
    )
    consolidate_invoices = models.BooleanField(
        default=False,
        db_default=False,
        help_text="subscriptions that fall due on one day with the same terms share an invoice",
    )
    segment = models.ForeignKey(Segment, models.PROTECT, null=True, blank=True)
    segment_pinned_reason = models.CharField(max_length=300, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="owned_customers"
    )
    provider_id = models.CharField(max_length=100, blank=True)
    arr = models.BigIntegerField(default=0)
    mrr = models.BigIntegerField(default=0)
    balance = models.BigIntegerField(default=0)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=present)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The account that this one was joined with; what it bought and its papers stay its own.
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="joined", editable=False, db_index=False
    )
    merged_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = Standing()

    class Meta:
        constraints = [
            models.UniqueConstraint("livemode", "external_id", name="customer_external_id_once"),
            models.CheckConstraint(condition=models.Q(balance__gte=0), name="customer_balance_not_negative"),
            models.CheckConstraint(
                condition=models.Q(test_clock__isnull=True) | models.Q(livemode=False),
                name="clock_only_in_sandbox",
            ),
            models.CheckConstraint(
                condition=models.Q(merged_into__isnull=True, merged_at__isnull=True)
                | models.Q(merged_into__isnull=False, merged_at__isnull=False)
                & ~models.Q(merged_into=models.F("id")),
                name="customer_joined_with_another",
            ),
        ]
        indexes = [
            models.Index(Lower("email"), name="customer_email"),
            models.Index(fields=["id"], condition=models.Q(livemode=False), name="customer_in_sandbox"),
            models.Index(
                fields=["merged_into"],
                condition=models.Q(merged_into__isnull=False),
                name="customer_joined",
            ),
        ]
        permissions = [
            ("approve_payment_rule", "Can let a customer pay in a way its segment does not allow"),
            ("pin_segment", "Can pin a customer's segment"),
            ("consolidate_customer", "Can join two accounts of one company"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def account(self) -> "Customer":
        """Whom sales speaks with about it: itself, or the account that it was joined with."""
        return self.merged_into or self

    @property
    def now(self) -> datetime:
        """The customer's present: its test clock's, or the real one. For edges only."""
        return self.on_clock(present())

    def on_clock(self, now: datetime) -> datetime:
        """`now`, or the time of its test clock where it lives on one."""
        return self.test_clock.now if self.test_clock else now


class Member(models.Model):
    """A person with portal access to one customer."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        BILLING = "billing", "Billing"
        VIEWER = "viewer", "Viewer"

    id = IdField("mem")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    added_by = models.CharField(max_length=200, blank=True)
    added_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "user"], condition=models.Q(removed_at__isnull=True), name="member_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.customer}"


class SegmentChange(models.Model):
    """Each move of a customer between segments, kept for ever."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="segment_changes")
    before = models.ForeignKey(Segment, models.PROTECT, null=True, related_name="+")
    after = models.ForeignKey(Segment, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    why = models.CharField(max_length=300)

    def __str__(self) -> str:
        return f"{self.customer}: {self.before} → {self.after}"


class BalanceEntry(models.Model):
    """One movement of a customer's credit balance; `Customer.balance` is their sum."""

    id = IdField("bal")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="balance_entries")
    amount = models.BigIntegerField(help_text="minor units; positive adds credit")
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=200)
    invoice = models.ForeignKey("billing.Invoice", models.PROTECT, null=True, blank=True)
    payment = models.ForeignKey("billing.Payment", models.PROTECT, null=True, blank=True)
    credit_note = models.ForeignKey("billing.CreditNote", models.PROTECT, null=True, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.customer}: {self.amount} {self.currency}"


class SameAddress(models.Lookup):
    """`email__iexact=address`, by the indexes of addresses in small letters: Django's own compares capitals, which no
    index has, and so reads every row."""

    lookup_name = "iexact"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        address, given = self.process_rhs(compiler, connection)
        return f"lower({column}) = lower({address}::text)", (*params, *given)


for _model in (User, Customer):
    _model._meta.get_field("email").register_lookup(SameAddress)
