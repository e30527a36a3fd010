"""Many customers in one transaction: nobody is left out for another's sake."""

import pytest

from sales import chunking

pytestmark = pytest.mark.usefixtures("sales_catalogue")


def test_it_halves_what_fails_until_who_it_fails_with_stands_alone(make_customer):
    ids = [make_customer().pk for _ in range(7)]
    tried = []

    def work(held):
        tried.append(len(held))
        if ids[4] in held:
            raise ValueError("cannot be weighed")
        return held

    done = chunking.each(ids, work, chunk=5)
    assert sorted(done.found) == sorted(set(ids) - {ids[4]})
    assert [str(error) for error in done.errors] == ["cannot be weighed"]
    assert tried == [5, 2, 3, 1, 2, 1, 1, 2]


def test_it_does_nothing_about_a_customer_that_is_gone(make_customer):
    customer = make_customer()
    gone = customer.pk[:-4] + "ffff"
    assert chunking.each([customer.pk, gone], lambda held: held).found == [customer.pk]
    assert chunking.each([gone], lambda held: held).found == []
