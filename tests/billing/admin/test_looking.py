"""A payment and a subscription, as staff look at them: in words and money, and by whoever may."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import cards
from billing.models import Payment
from tests.staff import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(make_customer, subscribe, clock):
    customer = make_customer(clock, name="Nova <Robotics>", country="US")
    cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="system")
    return subscribe(customer, "pro", "month", 3)


def at(row):
    return f"/admin/billing/{row._meta.model_name}/{row.pk}/change/"


def read(browser, row):
    return " ".join(browser.get(at(row)).text.split())


def statements(browser, row):
    with CaptureQueriesContext(connection) as asked:
        browser.get(at(row))
    return len(asked)


def test_a_subscription_shows_what_holds_when(subscription, fake_stripe, clock, advance):
    browser = signed_in("view_subscription")
    page = read(browser, subscription)
    for words in (
        "Nova &lt;Robotics&gt;",
        "$87.00",
        "Timeline",
        "3 × ",
        ">Now</span>",
        "Card",
        "Subscription started",
        subscription.pk,
    ):
        assert words in page
    assert ">subscription.created<" not in page
    first = statements(browser, subscription)
    advance(clock, days=70)
    assert subscription.invoices.count() > 2
    assert statements(browser, subscription) == first <= 5
    assert signed_in("view_invoice").get(at(subscription)).status_code == 403


def test_a_payment_shows_its_money_and_never_its_secret(subscription, fake_stripe):
    invoice = subscription.invoices.get()
    payment = Payment.objects.create(
        customer=subscription.customer, invoice=invoice, amount=8700, currency="USD", key="k", status="failed",
        client_secret="pi_1_secret_x", card_label="Visa •••• 4242", message="Your bank said no.",
        decline_code="do_not_honor", provider_id="pi_1",
    )  # fmt: skip
    page = read(signed_in("view_payment"), payment)
    for words in (
        "$87.00",
        "Failed",
        "Visa •••• 4242",
        "Your bank said no.",
        "do_not_honor",
        invoice.number,
        "Nothing of it went back.",
    ):
        assert words in page
    assert "secret" not in page
    assert signed_in("view_invoice").get(at(payment)).status_code == 403
