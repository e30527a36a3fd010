"""Rows that are read without `__init__` are as Django makes them."""

from datetime import UTC, datetime

import pytest
from django.db.models import Model

from billing.models import Customer, Event, Phase, Subscription

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [Customer, Event, Phase, Subscription])
def test_it_may_leave_out_init(model):
    assert model.__init__ is Model.__init__


def test_it_reads_what_django_would(make_customer):
    customer = make_customer()
    read = Customer.objects.get(pk=customer.pk)
    names = [field.attname for field in Customer._meta.concrete_fields]
    assert {name: getattr(read, name) for name in names} == {name: getattr(customer, name) for name in names}
    assert (read._state.adding, read._state.db) == (False, "default")
    assert read == customer


def test_it_reads_a_column_that_was_left_out_when_it_is_asked_for(make_customer, django_assert_num_queries):
    customer = make_customer()
    Customer.objects.filter(pk=customer.pk).update(metadata={"team": "north"})
    read = Customer.objects.defer("metadata").get(pk=customer.pk)
    assert read.get_deferred_fields() == {"metadata"}
    with django_assert_num_queries(1):
        assert read.metadata == {"team": "north"}


def test_it_saves_and_follows_relations(make_customer, django_assert_num_queries):
    customer = make_customer()
    read = Customer.objects.select_related("segment").get(pk=customer.pk)
    with django_assert_num_queries(0):
        assert read.segment.pk == read.segment_id
    read.name = "Renamed"
    read.save(update_fields=["name"])
    read.refresh_from_db()
    assert read.name == "Renamed"


def test_it_is_new_with_just_the_values_given():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = Event.with_values(["type", "at", "number"], ["customer.created", at, None])
    assert made._state.adding
    assert (made.type, made.at, made.number) == ("customer.created", at, None)
