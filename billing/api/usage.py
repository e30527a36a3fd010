"""Usage: events in, quantities out."""

import json
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import orjson
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import json_names, metering
from billing.api import parsing
from billing.api.fields import Day, Instant, Number, Strict, Text
from billing.api.meters import meter_named
from billing.api.problems import FieldProblem, Problem
from billing.api.schema import operation
from billing.api.views import MIB, ApiView
from billing.models import Meter
from billing.usage_input import MOST_EVENTS

TAG = "Usage"
LONGEST_REPORT = timedelta(days=400)


class UsageEventNew(Strict):
    id = Text(max_length=255, help_text="yours; the same id counts once")
    customer = Text(max_length=200, help_text="id or external id")
    event_name = Text(max_length=100)
    timestamp = Instant(required=False, allow_null=True, help_text="now, where nothing is said")
    properties = serializers.DictField(required=False)
    replaces = Text(
        required=False,
        allow_null=True,
        max_length=255,
        help_text="the id of an event that this one takes the place of",
    )


class UsageBatch(Strict):
    events = serializers.ListField(
        child=UsageEventNew(),
        min_length=1,
        max_length=MOST_EVENTS,
        help_text="one event may also be sent by itself",
    )


class RejectionOut(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="of the event in the batch, from 0")
    id = serializers.CharField(allow_null=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class RecordedOut(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField(help_text="known before; counted once")
    rejected = RejectionOut(many=True)


class UsageEvents(ApiView):
    scopes = {"POST": "usage"}
    counts_as = "usage"
    largest = 8 * MIB

    @operation(
        "Send usage",
        tag=TAG,
        name="record_usage",
        body=PolymorphicProxySerializer(
            component_name="UsageSent", serializers=[UsageBatch, UsageEventNew], resource_type_field_name=None
        ),
        answer=RecordedOut,
        status=202,
        posts=True,
    )
    def post(self, request: Request) -> Response:
        """The good events of a batch are kept; each bad one is refused by name."""
        events = _events(request)
        done = metering.record(events=events, livemode=self.livemode, now=self.now(), actor=self.actor)
        rejected = [asdict(bad) for bad in done.rejected]
        return Response(
            {"accepted": done.accepted, "duplicates": done.duplicates, "rejected": rejected}, status=202
        )


class UsageVoid(ApiView):
    scopes = {"POST": "usage"}
    may_be_empty = True

    @operation("Take a usage event back", tag=TAG, name="void_usage_event", status=204, posts=True)
    def post(self, request: Request, key: str) -> Response:
        metering.void(key=key, livemode=self.livemode, now=self.now(), actor=self.actor)
        return Response(status=204)


def _events(request: Request) -> list[Any]:
    """The batch, or the one event as a batch of one."""
    body = read_quickly(request.body)
    if not isinstance(body, dict):
        raise parsing.malformed("invalid_request", "The body is an object.")
    if "events" not in body:
        return [body]
    if body.keys() != {"events"}:
        name = min(body.keys() - {"events"})
        raise parsing.malformed("unknown_field", "There is no such field.", name[:100])
    if not isinstance(body["events"], list) or not body["events"]:
        raise parsing.malformed("invalid_request", "events is a list of events.", "events")
    return body["events"]


def read_quickly(body: bytes) -> Any:
    """As `parsing.read`, five times as fast for what is usually sent; where a name may be given twice, the careful reader
    decides."""
    try:
        value = orjson.loads(body)
        doubtful = json_names.may_come_twice(body, value)
    except orjson.JSONDecodeError:
        return parsing.read(body)
    return _as_floats(parsing.read(body)) if doubtful else value


def _as_floats(value: Any) -> Any:
    """The careful reader's decimals as texts, which a quantity may be as well."""
    return orjson.loads(json.dumps(value, default=str))


# -- Quantities
# -----------------------------------------------------------------------------------------------


class UsageQuery(Strict):
    customer = Text(help_text="id or external id")
    meter = Text(required=False, help_text="a meter's code; without it every meter")
    start = Day(required=False, help_text="first day; without it the current period's")
    end = Day(required=False, help_text="the day after the last; without it the current period's")
    group = serializers.ChoiceField(choices=["day"], required=False)


class UsageDayOut(serializers.Serializer[Any]):
    day = Day()
    quantity = Number()


class UsageOut(serializers.Serializer[Any]):
    meter = serializers.CharField()
    start = Day()
    end = Day()
    quantity = Number()
    days = UsageDayOut(many=True, required=False, help_text="with group=day")


class Usage(ApiView):
    scopes = {"GET": "usage"}

    @operation("Read usage", tag=TAG, name="read_usage", query=UsageQuery, page=UsageOut)
    def get(self, request: Request) -> Response:
        asked = self.asked(UsageQuery)
        customer = self.customer(asked["customer"], "customer")
        spans = _spans(asked, metering.current(customer, self.now(customer)))
        wanted = [(customer.pk, meter.pk, start, end) for meter, start, end in spans]
        totals = metering.quantities(wanted)
        results: list[dict[str, Any]] = [
            {
                "meter": meter.code,
                "start": start,
                "end": end,
                "quantity": totals[customer.pk, meter.pk, start, end],
            }
            for meter, start, end in spans
        ]
        if asked.get("group") == "day":
            for found, (meter, start, end) in zip(results, spans, strict=True):
                days = metering.daily(customer, meter, start, end)
                found["days"] = [{"day": day, "quantity": quantity} for day, quantity in days]
        return self.list_of(UsageOut, results)


def _spans(asked: dict[str, Any], current: list[metering.MeterUsage]) -> list[tuple[Meter, date, date]]:
    """(meter, first day, day after the last) of what was asked for."""
    known = {usage.meter.code: usage for usage in current}
    meters = [meter_named(asked["meter"], "meter")] if "meter" in asked else [u.meter for u in current]
    return [(meter, *_days(asked, known.get(meter.code))) for meter in meters]


def _days(asked: dict[str, Any], usage: metering.MeterUsage | None) -> tuple[date, date]:
    start = asked.get("start") or (usage.period.start if usage else None)
    end = asked.get("end") or (usage.period.end if usage else None)
    if start is None or end is None:
        raise _refused("start", "required", "Name start and end: this meter has no current period here.")
    if not start < end:
        raise _refused("end", "invalid_range", "end lies after start.")
    if end - start > LONGEST_REPORT:
        raise _refused("end", "invalid_range", f"At most {LONGEST_REPORT.days} days at once.")
    return start, end


def _refused(field: str, code: str, message: str) -> Problem:
    return Problem(400, code, f"{field}: {message}", [FieldProblem(field, code, message)])
