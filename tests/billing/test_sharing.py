"""Subscriptions that share an invoice: who shares, what it says, and that nothing but the paper differs."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import (
    apportioning,
    collecting,
    correcting,
    dunning,
    ending,
    issuing,
    owing,
    printing,
    rehearsing,
    running,
    subscribing,
)
from billing.models import (
    BillingFailure,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    Payment,
    Seller,
    Subscription,
)
from billing.refusals import Refused
from tests.races import at_once

pytestmark = pytest.mark.django_db
PAID_LATER = {"collection_method": "send_invoice", "payment_rule_override": "agreed"}


@pytest.fixture
def sharer(clock, make_customer):
    """A customer whose subscriptions share invoices, in the seller's own country."""
    return make_customer(clock, consolidate_invoices=True)


def later(clock, days=35):
    return running.run(now=clock.now + timedelta(days=days), clock=clock)


def renewals(*rows):
    """The papers of the run, by the subscriptions that are on them."""
    found = Invoice.objects.of(*rows).filter(cycle_on__gt=rows[0].start_on).order_by("sequence")
    return [sorted(set(i.lines.values_list("subscription", flat=True))) for i in found]


@pytest.mark.parametrize(
    ("flag", "first", "second", "shared"),
    [
        (True, {}, {}, True),
        (False, {}, {}, False),
        (True, {}, {"anchor": 20}, False),
        (True, PAID_LATER, {**PAID_LATER, "net_days": 60}, False),
        (True, {}, PAID_LATER, False),
        (True, PAID_LATER, {**PAID_LATER, "po_number": "PO-7"}, False),
        (True, {}, {"motion": "sales_assisted"}, False),
        (True, PAID_LATER, PAID_LATER, True),
    ],
    ids=["alike", "no wish", "day", "net days", "way of paying", "order number", "motion", "by invoice"],
)
def test_it_shares_what_is_due_on_one_day_with_the_same_terms(
    clock, make_customer, subscribe, books, flag, first, second, shared
):
    customer = make_customer(clock, consolidate_invoices=flag)
    rows = [subscribe(customer, **first), subscribe(customer, quantity=5, **second)]
    later(clock, 31)
    ids = sorted(row.pk for row in rows)
    assert (ids in renewals(*rows)) == shared
    assert len(renewals(*rows)) == (1 if shared else len(renewals(rows[0])) + len(renewals(rows[1])))


def test_customers_never_share(clock, make_customer, subscribe):
    rows = [subscribe(make_customer(clock, consolidate_invoices=True)) for _ in range(2)]
    later(clock)
    assert renewals(*rows) == [[rows[0].pk], [rows[1].pk]]


def test_its_lines_name_their_subscription_and_it_names_none(clock, sharer, subscribe, books):
    rows = [subscribe(sharer, quantity=n) for n in (2, 3)]
    later(clock)
    invoice = Invoice.objects.get(subscription=None)
    assert [(line.subscription_id, line.net) for line in invoice.lines.all()] == [
        (row.pk, row.mrr) for row in rows
    ]
    assert invoice.subscriptions == rows
    assert invoice.total == sum(line.net + line.tax_amount for line in invoice.lines.all())


def test_a_run_counts_papers(clock, sharer, subscribe):
    for _ in range(3):
        subscribe(sharer)
    result = later(clock)
    assert (result.subscriptions, result.invoices) == (3, 1)


def test_each_missed_day_has_its_own_paper(clock, sharer, subscribe, books):
    rows = [subscribe(sharer), subscribe(sharer), subscribe(sharer, anchor=20)]
    later(clock, 70)
    first, second, third = (row.pk for row in rows)
    pair = sorted([first, second])
    assert renewals(*rows) == [[third], pair, [third], pair, [third]]


def test_a_balance_is_used_once(clock, sharer, subscribe):
    for _ in range(2):
        subscribe(sharer)
    issuing.add_balance(sharer, 50_00, "USD", reason="kind", now=clock.now)
    later(clock)
    [paid] = Payment.objects.filter(method="balance")
    assert (paid.amount, paid.invoice.subscription) == (50_00, None)


def test_what_one_gets_back_pays_for_another(clock, sharer, subscribe, books):
    """A known end is given back with its last charge; the late upgrade of the first is charged beside it."""
    keeps, ends = subscribe(sharer, quantity=5), subscribe(sharer, quantity=4)
    ending.cancel(
        subscription=ends, now=clock.now, actor="user:1", effective=clock.now.date() + timedelta(days=10)
    )
    running.run(now=clock.now + timedelta(days=11), clock=clock)
    ends.refresh_from_db()
    assert ends.status == "canceled"
    later(clock)
    assert renewals(keeps) == [[keeps.pk]]


def _swap(clock, sharer, subscribe):
    """Two subscriptions with a renewal shared; on the next one gives back 3 of its 4 seats' month at once."""
    a, b = subscribe(sharer, quantity=4), subscribe(sharer, quantity=4)
    later(clock)
    clock.now += timedelta(days=35)
    clock.save()
    return Subscription.objects.get(pk=a.pk), Subscription.objects.get(pk=b.pk)


def test_a_credit_finds_room_on_the_paper_that_was_shared(clock, sharer, subscribe, books):
    a, b = _swap(clock, sharer, subscribe)
    for row in (a, b):
        ending.cancel(subscription=row, now=clock.now, actor="user:1", effective="now")
    notes = CreditNote.objects.all()
    assert {note.invoice.subscription_id for note in notes} == {None}
    assert {line.subscription_id for note in notes for line in note.lines.all()} == {a.pk, b.pk}


def test_a_credit_goes_on_to_the_invoices_of_whom_it_paid_for(clock, sharer, subscribe):
    """Where the shared paper is used up, those of the other carry the rest; one that never shared has no such room."""
    a, b = _swap(clock, sharer, subscribe)
    shared = Invoice.objects.get(subscription=None)
    lines = [_given(a, shared.total + 1)]
    own = Invoice.objects.get(subscription=a)
    assert {s.invoice.pk for s in apportioning.shares(sharer, lines, shared.total + own.total)} == {
        shared.pk,
        own.pk,
    }
    everything = shared.total + 2 * own.total
    found = apportioning.shares(sharer, lines, everything)
    assert found[-1].invoice.subscription_id == b.pk
    with pytest.raises(apportioning.NothingToCredit):
        apportioning.shares(sharer, lines, everything + 1)


def _given(row, amount):
    return issuing.DraftLine(
        kind="credit", description="Unused", gross=-amount, discount=0, net=-amount, quantity=1, unit_amount=None,
        subscription_id=row.pk,
    )  # fmt: skip


def test_everyone_on_it_is_late_and_everyone_runs_again(clock, sharer, subscribe, books):
    rows = [subscribe(sharer, **PAID_LATER) for _ in range(2)]
    running.run(now=clock.now + timedelta(days=32), clock=clock)
    invoice = Invoice.objects.get(subscription=None)
    collecting.overdue(now=clock.now + timedelta(days=70), clock=clock)
    assert set(Subscription.objects.values_list("status", flat=True)) == {"past_due"}
    for open_one in Invoice.objects.filter(status="open"):
        collecting.record_transfer(
            invoice=open_one, amount=open_one.amount_due, reference=open_one.number, paid_at=clock.now, now=clock.now,
            actor="user:1",
        )  # fmt: skip
    assert set(Subscription.objects.values_list("status", flat=True)) == {"active"}
    assert invoice.subscriptions == rows


def test_one_that_is_late_elsewhere_stays_late(clock, sharer, subscribe):
    rows = [subscribe(sharer, **PAID_LATER) for _ in range(2)]
    running.run(now=clock.now + timedelta(days=32), clock=clock)
    collecting.overdue(now=clock.now + timedelta(days=70), clock=clock)
    shared = Invoice.objects.get(subscription=None)
    first = Invoice.objects.get(subscription=rows[0])
    for paid in (shared, first):
        collecting.record_transfer(
            invoice=paid, amount=paid.amount_due, reference=paid.number, paid_at=clock.now, now=clock.now,
            actor="user:1",
        )  # fmt: skip
    assert [Subscription.objects.get(pk=row.pk).status for row in rows] == ["active", "past_due"]


@pytest.mark.parametrize(("end", "status"), [("cancel", "canceled"), ("pause", "paused")])
def test_the_end_of_an_unpaid_paper_is_the_end_of_all_on_it(clock, sharer, subscribe, end, status):
    Seller.objects.update(unpaid_end=end)
    for _ in range(2):
        subscribe(sharer, **PAID_LATER)
    running.run(now=clock.now + timedelta(days=32), clock=clock)
    with transaction.atomic():
        invoice = correcting.locked(Invoice.objects.get(subscription=None))
        dunning.end(invoice, now=clock.now + timedelta(days=60), actor="system")
    assert set(Subscription.objects.values_list("status", flat=True)) == {status}


def test_the_one_that_cannot_be_billed_holds_no_other_up(clock, sharer, subscribe, monkeypatch):
    rows = [subscribe(sharer) for _ in range(4)]
    bad = sorted(rows, key=lambda row: row.pk)[1]
    real = owing.draft_lines

    def poisoned(**given):
        if given["subscription"].pk == bad.pk:
            raise ValueError("no such price")
        return real(**given)

    monkeypatch.setattr(owing, "draft_lines", poisoned)
    assert later(clock).failures == 1
    assert BillingFailure.objects.get().subscription == bad
    billed = {pk for paper in renewals(*rows) for pk in paper}
    assert billed == {row.pk for row in rows} - {bad.pk}


def test_a_change_made_now_has_its_own_paper(clock, sharer, subscribe):
    rows = [subscribe(sharer), subscribe(sharer)]
    done = subscribing.change(subscription=rows[0], now=clock.now, actor="user:1", quantity=9)
    assert done.invoice is not None
    assert done.invoice.subscription == rows[0]


def test_the_paper_heads_the_lines_of_each(clock, sharer, subscribe):
    subscribe(sharer, plan="starter", quantity=1)
    subscribe(sharer, plan="pro")
    later(clock)
    paper = printing.invoice_paper(Invoice.objects.get(subscription=None))
    assert [line.group for line in paper.lines] == ["Starter", "Pro"]
    alone = printing.invoice_paper(Invoice.objects.filter(subscription__isnull=False)[0])
    assert {line.group for line in alone.lines} == {""}


def test_two_of_one_plan_are_told_apart_by_their_start(clock, sharer, subscribe):
    for _ in range(2):
        subscribe(sharer)
    later(clock)
    paper = printing.invoice_paper(Invoice.objects.get(subscription=None))
    assert {line.group for line in paper.lines} == {"Pro, since 15 Jan 2026"}


def test_a_rehearsal_counts_what_shares_as_one(clock, sharer, subscribe):
    rows = [subscribe(sharer, quantity=n) for n in (2, 3)]
    found = rehearsing.rehearse(until=clock.now + timedelta(days=35), clock=clock)
    firsts = sum(i.total for i in Invoice.objects.all())
    [paper] = found.largest
    assert (found.subscriptions, found.invoices, paper.before) == (2, 1, firsts)
    assert paper.subscription in {row.pk for row in rows}
    done = later(clock)
    assert (done.invoices, Invoice.objects.get(subscription=None).total) == (1, paper.total)
    again = rehearsing.rehearse(until=clock.now + timedelta(days=65), clock=clock)
    assert [(one.total, one.before) for one in again.largest] == [(paper.total, paper.total)]


def test_it_costs_one_statement_a_chunk_and_none_without_the_wish(clock, make_customer, subscribe):
    def statements(flag):
        customers = [make_customer(clock, consolidate_invoices=flag) for _ in range(3)]
        for customer in customers:
            subscribe(customer)
            subscribe(customer)
        with CaptureQueriesContext(connection) as queries:
            running._one_chunk(clock.now + timedelta(days=32), clock, 500)
        Subscription.objects.update(next_due_at=None)
        return len(queries)

    without = statements(flag=False)
    assert statements(flag=True) == without + 1


@pytest.mark.django_db(transaction=True)
def test_workers_never_split_a_day_of_a_customer(clock, make_customer, subscribe, books):
    sharers = [make_customer(clock, consolidate_invoices=True) for _ in range(8)]
    rows = [[subscribe(customer, quantity=n) for n in (1, 2, 3)] for customer in sharers]

    def work():
        return running.run(now=clock.now + timedelta(days=70), clock=clock, chunk=2).invoices

    assert sum(at_once(*[work] * 4)) == 16
    assert {len(paper) for three in rows for paper in renewals(*three)} == {3}


# -- The same lives with and without ---------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.just("seats"), st.integers(1, 9)),
    st.tuples(st.just("seats later"), st.integers(1, 9)),
    st.tuples(st.just("plan"), st.sampled_from(["starter", "pro"])),
    st.tuples(st.just("cancel"), st.sampled_from(["now", "period_end"])),
    st.tuples(st.just("another"), st.integers(1, 5)),
    st.tuples(st.just("wait"), st.none()),
)
stories = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), steps), min_size=2, max_size=7)


def _do(rows, which, step, subscribe, customer, clock):
    verb, what = step
    row = rows[which % len(rows)]
    row.refresh_from_db()
    terms = {"subscription": row, "now": clock.now, "actor": "user:1"}
    if verb == "another":
        rows.append(subscribe(customer, quantity=what, now=clock.now))
    elif verb == "seats":
        subscribing.change(**terms, quantity=what)
    elif verb == "seats later":
        subscribing.change(**terms, quantity=what, effective="period_end")
    elif verb == "cancel":
        ending.cancel(**terms, effective=what)


def _said(row):
    """Every line of a subscription, whichever paper it is on; a credit note's count against."""
    columns = ("entry_key", "gross", "discount", "net", "tax_amount", "tax_percentage", "description", "kind")
    asked = InvoiceLine.objects.filter(subscription=row).values_list(*columns)
    given_back = CreditNoteLine.objects.filter(subscription=row).values_list(*columns)
    return sorted([*asked, *((key, *(-n for n in rest[:4]), *rest[4:]) for key, *rest in given_back)])


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(stories)
def test_any_life_says_the_same_lines_on_shared_papers(make_clock, make_customer, subscribe, story):
    with transaction.atomic():
        worlds = []
        for flag in (True, False):
            clock = make_clock()
            customer = make_customer(clock, consolidate_invoices=flag)
            worlds.append((clock, customer, [subscribe(customer, quantity=n) for n in (2, 3, 4)]))
        for days, which, step in (*story, (35, 0, ("wait", None))):
            done = []
            for clock, customer, rows in worlds:
                clock.now += timedelta(days=days)
                clock.save()
                running.run(now=clock.now, clock=clock)
                try:
                    _do(rows, which, step, subscribe, customer, clock)
                    done.append(True)
                except Refused as refusal:
                    done.append(str(refusal))
            assert done[0] == done[1]
        (_, sharer, shared), (_, alone, separate) = worlds
        for one, other in zip(shared, separate, strict=True):
            assert _said(one) == _said(other)
        assert _worth(sharer) == _worth(alone)
        assert (
            Invoice.objects.filter(customer=sharer).count() <= Invoice.objects.filter(customer=alone).count()
        )
        transaction.set_rollback(True)


def _worth(customer):
    """What was asked less what was given back, whatever is on the balance."""
    asked = sum(Invoice.objects.filter(customer=customer).values_list("total", flat=True))
    return asked - sum(CreditNote.objects.filter(customer=customer).values_list("total", flat=True))
