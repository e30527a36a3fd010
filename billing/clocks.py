"""Whose time it is. Edges ask here once and pass `now` down."""

from datetime import datetime

from django.utils import timezone

from billing.models import Customer, TestClock


def now_for(customer: Customer | None) -> datetime:
    """The customer's present: its test clock's time, or the real one."""
    return customer.now if customer is not None else timezone.now()


def now_on(clock: TestClock | None) -> datetime:
    return clock.now if clock is not None else timezone.now()
