"""Meters: what turns usage events into a quantity."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import cataloguing
from billing.api.fields import ListQuery, Strict, Text
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import Meter

TAG = "Usage"


class MeterNew(Strict):
    code = Text(max_length=50)
    name = Text(required=False, help_text="the code, where nothing is said")
    event_name = Text(help_text="events of this name are counted")
    aggregation = serializers.ChoiceField(choices=Meter.Aggregation.choices)
    property = Text(
        required=False,
        allow_blank=True,
        help_text="of the event; `value` where nothing is said, none for count",
    )
    unit = Text(required=False, allow_blank=True, help_text="for people: calls, GB")


class MeterOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField()
    event_name = serializers.CharField()
    aggregation = serializers.ChoiceField(choices=Meter.Aggregation.choices)
    property = serializers.CharField()
    unit = serializers.CharField()


class Meters(ApiView):
    @operation(
        "Make a meter", tag=TAG, name="create_meter", body=MeterNew, answer=MeterOut, status=201, posts=True
    )
    def post(self, request: Request) -> Response:
        return self.answer(MeterOut, cataloguing.create_meter(**self.given(MeterNew), **self.by), 201)

    @operation("List meters", tag=TAG, name="list_meters", query=ListQuery, page=MeterOut)
    def get(self, request: Request) -> Response:
        return self.page(MeterOut, Meter.objects.all(), self.asked(ListQuery))


class MeterDetail(ApiView):
    @operation("Read a meter", tag=TAG, name="read_meter", answer=MeterOut, description="By id or code.")
    def get(self, request: Request, meter: str) -> Response:
        return self.answer(MeterOut, meter_named(meter))


def meter_named(ref: str, field: str = "") -> Meter:
    """By id or code. Raises Problem: 404, or 422 where a query names it in `field`."""
    named = {"pk": ref} if is_id(ref, "meter") else {"code": ref}
    found = Meter.objects.filter(**named).first()
    if found is None:
        raise missing("meter", field)
    return found
