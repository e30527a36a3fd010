"""Discounts and tax rates."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import cataloguing
from billing.api.fields import Amount, Instant, ListQuery, Money, Number, Percent, Strict, Text, minor
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import Discount, TaxRate
from billing.typed import currency as currency_code

TAG = "Discounts"


class DiscountNew(Strict):
    code = Text(required=False, allow_null=True, max_length=60, help_text="what buyers type at checkout")
    label = Text(required=False, allow_blank=True, help_text="what papers call it")  # type: ignore[assignment]
    percent_off = Percent(required=False)
    amount_off = Amount(
        required=False, help_text="off each period: its recurring prices, then its usage; in `currency`"
    )
    currency = Text(required=False)
    duration = serializers.ChoiceField(
        required=False, choices=cataloguing.DURATIONS, help_text="once where nothing is said"
    )
    periods = serializers.IntegerField(required=False, allow_null=True, help_text="of a repeating one")
    plans = serializers.ListField(
        required=False, child=Text(max_length=100), max_length=100, help_text="ids or codes; without any: all"
    )
    prices = serializers.ListField(
        required=False, child=Text(max_length=100), max_length=100,
        help_text="ids or codes of the prices that it is for, with those that take their places; without any, and "
        "without meters: all",
    )  # fmt: skip
    meters = serializers.ListField(
        required=False, child=Text(max_length=100), max_length=100,
        help_text="ids or codes of the meters whose usage it is for",
    )  # fmt: skip
    max_redemptions = serializers.IntegerField(required=False, allow_null=True)
    expires_at = Instant(required=False, allow_null=True)


class DiscountOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField(allow_null=True)
    label = serializers.CharField()  # type: ignore[assignment]
    percent_off = Number(allow_null=True)
    amount_off = Money(allow_null=True)
    currency = serializers.CharField()
    duration = serializers.ChoiceField(choices=cataloguing.DURATIONS)
    periods = serializers.IntegerField(allow_null=True)
    plans = serializers.SerializerMethodField(help_text="codes; without any: all")
    prices = serializers.ListField(
        child=serializers.CharField(), help_text="codes; without any, and without meters: all"
    )
    meters = serializers.ListField(child=serializers.CharField(), help_text="ids")
    max_redemptions = serializers.IntegerField(allow_null=True)
    redemptions = serializers.IntegerField()
    expires_at = Instant(allow_null=True)
    created_at = Instant()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_plans(self, discount: Discount) -> list[str]:
        return sorted(plan.code for plan in discount.plans.all())


class Discounts(ApiView):
    @operation(
        "Make a discount", tag=TAG, name="create_discount", body=DiscountNew, answer=DiscountOut, status=201,
        posts=True,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(DiscountNew)
        if "amount_off" in given:
            currency = currency_code(given.get("currency", ""))
            given["amount_off"] = minor(given["amount_off"], currency, "amount_off") if currency else 0
        made = cataloguing.create_discount(**given, **self.by)
        return self.answer(DiscountOut, made, 201)

    @operation("List discounts", tag=TAG, name="list_discounts", query=ListQuery, page=DiscountOut)
    def get(self, request: Request) -> Response:
        rows = Discount.objects.filter(parts=[]).prefetch_related("plans")
        return self.page(DiscountOut, rows, self.asked(ListQuery))


class DiscountDetail(ApiView):
    @operation("Read a discount", tag=TAG, name="read_discount", answer=DiscountOut)
    def get(self, request: Request, discount: str) -> Response:
        """By id or code."""
        return self.answer(DiscountOut, discount_at(discount))


def discount_at(ref: str, field: str = "") -> Discount:
    """By id or code, whatever its capitals. Raises Problem."""
    named = {"pk": ref} if is_id(ref, "disc") else {"code__iexact": ref}
    found = Discount.objects.prefetch_related("plans").filter(**named, parts=[]).first()
    if found is None:
        raise missing("discount", field)
    return found


# -- Taxes --------------------------------------------------------------------------------------------------


class TaxNew(Strict):
    name = Text(max_length=100, help_text="as papers print it: GST, City tax")
    percentage = Percent()
    compound = serializers.BooleanField(
        required=False, help_text="taken from the net amount and the taxes before it"
    )


class TaxOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    percentage = Number()
    compound = serializers.BooleanField()


class TaxRateNew(Strict):
    name = Text()
    percentage = Percent(required=False, help_text="may be left out with `taxes`: it is what they come to")
    taxes = TaxNew(
        many=True, required=False,
        help_text="where several taxes are taken, in their order: state and city, GST and QST. Each is rounded for "
        "itself",
    )  # fmt: skip
    country = Text(required=False, allow_blank=True, help_text="ISO 3166-1, two letters")
    state = Text(
        required=False, allow_blank=True, max_length=60,
        help_text="of the country: its name, or its code of ISO 3166-2 without the country (TX, QC). Compared with the "
        "state of the customer's billing address",
    )  # fmt: skip
    inclusive = serializers.BooleanField(
        required=False, help_text="prices contain this tax: the buyer pays the price as it is written"
    )
    category = Text(
        required=False, allow_blank=True, max_length=40,
        help_text="what it is for: prices and plans name the same word as their `tax_category`; everything that has "
        "no rate of its own, where nothing is said. S, Z, E, AE, O, K and G are codes of EN 16931 for a rate of "
        "everything",
    )  # fmt: skip


class TaxRateOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    percentage = Number(help_text="of all taxes")
    taxes = serializers.SerializerMethodField(help_text="what it is made of; none of a rate of nothing")
    country = serializers.CharField()
    state = serializers.CharField(help_text="its code in the US, Canada and India; empty: the whole country")
    inclusive = serializers.BooleanField()
    category = serializers.SerializerMethodField(
        help_text="the tax category; its code of EN 16931, if for all"
    )
    vat_category = serializers.CharField(
        source="category", help_text="of EN 16931, as electronic invoices say it"
    )
    active = serializers.BooleanField(
        help_text="false: another rate of the place and category took its place"
    )

    @extend_schema_field(TaxOut(many=True))
    def get_taxes(self, rate: TaxRate) -> Any:
        return TaxOut(rate.parts, many=True).data

    def get_category(self, rate: TaxRate) -> str:
        return rate.product_category or rate.category


class TaxRates(ApiView):
    @operation(
        "Set a tax rate", tag="Tax rates", name="create_tax_rate", body=TaxRateNew, answer=TaxRateOut,
        status=201, posts=True,
        description="From now on it is the place's rate for the category; issued papers keep theirs. Of several "
        "rates the most specific wins: state and category, state, country and category, country, category anywhere, "
        "everything anywhere. It takes the place of the others: what is taken beside it is one of its `taxes`.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        return self.answer(TaxRateOut, cataloguing.create_tax_rate(**self.given(TaxRateNew), **self.by), 201)

    @operation("List tax rates", tag="Tax rates", name="list_tax_rates", query=ListQuery, page=TaxRateOut)
    def get(self, request: Request) -> Response:
        return self.page(TaxRateOut, TaxRate.objects.all(), self.asked(ListQuery))
