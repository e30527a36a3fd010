"""Alice owns Nova, Bob looks after its bills, Vera looks on; Charlie owns another customer."""

import pytest


@pytest.fixture
def nova(make_customer, clock, subscribe, sales_catalogue):
    customer = make_customer(clock, name="Nova Robotics", email="billing@nova.example")
    subscribe(customer)
    customer.refresh_from_db()
    return customer


@pytest.fixture
def member_of():
    from billing import customers

    def add(customer, email, role="owner"):
        return customers.add_member(
            customer=customer,
            email=email,
            name=email.partition("@")[0].title(),
            role=role,
            now=customer.now,
            actor="system",
        )

    return add


@pytest.fixture
def enter(member_of):
    """enter(customer, role="owner", email=None) -> a signed-in browser."""
    from django.test import Client

    def sign_in(customer, role="owner", email=None):
        browser = Client()
        browser.force_login(member_of(customer, email or f"{role}@{customer.pk[-6:]}.example", role).user)
        return browser

    return sign_in


@pytest.fixture
def alice(nova, enter):
    return enter(nova, email="alice@nova.example")


@pytest.fixture
def vera(nova, alice, enter):
    return enter(nova, "viewer", "vera@nova.example")


@pytest.fixture
def sub(nova):
    return nova.subscriptions.get()


@pytest.fixture
def card(nova, fake_stripe):
    """A saved card that works."""
    from billing import cards

    return cards.save(customer=nova, payment_method="pm_card_visa", now=nova.now, actor="system")
