"""Deals: sales opportunities."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import typed
from billing.api.fields import Amount, Day, Instant, ListQuery, Money, Strict, Text, minor
from billing.api.finding import row
from billing.api.problems import FieldProblem, Problem
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import Customer, Motion
from sales import deals
from sales.api.people import PersonOut, person
from sales.models import Deal, Lead

TAG = "Deals"


class DealNew(Strict):
    name = Text(max_length=200)
    customer = Text(required=False, max_length=200, help_text="id or external id")
    lead = Text(required=False)
    amount = Amount(required=False, help_text="first-year value, without tax")
    currency = Text(required=False, help_text="the customer's, or USD, where nothing is said")
    close_on = Day(required=False, allow_null=True)
    owner = Text(required=False, help_text="a salesperson's e-mail address")
    motion = serializers.ChoiceField(required=False, choices=Motion.choices)


class DealOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    stage = serializers.ChoiceField(choices=Deal.Stage.choices)
    customer = serializers.CharField(source="customer_id", allow_null=True)
    lead = serializers.CharField(source="lead_id", allow_null=True)
    amount = Money()
    currency = serializers.CharField()
    motion = serializers.ChoiceField(choices=Motion.choices)
    close_on = Day(allow_null=True)
    owner = PersonOut(allow_null=True)
    source_signal = serializers.CharField(source="source_signal_id", allow_null=True)
    handoff_task = serializers.CharField(source="task_id", allow_null=True)
    lost_reason = serializers.CharField()
    created_at = Instant()
    closed_at = Instant(allow_null=True)


class DealQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    stage = serializers.ChoiceField(required=False, choices=Deal.Stage.choices)
    owner = Text(required=False, help_text="an e-mail address")


class Deals(ApiView):
    @operation(
        "Open a deal", tag=TAG, name="create_deal", body=DealNew, answer=DealOut, status=201, posts=True
    )
    def post(self, request: Request) -> Response:
        given = self.given(DealNew)
        customer, lead = buyer(self, given)
        own = customer.currency if customer else "USD"
        given["currency"] = typed.currency(given["currency"]) if "currency" in given else own
        if "amount" in given:
            given["amount"] = _value(given["amount"], given["currency"])
        if "owner" in given:
            given["owner"] = person(given["owner"], "owner")
        made = deals.open_deal(
            customer=customer, lead=lead, now=self.now(customer), actor=self.actor, **given
        )
        return self.answer(DealOut, made, 201)

    @operation("List deals", tag=TAG, name="list_deals", query=DealQuery, page=DealOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(DealQuery), _deals(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "stage" in asked:
            rows = rows.filter(stage=asked["stage"])
        if "owner" in asked:
            rows = rows.filter(owner__email__iexact=asked["owner"])
        return self.page(DealOut, rows, asked)


class DealDetail(ApiView):
    @operation("Read a deal", tag=TAG, name="read_deal", answer=DealOut)
    def get(self, request: Request, deal: str) -> Response:
        return self.answer(DealOut, row(_deals(self), deal, what="deal"))


def _value(amount: str, currency: str) -> int:
    """Raises Problem (422)."""
    value = minor(amount, currency)
    if value < 0:
        words = "A deal is worth nothing or more."
        raise Problem(422, "invalid_amount", words, [FieldProblem("amount", "invalid_amount", words)])
    return value


def _deals(view: ApiView) -> Any:
    return Deal.objects.filter(livemode=view.livemode).select_related("owner")


def buyer(view: ApiView, given: dict[str, Any]) -> tuple[Customer | None, Lead | None]:
    """The customer or the lead that a body names, one of them; takes both names out of it. Raises Problem."""
    customer, lead = given.pop("customer", None), given.pop("lead", None)
    if (customer is None) == (lead is None):
        words = "Name a customer or a lead."
        both = [FieldProblem(field, "customer_or_lead", words) for field in ("customer", "lead")]
        raise Problem(422, "customer_or_lead", words, both)
    if customer is not None:
        return view.customer(customer, "customer"), None
    leads = Lead.objects.filter(livemode=view.livemode).select_related("owner", "customer")
    return None, row(leads, lead, what="lead", field="lead")
