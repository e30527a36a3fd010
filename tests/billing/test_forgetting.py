"""Deleting customers and sandbox clocks."""

import pytest

from billing import customers, ending, forgetting
from billing.models import Customer, Event, Invoice, TestClock
from tests.fixtures_billing import NOON


def test_a_deleted_customer_is_empty_and_gone(make_customer):
    customer = make_customer(external_id="acme", tax_id="")
    customers.add_member(customer=customer, email="a@acme.example", role="owner", now=NOON, actor="system")
    forgetting.delete_customer(customer=customer, now=NOON, actor="key:1")
    assert not Customer.objects.filter(pk=customer.pk).exists()
    event = Event.objects.get(type="customer.updated")
    assert event.data["after"] == {"deleted": True}
    assert (event.customer.name, event.customer.email, event.customer.external_id) == (
        "Deleted customer",
        "",
        None,
    )
    assert not customer.members.filter(removed_at__isnull=True).exists()
    assert make_customer(external_id="acme")


def test_one_with_papers_is_kept(make_customer, subscribe):
    customer = make_customer()
    subscribe(customer)
    with pytest.raises(forgetting.HasPapers):
        forgetting.delete_customer(customer=customer, now=NOON, actor="key:1")


def test_one_with_a_live_subscription_is_kept(make_customer, subscribe):
    customer = make_customer()
    trial = subscribe(customer, trial_days=14)
    with pytest.raises(forgetting.HasSubscriptions):
        forgetting.delete_customer(customer=customer, now=NOON, actor="key:1")
    ending.cancel(subscription=trial, now=trial.started_at, actor="key:1", effective="now")
    forgetting.delete_customer(customer=customer, now=NOON, actor="key:1")


def test_a_clock_takes_its_customers_along_and_leaves_the_papers(clock, make_customer, subscribe, books):
    customer = make_customer(clock, external_id="acme")
    subscribe(customer)
    forgetting.delete_clock(clock=clock, actor="user:1", now=NOON)
    forgetting.delete_clock(clock=clock, actor="user:1", now=NOON)
    assert not Customer.objects.filter(pk=customer.pk).exists()
    assert Invoice.objects.get().bill_to["name"] == customer.name
    assert TestClock.objects.get().deleted_at == NOON
    assert make_customer(external_id="acme")
