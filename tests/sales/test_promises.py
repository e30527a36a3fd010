"""What was signed against what is invoiced."""

from datetime import date
from decimal import Decimal

import pytest

from billing import subscribing
from billing.models import Event
from sales import promises, quoting
from sales.models import HandoffTask, Quote
from sales.promises import Invoiced

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")
DAY = date(2026, 3, 1)
ROW = {"date": "2026-03-01", "amount": 100_00, "tax": 23_00, "total": 123_00, "words": "Seats"}


@pytest.mark.parametrize(
    ("invoiced", "changed_on", "today", "state"),
    [
        (Invoiced(100_00, 23_00, ("1",)), None, DAY, "kept"),
        (Invoiced(100_00, 23_00, ("1",)), DAY, DAY, "kept"),
        (Invoiced(100_01, 23_00, ("1",)), None, DAY, "differs"),
        (Invoiced(100_00, 22_99, ("1",)), None, DAY, "differs"),
        (Invoiced(100_01, 23_00, ("1",)), DAY, DAY, "changed"),
        (Invoiced(100_01, 23_00, ("1",)), date(2026, 3, 2), DAY, "differs"),
        (None, None, date(2026, 2, 1), "to_come"),
        (None, None, date(2026, 3, 3), "to_come"),
        (None, None, date(2026, 3, 4), "missing"),
        (None, DAY, date(2026, 3, 4), "changed"),
    ],
)
def test_it_compares_a_row(invoiced, changed_on, today, state):
    found = {DAY: invoiced} if invoiced else {}
    (row,) = promises.compare([ROW], found, changed_on=changed_on, today=today)
    assert (row.state, row.total) == (state, 123_00)


COMMITTED = {**ROW, "committed": 60_00, "committed_tax": 13_80}
ALONE = {**ROW, "committed": 100_00, "committed_tax": 23_00}


@pytest.mark.parametrize(
    ("row", "invoiced", "state"),
    [
        (COMMITTED, Invoiced(40_00, 9_20, ("1",), 60_00, 13_80), "kept"),
        (COMMITTED, Invoiced(40_00, 9_20, ("1",), 75_00, 17_25), "kept"),
        (COMMITTED, Invoiced(40_00, 9_20, ("1",), 59_99, 13_80), "differs"),
        (COMMITTED, Invoiced(40_01, 9_20, ("1",), 60_00, 13_80), "differs"),
        (COMMITTED, Invoiced(40_00, 9_20, ("1",)), "differs"),
        (ROW, Invoiced(100_00, 23_00, ("1",), 60_00, 13_80), "kept"),
        (ALONE, Invoiced(990_00, 227_70, ("1",), 100_00, 23_00), "kept"),
        (ALONE, Invoiced(990_00, 227_70, ("1",), 99_99, 23_00), "differs"),
    ],
)
def test_it_compares_what_was_committed_of_usage(row, invoiced, state):
    (found,) = promises.compare([row], {DAY: invoiced}, changed_on=None, today=DAY)
    assert found.state == state


def test_nothing_is_waited_for_where_nothing_is_owed():
    (row,) = promises.compare([{**ROW, "amount": 0, "tax": 0}], {}, changed_on=None, today=date(2027, 1, 1))
    assert row.state == "kept"


@pytest.fixture
def signed(on_pro, draft, sign):
    """A signed two-year quote, billed monthly from the end of the paid period, with rising prices."""
    from sales.models import ApprovalRule

    ApprovalRule.objects.update(enabled=False)
    subscription = on_pro(6, country="DE", timezone="Europe/Berlin")  # its midnight is the day before in UTC
    quote = draft(
        subscription=subscription, starts="period_end", interval="month", term_months=24, quantity=70,
        discount_percent=Decimal("7.77"), escalator_percent="3.5", ramp=[{"year": 2, "quantity": 81}],
    )  # fmt: skip
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    sign(quote)
    return Quote.objects.get()


def test_two_years_of_invoices_are_what_was_signed(signed, advance, run_jobs, books):
    clock = signed.customer.test_clock
    advance(clock, days=64)
    assert [each.state for each in promises.of(signed, now=clock.now)][:3] == ["kept", "kept", "to_come"]
    advance(clock, days=700)
    run_jobs()
    found = promises.of(signed, now=clock.now)
    assert len(found) == 24
    assert {each.state for each in found} == {"kept"}
    assert found[12].invoiced.amount > found[11].invoiced.amount
    assert promises.check(now=clock.now) == 0
    books()


def test_a_difference_alarms_once(signed, advance, run_jobs, rita):
    clock = signed.customer.test_clock
    advance(clock, days=35)
    run_jobs()
    schedule = signed.schedule
    schedule[0]["amount"] += 1
    Quote.objects.update(schedule=schedule)
    assert promises.check(now=clock.now) == 1
    assert promises.check(now=clock.now) == 0
    fact = Event.objects.get(type=promises.DIFFERS)
    assert fact.data["promised"] == fact.data["invoiced"] + 1
    task = HandoffTask.objects.get(status="open")
    assert "Quote Q-000001: 15 February 2026 was signed as" in task.reason
    assert task.owner == rita


def test_what_the_customer_changed_later_is_no_alarm(signed, advance, run_jobs):
    clock = signed.customer.test_clock
    advance(clock, days=50)
    subscribing.change(subscription=signed.subscription, now=clock.now, quantity=90, actor="key:app")
    advance(clock, days=40)
    run_jobs()
    states = [each.state for each in promises.of(signed, now=clock.now)]
    assert states[:3] == ["kept", "changed", "to_come"] or states[:3] == ["kept", "changed", "changed"]
    assert promises.check(now=clock.now) == 0
