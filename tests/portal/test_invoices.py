"""Invoices: the list, why a line has its amount, the paper, paying with a saved card."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from billing import cards, cataloguing, collecting, correcting, customers, disputing, refunding, subscribing
from billing.models import CreditNote, Invoice, Mail, Payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice(nova):
    return nova.invoices.get()


def at(invoice, name="invoice"):
    return reverse(f"portal:{name}", args=[invoice.pk])


def test_it_lists_what_was_issued(alice, invoice):
    page = alice.get("/portal/invoices/").text
    assert invoice.number in page
    assert at(invoice, "invoice_pdf") in page


def test_it_lists_credit_notes(alice, nova, sub, clock, advance):
    advance(clock, days=5)
    subscribing.change(subscription=sub, now=nova.test_clock.now, actor="system", quantity=1)
    note = CreditNote.objects.get(customer=nova)
    assert note.number in alice.get("/portal/invoices/").text


def test_it_says_why_a_line_has_its_amount(alice, invoice):
    page = alice.get(at(invoice)).text
    assert "3 × $29.00 = $87.00." in page
    assert "Tax 23%: $20.01." in page


def test_it_says_how_many_and_names_the_tax_with_its_rate(alice, invoice):
    assert '<span dir="auto">Pro seat</span> × 3 ' in alice.get(at(invoice)).text
    assert '<span>VAT 23%</span><span class="num">$20.01</span>' in alice.get(at(invoice)).text


def test_it_says_why_there_is_no_tax(make_customer, subscribe, enter):
    beta = make_customer(name="Beta GmbH", country="DE", tax_id="DE136695976")
    subscribe(beta)
    page = enter(beta).get(at(beta.invoices.get())).text
    assert '<span>VAT</span><span class="num">$0.00</span><span class="note">Reverse charge' in page


def test_it_says_each_of_several_taxes(alice, nova, sub):
    cataloguing.create_tax_rate(
        now=nova.now, name="Quebec", country="CA", state="QC",
        taxes=[{"name": "GST", "percentage": Decimal(5)}, {"name": "QST", "percentage": Decimal("9.975")}],
    )  # fmt: skip
    customers.update(
        customer=nova, now=nova.now, actor="system", country="CA", billing_address={"state": "Quebec"}
    )
    sub.customer.refresh_from_db()
    subscribing.change(subscription=sub, now=nova.now, actor="system", quantity=5)
    fresh = Invoice.objects.filter(customer=nova).order_by("-sequence").first()
    page = alice.get(at(fresh)).text
    for words in ("GST 5%: $7.25.", "QST 9.975%: $14.46.", "<span>GST 5%</span>", "<span>QST 9.975%</span>"):
        assert words in page


def test_part_of_a_period_is_said_in_days(alice, nova, sub):
    later = nova.now + timedelta(days=10)
    subscribing.change(subscription=sub, now=later, actor="system", quantity=5)
    fresh = Invoice.objects.filter(customer=nova).order_by("-sequence").first()
    assert "For 21 of the 31 days of the period." in alice.get(at(fresh)).text


def test_the_paper_comes_as_a_file_named_by_us(alice, invoice, monkeypatch):
    from billing.models import Document

    odd = Document(name='a"b\r\nc/é.pdf', content=b"%PDF-1.7")
    monkeypatch.setattr("billing.printing.print_invoice", lambda pk: odd)
    answer = alice.get(at(invoice, "invoice_pdf"))
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith("attachment; filename")
    assert not set('\r\n"/') & set(answer["Content-Disposition"].partition("filename")[2].strip('*="'))
    assert answer.content == b"%PDF-1.7"


def test_it_is_paid_with_the_saved_card(alice, invoice, card):
    answer = alice.post(at(invoice, "pay"), {"card": card.pk}, follow=True)
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    assert "was paid with Visa" in answer.text
    assert "Succeeded" not in answer.text


def test_what_no_card_can_pay_is_not_offered_again(alice, nova, invoice, card):
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid=invoice.total - 25)
    assert "Pay with another card" in alice.get(at(invoice)).text
    answer = alice.post(at(invoice, "pay"), follow=True)
    assert "too small to be charged by card" in answer.text
    assert at(invoice, "pay") not in answer.text
    assert "Pay with another card" not in answer.text
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid=0)
    assert at(invoice, "pay") in alice.get(at(invoice)).text


def test_a_decline_is_said_in_words(alice, nova, invoice, fake_stripe):
    cards.save(customer=nova, payment_method="pm_card_chargeCustomerFail", now=nova.now, actor="system")
    answer = alice.post(at(invoice, "pay"), follow=True)
    payment = Payment.objects.get(invoice=invoice)
    assert payment.status == "failed"
    assert payment.message in answer.text.replace("&#x27;", "'")
    invoice.refresh_from_db()
    assert invoice.status == "open"


def test_the_bank_may_ask_first(alice, nova, invoice, fake_stripe):
    cards.save(customer=nova, payment_method="pm_card_authenticationRequired", now=nova.now, actor="system")
    answer = alice.post(at(invoice, "pay"))
    payment = Payment.objects.get(invoice=invoice)
    assert payment.status == "requires_action"
    assert answer.url == payment.action_url
    assert "Your bank asks you to confirm" in alice.get(at(invoice)).text
    fake_stripe.authenticate(payment.provider_id, ok=True)
    assert invoice.payments.get().status == "requires_action"
    done = alice.post(at(invoice, "check"), follow=True)
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    assert "was paid with" in done.text


def test_a_charge_that_the_bank_wants_confirmed_is_confirmed_here(
    alice, nova, invoice, fake_stripe, run_jobs
):
    """Off-session the bank refuses; with the customer present it asks."""
    card = cards.save(
        customer=nova, payment_method="pm_card_authenticationRequired", now=nova.now, actor="system"
    )
    collecting.attempt(invoice=invoice, now=nova.now, actor="system")
    assert Payment.objects.get().decline_code == "authentication_required"
    mail = Mail.objects.get(template="payment_failed")
    assert f"/portal/invoices/{invoice.pk}/" in mail.text
    assert "confirm" in mail.subject
    page = alice.get(at(invoice)).text
    assert "Your bank asks you to confirm" in page
    assert "Confirm and pay" in page
    asked = alice.post(at(invoice, "pay"), {"card": card.pk})
    fake_stripe.authenticate(Payment.objects.get(status="requires_action").provider_id, ok=True)
    assert "/challenge/" in asked.url
    alice.post(at(invoice, "check"))
    invoice.refresh_from_db()
    assert invoice.status == "paid"


def test_another_card_leads_back_to_the_invoice(alice, invoice, card):
    assert f"/portal/payment/card/?invoice={invoice.pk}" in alice.get(at(invoice)).text
    where = {"payment_method": "pm_card_mastercard", "invoice": invoice.pk}
    assert alice.post("/portal/payment/card/", where).url == at(invoice)


def test_nothing_is_paid_without_a_card(alice, invoice):
    answer = alice.post(at(invoice, "pay"), follow=True)
    assert "There is no saved card." in answer.text


def test_paying_twice_charges_once(alice, invoice, card):
    alice.post(at(invoice, "pay"))
    again = alice.post(at(invoice, "pay"), follow=True)
    assert "Nothing is due" in again.text
    assert Payment.objects.filter(invoice=invoice).count() == 1


def test_refunds_and_disputes_are_shown_with_their_payment(alice, nova, invoice, card, fake_stripe):
    payment = collecting.attempt(invoice=invoice, now=nova.now, actor="system")
    refunding.refund(payment=payment, now=nova.now, actor="system", amount=100)
    opened = fake_stripe.dispute(fake_stripe.rows("charge")[-1]["id"])
    disputing.look(provider_id=opened["id"], now=nova.now, actor="provider")
    page = alice.get(at(invoice)).text
    assert "$1.00 · Refund" in page
    assert "Refunded" in page
    assert "Succeeded" not in page
    assert "Disputed with your bank" in page
    assert "Your bank is deciding" in page
    assert "dashboard.stripe.com" not in page
    fake_stripe.close_dispute(opened["id"], won=False)
    disputing.look(provider_id=opened["id"], now=nova.now, actor="provider")
    assert "Your bank has given you this money back." in alice.get(at(invoice)).text


def test_what_is_late_says_so_wherever_it_is_listed(alice, invoice):
    Invoice.objects.filter(pk=invoice.pk).update(status="open", amount_paid=0, attempts=1)
    for page in ("/portal/", "/portal/invoices/", at(invoice)):
        assert "Past due" in alice.get(page).text, page
    html = alice.get(at(invoice)).text
    assert html.index("Pay $") < html.index("What it is for") < html.index("Billed to")


@pytest.fixture
def written_off(nova, invoice):
    """Its day, and a card that failed, lie behind; then it is given up."""
    Invoice.objects.filter(pk=invoice.pk).update(attempts=2)
    invoice.refresh_from_db()
    correcting.mark_uncollectible(invoice=invoice, reason="Gone", now=nova.now, actor="system")
    return invoice


@pytest.mark.parametrize("page", ["/portal/invoices/", "/portal/", None])
def test_what_was_written_off_is_not_called_past_due(alice, written_off, page):
    shown = alice.get(page or at(written_off)).text
    assert "Past due" not in shown
    assert '<span class="badge">Written off</span>' in shown


def test_what_was_written_off_can_still_be_paid(alice, written_off):
    shown = alice.get(at(written_off)).text
    assert "We no longer expect this payment. It can still be paid here." in shown
    assert "due on" not in shown
