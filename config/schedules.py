"""Every recurring job, on one page. `manage.py schedules` writes them for the job workers.

A job is safe to run late, twice at once, or not for a week: it looks at what is due and claims it.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.core.management import call_command
from django.db import transaction
from django.utils.module_loading import import_string
from django_q.models import Schedule

# Marks the rows that are ours to change or remove; an operator may add others.
PREFIX = "tandem: "


@dataclass(frozen=True)
class Job:
    """`function` runs every so many `minutes`, or daily `at` a time of day (UTC)."""

    name: str
    function: str
    minutes: int | None = None
    at: time | None = None


JOBS: list[Job] = [
    Job("bill what is due", "billing.tasks.run_billing", minutes=5),
    Job("collect what is open", "billing.tasks.collect_due", minutes=10),
    Job("say what is overdue", "billing.tasks.say_overdue", minutes=60),
    Job("remind of open invoices", "billing.tasks.remind", minutes=60),
    Job("say what ends soon", "billing.tasks.give_notice", minutes=15),
    Job("ask about unknown payments", "billing.tasks.reconcile_payments", minutes=5),
    Job("do what was signed", "billing.tasks.finish_signed", minutes=5),
    Job("ask about disputes", "billing.tasks.reconcile_disputes", at=time(5, 40)),
    Job("look for refunds made elsewhere", "billing.tasks.reconcile_refunds", at=time(5, 50)),
    Job("compare charges with the provider's", "billing.tasks.compare_charges", at=time(5, 0)),
    Job("warn of cards that expire", "billing.tasks.warn_of_expiring_cards", at=time(6, 0)),
    Job("put customers where their ARR belongs", "billing.tasks.recompute_segments", at=time(2, 30)),
    Job("carry credit of joined accounts", "billing.tasks.carry_credit", at=time(2, 20)),
    Job("make figures small", "billing.tasks.fold_figures", minutes=5),
    Job("chain facts", "billing.tasks.chain_facts", minutes=60),
    Job("ask the books", "billing.tasks.ask_books", at=time(3, 45)),
    Job("compare figures with what they sum up", "billing.tasks.check_figures", at=time(4, 20)),
    Job("look for signals that were missed", "sales.tasks.sweep", at=time(3, 15)),
    Job("look past thresholds", "sales.tasks.look_past_thresholds", minutes=1),
    Job("measure engagement", "sales.tasks.measure_engagement", at=time(2, 45)),
    Job("compare invoices with what was signed", "sales.tasks.check_promises", at=time(5, 10)),
    Job("run automations", "sales.tasks.automate", minutes=1),
    Job("run daily automations", "sales.tasks.automate_daily", at=time(6, 0)),
    Job("let quotes expire", "sales.tasks.expire_quotes", minutes=15),
    Job("escalate approvals that wait", "sales.tasks.escalate_approvals", minutes=60),
    Job("send waiting mail", "billing.tasks.send_waiting_mail", minutes=1),
    Job("send waiting webhooks", "billing.tasks.send_webhooks", minutes=1),
    Job("end checkouts whose day is over", "checkout.tasks.expire_sessions", minutes=15),
    Job("finish checkouts that were left", "checkout.tasks.reconcile_checkouts", minutes=5),
    Job("forget old counters", "checkout.tasks.sweep_counters", at=time(4, 40)),
    Job("forget answers, links and logs that are over", "billing.tasks.forget", at=time(4, 50)),
    Job("compare the payment page", "config.payment_page.watch", at=time(5, 20)),
    Job("remove what is past its time", "billing.tasks.retain", at=time(5, 40)),
    Job("erase who asked for it", "billing.tasks.erase_people", minutes=10),
    Job("forget old sessions", "config.schedules.forget_old_sessions", at=time(4, 30)),
]


def forget_old_sessions() -> None:
    call_command("clearsessions")


@transaction.atomic
def write(*, jobs: list[Job], now: datetime) -> None:
    """Make the stored schedules say what `jobs` says; what has not changed keeps its next time."""
    ours = Schedule.objects.filter(name__startswith=PREFIX)
    ours.exclude(name__in=[PREFIX + job.name for job in jobs]).delete()
    for job in jobs:
        wanted = as_row(job)
        row = ours.filter(name=PREFIX + job.name).first()
        if row is None:
            Schedule.objects.create(name=PREFIX + job.name, next_run=first_run(job, now), **wanted)
        elif any(getattr(row, field) != value for field, value in wanted.items()) or moved(job, row):
            Schedule.objects.filter(pk=row.pk).update(next_run=first_run(job, now), **wanted)


def as_row(job: Job) -> dict[str, object]:
    import_string(job.function)  # a job that does not exist fails here, not at night
    kind = Schedule.DAILY if job.at else Schedule.MINUTES
    return {"func": job.function, "schedule_type": kind, "minutes": job.minutes, "repeats": -1}


def first_run(job: Job, now: datetime) -> datetime:
    """At once for a job of every few minutes; at the next time of day for a daily one."""
    if job.at is None:
        return now
    today = datetime.combine(now.date(), job.at, tzinfo=now.tzinfo)
    return today if today > now else today + timedelta(days=1)


def moved(job: Job, row: Schedule) -> bool:
    return job.at is not None and row.next_run is not None and row.next_run.time() != job.at
