"""Queries that are written once find what the same query finds when it is written anew."""

import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.api.remembering import Remembered, Slot
from billing.api.subscriptions import subscriptions
from billing.models import Customer, Subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def firms():
    names = ["Acme", "100 % Ltd", "O'Neill \\ Sons", "Bühler"]
    return [Customer.objects.create(name=name, email="a@firm.example", country="IE") for name in names]


@pytest.fixture
def subscription(make_customer, subscribe):
    return subscribe(make_customer())


def test_it_takes_other_values_each_time(firms):
    by_name = Remembered(Customer.objects.filter(name=Slot("name"), country="IE"))
    assert [by_name.fetch({"name": firm.name}) for firm in firms] == [[firm] for firm in firms]
    assert by_name.fetch({"name": "'; drop table billing_customer; --"}) == []


@pytest.mark.parametrize("name", ["100 % Ltd", "O'Neill \\ Sons", "Bühler", "%s"])
def test_what_is_written_into_it_may_have_any_character(firms, name):
    rows = Customer.objects.filter(name=name, country=Slot("country"))
    assert Remembered(rows).fetch({"country": "IE"}) == list(rows.model.objects.filter(name=name))
    like = Customer.objects.filter(name__contains="%", country=Slot("country"))
    assert [row.name for row in Remembered(like).fetch({"country": "IE"})] == ["100 % Ltd"]


def test_it_answers_what_was_written_since(firms):
    known = Remembered(Customer.objects.filter(country=Slot("country")))
    assert len(known.fetch({"country": "IE"})) == 4
    firms[0].delete()
    assert len(known.fetch({"country": "IE"})) == 3


def test_it_brings_related_rows_along_in_the_same_number_of_statements(subscription):
    rows = Subscription.objects.filter(customer=Slot("customer")).select_related("customer")
    known, customer = Remembered(rows.prefetch_related("phases")), subscription.customer
    with CaptureQueriesContext(connection) as asked:
        (found,) = known.fetch({"customer": customer})
        assert (found.customer, len(found.phases.all())) == (customer, 1)
    assert len(asked) == 2


def test_it_annotates_as_the_query_does(subscription):
    wanted = subscriptions(livemode=False)
    (found,), slow = Remembered(wanted).fetch({}), wanted.get()
    assert (found.phase_rows, found.last_invoice) == (slow.phase_rows, slow.last_invoice)
    assert found.phase_rows


@pytest.mark.django_db(transaction=True)
def test_threads_share_it():
    firms = [Customer.objects.create(name=f"Firm {n}", email="a@firm.example") for n in range(4)]
    known, wrong = Remembered(Customer.objects.filter(name=Slot("name"))), []

    def ask(firm):
        wrong.extend(firm.name for _ in range(20) if known.fetch({"name": firm.name}) != [firm])
        connection.close()

    threads = [threading.Thread(target=ask, args=(firm,)) for firm in firms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
