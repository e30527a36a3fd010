"""Papers: rendered once from what the row froze, stored, and never again."""

import hashlib
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from billing import collecting, correcting, ending, printing
from billing.models import Document, Invoice, Seller
from billing.models.invoices import CreditNote
from billing.papers import isolated
from billing.papers.isolated import PaperFailed
from tests.races import beside

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice(make_customer, subscribe):
    subscribe(make_customer(name="Nova & Söhne <b>", country="DE", tax_id="DE136695976"))
    return Invoice.objects.get()


def test_it_is_stored_once(invoice):
    first = printing.print_invoice(invoice.pk)
    again = printing.print_invoice(invoice.pk)
    assert first == again == Document.objects.get()
    assert first.name == f"{invoice.number}.pdf"
    assert first.sha256 == hashlib.sha256(bytes(first.content)).hexdigest()
    assert bytes(first.content).startswith(b"%PDF-")


@pytest.mark.django_db(transaction=True)
def test_whoever_comes_second_takes_the_paper_of_the_first(invoice):
    """It was typeset twice at the same time; the second waits to keep its own."""
    first = []

    def keep(content):
        first.append(printing._kept(Invoice, invoice.pk, invoice.number, content))
        return first[-1]

    with beside(partial(keep, b"%PDF-1"), partial(keep, b"%PDF-2")) as answers:
        assert not answers
    assert answers == first[:1] == [Document.objects.get()]
    assert bytes(first[0].content) == b"%PDF-1"


def test_it_says_what_the_row_froze(invoice):
    Seller.objects.update(name="Renamed", legal_name="Renamed Ltd")
    invoice.customer.name = "Renamed"
    invoice.customer.save()
    paper = printing.invoice_paper(Invoice.objects.get())
    paper.check()
    assert (paper.seller.name, paper.bill_to.name) == ("Lumen Analytics Ltd", "Nova & Söhne <b>")
    assert (paper.total, paper.amount_due) == (8700, 8700)
    assert paper.tax_subtotals[0].category == "AE"
    line = paper.lines[0]
    assert (line.description, line.quantity, line.net) == ("Pro seat", 3, 8700)
    assert line.period.last + timedelta(days=1) == invoice.period_end


def test_a_transfer_shows_as_paid(make_customer, subscribe, clock):
    customer = make_customer(clock, country="US")
    subscribe(customer, collection_method="send_invoice", payment_rule_override="agreed")
    invoice = Invoice.objects.get()
    collecting.record_transfer(
        invoice=invoice,
        amount=invoice.total,
        reference="R1",
        paid_at=clock.now,
        now=clock.now,
        actor="user:1",
    )
    paper = printing.invoice_paper(Invoice.objects.get())
    paper.check()
    assert (paper.amount_paid, paper.amount_due, paper.settlement.method) == (invoice.total, 0, "transfer")


def test_papers_are_dated_by_the_sellers_day_and_periods_by_the_customers(make_customer, subscribe, clock):
    """Noon in the customer's UTC is tomorrow where the seller is."""
    Seller.objects.update(timezone="Pacific/Kiritimati")
    subscribe(
        make_customer(clock, country="US"), collection_method="send_invoice", payment_rule_override="agreed"
    )
    invoice = Invoice.objects.get()
    collecting.record_transfer(
        invoice=invoice,
        amount=invoice.total,
        reference="R1",
        paid_at=clock.now,
        now=clock.now,
        actor="user:1",
    )
    paper = printing.invoice_paper(Invoice.objects.get())
    today = clock.now.date()
    assert paper.issued_on == paper.settlement.paid_on == today + timedelta(days=1)
    assert paper.lines[0].period.first == today
    assert {row.posted_on for row in invoice.posting_set.all()} == {paper.issued_on}


def test_a_draft_has_no_paper(make_customer):
    draft = Invoice.objects.create(
        customer=make_customer(), motion="self_serve", collection_method="send_invoice", currency="USD"
    )
    with pytest.raises(printing.NotIssued):
        printing.print_invoice(draft.pk)


def test_a_credit_note_names_its_invoice(make_customer, subscribe, clock, advance):

    subscription = subscribe(make_customer(clock, country="US"))
    advance(clock, days=10)
    clock.refresh_from_db()
    ending.cancel(subscription=subscription, now=clock.now, actor="user:1", effective="now")
    note = CreditNote.objects.first()
    if note is None:
        pytest.skip("the cancellation gave nothing back")
    paper = printing.credit_note_paper(note)
    paper.check()
    assert paper.preceding.number == note.invoice.number
    assert printing.print_credit_note(note.pk) == printing.print_credit_note(note.pk)


@pytest.mark.parametrize(("paid", "settled"), [(False, (0, 0)), (True, (0, 29_00))])
def test_a_credit_of_an_amount_is_one_piece_and_says_where_it_went(invoice, paid, settled, books):
    """Not nought seats, and not refunded where it only lowers what is due."""
    if paid:
        collecting.record_transfer(
            invoice=invoice, amount=invoice.amount_due, reference="T", paid_at=invoice.customer.now,
            now=invoice.customer.now, actor="user:1",
        )  # fmt: skip
    note = correcting.credit(
        invoice=invoice, amount=29_00, reason="Sorry", now=invoice.customer.now, actor="user:1"
    )
    paper = printing.credit_note_paper(note)
    paper.check()
    assert [(line.quantity, line.unit_amount) for line in paper.lines] == [(1, None)] * len(paper.lines)
    assert (paper.amount_paid, paper.balance_applied) == settled
    assert printing.print_credit_note(note.pk).content


@pytest.mark.django_db(transaction=True)
def test_of_many_printers_one_paper_stays(invoice):
    from concurrent.futures import ThreadPoolExecutor

    def go(_n):
        try:
            return printing.print_invoice(invoice.pk).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(go, range(4)))) == 1
    assert Document.objects.count() == 1


def test_no_paper_is_made_in_the_process_that_asks_for_it(invoice, monkeypatch):
    """A document that hangs the typesetter or eats its memory would take a web process or a worker with it."""

    def here(*given):
        raise AssertionError("typeset in this process")

    monkeypatch.setattr("billing.papers.render.pdf", here)
    monkeypatch.setattr("billing.papers.render._typeset", here)
    printing.print_invoice(invoice.pk)
    note = correcting.credit(invoice=invoice, reason="it", now=invoice.issued_at, actor="system")
    assert printing.print_credit_note(note.pk).read().startswith(b"%PDF-")


def test_an_invoice_stands_whose_paper_takes_too_long_and_is_printed_later(invoice, monkeypatch):
    with monkeypatch.context() as slow:
        slow.setattr(isolated, "render_isolated", partial(isolated.render_isolated, memory=64 * 2**20))
        with pytest.raises(PaperFailed):
            printing.print_invoice(invoice.pk)
    invoice.refresh_from_db()
    assert (invoice.document, bool(invoice.number)) == (None, True)
    assert printing.print_invoice(invoice.pk).read().startswith(b"%PDF-")
