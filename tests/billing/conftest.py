"""What the modules beside this one begin with; one that needs another defines its own."""

import pytest

from billing import cards, collecting


@pytest.fixture
def invoice(make_customer, subscribe):
    """Open, of a customer with a card."""
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    return subscribe(customer).invoices.get()


@pytest.fixture
def payment(invoice):
    return collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")
