"""When money does not come: retries, requests for a card, reminders, and the end that the seller has set."""

from datetime import date, timedelta

import pytest

from billing import cards, collecting, noticing, refunding, running
from billing.gateway import Gateway, GatewayMisuse
from billing.models import Event, Mail, Payment, Seller

pytestmark = pytest.mark.django_db


@pytest.fixture
def payer(fake_stripe, clock, make_customer, subscribe):
    """A subscription of 87.00 a month whose renewals are charged to the card."""

    def make(card):
        customer = make_customer(clock, tax_exempt=True)
        if card:
            cards.save(customer=customer, payment_method=card, now=clock.now, actor="api")
        return subscribe(customer)

    return make


@pytest.fixture
def on_account(clock, make_customer, subscribe):
    return subscribe(
        make_customer(clock, tax_exempt=True, net_days=15), collection_method="send_invoice",
        payment_rule_override="agreed",
    )  # fmt: skip


def days(type, subject):
    return [
        e.at.date().isoformat()[5:]
        for e in Event.objects.filter(type=type, object_id=subject).order_by("number")
    ]


def mails(template):
    return list(
        Mail.objects.filter(template=template)
        .order_by("created_at")
        .values_list("created_at__date", flat=True)
    )


DECLINED, EXPIRED = "pm_card_chargeCustomerFail", "pm_card_chargeCustomerFail"
AFTER = ["01-15", "01-16", "01-18", "01-22", "01-29"]


def test_a_declined_card_is_tried_on_its_days_and_then_given_up(payer, clock, advance, books):
    sub = payer(DECLINED)
    invoice = sub.invoices.get()
    advance(clock, days=20)
    assert days("invoice.payment_failed", invoice.pk) == AFTER
    assert invoice.payments.count() == 5
    invoice.refresh_from_db()
    sub.refresh_from_db()
    assert (invoice.status, invoice.next_attempt_at, sub.status) == ("uncollectible", None, "past_due")
    assert len(mails("payment_failed")) == 5


def test_another_card_is_charged_at_once_and_the_steps_stop(payer, clock, advance, books):
    sub = payer(DECLINED)
    invoice = sub.invoices.get()
    advance(clock, days=2)
    sub.refresh_from_db()
    assert sub.status == "past_due"
    cards.save(customer=sub.customer, payment_method="pm_card_visa", now=clock.now, actor="api")
    advance(clock, minutes=1)
    invoice.refresh_from_db()
    sub.refresh_from_db()
    assert (invoice.status, sub.status) == ("paid", "active")
    advance(clock, days=20)
    assert len(mails("payment_failed")) == 2


def test_somebody_who_tries_card_after_card_uses_no_step_up(payer, clock, advance, books):
    Seller.objects.update(unpaid_end="cancel")
    sub = payer(DECLINED)
    invoice = sub.invoices.get()
    for _ in range(6):
        collecting.attempt(invoice=invoice, now=clock.now, actor="member:1", off_session=False)
    invoice.refresh_from_db()
    sub.refresh_from_db()
    assert (sub.status, invoice.next_attempt_at) == ("past_due", clock.now + timedelta(days=1))
    advance(clock, days=20)
    assert days("invoice.payment_failed", invoice.pk)[6:] == AFTER[1:]
    sub.refresh_from_db()
    assert sub.status == "canceled"


CHALLENGED = "pm_card_threeDSecure2Required"


def left_open(invoice, clock, card=None):
    """Somebody pays in the portal, or (with a card) by the invoice's link, and stays at the bank's page."""
    typed = cards.for_once(customer=invoice.customer, payment_method=card, now=clock.now) if card else None
    waiting = collecting.attempt(
        invoice=invoice, now=clock.now, actor="member:1", payment_method=typed, off_session=False,
        return_url="https://shop.example/",
    )  # fmt: skip
    assert waiting.status == "requires_action"
    return waiting


def test_a_payment_that_nobody_confirms_is_given_up_after_an_hour(payer, clock, advance, books, fake_stripe):
    """It is no refused card: the customer's own steps begin then."""
    sub = payer(CHALLENGED)
    invoice = sub.invoices.get()
    waiting = left_open(invoice, clock)
    advance(clock, minutes=59)
    waiting.refresh_from_db()
    assert waiting.status == "requires_action"
    advance(clock, minutes=1)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.decline_code) == ("failed", "canceled")
    advance(clock, days=20)
    assert days("invoice.payment_failed", invoice.pk) == ["01-15", *AFTER]
    assert len(mails("payment_failed")) == 5
    invoice.refresh_from_db()
    assert invoice.status == "uncollectible"
    assert not [row for row in fake_stripe.rows("charge") if row["paid"]]


def test_what_a_link_left_open_holds_up_for_an_hour_is_charged_then(
    payer, clock, advance, books, fake_stripe
):
    sub = payer(DECLINED)
    invoice = sub.invoices.get()
    advance(clock, hours=23, minutes=50)
    step = clock.now + timedelta(minutes=10)
    invoice.refresh_from_db()
    assert invoice.next_attempt_at == step
    left_open(invoice, clock, CHALLENGED)
    advance(clock, minutes=20)
    assert days("invoice.payment_failed", invoice.pk) == ["01-15"]
    advance(clock, minutes=40)
    assert days("invoice.payment_failed", invoice.pk) == ["01-15", "01-16", "01-16"]
    invoice.refresh_from_db()
    assert (invoice.attempts, invoice.next_attempt_at) == (2, step + timedelta(days=2))


def test_who_opens_one_payment_after_another_holds_nothing_up(payer, clock, books, fake_stripe):
    sub = payer("pm_card_visa")
    invoice = sub.invoices.get()
    left_open(invoice, clock, CHALLENGED)
    clock.now += timedelta(hours=1)
    clock.save()
    assert collecting.give_up_unconfirmed(now=clock.now, clock=clock) == 1
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    assert [row["amount"] for row in fake_stripe.rows("charge") if row["paid"]] == [invoice.total]


def test_whose_card_was_charged_is_asked_for_a_day(payer, clock, books, fake_stripe):
    sub = payer(CHALLENGED)
    waiting = left_open(sub.invoices.get(), clock)
    Payment.objects.filter(pk=waiting.pk).update(off_session=True)
    day = clock.now + timedelta(days=1)
    assert collecting.give_up_unconfirmed(now=day - timedelta(seconds=1), clock=clock) == 0
    assert collecting.give_up_unconfirmed(now=day, clock=clock) == 1


def test_what_was_confirmed_meanwhile_is_not_given_up(payer, clock, advance, books, fake_stripe, monkeypatch):
    sub = payer("pm_card_visa")
    invoice = sub.invoices.get()
    payment = collecting._open_attempt(invoice, clock.now, None, False)
    done = collecting.call(payment)
    Payment.objects.filter(pk=payment.pk).update(status="requires_action", provider_id=done.intent_id)
    later = payment.recorded_at + timedelta(hours=25)
    assert collecting.give_up_unconfirmed(now=later) == 0
    assert collecting.give_up_unconfirmed(now=clock.now + timedelta(hours=1), clock=clock) == 1
    invoice.refresh_from_db()
    assert invoice.status == "paid"


def test_a_card_that_cannot_work_is_not_tried_again(payer, clock, advance, books):
    sub = payer(DECLINED)
    advance(clock, minutes=1)
    invoice = sub.invoices.get()
    invoice.payments.update(decline_code="expired_card")
    advance(clock, days=20)
    assert invoice.payments.count() == 1
    assert days("invoice.payment_failed", invoice.pk) == AFTER
    invoice.refresh_from_db()
    assert invoice.status == "uncollectible"


def test_without_any_card_it_asks_and_gives_nothing_up(payer, clock, advance, books):
    sub = payer(None)
    invoice = sub.invoices.get()
    advance(clock, days=20)
    assert days("invoice.payment_failed", invoice.pk) == AFTER
    invoice.refresh_from_db()
    sub.refresh_from_db()
    assert (invoice.status, invoice.payments.count(), sub.status) == ("open", 0, "active")


@pytest.mark.parametrize(
    ("end", "status", "paper"), [("cancel", "canceled", "open"), ("pause", "paused", "open")]
)
def test_the_end_is_what_the_seller_has_set(payer, clock, advance, books, end, status, paper):
    Seller.objects.update(unpaid_end=end)
    sub = payer(DECLINED)
    advance(clock, days=20)
    sub.refresh_from_db()
    assert (sub.status, sub.invoices.get().status) == (status, paper)


def test_an_invoice_is_reminded_of_on_its_days(on_account, clock, advance, books):
    invoice = on_account.invoices.get()
    assert invoice.due_on == date(2026, 1, 30)
    advance(clock, days=31)
    assert mails("invoice_reminder")[:3] == [date(2026, 1, 27), date(2026, 1, 30), date(2026, 2, 6)]
    on_account.refresh_from_db()
    assert (on_account.status, days("invoice.overdue", invoice.pk)) == ("past_due", ["01-31"])
    advance(clock, days=10)
    assert [m for m in mails("invoice_reminder") if m == date(2026, 2, 13)]
    invoice.refresh_from_db()
    assert (invoice.status, invoice.reminders) == ("uncollectible", 4)
    assert days("invoice.uncollectible", invoice.pk) == ["02-20"]


def test_two_invoices_of_one_subscription_are_overdue_at_once(on_account, clock, books):
    running.run(now=clock.now + timedelta(days=31), clock=clock)
    later = clock.now + timedelta(days=50)
    assert collecting.overdue(now=later, clock=clock) == 2
    on_account.refresh_from_db()
    assert on_account.status == "past_due"
    assert Event.objects.filter(type="subscription.past_due").count() == 1
    assert collecting.overdue(now=later, clock=clock) == 0


def test_reminders_stop_when_it_is_paid(on_account, clock, advance, books):
    invoice = on_account.invoices.get()
    advance(clock, days=17)
    collecting.record_transfer(
        invoice=invoice, amount=invoice.total, reference="T", paid_at=clock.now, now=clock.now, actor="user:1"
    )
    on_account.refresh_from_db()
    assert on_account.status == "active"
    advance(clock, days=12)
    assert len(mails("invoice_reminder")) == 2


def test_a_refund_credits_and_goes_back_to_the_card(payer, clock, advance, books):
    sub = payer("pm_card_visa")
    advance(clock, minutes=1)
    payment = sub.invoices.get().payments.get()
    row = refunding.refund(payment=payment, amount=20_00, now=clock.now, actor="user:1")
    payment.refresh_from_db()
    assert (row.status, payment.amount_refunded, row.credit_note.total) == ("succeeded", 20_00, 20_00)
    sub.customer.refresh_from_db()
    assert sub.customer.balance == 0
    note, rows = refunding.credit_and_refund(
        invoice=payment.invoice, reason="all", now=clock.now, actor="user:1"
    )
    assert (note.total, [r.amount for r in rows]) == (67_00, [67_00])
    with pytest.raises(Exception, match="not so much left"):
        refunding.refund(payment=payment, amount=1, now=clock.now, actor="user:1")


def test_what_was_paid_twice_goes_back_without_a_credit_note(payer, clock, advance, books):
    sub = payer("pm_card_visa")
    invoice = sub.invoices.get()
    payment = collecting._open_attempt(invoice, clock.now, None, True)
    collecting.record_transfer(
        invoice=invoice, amount=80_00, reference="T", paid_at=clock.now, now=clock.now, actor="user:1"
    )
    collecting.apply(payment_id=payment.pk, outcome=collecting.call(payment), now=clock.now, actor="user:1")
    sub.customer.refresh_from_db()
    assert sub.customer.balance == 80_00
    payment.refresh_from_db()
    with pytest.raises(refunding.NotRefundable, match=r"80\.00 USD of it was paid too much"):
        refunding.refund(payment=payment, amount=80_01, now=clock.now, actor="user:1")
    row = refunding.refund(payment=payment, now=clock.now, actor="user:1")
    sub.customer.refresh_from_db()
    assert (row.status, row.amount, row.credit_note) == ("succeeded", 80_00, None)
    assert (sub.customer.balance, invoice.credit_notes.count()) == (0, 0)
    books()
    payment.refresh_from_db()
    row = refunding.refund(payment=payment, now=clock.now, actor="user:1")
    assert (row.amount, row.credit_note.total) == (7_00, 7_00)


def test_a_refund_that_the_bank_sends_back_is_credit_again(payer, clock, advance, books, fake_stripe):
    sub = payer("pm_card_visa")
    advance(clock, minutes=1)
    payment = sub.invoices.get().payments.get()
    row = refunding.refund(payment=payment, amount=20_00, now=clock.now, actor="user:1")
    assert row.status == "succeeded"
    kept = fake_stripe.store.rows("refund")[0]
    fake_stripe.store.put({**kept, "status": "failed", "failure_reason": "expired_or_canceled_card"})
    said = {"type": "refund.failed", "data": {"object": fake_stripe.rows("refund")[0]}}
    for _ in range(2):
        noticing.apply_provider_event(said, clock.now)
    row.refresh_from_db()
    payment.refresh_from_db()
    sub.customer.refresh_from_db()
    assert (row.status, row.message) == ("failed", "expired_or_canceled_card")
    assert (payment.amount_refunded, sub.customer.balance) == (0, 20_00)


def test_a_refund_that_the_provider_chokes_on_holds_up_no_other(
    payer, clock, advance, books, fake_stripe, monkeypatch
):
    sub = payer("pm_card_visa")
    advance(clock, minutes=1)
    payment = sub.invoices.get().payments.get()
    rows = []
    for amount in (20_00, 30_00):
        fake_stripe.faults.add("lose_answer", path="/v1/refunds", times=1)
        rows.append(refunding.refund(payment=payment, amount=amount, now=clock.now, actor="user:1"))
        payment.refresh_from_db()
    real = Gateway.look_up_refund

    def choke(self, *, key, payment_intent):
        if key == rows[0].key:
            raise GatewayMisuse("no such payment")
        return real(self, key=key, payment_intent=payment_intent)

    monkeypatch.setattr(Gateway, "look_up_refund", choke)
    assert refunding.reconcile(now=rows[1].recorded_at + timedelta(minutes=2)) == 1


def test_a_refund_that_got_lost_is_asked_about(payer, clock, advance, books, fake_stripe):
    sub = payer("pm_card_visa")
    advance(clock, minutes=1)
    payment = sub.invoices.get().payments.get()
    fake_stripe.faults.add("lose_answer")
    row = refunding.refund(payment=payment, now=clock.now, actor="user:1")
    assert row.status == "unknown"
    from datetime import timedelta

    assert refunding.reconcile(now=row.recorded_at + timedelta(minutes=2)) == 1
    row.refresh_from_db()
    assert row.status == "succeeded"
    assert len(fake_stripe.rows("refund")) == 1


def test_a_pause_for_want_of_money_lowers_what_is_due(payer, clock, advance, books):
    Seller.objects.update(unpaid_end="pause")
    sub = payer(DECLINED)
    advance(clock, days=20)
    invoice = sub.invoices.get()
    sub.customer.refresh_from_db()
    # On 29 January, the day it is paused, 17 of 31 days are left: 47.71 of 87.00.
    assert (invoice.amount_due, sub.customer.balance) == (87_00 - 47_71, 0)
