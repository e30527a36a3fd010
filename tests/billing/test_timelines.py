"""What is derived from the phases of a subscription, and of all of a customer's."""

import threading
import time

import pytest
from django.db import connection, transaction

from billing import timelines
from billing.models import Customer, Subscription


@transaction.atomic
def grow(subscription, by, then=lambda: None):
    Subscription.objects.filter(pk=subscription.pk).update(mrr=subscription.mrr + by)
    timelines.refresh_customer(Customer.objects.get(pk=subscription.customer_id))
    then()


@pytest.mark.django_db(transaction=True)
def test_two_subscriptions_that_change_at_once_are_both_in_the_customers_mrr(make_customer, subscribe):
    customer = make_customer()
    one, other = subscribe(customer, bill=False), subscribe(customer, plan="starter", quantity=1, bill=False)

    def meanwhile():
        grow(other, 2)
        connection.close()

    thread = threading.Thread(target=meanwhile)

    def overlap():
        thread.start()
        time.sleep(0.3)

    grow(one, 1, then=overlap)
    thread.join()
    customer.refresh_from_db()
    assert customer.mrr == one.mrr + other.mrr + 3
