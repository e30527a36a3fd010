"""Ids rise, and no two processes make the same one."""

import os

import pytest

from billing.models import Customer
from billing.models.ids import new_id, uuid7


def test_it_makes_ids_that_rise_and_differ():
    made = [uuid7() for _ in range(2_000)]
    assert made == sorted(set(made))
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}


@pytest.mark.filterwarnings("ignore:.*fork")
def test_it_shares_no_chance_with_a_process_that_was_forked_off():
    new_id("cus")  # what it has asked for beforehand is not what the other goes on with
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, new_id("cus").encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    assert theirs[-15:] != new_id("cus")[-15:]


def test_it_answers_pk_from_the_column():
    customer = Customer(name="Acme")
    assert customer.pk == customer.id
    customer.pk = new_id("cus")
    assert customer.pk == customer.id == customer._get_pk_val()
