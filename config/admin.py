"""The staff side: Django's own admin with Tandem's look and its own screens."""

from functools import wraps
from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path

from billing.templatetags.tandem import NOTHING
from config.admin_menu import menu


class TandemAdminSite(admin.AdminSite):
    site_header = "Tandem"
    site_title = "Tandem"
    index_title = "Overview"
    site_url = "/pricing/"
    empty_value_display = NOTHING
    # Ours stands in templates/admin/base.html.
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Staff come in through the same door as everybody, so that TOTP and passkeys count here too."""
        return secure_admin_login(super().login)(request, extra_context)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Every page of the admin, for who has a second factor where one has to be."""
        guarded = super().admin_view(view, cacheable)

        @wraps(guarded)
        def with_factor(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
            from billing.admin import stepping_up

            if stepping_up.lacks_factor(request):
                return redirect("mfa_index")
            return guarded(request, *args, **options)

        return with_factor

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        return {**context, "menu": menu(context["available_apps"], request.path)}

    def get_urls(self) -> list[Any]:
        """Ours stand before Django's, whose last address takes everything."""
        from billing.admin import mails
        from sales.admin import audit, importing, metrics

        own = [
            path("metrics/", self.admin_view(metrics.page), name="metrics"),
            path("audit/", self.admin_view(audit.page), name="audit"),
            path("import/", self.admin_view(importing.page), name="import"),
            path("mails/", self.admin_view(mails.gallery), name="mails"),
            path("mails/<slug:name>/<int:variant>/", self.admin_view(mails.sample), name="mail_sample"),
            path("mails/<slug:name>/<int:variant>/html/", self.admin_view(mails.html), name="mail_html"),
        ]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from sales.admin.desk import desk

        return super().index(request, {**desk(request.user), **(extra_context or {})})  # type: ignore[arg-type]
