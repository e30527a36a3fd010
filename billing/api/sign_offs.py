"""What waits for a second person. A program may ask and look; only somebody who is signed in decides."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Instant, ListQuery, Money, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import SignOff

TAG = "Sign-offs"


class SignOffOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    kind = serializers.ChoiceField(choices=SignOff.Kind.choices)
    status = serializers.ChoiceField(
        choices=SignOff.Status.choices, help_text="done: the money moved; failed: it could not, see message"
    )
    customer = serializers.CharField(source="customer_id")
    invoice = serializers.CharField(source="invoice_id", allow_null=True)
    payment = serializers.CharField(source="payment_id", allow_null=True)
    amount = Money()
    currency = serializers.CharField()
    reason = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = Instant()
    decided_by = serializers.SerializerMethodField()
    decided_at = Instant(allow_null=True)
    message = serializers.CharField()

    def get_decided_by(self, row: SignOff) -> str | None:
        """The e-mail address of who signed or refused it."""
        return row.decided_by.email if row.decided_by else None


class SignOffQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    status = serializers.ChoiceField(required=False, choices=SignOff.Status.choices)


def _rows(view: ApiView) -> QuerySet[SignOff]:
    return SignOff.objects.filter(livemode=view.livemode).select_related("decided_by")


def waits(view: ApiView, row: SignOff) -> Response:
    """202: nothing was moved yet."""
    return view.answer(SignOffOut, row, 202)


class SignOffs(ApiView):
    @operation(
        "List sign-offs", tag=TAG, name="list_sign_offs", query=SignOffQuery, page=SignOffOut,
        description="Refunds, pay-outs and write-offs above the seller's limit. They are signed in the admin.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(SignOffQuery), _rows(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return self.page(SignOffOut, rows, asked)


class SignOffDetail(ApiView):
    @operation("Read a sign-off", tag=TAG, name="read_sign_off", answer=SignOffOut)
    def get(self, request: Request, sign_off: str) -> Response:
        return self.answer(SignOffOut, row(_rows(self), sign_off, what="sign-off"))
