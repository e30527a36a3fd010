"""F13: somebody has left a transaction open that holds what others need. They fail fast and by name, and what they were
asked for is done when the database has ended that session. F11: nothing can be written for a while."""

import contextlib
import time

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.tasks import async_task

from billing import away, books, keys, running
from billing.models import BillingFailure, Customer, Invoice, NumberSeries
from tests.faults import work
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db(transaction=True)
# Seconds that the others wait for a lock: 4 for a request, see config/settings.py.
LOCK = 0.2
COUNTER = "update billing_numberseries set next = next"
CUSTOMER = "select 1 from billing_customer for update"


@pytest.fixture(autouse=True)
def impatient(catalogue):
    with connection.cursor() as cursor:
        cursor.execute(f"set lock_timeout = '{LOCK}s'")
    yield
    connection.close()


@contextlib.contextmanager
def left_open(statement):
    """Another session, which stands in its transaction."""
    address = connection.get_connection_params()
    with contextlib.suppress(psycopg.Error), psycopg.connect(**address) as holder:
        holder.execute(statement)
        yield holder


def over(holder):
    """The time for which a transaction may stand open is over (120 s in production): the database ends the session, and
    says so when it is asked next."""
    holder.execute("set idle_in_transaction_session_timeout = '50ms'")
    with connection.cursor() as cursor:
        while True:
            cursor.execute("select 1 from pg_stat_activity where pid = %s", [holder.info.backend_pid])
            if not cursor.fetchone():
                break
            time.sleep(0.05)
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as ended:
        holder.execute("select 1")
    assert away.is_away(ended.value)


@pytest.fixture
def ask(no_request_limits):
    _, secret = keys.issue(name="it", livemode=False, now=NOON)

    def post(path, **body):
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "once"}
        began = time.monotonic()
        answer = Client().post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)
        assert time.monotonic() - began < 5
        return answer

    return post


@pytest.mark.parametrize("statement", [COUNTER, CUSTOMER])
def test_who_needs_what_is_held_is_told_soon_and_has_it_later(statement, make_customer, ask):
    wanted = {"customer": make_customer().pk, "plan": "pro", "quantity": 3}
    with left_open(statement) as holder:
        answer = ask("subscriptions", **wanted)
        assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "1", "try_again")
        assert Client().get("/healthz").status_code == 200
        assert not Invoice.objects.exists()
        over(holder)
        assert ask("subscriptions", **wanted).status_code == 201
    assert Invoice.objects.get().number
    assert books.check() == []


def test_a_run_leaves_out_who_is_held_and_bills_them_later(make_customer, subscribe):
    held, other = (subscribe(make_customer(), bill=False) for _ in range(2))
    their = f"where id = '{held.customer_id.partition('_')[2]}'"
    with left_open(f"select 1 from billing_customer {their} for update") as holder:
        assert running.run(now=timezone.now()).invoices == 1
        assert other.invoices.exists()
        over(holder)
        assert running.run(now=timezone.now()).invoices == 1
    assert books.check() == []


def test_a_run_that_gets_no_number_blames_nobody_and_goes_on_later(make_customer, subscribe):
    subscribe(make_customer(), bill=False)
    with left_open(COUNTER) as holder:
        with pytest.raises(OperationalError, match="lock timeout"):
            running.run(now=timezone.now())
        assert not BillingFailure.objects.exists()
        over(holder)
        assert running.run(now=timezone.now()).invoices == 1
    assert books.check() == []


def test_a_job_that_is_held_holds_up_no_other():
    for _ in range(2):
        async_task("django.utils.timezone.now")
    with left_open("select 1 from django_q_ormq order by id limit 1 for update") as holder:
        assert work.work_one()
        assert OrmQ.objects.count() == 1
        assert not get_broker().dequeue()
        over(holder)
        assert work.work_one()
    assert not OrmQ.objects.exists()


def test_while_nothing_can_be_written_people_are_asked_to_come_again(make_customer, ask):
    """As on a standby, or while somebody makes room on a full disk."""
    wanted = {"customer": make_customer().pk, "plan": "pro", "quantity": 3}
    before = NumberSeries.objects.values_list("code", "next")
    with connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = on")
        answer = ask("subscriptions", **wanted)
        page = Client(raise_request_exception=False).post("/checkout/start/?plan=pro")
        cursor.execute("set default_transaction_read_only = off")
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert (answer.status_code, answer.json()["code"]) == (503, "try_again")
    assert list(before) == list(NumberSeries.objects.values_list("code", "next"))
    assert ask("subscriptions", **wanted).status_code == 201
    assert Customer.objects.count() == 1
    assert books.check() == []
