"""A buyer: a session on the shipped catalogue, answers that are right, and ways to press the button."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from checkout import catalogue as shipped
from checkout import sessions
from checkout.models import CheckoutSession

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

ANSWERS = {
    "interval": "month", "quantity": "3", "name": "Ada Lovelace", "email": "ada@nova.example",
    "company": "Nova Robotics", "employees": "12", "country": "DE", "line1": "Hauptstr. 1", "line2": "",
    "postal_code": "53111", "city": "Bonn", "state": "", "tax_id": "", "promotion_code": "",
    "timezone": "Europe/Berlin",
}  # fmt: skip


@pytest.fixture
def make_session(catalogue):
    """make_session(plan="pro", **fields) -> an open session."""

    shipped.ship(now=NOON)

    def make(plan="pro", **fields):
        given = {
            "interval": "month",
            "quantity": 3 if plan == "pro" else 1,
            "now": timezone.now(),
            "livemode": False,
        }
        return sessions.start(plan=plan, **{**given, **fields})

    return make


@pytest.fixture
def session(make_session):
    return make_session()


@pytest.fixture
def press(client):
    """press(session, card="pm_card_visa", **changed) posts the page with the button; press(…,
    action="update") fills in."""

    def post(session, card="pm_card_visa", action="pay", client=client, headers=None, **changed):
        data = {**ANSWERS, "action": action, "payment_method": card, "terms": "on", **changed}
        data = {name: value for name, value in data.items() if value is not None}
        return client.post(f"/checkout/{session.token}/", data, headers=headers or {})

    return post


@pytest.fixture
def fresh():
    """fresh(session) -> the row as it is now."""
    return lambda session: CheckoutSession.objects.get(pk=session.pk)
