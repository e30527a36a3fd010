"""The billing run: everything due, once, in order, whatever happens on the way."""

import gc
import time
from datetime import timedelta
from threading import Event

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from billing import bulk, clocks, falling_due, issuing, owing, running, subscribing, tasks, timelines
from billing.models import (
    BillingFailure,
    Customer,
    Invoice,
    Phase,
    PhaseItem,
    Plan,
    Subscription,
)
from billing.models.ids import new_id
from tests.races import at_once

pytestmark = pytest.mark.django_db


def totals():
    return list(
        Invoice.objects.order_by("series", "sequence").values_list("subscription", "cycle_on", "total")
    )


def test_it_bills_each_missed_period_once_and_in_order(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock))
    late = clock.now + timedelta(days=100)
    assert running.run(now=late, clock=clock).invoices == 3
    days = [i.cycle_on.isoformat() for i in subscription.invoices.order_by("sequence")]
    assert days == ["2026-01-15", "2026-02-15", "2026-03-15", "2026-04-15"]


def test_it_adds_nothing_when_repeated(clock, make_customer, subscribe, books):
    subscribe(make_customer(clock))
    late = clock.now + timedelta(days=45)
    running.run(now=late, clock=clock)
    before = totals()
    again = running.run(now=late, clock=clock)
    assert (again.subscriptions, again.invoices) == (0, 0)
    assert totals() == before


def test_clocks_that_differ_bill_each_period_once(clock, make_customer, subscribe, books):
    """One worker is ten minutes ahead, one an hour behind; somebody adds a seat on the slow one just after the others
    have billed the next month."""
    subscription = subscribe(make_customer(clock))
    for days in (30, 31, 32, 58, 59, 60):
        moment = clock.now + timedelta(days=days, hours=12)  # midnight, where a period ends
        for skew in (timedelta(minutes=10), timedelta(), timedelta(hours=-1), timedelta(minutes=10)):
            running.run(now=moment + skew, clock=clock)
        if days == 31:
            slow = moment - timedelta(minutes=50)
            subscribing.change(
                subscription=subscription, quantity=4, now=slow, actor="user:1", effective="now"
            )
        books()
    papers = subscription.invoices.order_by("sequence")
    cycles = [i.cycle_on.isoformat() for i in papers if i.cycle_on]
    assert cycles == ["2026-01-15", "2026-02-15", "2026-03-15"]
    issued = list(papers.values_list("issued_on", flat=True))
    assert issued == sorted(issued)
    assert all(line.period_start < line.period_end for i in papers for line in i.lines.all())


def test_it_gives_the_same_amounts_late_as_on_time(make_clock, make_customer, subscribe, advance, books):
    punctual, late = make_clock(), make_clock()
    a = subscribe(make_customer(punctual), quantity=7)
    b = subscribe(make_customer(late), quantity=7)
    for _ in range(10):
        advance(punctual, days=12)
    running.run(now=punctual.now, clock=late)
    shape = [list(s.invoices.order_by("sequence").values_list("cycle_on", "total")) for s in (a, b)]
    assert shape[0] == shape[1]
    assert len(shape[0]) == 5


def test_it_keeps_to_its_clock(make_clock, make_customer, subscribe):
    here, there = make_clock(), make_clock()
    subscribe(make_customer(here))
    other = subscribe(make_customer(there))
    running.run(now=here.now + timedelta(days=40), clock=here)
    assert other.invoices.count() == 1
    assert running.run(now=here.now + timedelta(days=40)).subscriptions == 0


@pytest.fixture
def poison(monkeypatch):
    """poison(subscription id): pricing it fails from now on."""
    real = owing.draft_lines

    def make(bad):
        def poisoned(**given):
            if given["subscription"].pk == bad:
                raise ValueError("no such price")
            return real(**given)

        monkeypatch.setattr(owing, "draft_lines", poisoned)

    return make


def test_it_sets_aside_the_one_that_cannot_be_billed(clock, make_customer, subscribe, poison):
    rows = [subscribe(make_customer(clock)) for _ in range(5)]
    bad = rows[2]
    poison(bad.pk)
    result = running.run(now=clock.now + timedelta(days=35), clock=clock)
    assert (result.invoices, result.failures) == (4, 1)
    failure = BillingFailure.objects.get()
    assert failure.subscription == bad
    assert "no such price" in failure.reason
    assert bad.invoices.count() == 1


@pytest.fixture
def thousand(clock):
    """A thousand customers with a subscription each, due in a day; written as rows, which is quicker."""
    start, due = clock.now.date(), clock.now + timedelta(days=1)
    pro = Plan.objects.get(code="pro")
    seat = pro.prices.get(code="seats-month")
    ids = [(new_id("cus"), new_id("sub"), new_id("phase")) for _ in range(1000)]
    bulk.copy(Customer, [
        {"id": cus, "name": "C", "email": "c@c.example", "country": "IE", "test_clock_id": clock.pk} for cus, *_ in ids
    ])  # fmt: skip
    bulk.copy(Subscription, [
        {"id": sub, "customer_id": cus, "test_clock_id": clock.pk, "status": "active", "motion": "self_serve",
         "origin": "api", "currency": "USD", "start_on": start, "started_at": clock.now, "next_due_at": due}
        for cus, sub, _ in ids
    ])  # fmt: skip
    bulk.copy(Phase, [
        {"id": phase, "subscription_id": sub, "plan_id": pro.pk, "start_on": start, "anchor_on": start,
         "collection_method": "send_invoice", "motion": "self_serve"}
        for _, sub, phase in ids
    ])  # fmt: skip
    bulk.copy(PhaseItem, [{"phase_id": phase, "price_id": seat.pk, "quantity": 1} for *_, phase in ids])
    return [sub for _, sub, _ in ids]


def test_it_bills_999_and_sets_aside_one(clock, thousand, poison):
    poison(thousand[617])
    seen = []
    result = running.run(
        now=clock.now + timedelta(days=1), clock=clock, progress=lambda r: seen.append(r.invoices)
    )
    assert (result.subscriptions, result.invoices, result.failures) == (1000, 999, 1)
    assert BillingFailure.objects.get().subscription_id == thousand[617]
    assert Invoice.objects.values("subscription").distinct().count() == 999
    assert seen == sorted(seen)
    numbers = list(Invoice.objects.order_by("sequence").values_list("sequence", flat=True))
    assert numbers == list(range(1, 1000))


def test_it_can_run_again_while_it_runs(clock, make_customer, subscribe, books):
    for _ in range(6):
        subscribe(make_customer(clock))
    now, inner = clock.now + timedelta(days=100), []

    def once_more(_):
        if not inner:
            inner.append(None)
            inner[0] = running.run(now=now, clock=clock, chunk=4)

    outer = running.run(now=now, clock=clock, chunk=2, progress=once_more)
    assert outer.invoices + inner[0].invoices == 18
    assert Invoice.objects.count() == 24


def test_it_stops_between_two_chunks_and_another_goes_on(clock, make_customer, subscribe, books):
    for _ in range(3):
        subscribe(make_customer(clock))
    late = clock.now + timedelta(days=40)
    first = running.run(now=late, clock=clock, chunk=2, enough=lambda: True)
    assert (first.subscriptions, first.stopped) == (2, True)
    rest = running.run(now=late, clock=clock, chunk=2, enough=lambda: False)
    assert (rest.subscriptions, rest.stopped) == (1, False)


def test_a_job_bills_for_a_shift_and_calls_the_next(monkeypatch):
    called = []
    monkeypatch.setattr(tasks, "async_task", called.append)
    for stopped in (False, True):
        monkeypatch.setattr(running, "run", lambda **given: running.RunResult(stopped=stopped))  # noqa: B023
        tasks.run_billing()
    assert called == ["billing.tasks.run_billing"]


def test_it_uses_as_many_statements_for_forty_as_for_four(clock, make_customer, subscribe):
    def statements(n):
        for _ in range(n):
            subscribe(make_customer(clock))
        clock.now += timedelta(days=32)
        clock.save()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            running._one_chunk(clock.now, clock, 500)
        Subscription.objects.update(next_due_at=None)
        return len(queries)

    many = statements(16)
    assert statements(40) == many
    assert statements(4) <= many <= 30


def test_nothing_of_the_subscriptions_is_written_while_the_numbers_are_held(clock, make_customer, subscribe):
    for _ in range(3):
        subscribe(make_customer(clock))
    clock.now += timedelta(days=32)
    clock.save()
    with CaptureQueriesContext(connection) as queries:
        running._one_chunk(clock.now, clock, 500)
    said = [one["sql"].lower() for one in queries]
    taken = next(n for n, sql in enumerate(said) if "update billing_numberseries" in sql)
    moved = [n for n, sql in enumerate(said) if 'update "billing_subscription"' in sql]
    assert moved
    assert max(moved) < taken


@pytest.mark.django_db(transaction=True)
def test_it_shares_the_work_between_workers_without_billing_twice(clock, make_customer, subscribe, books):
    for _ in range(30):
        subscribe(make_customer(clock))
    now = clock.now + timedelta(days=70)

    def work():
        return running.run(now=now, clock=clock, chunk=3).invoices

    done = at_once(*[work] * 4)
    assert running.run(now=now, clock=clock).invoices == 0
    assert sum(done) == 60
    assert Invoice.objects.count() == 90


@pytest.mark.django_db(transaction=True)
def test_it_bills_the_same_on_several_threads(clock, make_customer, subscribe, books):
    for _ in range(12):
        subscribe(make_customer(clock))
    result = running.run(now=clock.now + timedelta(days=70), clock=clock, chunk=3, threads=3)
    assert (result.invoices, result.failures) == (24, 0)
    assert Invoice.objects.count() == 36


@pytest.mark.django_db(transaction=True)
def test_one_prices_while_the_other_writes(clock, make_customer, subscribe, monkeypatch):
    for _ in range(4):
        subscribe(make_customer(clock))
    both, waited, pricing, most = Event(), [], [], []
    claim, read, end, issue = falling_due.claim, timelines.read, falling_due._end_day, issuing.issue

    def claims(*given, **named):
        pricing.append(None)
        most.append(len(pricing))
        if len(most) == 2:
            both.set()
        return claim(*given, **named)

    def prices(rows):
        time.sleep(0.01)  # whoever does not wait for its turn, comes now
        return read(rows)

    def ends(*given):
        pricing.pop()
        end(*given)

    def issues(*given, **named):
        waited.append(both.wait(60))
        return issue(*given, **named)

    monkeypatch.setattr(falling_due, "claim", claims)
    monkeypatch.setattr(timelines, "read", prices)
    monkeypatch.setattr(falling_due, "_end_day", ends)
    monkeypatch.setattr(issuing, "issue", issues)
    result = running.run(now=clock.now + timedelta(days=31), clock=clock, chunk=2, threads=2)
    assert (result.invoices, result.failures) == (4, 0)
    assert waited == [True, True]
    assert most[:2] == [1, 1]


def test_inside_a_transaction_there_is_one_thread(clock, make_customer, subscribe, monkeypatch):
    subscribe(make_customer(clock))
    monkeypatch.delattr(running, "ThreadPoolExecutor")
    assert running.run(now=clock.now + timedelta(days=31), clock=clock, threads=2).invoices == 1


def test_it_leaves_the_collector_as_it_was(clock):
    assert gc.isenabled()
    running.run(now=clock.now, clock=clock)
    assert gc.isenabled()


def test_it_refuses_to_turn_a_clock_back(clock, advance):
    with pytest.raises(clocks.ClockRefused, match="never goes back"):
        running.advance(clock=clock, to=clock.now - timedelta(days=1), actor="system")


def test_a_lost_session_sets_nothing_aside(clock, make_customer, subscribe, monkeypatch):
    """What the database says of itself is no fault of a subscription."""
    subscribe(make_customer(clock), bill=False)

    def gone(*args, **options):
        raise OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(falling_due.invoicing, "bill_many", gone)
    with pytest.raises(OperationalError):
        running.run(now=clock.now, clock=clock)
    assert not BillingFailure.objects.exists()


def test_a_deadlock_is_tried_again(clock, make_customer, subscribe, monkeypatch):
    subscribe(make_customer(clock), bill=False)
    bill_many, failing = falling_due.invoicing.bill_many, [1, 1]

    def sometimes(*args, **options):
        if failing and failing.pop():
            raise OperationalError("deadlock detected")
        return bill_many(*args, **options)

    monkeypatch.setattr(falling_due.invoicing, "bill_many", sometimes)
    assert running.run(now=clock.now, clock=clock).invoices == 1


def test_it_sets_aside_the_one_that_failed_and_no_other(clock, make_customer, subscribe, monkeypatch):
    """Another worker has taken the bad one meanwhile: its neighbour is not blamed."""
    bad, good = (subscribe(make_customer(clock), bill=False) for _ in range(2))
    running._set_aside(bad, clock.now, ValueError("bad"))
    running._set_aside(bad, clock.now, ValueError("bad"))
    assert [row.subscription for row in BillingFailure.objects.all()] == [bad]
    assert running.run(now=clock.now, clock=clock).subscriptions == 1
    assert good.invoices.count() == 1
