"""Several moves and changes by one statement."""

from contextlib import suppress

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import moves
from billing.models import Customer, SegmentChange, Subscription
from billing.moves import StaleMove, move
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


def paused(row):
    move(row, "paused", event=None, actor="user:1", now=NOON)


def test_it_writes_what_moves_and_changes_in_a_block_by_one_statement(make_customer, subscribe):
    row = subscribe(make_customer())
    customer, change = (
        row.customer,
        SegmentChange(customer=row.customer, after=row.customer.segment, at=NOON, why="x"),
    )
    with CaptureQueriesContext(connection) as asked, moves.together() as gathered:
        paused(row)
        moves.change(customer, industry="Robots", metadata={"a": "b"})
        gathered.beside.append(change)
        assert (row.status, customer.industry, len(asked)) == ("paused", "Robots", 0)
    assert len(asked) == 1
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.industry, stored.metadata) == ("Robots", {"a": "b"})
    assert Subscription.objects.get(pk=row.pk).status == "paused"
    assert SegmentChange.objects.filter(why="x").exists()


def test_a_row_that_changes_twice_ends_as_it_was_left(make_customer):
    customer = make_customer()
    with moves.together():
        moves.change(customer, industry="Robots", name="Nova")
        with moves.together():
            moves.change(customer, industry="Ships")
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.name, stored.industry) == ("Nova", "Ships")


def taken_at_once(row):
    with moves.together() as gathered:
        paused(row)
        gathered.beside.append(
            SegmentChange(customer=row.customer, after=row.customer.segment, at=NOON, why="x")
        )


def test_what_somebody_else_moved_first_is_refused_at_the_end(make_customer, subscribe):
    row = subscribe(make_customer())
    Subscription.objects.filter(pk=row.pk).update(status="canceled")
    with pytest.raises(StaleMove, match="no longer active"):
        taken_at_once(row)
    assert not SegmentChange.objects.filter(why="x").exists()


def test_an_exception_that_leaves_the_block_writes_nothing(make_customer):
    customer = make_customer()
    with suppress(ZeroDivisionError), moves.together():
        moves.change(customer, name="Nova")
        moves.change(customer, industry=1 / 0)
    moves.change(customer, industry="Ships")
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.name == "Nova", stored.industry) == (False, "Ships")
