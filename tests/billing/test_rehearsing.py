"""What a billing run would do: the same as it then does, and nothing written before."""

import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import ending, owing, rehearsing, running, subscribing, tasks
from billing.maths.money import to_major
from billing.models import BillingFailure, BillingRehearsal, Invoice, User
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


def issued_after(moment):
    return Invoice.objects.filter(issued_at__gt=moment)


def test_it_says_to_the_cent_what_the_run_then_does(clock, make_customer, subscribe, books):
    for quantity in (3, 5, 8):
        subscribe(make_customer(clock), quantity=quantity)
    leaving = subscribe(make_customer(clock), quantity=2)
    ending.cancel(subscription=leaving, now=clock.now, actor="system")
    until = clock.now + timedelta(days=100)
    found = rehearsing.rehearse(until=until, clock=clock)
    done = running.run(now=until, clock=clock)
    assert (found.subscriptions, found.invoices, found.credit_notes) == (4, done.invoices, 0)
    assert done.invoices == 9
    assert dict(found.invoiced) == {"USD": sum(issued_after(clock.now).values_list("total", flat=True))}


def test_it_writes_nothing(clock, make_customer, subscribe):
    subscribe(make_customer(clock))
    with CaptureQueriesContext(connection) as queries:
        rehearsing.rehearse(until=clock.now + timedelta(days=100), clock=clock)
    reads = re.compile(
        r"""(QUERY = ["'])?\(*select\b""", re.IGNORECASE
    )  # as Django logs what is planned once
    assert [query["sql"] for query in queries if not reads.match(query["sql"])] == []
    assert not any("FOR UPDATE" in query["sql"] for query in queries)


def test_it_shows_what_is_out_of_the_ordinary(clock, make_customer, subscribe):
    rows = [subscribe(make_customer(clock), quantity=n) for n in (1, 2, 40)]
    subscribing.change(
        subscription=rows[1], now=clock.now, actor="system", quantity=30, effective="period_end"
    )
    found = rehearsing.rehearse(until=clock.now + timedelta(days=35), clock=clock, most=2)
    assert [(p.subscription, p.total) for p in found.largest] == [
        (rows[2].pk, 1426_80),
        (rows[1].pk, 1070_10),
    ]
    assert [(p.subscription, p.before, p.change) for p in found.most_changed] == [
        (rows[1].pk, 71_34, 1070_10 - 71_34)
    ]


def test_it_names_those_that_would_be_set_aside(clock, make_customer, subscribe, monkeypatch):
    rows = [subscribe(make_customer(clock)) for _ in range(4)]
    BillingFailure.objects.create(subscription=rows[0], reason="since last week", at=clock.now)
    real = owing.draft_lines

    def poisoned(**given):
        if given["subscription"].pk == rows[2].pk:
            raise ValueError("no such price")
        return real(**given)

    monkeypatch.setattr(owing, "draft_lines", poisoned)
    found = rehearsing.rehearse(until=clock.now + timedelta(days=35), clock=clock)
    assert found.invoices == 2
    assert {(one.subscription, one.reason) for one in found.aside} == {
        (rows[0].pk, "since last week"),
        (rows[2].pk, "ValueError: no such price"),
    }


def test_it_reads_as_often_for_forty_as_for_four(clock, make_customer, subscribe):
    def statements(n):
        for _ in range(n):
            subscribe(make_customer(clock))
        with CaptureQueriesContext(connection) as queries:
            rehearsing.rehearse(until=clock.now + timedelta(days=65), clock=clock)
        return len(queries)

    few = statements(4)
    assert statements(36) == few


def test_it_counts_by_segment_and_what_is_far_from_the_last(clock, make_customer, subscribe):
    rows = [subscribe(make_customer(clock), quantity=n) for n in (10, 10, 10, 10)]
    for row, quantity in zip(rows, (21, 20, 4, 10), strict=True):
        subscribing.change(
            subscription=row, now=clock.now, actor="system", quantity=quantity, effective="period_end"
        )
    subscribe(make_customer(clock), quantity=1, bill=False)
    found = rehearsing.rehearse(until=clock.now + timedelta(days=20), clock=clock)
    assert (found.firsts, found.above, found.below) == (1, 0, 0)
    found = rehearsing.rehearse(until=clock.now + timedelta(days=35), clock=clock)
    assert (found.firsts, found.above, found.below) == (1, 1, 1)
    far = {paper.subscription: (paper.far, paper.gap > 0) for paper in found.most_changed}
    assert far == {rows[0].pk: ("above", True), rows[1].pk: ("", True), rows[2].pk: ("below", False)}
    assert sum(found.papers_of.values()) == found.invoices == 6
    assert sum(found.by_segment.values()) == found.invoiced["USD"]
    assert {segment for segment, _ in found.by_segment} == {"SMB"}


# -- Asked for by staff -------------------------------------------------------------------------------------------


@pytest.fixture
def fay(db):
    return User.objects.create_user("fay@seller.example", name="Fay", is_staff=True)


def test_a_small_one_is_there_at_once_and_is_the_rehearsal(make_customer, subscribe, fay):
    rows = [subscribe(make_customer(), quantity=n, now=NOON) for n in (1, 3)]
    BillingFailure.objects.create(subscription=rows[0], reason="since last week", at=NOON)
    day = rows[1].next_due_at.date()
    row = rehearsing.ask(day=day, now=NOON, by=fay)
    assert (row.status, row.due, row.finished_at) == ("done", 1, NOON)
    fresh = rehearsing.rehearse(until=row.until)
    assert rehearsing.Rehearsal.restored(row.until, BillingRehearsal.objects.get().found) == fresh
    assert (fresh.invoices, fresh.refused, fresh.invoiced) == (1, 1, {"USD": 107_01})


def test_a_large_one_is_found_out_by_jobs_page_by_page(make_customer, subscribe, fay, monkeypatch, run_jobs):
    monkeypatch.setattr(rehearsing, "AT_ONCE", 2)
    monkeypatch.setattr(rehearsing, "PAGE", 2)
    rows = [subscribe(make_customer(), now=NOON) for _ in range(5)]
    row = rehearsing.ask(day=rows[0].next_due_at.date(), now=NOON, by=fay)
    assert (row.status, row.due, row.found) == ("waiting", 5, {})
    with pytest.raises(rehearsing.StillRehearsing):
        rehearsing.ask(day=NOON.date(), now=NOON, by=fay)
    part = rehearsing.work(rehearsal_id=row.pk, clock=lambda: NOON, enough=lambda: True)
    assert (part.status, part.found["subscriptions"]) == ("running", 2)
    run_jobs()
    done = BillingRehearsal.objects.get()
    assert (done.status, done.found["subscriptions"], done.found["invoices"]) == ("done", 5, 5)
    assert done.found == rehearsing.rehearse(until=done.until).stored()
    assert rehearsing.work(rehearsal_id=row.pk, clock=lambda: NOON) == done
    assert Invoice.objects.count() == 5


def test_a_job_goes_on_with_the_next_when_its_shift_is_over(
    make_customer, subscribe, fay, monkeypatch, run_jobs
):
    monkeypatch.setattr(rehearsing, "AT_ONCE", 0)
    monkeypatch.setattr(rehearsing, "PAGE", 1)
    monkeypatch.setattr(tasks, "SHIFT", timedelta(0))
    rows = [subscribe(make_customer(), now=NOON) for _ in range(3)]
    row = rehearsing.ask(day=rows[0].next_due_at.date(), now=NOON, by=fay)
    tasks.rehearse(row.pk)
    row.refresh_from_db()
    assert (row.status, row.found["subscriptions"]) == ("running", 1)
    run_jobs()
    row.refresh_from_db()
    assert (row.status, row.found["subscriptions"]) == ("done", 3)


def test_what_goes_wrong_ends_it_and_is_said(make_customer, subscribe, fay, monkeypatch):
    day = subscribe(make_customer(), now=NOON).next_due_at.date()
    monkeypatch.setattr(rehearsing.owing, "gather", lambda *_, **__: 1 / 0)
    row = rehearsing.ask(day=day, now=NOON, by=fay)
    assert (row.status, row.problem) == ("failed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("days", [-1, 101])
def test_a_day_is_today_or_soon(catalogue, fay, days):
    with pytest.raises(rehearsing.InvalidDay):
        rehearsing.ask(day=(NOON + timedelta(days=days)).date(), now=NOON, by=fay)


def test_the_last_few_are_kept(catalogue, fay, monkeypatch):
    monkeypatch.setattr(rehearsing, "KEPT", 2)
    for n in range(3):
        rehearsing.ask(day=NOON.date(), now=NOON + timedelta(minutes=n), by=fay)
    assert BillingRehearsal.objects.count() == 2
    assert BillingRehearsal.objects.first().asked_at == NOON + timedelta(minutes=2)


# -- The command -----------------------------------------------------------------------------------------------


def test_its_command_tells_and_writes_nothing(make_customer, subscribe, capsys):
    subscription = subscribe(make_customer(), quantity=3)
    day = subscription.next_due_at.date()
    call_command("bill", "--dry-run", "--until", day.isoformat())
    said = capsys.readouterr().out
    assert "1 invoices, 0 credit notes" in said
    assert f"USD: {to_major(107_01, 'USD')} invoiced" in said
    assert subscription.pk in said
    assert subscription.invoices.count() == 1


def test_its_command_bills(make_customer, subscribe, capsys, monkeypatch):
    subscription = subscribe(make_customer(), quantity=3)
    monkeypatch.setattr("django.utils.timezone.now", lambda: subscription.next_due_at)
    call_command("bill", "--threads", "1", "--reason", "the nightly run did not begin")
    assert "1 subscriptions, 1 invoices" in capsys.readouterr().out
    assert subscription.invoices.count() == 2


@pytest.mark.parametrize("given", [["--until", "2026-02-01"], ["--dry-run", "--until", "tomorrow"]])
def test_its_command_refuses_what_it_cannot_mean(given, db):
    with pytest.raises(CommandError, match="--until"):
        call_command("bill", *given)
