"""Paying from several places at the same moment: really at once, in threads, against a stand-in in a file."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing import collecting
from billing.models import Mail, Payment
from checkout import completing
from tests.checkout.stories import one_of_everything

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake_stripe(tmp_path, monkeypatch):
    """As the shared fixture, but in a file: every thread has a connection of its own."""
    import stripe

    from billing import gateway
    from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, SqliteStore, site
    from tests.fixtures_stripe import KEY

    fake = FakeStripe(SqliteStore(tmp_path / "stripe.sqlite3"), sleep=lambda seconds: None)
    http = FakeStripeHTTPClient(fake)
    monkeypatch.setattr(stripe, "default_http_client", http)
    monkeypatch.setattr(stripe, "api_key", KEY)
    site.give(fake)
    with gateway.use(gateway.Gateway(gateway.client(http, KEY))):
        yield fake
    site.give(None)


def at_once(number, act):
    """What `act(n)` answers in as many threads, all let go together."""
    barrier = Barrier(number)

    def go(n):
        barrier.wait()
        try:
            return act(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(go, range(number)))


def test_many_presses_at_the_same_moment(session, press, fake_stripe, books):
    codes = at_once(6, lambda _n: press(session, client=Client()).status_code)
    assert set(codes) <= {200, 302}
    one_of_everything(session, 10353, fake_stripe)


def test_browser_webhook_and_reconciler_at_the_same_moment(
    session, press, fake_stripe, stripe_door, run_jobs, books
):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    press(session)
    payment = Payment.objects.get()

    def tell(n):
        if n % 2:
            completing.look(session=completing.fresh(session), now=timezone.now())
        else:
            collecting.look(payment, now=timezone.now(), actor="provider")

    at_once(6, tell)
    stripe_door.deliver(duplicate=2)
    run_jobs()
    one_of_everything(session, 10353, fake_stripe)
    assert Mail.objects.filter(template="receipt").count() == 1


def test_ten_rounds_of_two_presses(make_session, press, fake_stripe, books):
    """Each round is another buyer; each buyer presses twice at once."""
    from billing.models import Customer, Invoice

    for n in range(10):
        session = make_session()
        at_once(2, lambda _n, s=session, k=n: press(s, client=Client(), email=f"ada@nova{k}.example"))
    assert Customer.objects.count() == Invoice.objects.filter(status="paid").count() == 10
    assert len(fake_stripe.rows("charge")) == 10
