"""Facts, in the order in which they were written."""

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Instant, ListQuery, Text
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.events import TYPES
from billing.models import Event

TAG = "Events"


class EventOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField(help_text="rises through all events")
    type = serializers.CharField()
    object = serializers.CharField(source="object_id")
    sequence = serializers.IntegerField(help_text="1, 2, 3 … for each object")
    customer = serializers.CharField(source="customer_id", allow_null=True)
    actor = serializers.CharField()
    at = Instant(help_text="on the customer's clock")
    data = serializers.DictField()  # type: ignore[assignment]


class EventQuery(ListQuery):
    after = Text(required=False, help_text="a number or an id: what came after it, oldest first")
    type = serializers.ChoiceField(required=False, choices=sorted(TYPES))
    customer = Text(required=False, help_text="id or external id")


class Events(ApiView):
    @operation("List events", tag=TAG, name="list_events", query=EventQuery, page=EventOut)
    def get(self, request: Request) -> Response:
        """Newest first; with `after` the other way round, so that a reader can go on where it stopped."""
        asked = self.asked(EventQuery)
        rows = Event.objects.filter(livemode=self.livemode)
        if "type" in asked:
            rows = rows.filter(type=asked["type"])
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "after" in asked:
            rows = rows.filter(number__gt=_number(asked["after"], self._own()))
        return self.page(EventOut, rows, asked, key="number", newest_first="after" not in asked)

    def _own(self) -> QuerySet[Event]:
        return Event.objects.filter(livemode=self.livemode)


class EventDetail(ApiView):
    @operation("Read an event", tag=TAG, name="read_event", answer=EventOut)
    def get(self, request: Request, event: str) -> Response:
        found = Event.objects.filter(_named(event), livemode=self.livemode).first()
        if found is None:
            raise missing("event")
        return self.answer(EventOut, found)


def _number(after: str, rows: QuerySet[Event]) -> int:
    """Of a number or an id. Raises Problem (422)."""
    if after.isascii() and after.isdigit() and len(after) < 19:
        return int(after)
    found = rows.filter(_named(after)).values_list("number", flat=True).first()
    if found is None:
        raise missing("event", "after")
    return found


def _named(ref: str) -> Q:
    return Q(id=ref.removeprefix("evt_")) if is_id(ref, "evt") else Q(pk__in=[])
