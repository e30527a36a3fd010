"""Facts of one block: one statement, their order, and nothing at all when the block fails."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.dispatch import recorded
from billing.events import record, together
from billing.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def told():
    """The batches that listeners were told of."""
    batches = []

    def listen(*, events, **_):
        batches.append([event.number for event in events])

    recorded.connect(listen)
    yield batches
    recorded.disconnect(listen)


SAID = {
    "customer.updated": {"before": {}, "after": {}},
    "customer.segment_changed": {"after": "smb", "arr": 0, "currency": "USD", "why": "x"},
}


def say(customer, *types):
    given = {"subject": customer, "customer": customer, "actor": "system", "now": customer.now}
    return [record(kind, **given, data=SAID[kind]) for kind in types]


def test_they_are_written_once_in_their_order_and_told_once(make_customer, told):
    customer = make_customer()
    told.clear()
    with transaction.atomic(), CaptureQueriesContext(connection) as queries, together():
        first, second = say(customer, "customer.updated", "customer.segment_changed")
        with together():
            (third,) = say(customer, "customer.updated")
        assert first.number is None
        assert first.public_id
        assert not Event.objects.filter(id=first.id).exists()
    inserts = [q for q in queries if "insert into billing_event" in q["sql"]]
    assert len(inserts) == 1
    assert told == [[first.number, second.number, third.number]]
    assert [first.sequence, second.sequence, third.sequence] == list(
        range(first.sequence, first.sequence + 3)
    )
    assert Event.objects.get(id=third.id).number == third.number


@transaction.atomic
@together()
def fail_after_saying(customer):
    say(customer, "customer.updated")
    return 1 / 0


def test_a_block_that_fails_leaves_none(make_customer, told):
    customer = make_customer()
    told.clear()
    with pytest.raises(ZeroDivisionError):
        fail_after_saying(customer)
    assert told == []
    (after,) = say(customer, "customer.updated")
    assert told == [[after.number]]
