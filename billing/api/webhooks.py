"""Webhook endpoints: where events are sent, the log of it, and sending again."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import webhooks_out
from billing.api.fields import Instant, ListQuery, Strict, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.events import TYPES
from billing.models import WebhookDelivery, WebhookEndpoint

TAG = "Webhook endpoints"
STATUSES = ["enabled", "failing", "disabled"]


class EndpointFields(Strict):
    url = Text(max_length=500)
    event_types = serializers.ListField(
        child=Text(max_length=60),
        max_length=len(TYPES),
        required=False,
        help_text="none: every type but `user.*`",
    )
    description = Text(max_length=200, allow_blank=True, required=False)


class EndpointChange(EndpointFields):
    url = Text(max_length=500, required=False)
    enabled = serializers.BooleanField(required=False, help_text="what waited meanwhile is sent then")


class Rotation(Strict):
    overlap_hours = serializers.IntegerField(
        min_value=0, max_value=168, default=24, help_text="so long the old secret signs as well"
    )


class ReplaySpan(Strict):
    since = Instant(help_text="real time, inclusive")
    until = Instant(required=False, help_text="exclusive; now")


class EndpointOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    disabled_at = Instant(allow_null=True)
    disabled_reason = serializers.CharField()
    failing_since = Instant(allow_null=True)
    last_success_at = Instant(allow_null=True)
    created_at = Instant()


class EndpointWithSecretOut(EndpointOut):
    secret = serializers.CharField(help_text="whsec_…; shown here and never again")


class AttemptOut(serializers.Serializer[Any]):
    at = Instant()
    milliseconds = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    response = serializers.CharField(help_text="its first 4,096 bytes")


class DeliveryOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    event = serializers.SerializerMethodField()
    type = serializers.CharField()
    object = serializers.CharField(source="object_id")
    sequence = serializers.IntegerField()
    status = serializers.ChoiceField(choices=WebhookDelivery.Status.choices)
    attempts = serializers.IntegerField()
    next_at = Instant(allow_null=True)
    created_at = Instant()
    finished_at = Instant(allow_null=True)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_event(self, delivery: WebhookDelivery) -> str | None:
        return delivery.event.public_id if delivery.event else None


class DeliveryDetailOut(DeliveryOut):
    request = serializers.SerializerMethodField()
    tries = AttemptOut(many=True)

    def get_request(self, delivery: WebhookDelivery) -> str:
        return webhooks_out.body(delivery).decode()


class DeliveryQuery(ListQuery):
    status = serializers.ChoiceField(required=False, choices=WebhookDelivery.Status.choices)


class ReplayOut(serializers.Serializer[Any]):
    events = serializers.IntegerField(help_text="how many are sent")


class EndpointView(ApiView):
    def endpoint(self, ref: str) -> WebhookEndpoint:
        rows = WebhookEndpoint.objects.filter(livemode=self.livemode)
        found: WebhookEndpoint = row(rows, ref, what="webhook endpoint")
        return found

    def delivery(self, endpoint: str, ref: str) -> WebhookDelivery:
        rows = WebhookDelivery.objects.filter(endpoint=self.endpoint(endpoint))
        found: WebhookDelivery = row(
            rows.select_related("event", "endpoint").prefetch_related("tries"), ref, what="delivery"
        )
        return found

    def with_secret(self, endpoint: WebhookEndpoint, secret: str, status: int) -> Response:
        return Response({**EndpointOut(endpoint).data, "secret": secret}, status=status)


class Endpoints(EndpointView):
    @operation(
        "Make a webhook endpoint", tag=TAG, name="create_webhook_endpoint", body=EndpointFields,
        answer=EndpointWithSecretOut, status=201, posts=True,
        description="Answers the secret that its requests are signed with. It is shown once.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        endpoint, secret = webhooks_out.create(
            **self.given(EndpointFields), livemode=self.livemode, actor=self.actor, now=timezone.now()
        )
        return self.with_secret(endpoint, secret, 201)

    @operation(
        "List webhook endpoints", tag=TAG, name="list_webhook_endpoints", query=ListQuery, page=EndpointOut
    )
    def get(self, request: Request) -> Response:
        rows = WebhookEndpoint.objects.filter(livemode=self.livemode)
        return self.page(EndpointOut, rows, self.asked(ListQuery))


class EndpointDetail(EndpointView):
    @operation("Read a webhook endpoint", tag=TAG, name="read_webhook_endpoint", answer=EndpointOut)
    def get(self, request: Request, endpoint: str) -> Response:
        return self.answer(EndpointOut, self.endpoint(endpoint))

    @operation(
        "Change a webhook endpoint", tag=TAG, name="update_webhook_endpoint", body=EndpointChange,
        answer=EndpointOut,
    )  # fmt: skip
    def patch(self, request: Request, endpoint: str) -> Response:
        found = self.endpoint(endpoint)
        webhooks_out.update(
            endpoint=found, actor=self.actor, now=timezone.now(), **self.given(EndpointChange)
        )
        return self.answer(EndpointOut, found)

    @operation(
        "Remove a webhook endpoint", tag=TAG, name="delete_webhook_endpoint", status=204,
        description="With the log of what it was sent.",
    )  # fmt: skip
    def delete(self, request: Request, endpoint: str) -> Response:
        webhooks_out.remove(endpoint=self.endpoint(endpoint), actor=self.actor, now=timezone.now())
        return Response(status=204)


class RotateSecret(EndpointView):
    may_be_empty = True

    @operation(
        "Rotate a secret", tag=TAG, name="rotate_webhook_secret", body=Rotation, answer=EndpointWithSecretOut,
        posts=True, description="Answers the new secret, once. Until the overlap is over both sign.",
    )  # fmt: skip
    def post(self, request: Request, endpoint: str) -> Response:
        found, overlap = self.endpoint(endpoint), timedelta(hours=self.given(Rotation)["overlap_hours"])
        secret = webhooks_out.rotate(endpoint=found, actor=self.actor, now=timezone.now(), overlap=overlap)
        return self.with_secret(found, secret, 200)


class TestEndpoint(EndpointView):
    __test__ = False
    may_be_empty = True
    in_one_transaction = False

    @operation(
        "Send a test", tag=TAG, name="test_webhook_endpoint", answer=DeliveryDetailOut, posts=True,
        description="Sends `webhook.test` at once and answers what came back, within 15 seconds.",
    )  # fmt: skip
    def post(self, request: Request, endpoint: str) -> Response:
        return self.answer(
            DeliveryDetailOut, webhooks_out.test(endpoint=self.endpoint(endpoint), now=timezone.now())
        )


class ReplayEvents(EndpointView):
    @operation(
        "Replay events", tag=TAG, name="replay_webhook_events", body=ReplaySpan, answer=ReplayOut, status=202,
        posts=True, description="Sends every event of that time that the endpoint asks for, once more.",
    )  # fmt: skip
    def post(self, request: Request, endpoint: str) -> Response:
        found, given, now = self.endpoint(endpoint), self.given(ReplaySpan), timezone.now()
        count = webhooks_out.replay(
            endpoint=found, since=given["since"], until=given.get("until", now), actor=self.actor, now=now
        )
        return self.answer(ReplayOut, {"events": count}, 202)


class Deliveries(EndpointView):
    @operation(
        "List deliveries", tag=TAG, name="list_webhook_deliveries", query=DeliveryQuery, page=DeliveryOut
    )
    def get(self, request: Request, endpoint: str) -> Response:
        asked = self.asked(DeliveryQuery)
        rows = self.endpoint(endpoint).deliveries.select_related("event")
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(DeliveryOut, rows, asked)


class DeliveryDetail(EndpointView):
    @operation(
        "Read a delivery", tag=TAG, name="read_webhook_delivery", answer=DeliveryDetailOut,
        description="With the body that is sent, and every try at it.",
    )  # fmt: skip
    def get(self, request: Request, endpoint: str, delivery: str) -> Response:
        return self.answer(DeliveryDetailOut, self.delivery(endpoint, delivery))


class Redeliver(EndpointView):
    may_be_empty = True

    @operation(
        "Send a delivery again", tag=TAG, name="redeliver_webhook", answer=DeliveryDetailOut, status=202,
        posts=True,
    )  # fmt: skip
    def post(self, request: Request, endpoint: str, delivery: str) -> Response:
        found = self.delivery(endpoint, delivery)
        webhooks_out.redeliver(delivery=found, actor=self.actor, now=timezone.now())
        return self.answer(DeliveryDetailOut, found, 202)
