"""The page of one invoice, without sign-in: what it shows in every state, and paying there by card."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from billing import cards, collecting, correcting, drafting, dunning, hosted, refunding
from billing.gateway import GatewayMisuse
from billing.models import Dispute, Event, Mail, PaymentMethod, Refund, Seller
from checkout.views import invoices as views

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer(make_customer, clock, catalogue):
    Seller.objects.update(iban="DE02120300000000202051", bic="BYLADEM1001")
    return make_customer(clock, name="Nova Robotics", email="billing@nova.example")


@pytest.fixture
def invoice(buyer, subscribe):
    """By transfer, $107.01, due in 30 days."""
    with_terms = subscribe(
        buyer, collection_method="send_invoice", net_days=30, payment_rule_override="agreed"
    )
    return with_terms.invoices.get()


@pytest.fixture
def by_card(buyer, subscribe, fake_stripe):
    """Not charged yet, with a card that is saved."""
    cards.save(customer=buyer, payment_method="pm_card_visa", now=buyer.now, actor="system")
    return subscribe(buyer).invoices.get()


def page_of(invoice, more=""):
    return f"/invoices/{hosted.token(invoice)}/{more}"


def pay(invoice, card="pm_card_mastercard", client=None):
    return (client or Client()).post(page_of(invoice, "pay/"), {"payment_method": card}, follow=True)


def now_of(invoice):
    invoice.refresh_from_db()
    return invoice.status, invoice.amount_due


# -- Reading --------------------------------------------------------------------------------------------------


def test_it_shows_the_invoice_and_how_to_pay_it(client, invoice):
    answer = client.get(page_of(invoice))
    assert answer.status_code == 200
    for words in (
        invoice.number,
        "Pay $107.01",
        "Pro seat",
        "VAT 23%",
        "DE02 1203 0000 0000 2020 51",
        "Nova Robotics",
    ):
        assert words in answer.text
    assert "due on" in answer.text
    assert answer["X-Robots-Tag"] == "noindex"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"


def test_it_shows_nothing_else_of_the_customer(client, buyer, by_card):
    text = client.get(page_of(by_card)).text
    for words in (buyer.email, "4242", "Visa", buyer.pk, by_card.pk + "/", "/portal/payment"):
        assert words not in text


def test_it_takes_few_statements(client, invoice):
    with CaptureQueriesContext(connection) as made:
        client.get(page_of(invoice))
    assert len(made) <= 5, [each["sql"][:80] for each in made]


def test_the_paper_is_the_one_of_the_portal(client, invoice):
    answer = client.get(page_of(invoice, "invoice.pdf"))
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content == bytes(type(invoice).objects.get(pk=invoice.pk).document.content)
    assert answer["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize("more", ["", "invoice.pdf", "pay/", "check/"])
def test_only_a_signed_address_opens(client, invoice, make_customer, subscribe, more):
    other = subscribe(make_customer()).invoices.get()
    key, _, sign = hosted.token(invoice).partition(".")
    for token in (f"{other.pk}.{sign}", f"{key}.{'x' * 43}", key, sign, f"{key}.{sign}x"):
        assert client.get(f"/invoices/{token}/{more}").status_code == 404
        if more in ("pay/", "check/"):
            assert client.post(f"/invoices/{token}/{more}").status_code == 404


def test_a_draft_has_no_page(client, buyer):
    lines = [drafting.NewLine("Set-up", Decimal(200))]
    draft = drafting.write(customer=buyer, lines=lines, now=buyer.now, actor="system")
    assert client.get(page_of(draft)).status_code == 404


def test_taking_the_key_away_closes_every_link(client, invoice):
    address = page_of(invoice)
    with override_settings(SECRET_KEY="another" * 9, SECRET_KEY_FALLBACKS=[]):
        assert client.get(address).status_code == 404


def test_a_key_that_is_being_replaced_opens_old_links(client, invoice, settings):
    token, old = hosted.token(invoice), settings.SECRET_KEY
    with override_settings(SECRET_KEY="another" * 9, SECRET_KEY_FALLBACKS=[old]):
        assert client.get(f"/invoices/{token}/").status_code == 200
        assert hosted.token(invoice) != token


def test_it_opens_while_it_is_to_be_paid_and_120_days_after(client, invoice, clock, advance, fake_stripe):
    clock.now += timedelta(days=900)
    clock.save()
    assert client.get(page_of(invoice)).status_code == 200
    pay(invoice)
    assert now_of(invoice) == ("paid", 0)
    clock.now = invoice.paid_at + hosted.LASTS - timedelta(seconds=1)
    clock.save()
    assert client.get(page_of(invoice)).status_code == 200
    clock.now += timedelta(seconds=1)
    clock.save()
    for more in ("", "invoice.pdf", "pay/"):
        answer = client.post(page_of(invoice, more)) if more == "pay/" else client.get(page_of(invoice, more))
        assert answer.status_code == 410, more
        assert "This link has expired" in answer.text
        assert "Sign in to see it" in answer.text
        assert invoice.number not in answer.text


# -- In every state -------------------------------------------------------------------------------------------


def transfer(invoice, amount=None):
    now = invoice.customer.now
    collecting.record_transfer(
        invoice=invoice, amount=amount, reference="R", paid_at=now, now=now, actor="system"
    )  # fmt: skip


def void(invoice):
    correcting.void(invoice=invoice, reason="Wrong", now=invoice.customer.now, actor="system")


def give_up(invoice):
    correcting.mark_uncollectible(invoice=invoice, reason="Gone", now=invoice.customer.now, actor="system")


def credit(invoice):
    correcting.credit(invoice=invoice, reason="Sorry", now=invoice.customer.now, actor="system")


STATES = [
    (lambda invoice: transfer(invoice, 50_00), ["Pay $57.01", "$50.00 has arrived already"], True),
    (transfer, ["Settled on"], False),
    (void, ["was taken back on", "Please do not pay it"], False),
    (give_up, ["We no longer expect this payment", "Pay $107.01"], True),
    (credit, ["This invoice was credited with $107.01"], False),
]


@pytest.mark.parametrize(
    ("happens", "told", "payable"), STATES, ids=["part", "paid", "void", "given up", "credited"]
)
def test_it_tells_each_state_plainly(client, invoice, happens, told, payable):
    happens(invoice)
    text = client.get(page_of(invoice)).text
    for words in told:
        assert words in text
    assert ("card-form" in text) is payable


def test_it_tells_that_it_is_late(client, invoice, clock, advance):
    assert "Past due" not in client.get(page_of(invoice)).text
    advance(clock, days=31)
    assert "Past due" in client.get(page_of(invoice)).text


def test_what_was_written_off_is_not_called_past_due(client, invoice, clock, advance):
    advance(clock, days=31)
    give_up(invoice)
    text = client.get(page_of(invoice)).text
    assert "Written off" in text
    assert "Past due" not in text
    assert "due on" not in text


def test_it_tells_of_a_dispute(client, invoice, fake_stripe):
    pay(invoice)
    payment = invoice.payments.get(status="succeeded")
    Dispute.objects.create(
        customer=payment.customer, payment=payment, provider_id="dp_1", amount=payment.amount,
        currency=payment.currency, status="needs_response", reason="fraudulent", opened_at=payment.settled_at,
    )  # fmt: skip
    text = client.get(page_of(invoice)).text
    assert "The payment is disputed" in text
    assert "card-form" not in text


def test_it_names_what_was_credited_with_its_paper(client, invoice, subscribe, make_customer):
    note = correcting.credit(
        invoice=invoice, amount=7_00, reason="Sorry", now=invoice.customer.now, actor="system"
    )  # fmt: skip
    page = client.get(page_of(invoice)).text
    for words in ("Credits and refunds", "$7.00", note.number, "Taken off the invoice", "Pay $100.01"):
        assert words in page
    address = page_of(invoice, f"credit-notes/{note.pk}/credit-note.pdf")
    assert address in page
    answer = client.get(address)
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content == bytes(type(note).objects.get(pk=note.pk).document.content)
    other = subscribe(make_customer()).invoices.get()
    assert client.get(page_of(other, f"credit-notes/{note.pk}/credit-note.pdf")).status_code == 404
    assert client.get(address.replace(note.pk, "cn_" + "0" * 32)).status_code == 404


def test_it_names_what_went_back(client, invoice, fake_stripe):
    assert "Credits and refunds" not in client.get(page_of(invoice)).text
    pay(invoice)
    now = invoice.customer.now
    back = refunding.refund(
        payment=invoice.payments.get(), amount=7_00, reason="Sorry", now=now, actor="system"
    )
    text = client.get(page_of(invoice)).text
    for words in ("Paid back", "$7.00", "Refunded", "Banks take five to ten days"):
        assert words in text
    Refund.objects.filter(pk=back.pk).update(status="failed")
    more = {
        "customer": back.customer,
        "currency": back.currency,
        "credit_note": back.credit_note,
        "key": "another",
    }
    Refund.objects.create(**more, payment=back.payment, amount=1_00)
    text = client.get(page_of(invoice)).text
    assert "Did not arrive" in text
    assert "On its way" in text


# -- Paying ---------------------------------------------------------------------------------------------------


def test_a_stranger_pays_with_a_card_that_is_not_saved(invoice, buyer, fake_stripe, books):
    answer = pay(invoice)
    assert "Thank you. $107.01 was paid." in answer.text
    assert now_of(invoice) == ("paid", 0)
    assert invoice.payments.get().card_label == "Mastercard •••• 4444"
    assert not PaymentMethod.objects.filter(customer=buyer, detached_at=None).exists()
    assert [row["amount"] for row in fake_stripe.rows("charge")] == [107_01]
    [intent] = fake_stripe.rows("payment_intent")
    assert intent["setup_future_usage"] is None


def test_the_saved_card_stays_the_one_that_is_charged(by_card, buyer, fake_stripe, books):
    saved = PaymentMethod.objects.get(customer=buyer)
    pay(by_card)
    assert now_of(by_card) == ("paid", 0)
    assert list(PaymentMethod.objects.filter(customer=buyer, detached_at=None)) == [saved]
    assert PaymentMethod.objects.get(is_default=True) == saved


def test_nobody_pays_with_a_card_that_is_saved(by_card, buyer, fake_stripe):
    saved = PaymentMethod.objects.get(customer=buyer)
    answer = pay(by_card, saved.provider_id)
    assert answer.status_code == 422
    assert "no such payment method" in answer.text
    assert fake_stripe.rows("charge") == []


def test_twice_pressed_is_paid_once(invoice, fake_stripe, books):
    browser = Client()
    pay(invoice, client=browser)
    again = pay(invoice, client=browser)
    assert again.status_code == 409
    assert "Settled on" in again.text
    assert len(fake_stripe.rows("charge")) == 1


def test_while_a_charge_has_no_answer_nobody_pays_again(by_card, fake_stripe, monkeypatch, books):
    """The saved card is being charged at the same moment: the page says so and takes no card."""
    method = PaymentMethod.objects.get(is_default=True)
    collecting._open_attempt(by_card, by_card.customer.now, method, True)
    text = Client().get(page_of(by_card)).text
    assert "A payment is being checked" in text
    assert "card-form" not in text
    answer = pay(by_card)
    assert answer.status_code == 409
    assert fake_stripe.rows("charge") == []
    assert by_card.payments.count() == 1


def test_the_next_charge_waits_for_a_stranger_at_the_bank(by_card, fake_stripe, books):
    answer = Client().post(page_of(by_card, "pay/"), {"payment_method": "pm_card_authenticationRequired"})
    assert answer.status_code == 302
    payment = by_card.payments.get()
    assert (payment.status, answer.url) == ("requires_action", payment.action_url)
    by_card.refresh_from_db()
    collecting.collect_due(now=by_card.customer.now, clock=by_card.customer.test_clock)
    assert by_card.payments.count() == 1


def test_the_bank_page_is_for_who_began(invoice, fake_stripe):
    browser = Client()
    browser.post(page_of(invoice, "pay/"), {"payment_method": "pm_card_authenticationRequired"})
    payment = invoice.payments.get()
    assert payment.action_url in browser.get(page_of(invoice)).text.replace("&amp;", "&")
    other = Client().get(page_of(invoice)).text
    assert payment.action_url not in other.replace("&amp;", "&")
    assert "A payment is being checked" in other


def test_a_refused_card_is_told_and_costs_nothing(invoice, buyer, fake_stripe):
    answer = pay(invoice, "pm_card_chargeDeclined")
    assert "declined" in answer.text
    assert now_of(invoice) == ("open", 107_01)
    assert "Thank you" in pay(invoice).text


def test_a_strangers_refused_card_is_no_step_of_the_customers(by_card, buyer, fake_stripe, books):
    """Nobody is late for it, no mail goes out, and the saved card is charged when it would have been."""
    pay(by_card, "pm_card_chargeDeclined")
    by_card.refresh_from_db()
    assert (by_card.attempts, by_card.next_attempt_at, by_card.status) == (0, buyer.now, "open")
    assert not Mail.objects.filter(template="payment_failed").exists()
    assert by_card.subscription.status == "active"
    assert Event.objects.filter(type="invoice.payment_failed").count() == 1
    collecting.collect_due(now=buyer.now, clock=buyer.test_clock)
    assert now_of(by_card) == ("paid", 0)


def test_a_strangers_refused_card_leaves_the_next_try_where_it_was(
    buyer, subscribe, fake_stripe, clock, advance
):
    cards.save(
        customer=buyer, payment_method="pm_card_chargeCustomerFail", now=buyer.now, actor="system"
    )  # fmt: skip
    invoice = subscribe(buyer).invoices.get()
    collecting.collect_due(now=buyer.now, clock=clock)
    invoice.refresh_from_db()
    assert invoice.attempts == 1
    planned = invoice.next_attempt_at
    assert planned == buyer.now + timedelta(days=dunning.RETRY_DAYS[0])
    pay(invoice, "pm_card_chargeDeclinedExpiredCard")
    invoice.refresh_from_db()
    assert (invoice.attempts, invoice.next_attempt_at) == (1, planned)
    assert not dunning.wants_card(invoice, PaymentMethod.objects.get(is_default=True))


@pytest.mark.parametrize("typed_card", ["", "4242424242424242", "ctoken_1", "pm_", "cus_1", "pm_nobody"])
def test_what_is_no_card_is_refused(invoice, fake_stripe, typed_card):
    answer = pay(invoice, typed_card)
    assert answer.status_code == 422
    assert invoice.payments.count() == 0
    assert 'class="alert alert--bad"' in answer.text


def test_ten_tries_in_ten_minutes(invoice, fake_stripe):
    for _ in range(10):
        pay(invoice, "pm_card_chargeDeclined")
    answer = pay(invoice)
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert now_of(invoice) == ("open", 107_01)


def test_a_charge_that_the_provider_takes_for_a_mistake_is_asked_about(invoice, fake_stripe, monkeypatch):
    def refuse(*_, **__):
        raise GatewayMisuse("No such customer.")

    monkeypatch.setattr(collecting, "call", refuse)
    answer = pay(invoice)
    assert answer.status_code == 200
    assert "A payment is being checked" in answer.text
    assert invoice.payments.get().status == "new"


def test_who_asks_too_often_is_told_to_wait(client, invoice, monkeypatch):
    monkeypatch.setattr(views, "LOOKS_IN_TEN_MINUTES", 1)
    assert client.post(page_of(invoice, "check/")).status_code == 302
    answer = client.post(page_of(invoice, "check/"))
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert (
        invoice.number in answer.text
    )  # on the invoice's page: plans are no way on, and a payment may be on its way
    assert "Nothing was charged" not in answer.text


# -- Where the link stands ------------------------------------------------------------------------------------


def test_mails_lead_there(invoice, clock, advance):
    advance(clock, days=31)
    for template in ("invoice", "invoice_reminder"):
        mail = Mail.objects.filter(template=template, invoice=invoice).first()
        assert hosted.url(invoice) in mail.text
        assert hosted.url(invoice) in mail.html
