"""The live style guide: every component with its hard cases, for DEBUG and DEMO only."""

from datetime import UTC, datetime
from decimal import Decimal

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft mbH & Co. KGaA"
ARABIC = "شركة الأفق الجديد للتجارة الإلكترونية"
CHINESE = "深圳市新地平线电子商务有限公司"
FACES = {
    "": "styleguide/index.html",
    "pricing": "styleguide/pricing.html",
    "checkout": "styleguide/checkout.html",
    "portal": "styleguide/portal.html",
    "quote": "styleguide/quote.html",
    "admin": "styleguide/admin.html",
}


class Sample(forms.Form):
    company = forms.CharField(help_text="As it stands on invoices.")
    email = forms.EmailField(label="Work e-mail")
    country = forms.ChoiceField(choices=[("DE", "Germany"), ("US", "United States"), ("XX", LONG)])
    seats = forms.IntegerField(min_value=1, max_value=500, initial=5)
    domain = forms.CharField(required=False, label="Address")
    note = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), label="What do you need?"
    )
    logo = forms.FileField(required=False)
    interval = forms.ChoiceField(
        choices=[("month", "Monthly"), ("year", "Yearly, two months free")],
        widget=forms.RadioSelect,
        help_text="You can change this later.",
        initial="year",
    )
    terms = forms.BooleanField(label="I have read the terms", help_text="They open in a new window.")


def samples() -> dict[str, Sample]:
    wrong = {"company": "", "email": "ada@", "country": "FR", "seats": "0", "domain": LONG, "interval": "day"}
    return {
        "form": Sample(auto_id="ok_%s"),
        "wrong": Sample(wrong, auto_id="wrong_%s"),
    }


def happenings() -> list[dict[str, object]]:
    at = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
    return [
        {
            "title": "Quote Q-2026-0042 accepted",
            "at": at,
            "icon": "handshake",
            "tone": "good",
            "who": "Ada Byron",
        },
        {
            "title": "80% of API calls used",
            "at": at,
            "icon": "gauge",
            "tone": "warn",
            "text": "80,412 of 100,000",
        },
        {
            "title": "Card declined: not enough funds",
            "at": at,
            "icon": "credit-card",
            "tone": "bad",
            "href": "#",
        },
        {"title": f"Seats changed from 5 to 12 by {LONG}", "at": at, "icon": "users", "who": ARABIC},
    ]


def usage() -> list[tuple[str, list[int]]]:
    counts = [1210, 1804, 2210, 1990, 2620, 900, 740, 2890, 3100, 3320, 2980, 3560, 1240, 1010]
    return [(f"{day} Mar", [count]) for day, count in enumerate(counts, start=1)]


def revenue() -> list[tuple[str, list[int]]]:
    months = "Jan Feb Mar Apr May Jun".split()
    return [(month, [12_000 + 1_900 * i, 4_000 + 3_100 * i]) for i, month in enumerate(months)]


def context() -> dict[str, object]:
    return {
        **samples(),
        "long": LONG,
        "arabic": ARABIC,
        "chinese": CHINESE,
        "states": ["active", "trialing", "past_due", "paused", "canceled", "draft", "open", "paid", "void"],
        "timeline": happenings(),
        "usage_rows": usage(),
        "revenue_rows": revenue(),
        "page": Paginator(range(1234), 25).page(2),
        "tabs": [
            {"label": "All", "href": "#", "current": True, "count": 128},
            {"label": "Open", "href": "#", "count": 7},
            {"label": "Past due", "href": "#", "count": 0},
            {"label": "Paid", "href": "#"},
        ],
        "crumbs": [("Customers", "#"), (LONG, "#")],
        "price": Decimal("0.0125"),
        "customer": {"name": LONG},
        "section": "overview",
        "quotes_waiting": 2,
    }


def page(request: HttpRequest, face: str = "") -> HttpResponse:
    if not (settings.DEBUG or settings.DEMO) or face not in FACES:
        raise Http404
    frame = admin.site.each_context(request) if face == "admin" else {}
    return render(request, FACES[face], {**frame, **context()})


urlpatterns = [
    path("", page, name="styleguide"),
    path("<slug:face>/", page, name="styleguide_face"),
]
