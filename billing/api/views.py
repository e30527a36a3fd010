"""What every view of the API has in common: the key's side, strict bodies and queries, pages, repeatable
POSTs."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import throttling
from billing.api import idempotency, paging
from billing.api.fields import Strict
from billing.api.finding import customer_at
from billing.api.parsing import malformed
from billing.api.problems import FieldProblem, Problem
from billing.api.rendering import Renderer
from billing.api.schema import Schema
from billing.api.showing import Shown, shown
from billing.models import Customer

# What every list takes; the rest of a query says which rows.
PAGE = ("limit", "cursor")
MIB = 1024 * 1024


class ApiView(APIView):
    """Subclasses write `get`, `post`, … as: read what was sent, one call, answer."""

    schema = Schema()
    renderer_classes = [Renderer]
    metadata_class = None
    # Which scope a method needs, where it is not read (for GET) or write.
    scopes: ClassVar[Mapping[str, str]] = {}
    largest: ClassVar[int] = MIB
    # Which of the limits of a key its requests count against.
    counts_as: ClassVar[str] = "other"
    may_be_empty: ClassVar[bool] = False
    # What a body may be.
    media: ClassVar[Collection[str]] = ("application/json",)
    # False where the card network is called: no transaction is held over the network.
    in_one_transaction: ClassVar[bool] = True

    # -- The way through ----------------------------------------------------------------------------------

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers: dict[str, str] = {}
        # What makes a request with a key the same when it is made again; since when, if an earlier one was killed.
        self.once = ""
        self.since: datetime | None = None
        try:
            self.initial(self.request, *args, **kwargs)
            key = idempotency.key_of(self.request) if self.request.method == "POST" else None
            if key is not None:
                return self._once(key)
            if self.request.method == "POST":
                self.ahead()
            return self._finished(self._call())
        except Exception as error:
            return self._finished(self.handle_exception(error))

    def ahead(self) -> None:
        """What a POST does before it holds anything: read, find, speak to the card network."""

    def holds_one_transaction(self) -> bool:
        """Whether the answer is kept in the transaction of the work; asked after `ahead`."""
        return self.in_one_transaction

    def _call(self) -> Response:
        name = (self.request.method or "").lower()
        handler = getattr(self, name, None) if name in self.http_method_names else None
        if getattr(handler, "takes_nothing", False):
            self.given(Strict)
        if getattr(handler, "asks_nothing", False):
            self.asked(Strict)
        return (handler or self.http_method_not_allowed)(self.request, *self.args, **self.kwargs)

    def _once(self, key: str) -> HttpResponse:
        row = idempotency.claim(self.key, key, idempotency.fingerprint(self.request), timezone.now())
        if row.status is not None:
            return idempotency.replay(row)
        self.once = f"{row.pk}-{row.created_at:%Y%m%d%H%M%S%f}"
        self.since = row.created_at if row.locked_at > row.created_at else None
        return idempotency.answer_once(
            row, ahead=self.ahead, work=lambda: self._finished(self._call()),
            in_one_transaction=self.holds_one_transaction,
            excuse=lambda error: self._finished(self.handle_exception(error)),
        )  # fmt: skip

    def _finished(self, response: Any) -> Any:
        self.response = self.finalize_response(self.request, response, *self.args, **self.kwargs)
        return self.response.render() if hasattr(self.response, "render") else self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        throttling.spend(self.key, kind=self.counts_as, now=timezone.now())
        if any("\0" in part for part in kwargs.values()):
            raise Http404
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        if request.method not in SAFE_METHODS:
            self._read_body(request._request)

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        words = f"Here are {', '.join(self.allowed_methods)}."
        raise Problem(405, "method_not_allowed", words, headers={"Allow": ", ".join(self.allowed_methods)})

    def _read_body(self, request: HttpRequest) -> None:
        """Into memory, never more than is allowed."""
        if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
            raise Problem(415, "unsupported_encoding", "The body is sent as it is, not compressed.")
        length = _length(request)
        body = b"" if length > self.largest else _read(request, self.largest + 1)
        if length > self.largest or len(body) > self.largest:
            raise Problem(413, "body_too_large", f"A body here has at most {self.largest // MIB} MiB.")
        if len(body) < length:
            raise malformed("incomplete_body", f"{len(body)} of {length} bytes arrived.")
        # As if Django had read it: of a body in chunks it knows no length, and would read nothing.
        request._body, request._read_started = body, True  # type: ignore[attr-defined]
        request.META["CONTENT_LENGTH"] = str(len(body))
        if body and request.content_type not in self.media:
            raise Problem(415, "unsupported_media_type", f"Send {' or '.join(self.media)}.")
        if not body and request.method != "DELETE" and not self.may_be_empty:
            raise malformed("invalid_json", "The body is empty.")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """JSON, whatever is asked for."""
        return self.get_renderers()[0], Renderer.media_type

    # -- Who asks
    # ---------------------------------------------------------------------------------------------

    def scope_for(self, method: str | None) -> str:
        return self.scopes.get(method or "") or ("read" if method in SAFE_METHODS else "write")

    @property
    def key(self) -> Any:
        return self.request.auth

    @property
    def livemode(self) -> bool:
        return self.key.livemode

    @property
    def actor(self) -> str:
        return self.key.actor

    @property
    def by(self) -> dict[str, Any]:
        """Who does something to what both sides share, on which side, and when."""
        return {"actor": self.actor, "livemode": self.livemode, "now": self.now()}

    def now(self, customer: Customer | None = None) -> datetime:
        """The edge reads the clock: the customer's, or the real one."""
        return customer.now if customer is not None else timezone.now()

    # -- What was sent, what is answered
    # ------------------------------------------------------------------------

    def given(self, serializer: type[Strict], **options: Any) -> dict[str, Any]:
        """The body. Raises ValidationError."""
        read = serializer(data=self.request.data, **options)
        read.is_valid(raise_exception=True)
        return dict(read.validated_data)

    def asked(self, serializer: type[Strict]) -> dict[str, Any]:
        """The query: known names, each once."""
        for name, values in self.request.query_params.lists():
            if len(values) > 1:
                error = FieldProblem(name, "repeated_parameter", "This is given more than once.")
                raise Problem(400, "repeated_parameter", f"{name} is given more than once.", [error])
        if not self.request.query_params:
            return dict(_where_nothing_is_asked(serializer))
        return dict(_query(serializer).run_validation(self.request.query_params.dict()))

    def customer(self, ref: str, field: str = "") -> Customer:
        """By id or external id, on this key's side."""
        return customer_at(ref, livemode=self.livemode, field=field)

    def answer(self, serializer: Shown, row: Any, status: int = 200) -> Response:
        return Response(shown(serializer, [row])[0], status=status)

    def list_of(self, serializer: Shown, rows: Any) -> Response:
        """A list that is always whole."""
        return Response({"results": shown(serializer, list(rows)), "next": None, "previous": None})

    def page(
        self,
        serializer: Shown,
        rows: QuerySet[Any],
        asked: Mapping[str, Any],
        **order: Any,
    ) -> Response:
        found = paging.page(self.request, rows, limit=asked["limit"], cursor=asked["cursor"], **order)
        return self._paged(serializer, found)

    def listed(
        self, serializer: Shown, rows: paging.Listing, asked: Mapping[str, Any], **order: Any
    ) -> Response:
        """As `page`, by a query that is written once; a row may stand where its name was asked for."""
        wanted = {name: value for name, value in asked.items() if name not in PAGE}
        found = paging.listed(
            self.request, rows, livemode=self.livemode, wanted=wanted, limit=asked["limit"], cursor=asked["cursor"],
            **order,
        )  # fmt: skip
        return self._paged(serializer, found)

    def _paged(self, serializer: Shown, found: paging.Page) -> Response:
        results = shown(serializer, found.rows)
        return Response({"results": results, "next": found.next, "previous": found.previous})


@cache
def _query(serializer: type[Strict]) -> Strict:
    """Asked once for its fields, which are copied for each new one; reading a query leaves nothing behind in it."""
    return serializer(context={"query": True})


@cache
def _where_nothing_is_asked(serializer: type[Strict]) -> dict[str, Any]:
    return dict(_query(serializer).run_validation({}))


def _read(request: HttpRequest, most: int) -> bytes:
    """At most so many bytes. Of a body in chunks the server knows the end, and nobody its length before.

    Raises Problem for what breaks off or is sent in another way.
    """
    coding = request.META.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    if coding and (coding != "chunked" or not request.META.get("wsgi.input_terminated")):
        raise Problem(411, "length_required", "Say how long the body is: send Content-Length.")
    try:
        return bytes(request.META["wsgi.input"].read(most) if coding else request.read(most))
    except Exception as error:  # each server has its own for chunks that are none
        raise malformed("incomplete_body", "The body broke off.") from error


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
