"""Facts, in the order in which they were written."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import event_types
from billing.api.fields import Instant, ListQuery, Text
from billing.api.finding import is_id, missing
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.events import TYPES
from billing.models import Event
from billing.remembering import Slot

TAG = "Events"
# An event's number and its time are not taken in one instant.
READING_LAG = timedelta(milliseconds=50)


class EventOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField(help_text="rises through all events")
    type = serializers.ChoiceField(choices=sorted(TYPES))
    object = serializers.CharField(source="object_id")
    sequence = serializers.IntegerField(help_text="1, 2, 3 … for each object")
    customer = serializers.CharField(source="customer_id", allow_null=True)
    actor = serializers.CharField()
    at = Instant(help_text="on the customer's clock")
    data = serializers.SerializerMethodField()  # type: ignore[assignment]

    @extend_schema_field(
        {"type": "object", "description": "what it says; the fields of each type stand under `webhooks`"}
    )
    def get_data(self, event: Event) -> dict[str, Any]:
        return event_types.told(event)


class EventQuery(ListQuery):
    after = Text(required=False, help_text="a number or an id: what came after it, oldest first")
    type = serializers.ChoiceField(required=False, choices=sorted(TYPES))
    customer = Text(required=False, help_text="id or external id")


class Events(ApiView):
    @operation("List events", tag=TAG, name="list_events", query=EventQuery, page=EventOut)
    def get(self, request: Request) -> Response:
        """Newest first; with `after` the other way round, so that a reader can go on where it stopped."""
        asked = self.asked(EventQuery)
        if "customer" in asked:
            asked["customer"] = self.customer(asked["customer"], "customer")
        if "after" in asked:
            own = Event.objects.filter(livemode=self.livemode)
            asked |= {"after": _number(asked["after"], own), **settled()}
        return self.listed(EventOut, _listed, asked, key="number", newest_first="after" not in asked)


def _listed(*, livemode: bool, slots: Mapping[str, Slot]) -> QuerySet[Event]:
    names = {
        "type": "type", "customer": "customer", "after": "number__gt", "last": "number__lte",
        "before": "recorded_at__lt",
    }  # fmt: skip
    rows = Event.objects.defer("recorded_at")
    return rows.filter(**{names[name]: slot for name, slot in slots.items()}, livemode=livemode)


# The last number that was given, and *then* since when the oldest transaction runs that has written something: who
# took a number before is among those, or over.
_GIVEN = """
select last, (
    select min(xact_start) from pg_stat_activity
    where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid() and last > 0)
from (select last_value as last from billing_event_number_seq offset 0) s
"""


def settled() -> dict[str, Any]:
    """The `last` number, and the time `before` which an event was written, that no older and still open transaction
    can get in front of any more.

    Numbers are given when an event is written, and events appear when their transaction ends: a reader who went on
    from the last number it saw would miss one that was written before and appears after.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN)
        last, since = cursor.fetchone()
    return {"last": last} if since is None else {"last": last, "before": since - READING_LAG}


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
