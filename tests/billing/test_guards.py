"""What the database itself refuses, tried with plain SQL: each invariant has a hole punched, and must hold."""

from itertools import permutations

import pytest
from django.db import DatabaseError, connection, transaction

from billing import correcting
from billing.models import (
    CreditNote,
    Document,
    Event,
    Invoice,
    InvoiceLine,
    Payment,
    Posting,
    Price,
    Refund,
    Subscription,
)  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice(clock, make_customer, subscribe):
    return subscribe(make_customer(clock)).invoices.get()


def refused(sql, words, params=()):
    with pytest.raises(DatabaseError, match=words), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)


@pytest.mark.parametrize(
    "column", ["total = total + 1, subtotal = subtotal + 1", "number = 'X'", "seller = '{}'", "bill_to = '{}'",
               "due_on = due_on + 1", "currency = 'EUR'", "issued_at = now()",
               "motion = 'sales_led'", "status = 'draft'"],
)  # fmt: skip
def test_it_freezes_what_an_issued_invoice_says(invoice, column):
    refused(f"update billing_invoice set {column}", "frozen|cannot go|issued")


@pytest.mark.parametrize(
    "column",
    ["net = net + 1, gross = gross + 1", "description = 'X'", "explanation = '{}'", "tax_amount = 0"],
)
def test_it_freezes_the_lines(invoice, column):
    refused(f"update billing_invoiceline set {column}", "frozen")


@pytest.mark.parametrize("table", ["billing_invoiceline", "billing_event", "billing_posting"])
def test_it_deletes_nothing_that_was_written(invoice, table):
    refused(f"delete from {table}", "frozen|never changed")


def test_it_deletes_no_issued_invoice(invoice):
    refused("delete from billing_invoice", "never deleted")


def test_it_adds_no_line_to_an_issued_invoice(invoice):
    line = InvoiceLine.objects.filter(invoice=invoice).first()
    line.pk, line.position = InvoiceLine._meta.pk.generate(), 99
    with pytest.raises(DatabaseError, match="do not add up"), transaction.atomic():
        line.save(force_insert=True)


def test_it_refuses_a_journal_that_does_not_balance(invoice):
    row = Posting.objects.first()
    row.pk = None
    with pytest.raises(DatabaseError, match="does not balance"), transaction.atomic():
        row.save(force_insert=True)


def test_it_refuses_a_total_that_is_not_its_parts(invoice):
    refused("update billing_invoice set status='draft', total = 1", "frozen|adds_up|cannot go")


def test_it_refuses_to_be_overpaid(invoice):
    refused("update billing_invoice set amount_paid = total + 1", "never_overpaid")


def test_it_refuses_the_same_number_twice(invoice):
    copy = Invoice.objects.get()
    copy.pk, copy.cycle_on = Invoice._meta.pk.generate(), None
    with pytest.raises(DatabaseError, match="invoice_number_once"), transaction.atomic():
        copy.save(force_insert=True)


def test_it_refuses_a_second_invoice_for_the_same_due_day(invoice):
    copy = Invoice.objects.get()
    copy.pk, copy.sequence = Invoice._meta.pk.generate(), 77
    with pytest.raises(DatabaseError, match="one_invoice_per_subscription_and_cycle"), transaction.atomic():
        copy.save(force_insert=True)


def test_it_keeps_documents_and_events(invoice):
    Document.objects.create(name="a.pdf", content=b"x", sha256="y")
    refused("update billing_document set content = 'z'", "never changed")
    refused("update billing_event set data = '{}'", "never changed")
    assert Event.objects.filter(object_id=invoice.pk).exists()


def test_it_never_edits_a_price_that_was_used(invoice):
    used = Price.objects.get(code="seats-month", plan__code="pro")
    refused("update billing_price set unit_amount = 1 where id = %s", "was used", [used.pk.partition("_")[2]])
    Price.objects.filter(plan__code="business").update(unit_amount=80)


@pytest.mark.parametrize("status", ["trialing", "incomplete"])
def test_it_refuses_a_move_that_is_not_in_the_table(invoice, status):
    refused("update billing_subscription set status = %s", "cannot go", [status])


def test_it_refuses_credit_notes_of_more_than_their_invoice(invoice):
    note = correcting.credit(invoice=invoice, amount=100, reason="", now=invoice.issued_at, actor="user:1")
    fresh = CreditNote.objects.get(pk=note.pk)
    fresh.pk, fresh.sequence, fresh.document = CreditNote._meta.pk.generate(), 99, None
    fresh.subtotal, fresh.tax_total, fresh.total = invoice.total - 100, 0, invoice.total - 100
    fresh.save(force_insert=True)  # exactly as much as is left
    fresh.pk, fresh.sequence = CreditNote._meta.pk.generate(), 100
    fresh.subtotal = fresh.total = 1
    with pytest.raises(DatabaseError, match="come to more than"), transaction.atomic():
        fresh.save(force_insert=True)


def test_it_refuses_prices_in_another_currency(invoice):
    other = Price.objects.filter(currency="EUR").first()
    refused(
        "update billing_subscription set currency = 'JPY'; insert into billing_phaseitem (phase_id, price_id, quantity) "
        "select id, %s, 1 from billing_phase",
        "in its currency",
        [other.pk.partition("_")[2]],
    )


def test_a_subscription_is_on_the_side_of_its_customer(invoice, make_customer, subscribe):
    """Whoever writes it, and whatever is written."""
    live = subscribe(make_customer(livemode=True))
    assert (live.livemode, invoice.subscription.livemode) == (True, False)
    with connection.cursor() as cursor:
        cursor.execute("update billing_subscription set livemode = not livemode")
    assert dict(Subscription.objects.values_list("pk", "livemode")) == {
        live.pk: True,
        invoice.subscription_id: False,
    }


def moves_that_pass(model, where, without_triggers):
    """Every pair of states between which the database lets a row go."""
    table, passed = model._meta.db_table, set()
    for before, after in permutations(model.Status.values, 2):
        with transaction.atomic(), connection.cursor() as cursor:
            with without_triggers():
                cursor.execute(f"update {table} set status = %s where id = %s", [before, where])
            try:
                with transaction.atomic():
                    cursor.execute(f"update {table} set status = %s where id = %s", [after, where])
                    passed.add((before, after))
            except DatabaseError:
                pass
            transaction.set_rollback(True)
    return passed


@pytest.mark.parametrize("model", [Payment, Refund, Invoice, Subscription], ids=lambda model: model.__name__)
def test_its_moves_are_those_of_the_model(model, invoice, without_triggers):
    customer = invoice.customer
    payment = Payment.objects.create(
        customer=customer, invoice=invoice, amount=1, currency="USD", key="p", method="balance"
    )
    refund = Refund.objects.create(customer=customer, payment=payment, amount=1, currency="USD", key="r")
    row = {Payment: payment, Refund: refund, Invoice: invoice, Subscription: invoice.subscription}[model]
    table = {(before, after) for before, goes in model.MOVES.items() for after in goes}
    assert moves_that_pass(model, row.pk.partition("_")[2], without_triggers) == table
