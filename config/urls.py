"""Every address of Tandem."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from billing.webhooks_in import receive
from config.brand import logo
from config.health import healthz

urlpatterns = [
    # First, because programs ask most often.
    path("api/v1/", include("config.api")),
    path("", RedirectView.as_view(url="/pricing/"), name="home"),
    path("logo", logo, name="logo"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("mail/", include("billing.mailbox")),
    path("portal/", include("portal.urls")),
    path("", include("checkout.urls")),
    path("quotes/", include("sales.urls")),
    path("healthz", healthz, name="healthz"),
    path("styleguide/", include("config.styleguide")),
    path("webhooks/stripe/", receive, name="stripe_webhook"),
]
if settings.STRIPE_FAKE:
    urlpatterns.append(path("fakestripe/", include("billing.fakestripe.urls")))
