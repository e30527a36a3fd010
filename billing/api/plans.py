"""Plans with their prices and what they entitle to."""

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Instant, ListQuery, Number
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.maths.periods import Interval
from billing.maths.pricing import PriceModel
from billing.models import Motion, Plan, Price

TAG = "Plans"


class TierOut(serializers.Serializer[Any]):
    up_to = serializers.CharField(allow_null=True)
    unit_amount = serializers.CharField(default="0")
    flat_amount = serializers.CharField(default="0")


class PriceOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.ChoiceField(choices=["recurring", "usage", "one_time"])
    model = serializers.ChoiceField(choices=[str(m) for m in PriceModel])
    interval = serializers.ChoiceField(choices=[str(i) for i in Interval], allow_null=True)
    currency = serializers.CharField()
    amount = Number(source="unit_amount", help_text="major units, up to 12 decimals")
    tiers = TierOut(many=True)
    package_size = Number(allow_null=True)
    included = Number()
    billed = serializers.ChoiceField(choices=["advance", "arrears"])
    meter = serializers.CharField(source="meter.code", allow_null=True, default=None)
    minimum = Number(allow_null=True)
    maximum = Number(allow_null=True)
    prorate = serializers.BooleanField()


class PlanEntitlementOut(serializers.Serializer[Any]):
    feature = serializers.CharField()
    name = serializers.CharField()
    limit = Number(allow_null=True)


class PlanOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField()
    motion = serializers.ChoiceField(choices=Motion.choices)
    published = serializers.BooleanField()
    quote_only = serializers.BooleanField()
    requires_demo = serializers.BooleanField()
    rank = serializers.IntegerField()
    trial_days = serializers.IntegerField()
    entitlements = PlanEntitlementOut(many=True)
    prices = serializers.SerializerMethodField()
    archived_at = Instant(allow_null=True)
    created_at = Instant()

    @extend_schema_field(PriceOut(many=True))
    def get_prices(self, plan: Plan) -> Any:
        active = [price for price in plan.prices.all() if price.active]
        return PriceOut(active, many=True).data


def _plans() -> Any:
    return Plan.objects.prefetch_related(
        Prefetch("prices", Price.objects.select_related("meter")), "entitlements"
    )


class Plans(ApiView):
    @operation("List plans", tag=TAG, name="list_plans", query=ListQuery, page=PlanOut)
    def get(self, request: Request) -> Response:
        return self.page(PlanOut, _plans(), self.asked(ListQuery))


class PlanDetail(ApiView):
    @operation("Read a plan", tag=TAG, name="read_plan", answer=PlanOut, description="By id or code.")
    def get(self, request: Request, plan: str) -> Response:
        return self.answer(PlanOut, plan_at(plan))


def plan_at(ref: str, field: str = "") -> Plan:
    """By id or code, with its prices. Raises Problem."""
    named = {"pk": ref} if is_id(ref, "plan") else {"code": ref}
    found = _plans().filter(**named).first()
    if found is None:
        raise missing("plan", field)
    return found
