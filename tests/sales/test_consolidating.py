"""What accounts of one company would be as one."""

import pytest

from billing import customers
from sales import consolidating

pytestmark = pytest.mark.django_db


def test_it_shows_the_joined_account_and_changes_nothing(on_pro, make_customer):
    first, second = on_pro(3, email="a@nova.example").customer, on_pro(5, email="b@nova.example").customer
    make_customer(email="c@nova.example", currency="EUR")
    for each in (first, second):
        customers.add_member(customer=each, email="ada@nova.example", now=each.now, actor="system")
    second.refresh_from_db()
    joined = consolidating.preview(second)
    assert (joined.domain, len(joined.accounts), joined.other_currencies) == ("nova.example", 3, ("EUR",))
    assert (joined.seats, joined.mrr, joined.arr) == (8, 8 * 29_00, 12 * 8 * 29_00)
    assert (joined.members, joined.shared_members) == (1, 1)
    assert joined.owed == sum(each.amount_due for each in [*first.invoices.all(), *second.invoices.all()])


@pytest.mark.parametrize("domain", ["", "gmail.com", "alone.example"])
def test_it_knows_who_is_alone(make_customer, domain):
    make_customer(domain="gmail.com")
    assert consolidating.preview(make_customer(domain=domain)) is None
