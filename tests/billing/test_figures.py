"""The sums of the metrics: one with what they sum up, whoever writes at the same moment, and mended when they are not."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.core.management import call_command
from django.db import connection

from billing import books, figures, subscribing
from billing.models import CustomerFigure, Figure, MrrMovement
from tests.fixtures_billing import NOON
from tests.races import at_once

pytestmark = pytest.mark.django_db


def sums():
    """What the rows of each key add up to."""
    found = {}
    for row in Figure.objects.values_list():
        _, *key, number, amount, later = row
        before = found.get(tuple(key), (0, 0, 0))
        found[tuple(key)] = (before[0] + number, before[1] + amount, before[2] + later)
    return {key: values for key, values in found.items() if any(values)}


@pytest.fixture
def lived(make_customer, subscribe, clock):
    """Two customers with a paper and a movement each, one of which grew a month later."""
    rows = [subscribe(make_customer(clock), "pro", "month", seats) for seats in (3, 5)]
    on = NOON + timedelta(days=30)
    subscribing.change(subscription=rows[0], now=on, actor="member:1", quantity=Decimal(6))
    return rows


def test_it_adds_up_from_the_first_row(lived):
    assert figures.check() == []
    assert {row.name for row in Figure.objects.all()} == {"revenue", "mrr", "expansion", "landed"}


def test_it_folds_what_says_the_same_and_changes_no_sum(lived):
    before, rows = sums(), Figure.objects.count()
    figures.fold()
    assert sums() == before
    assert Figure.objects.count() == len(before) < rows
    figures.fold()
    assert sums() == before


KEPT_FROM = ["billing_customerfigure", "billing_mrrmovement", "billing_invoice", "billing_subscription"]


@pytest.mark.parametrize("what", ["growth", "beginning"])
def test_one_customers_figures_are_found_by_indexes_while_tables_are_small(lived, what):
    """A session keeps that plan when they have grown."""
    owner = CustomerFigure.objects.first().customer_id.partition("_")[2]
    with connection.cursor() as cursor:
        cursor.execute(f"analyze {', '.join(KEPT_FROM)}")
        before = scanned()
        cursor.execute(f"select tandem_refigure_{what}(array[%s::uuid])", [owner])
    assert scanned() == before


def scanned():
    """How often this transaction has read a whole table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select relname, seq_scan from pg_stat_xact_user_tables where relname = any(%s) order by 1",
            [KEPT_FROM],
        )
        return cursor.fetchall()


@pytest.mark.parametrize(
    "damage",
    [
        "update billing_figure set amount = amount + 1 where name = 'mrr'",
        "delete from billing_figure where name = 'revenue'",
        "insert into billing_figure select 99999, livemode, 'EUR', name, month, day, motion, detail, 1, 1, 1 "
        "from billing_figure limit 1",
        "delete from billing_customerfigure where name = 'landed'",
        "update billing_customerfigure set later = later + 1",
    ],
)
def test_it_finds_what_is_damaged_and_makes_it_anew(lived, without_triggers, damage):
    before = sums()
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute(damage)
    assert figures.check() != []
    assert sums() == before
    assert figures.check() == []


def test_its_command_says_what_was_wrong(lived, without_triggers, capsys):
    with without_triggers():
        Figure.objects.filter(name="mrr").update(amount=1)
    call_command("rebuild_figures")
    assert "wrong: mrr of 2026-01-15 in USD" in capsys.readouterr().out
    call_command("rebuild_figures")
    assert "wrong" not in capsys.readouterr().out


def test_it_follows_movements_that_come_late_change_or_go(lived):
    """None of it happens by the product; whoever mends books by hand need not know of the sums."""
    first = MrrMovement.objects.earliest("id")
    for at, mrr in ((NOON - timedelta(days=400), 700), (NOON - timedelta(days=300), -700)):
        MrrMovement.objects.create(
            customer=first.customer, subscription=first.subscription, at=at, kind="new", cause="start",
            motion="self_serve", mrr=mrr, arr=12 * mrr, currency="USD",
        )  # fmt: skip
        assert figures.check() == []
    MrrMovement.objects.filter(pk=first.pk).update(mrr=1, arr=12)
    assert figures.check() == []
    MrrMovement.objects.filter(customer=first.customer).delete()
    assert figures.check() == []
    assert not CustomerFigure.objects.filter(customer=first.customer).exists()


@pytest.mark.django_db(transaction=True)
def test_it_adds_up_when_many_write_fold_and_rebuild_at_once(make_customer, subscribe):
    made = [make_customer() for _ in range(6)]
    deeds = [partial(subscribe, customer, "pro", "month", 3) for customer in made]
    answers = at_once(*deeds, figures.fold, figures.rebuild, figures.fold)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    rows = answers[:6]
    again = [
        partial(
            subscribing.change, subscription=row, now=row.customer.now, actor="member:1", quantity=Decimal(9)
        )
        for row in rows
    ]
    answers = at_once(*again, figures.rebuild, figures.fold, figures.rebuild)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert figures.check() == []
    assert books.check() == []
