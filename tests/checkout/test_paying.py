"""Paying: whatever happens, one customer, one subscription, one paid invoice, one charge."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail as outbox
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import cards, cataloguing, collecting, customers, issuing, reasons, taxes
from billing.models import (
    Customer,
    Discount,
    Event,
    Invoice,
    Mail,
    Member,
    Payment,
    PaymentMethod,
    Plan,
    Posting,
    Price,
    Subscription,
)
from billing.templatetags.tandem import money
from checkout import completing, sessions, tasks
from checkout.models import CheckoutSession
from tests.checkout.stories import one_of_everything, to_the_receipt

pytestmark = pytest.mark.django_db


# -- The straight way ---------------------------------------------------------------------------------------


def test_a_card_pays_and_everything_is_made(session, press, fake_stripe, books):
    to_the_receipt(press(session), session)
    row = one_of_everything(session, 10353, fake_stripe)
    customer = row.customer
    assert (customer.name, customer.email, customer.country) == ("Nova Robotics", "ada@nova.example", "DE")
    assert (customer.employees, customer.timezone, customer.domain) == (12, "Europe/Berlin", "nova.example")
    assert customer.billing_address == {
        "line1": "Hauptstr. 1", "city": "Bonn", "postal_code": "53111", "country": "DE",
    }  # fmt: skip
    assert row.subscription.origin == "checkout"
    assert (row.subscription.status, row.subscription.motion) == ("active", "self_serve")
    member = Member.objects.get()
    assert (member.role, member.user.name, member.user.email) == ("owner", "Ada Lovelace", "ada@nova.example")
    card = PaymentMethod.objects.get()
    assert (card.brand, card.last4, card.is_default) == ("visa", "4242", True)
    assert customer.provider_id.startswith("cus_")


def test_the_taxes_of_a_province_are_paid_as_they_were_shown(session, press, fake_stripe, books):
    cataloguing.create_tax_rate(
        now=timezone.now(), name="Quebec", country="CA", state="QC",
        taxes=[{"name": "GST", "percentage": Decimal(5)}, {"name": "QST", "percentage": Decimal("9.975")}],
    )  # fmt: skip
    place = {"country": "CA", "state": "Québec", "city": "Montréal", "postal_code": "H2Y 1C6"}
    to_the_receipt(press(session, **place, expected="10003"), session)
    one_of_everything(session, 100_03, fake_stripe)
    found = taxes.by_name(Invoice.objects.get().lines.all())
    assert [(tax.name, tax.amount) for tax in found] == [("GST", 4_35), ("QST", 8_68)]


def test_it_tells_what_happened_in_events(session, press, fake_stripe):
    press(session)
    kinds = list(Event.objects.values_list("type", flat=True))
    for kind in (
        "customer.created",
        "member.added",
        "payment_method.attached",
        "subscription.created",
        "subscription.activated",
        "invoice.finalized",
        "checkout.completed",
        "payment.succeeded",
        "invoice.paid",
    ):
        assert kinds.count(kind) == 1, kind
    customer = Customer.objects.get()
    assert set(Event.objects.values_list("customer", flat=True)) == {customer.pk}
    told = Event.objects.get(type="checkout.completed").data
    assert (told["plan"], told["quantity"], told["total"]) == ("pro", 3, 10353)


def test_the_receipt_comes_by_mail_with_the_paper(session, press, fake_stripe, run_jobs):
    press(session)
    mail = Mail.objects.get(template="receipt")
    invoice = Invoice.objects.get()
    assert (mail.recipient, mail.subject) == ("ada@nova.example", f"Receipt for {invoice.number}: $103.53")
    assert (mail.text, mail.html) == ("", "")  # nobody waits for it to be written
    run_jobs()
    sent = next(sent for sent in outbox.outbox if sent.to == ["ada@nova.example"])
    invoice.refresh_from_db()
    assert [paper.filename for paper in sent.attachments] == [f"{invoice.number}.pdf"]
    assert sent.subject == mail.subject
    assert "Total paid: $103.53" in sent.body
    assert "Paid with: Visa ending 4242" in sent.body
    assert f"Paid on: {mail.created_at:%-d %B %Y}" in sent.body
    assert "The next charge of $103.53 is on" in sent.body
    taxes = [f"{tax.label}: {money(tax.amount, 'USD')}" for tax in reasons.taxes(invoice.lines.all())]
    assert taxes == ["VAT 19%: $16.53"]
    assert taxes[0] in sent.body
    assert "VAT 19%</bdi>" in sent.alternatives[0].content
    assert "Tax:" not in sent.body
    assert bytes(invoice.document.content).startswith(b"%PDF-")


def test_the_receipt_page_says_what_was_paid_and_what_comes(session, press, client, fake_stripe):
    press(session)
    answer = client.get(f"/checkout/{session.token}/receipt/")
    html = answer.content.decode()
    assert "We received $103.53" in html
    assert "The next charge of $103.53 is on" in html
    assert Invoice.objects.get().number in html
    assert "no-store" in answer["Cache-Control"]


def test_the_paper_is_there_for_the_buyer(session, press, client, fake_stripe):
    press(session)
    answers = [client.get(f"/checkout/{session.token}/invoice.pdf") for _ in range(2)]
    assert answers[0]["Content-Type"] == "application/pdf"
    assert answers[0].content == answers[1].content


def test_there_is_no_receipt_before_there_is_a_payment(session, client):
    assert client.get(f"/checkout/{session.token}/receipt/")["Location"] == f"/checkout/{session.token}/"
    assert client.get(f"/checkout/{session.token}/invoice.pdf").status_code == 404


def test_it_leads_on_to_the_sellers_own_page(make_session, press, fake_stripe, settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.lumen.example"]
    session = make_session(success_url="https://app.lumen.example/?s={CHECKOUT_SESSION_ID}")
    assert press(session)["Location"] == f"https://app.lumen.example/?s={session.pk}"


def test_a_discount_is_billed_as_it_was_shown(session, press, fake_stripe, books):
    launch = Discount.objects.create(
        code="LAUNCH20", percent_off=Decimal(20), duration="once", max_redemptions=1
    )
    press(session, promotion_code="launch20")
    one_of_everything(session, 8282, fake_stripe)
    launch.refresh_from_db()
    assert launch.redemptions == 1
    phases = Subscription.objects.get().phases.order_by("start_on")
    assert [phase.discount for phase in phases] == [launch, None]


# -- Declined -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("pm_card_chargeDeclined", "The card was declined."),
        ("pm_card_chargeDeclinedInsufficientFunds", "does not have enough funds"),
        ("pm_card_chargeDeclinedExpiredCard", "has expired"),
        ("pm_card_visa_chargeDeclinedStolenCard", "The card was declined."),
        ("pm_doesnotexist", ""),
    ],
)
def test_a_decline_is_told_and_another_card_works(session, press, client, fake_stripe, books, card, words):
    assert press(session, card=card)["Location"] == f"/checkout/{session.token}/"
    html = client.get(f"/checkout/{session.token}/").content.decode()
    assert "Your card was not charged" in html
    assert words in html
    assert 'value="Nova Robotics"' in html
    assert "stolen" not in html.lower()
    assert not Customer.objects.exists()
    to_the_receipt(press(session), session)
    row = one_of_everything(session, 10353, fake_stripe)
    assert row.message == ""


def test_a_declined_buyer_gives_the_redemption_back(make_session, press, fake_stripe):
    launch = Discount.objects.create(code="ONCE", percent_off=Decimal(20), duration="once", max_redemptions=1)
    session = make_session()
    press(session, promotion_code="ONCE", card="pm_card_chargeDeclined")
    launch.refresh_from_db()
    assert launch.redemptions == 0
    to_the_receipt(press(session, promotion_code="ONCE"), session)
    launch.refresh_from_db()
    assert launch.redemptions == 1


def test_another_buyer_has_used_up_the_code(make_session, press, fake_stripe):
    Discount.objects.create(code="ONCE", percent_off=Decimal(20), duration="once", max_redemptions=1)
    one, two = make_session(), make_session()
    for row in (one, two):
        press(row, action="update", promotion_code="ONCE")
    press(one, promotion_code="ONCE")
    answer = press(two, promotion_code="ONCE", email="bob@orion.example")
    assert answer.status_code == 422
    assert "used up" in answer.content.decode()
    assert Customer.objects.count() == 1


def test_what_was_shown_is_what_is_charged(session, press, fake_stripe):
    answer = press(session, expected="8700")
    assert answer.status_code == 422
    assert "The price has changed" in answer.content.decode()
    assert fake_stripe.rows("payment_intent") == []
    to_the_receipt(press(session, expected="10353"), session)


# -- Again, and at once -------------------------------------------------------------------------------------


def test_a_second_press_finds_it_done(session, press, fake_stripe, books):
    press(session)
    to_the_receipt(press(session), session)
    to_the_receipt(press(session, email="other@else.example", quantity="9"), session)
    one_of_everything(session, 10353, fake_stripe)


def test_the_back_button_leads_to_the_receipt(session, press, client, fake_stripe):
    press(session)
    to_the_receipt(client.get(f"/checkout/{session.token}/"), session)


def test_a_press_while_the_first_is_being_decided_charges_nothing(session, press, client, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    assert press(session)["Location"] == f"/checkout/{session.token}/"
    again = press(session, quantity="9", card="pm_card_mastercard")
    assert "We are checking with your bank" in again.content.decode()
    client.post(f"/checkout/{session.token}/check/")
    one_of_everything(session, 10353, fake_stripe)


# -- Not known ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lose_answer", "time_out", "half_answer", "error_500_after"])
def test_a_lost_answer_is_asked_about_and_never_guessed(session, press, client, fake_stripe, books, fault):
    fake_stripe.faults.add(fault, path="/v1/payment_intents", times=1)
    assert press(session)["Location"] == f"/checkout/{session.token}/"
    html = client.get(f"/checkout/{session.token}/").content.decode()
    assert "We are checking with your bank" in html
    assert not Customer.objects.exists()
    told = client.post(f"/checkout/{session.token}/check/", headers={"HX-Request": "true"})
    assert told["HX-Redirect"] == f"/checkout/{session.token}/receipt/"
    one_of_everything(session, 10353, fake_stripe)


@pytest.mark.parametrize("fault", ["refused", "black_hole", "unavailable", "rate_limited"])
def test_a_call_that_never_arrived_charges_nothing(session, press, client, fake_stripe, books, fault):
    fake_stripe.faults.add(fault, path="/v1/payment_intents", times=1)
    press(session)
    assert client.post(f"/checkout/{session.token}/check/", headers={"HX-Request": "true"}).status_code == 204
    later = timezone.now() + timedelta(minutes=11)
    collecting.reconcile(now=later)
    html = client.get(f"/checkout/{session.token}/").content.decode()
    assert "Your card was not charged" in html
    to_the_receipt(press(session), session)
    one_of_everything(session, 10353, fake_stripe)


def test_the_reconciler_completes_what_nobody_waited_for(session, press, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    assert collecting.reconcile(now=timezone.now() + timedelta(minutes=2)) == 1
    one_of_everything(session, 10353, fake_stripe)


def test_the_webhook_completes_it_before_the_browser_knows(
    session, press, fake_stripe, stripe_door, run_jobs, client, books
):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    stripe_door.deliver(duplicate=3, shuffle=1)
    run_jobs()
    one_of_everything(session, 10353, fake_stripe)
    to_the_receipt(client.post(f"/checkout/{session.token}/check/"), session)
    one_of_everything(session, 10353, fake_stripe)


def test_a_crash_between_intent_and_call_loses_nothing(
    session, press, client, fake_stripe, monkeypatch, books
):
    class Killed(BaseException):
        pass

    def dies(*_):
        assert Payment.objects.get().status == "new"
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(completing, "_call", dies)
        with pytest.raises(Killed):
            press(session)
    assert fake_stripe.rows("charge") == []
    assert "We are checking" in client.get(f"/checkout/{session.token}/").content.decode()
    collecting.reconcile(now=timezone.now() + timedelta(minutes=11))
    to_the_receipt(press(session), session)
    one_of_everything(session, 10353, fake_stripe)


def test_a_crash_after_the_call_is_made_good(session, press, fake_stripe, monkeypatch, books):
    class Killed(BaseException):
        pass

    def dies(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(completing.collecting, "apply", dies)
        with pytest.raises(Killed):
            press(session)
    assert len(fake_stripe.rows("charge")) == 1
    collecting.reconcile(now=timezone.now() + timedelta(minutes=2))
    one_of_everything(session, 10353, fake_stripe)


def test_a_completion_that_breaks_leaves_nothing_half_made(session, press, fake_stripe, monkeypatch, books):
    def breaks(_letter):
        raise RuntimeError("no room")

    client = Client(raise_request_exception=False)
    with monkeypatch.context() as patch:
        patch.setattr(completing.mail, "send_soon", breaks)
        assert press(session, client=client).status_code == 500
    assert not Customer.objects.exists()
    assert not Invoice.objects.exists()
    collecting.reconcile(now=timezone.now() + timedelta(minutes=2))
    one_of_everything(session, 10353, fake_stripe)


def test_nothing_is_sent_while_stripe_cannot_be_reached(session, press, client, fake_stripe, books):
    fake_stripe.faults.add("refused", path="/v1/customers", times=1)
    press(session)
    assert "Nothing was charged" in client.get(f"/checkout/{session.token}/").content.decode()
    assert not Payment.objects.exists()
    to_the_receipt(press(session), session)


def test_money_that_arrives_late_still_completes(session, press, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    CheckoutSession.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    tasks.expire_sessions()
    collecting.reconcile(now=timezone.now() + timedelta(minutes=2))
    one_of_everything(session, 10353, fake_stripe)


def test_a_new_price_does_not_change_what_was_agreed(session, press, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    old = Price.objects.get(plan__code="pro", code="seats-month")
    Price.objects.filter(pk=old.pk).update(active=False)
    Price.objects.create(
        plan=old.plan, code=old.code, kind="recurring", model="per_unit", interval="month", currency="USD",
        unit_amount=Decimal(99), label=old.label,
    )  # fmt: skip
    collecting.reconcile(now=timezone.now() + timedelta(minutes=2))
    one_of_everything(session, 10353, fake_stripe)


# -- The bank asks ------------------------------------------------------------------------------------------


@pytest.fixture
def asked(session, press, fake_stripe):
    """A session whose bank wants the buyer to confirm, and the address of the bank."""
    answer = press(session, card="pm_card_authenticationRequired")
    assert "/challenge/" in answer["Location"]
    return session


def confirm(fake_stripe, *, ok):
    intent = fake_stripe.rows("payment_intent")[0]
    fake_stripe.authenticate(intent["id"], ok=ok)


def test_the_bank_says_yes(asked, client, fake_stripe, books):
    confirm(fake_stripe, ok=True)
    back = client.get(f"/checkout/{asked.token}/return/?payment_intent=x&redirect_status=succeeded")
    assert "We are checking with your bank" in back.content.decode()
    assert not Customer.objects.exists()
    to_the_receipt(client.post(f"/checkout/{asked.token}/check/"), asked)
    one_of_everything(asked, 10353, fake_stripe)
    to_the_receipt(client.get(f"/checkout/{asked.token}/return/"), asked)


def test_the_bank_says_no_and_another_card_works(asked, client, press, fake_stripe, books):
    confirm(fake_stripe, ok=False)
    assert client.post(f"/checkout/{asked.token}/check/")["Location"] == f"/checkout/{asked.token}/"
    assert "could not confirm that it is you" in client.get(f"/checkout/{asked.token}/").content.decode()
    to_the_receipt(press(asked), asked)
    one_of_everything(asked, 10353, fake_stripe)


def test_the_buyer_comes_back_without_an_answer(asked, client, fake_stripe):
    html = client.get(f"/checkout/{asked.token}/").content.decode()
    assert "Your bank asks you to confirm" in html
    assert "/challenge/" in html


def test_the_buyer_takes_another_card_instead(asked, client, press, fake_stripe, books):
    client.post(f"/checkout/{asked.token}/another-card/")
    to_the_receipt(press(asked), asked)
    one_of_everything(asked, 10353, fake_stripe)


def test_taking_another_card_after_the_bank_said_yes_keeps_the_first(asked, client, fake_stripe, books):
    confirm(fake_stripe, ok=True)
    client.post(f"/checkout/{asked.token}/another-card/")
    one_of_everything(asked, 10353, fake_stripe)


def test_the_webhook_knows_before_the_buyer_is_back(asked, client, fake_stripe, stripe_door, run_jobs, books):
    confirm(fake_stripe, ok=True)
    stripe_door.deliver()
    run_jobs()
    one_of_everything(asked, 10353, fake_stripe)


# -- Nothing due --------------------------------------------------------------------------------------------


def a_saved_card_and_nothing_paid(session):
    row = CheckoutSession.objects.get(pk=session.pk)
    assert row.status == "completed"
    assert not Payment.objects.exists()
    assert PaymentMethod.objects.get().customer == row.customer == Customer.objects.get()
    return row


def test_a_trial_saves_the_card_and_charges_nothing(make_session, press, client, fake_stripe, books):
    session = make_session(trial_days=14)
    html = client.get(f"/checkout/{session.token}/").content.decode()
    lines, _, due = html.partition("Due today")
    assert "$87.00" in lines
    assert "Free until" in lines
    assert "-$87.00" in lines.replace("\u2212", "-")
    assert "$0.00" in due
    assert "Save the card and start" in html
    to_the_receipt(press(session), session)
    row = a_saved_card_and_nothing_paid(session)
    assert row.subscription.status == "trialing"
    assert fake_stripe.rows("charge") == []
    assert "Nothing was charged today" in client.get(f"/checkout/{session.token}/receipt/").content.decode()


def test_a_discount_of_everything_saves_the_card(session, press, fake_stripe, books):
    Discount.objects.create(code="FREE", percent_off=Decimal(100), duration="once")
    to_the_receipt(press(session, promotion_code="FREE"), session)
    row = a_saved_card_and_nothing_paid(session)
    assert (row.invoice.status, row.invoice.total) == ("paid", 0)


def test_a_card_that_cannot_be_saved_is_told(make_session, press, client, fake_stripe, books):
    session = make_session(trial_days=14)
    press(session, card="pm_card_chargeDeclined")
    page = client.get(f"/checkout/{session.token}/")
    assert "declined" in page.text
    assert page.context["form"]["terms"].value() is True  # who agreed once need not tick again
    to_the_receipt(press(session), session)
    a_saved_card_and_nothing_paid(session)


@pytest.mark.parametrize("ok", [True, False])
def test_the_bank_is_asked_before_a_card_is_saved(make_session, press, client, fake_stripe, books, ok):
    session = make_session(trial_days=14)
    assert "/challenge/" in press(session, card="pm_card_authenticationRequiredOnSetup")["Location"]
    assert "Your bank asks you to confirm" in client.get(f"/checkout/{session.token}/").content.decode()
    fake_stripe.authenticate(fake_stripe.rows("setup_intent")[0]["id"], ok=ok)
    client.post(f"/checkout/{session.token}/check/")
    if not ok:
        to_the_receipt(press(session), session)
    a_saved_card_and_nothing_paid(session)


def test_a_lost_answer_while_saving_is_asked_again(make_session, press, fake_stripe, books):
    session = make_session(trial_days=14)
    fake_stripe.faults.add("lose_answer", path="/v1/setup_intents", times=1)
    press(session)
    assert not Customer.objects.exists()
    assert tasks.reconcile_checkouts() == 1
    assert tasks.reconcile_checkouts() == 0
    a_saved_card_and_nothing_paid(session)


# -- A customer that exists ---------------------------------------------------------------------------------


def test_a_known_customer_gets_a_subscription_and_no_twin(
    make_session, make_customer, press, fake_stripe, books
):
    customer = make_customer(country="IE")
    session = make_session(customer=customer)
    press(session, name=None, email=None, company=None, country="IE", postal_code="D02 X285", city="Dublin")
    row = one_of_everything(session, 10701, fake_stripe)
    customer.refresh_from_db()
    assert row.customer == customer
    assert (customer.billing_address["city"], customer.employees) == ("Dublin", 12)
    assert customer.name.startswith("Customer")


def test_credit_that_comes_while_it_is_paid_is_not_lost(make_session, make_customer, press, fake_stripe):
    customer = make_customer(country="IE")
    session = make_session(customer=customer)
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session, name=None, email=None, company=None, country="IE", postal_code="D02 X285", city="Dublin")
    issuing.add_balance(customer, 2000, "USD", reason="Goodwill", now=timezone.now())
    completing.look(session=completing.fresh(session), now=timezone.now())
    invoice, customer = Invoice.objects.get(), completing.fresh(session).customer
    assert (invoice.status, invoice.amount_paid, invoice.amount_due) == ("paid", 10701, 0)
    assert dict(invoice.payments.values_list("method", "amount")) == {"balance": 2000, "card": 10701}
    assert customer.balance == 2000
    posted = Posting.objects.filter(payment__method="card").values_list("account", "amount")
    assert dict(posted) == {"cash": 10701, "receivable": -8701, "customer_balance": -2000}
    assert Event.objects.filter(type__in=("invoice.paid", "payment.succeeded")).count() == 2


def test_it_charges_nobody_in_a_currency_that_they_have_left(make_session, make_customer, press, fake_stripe):
    customer = make_customer(country="IE")
    session = make_session(customer=customer)
    customers.update(customer=customer, currency="EUR", now=timezone.now(), actor="key:1")
    press(session)
    assert fake_stripe.rows("payment_intent") == []
    assert not Subscription.objects.exists()


def test_a_known_customer_pays_in_one_session_only(make_session, make_customer, press, fake_stripe):
    customer = make_customer(country="IE")
    one, two = make_session(customer=customer), make_session(customer=customer)
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(one)
    press(two)
    assert len(fake_stripe.rows("payment_intent")) == 1
    completing.look(session=completing.fresh(one), now=timezone.now())
    assert press(two).status_code == 422
    assert Subscription.objects.count() == 1


def test_a_sandbox_customer_buys_at_its_own_time(
    make_session, make_customer, clock, press, fake_stripe, books
):
    customer = make_customer(clock, country="IE")
    session = make_session(customer=customer, now=clock.now)
    press(session, name=None, email=None, company=None, country="IE", postal_code="D02 X285", city="Dublin")
    row = one_of_everything(session, 10701, fake_stripe)
    assert row.subscription.started_at == row.invoice.issued_at == clock.now


# -- How much it asks ---------------------------------------------------------------------------------------


AROUND = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
WRITES = ("INSERT", "UPDATE", "DELETE", "insert", "update", "with", "COPY")


def confirmation(press, session, **typed):
    """What the press of the button sends to the database."""
    press(session, action="update", **typed)
    with CaptureQueriesContext(connection) as queries:
        assert press(session, **typed).status_code == 302
    assert CheckoutSession.objects.get(pk=session.pk).status == "completed"
    return [query["sql"].strip() for query in queries]


@pytest.mark.django_db(transaction=True)
def test_the_confirmation_takes_twelve_statements_and_two_commits(make_session, press, fake_stripe):
    """One commit before the call and one after it, and nothing written outside of them; however much was sold before."""
    for n in range(4):
        sql = confirmation(press, make_session(), email=f"buyer{n}@nova.example")
        assert sql.count("COMMIT") == 2
        assert len([each for each in sql if not each.startswith(AROUND)]) <= 12
        depth, outside = 0, []
        for each in sql:
            depth += (each == "BEGIN") - (each == "COMMIT")
            if not depth and each.startswith(WRITES):
                outside.append(each)
        assert outside == []


@pytest.mark.django_db(transaction=True)
def test_a_code_and_a_known_customer_take_a_few_statements_more(
    make_session, make_customer, press, fake_stripe
):
    """The redemption is counted; who is known is asked for what it has, and its card, details and revenue are changed.
    The ceilings may only come down."""
    Discount.objects.create(code="TEN", percent_off=Decimal(10), duration="once")
    fields = {"name": None, "email": None, "company": None, "country": "IE", "postal_code": "D02 X285"}
    for n in range(2):
        coded = confirmation(press, make_session(), email=f"buyer{n}@nova.example", promotion_code="TEN")
        assert len([each for each in coded if not each.startswith(AROUND)]) <= 13
        customer = make_customer(country="IE")
        known = confirmation(press, make_session(customer=customer), city="Dublin", **fields)
        assert len([each for each in known if not each.startswith(AROUND)]) <= 14
        Subscription.objects.filter(customer=customer).update(status="canceled")
        saved = {"card": "", "saved_card": PaymentMethod.objects.get(customer=customer).pk}
        again = confirmation(press, make_session(customer=customer), city="Dublin", **saved, **fields)
        assert len([each for each in again if not each.startswith(AROUND)]) <= 14


def test_nothing_of_the_card_is_kept(session, press, fake_stripe):
    press(session)
    row = CheckoutSession.objects.get()
    assert row.card_token == ""
    assert "4242424242424242" not in str(row.__dict__)
    assert timedelta(hours=24) == sessions.LIFE


def test_a_list_of_cards_is_no_buyer(session, press, fake_stripe):
    for _ in range(completing.MOST_ATTEMPTS):
        press(session, card="pm_card_chargeDeclined")
    answer = press(session)
    assert answer.status_code == 422
    assert "tried too often" in answer.content.decode()
    assert not Customer.objects.exists()


# -- A trial without a card -----------------------------------------------------------------------------------


@pytest.fixture
def free_trial(make_session):
    return make_session(trial_days=14, needs_card=False)


def test_a_trial_may_begin_without_a_card(run_jobs, free_trial, press, client, fake_stripe, books):
    html = client.get(f"/checkout/{free_trial.token}/").content.decode()
    assert "Start the free trial" in html
    assert "card-element" not in html
    to_the_receipt(press(free_trial, card=""), free_trial)
    row = CheckoutSession.objects.get()
    assert (row.status, row.subscription.status, row.invoice) == ("completed", "trialing", None)
    assert not Payment.objects.exists()
    assert not PaymentMethod.objects.exists()
    assert fake_stripe.rows("setup_intent") == []
    receipt = client.get(f"/checkout/{free_trial.token}/receipt/").text
    assert "Your trial has begun" in receipt
    assert "only if you add a card" in receipt
    assert "The next charge" not in receipt
    run_jobs()
    assert "only if you add a card" in Mail.objects.get(template="trial_started").text


def test_who_has_a_card_agrees_that_it_is_charged_when_the_trial_ends(
    make_session, make_customer, press, client, fake_stripe
):
    customer = make_customer(country="IE")
    card = cards.save(customer=customer, payment_method="pm_card_visa", now=timezone.now(), actor="user:1")
    session = make_session(customer=customer, trial_days=14, needs_card=False)
    html = client.get(f"/checkout/{session.token}/").text
    assert ("No card needed" in html, "charges this card from" in html) == (False, True)
    where = {"name": None, "email": None, "company": None, "country": "IE", "city": "Dublin"}
    assert press(session, card="", saved_card="another", **where).status_code == 422
    to_the_receipt(press(session, card="", saved_card=card.pk, **where), session)
    assert "The next charge of" in client.get(f"/checkout/{session.token}/receipt/").text


def test_a_card_is_asked_for_as_soon_as_something_is_due(make_session, press, fake_stripe):
    session = make_session(needs_card=False)
    assert press(session, card="").status_code == 422
    assert not Customer.objects.exists()


def test_a_plan_says_whether_its_trial_needs_a_card(make_session):
    assert make_session().needs_card
    Plan.objects.filter(code="pro").update(trial_needs_card=False)
    assert not make_session().needs_card


def test_a_trial_without_a_card_promises_no_charge(free_trial, client):
    html = client.get(f"/checkout/{free_trial.token}/").content.decode()
    assert "If you add a card by then, it goes on from" in html


def dies(*_):
    raise SystemExit


def test_a_trial_that_a_dead_worker_left_is_finished(free_trial, press, fake_stripe, books, monkeypatch):
    monkeypatch.setattr(completing, "_call_setup", dies)
    with pytest.raises(SystemExit):
        press(free_trial, card="")
    monkeypatch.undo()
    assert tasks.reconcile_checkouts() == 1
    assert CheckoutSession.objects.get().status == "completed"
