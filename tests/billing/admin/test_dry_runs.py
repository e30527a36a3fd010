"""The screen on which Finance sees what a run would issue."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import rehearsing
from billing.models import BillingFailure, BillingRehearsal, Invoice
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
NEW = "/admin/billing/billingrehearsal/add/"


@pytest.fixture
def fay():
    return signed_in("view_billingrehearsal", "add_billingrehearsal")


def test_it_shows_what_would_be_issued_and_bills_nothing(fay, make_customer, subscribe):
    now = timezone.now()
    rows = [subscribe(make_customer(name=name), now=now, quantity=3) for name in ("Nova", "Broken")]
    BillingFailure.objects.create(subscription=rows[1], reason="no such price", at=now)
    sent = fay.post(NEW, {"day": (now + timedelta(days=40)).date().isoformat()})
    page = fay.get(sent.url)
    for words in ("Nova", "$107.01", "SMB", "Broken", "no such price", "Largest"):
        assert words in page.text, words
    assert "hx-get" not in page.text
    assert Invoice.objects.count() == 2
    assert "Done" in fay.get("/admin/billing/billingrehearsal/").text


def test_a_large_one_says_how_far_it_is_with_and_without_scripts(fay, make_customer, subscribe, monkeypatch):
    monkeypatch.setattr(rehearsing, "AT_ONCE", 0)
    now = timezone.now()
    subscribe(make_customer(name="Nova"), now=now)
    where = fay.post(NEW, {"day": (now + timedelta(days=40)).date().isoformat()}).url
    page = fay.get(where)
    for words in (
        "It waits for the job worker",
        "0 of 1 subscriptions",
        "Look again",
        'hx-trigger="every 2s"',
    ):
        assert words in page.text, words
    again = fay.post(NEW, {"day": now.date().isoformat()})
    assert again.status_code == 422
    assert "has not come to its end" in again.text
    asked = {"HX-Request": "true"}
    assert "HX-Refresh" not in fay.get(where, headers=asked)
    rehearsing.work(rehearsal_id=BillingRehearsal.objects.get().pk, clock=timezone.now)
    assert fay.get(where, headers=asked)["HX-Refresh"] == "true"


@pytest.mark.parametrize("day", ["", "tomorrow", "2020-01-01", "9999-12-31", "\x00"])
def test_a_day_that_cannot_be_is_refused_beside_its_field(fay, catalogue, day):
    page = fay.post(NEW, {"day": day})
    assert page.status_code == 422
    assert page.context["form"].errors["day"]
    assert BillingRehearsal.objects.count() == 0


def test_who_may_only_look_starts_none(catalogue):
    browser = signed_in("view_billingrehearsal")
    assert browser.get("/admin/billing/billingrehearsal/").status_code == 200
    assert browser.get(NEW).status_code == 403
    assert browser.post(NEW, {"day": timezone.now().date().isoformat()}).status_code == 403
