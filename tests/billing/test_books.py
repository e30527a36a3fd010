"""Each invariant of `check_books` is broken once, with triggers and constraints out of the way, and must be found."""

from decimal import Decimal
from functools import partial
from hashlib import sha256

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing import (
    books,
    cards,
    correcting,
    discounting,
    disputing,
    keys,
    metering,
    owing,
    refunding,
    subscribing,
    timelines,
    webhooks_out,
)
from billing.models import Discount, Document, InvoiceLine, Mail, Phase, Price
from tests.races import at_once

pytestmark = pytest.mark.django_db


def twice(table, **others):
    """A statement that makes a second row of one there is: the same but for these columns."""
    said = ", ".join(f"'{column}', {value}" for column, value in others.items())
    return f"insert into {table} select (jsonb_populate_record(t, jsonb_build_object({said}))).* from {table} t limit 1"


# Tables of the applications above: tests/sales/test_books.py
ELSEWHERE = {"I-27", "I-39"}
# What is broken, by the id of the invariant that must find it. Several statements are separated by semicolons.
BROKEN = {
    "I-01": "update billing_invoiceline set net = net + 1, gross = gross + 1",
    "I-01b": "alter table billing_invoice alter column amount_due drop expression; "
    "update billing_invoice set amount_due = amount_due + 1",
    "I-01c": "update billing_invoice set status = 'open' where status = 'paid'",
    "I-01d": "update billing_creditnoteline set net = net + 1",
    "I-02": "update billing_invoiceline set tax_amount = tax_amount + 2",
    "I-03b": "alter table billing_phaseitem drop constraint quantity_is_a_number; "
    "alter table billing_phaseitem drop constraint quantity_sane; update billing_phaseitem set quantity = 'NaN'",
    "I-03": "alter table billing_refund alter column amount type double precision",
    "I-04": "update billing_payment set currency = 'EUR'",
    "I-04b": "update billing_price set currency = 'EUR' where id in (select price_id from billing_invoiceline)",
    "I-05": "update billing_creditnote set subtotal = 100000000, tax_total = 0, total = 100000000",
    "I-06": "update billing_invoice set sequence = 7 where sequence = 2",
    "I-06b": "update billing_numberseries set next = next + 1",
    "I-07": "update billing_invoice set issued_on = '2030-01-01' where sequence = 1",
    "I-07b": "update billing_creditnote set issued_on = '2030-01-01' where sequence = 1",
    "I-08": "update billing_document set content = 'other'",
    "I-08b": "update billing_invoice set number = 'X'",
    "I-09": "update billing_invoice set bill_to = '{}'",
    "I-10": "drop index one_invoice_per_subscription_and_cycle; "
    "update billing_invoice set cycle_on = '2026-01-15', "
    "subscription_id = (select id from billing_subscription order by id limit 1)",
    "I-12": "update billing_phase set end_on = start_on + 5; "
    "insert into billing_phase (id, subscription_id, plan_id, start_on, anchor_on, free, collection_method, motion, "
    "source, po_number, created_at) select gen_random_uuid(), subscription_id, plan_id, start_on + 9, anchor_on, free, "
    "collection_method, motion, '', '', now() from billing_phase",
    "I-13": "update billing_payment set invoice_id = null, source = 'cs_x', settled_at = '2026-01-01' "
    "where method = 'card'",
    "I-14": "update billing_invoice set amount_paid = amount_paid - 1 where status = 'paid'",
    "I-14b": "update billing_payment set amount_refunded = amount_refunded + 1",
    "I-14c": "update billing_payment set dispute_status = 'won'",
    "I-15": "drop index one_open_attempt_per_invoice; update billing_payment set status = 'sent', method = 'card', "
    "invoice_id = (select invoice_id from billing_payment where method = 'card' limit 1)",
    "I-17": "update billing_payment set status = 'sent', created_at = '2026-01-01'; "
    "update billing_customer set test_clock_id = null",
    "I-18": "update billing_posting set amount = amount + 1",
    "I-18b": "update billing_posting set amount = amount + 1 where account = 'receivable'",
    "I-18c": "update billing_posting set amount = amount + 1 where account = 'customer_balance'",
    "I-18d": "update billing_posting set amount = amount + 1 where account = 'cash'",
    "I-18f": "update billing_refund set elsewhere = true",
    "I-18e": "update billing_posting set amount = amount + 1 where account = 'disputed_payments'",
    "I-19": "update billing_customer set balance = balance + 1",
    "I-19b": "update billing_customer set mrr = mrr + 1",
    "I-19c": "update billing_mrrmovement set mrr = mrr + 1",
    "I-19e": """
        with twin as (
            insert into billing_customer select (jsonb_populate_record(
                c, jsonb_build_object('id', gen_random_uuid(), 'currency', 'EUR'))).* from billing_customer c limit 1
            returning id)
        update billing_customer set merged_at = now(), merged_into_id = twin.id from twin""",
    "I-19d": "update billing_figure set amount = amount + 1",
    "I-22": "update billing_usageday set total = total + 1",
    "I-24": "alter table billing_thresholdcrossing drop constraint threshold_fires_once; "
    'insert into billing_thresholdcrossing (percent, period_start, "limit", used, at, customer_id, meter_id) '
    "select 80, '2026-01-01', 5, 4, now(), customer_id, meter_id from billing_usageday, generate_series(1, 2)",
    "I-25": "update billing_balanceentry set amount = -1",
    "I-26": "alter table billing_discount drop constraint discount_redemptions_within_limit; "
    "update billing_discount set redemptions = 9, max_redemptions = 1",
    "I-26b": "update billing_phase set discount_id = (select id from billing_discount limit 1), "
    'wishes = \'{"ends": {"discount": ["disc_x"]}}\'',
    "I-28": "alter table billing_subscription drop constraint subscription_once_per_source; "
    "update billing_subscription set source = 'cs_1'; "
    + twice("billing_subscription", id="gen_random_uuid()"),
    "I-29": "alter table billing_phaseitem drop constraint quantity_sane; update billing_phaseitem set quantity = -1",
    "I-30": "update billing_subscription set ended_at = now()",
    "I-32": "delete from billing_event where type = 'invoice.finalized'",
    "I-32b": "update billing_event set sequence = sequence + 100",
    "I-32c": "delete from billing_webhookdelivery; "
    "update billing_webhookendpoint set listening_since = listening_since - interval '1 hour'",
    "I-33": "alter table billing_webhookdelivery drop constraint delivery_once; "
    + twice("billing_webhookdelivery", id="gen_random_uuid()"),
    "I-34": "alter table billing_providerevent drop constraint billing_providerevent_provider_id_key; "
    "insert into billing_providerevent (provider_id, type, payload, received_at) "
    "select 'evt_1', 't', '{}', now() from generate_series(1, 2)",
    "I-35": "alter table billing_idempotentrequest drop constraint idempotency_key_once; "
    "insert into billing_idempotentrequest (api_key_id, key, fingerprint, content_type, locked_at, created_at) "
    "select id, 'k', '', '', now(), now() from billing_apikey, generate_series(1, 2)",
    "I-36": "update billing_payment set customer_id = gen_random_uuid()",
    "I-37": "update billing_event set actor = ''",
    "I-38": "alter table billing_mail drop constraint mail_once; update billing_mail set event = 'x', "
    "recipient = 'x@x.example', template = 'x'",
    "I-40": "alter table billing_mail alter column sent_at type timestamp",
    "I-41": "update billing_customer set livemode = true, test_clock_id = null",
}


@pytest.fixture
def lived(clock, make_customer, subscribe, fake_stripe, advance):
    """A customer with two paid invoices, a credit note, a refund, a dispute, usage, mails, a document and a
    discount; an endpoint that hears of it, and a key."""
    webhooks_out.create(url="https://93.184.215.14/", livemode=False, actor="system", now=timezone.now())
    keys.issue(name="key", livemode=False, now=clock.now)
    customer = make_customer(clock, tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="system")
    subscription = subscribe(customer)
    advance(clock, days=31)
    first, second = subscription.invoices.order_by("sequence")
    refunding.refund(payment=first.payments.get(), amount=10_00, now=clock.now, actor="system")
    correcting.credit(invoice=second, amount=5_00, reason="", now=clock.now, actor="system")
    fake_stripe.dispute(fake_stripe.rows("charge")[-1]["id"])
    disputing.reconcile(now=timezone.now())
    Document.objects.create(name="a.pdf", content=b"x", sha256=sha256(b"x").hexdigest())
    Discount.objects.create(percent_off=10)
    used = {"id": "e1", "customer": customer.pk, "event_name": "api_call", "properties": {"value": "5"}}
    metering.record(events=[used], livemode=False, now=clock.now)
    for n in range(2):
        Mail.objects.create(
            event=f"{n}",
            template="t",
            recipient="a@a.example",
            subject="s",
            text="t",
            html="",
            created_at=clock.now,
        )
    return subscription


def found(invariant):
    return bool(list(books._ask(invariant, 1)))


@transaction.atomic
def seen(invariant, statements):
    """Whether the books see what these break; nothing of it stays."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        for statement in statements.split("; "):
            cursor.execute(statement)
    answer = found(invariant)
    transaction.set_rollback(True)
    return answer


def test_every_invariant_sees_what_breaks_it(lived, without_triggers):
    asked = books.invariants()
    assert {invariant.id for invariant in asked} == set(BROKEN) | ELSEWHERE
    assert [invariant.id for invariant in asked if found(invariant)] == []
    with without_triggers():
        asked = [invariant for invariant in asked if invariant.id in BROKEN]
        assert [each.id for each in asked if not seen(each, BROKEN[each.id])] == []
    assert books.check() == []


def test_a_paper_that_says_the_minimum_on_the_line_of_its_price_is_right(
    make_customer, subscribe, without_triggers
):
    """So they did before a minimum had a line of its own; the amount is judged, and is wrong when it is."""
    Price.objects.filter(plan__code="pro").update(minimum=Decimal(100))
    subscribe(make_customer(tax_exempt=True), quantity=1)
    line, minimum = InvoiceLine.objects.order_by("position")
    assert (line.gross, minimum.gross) == (29_00, 71_00)
    with without_triggers():
        minimum.delete()
        assert [breach.id for breach in books._unsaid()] == ["I-11"]
        InvoiceLine.objects.filter(pk=line.pk).update(gross=100_00, net=100_00)
        assert list(books._unsaid()) == []
        InvoiceLine.objects.filter(pk=line.pk).update(gross=100_01, net=100_01)
        assert [breach.id for breach in books._unsaid()] == ["I-11"]


def test_a_discount_that_was_given_again_is_wanted_and_one_that_came_back_is_not(
    clock, make_customer, subscribe, without_triggers
):
    said = {
        "twice": {"percent_off": 20, "duration": "repeating", "periods": 2},
        "once": {"percent_off": 50, "duration": "once"},
    }
    both = discounting.together([Discount.objects.create(code=code, **terms) for code, terms in said.items()])
    row = subscribe(make_customer(clock), discount=both)
    wanted = subscribe(make_customer(clock), discount=both)
    day = timelines.planned(wanted)[1].start_on
    subscribing.change(subscription=wanted, now=clock.now, actor="user:1", discount=both, effective=day)
    assert books.check() == []
    Phase.objects.filter(subscription=row, end_on=None).update(discount=Discount.objects.get(code="once"))
    (breach,) = books.check()
    assert (breach.id, row.pk in breach.found) == ("I-26b", True)


@pytest.mark.django_db(transaction=True)
def test_it_looks_at_one_moment_while_work_goes_on(make_customer, subscribe, monkeypatch):
    """Seats are added after the timeline was read and before the papers are."""
    row = subscribe(make_customer(), quantity=3)
    read = owing.gather

    def later(page):
        monkeypatch.undo()
        (added,) = at_once(partial(more_seats, row))
        assert added is None, added
        return read(page)

    monkeypatch.setattr(owing, "gather", later)
    assert books.check() == []
    assert row.invoices.count() == 2
    assert books.check() == []


def more_seats(row):
    with transaction.atomic():
        subscribing.change(subscription=row, now=row.customer.now, actor="user:1", quantity=Decimal(5))
