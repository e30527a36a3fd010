"""How an operation is written down for the OpenAPI file, beside the method that carries it out."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from billing.api.fields import A_DAY, LEAST, MOST, Day, Strict, Text

# Texts as `fields.Text` takes them: no NUL, and something to see where nothing is not enough. To Python the separators
# of files and records and the next line are spaces, which other readers' `\s` leaves out.
ANY_TEXT = r"^[^\u0000]*$"
VISIBLE_TEXT = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


class Schema(AutoSchema):
    """Names without the suffix that tells an answer from a request here, and texts as they are taken."""

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        found = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if isinstance(field, Text) and "$ref" not in found:
            found["pattern"] = ANY_TEXT if field.allow_blank else VISIBLE_TEXT
            if not field.allow_blank:
                found["minLength"] = 1
        if isinstance(field, serializers.IntegerField) and isinstance(field.parent, Strict):
            found = {"minimum": LEAST, "maximum": MOST, **found}
        if isinstance(field, Day) and isinstance(field.parent, Strict):
            found = {**found, **A_DAY}
        return found

    def _get_request_body(self, direction: Any = "request") -> Any:
        """An empty body is not an empty object."""
        found = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        return {**found, "required": not getattr(self.view, "may_be_empty", False)} if found else found

    def _get_serializer_name(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> str:
        name = super()._get_serializer_name(serializer, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        return str(name).removesuffix("Out")

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        found = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if isinstance(serializer, Strict):
            found["additionalProperties"] = False
            found.update(serializer.together)
            if serializer.either:
                found["anyOf"] = [{"required": [name]} for name in serializer.either]
        return found


class ErrorOut(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemOut(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="stable; what programs decide by")
    detail = serializers.CharField()
    errors = ErrorOut(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField()


IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="1 to 255 characters, kept for 24 hours: the same request again gets the first answer.",
)  # fmt: skip
PROBLEM = OpenApiResponse(ProblemOut, description="A problem document.")


def operation(
    summary: str,
    *,
    tag: str,
    name: str,
    body: Any = None,
    query: Any = None,
    answer: Any = None,
    page: Any = None,
    status: int = 200,
    description: str = "",
    posts: bool = False,
    media: str = "application/json",
    or_: Mapping[int, Any] | None = None,
) -> Callable[[Any], Any]:
    """`page`: the serializer of a row of a list. `posts`: the operation is a POST and takes an
    Idempotency-Key. `or_`: other good answers by status."""
    shown = page_of(page) if page is not None else answer
    done = (
        OpenApiResponse(shown, description="Done.")
        if shown is not None
        else OpenApiResponse(description="Done.")
    )
    written = extend_schema(
        operation_id=name, summary=summary, description=description or f"{summary}.", tags=[tag],
        request=body,
        parameters=[*([query] if query is not None else []), *([IDEMPOTENCY] if posts else [])],
        responses={
            (status, media): done,
            **{other: OpenApiResponse(shape, description="Done.") for other, shape in (or_ or {}).items()},
            (("4XX"), "application/problem+json"): PROBLEM,
        },
    )  # fmt: skip

    def marked(method: Any) -> Any:
        """What says everything by its address, or all but its body, refuses by name what else it is given: left aside,
        an amount in a query would be an amount that was not asked for."""
        method.takes_nothing = posts and body is None
        method.asks_nothing = query is None
        return written(method)

    return marked


@cache
def page_of(row: type[serializers.BaseSerializer[Any]]) -> Any:
    return inline_serializer(
        f"{row.__name__.removesuffix('Out')}Page",
        {
            "results": row(many=True),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
        },
    )
