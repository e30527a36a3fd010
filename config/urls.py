"""Every address of Tandem."""

from django.contrib import admin
from django.urls import include, path

from config.health import healthz

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("mail/", include("billing.mailbox")),
    path("healthz", healthz, name="healthz"),
    path("styleguide/", include("config.styleguide")),
]
