"""Checkout sessions over the HTTP API: made for a buyer, followed, ended."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import problems
from billing.api.fields import Instant, ListQuery, Strict, Text
from billing.api.finding import row
from billing.api.plans import plan_at
from billing.api.schema import operation
from billing.api.views import ApiView
from checkout import sessions
from checkout.models import CheckoutSession

TAG = "Checkout"

problems.STATUS.update({sessions.AlreadySubscribed: 409, sessions.NotOpen: 409})


class SessionNew(Strict):
    plan = Text(max_length=100, help_text="id or code")
    interval = serializers.ChoiceField(choices=sessions.INTERVALS, default="month")
    quantity = serializers.IntegerField(default=1)
    currency = Text(required=False, help_text="the customer's, or USD, where nothing is said")
    customer = Text(required=False, max_length=200, help_text="id or external id")
    email = Text(required=False, allow_blank=True)
    success_url = Text(max_length=500, help_text="where the buyer goes afterwards, on an allowed host")
    cancel_url = Text(max_length=500, help_text="where the buyer goes instead, on an allowed host")
    allow_promotion_codes = serializers.BooleanField(default=True)
    trial_days = serializers.IntegerField(required=False, allow_null=True)
    metadata = serializers.DictField(required=False, child=Text(allow_blank=True, max_length=500))


class SessionOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    url = serializers.CharField(help_text="where the buyer pays")
    status = serializers.ChoiceField(choices=CheckoutSession.Status.choices)
    livemode = serializers.BooleanField()
    plan = serializers.CharField(source="plan.code")
    interval = serializers.ChoiceField(choices=sessions.INTERVALS)
    quantity = serializers.IntegerField()
    currency = serializers.CharField()
    customer = serializers.CharField(source="customer_id", allow_null=True)
    email = serializers.CharField()
    subscription = serializers.CharField(source="subscription_id", allow_null=True)
    invoice = serializers.CharField(source="invoice_id", allow_null=True)
    success_url = serializers.CharField()
    cancel_url = serializers.CharField()
    allow_promotion_codes = serializers.BooleanField()
    trial_days = serializers.IntegerField(allow_null=True)
    metadata = serializers.DictField(child=serializers.CharField())
    created_at = Instant()
    expires_at = Instant()
    completed_at = Instant(allow_null=True)
    accepted_terms_url = serializers.SerializerMethodField(
        help_text="where the terms of service were that the buyer accepted; empty while open, and where there were none"
    )

    def get_accepted_terms_url(self, session: CheckoutSession) -> str:
        return session.quote.get("terms_url", "") if session.status == session.Status.COMPLETED else ""


class SessionQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    status = serializers.ChoiceField(required=False, choices=CheckoutSession.Status.choices)


class CheckoutSessions(ApiView):
    scopes = {"POST": "checkout"}

    @operation(
        "Make a checkout session", tag=TAG, name="create_checkout_session", body=SessionNew,
        answer=SessionOut, status=201, posts=True,
        description="For a customer, or for a buyer who becomes one. It is open for 24 hours.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(SessionNew)
        customer = self.customer(given.pop("customer"), "customer") if "customer" in given else None
        plan = plan_at(given.pop("plan"), "plan").code
        made = sessions.start(
            **given, plan=plan, customer=customer, livemode=self.livemode, origin=CheckoutSession.Origin.API,
            now=self.now(customer),
        )  # fmt: skip
        return self.answer(SessionOut, made, 201)

    @operation(
        "List checkout sessions", tag=TAG, name="list_checkout_sessions", query=SessionQuery, page=SessionOut
    )
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(SessionQuery), _sessions(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(SessionOut, rows, asked)


class CheckoutSessionDetail(ApiView):
    @operation("Read a checkout session", tag=TAG, name="read_checkout_session", answer=SessionOut)
    def get(self, request: Request, session: str) -> Response:
        return self.answer(SessionOut, row(_sessions(self), session, what="checkout session"))


class CheckoutSessionExpire(ApiView):
    scopes = {"POST": "checkout"}
    may_be_empty = True

    @operation(
        "End a checkout session", tag=TAG, name="expire_checkout_session", answer=SessionOut, posts=True
    )
    def post(self, request: Request, session: str) -> Response:
        found = row(_sessions(self), session, what="checkout session")
        sessions.expire(session=found, now=found.now, actor=self.actor)
        return self.answer(SessionOut, found)


def _sessions(view: ApiView) -> Any:
    return CheckoutSession.objects.filter(livemode=view.livemode).select_related("plan", "test_clock")
