"""Every address of Tandem."""

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from billing.webhooks_in import receive
from config.brand import logo
from config.health import healthz
from config.security_txt import security_txt


def nowhere(request: HttpRequest) -> HttpResponse:
    raise Http404


urlpatterns = [
    # First, because programs ask most often.
    path("api/v1/", include("config.api")),
    path("", RedirectView.as_view(url="/pricing/"), name="home"),
    path("logo", logo, name="logo"),
    path("admin/", admin.site.urls),
    # The address is the account: who could change it without proof would be whoever is invited by that address next.
    path("accounts/email/", nowhere),
    path("accounts/password/set/", RedirectView.as_view(pattern_name="account_reset_password")),
    path("accounts/", include("allauth.urls")),
    path("mail/", include("billing.mailbox")),
    path("portal/", include("portal.urls")),
    path("", include("checkout.urls")),
    path("quotes/", include("sales.urls")),
    path("healthz", healthz, name="healthz"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path("styleguide/", include("config.styleguide")),
    path("webhooks/stripe/", receive, name="stripe_webhook"),
]
if settings.STRIPE_FAKE:
    urlpatterns.append(path("fakestripe/", include("billing.fakestripe.urls")))

# Also asked where middleware failed, or the page of another error.
handler500 = "config.failing.server_error"
# What signing in asks when it was tried too often.
handler429 = "config.failing.too_often"
