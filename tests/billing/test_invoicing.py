"""From what is owed to papers: what they say, and which paper says it."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import transaction

from billing import (
    apportioning,
    bulk,
    cataloguing,
    falling_due,
    invoicing,
    metering,
    numbering,
    running,
    subscribing,
)
from billing.models import CreditNote, Invoice, InvoiceLine, Phase, PhaseItem, Plan, Price, Subscription
from billing.models.ids import new_id

pytestmark = pytest.mark.django_db


@transaction.atomic
def bill_until(subscription, day):
    row = falling_due.locked(subscription)
    result = invoicing.bill(subscription=row, now=row.customer.now, actor="system", until=day)
    subscribing.settle_derived(row, now=row.customer.now, actor="system", why="billed")
    return result


def test_it_leaves_alone_what_a_clock_ahead_of_this_one_has_billed(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock))
    assert bill_until(subscription, date(2026, 2, 15)).total == 107_01
    behind = bill_until(subscription, date(2026, 2, 14))
    assert (list(behind.lines), behind.issued, behind.credit_notes) == ([], None, ())
    assert subscription.invoices.count() == 2


def test_it_bills_late_usage_as_long_as_it_is_taken(
    clock, make_customer, subscribe, advance, books, settings
):
    settings.USAGE_GRACE_DAYS = 10
    customer = make_customer(clock, tax_exempt=True)
    subscription = subscribe(customer)
    advance(clock, to=datetime(2026, 2, 19, 12, tzinfo=UTC))
    subscription.customer.refresh_from_db()
    change(subscription, 4)
    advance(clock, days=1)
    price = Price.objects.select_related("meter").get(plan__code="pro", kind="usage", currency="USD")
    free = int(price.tiers[0]["up_to"])
    properties = {price.meter.property: str(free + 1000)} if price.meter.property else {}
    sent = {
        "id": "late",
        "customer": customer.pk,
        "event_name": price.meter.event_name,
        "properties": properties,
    }
    taken = metering.record(
        events=[{**sent, "timestamp": "2026-02-14T12:00:00Z"}], livemode=False, now=clock.now, actor="key:1"
    )
    assert taken.accepted == 1
    advance(clock, to=datetime(2026, 3, 16, tzinfo=UTC))
    used = InvoiceLine.objects.filter(subscription=subscription, kind="usage", cycle_start=date(2026, 1, 15))
    assert sum(line.quantity for line in used) == free + 1000


# -- Credits that no one invoice can carry -----------------------------------------------------------------


def change(subscription, quantity):
    subscribing.change(
        subscription=subscription, now=subscription.customer.now, actor="system", quantity=Decimal(quantity)
    )


def test_it_spreads_a_credit_over_the_invoices_newest_first(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock), quantity=3)
    for quantity in (8, 13, 18):
        change(subscription, quantity)
    invoices = list(Invoice.objects.order_by("sequence"))
    assert [invoice.total for invoice in invoices] == [107_01, 178_35, 178_35, 178_35]
    change(subscription, 2)
    notes = list(CreditNote.objects.order_by("sequence"))
    assert [(note.invoice, note.total) for note in notes] == [
        (invoices[3], 178_35), (invoices[2], 178_35), (invoices[1], 178_35), (invoices[0], 35_67),
    ]  # fmt: skip
    # 16 seats of 29.00, and 23 % of that
    assert sum(note.subtotal for note in notes) == 464_00
    assert sum(note.tax_total for note in notes) == 106_72
    subscription.customer.refresh_from_db()
    assert subscription.customer.balance == 570_72


def test_it_gives_a_credit_whole_where_one_invoice_can_carry_it(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock), quantity=20)
    change(subscription, 21)
    change(subscription, 10)
    assert CreditNote.objects.get().invoice == Invoice.objects.order_by("sequence").first()


def test_it_refuses_to_give_back_more_than_was_invoiced(clock, make_customer, subscribe, books):
    subscription = subscribe(make_customer(clock), quantity=3)
    invoice = subscription.invoices.get()
    with pytest.raises(apportioning.NothingToCredit):
        apportioning._as_many([(invoice, 50_00), (invoice, 0)], 50_01)


# -- One customer with very many lines ---------------------------------------------------------------------


def many_seats(customer, count):
    """A subscription with `count` prices of its own, written as rows."""
    now = customer.now
    plan = Plan.objects.get(code="pro")
    prices = [new_id("price") for _ in range(count)]
    bulk.copy(
        Price,
        [
            {"id": pk, "plan_id": plan.pk, "code": f"p{n}", "label": f"Part {n}", "model": "per_unit",
             "interval": "month", "unit_amount": Decimal("0.10")}
            for n, pk in enumerate(prices)
        ],
    )  # fmt: skip
    subscription, phase = new_id("sub"), new_id("phase")
    common = {"motion": "self_serve", "start_on": now.date()}
    bulk.copy(
        Subscription,
        [{**common, "id": subscription, "customer_id": customer.pk, "test_clock_id": customer.test_clock_id,
          "status": "active", "origin": "api", "currency": "USD", "started_at": now, "next_due_at": now}],
    )  # fmt: skip
    bulk.copy(
        Phase,
        [{**common, "id": phase, "subscription_id": subscription, "plan_id": plan.pk, "anchor_on": now.date(),
          "collection_method": "send_invoice"}],
    )  # fmt: skip
    bulk.copy(PhaseItem, [{"phase_id": phase, "price_id": pk, "quantity": 3} for pk in prices])
    return Subscription.objects.get(pk=subscription)


def test_it_bills_thousands_of_lines_on_one_invoice(clock, make_customer):
    """Ten thousand took 2.5 s of processor time when this was written; what grows with their square would show."""
    subscription = many_seats(make_customer(clock), 3_000)
    began = time.process_time()
    assert running.run(now=clock.now, clock=clock).invoices == 1
    assert time.process_time() - began < 10
    invoice = subscription.invoices.get()
    assert (invoice.line_count, invoice.subtotal, invoice.tax_total) == (3_000, 900_00, 3_000 * 7)


# -- A minimum spend ---------------------------------------------------------------------------------------


def test_what_a_minimum_adds_is_a_line_of_its_own(clock, make_customer, subscribe, advance, books):
    prices = [{"meter": "api_calls", "amount": Decimal("0.50"), "minimum": Decimal(20), "label": "API calls"}]
    cataloguing.create_plan(
        code="least", name="Least", motion="self_serve", now=clock.now, actor="system", livemode=False, prices=prices
    )  # fmt: skip
    customer = make_customer(clock, country="CH")
    subscription = subscribe(customer, plan="least", quantity=None)
    event = {"id": "1", "customer": customer.pk, "event_name": "api_call", "properties": {"value": "10"}}
    metering.record(events=[event], now=clock.now, actor="system", livemode=False)
    advance(clock, days=32)
    lines = subscription.invoices.get().lines.all()
    assert [(line.kind, line.description, line.net, line.quantity) for line in lines] == [
        ("usage", "API calls", 5_00, 10), ("minimum", "Minimum spend: API calls", 15_00, 1),
    ]  # fmt: skip
    assert lines[1].explanation["came_to"] == 5_00
    assert lines[1].unit_amount is None


def test_it_has_written_out_every_line_when_it_takes_the_numbers(
    clock, make_customer, subscribe, monkeypatch
):
    """From the numbers on, nobody else of the series can issue: what can be made before is made before."""
    told = []
    encode, take = bulk._column_texts, numbering.take
    monkeypatch.setattr(bulk, "_column_texts", lambda f, rows: told.append(f.model) or encode(f, rows))
    monkeypatch.setattr(numbering, "take", lambda *given: told.append("numbers") or take(*given))
    row = subscribe(make_customer(clock))
    before, after = told[: told.index("numbers")], told[told.index("numbers") :]
    assert InvoiceLine in before
    assert InvoiceLine not in after
    assert Invoice in after
    assert InvoiceLine.objects.filter(invoice__subscription=row).count() == 1
