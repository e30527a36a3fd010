"""Where things are seen, and how money reads, in mails and sentences."""

from typing import Any

from django.conf import settings

from billing.maths.money import exponent
from billing.papers.figures import Figures


def staff_url(row: Any) -> str:
    """A row's page in the admin."""
    return f"{settings.SITE_URL}/admin/sales/{row._meta.model_name}/{row.pk}/change/"


def customer_url(customer: Any) -> str:
    """A customer's page in the admin."""
    return f"{settings.SITE_URL}/admin/billing/customer/{customer.pk}/change/"


def portal_url() -> str:
    return f"{settings.SITE_URL}/portal/"


def money(minor: int, currency: str) -> str:
    """1250000, "USD" -> "$12,500.00"."""
    return Figures("en", currency, exponent(currency)).money(minor)
