"""Jobs are called in the transaction of their cause, those of one block by one statement."""

import time
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q import monitor
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from billing import jobs, tasks
from tests.races import at_once

pytestmark = pytest.mark.django_db


def call(*numbers):
    for number in numbers:
        async_task("billing.tasks.send_mail", number)


def _fail_after_a_call():
    call(1)
    raise ZeroDivisionError


def args():
    return [row.task["args"] for row in OrmQ.objects.order_by("id")]


def test_those_of_a_block_are_stored_at_its_end_by_one_statement_and_in_their_order():
    with CaptureQueriesContext(connection) as asked:
        with jobs.together():
            call(1, 2)
            with jobs.together():
                call(3)
            assert len(asked) == 0
        call(4)
    assert len(asked) == 2
    assert args() == [(1,), (2,), (3,), (4,)]


def test_an_exception_calls_none():
    with pytest.raises(ZeroDivisionError), transaction.atomic(), jobs.together():
        _fail_after_a_call()
    call(2)
    assert args() == [(2,)]


@pytest.mark.django_db(transaction=True)
def test_a_worker_hears_of_a_job_when_it_is_called(monkeypatch):
    monkeypatch.setattr(Conf, "POLL", 120)
    queue = jobs.Queue()

    def work():
        began = time.monotonic()
        while not (found := queue.dequeue()):
            pass
        return len(found), time.monotonic() - began < 60

    def cause():
        time.sleep(0.5)
        with transaction.atomic():
            call(1)

    assert at_once(work, cause)[0] == (1, True)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_hears_nothing_looks_again(monkeypatch):
    monkeypatch.setattr(Conf, "POLL", 0.01)
    queue = jobs.Queue()
    assert queue.dequeue() is None
    call(1)
    OrmQ.objects.update(lock=timezone.now() + timedelta(minutes=5))
    assert queue.dequeue() is None
    OrmQ.objects.update(lock=timezone.now())
    assert len(queue.dequeue()) == 1


def test_what_is_behind_waits_for_everything_else():
    assert Conf.BULK == Conf.WORKERS == 2
    queue = jobs.Queue()
    for number in range(3):
        async_task("billing.tasks.send_mail", number, cluster=jobs.BEHIND)
    call(7, 8)

    def taken():
        return [SignedPackage.loads(payload)["args"] for _, payload in queue.dequeue()]

    assert taken() == [(7,), (8,)]
    assert taken() == [(0,), (1,)]
    call(9)
    assert taken() == [(9,), (2,)]


def test_what_a_worker_has_taken_is_not_taken_again():
    queue = jobs.Queue()
    call(1, 2, 3)
    with CaptureQueriesContext(connection) as asked:
        first = queue.dequeue()
    assert len(asked) == 1
    assert [number for number, _ in first + queue.dequeue()] == [
        row.pk for row in OrmQ.objects.order_by("id")
    ]
    assert queue.dequeue() is None
    assert not OrmQ.objects.filter(lock__lt=timezone.now() + timedelta(seconds=Conf.RETRY - 60)).exists()


def test_of_thousands_that_wait_only_the_next_few_are_read():
    queue = jobs.Queue()
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into django_q_ormq (key, payload, lock) select key, repeat('x', 500), now() - n * interval '1 s'"
            " from unnest(%s::text[]) as key, generate_series(1, 2000) as n",
            [[queue.list_key, jobs.BEHIND]],
        )
        cursor.execute("analyze django_q_ormq")
        cursor.execute(f"explain (analyze, format json) {jobs._TAKE}", queue._wanted())
        (plan,) = cursor.fetchone()[0]
    read = [step for step in _steps(plan["Plan"]) if step.get("Relation Name") == "django_q_ormq"]
    most = Conf.BULK * jobs.FEW
    assert {step["Node Type"] for step in read} >= {"Index Only Scan"}
    assert all(step["Actual Rows"] <= 2 * most for step in read)


def _steps(plan):
    return [plan, *(step for part in plan.get("Plans", ()) for step in _steps(part))]


@pytest.mark.django_db(transaction=True)
def test_what_another_worker_is_taking_is_left_to_it():
    call(1, 2, 3)
    taking, looked = Barrier(2), Barrier(2)

    def one():
        with transaction.atomic():
            taken = jobs.Queue().dequeue()
            taking.wait(10)
            looked.wait(10)
        return len(taken)

    def other():
        taking.wait(10)
        taken = jobs.Queue().dequeue()
        looked.wait(10)
        return len(taken)

    assert at_once(one, other) == [2, 1]


def _finished(days_ago, *, success):
    stopped = timezone.now() - timedelta(days=days_ago)
    name = f"{days_ago} {success}"
    return Task.objects.create(
        id=name, name=name, func="f", started=stopped, stopped=stopped, success=success
    ).name


def test_jobs_that_were_done_are_forgotten_after_a_week_and_failed_ones_are_not():
    for days_ago in (6, 8):
        _finished(days_ago, success=True)
    _finished(100, success=False)
    assert tasks.forget() == 1
    assert {*Task.objects.values_list("name", flat=True)} == {"6 True", "100 False"}


def test_a_job_that_ends_reads_none_of_those_that_ended_before():
    for days_ago in range(5):
        _finished(days_ago, success=True)
    task = {
        "id": "new", "name": "new", "func": "f", "args": (), "kwargs": {}, "result": None, "success": True,
        "started": timezone.now(), "stopped": timezone.now(), "sync": True,
    }  # fmt: skip
    with CaptureQueriesContext(connection) as asked:
        monitor.save_task(task, jobs.Queue())
    assert Task.objects.filter(id="new").exists()
    assert not [each["sql"] for each in asked if "FOR UPDATE" in each["sql"]]
