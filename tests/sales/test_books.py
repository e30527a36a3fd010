"""What the books ask of tasks and quotes: broken once, with constraints out of the way, and found."""

import pytest
from django.db import connection
from django.utils import timezone

from billing import books
from sales import quoting
from sales.models import HandoffTask

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")
BROKEN = [
    ("I-27", "drop index quote_accepted_at_most_once; drop index one_accepted_quote_waits_per_subscription; "
     "insert into sales_quote select (jsonb_populate_record(q, "
     "jsonb_build_object('id', gen_random_uuid(), 'version', 3))).* from sales_quote q"),
    ("I-27", "alter table sales_quote drop constraint accepted_quote_is_signed; "
     "update sales_quote set state = 'converted', subscription_id = null"),
    ("I-39", "drop index one_open_task_per_customer; insert into sales_handofftask select "
     "(jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).* from sales_handofftask t"),
]  # fmt: skip


@pytest.mark.parametrize(("id", "statements"), BROKEN)
def test_it_sees_what_breaks_it(id, statements, draft, sign, make_customer, without_triggers):
    quote = draft(customer=make_customer())
    sign(quoting.send(quote=quote, now=quote.now, actor="user:1"))
    HandoffTask.objects.create(customer=make_customer(), due_on="2026-02-01", raised_at=timezone.now())
    assert books.check() == []
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        for statement in statements.split("; "):
            cursor.execute(statement)
    assert {breach.id for breach in books.check()} == {id}
