"""Handoff tasks: taken, done, handed back."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import Day, Instant, ListQuery, Number, Strict, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import User
from billing.refusals import Refused
from sales import handing_over
from sales.api.people import PersonOut, person
from sales.models import HandoffTask

TAG = "Handoff tasks"


class NobodyNamed(Refused):
    """The task has no owner yet, so the request has to say who takes it."""

    code = "nobody_named"


class Acceptance(Strict):
    by = Text(required=False, help_text="a salesperson's e-mail address; the owner where nothing is said")
    note = Text(required=False, allow_blank=True, max_length=4000)


class Completion(Strict):
    outcome = serializers.ChoiceField(choices=["won", "lost"])
    note = Text(required=False, allow_blank=True, max_length=4000)


class GivingBack(Strict):
    note = Text(required=False, allow_blank=True, max_length=4000)


class HandoffTaskOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(choices=HandoffTask.Status.choices)
    customer = serializers.CharField(source="customer_id", allow_null=True)
    lead = serializers.CharField(source="lead_id", allow_null=True)
    owner = PersonOut(allow_null=True)
    owner_why = serializers.CharField(help_text="the rule that chose the owner")
    reason = serializers.CharField()
    score = Number()
    due_on = Day()
    note = serializers.CharField()
    raised_at = Instant()
    accepted_at = Instant(allow_null=True)
    closed_at = Instant(allow_null=True)


class HandoffTaskQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    status = serializers.ChoiceField(required=False, choices=HandoffTask.Status.choices)
    owner = Text(required=False, help_text="an e-mail address")


class HandoffTasks(ApiView):
    @operation(
        "List handoff tasks", tag=TAG, name="list_handoff_tasks", query=HandoffTaskQuery, page=HandoffTaskOut
    )
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(HandoffTaskQuery), _tasks(self)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        if "owner" in asked:
            rows = rows.filter(owner__email__iexact=asked["owner"])
        return self.page(HandoffTaskOut, rows, asked)


class OneTask(ApiView):
    def found(self, ref: str) -> HandoffTask:
        return row(_tasks(self), ref, what="handoff task")

    def moment(self, task: HandoffTask) -> Any:
        return self.now(task.customer)


class HandoffTaskDetail(OneTask):
    @operation("Read a handoff task", tag=TAG, name="read_handoff_task", answer=HandoffTaskOut)
    def get(self, request: Request, task: str) -> Response:
        return self.answer(HandoffTaskOut, self.found(task))


class HandoffTaskAccept(OneTask):
    may_be_empty = True

    @operation(
        "Take a task", tag=TAG, name="accept_handoff_task", body=Acceptance, answer=HandoffTaskOut, posts=True
    )
    def post(self, request: Request, task: str) -> Response:
        found, given = self.found(task), self.given(Acceptance)
        by = person(given["by"], "by") if "by" in given else _owner(found)
        handing_over.accept(task=found, by=by, now=self.moment(found), note=given.get("note", ""))
        return self.answer(HandoffTaskOut, found)


def _owner(task: HandoffTask) -> User:
    if task.owner is None:
        raise NobodyNamed("The task has no owner: say who takes it.", field="by")
    return task.owner


class HandoffTaskComplete(OneTask):
    @operation(
        "Close a task", tag=TAG, name="complete_handoff_task", body=Completion, answer=HandoffTaskOut,
        posts=True,
    )  # fmt: skip
    def post(self, request: Request, task: str) -> Response:
        found = self.found(task)
        handing_over.complete(task=found, now=self.moment(found), actor=self.actor, **self.given(Completion))
        return self.answer(HandoffTaskOut, found)


class HandoffTaskReturn(OneTask):
    may_be_empty = True

    @operation(
        "Hand a task back", tag=TAG, name="return_handoff_task", body=GivingBack, answer=HandoffTaskOut,
        posts=True,
        description="The customer stays self-serve; only new signals raise another task.",
    )  # fmt: skip
    def post(self, request: Request, task: str) -> Response:
        found = self.found(task)
        handing_over.give_back(task=found, now=self.moment(found), actor=self.actor, **self.given(GivingBack))
        return self.answer(HandoffTaskOut, found)


def _tasks(view: ApiView) -> Any:
    """Of customers, and of leads that are none yet, on the key's side."""
    rows = HandoffTask.objects.filter(livemode=view.livemode)
    return rows.select_related("owner", "customer__test_clock", "lead")
