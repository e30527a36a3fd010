"""An invoice as finance works with it."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import cards, collecting, correcting, noticing
from billing.models import Invoice, Refund, Seller, SignOff, User
from tests.staff import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice(make_customer, subscribe, clock):
    row = subscribe(make_customer(clock, country="US"), "pro", "month", 3)
    return Invoice.objects.get(subscription=row)


@pytest.fixture
def fay(catalogue):
    return signed_in("view_invoice", "record_payment")


def where(invoice):
    return f"/admin/billing/invoice/{invoice.pk}/change/"


def book(browser, invoice, **changes):
    given = {"action": "transfer", "amount": "87.00", "paid_on": "2026-01-20", "reference": "SEPA 1"}
    return browser.post(where(invoice), {**given, **changes})


def test_it_shows_lines_and_a_journal_that_balances(fay, invoice):
    page = fay.get(where(invoice))
    assert page.status_code == 200
    assert "$87.00" in page.text
    assert sum(side.amount for side in page.context["postings"]) == 0


def test_it_takes_as_many_statements_for_many_payments_as_for_none(fay, invoice):
    fay.get(where(invoice))  # what a process asks for once
    with CaptureQueriesContext(connection) as first:
        fay.get(where(invoice))
    for n in range(3):
        assert book(fay, invoice, amount="10.00", reference=f"SEPA {n}").status_code == 302
    with CaptureQueriesContext(connection) as then:
        page = fay.get(where(invoice))
    assert "SEPA 2" in page.text
    assert len(then) <= len(first) <= 8  # of which six are the session's, the reader's and the frame's


def test_it_books_a_transfer(fay, invoice):
    assert book(fay, invoice).status_code == 302
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_due) == ("paid", 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "many"),
        ("amount", "-5"),
        ("amount", "87,00"),
        ("amount", "8,7"),
        ("paid_on", "soon"),
        ("reference", ""),
    ],
)
def test_it_says_beside_the_field_what_is_wrong(fay, invoice, field, value):
    page = book(fay, invoice, **{field: value})
    assert page.status_code == 422
    assert page.context["form"].errors[field]
    assert not value or f'value="{value}"' in page.text
    invoice.refresh_from_db()
    assert invoice.amount_paid == 0


def test_it_asks_for_the_permission(invoice):
    browser = signed_in("view_invoice")
    assert "Book a bank transfer" not in browser.get(where(invoice)).text
    assert book(browser, invoice).status_code == 403


@pytest.mark.parametrize("part", ["change/", "pdf/"])
def test_it_is_closed_to_staff_who_may_not_look(invoice, part):
    assert signed_in().get(f"/admin/billing/invoice/{invoice.pk}/{part}").status_code == 403


def test_it_knows_no_other_invoice(fay, invoice):
    assert fay.get("/admin/billing/invoice/inv_nothing/change/").status_code == 404


def test_it_asks_what_a_refund_made_at_stripe_was_for(fay, make_customer, subscribe, fake_stripe):
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    paid = subscribe(customer).invoices.get()
    collecting.attempt(invoice=paid, now=paid.issued_at, actor="system")
    fake_stripe.refund(fake_stripe.rows("charge")[-1]["id"], 10_00)
    noticing.reconcile(now=timezone.now())
    refund = Refund.objects.get()
    page = fay.get(where(paid))
    assert "What was it for?" in page.text
    explain = {"action": "explain", "refund": refund.pk}
    assert fay.post(where(paid), {**explain, "by": "balance"}).status_code == 422
    assert fay.post(where(paid), {**explain, "by": "credit_note"}).status_code == 302
    page = fay.get(where(paid))
    assert "What was it for?" not in page.text
    note = paid.credit_notes.get()
    assert note.total == 10_00
    assert f"/admin/billing/creditnote/{note.pk}/change/" in page.text
    assert "−$10.00" in page.text
    assert fay.post(where(paid), {**explain, "refund": "ref_none"}).status_code == 404
    assert signed_in_as_viewer().post(where(paid), explain).status_code == 403


# -- Put right


@pytest.fixture
def paid(make_customer, subscribe, fake_stripe):
    """87.00, paid by card."""
    customer = make_customer(tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    row = subscribe(customer, quantity=3).invoices.get()
    collecting.attempt(invoice=row, now=row.issued_at, actor="system")
    row.refresh_from_db()
    return row


def press(browser, invoice, action, **typed):
    """What the page's own form sends, with these changes."""
    form = browser.get(where(invoice)).context["right"][action]
    given = {field.html_name: field.value() or "" for field in form}
    return browser.post(
        where(invoice), {**given, "action": action, "reason": "a day without service", **typed}
    )


def test_it_credits_what_is_due(fay, invoice, books):
    page = fay.get(where(invoice))
    assert "Back to the card" not in page.text
    assert press(fay, invoice, "credit", amount="10.00").status_code == 302
    invoice.refresh_from_db()
    assert (invoice.amount_due, invoice.credit_notes.get().reason) == (77_00, "a day without service")
    assert press(fay, invoice, "credit").status_code == 302
    invoice.refresh_from_db()
    assert (invoice.amount_due, invoice.status) == (0, "paid")
    assert "credit" not in fay.get(where(invoice)).context["right"]


@pytest.mark.parametrize(("to", "back", "balance"), [("refund", [10_00], 0), ("balance", [], 10_00)])
def test_it_gives_back_once_however_often_it_is_pressed(fay, paid, fake_stripe, books, to, back, balance):
    typed = {"amount": "10.00", "to": to, "left": 87_00}
    assert press(fay, paid, "credit", **typed).status_code == 302
    again = press(fay, paid, "credit", **typed)
    assert again.status_code == 422
    assert "was credited after you opened it" in again.text
    assert [row["amount"] for row in fake_stripe.rows("refund")] == back
    paid.customer.refresh_from_db()
    assert (paid.credit_notes.count(), paid.customer.balance) == (1, balance)


def test_a_large_refund_waits_for_a_second_person(fay, paid, fake_stripe, books):
    Seller.objects.update(sign_off_over=50_00)
    assert press(fay, paid, "credit", to="refund").status_code == 302
    assert fake_stripe.rows("refund") == []
    assert (SignOff.objects.get().amount, paid.credit_notes.count()) == (87_00, 0)
    assert "waits for a second person" in fay.get(where(paid)).text


def test_it_voids_and_gives_up_what_nobody_has_paid(make_customer, subscribe, clock, books):
    fay = signed_in("view_invoice", "record_payment", "void_invoice")
    first, second = (
        subscribe(make_customer(clock, country="US"), "pro", "month", 3).invoices.get() for _ in range(2)
    )
    for row, action, status in ((first, "void", "void"), (second, "write_off", "uncollectible")):
        refused = press(fay, row, action, reason="")
        assert refused.status_code == 422
        assert refused.context["right"][action].errors["reason"]
        assert press(fay, row, action).status_code == 302
        row.refresh_from_db()
        assert row.status == status
        assert action not in fay.get(where(row)).context["right"]


def test_what_was_paid_or_credited_is_not_offered_to_be_voided(paid, note, invoice):
    fay = signed_in("view_invoice", "record_payment", "void_invoice")
    for row in (paid, invoice):
        assert "Void it" not in fay.get(where(row)).text
    assert "Put it right" not in signed_in("view_invoice").get(where(paid)).text


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", "87,00"), ("amount", "0"), ("amount", "87.01"), ("reason", ""), ("to", "mars")],
)
def test_it_says_what_is_wrong_with_a_credit_and_writes_none(fay, paid, field, value):
    page = press(fay, paid, "credit", **{field: value})
    assert page.status_code == 422
    assert page.context["right"]["credit"].errors[field]
    assert paid.credit_notes.count() == 0


@pytest.fixture
def note(invoice):
    return correcting.credit(
        invoice=invoice, amount=10_00, reason="a day without service", now=invoice.issued_at, actor="user:1"
    )


def at_note(note, part="change"):
    return f"/admin/billing/creditnote/{note.pk}/{part}/"


def test_a_credit_note_shows_what_it_takes_back_of_which_invoice(note, invoice):
    browser = signed_in("view_creditnote")
    page = browser.get(at_note(note))
    for words in (note.number, str(invoice), "a day without service", "$10.00"):
        assert words in page.text
    assert page.context["postings"]
    assert sum(side.amount for side in page.context["postings"]) == 0
    paper = browser.get(at_note(note, "pdf"))
    assert (paper["Content-Type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    with CaptureQueriesContext(connection) as asked:
        browser.get(at_note(note))
    assert len(asked) <= 8  # of which six are the session's, the reader's and the frame's


@pytest.mark.parametrize("part", ["change", "pdf"])
def test_a_credit_note_is_closed_to_staff_who_may_not_look(note, part):
    assert signed_in("view_invoice").get(at_note(note, part)).status_code == 403


def signed_in_as_viewer():
    user = User.objects.create_user("val@seller.example", name="Val", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_invoice"))
    browser = Client()
    browser.force_login(user)
    return browser
