"""Pausing, going on, and taking back a change that waits."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.formats import date_format

from billing import falling_due
from billing.maths.periods import add_months
from billing.models import Customer, Invoice, Seller

pytestmark = pytest.mark.django_db


def at(sub, name):
    return reverse(f"portal:{name}", args=[sub.pk])


@pytest.fixture
def allowed(nova):
    Seller.objects.update(customers_may_pause=True)


def test_the_seller_decides_whether_customers_pause(alice, sub):
    assert "Pause Pro" not in alice.get("/portal/plan/").text
    assert alice.post(at(sub, "pause"), {"months": "1"}).status_code == 403
    sub.refresh_from_db()
    assert sub.status == "active"


def test_it_pauses_and_goes_on_for_what_the_button_says(
    alice, nova, sub, card, allowed, clock, advance, books
):
    assert "Pause Pro" in alice.get("/portal/plan/").text
    told = alice.post(at(sub, "pause"), {"months": "2"}, follow=True).text
    sub.refresh_from_db()
    assert sub.status == "paused"
    assert "went to your balance" in told
    assert Customer.objects.get(pk=nova.pk).balance > 0
    assert "Pro is paused" in alice.get("/portal/").text
    advance(clock, days=10)
    page = alice.get("/portal/plan/").text
    due = re.search(r'name="due"\s+value="(\d+)"', page)[1]
    assert alice.post(at(sub, "resume"), {"due": "1"}, follow=True).text.count("has changed meanwhile") == 1
    before = set(Invoice.objects.values_list("pk", flat=True))
    alice.post(at(sub, "resume"), {"due": due})
    sub.refresh_from_db()
    assert sub.status == "active"
    made = Invoice.objects.exclude(pk__in=before).get()
    assert made.total == int(due)


def test_it_pauses_when_what_is_paid_for_ends_and_that_can_be_taken_back(alice, sub, allowed, clock, advance):
    from billing import subscribing, timelines

    end = subscribing.paid_until(sub, timelines.specs_of(sub), timelines.local_day(sub, clock.now))
    day = date_format(end, "j F Y")
    assert day in alice.get("/portal/plan/").text
    told = alice.post(at(sub, "pause"), {"months": "1", "from": "period_end"}, follow=True).text
    sub.refresh_from_db()
    assert sub.status == "active"
    assert f"Your plan is paused from {day} until {date_format(add_months(end, 1), 'j F Y')}." in told
    assert f"From {day}: paused" in told
    assert f"From {day}: paused" in alice.get("/portal/").text
    change = re.search(r'name="change" value="([^"]+)"', told)[1]
    assert "paused" not in alice.post(at(sub, "unplan"), {"change": change}, follow=True).text
    alice.post(at(sub, "pause"), {"months": "1", "from": "period_end"})
    advance(clock, days=(end - timelines.local_day(sub, clock.now)).days)
    sub.refresh_from_db()
    assert sub.status == "paused"


def test_a_pause_that_staff_agreed_to_is_not_taken_back_where_customers_may_not_pause(alice, sub, clock):
    from billing import pausing, subscribing

    pausing.pause(subscription=sub, now=clock.now, actor="user:1", effective="period_end")
    [waiting] = subscribing.pending_changes(sub, clock.now)
    page = alice.get("/portal/plan/").text
    assert "paused" in page
    assert "Take back" not in page
    assert alice.post(at(sub, "unplan"), {"change": waiting.row.pk}).status_code == 403
    assert subscribing.pending_changes(sub, clock.now)
    Seller.objects.update(customers_may_pause=True)
    assert alice.post(at(sub, "unplan"), {"change": waiting.row.pk}).status_code == 302
    assert not subscribing.pending_changes(sub, clock.now)


def test_a_pause_begins_when_it_is_offered(alice, sub, allowed):
    told = alice.post(at(sub, "pause"), {"months": "1", "from": "someday"}, follow=True).text
    assert "Choose when the pause begins." in told
    sub.refresh_from_db()
    assert sub.status == "active"


@pytest.mark.parametrize("months", ["", "0", "12", "x"])
def test_a_pause_lasts_what_is_offered(alice, sub, allowed, months):
    assert "Choose how long" in alice.post(at(sub, "pause"), {"months": months}, follow=True).text
    sub.refresh_from_db()
    assert sub.status == "active"


def test_who_owes_pays_first(alice, nova, sub, allowed):
    alice.post(at(sub, "pause"), {"months": "1"})
    sub.invoices.update(attempts=1)
    assert "pay what is open first" in alice.post(at(sub, "resume"), {"due": "0"}, follow=True).text


def test_a_change_that_waits_can_be_taken_back(alice, nova, sub):
    from billing import subscribing

    subscribing.change(
        subscription=sub, now=nova.now, actor="system", quantity=2, effective="period_end", source="portal"
    )
    page = alice.get("/portal/plan/").text
    change = re.search(r'name="change" value="([^"]+)"', page)[1]
    assert "Take back" in page
    alice.post(at(sub, "unplan"), {"change": change})
    assert "Take back" not in alice.get("/portal/plan/").text
    assert subscribing.pending_changes(sub, nova.now + timedelta(seconds=1)) == []
    again = alice.post(at(sub, "unplan"), {"change": change}, follow=True)
    assert "There is no such change that waits." in again.text


def test_a_pause_whose_end_cannot_be_billed_still_shows_the_plan(
    alice, sub, card, allowed, clock, advance, monkeypatch
):
    alice.post(at(sub, "pause"), {"months": "1"})
    monkeypatch.setattr(falling_due.invoicing, "bill_many", lambda *_, **__: {}["no such price"])
    advance(clock, days=40)
    answer = alice.get("/portal/plan/")
    assert "cannot be worked out just now" in answer.text
    assert at(sub, "resume") not in answer.text
    told = alice.post(at(sub, "resume"), {"due": "0"}, follow=True).text
    assert "could not be billed, so nothing was changed" in told
    sub.refresh_from_db()
    assert sub.status == "paused"
