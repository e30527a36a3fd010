"""Signals: what was noticed about customers, and what only the seller's own product can tell."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Instant, Json, ListQuery, Strict, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from sales import watching
from sales.models import Signal, Weight

TAG = "Signals"


class SignalNew(Strict):
    customer = Text(max_length=200, help_text="id or external id")
    rule = Text(max_length=40, help_text="a rule's code")
    occurred_at = Instant(required=False, help_text="now, where nothing is said")
    evidence = Json(
        required=False,
        help_text="`feature` of enterprise_features: one look, counted; `score` of engagement: measured",
    )


class Dismissal(Strict):
    reason = Text(required=False, allow_blank=True, max_length=200)


class SignalOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    customer = serializers.CharField(source="customer_id")
    rule = serializers.CharField(source="rule.code")
    weight = serializers.ChoiceField(choices=Weight.choices)
    status = serializers.ChoiceField(choices=Signal.Status.choices)
    sentence = serializers.CharField()
    evidence = serializers.DictField()
    handoff_task = serializers.CharField(source="task_id", allow_null=True)
    dismissed_reason = serializers.CharField()
    occurred_at = Instant()
    created_at = Instant()


class NothingYetOut(serializers.Serializer[Any]):
    """The fact is kept; it is no signal yet."""

    signal = serializers.CharField(allow_null=True)


class SignalQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    rule = Text(required=False, help_text="a rule's code")
    status = serializers.ChoiceField(required=False, choices=Signal.Status.choices)


class Signals(ApiView):
    @operation(
        "Tell a fact", tag=TAG, name="create_signal", body=SignalNew, answer=SignalOut, status=201,
        posts=True, or_={202: NothingYetOut},
        description="What only the seller's product knows, judged by its rule: 202 while it is no signal yet.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(SignalNew)
        customer = self.customer(given.pop("customer"), "customer")
        now = self.now(customer)
        told = {"occurred_at": now, **given}
        signal = watching.tell(customer=customer, now=now, actor=self.actor, **told)
        if signal is None:
            return Response({"signal": None}, status=202)
        return self.answer(SignalOut, signal, 201)

    @operation("List signals", tag=TAG, name="list_signals", query=SignalQuery, page=SignalOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(SignalQuery), _signals(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "rule" in asked:
            rows = rows.filter(rule__code=asked["rule"])
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(SignalOut, rows, asked)


class SignalDetail(ApiView):
    @operation("Read a signal", tag=TAG, name="read_signal", answer=SignalOut)
    def get(self, request: Request, signal: str) -> Response:
        return self.answer(SignalOut, row(_signals(self), signal, what="signal"))


class SignalDismiss(ApiView):
    may_be_empty = True

    @operation(
        "Dismiss a signal", tag=TAG, name="dismiss_signal", body=Dismissal, answer=SignalOut, posts=True,
        description="It counts no longer.",
    )  # fmt: skip
    def post(self, request: Request, signal: str) -> Response:
        found = row(_signals(self), signal, what="signal")
        watching.dismiss(
            signal=found, now=self.now(found.customer), actor=self.actor, **self.given(Dismissal)
        )
        return self.answer(SignalOut, found)


def _signals(view: ApiView) -> Any:
    rows = Signal.objects.filter(livemode=view.livemode)
    return rows.select_related("rule", "customer__test_clock")
