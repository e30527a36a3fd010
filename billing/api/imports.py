"""Files of usage events: sent, read by a job, read back for progress and errors."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import importing
from billing.api.fields import Instant, ListQuery
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import MIB, ApiView
from billing.models import UsageImport

TAG = "Usage"
FORMATS = {
    "text/csv": "csv", "application/x-ndjson": "jsonl", "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
}  # fmt: skip


class ImportErrorOut(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="of the file, from 1")
    id = serializers.CharField(allow_null=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class UsageImportOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    status = serializers.ChoiceField(choices=UsageImport.Status.choices)
    format = serializers.ChoiceField(choices=["csv", "jsonl"])
    events = serializers.IntegerField(source="lines", help_text="in the file")
    processed = serializers.IntegerField()
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = ImportErrorOut(many=True, help_text="the first thousand of the rejected")  # type: ignore[assignment]
    created_at = Instant()
    finished_at = Instant(allow_null=True)


class UsageImports(ApiView):
    scopes = {"POST": "usage", "GET": "usage"}
    largest = 8 * MIB
    media = tuple(FORMATS)

    @operation(
        "Send a file of usage", tag=TAG, name="create_usage_import", answer=UsageImportOut, status=202,
        posts=True,
        body={kind: {"type": "string", "minLength": 1} for kind in ("text/csv", "application/x-ndjson")},
        description=(
            "The body is the file. CSV: the first line names the columns id, customer, event_name, timestamp; "
            "every other column is a property. Or one JSON event in each line. A job reads it."
        ),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        format = FORMATS[request._request.content_type or ""]
        made = importing.take(
            content=request.body, format=format, livemode=self.livemode, now=self.now(), actor=self.actor
        )
        return self.answer(UsageImportOut, made, 202)

    @operation("List files", tag=TAG, name="list_usage_imports", query=ListQuery, page=UsageImportOut)
    def get(self, request: Request) -> Response:
        return self.page(UsageImportOut, _imports(self), self.asked(ListQuery))


class UsageImportDetail(ApiView):
    scopes = {"GET": "usage"}

    @operation("How far a file has come", tag=TAG, name="read_usage_import", answer=UsageImportOut)
    def get(self, request: Request, usage_import: str) -> Response:
        return self.answer(UsageImportOut, row(_imports(self), usage_import, what="usage import"))


def _imports(view: ApiView) -> Any:
    return UsageImport.objects.filter(livemode=view.livemode).defer("content")
