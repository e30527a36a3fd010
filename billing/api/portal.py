"""Links into the portal, for the seller's own product to hand out."""

from typing import Any
from urllib.parse import urlsplit

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import portal_links
from billing.api.fields import Instant, Strict, Text
from billing.api.schema import operation
from billing.api.views import ApiView

TAG = "Portal"


@extend_schema_field(
    {
        "type": "string",
        "format": "uri",
        "pattern": r"^https?://[^/?#@\\\s]+([/?#][^\\\s]*)?$",
        "maxLength": 500,
    }
)
class Address(Text):
    """An absolute address that a browser may be sent back to."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.username is None
        except ValueError:
            usable = False
        if not usable or any(c.isspace() or c == "\\" for c in text):
            raise serializers.ValidationError(
                "Use an address such as https://app.example/billing.", code="invalid_url"
            )
        return text


class PortalSessionNew(Strict):
    customer = Text(max_length=200, help_text="id or external id")
    return_url = Address(
        required=False, max_length=500, help_text="where they go back to, on an allowed host"
    )
    sections = serializers.ListField(
        required=False,
        child=serializers.ChoiceField(choices=portal_links.SECTIONS),
        max_length=len(portal_links.SECTIONS),
    )


class PortalSessionOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    url = serializers.CharField(help_text="works once, for one hour")
    expires_at = Instant()
    customer = serializers.CharField()


class PortalSessions(ApiView):
    scopes = {"POST": "portal"}

    @operation(
        "Make a link into the portal", tag=TAG, name="create_portal_session", body=PortalSessionNew,
        answer=PortalSessionOut, status=201, posts=True,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(PortalSessionNew)
        customer = self.customer(given.pop("customer"), "customer")
        link, url = portal_links.issue(customer, now=self.now(), actor=self.actor, **given)
        shown = {"id": link.public_id, "url": url, "expires_at": link.expires_at, "customer": customer.pk}
        return self.answer(PortalSessionOut, shown, 201)
