"""Leads: who asked for sales before being a customer."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Instant, ListQuery, Strict, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from sales import leads
from sales.api.people import PersonOut
from sales.models import Lead

TAG = "Leads"


class LeadNew(Strict):
    name = Text()
    email = Text()
    company = Text()
    employees = serializers.IntegerField(required=False, allow_null=True)
    country = Text(required=False, allow_blank=True)
    state = Text(
        required=False,
        allow_blank=True,
        help_text="state or province: its code or name; taxes of a quote may depend on it",
    )
    industry = Text(required=False, allow_blank=True)
    need = Text(required=False, allow_blank=True)
    demo_wanted = serializers.BooleanField(required=False)
    plan = Text(required=False, allow_blank=True, help_text="a plan's code")
    seats = serializers.IntegerField(required=False, allow_null=True)


class LeadOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(choices=Lead.Status.choices)
    livemode = serializers.BooleanField()
    name = serializers.CharField()
    email = serializers.CharField()
    company = serializers.CharField()
    employees = serializers.IntegerField(allow_null=True)
    country = serializers.CharField()
    state = serializers.CharField()
    industry = serializers.CharField()
    need = serializers.CharField()
    demo_wanted = serializers.BooleanField()
    demo_done_at = Instant(allow_null=True)
    plan = serializers.CharField(source="plan_code")
    seats = serializers.IntegerField(allow_null=True)
    owner = PersonOut(allow_null=True)
    customer = serializers.CharField(source="customer_id", allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    created_at = Instant()


class LeadQuery(ListQuery):
    email = Text(required=False)
    status = serializers.ChoiceField(required=False, choices=Lead.Status.choices)


class Leads(ApiView):
    @operation(
        "Make a lead", tag=TAG, name="create_lead", body=LeadNew, answer=LeadOut, status=201, posts=True,
        description="With an owner, a task, and a mail to both. The same again within ten minutes is one lead.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(LeadNew)
        made = leads.contact(**given, livemode=self.livemode, source="api", now=self.now(), actor=self.actor)
        return self.answer(LeadOut, made, 201)

    @operation("List leads", tag=TAG, name="list_leads", query=LeadQuery, page=LeadOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(LeadQuery), _leads(self)
        if "email" in asked:
            rows = rows.filter(email__iexact=asked["email"])
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(LeadOut, rows, asked)


class LeadDetail(ApiView):
    @operation("Read a lead", tag=TAG, name="read_lead", answer=LeadOut)
    def get(self, request: Request, lead: str) -> Response:
        return self.answer(LeadOut, row(_leads(self), lead, what="lead"))


def _leads(view: ApiView) -> Any:
    return Lead.objects.filter(livemode=view.livemode).select_related("owner")
