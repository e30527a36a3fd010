"""Plans with their prices and what they entitle to."""

from decimal import Decimal
from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import cataloguing
from billing.api.fields import Instant, ListQuery, Number, Quantity, Strict, Text, UnitAmount, UnitMoney
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.maths.money import plain, to_unit
from billing.maths.periods import Interval
from billing.maths.pricing import PriceModel
from billing.models import Entitlement, Motion, Plan, Price

TAG = "Plans"
KINDS = ["recurring", "usage", "one_time", "minimum"]
MODELS = [str(m) for m in PriceModel]
INTERVALS = [str(i) for i in Interval]
BILLED = ["advance", "arrears"]


# -- What is sent -------------------------------------------------------------------------------------------


class TierNew(Strict):
    up_to = Quantity(required=False, allow_null=True, help_text="included; null: without end")
    unit_amount = UnitAmount(required=False)
    flat_amount = UnitAmount(required=False, help_text="once the quantity reaches into the tier")


class PerTransactionNew(Strict):
    fixed_amount = UnitAmount(required=False, help_text="for each event, beside the percentage")
    minimum = UnitAmount(required=False, allow_null=True, help_text="the least that an event costs")
    maximum = UnitAmount(required=False, allow_null=True, help_text="the most that an event costs")
    free_events = serializers.IntegerField(
        required=False, min_value=0, max_value=999_999_999, help_text="the first ones of a period"
    )
    free_amount = Quantity(
        required=False, help_text="the first of a period's sum; with free_events whichever is over first"
    )


class PriceNew(Strict):
    together = {
        "anyOf": [
            {"properties": {"amount": {"not": {"type": "null"}}}},
            {"properties": {"tiers": {"minItems": 1}}, "required": ["tiers"]},
        ]
    }
    code = Text(
        required=False, max_length=60, help_text="made of what the price is for where nothing is said"
    )
    label = Text(
        required=False,
        allow_blank=True,
        help_text="what lines on papers call it; the meter's or the plan's name",
    )  # type: ignore[assignment]
    kind = serializers.ChoiceField(
        required=False, choices=KINDS,
        help_text="recurring; usage where a meter is named; minimum: the least that fee and usage of a period come to "
        "together, said as `minimum`",
    )  # fmt: skip
    model = serializers.ChoiceField(
        required=False, choices=MODELS,
        help_text="flat; per_unit for usage, graduated with tiers, where nothing is said",
    )  # fmt: skip
    interval = serializers.ChoiceField(
        required=False, allow_null=True, choices=INTERVALS, help_text="month; none for one_time"
    )
    currency = Text(required=False, help_text="ISO 4217; USD where nothing is said")
    amount = UnitAmount(
        required=False,
        allow_null=True,
        help_text="major units, up to 12 decimals: of the period, a unit or a package; a percentage is in percent",
    )
    tiers = TierNew(many=True, required=False)
    package_size = Quantity(required=False, allow_null=True)
    per_transaction = PerTransactionNew(
        required=False,
        allow_null=True,
        help_text="of a percentage: what is taken of every single usage event",
    )
    included = Quantity(required=False, allow_null=True, help_text="units of each period that cost nothing")
    included_in_trial = Quantity(
        required=False, allow_null=True,
        help_text="units of a trial that cost nothing; the rest is charged when it ends; null: all are free",
    )  # fmt: skip
    billed = serializers.ChoiceField(
        required=False, choices=BILLED, help_text="advance; arrears for usage where nothing is said"
    )
    meter = Text(required=False, allow_null=True, help_text="a meter's code or id")
    minimum = UnitAmount(required=False, allow_null=True, help_text="the least that a period costs")
    maximum = UnitAmount(required=False, allow_null=True, help_text="the most that a period costs")
    prorate = serializers.BooleanField(
        required=False,
        help_text="false: a part of a period costs all of it, and so do units that are added in it",
    )
    tax_category = Text(
        required=False,
        allow_blank=True,
        max_length=40,
        help_text="the `category` of its tax rates; the plan's",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Nothing stands for the tiers' own amounts; elsewhere it is a price that somebody forgot to fill in."""
        if attrs.get("amount", 0) is None and not attrs.get("tiers"):
            words = "Say what it costs; a price of tiers alone goes without."
            raise serializers.ValidationError(
                {"amount": [serializers.ErrorDetail(words, code="missing_amount")]}
            )
        return attrs


class EntitlementNew(Strict):
    feature = Text(max_length=60)
    name = Text(required=False, allow_blank=True)
    limit = Quantity(required=False, allow_null=True, help_text="null: on, without a limit")
    meter = Text(required=False, allow_null=True, help_text="what counts it; the meter of the feature's name")


class PlanChange(Strict):
    name = Text(required=False)
    motion = serializers.ChoiceField(required=False, choices=Motion.choices)
    tagline = Text(required=False, allow_blank=True)
    published = serializers.BooleanField(required=False)
    quote_only = serializers.BooleanField(required=False, help_text="only an accepted quote starts it")
    requires_demo = serializers.BooleanField(required=False)
    rank = serializers.IntegerField(required=False, help_text="a higher rank is an upgrade")
    trial_days = serializers.IntegerField(required=False)
    tax_category = Text(
        required=False,
        allow_blank=True,
        max_length=40,
        help_text="the `category` of the tax rates of its prices",
    )
    entitlements = EntitlementNew(many=True, required=False, help_text="all of them")
    prices = PriceNew(many=True, required=False, help_text="added, or in place of those with their codes")


class PlanNew(PlanChange):
    code = Text(max_length=50)
    name = Text()
    motion = serializers.ChoiceField(choices=Motion.choices)


# -- What is answered ---------------------------------------------------------------------------------------


class TierOut(serializers.Serializer[Any]):
    up_to = serializers.CharField(allow_null=True)
    unit_amount = serializers.CharField()
    flat_amount = serializers.CharField()


class PerTransactionOut(serializers.Serializer[Any]):
    fixed_amount = serializers.CharField(default="0")
    minimum = serializers.CharField(allow_null=True, default=None)
    maximum = serializers.CharField(allow_null=True, default=None)
    free_events = serializers.IntegerField(default=0)
    free_amount = serializers.CharField(default="0")


class PriceOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.ChoiceField(choices=KINDS)
    model = serializers.ChoiceField(choices=MODELS)
    interval = serializers.ChoiceField(choices=INTERVALS, allow_null=True)
    currency = serializers.CharField()
    amount = serializers.SerializerMethodField(
        help_text="major units, up to 12 decimals; of a percentage, percent"
    )
    tiers = serializers.SerializerMethodField()
    package_size = Number(allow_null=True)
    per_transaction = PerTransactionOut(allow_null=True)
    included = Number()
    included_in_trial = Number(allow_null=True)
    billed = serializers.ChoiceField(choices=BILLED)
    meter = serializers.CharField(source="meter.code", allow_null=True, default=None)
    minimum = UnitMoney(allow_null=True)
    maximum = UnitMoney(allow_null=True)
    prorate = serializers.BooleanField()
    tax_category = serializers.CharField(help_text="empty: the plan's")
    active = serializers.BooleanField(help_text="false: another price took its place")
    created_at = Instant()

    def get_amount(self, price: Price) -> str:
        return _unit(price, price.unit_amount)

    @extend_schema_field(TierOut(many=True))
    def get_tiers(self, price: Price) -> Any:
        return [
            {
                "up_to": tier.get("up_to"),
                "unit_amount": _unit(price, Decimal(tier.get("unit_amount", 0))),
                "flat_amount": to_unit(Decimal(tier.get("flat_amount", 0)), price.currency),
            }
            for tier in price.tiers
        ]


def _unit(price: Price, amount: Decimal) -> str:
    """A percentage has no currency."""
    return plain(amount) if price.model == PriceModel.PERCENTAGE else to_unit(amount, price.currency)


class PlanEntitlementOut(serializers.Serializer[Any]):
    feature = serializers.CharField()
    name = serializers.CharField()
    limit = Number(allow_null=True)
    meter = serializers.CharField(source="meter.code", allow_null=True, default=None)


class PlanOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField()
    tagline = serializers.CharField()
    motion = serializers.ChoiceField(choices=Motion.choices)
    published = serializers.BooleanField()
    quote_only = serializers.BooleanField()
    requires_demo = serializers.BooleanField()
    rank = serializers.IntegerField()
    trial_days = serializers.IntegerField()
    tax_category = serializers.CharField()
    entitlements = PlanEntitlementOut(many=True)
    prices = serializers.SerializerMethodField(help_text="the active ones")
    archived_at = Instant(allow_null=True)
    created_at = Instant()

    @extend_schema_field(PriceOut(many=True))
    def get_prices(self, plan: Plan) -> Any:
        active = [price for price in plan.prices.all() if price.active]
        return PriceOut(active, many=True).data


# -- Views --------------------------------------------------------------------------------------------------


class PlanQuery(ListQuery):
    published = serializers.BooleanField(required=False, allow_null=True, default=None)
    motion = serializers.ChoiceField(required=False, choices=Motion.choices)


def _plans() -> Any:
    return Plan.objects.prefetch_related(
        Prefetch("prices", Price.objects.select_related("meter")),
        Prefetch("entitlements", Entitlement.objects.select_related("meter")),
    )


class Plans(ApiView):
    @operation(
        "Make a plan", tag=TAG, name="create_plan", body=PlanNew, answer=PlanOut, status=201, posts=True
    )
    def post(self, request: Request) -> Response:
        made = cataloguing.create_plan(**self.given(PlanNew), **self.by)
        return self.answer(PlanOut, plan_at(made.pk), 201)

    @operation("List plans", tag=TAG, name="list_plans", query=PlanQuery, page=PlanOut)
    def get(self, request: Request) -> Response:
        asked = self.asked(PlanQuery)
        wanted = {name: asked[name] for name in ("published", "motion") if asked.get(name) is not None}
        return self.page(PlanOut, _plans().filter(**wanted), asked)


class PlanDetail(ApiView):
    @operation("Read a plan", tag=TAG, name="read_plan", answer=PlanOut, description="By id or code.")
    def get(self, request: Request, plan: str) -> Response:
        return self.answer(PlanOut, plan_at(plan))

    @operation(
        "Change a plan", tag=TAG, name="change_plan", body=PlanChange, answer=PlanOut,
        description="What live subscriptions pay stays as it is: a changed price is a new one.",
    )  # fmt: skip
    def patch(self, request: Request, plan: str) -> Response:
        changed = cataloguing.update_plan(plan=plan_at(plan), **self.given(PlanChange), **self.by)
        return self.answer(PlanOut, plan_at(changed.pk))


class PlanArchive(ApiView):
    may_be_empty = True

    @operation(
        "Archive a plan", tag=TAG, name="archive_plan", answer=PlanOut, posts=True,
        description="It is sold no longer; who has it keeps it.",
    )  # fmt: skip
    def post(self, request: Request, plan: str) -> Response:
        return self.answer(PlanOut, cataloguing.archive_plan(plan=plan_at(plan), **self.by))


class PlanPrices(ApiView):
    @operation(
        "Add a price", tag=TAG, name="add_price", body=PriceNew, answer=PriceOut, status=201, posts=True,
        description="With the code of an active price it takes its place, for new subscriptions and changes.",
    )  # fmt: skip
    def post(self, request: Request, plan: str) -> Response:
        found = plan_at(plan)
        made = cataloguing.add_price(plan=found, terms=self.given(PriceNew), **self.by)
        return self.answer(PriceOut, made, 201)


def plan_at(ref: str, field: str = "") -> Plan:
    """By id or code, with its prices. Raises Problem."""
    named = {"pk": ref} if is_id(ref, "plan") else {"code": ref}
    found = _plans().filter(**named).first()
    if found is None:
        raise missing("plan", field)
    return found
