"""Who sends the request: a key, and what it may do."""

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from billing import keys
from billing.models import ApiKey


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer tk_test_…`. No cookies: nothing that a browser would send on its own."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        if not given:
            return None
        scheme, _, secret = given.partition(" ")
        now = timezone.now()
        key = keys.find(secret.strip(), now) if scheme.lower() == "bearer" else None
        if key is None:
            raise AuthenticationFailed("This key is unknown.", code="invalid_key")
        if key.revoked_at is not None:
            raise AuthenticationFailed("This key has been revoked.", code="revoked_key")
        keys.used(key, now)
        return key, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """A key does what one of its scopes allows. The view names the scope of each method beside `write`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        key: Any = request.auth
        if key is None:
            raise NotAuthenticated("Send a key: Authorization: Bearer tk_test_…", code="missing_key")
        needed = view.scope_for(request.method)
        if needed in key.scopes or "write" in key.scopes:
            return True
        raise PermissionDenied(f"This needs a key with the scope {needed}.", code="scope_missing")


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key made with `manage.py api_key create`.",
        }
