"""Paying from several places at the same moment: really at once, in threads, against a stand-in in a file."""

import json
import threading
from decimal import Decimal
from functools import partial

import pytest
from django.test import Client
from django.utils import timezone

from billing import collecting, tasks
from billing.models import Customer, Invoice, Mail, Payment, Plan, Subscription
from checkout import completing
from checkout.models import CheckoutSession
from sales import accepting, quoting
from sales import catalogue as sold
from tests.checkout.stories import one_of_everything
from tests.races import ROUNDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake_stripe(stripe_in_a_file):
    return stripe_in_a_file


def test_many_presses_at_the_same_moment(session, press, fake_stripe, books):
    answers = at_once(*[lambda: press(session, client=Client())] * 6)
    assert {answer.status_code for answer in answers} <= {200, 302}
    one_of_everything(session, 10353, fake_stripe)


def test_browser_webhook_and_reconciler_at_the_same_moment(
    session, press, fake_stripe, stripe_door, run_jobs, books
):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    payment = Payment.objects.get()

    def come_back():
        return completing.look(session=completing.fresh(session), now=timezone.now())

    def hear():
        return collecting.look(payment, now=timezone.now(), actor="provider")

    answers = at_once(*[come_back, hear] * 3)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    stripe_door.deliver(duplicate=2)
    run_jobs()
    one_of_everything(session, 10353, fake_stripe)
    assert Mail.objects.filter(template="receipt").count() == 1


def test_two_tabs_press_and_the_webhook_is_there_before_the_answer(
    make_session, press, fake_stripe, stripe_door, run_jobs, books
):
    """Each round is another buyer, who presses in two tabs at once; Stripe tells of the payment first, and again."""
    busy = threading.local()

    def door(payload, headers, knock=stripe_door._deliver):
        if getattr(busy, "acting", False):
            return 503  # what acting on the one calls up is for another time
        busy.acting = True
        try:
            status = knock(payload, headers)
            tasks.apply_stripe_event(json.loads(payload)["id"])
            return status
        finally:
            busy.acting = False

    stripe_door.to(door)
    stripe_door.when = "before_answer"
    for n in range(ROUNDS):
        session = make_session()
        tab = partial(press, session, email=f"ada@nova{n}.example")
        answers = at_once(*[lambda tab=tab: tab(client=Client())] * 2)
        assert {answer.status_code for answer in answers} <= {200, 302}, answers
    run_jobs()
    stripe_door.replay(fake_stripe.rows("event"))
    assert Customer.objects.count() == Invoice.objects.filter(status="paid").count() == ROUNDS
    assert Subscription.objects.count() == len(fake_stripe.rows("charge")) == ROUNDS


# -- A purchase beside a signature ------------------------------------------------------------------------------


@pytest.fixture
def offered(make_customer, make_session, monkeypatch):
    """A known customer with a quote to sign and a checkout to pay: (customer, sign, session)."""
    monkeypatch.setattr("sales.quote_papers.print_paper", lambda paper: paper.number.encode())
    sold.ship(now=timezone.now())

    def make():
        customer, now = make_customer(), timezone.now()
        quote = quoting.draft(
            customer=customer, plan=Plan.objects.get(code="enterprise"), quantity=Decimal(48), now=now, actor="user:1"
        )  # fmt: skip
        quoting.send(quote=quote, now=now, actor="user:1")
        quote.refresh_from_db()
        ada = {"name": "Ada Byron", "title": "CFO", "email": "ada@buyer.example", "signature": "Ada Byron"}
        sign = partial(
            quoting.accept, quote=quoting.find(quote.token), now=now, ip="192.0.2.7", user_agent="test", **ada
        )
        return customer, sign, make_session(customer=customer)

    return make


def test_whoever_signs_and_pays_at_the_same_moment_has_one_subscription(offered, press, fake_stripe, books):
    for _ in range(ROUNDS):
        customer, sign, session = offered()
        answers = at_once(sign, lambda session=session: press(session, client=Client()))
        wrong = [a for a in answers if isinstance(a, Exception)]
        assert all(isinstance(a, accepting.PurchaseOnItsWay) for a in wrong), answers
        assert customer.subscriptions.count() == 1, answers
    assert len(fake_stripe.rows("charge")) == CheckoutSession.objects.filter(status="completed").count()


def test_who_has_signed_is_not_charged(offered, press, fake_stripe):
    customer, sign, session = offered()
    sign()
    press(session)
    assert (customer.subscriptions.count(), len(fake_stripe.rows("charge"))) == (1, 0)


def test_who_pays_just_now_signs_in_a_moment(offered, press, fake_stripe, books):
    customer, sign, session = offered()
    CheckoutSession.objects.filter(pk=session.pk).update(attempted_at=timezone.now())
    with pytest.raises(accepting.PurchaseOnItsWay):
        sign()
    CheckoutSession.objects.filter(pk=session.pk).update(attempted_at=None)
    press(session)
    sign()
    assert customer.subscriptions.count() == 1


def test_a_customer_buys_once_in_two_checkouts(make_customer, make_session, press, fake_stripe, books):
    for _ in range(ROUNDS):
        customer = make_customer()
        both = [make_session(customer=customer) for _ in range(2)]
        at_once(*[lambda session=session: press(session, client=Client()) for session in both])
        assert customer.subscriptions.count() == 1
    assert len(fake_stripe.rows("charge")) == ROUNDS
