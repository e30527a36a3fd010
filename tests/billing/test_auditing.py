"""The nightly look at the books."""

import logging
from datetime import timedelta

import pytest
from django.db import connection

from billing import auditing, books, tasks
from billing.models import Mail, Subscription
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(subscribe, make_customer, without_triggers):
    """A subscription that was billed, and whose invoice has lost its lines."""
    row = subscribe(make_customer(), plan="pro", quantity=2)
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute("delete from billing_invoiceline")
    return row


def night_of(row):
    """A moment of the night in which its life is worked out."""
    nights = (NOON + timedelta(days=days) for days in range(16))
    return next(night for night in nights if row.pk.endswith(auditing.DIGITS[night.toordinal() % 16]))


def test_nothing_is_said_of_books_that_hold(subscribe, make_customer):
    subscribe(make_customer(), plan="pro", quantity=2)
    assert tasks.ask_books() == 0
    assert not Mail.objects.filter(template="books_differ").exists()


def test_what_does_not_hold_is_logged_and_mailed_once(broken, caplog):
    now = night_of(broken)
    with caplog.at_level(logging.ERROR, logger="billing.auditing"):
        assert auditing.watch(now=now) == auditing.watch(now=now + timedelta(days=16)) >= 2
    assert f"I-11 papers say what the timeline owes: {broken.pk}" in caplog.text
    told = Mail.objects.get(template="books_differ")
    assert "I-01" in told.text
    assert broken.pk in told.text


def test_the_life_of_each_subscription_is_worked_out_once_in_sixteen_nights(broken):
    told = [
        day for day in range(16)
        if any(one.id == "I-11" for one in books.check(ending=auditing.DIGITS[day]))
    ]  # fmt: skip
    assert told == [auditing.DIGITS.index(broken.pk[-1])]
    assert Subscription.objects.get().pk == broken.pk


def test_a_long_list_is_cut(monkeypatch, broken):
    monkeypatch.setattr(auditing, "SHOWN", 1)
    found = auditing.watch(now=night_of(broken))
    assert f"and {found - 1} more" in Mail.objects.get(template="books_differ").text
