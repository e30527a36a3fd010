"""Jobs, one call each. The queue stands in the database, so a job commits or rolls back with its cause.

Every job may run late, twice, or on two workers at once.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone
from django_q.tasks import async_task

from billing import (
    auditing,
    carrying_out,
    chaining,
    clocks,
    collecting,
    disputing,
    dunning,
    erasing,
    expiring,
    figures,
    importing,
    jobs,
    joining,
    mail,
    noticing,
    portal_links,
    printing,
    refunding,
    rehearsing,
    renewing,
    retaining,
    running,
    segmenting,
    tallying,
    throttling,
    webhooks_out,
)
from billing.api import idempotency
from billing.models import BillingRehearsal, Mail, ProviderEvent, TestClock

log = logging.getLogger(__name__)
# How long a job bills, collects or sends before it lets the worker go. In ten seconds a stopped worker should be gone.
SHIFT = timedelta(seconds=3)


def send_mail(mail_id: str) -> None:
    """Send one mail; nothing when it is gone or sent."""
    row = Mail.objects.select_related("document").filter(pk=mail_id, sent_at__isnull=True).first()
    if row is not None:
        mail.deliver(row, now=timezone.now())


def send_waiting_mail() -> int:
    """Send what a dead worker or a mail server out of order left, each less often the longer it fails; for a shift, so
    that thousands that have not had their turn yet keep no worker."""
    now, enough, sent = timezone.now(), _shift(), 0
    waiting = Mail.objects.filter(sent_at__isnull=True, attempts__lt=mail.MOST_ATTEMPTS)
    for row in waiting.select_related("document").order_by("created_at")[:500]:
        if row.tried_at is None or row.tried_at + timedelta(minutes=2**row.attempts) < now:
            sent += _try(row)
            if enough():
                break
    return sent


def _try(row: Mail) -> bool:
    """One mail that cannot go must not hold up the others; its row keeps the reason."""
    try:
        return mail.deliver(row, now=timezone.now())
    except Exception:
        return False


# -- Billing ------------------------------------------------------------------------------------------------


def recompute_segments() -> int:
    """Nightly: customers are where their ARR belongs."""
    return segmenting.recompute(now=timezone.now())


def carry_credit() -> int:
    """Nightly: credit of accounts that became parts of others."""
    return joining.carry_credit(now=timezone.now())


def run_billing() -> int:
    """Bill what is due now, for a shift; the next job goes on. So a worker that is asked to stop soon has, and the
    queue takes no run for one that hangs."""
    result = running.run(now=timezone.now(), threads=running.THREADS, enough=_shift())
    if result.stopped:
        async_task("billing.tasks.run_billing")
    return result.invoices


def rehearse(rehearsal_id: str) -> None:
    """Find out what a billing run would do, for a shift; the next job goes on."""
    row = rehearsing.work(rehearsal_id=rehearsal_id, clock=timezone.now, enough=_shift())
    if row is not None and row.status in BillingRehearsal.OPEN:
        async_task("billing.tasks.rehearse", rehearsal_id)


def after_issue(clock_id: str | None = None) -> None:
    """What follows new invoices: charge the cards, send the papers, for a shift; the next job goes on. On a test clock,
    at its time."""
    clock = TestClock.objects.filter(pk=clock_id).first() if clock_id else None
    now, enough = clocks.now_on(clock), _shift()
    done = collecting.send_new(now=now, clock=clock, enough=enough)
    done += collecting.collect_due(now=now, clock=clock, enough=enough)
    if _goes_on(done, enough):
        async_task("billing.tasks.after_issue", clock_id)


def _shift() -> Callable[[], bool]:
    """Says when a shift that begins now is over."""
    end = timezone.now() + SHIFT
    return lambda: timezone.now() >= end


def _goes_on(done: int, enough: Callable[[], bool]) -> bool:
    """Whether there may be more of what was done so often. What nothing could be done of waits for its schedule."""
    return done >= collecting.AT_ONCE or (done > 0 and enough())


def print_paper(invoice_id: str) -> None:
    """Store the PDF of one invoice."""
    printing.print_invoice(invoice_id)


def import_usage(import_id: str) -> None:
    """Take in a file of usage events, or what a killed job left of it."""
    importing.work(import_id=import_id)


# -- Telling the seller's systems --------------------------------------------------------------------------


def send_webhooks() -> int:
    """Send what endpoints wait for; when the shift ends before the work does, call the next."""
    tries = webhooks_out.work(clock=timezone.now)
    webhooks_out.wake()
    return tries


# -- Keeping no longer than promised ------------------------------------------------------------------------


def forget() -> int:
    """Drop old answers to repeatable requests, jobs that were done, spent links into the portal, old logs of webhooks."""
    now = timezone.now()
    parts = (idempotency, jobs, portal_links, throttling, webhooks_out)
    return sum(part.forget(now=now) for part in parts)


def retain() -> int:
    """Nightly: remove what is older than somebody has said that it is to be kept."""
    return sum(done.rows for done in retaining.apply(now=timezone.now(), actor="system"))


def erase_people() -> int:
    """Carry out the erasures that staff asked for."""
    return erasing.finish(now=timezone.now())


# -- Collecting ---------------------------------------------------------------------------------------------


def collect_due() -> int:
    """Try the open card invoices whose time has come, for a shift; while any can be tried, the next job goes on."""
    enough = _shift()
    tried = collecting.collect_due(now=timezone.now(), enough=enough)
    if _goes_on(tried, enough):
        async_task("billing.tasks.collect_due")
    return tried


def say_overdue() -> int:
    """Say of open invoices that their due day has passed."""
    return collecting.overdue(now=timezone.now())


def warn_of_expiring_cards() -> int:
    """Tell customers in the last month of the card that is charged."""
    return expiring.warn(now=timezone.now())


def remind() -> int:
    """Remind of open invoices, and end what stayed unpaid."""
    return dunning.remind(now=timezone.now())


def give_notice() -> int:
    """Say of trials and contracts that they end, and renew the contracts whose term is up."""
    return renewing.notify(now=timezone.now())


def reconcile_payments() -> int:
    """Ask the provider about every attempt and refund without a final answer, and give up what nobody confirms."""
    now = timezone.now()
    done = _again_what_waits(now) + collecting.reconcile(now=now) + refunding.reconcile(now=now)
    return done + collecting.give_up_unconfirmed(now=now)


def finish_signed() -> int:
    """Do what a second person has signed, where a dead worker left it."""
    return carrying_out.finish(now=timezone.now())


def reconcile_disputes() -> int:
    """Ask the provider about every dispute that is open, or that no webhook has told of."""
    return disputing.reconcile(now=timezone.now())


def reconcile_refunds() -> int:
    """Find the refunds that were made in the provider's own pages and that no webhook has told of."""
    return noticing.reconcile(now=timezone.now())


def compare_charges() -> int:
    """Nightly: the provider's list of charges against ours; what differs is mailed to the seller."""
    return tallying.watch(now=timezone.now())


def chain_facts() -> int:
    """What was recorded since the last hour becomes a part of the chain; answers how many links it has now."""
    return chaining.extend(now=timezone.now())


def ask_books() -> int:
    """Nightly: whether what must hold of the data does; what does not is mailed to the seller."""
    return auditing.watch(now=timezone.now())


def fold_figures() -> None:
    """Sums that were added bit by bit become one row each."""
    figures.fold()


def check_figures() -> int:
    """Nightly: the sums of the metrics against what they sum up; answers how many were wrong, and are right now."""
    return len(figures.check())


def apply_stripe_event(event_id: str) -> None:
    """Act on one noted event of the provider."""
    event = ProviderEvent.objects.filter(provider_id=event_id, applied_at__isnull=True).first()
    if event is not None:
        now = timezone.now()
        collecting.apply_provider_event(event.payload, now)
        noticing.apply_provider_event(event.payload, now)
        disputing.apply_provider_event(event.payload, now)
        ProviderEvent.objects.filter(pk=event.pk).update(applied_at=now)


def _again_what_waits(now: datetime) -> int:
    """Events whose job failed, or died: for a week. One that cannot be acted on holds up no other."""
    recent = {"received_at__lt": now - timedelta(minutes=5), "received_at__gt": now - timedelta(days=7)}
    waiting = ProviderEvent.objects.filter(applied_at__isnull=True, **recent).order_by("received_at", "pk")
    return sum(_applied(id) for id in list(waiting.values_list("provider_id", flat=True)[:200]))


def _applied(event_id: str) -> bool:
    try:
        apply_stripe_event(event_id)
    except Exception:
        log.exception("The provider's event %s still waits.", event_id)
        return False
    return True


def advance_clock(clock_id: str, actor: str = "system") -> None:
    """Move a test clock to where it was sent; a job that was killed on the way goes on when it is tried again."""
    clock = TestClock.objects.filter(pk=clock_id, target__isnull=False, deleted_at__isnull=True).first()
    if clock is None or clock.target is None:
        return
    try:
        running.advance(clock=clock, to=clock.target, actor=actor)
    except clocks.Moving:
        log.info("Clock %s is being moved by another process.", clock_id)
