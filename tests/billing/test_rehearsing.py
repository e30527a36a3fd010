"""What a billing run would do: the same as it then does, and nothing written before."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import ending, owing, rehearsing, running, subscribing
from billing.maths.money import to_major
from billing.models import BillingFailure, Invoice

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
    assert all(query["sql"].lstrip("(").startswith("SELECT") for query in queries)
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
    call_command("bill", "--threads", "1")
    assert "1 subscriptions, 1 invoices" in capsys.readouterr().out
    assert subscription.invoices.count() == 2


@pytest.mark.parametrize("given", [["--until", "2026-02-01"], ["--dry-run", "--until", "tomorrow"]])
def test_its_command_refuses_what_it_cannot_mean(given, db):
    with pytest.raises(CommandError, match="--until"):
        call_command("bill", *given)
