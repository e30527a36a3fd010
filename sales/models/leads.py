"""Who asked for sales, and whom sales would like to hear from."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now as present

from billing.models.ids import IdField
from billing.models.people import Told


class Lead(models.Model):
    """Somebody who asked for sales before being a customer."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        QUALIFIED = "qualified", "Qualified"
        CONVERTED = "converted", "Converted"
        CLOSED = "closed", "Closed"

    PEOPLE = {"email": Told(names=("name",), rest=("need",))}
    MOVES = {
        "open": {"qualified", "converted", "closed"},
        "qualified": {"converted", "closed"},
        "closed": {"open"},
        "converted": set(),
    }

    id = IdField("lead")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    livemode = models.BooleanField(default=False)
    name = models.CharField(max_length=200)
    email = models.EmailField("e-mail", max_length=254)
    company = models.CharField(max_length=200)
    employees = models.PositiveIntegerField(null=True, blank=True)
    country = models.CharField(max_length=2, blank=True)
    state = models.CharField(
        "state or province", max_length=100, blank=True, db_default="",
        help_text="as typed; taxes of a quote may depend on it",
    )  # fmt: skip
    industry = models.CharField(max_length=80, blank=True)
    need = models.TextField(max_length=4000, blank=True)
    demo_wanted = models.BooleanField(default=False)
    demo_done_at = models.DateTimeField(null=True, blank=True)
    plan_code = models.CharField(max_length=50, blank=True)
    seats = models.PositiveIntegerField(null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="owned_leads"
    )
    source = models.CharField(
        max_length=60, default="contact_form", help_text="contact_form, checkout, api, portal, admin"
    )
    customer = models.ForeignKey(
        "billing.Customer", models.PROTECT, null=True, blank=True, related_name="leads"
    )
    created_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="converted") | Q(customer__isnull=False),
                name="converted_lead_has_customer",
            )
        ]
        indexes = [models.Index(fields=["email"], name="lead_by_email")]

    def __str__(self) -> str:
        return f"{self.name} · {self.company}"

    @property
    def address(self) -> dict[str, str]:
        """What is known of it, in the words of a customer's `billing_address`."""
        parts = {"state": self.state, "country": self.country}
        return {name: part for name, part in parts.items() if part}

    @property
    def now(self) -> datetime:
        """The real present, or the test clock's of the customer that it is already. For edges only."""
        return self.customer.now if self.customer else present()


class TargetDomain(models.Model):
    """A company that sales wants to hear from the moment it signs up. Its sub-domains count too."""

    domain = models.CharField(max_length=253, unique=True)
    note = models.CharField(max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    added_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["domain"]
        constraints = [
            models.CheckConstraint(
                condition=Q(domain__regex=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"),
                name="target_domain_is_a_lower_case_domain",
            )
        ]

    def __str__(self) -> str:
        return self.domain


class TargetProfile(models.Model):
    """Firmographics that sales looks for: what is given must all match; `max_employees` is included."""

    name = models.CharField(max_length=100, unique=True)
    industry = models.CharField(max_length=80, blank=True)
    min_employees = models.PositiveIntegerField(null=True, blank=True)
    max_employees = models.PositiveIntegerField(null=True, blank=True)
    added_at = models.DateTimeField(default=present)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(industry="") | Q(min_employees__isnull=False) | Q(max_employees__isnull=False),
                name="target_profile_says_something",
            ),
            models.CheckConstraint(
                condition=Q(min_employees__isnull=True)
                | Q(max_employees__isnull=True)
                | Q(max_employees__gte=models.F("min_employees")),
                name="target_profile_sizes_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def matches(self, industry: str, employees: int | None) -> bool:
        if self.industry and self.industry.casefold() != industry.strip().casefold():
            return False
        if self.min_employees is None and self.max_employees is None:
            return True
        if employees is None:
            return False
        return (self.min_employees or 0) <= employees <= (self.max_employees or employees)
