"""A page with a card form, for test_browser: the strict policy of the site, and nothing of the checkout."""

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

PAGE = """{% load static %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pay</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="{% static 'tandem/favicon.svg' %}">
<link rel="stylesheet" href="{% static 'tandem/tokens.css' %}">
<link rel="stylesheet" href="{% static 'tandem/base.css' %}">
{% include "components/stripe_js.html" %}
</head><body><main><h1>Pay</h1>
<form method="get" action="/sent/"><input type="hidden" name="session" value="cs_1">
<div id="card"></div><button id="send">Pay</button></form></main></body></html>"""


def pay(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(PAGE).render({"STRIPE_FAKE": True}, request))


def sent(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<link rel=icon href=data:,><p>{request.META['QUERY_STRING']}</p>")


urlpatterns = [
    path("pay/", pay),
    path("sent/", sent),
    path("fakestripe/", include("billing.fakestripe.urls")),
]
