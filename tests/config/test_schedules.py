from datetime import UTC, datetime, time, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils.module_loading import import_string
from django_q.models import Schedule

from config.schedules import JOBS, PREFIX, Job, write

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# Any function will do: nothing runs it here.
OFTEN = Job("often", "config.schedules.write", minutes=5)
NIGHTLY = Job("nightly", "config.schedules.write", at=time(3, 30))


def rows() -> dict[str, Schedule]:
    return {row.name.removeprefix(PREFIX): row for row in Schedule.objects.all()}


@pytest.mark.django_db
def test_it_writes_every_job_once() -> None:
    for _ in range(2):
        write(jobs=[OFTEN, NIGHTLY], now=NOON)
    assert rows().keys() == {"often", "nightly"}
    assert (rows()["often"].schedule_type, rows()["often"].minutes) == (Schedule.MINUTES, 5)
    assert rows()["often"].next_run == NOON
    assert rows()["nightly"].next_run == datetime(2026, 3, 2, 3, 30, tzinfo=UTC)


@pytest.mark.django_db
def test_it_leaves_the_next_time_of_what_has_not_changed() -> None:
    write(jobs=[OFTEN, NIGHTLY], now=NOON)
    write(jobs=[OFTEN, NIGHTLY], now=NOON + timedelta(days=9))
    assert rows()["often"].next_run == NOON
    assert rows()["nightly"].next_run == datetime(2026, 3, 2, 3, 30, tzinfo=UTC)


@pytest.mark.django_db
def test_it_changes_what_has_changed_and_removes_what_is_gone() -> None:
    write(jobs=[OFTEN, NIGHTLY], now=NOON)
    write(jobs=[Job("nightly", NIGHTLY.function, at=time(15, 0))], now=NOON)
    assert rows().keys() == {"nightly"}
    assert rows()["nightly"].next_run == NOON.replace(hour=15)


@pytest.mark.django_db
def test_it_leaves_an_operators_own_schedule_alone() -> None:
    Schedule.objects.create(name="our own report", func="reports.send", schedule_type=Schedule.DAILY)
    write(jobs=[], now=NOON)
    assert Schedule.objects.count() == 1


@pytest.mark.django_db
def test_it_refuses_a_job_that_does_not_exist() -> None:
    with pytest.raises(ImportError):
        write(jobs=[OFTEN, Job("lost", "billing.tasks.no_such_job", minutes=1)], now=NOON)
    assert rows() == {}


@pytest.mark.django_db
def test_its_command_tells_every_job() -> None:
    out = StringIO()
    call_command("schedules", stdout=out)
    assert len(out.getvalue().splitlines()) == len(JOBS) == len(rows())


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_it_names_jobs_that_exist_at_a_time_or_an_interval(job: Job) -> None:
    assert callable(import_string(job.function))
    assert (job.minutes is None) != (job.at is None)


def test_it_names_every_job_once() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
