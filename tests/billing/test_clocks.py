"""Test clocks among each other: nobody else's time moves, a killed move goes on, and two never move one at once."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from billing import clocks, forgetting, running
from billing.models import Invoice, Subscription
from billing.moves import StaleMove
from billing.running import advance, send_on
from tests.fixtures_billing import NOON
from tests.races import at_once


def papers(customer):
    """What matters of everything that was issued, without names of its own."""
    rows = Invoice.objects.filter(customer=customer).order_by("issued_at", "pk")
    return list(rows.values_list("issued_at", "period_start", "total", "status", "attempts"))


@pytest.fixture
def customers_of(make_customer, subscribe):
    def make(clock):
        customer = make_customer(clock)
        subscribe(customer, quantity=3)
        return customer

    return make


def test_it_moves_nobody_else(customers_of, make_clock, books):
    moved, still = make_clock(), make_clock()
    mover, stayer, outsider = customers_of(moved), customers_of(still), customers_of(None)
    before = [papers(stayer), papers(outsider)]
    dues = list(
        Subscription.objects.exclude(customer=mover).order_by("pk").values_list("next_due_at", flat=True)
    )
    advance(clock=moved, to=NOON + timedelta(days=100), actor="system")
    still.refresh_from_db()
    assert still.now == NOON
    assert len(papers(mover)) == 4
    assert [papers(stayer), papers(outsider)] == before
    after = Subscription.objects.exclude(customer=mover).order_by("pk").values_list("next_due_at", flat=True)
    assert list(after) == dues


def test_it_goes_on_after_it_was_killed_anywhere(customers_of, make_clock, monkeypatch, books):
    """One clock is killed before every single step; what it issues is what an undisturbed one does."""
    calm, troubled = make_clock(), make_clock()
    one, other = customers_of(calm), customers_of(troubled)
    end = NOON + timedelta(days=100)
    advance(clock=calm, to=end, actor="system")
    happen, kills = running._happen, []

    def dies_once_at_each_moment(clock, first):
        if clock.now not in kills:
            kills.append(clock.now)
            raise SystemExit("killed")
        happen(clock, first)

    monkeypatch.setattr(running, "_happen", dies_once_at_each_moment)
    while troubled.now < end or troubled.status == "advancing":
        try:
            advance(clock=troubled, to=end, actor="system")
        except SystemExit:
            troubled.refresh_from_db()
            assert troubled.status == "advancing"
    assert len(kills) > 3
    assert papers(other) == papers(one)


def test_two_never_move_one_at_once(make_clock):
    clock, taken, let_go = make_clock(), threading.Event(), threading.Event()

    def elsewhere():
        with clocks.held(clock):
            taken.set()
            let_go.wait(10)
        connections.close_all()

    other = threading.Thread(target=elsewhere)
    other.start()
    taken.wait(10)
    for act in (advance, send_on):
        with pytest.raises(clocks.Moving):
            act(clock=clock, to=NOON + timedelta(days=1), actor="system")
    let_go.set()
    other.join()
    advance(clock=clock, to=NOON + timedelta(days=1), actor="system")
    assert clock.status == "ready"


def test_whoever_comes_right_after_finds_it_free(clock, monkeypatch):
    """A server notices later that a connection was closed; here never."""
    closed = []
    with monkeypatch.context() as late:
        late.setattr(type(connections["default"]), "close", lambda own: closed.append(own))
        with clocks.held(clock):
            pass
        with clocks.held(clock):
            pass
    for own in closed:
        own.close()


def test_nobody_deletes_what_is_moved(make_clock):
    """What happens on the way would find its customers half gone."""
    clock = make_clock()
    delete = partial(forgetting.delete_clock, clock=clock, actor="user:1", now=NOON)
    with clocks.held(clock):
        [refused] = at_once(delete)
    assert isinstance(refused, clocks.Moving)
    delete()
    with pytest.raises(StaleMove):
        advance(clock=clock, to=NOON + timedelta(days=5), actor="system")


def test_an_old_copy_of_the_row_never_sets_it_back(make_clock):
    clock = make_clock()
    old = type(clock).objects.get(pk=clock.pk)
    advance(clock=clock, to=NOON + timedelta(days=10), actor="system")
    with pytest.raises(clocks.ClockRefused, match="never goes back"):
        advance(clock=old, to=NOON + timedelta(days=5), actor="system")


def test_a_year_takes_so_many_statements(customers_of, make_clock):
    clock = make_clock()
    customer = customers_of(clock)
    with CaptureQueriesContext(connection) as asked:
        advance(clock=clock, to=NOON + timedelta(days=366), actor="system")
    assert len(papers(customer)) == 13
    assert len(asked) <= 1700
