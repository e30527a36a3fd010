"""Cards that run out are told of once, at their customer's time."""

from datetime import UTC, datetime

import pytest

from billing import expiring
from billing.models import Customer, Event, Mail, PaymentMethod

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(make_customer, clock, subscribe):
    made = make_customer(clock, email="bills@nova.example")
    subscribe(made)
    return made


@pytest.fixture
def card(customer):
    """A card that is charged and ends in the month of the clock."""
    return PaymentMethod.objects.create(
        customer=customer, provider_id="pm_1", brand="visa", last4="4242", is_default=True,
        exp_month=customer.now.month, exp_year=customer.now.year, created_at=customer.now,
    )  # fmt: skip


LONG_AFTER = datetime(2031, 1, 1, tzinfo=UTC)


def test_it_tells_once_by_the_customers_clock(card, customer):
    assert expiring.warn(now=LONG_AFTER) == 1
    assert expiring.warn(now=LONG_AFTER) == 0
    mail = Mail.objects.get(template="payment_method_expiring")
    assert mail.recipient == "bills@nova.example"
    assert "Visa ending 4242" in mail.subject
    assert "The next charge is on" in mail.text
    assert Event.objects.get(type="payment_method.expiring").customer_id == customer.pk


@pytest.mark.parametrize("months", [-2, 1, 12])
def test_it_is_quiet_before_the_last_month_and_long_after(card, months):
    at = card.exp_year * 12 + card.exp_month - 1 + months
    PaymentMethod.objects.update(exp_year=at // 12, exp_month=at % 12 + 1)
    assert expiring.warn(now=LONG_AFTER) == 0


def test_it_is_quiet_where_nothing_is_charged_to_the_card(card):
    PaymentMethod.objects.update(is_default=False)
    assert expiring.warn(now=LONG_AFTER) == 0
    PaymentMethod.objects.update(is_default=True)
    Customer.objects.update(collection_method="send_invoice")
    assert expiring.warn(now=LONG_AFTER) == 0


def test_another_card_with_another_end_is_told_of_again(card):
    expiring.warn(now=LONG_AFTER)
    at = card.exp_year * 12 + card.exp_month - 2
    PaymentMethod.objects.update(exp_year=at // 12, exp_month=at % 12 + 1)
    assert expiring.warn(now=LONG_AFTER) == 1
