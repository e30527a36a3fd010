"""Mount with `path("fakestripe/", include("billing.fakestripe.urls"))`, only where `STRIPE_FAKE` is on."""

from django.urls import path

from billing.fakestripe import views
from billing.fakestripe.site import the_fake

the_fake()  # refuses, at start, to be mounted beside a live key

app_name = "fakestripe"
urlpatterns = [
    path("v1/<path:path>", views.api, name="api"),
    path("challenge/<str:intent>/", views.challenge, name="challenge"),
]
