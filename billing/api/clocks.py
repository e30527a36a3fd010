"""Test clocks: movable time for sandbox customers."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import clocks, forgetting, running
from billing.api.fields import Instant, ListQuery, Strict, Text
from billing.api.finding import row
from billing.api.problems import Problem
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import TestClock

TAG = "Test clocks"


class ClockNew(Strict):
    time = Instant()
    name = Text(default="", allow_blank=True, max_length=100)


class ClockAdvance(Strict):
    to = Instant()


class ClockOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    time = Instant(source="now")
    status = serializers.ChoiceField(choices=["ready", "advancing"])
    created_at = Instant()


class SandboxView(ApiView):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.livemode:
            raise Problem(403, "sandbox_only", "Test clocks are for sandbox keys.")


class Clocks(SandboxView):
    @operation(
        "Make a test clock",
        tag=TAG,
        name="create_test_clock",
        body=ClockNew,
        answer=ClockOut,
        status=201,
        posts=True,
    )
    def post(self, request: Request) -> Response:
        return self.answer(ClockOut, clocks.create(**self.given(ClockNew), actor=self.actor), 201)

    @operation("List test clocks", tag=TAG, name="list_test_clocks", query=ListQuery, page=ClockOut)
    def get(self, request: Request) -> Response:
        return self.page(ClockOut, _clocks(), self.asked(ListQuery))


class ClockDetail(SandboxView):
    @operation("Read a test clock", tag=TAG, name="read_test_clock", answer=ClockOut)
    def get(self, request: Request, clock: str) -> Response:
        return self.answer(ClockOut, row(_clocks(), clock, what="test clock"))

    @operation(
        "Delete a test clock", tag=TAG, name="delete_test_clock", status=204,
        description="With its customers: they are gone from everywhere, and nothing more happens to them.",
    )  # fmt: skip
    def delete(self, request: Request, clock: str) -> Response:
        found = row(_clocks(), clock, what="test clock")
        forgetting.delete_clock(clock=found, actor=self.actor, now=self.now())
        return Response(status=204)


def _clocks() -> QuerySet[TestClock]:
    return TestClock.objects.filter(deleted_at__isnull=True)


class Advance(SandboxView):
    # Everything on the way commits on its own, at its own time; asking again goes on where it stopped.
    in_one_transaction = False

    @operation(
        "Move a test clock", tag=TAG, name="advance_test_clock", body=ClockAdvance, answer=ClockOut,
        posts=True, description="Everything due on the way happens, in order; answers when it is ready.",
    )  # fmt: skip
    def post(self, request: Request, clock: str) -> Response:
        found, to = row(_clocks(), clock, what="test clock"), self.given(ClockAdvance)["to"]
        clocks.check_advance(found, to)
        running.advance(clock=found, to=to, actor=self.actor)
        return self.answer(ClockOut, found)
