"""Large refunds, pay-outs and write-offs: one asks, another signs, and then it happens once."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction

from billing import cards, carrying_out, collecting, correcting, refunding, signing_off
from billing.models import Customer, Event, Invoice, Mail, Payment, Refund, Seller, SignOff, User
from billing.moves import IllegalMove
from billing.signing_off import AnotherWaits, NeedsSignOff, OwnWish
from tests.races import at_once

pytestmark = pytest.mark.django_db
KEY = "key:tk_test_abcd"


def staff(name, *permissions):
    user = User.objects.create_user(f"{name}@seller.example", name=name.title(), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def boss(db):
    return staff("boss", "give_sign_off")


@pytest.fixture
def paid(make_customer, subscribe, fake_stripe, boss):
    """An invoice of 87.00, paid by card; above 50.00 a second person has to sign."""
    Seller.objects.update(sign_off_over=50_00)
    customer = make_customer(tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    invoice = subscribe(customer, quantity=3).invoices.get()
    collecting.attempt(invoice=invoice, now=invoice.issued_at + timedelta(hours=1), actor="system")
    invoice.refresh_from_db()
    assert invoice.amount_paid == 87_00
    return invoice


def ask(invoice, actor=KEY, **terms):
    payment = invoice.payments.get(status="succeeded")
    return carrying_out.refund(payment=payment, now=invoice.customer.now, actor=actor, **terms)


def back(fake_stripe):
    return [row["amount"] for row in fake_stripe.rows("refund")]


def test_a_small_refund_is_made_at_once(paid, fake_stripe, books):
    assert isinstance(ask(paid, amount=50_00), Refund)
    assert back(fake_stripe) == [50_00]


def test_a_large_one_waits_and_nothing_moves(paid, boss, fake_stripe, books):
    wish = ask(paid, amount=50_01, reason="Bought twice")
    assert (wish.kind, wish.status, wish.amount, wish.asked_by) == ("refund", "waiting", 50_01, KEY)
    assert back(fake_stripe) == []
    assert not Refund.objects.exists()
    assert not paid.credit_notes.exists()
    told = Mail.objects.get(template="sign_off")
    assert (told.recipient, "$50.01" in told.subject, "Bought twice" in told.text) == (boss.email, True, True)
    assert Event.objects.get(type="sign_off.requested").data["amount"] == 50_01


def test_it_is_done_once_somebody_else_has_signed(paid, boss, fake_stripe, books):
    wish = ask(paid, reason="Bought twice")
    done = carrying_out.give(sign_off=wish, by=boss, now=paid.customer.now)
    assert (done.status, done.decided_by) == ("done", boss)
    assert back(fake_stripe) == [87_00]
    assert paid.credit_notes.get().reason == "Bought twice"
    assert Event.objects.get(type="sign_off.given").actor == f"user:{boss.pk}"
    assert Event.objects.get(type="payment.refunded").actor == KEY
    for again in (carrying_out.give, signing_off.refuse):
        with pytest.raises(IllegalMove):
            again(sign_off=SignOff.objects.get(), by=boss, now=paid.customer.now)
    assert back(fake_stripe) == [87_00]


def test_slices_count_together(paid, fake_stripe):
    assert isinstance(ask(paid, amount=30_00), Refund)
    assert isinstance(ask(paid, amount=30_00), SignOff)
    assert back(fake_stripe) == [30_00]
    SignOff.objects.all().delete()
    Refund.objects.update(created_at=paid.customer.now - timedelta(days=31))
    assert isinstance(ask(paid, amount=30_00), Refund)


def test_nobody_signs_what_they_asked_for(paid, boss, fake_stripe):
    wish = ask(paid, actor=f"user:{boss.pk}")
    with pytest.raises(OwnWish):
        carrying_out.give(sign_off=wish, by=boss, now=paid.customer.now)
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.update(status="given", decided_by=boss, decided_at=paid.customer.now)
    assert signing_off.refuse(sign_off=wish, by=boss, now=paid.customer.now).status == "refused"
    assert (back(fake_stripe), Mail.objects.filter(template="sign_off").count()) == ([], 0)


def test_the_same_wish_is_asked_for_once(paid):
    first = ask(paid, amount=60_00)
    assert ask(paid, amount=60_00).pk == first.pk
    with pytest.raises(AnotherWaits):
        ask(paid, amount=61_00)
    assert SignOff.objects.count() == 1


def test_what_can_no_longer_be_done_says_why(paid, boss, fake_stripe, books):
    wish = ask(paid, amount=80_00)
    payment = paid.payments.get(status="succeeded")
    refunding.refund(payment=payment, amount=40_00, now=paid.customer.now, actor="system")
    done = carrying_out.give(sign_off=wish, by=boss, now=paid.customer.now)
    assert done.status == "failed"
    assert done.message
    assert back(fake_stripe) == [40_00]


def test_a_credit_note_that_goes_back_to_the_card(paid, boss, fake_stripe, books):
    line = paid.lines.get()
    given = {"invoice": paid, "reason": "Two too many", "now": paid.customer.now, "actor": KEY}
    lines = [correcting.LineCredit(line=line, quantity=2)]
    wish = carrying_out.credit_and_refund(**given, lines=lines)
    assert (wish.kind, wish.amount, paid.credit_notes.count()) == ("credit_note", 58_00, 0)
    assert carrying_out.give(sign_off=wish, by=boss, now=paid.customer.now).status == "done"
    assert (paid.credit_notes.get().total, back(fake_stripe)) == (58_00, [58_00])


@pytest.mark.parametrize("method", ["card", "bank_transfer"])
def test_a_pay_out(paid, boss, fake_stripe, books, method):
    correcting.credit(invoice=paid, amount=60_00, reason="sorry", now=paid.customer.now, actor="user:1")
    given = {"customer": paid.customer, "now": paid.customer.now, "actor": KEY}
    wish = carrying_out.pay_out(**given, method=method, reference="T-1" if method == "bank_transfer" else "")
    assert (wish.kind, wish.amount, Customer.objects.get().balance) == ("pay_out", 60_00, 60_00)
    assert carrying_out.give(sign_off=wish, by=boss, now=paid.customer.now).status == "done"
    assert Customer.objects.get().balance == 0
    assert back(fake_stripe) == ([60_00] if method == "card" else [])


def test_a_write_off(make_customer, subscribe, boss, books):
    Seller.objects.update(sign_off_over=50_00)
    invoice = subscribe(make_customer(tax_exempt=True), quantity=3).invoices.get()
    wish = carrying_out.write_off(invoice=invoice, now=invoice.customer.now, actor=KEY, reason="Insolvent")
    assert (wish.kind, wish.amount, Invoice.objects.get().status) == ("write_off", 87_00, "open")
    assert carrying_out.give(sign_off=wish, by=boss, now=invoice.customer.now).status == "done"
    assert Invoice.objects.get().status == "uncollectible"
    assert Event.objects.get(type="invoice.uncollectible").data["reason"] == "Insolvent"


def test_what_runs_by_itself_asks_nobody(make_customer, subscribe, books):
    Seller.objects.update(sign_off_over=0)
    invoice = subscribe(make_customer(), quantity=3).invoices.get()
    correcting.mark_uncollectible(invoice=invoice, now=invoice.customer.now, actor="system")
    assert Invoice.objects.get().status == "uncollectible"


def test_money_without_a_rate_is_above_every_limit(make_customer, subscribe):
    Seller.objects.update(sign_off_over=10**12, currency="CHF")
    invoice = subscribe(make_customer()).invoices.get()
    with pytest.raises(NeedsSignOff):
        correcting.mark_uncollectible(invoice=invoice, now=invoice.customer.now, actor="user:1")


@pytest.mark.parametrize("where", ["before", "after"])
def test_what_a_dead_worker_left_is_done_once(paid, boss, fake_stripe, monkeypatch, books, where):
    class Killed(BaseException):
        pass

    def die(*args, **options):
        raise Killed

    place = (carrying_out, "carry_out") if where == "before" else (carrying_out, "_settle")
    with monkeypatch.context() as patch:
        patch.setattr(*place, die)
        with pytest.raises(Killed):
            carrying_out.give(sign_off=ask(paid), by=boss, now=paid.customer.now)
    assert SignOff.objects.get().status == "given"
    assert (carrying_out.finish(now=paid.customer.now), carrying_out.finish(now=paid.customer.now)) == (1, 0)
    assert (SignOff.objects.get().status, back(fake_stripe)) == ("done", [87_00])
    assert Payment.objects.get(status="succeeded").amount_refunded == 87_00


@pytest.mark.django_db(transaction=True)
def test_two_who_sign_at_once_give_it_back_once(paid, boss, fake_stripe, books):
    wish, other = ask(paid), staff("chief", "give_sign_off")

    def sign(by):
        return lambda: carrying_out.give(
            sign_off=SignOff.objects.get(pk=wish.pk), by=by, now=paid.customer.now
        )

    at_once(sign(boss), sign(other), *[lambda: carrying_out.finish(now=paid.customer.now)] * 2)
    assert (SignOff.objects.get().status, back(fake_stripe)) == ("done", [87_00])
