"""The staff side: Django's own admin with Tandem's look and its own screens."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import HttpRequest, HttpResponse


class TandemAdminSite(admin.AdminSite):
    site_header = "Tandem"
    site_title = "Tandem"
    index_title = "Overview"
    site_url = "/pricing/"

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Staff come in through the same door as everybody, so that TOTP and passkeys count here too."""
        return secure_admin_login(super().login)(request, extra_context)
