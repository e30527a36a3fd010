"""What Tandem ships with: segments, plans, prices, a meter, tax rates, number series and a seller to rename.

`ship` may be called any number of times; it adds what is missing and changes nothing that staff edited.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Model

from billing import retaining
from billing.models import (
    Entitlement,
    ExchangeRate,
    Meter,
    Motion,
    NumberSeries,
    Plan,
    Price,
    RetentionRule,
    Segment,
    Seller,
    TaxRate,
)

SEGMENTS = [
    # code, name, ARR from, ARR to (minor units), motion, card, invoice, sales touch
    ("smb", "SMB", 0, 10_000_00, Motion.SELF_SERVE, True, False, "none"),
    ("mid-market", "Mid-Market", 10_000_00, 50_000_00, Motion.SALES_ASSISTED, True, True, "light"),
    ("enterprise", "Enterprise", 50_000_00, None, Motion.SALES_LED, False, True, "high"),
]

SERIES = [("live", "INV-"), ("live-credit", "CN-"), ("test", "TEST-"), ("test-credit", "TEST-CN-")]

# Standard VAT rates of the countries that the sample seller sells to; staff add theirs.
TAXES = [
    ("IE", "VAT", "23"),
    ("DE", "VAT", "19"),
    ("FR", "VAT", "20"),
    ("NL", "VAT", "21"),
]

# The shipped price list asks as many euros as dollars. Staff type today's rate.
PRICED_SINCE = date(2000, 1, 1)

# The seller to rename.
SAMPLE_SELLER = "Lumen Analytics Ltd"
SAMPLE_PAGES = {"terms_url": "https://lumen.example/terms", "privacy_url": "https://lumen.example/privacy"}

PLANS: list[dict[str, Any]] = [
    {
        "code": "starter", "name": "Starter", "rank": 10, "motion": Motion.SELF_SERVE, "published": True,
        "tagline": "For a first product and a small team.", "base": "flat", "month": "19", "year": "190",
        "calls": 10_000, "tiers": [(None, "0.002")], "seats": 5, "features": [],
        "highlights": ["Up to 5 team members", "10,000 API calls a month", "E-mail support"],
    },
    {
        "code": "pro", "name": "Pro", "rank": 20, "motion": Motion.SELF_SERVE, "published": True,
        "tagline": "For teams that ship every day.", "base": "per_unit", "month": "29", "year": "290",
        "calls": 50_000, "tiers": [(500_000, "0.0015"), (None, "0.001")], "seats": 100, "features": ["reports"],
        "highlights": ["Priced per seat", "50,000 API calls a month", "Reports and exports", "Priority support"],
    },
    {
        "code": "business", "name": "Business", "rank": 30, "motion": Motion.SALES_ASSISTED, "published": True,
        "requires_demo": True, "tagline": "For companies with roles, reviews and audits.", "base": "per_unit",
        "month": "79", "year": "790", "calls": 500_000, "tiers": [(None, "0.001")], "seats": 500,
        "features": ["reports", "audit_log"],
        "highlights": ["Everything in Pro", "500,000 API calls a month", "Audit log", "Onboarding with us"],
    },
    {
        "code": "enterprise", "name": "Enterprise", "rank": 40, "motion": Motion.SALES_LED, "published": True,
        "quote_only": True, "tagline": "For organisations with their own terms.", "base": "per_unit",
        "month": "99", "year": "990", "calls": 5_000_000, "tiers": [(None, "0.0008")], "seats": None,
        "features": ["reports", "audit_log", "sso", "dedicated_support"],
        "highlights": ["Everything in Business", "Single sign-on", "Pay by invoice", "Dedicated support"],
    },
]  # fmt: skip

METER = {
    "name": "API calls", "unit": "calls", "event_name": "api_call", "aggregation": "sum", "property": "value",
}  # fmt: skip

FEATURES = {
    "reports": "Reports and exports",
    "audit_log": "Audit log",
    "sso": "Single sign-on",
    "dedicated_support": "Dedicated support",
}


@transaction.atomic
def ship(*, now: datetime) -> None:
    """Add whatever of the shipped catalogue is missing."""
    add_missing(NumberSeries(code=code, prefix=prefix) for code, prefix in SERIES)
    add_missing(_segments())
    taxed = set(TaxRate.objects.values_list("country", flat=True))
    add_missing(
        TaxRate(country=country, name=name, percentage=Decimal(percentage))
        for country, name, percentage in TAXES
        if country not in taxed
    )
    _ship_seller()
    if not ExchangeRate.objects.exists():
        ExchangeRate.objects.create(currency="EUR", into="USD", rate=1, since=PRICED_SINCE)
    _ship_plans(now)
    add_missing(RetentionRule(kind=kind) for kind in retaining.KINDS)


def add_missing(rows: Iterable[Model]) -> None:
    """Store those of a kind that are not there yet by their code or name, in one statement."""
    if new := list(rows):
        type(new[0])._default_manager.bulk_create(new, ignore_conflicts=True)


def _segments() -> Iterator[Segment]:
    for code, name, low, high, motion, card, invoice, touch in SEGMENTS:
        yield Segment(
            code=code, name=name, min_arr=low, max_arr=high, motion=motion, sales_touch=touch,
            allows_card=card, allows_invoice=invoice,
        )  # fmt: skip


def _ship_seller() -> None:
    Seller.objects.get_or_create(
        pk=1,
        defaults={
            "name": "Lumen Analytics", "legal_name": SAMPLE_SELLER, "email": "billing@lumen.example",
            "phone": "+353 1 555 0100", "website": "lumen.example", **SAMPLE_PAGES, "tax_id": "IE6388047V",
            "registration": "Company no. 548 321", "bank_name": "Bank of Ireland", "iban": "IE29AIBK93115212345678",
            "bic": "AIBKIE2D", "currency": "USD", "timezone": "Europe/Dublin",
            "address": {
                "line1": "12 Grand Canal Quay", "city": "Dublin", "postal_code": "D02 X285", "country": "IE",
            },
        },
    )  # fmt: skip


def _ship_plans(now: datetime) -> None:
    """The plans that are missing, with their prices and entitlements; one that is there is left as staff made it."""
    known = set(Plan.objects.values_list("code", flat=True))
    missing = {row["code"]: row for row in PLANS if row["code"] not in known}
    meter, _ = Meter.objects.get_or_create(code="api_calls", defaults=METER)
    fields = (
        "code",
        "name",
        "rank",
        "motion",
        "published",
        "tagline",
        "highlights",
        "requires_demo",
        "quote_only",
    )
    plans = Plan.objects.bulk_create(
        Plan(**{field: row[field] for field in fields if field in row}, created_at=now)
        for row in missing.values()
    )
    rows = [(plan, missing[plan.code]) for plan in plans]
    Price.objects.bulk_create(price for plan, row in rows for price in _prices(plan, row, meter, now))
    Entitlement.objects.bulk_create(each for plan, row in rows for each in _entitlements(plan, row, meter))


def _prices(plan: Plan, row: dict[str, Any], meter: Meter, now: datetime) -> Iterator[Price]:
    unit = "base" if row["base"] == "flat" else "seats"
    label = plan.name if row["base"] == "flat" else f"{plan.name} seat"
    tiers = [{"up_to": str(row["calls"]), "unit_amount": "0"}]
    tiers += [{"up_to": up_to and str(up_to), "unit_amount": amount} for up_to, amount in row["tiers"]]
    for currency, suffix in (("USD", ""), ("EUR", "-eur")):
        for interval in ("month", "year"):
            yield Price(
                plan=plan, code=f"{unit}-{interval}{suffix}", label=label, kind="recurring", model=row["base"],
                interval=interval, currency=currency, unit_amount=Decimal(row[interval]), created_at=now,
            )  # fmt: skip
        yield Price(
            plan=plan, code=f"api-calls{suffix}", label="API calls", kind="usage", model="graduated", interval="month",
            currency=currency, tiers=tiers, billed="arrears", meter=meter, created_at=now,
        )  # fmt: skip


def _entitlements(plan: Plan, row: dict[str, Any], meter: Meter) -> Iterator[Entitlement]:
    if row["seats"]:
        yield Entitlement(plan=plan, feature="seats", name="Team members", limit=row["seats"])
    yield Entitlement(plan=plan, feature="api_calls", name="API calls", meter=meter, limit=row["calls"])
    for feature in row["features"]:
        yield Entitlement(plan=plan, feature=feature, name=FEATURES[feature])
