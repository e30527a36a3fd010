"""Deferred revenue by month: it adds up by itself and with the journal."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db.models import Sum

from billing import deferring, ending, repricing, subscribing
from billing.models import Posting, Price

pytestmark = pytest.mark.django_db


def months(until):
    return deferring.by_month(currency="USD", livemode=False, until=until)


def test_a_year_is_earned_by_its_days(clock, make_customer, subscribe, books):
    subscribe(make_customer(clock, tax_exempt=True), interval="year", quantity=1)
    found = months(date(2027, 3, 1))
    assert (found[0].start, found[0].deferred, found[0].earned) == (
        date(2026, 1, 1),
        290_00,
        13_51,
    )  # 17 of 365 days
    assert [m.earned for m in found[1:4]] == [22_24, 24_63, 23_84]
    assert sum(m.earned for m in found) == 290_00
    assert (found[-1].start, found[-1].closing) == (date(2027, 3, 1), 0)
    assert all(a.closing == b.opening for a, b in pairwise(found))


def test_changes_and_credit_balance_with_the_journal(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock, tax_exempt=True), interval="year", quantity=10)
    advance(clock, days=40)
    subscribing.change(subscription=sub, now=clock.now, actor="user:1", quantity=4)
    advance(clock, days=40)
    ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="now")
    found = months(date(2027, 3, 1))
    booked = Posting.objects.filter(account="deferred_revenue").aggregate(sum=Sum("amount"))["sum"]
    assert sum(m.deferred for m in found) == -booked == sum(m.earned for m in found)
    assert found[-1].closing == 0


def test_only_those_who_are_moved_pay_the_new_price(clock, make_customer, subscribe, advance, books):
    moved, kept = (subscribe(make_customer(clock, tax_exempt=True)) for _ in range(2))
    old = Price.objects.get(plan__code="pro", code="seats-month")
    Price.objects.filter(pk=old.pk).update(active=False)
    Price.objects.create(
        plan=old.plan,
        code="seats-month",
        label="Pro seat",
        model="per_unit",
        interval="month",
        unit_amount=Decimal(49),
    )
    assert {o.subscription.pk for o in repricing.on_old_prices(old.plan)} == {moved.pk, kept.pk}
    shown = repricing.preview(subscription=moved, now=clock.now)
    done = repricing.move(subscription=moved, now=clock.now, actor="user:1")
    assert (shown.effective_on, done.effective_on, shown.next.result.total) == (date(2026, 2, 15),) * 2 + (
        147_00,
    )
    advance(clock, days=40)
    assert [s.invoices.order_by("-sequence").first().subtotal for s in (moved, kept)] == [147_00, 87_00]
    assert [o.subscription.pk for o in repricing.on_old_prices(old.plan)] == [kept.pk]
    assert repricing.on_old_prices(old.plan)[0].now.unit_amount == 49
