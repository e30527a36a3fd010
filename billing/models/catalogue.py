"""What is sold: plans, their prices, what they entitle to, and the meters and taxes behind them."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from billing.maths import pricing
from billing.maths.periods import Interval
from billing.maths.tax import InvalidTaxRate, Tax
from billing.maths.tax import TaxRate as TaxValue
from billing.models.customers import Motion
from billing.models.ids import IdField
from billing.models.reading import ReadPlainly


class Meter(models.Model):
    """Turns usage events into a quantity."""

    class Aggregation(models.TextChoices):
        COUNT = "count", "Count"
        SUM = "sum", "Sum"
        MAX = "max", "Maximum"
        LAST = "last", "Last value"
        UNIQUE = "unique", "Unique values"

    id = IdField("meter")
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    unit = models.CharField(max_length=40, blank=True, help_text="e.g. API calls")
    event_name = models.CharField(max_length=100, db_index=True)
    aggregation = models.CharField(max_length=10, choices=Aggregation.choices, default=Aggregation.SUM)
    property = models.CharField(max_length=100, blank=True, default="value")

    def __str__(self) -> str:
        return self.name


TAX_CATEGORY = "what it is for in terms of tax: the word that tax rates name"


class TaxRate(ReadPlainly):
    """A tax, where it applies and for what. `category` is the EN 16931 code of the VAT category, `product_category`
    the seller's own word for a kind of product; without one it is for everything that has no rate of its own.

    `taxes`: what it is made of, where that is several: [{"name", "percentage", "compound"}] in their order, the
    percentages as text. `percentage` is then what they come to."""

    id = IdField("tax")
    name = models.CharField(max_length=100, help_text="as papers print it: VAT, GST, Sales tax")
    percentage = models.DecimalField(max_digits=7, decimal_places=4)
    country = models.CharField(max_length=2, blank=True, help_text="without one: wherever no other is set")
    state = models.CharField(
        max_length=60,
        blank=True,
        db_default="",
        help_text="of the country: a state, province or region; blank: all",
    )
    taxes = models.JSONField(default=list, blank=True, db_default=models.Value([], models.JSONField()))
    product_category = models.SlugField(
        max_length=40, blank=True, db_default="", help_text="for prices of this tax category; blank: for all"
    )
    inclusive = models.BooleanField(default=False, db_default=False, help_text="prices contain this tax")
    category = models.CharField(max_length=2, default="S", help_text="the code of EN 16931: S, Z, E …")
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(percentage__gte=0, percentage__lte=100), name="tax_percentage_sane"
            ),
            models.UniqueConstraint(
                fields=["country", "state", "product_category"],
                condition=models.Q(active=True),
                name="one_active_tax_rate_per_place_and_category",
            ),
        ]

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.country, self.state)))
        rate = f" {self.percentage.normalize():f} %" if self.percentage is not None else ""
        return f"{self.name}{rate}{f', {place}' if place else ''}"

    @property
    def parts(self) -> tuple[Tax, ...]:
        """The taxes that are charged, in their order; none where nothing is."""
        if self.taxes:
            return tuple(map(Tax.from_json, self.taxes))
        return (Tax(self.name, self.percentage),) if self.percentage else ()

    def clean(self) -> None:
        """The percentage and its code go together, as invoices need them."""
        if self.percentage is None:
            return
        try:
            TaxValue("", self.percentage, category=self.category, taxes=self.parts)
        except InvalidTaxRate as error:
            field, _, words = str(error).partition(": ")
            raise ValidationError({field: words}) from None
        if not self.percentage and self.category == "S":
            raise ValidationError(
                {"category": "Nothing is charged: Z (zero rated), E (exempt) or O (no tax there)."}
            )


class Plan(ReadPlainly):
    """A named offer that groups prices."""

    id = IdField("plan")
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    tagline = models.CharField(max_length=200, blank=True)
    highlights = models.JSONField(default=list, blank=True, help_text="lines shown on the pricing page")
    motion = models.CharField(max_length=20, choices=Motion.choices, default=Motion.SELF_SERVE)
    published = models.BooleanField(default=False)
    quote_only = models.BooleanField(default=False)
    requires_demo = models.BooleanField(default=False)
    rank = models.PositiveSmallIntegerField(default=0, help_text="a higher rank is an upgrade")
    trial_days = models.PositiveSmallIntegerField(default=0)
    trial_needs_card = models.BooleanField(
        default=True,
        db_default=True,
        help_text="no: a trial begins without a card; it is asked for at the end",
    )
    tax_category = models.SlugField(max_length=40, blank=True, db_default="", help_text=TAX_CATEGORY)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["rank"]

    def __str__(self) -> str:
        return self.name

    @property
    def self_serve(self) -> bool:
        """May a buyer check out with it alone, by card?"""
        return self.published and self.motion == Motion.SELF_SERVE and not self.quote_only


class Price(ReadPlainly):
    """One way of charging. A price that was ever used is never edited; a new one replaces it (trigger)."""

    id = IdField("price")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="prices")
    code = models.SlugField(max_length=60)
    label = models.CharField(max_length=100, blank=True)
    kind = models.CharField(
        max_length=10,
        choices=[
            ("recurring", "Recurring"),
            ("usage", "Usage"),
            ("one_time", "One-time"),
            ("minimum", "Minimum spend"),
        ],
        default="recurring",
    )
    model = models.CharField(max_length=12, choices=[(m.value, m.value) for m in pricing.PriceModel])
    interval = models.CharField(  # noqa: DJ001 - a one-time price has none
        max_length=10,
        choices=[(i.value, i.value.replace("_", " ")) for i in Interval],
        null=True,
        blank=True,
    )
    currency = models.CharField(max_length=3, default="USD")
    unit_amount = models.DecimalField(max_digits=27, decimal_places=12, default=0, help_text="major units")
    tiers = models.JSONField(default=list, blank=True)
    per_transaction = models.JSONField(
        null=True,
        blank=True,
        help_text="of a percentage: what is taken of every single event; decimals as texts",
    )
    package_size = models.DecimalField(max_digits=27, decimal_places=12, null=True, blank=True)
    included = models.DecimalField(max_digits=27, decimal_places=12, default=0)
    included_in_trial = models.DecimalField(
        max_digits=27, decimal_places=12, null=True, blank=True,
        help_text="units of a trial that cost nothing; blank: all of them",
    )  # fmt: skip
    billed = models.CharField(
        max_length=7, choices=[("advance", "In advance"), ("arrears", "In arrears")], default="advance"
    )
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, blank=True)
    minimum = models.DecimalField(max_digits=27, decimal_places=12, null=True, blank=True)
    maximum = models.DecimalField(max_digits=27, decimal_places=12, null=True, blank=True)
    prorate = models.BooleanField(default=True)
    tax_category = models.SlugField(
        max_length=40, blank=True, db_default="", help_text=f"{TAX_CATEGORY}; blank: the plan's"
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["plan", "kind", "created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "code"], condition=models.Q(active=True), name="price_code_once_per_plan"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="usage", meter__isnull=False)
                | (~models.Q(kind="usage") & models.Q(meter__isnull=True)),
                name="usage_prices_and_only_they_have_a_meter",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="one_time") | models.Q(interval__isnull=False),
                name="recurring_needs_interval",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} · {self.label or self.code}"

    def clean(self) -> None:
        """A form says what is wrong with the terms before they are stored."""
        self.__dict__.pop("value", None)
        try:
            _ = self.value
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            field, _, words = str(error).partition(": ")
            if words and field in {each.name for each in self._meta.fields}:
                raise ValidationError({field: words[0].upper() + words[1:]}) from None
            raise ValidationError(str(error) or "The terms contradict each other.") from None

    @cached_property
    def value(self) -> pricing.Price:
        """The pure value that `billing.maths` computes with."""
        terms = {
            "id": self.pk, "kind": self.kind, "model": self.model, "interval": self.interval,
            "currency": self.currency, "unit_amount": self.unit_amount, "tiers": self.tiers,
            "package_size": self.package_size, "included": self.included, "billed": self.billed,
            "meter": self.meter_id, "minimum": self.minimum, "maximum": self.maximum,
            "prorate": self.prorate, "label": self.label, "included_in_trial": self.included_in_trial,
            "per_transaction": self.per_transaction, "code": self.code,
        }  # fmt: skip
        return _valued(_Terms(repr(terms), terms))


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of a price, told from others by their text: lists among them could be changed in place."""

    text: str
    row: dict[str, Any] = field(compare=False)


@lru_cache(maxsize=4096)
def _valued(terms: _Terms) -> pricing.Price:
    """Worked out once for all rows that say the same, whichever request reads them."""
    return _one(price_value(terms.row))


@lru_cache(maxsize=4096)
def _one(price: pricing.Price) -> pricing.Price:
    """Equal values are one object, whenever they were read: a billing run compares them over and over."""
    return price


def price_value(row: dict) -> pricing.Price:
    """A pure price from a row of the price table (`tiers` as stored: decimal strings)."""
    tiers = tuple(
        pricing.Tier(
            up_to=None if t.get("up_to") is None else Decimal(t["up_to"]),
            unit_amount=Decimal(t.get("unit_amount") or 0),
            flat_amount=Decimal(t.get("flat_amount") or 0),
        )
        for t in row["tiers"]
    )
    return pricing.Price(
        key=row["id"], kind=pricing.PriceKind(row["kind"]), model=pricing.PriceModel(row["model"]),
        interval=None if row["interval"] is None else Interval(row["interval"]), currency=row["currency"],
        unit_amount=row["unit_amount"], tiers=tiers, package_size=row["package_size"], included=row["included"],
        billed=pricing.Billed(row["billed"]), meter=row["meter"], minimum=row["minimum"], maximum=row["maximum"],
        prorate=row["prorate"], label=row["label"], included_in_trial=row.get("included_in_trial"),
        per_transaction=_transactions(row.get("per_transaction")), code=row.get("code", ""),
    )  # fmt: skip


def _transactions(stored: Any) -> pricing.PerTransaction | None:
    """As stored: decimal texts. A form may hold anything: raises InvalidPrice."""
    if stored is None:
        return None
    try:
        given = {name: Decimal(number) for name, number in stored.items() if number is not None}
        free = int(given.pop("free_events", 0))
        return pricing.PerTransaction(free_events=free, **given)
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        names = "fixed_amount, minimum, maximum, free_events, free_amount"
        raise pricing.InvalidPrice(f"per_transaction: {names}, each a number.") from None


class Entitlement(models.Model):
    """What a plan allows: a feature switched on (`limit` null and no meter), or a limit."""

    plan = models.ForeignKey(Plan, models.CASCADE, related_name="entitlements")
    feature = models.SlugField(max_length=60)
    name = models.CharField(max_length=100)
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, blank=True)
    limit = models.DecimalField(max_digits=27, decimal_places=6, null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "feature"], name="entitlement_once_per_plan")]

    def __str__(self) -> str:
        return f"{self.plan}: {self.name}"
