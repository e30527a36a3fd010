"""Paying from several places at the same moment: really at once, in threads, against a stand-in in a file."""

import json
import threading
from functools import partial

import pytest
from django.test import Client
from django.utils import timezone

from billing import collecting, tasks
from billing.models import Customer, Invoice, Mail, Payment, Subscription
from checkout import completing
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
