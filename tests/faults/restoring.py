"""F37: a dump, or a base backup with the log that follows it, is taken while workers bill and charge, and they go on.

It is restored in another cluster, the second kind to a moment in the middle of a run: what it has holds together, what
was charged after it is told by the provider's list, somebody says what it was, work goes on.
"""

import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connection

from tests.faults import clusters, judging, processes, work
from tests.faults.kills import Report, Round, a_round
from tests.faults.stops import until

if TYPE_CHECKING:
    from billing.tallying import Difference


def run(*, seed: int, customers: int = 15, before: float = 2.0, after: float = 2.0) -> Report:
    """before, after: seconds of work until the dump is begun, and from the first charge that it does not know of
    until everything is lost."""
    from django.utils import timezone

    started, report = time.monotonic(), Report("restored from a dump", seed)
    with clusters.cluster() as other, a_round(seed, customers=customers) as this:
        living = [this.worker() for _ in range(2)]
        try:
            this.clock.advance(days=40)
            time.sleep(before)
            dumped = timezone.now()
            clusters.copied(other, rows=True)
            asked = attempts()
            this.clock.advance(days=31)
            until(lambda: charged(this) - asked)
            time.sleep(after)
        finally:
            for pid in living:
                processes.kill(pid)
        with clusters.at(other.socket):
            report.found = goes_on(this, report, dumped)
    report.seconds = time.monotonic() - started
    return report


def to_a_moment(*, seed: int, customers: int = 15, before: float = 2.0, after: float = 2.0) -> Report:
    """before, after: seconds of work from the base backup until that moment, and from the first charge that it does
    not know of."""
    started, report = time.monotonic(), Report("restored to a moment", seed)
    with clusters.servers(2) as (primary, other), tempfile.TemporaryDirectory() as folder:
        archive = primary.archives()
        primary.start()
        clusters.copied(primary)
        address = clusters.Address(Path(folder), primary)
        with clusters.at(address.folder), a_round(seed, customers=customers) as this:
            living = [this.worker() for _ in range(2)]
            try:
                this.clock.advance(days=40)
                other.takes(primary)
                time.sleep(before)
                ((moment, there),) = primary.ask(AT_THAT_MOMENT)
                asked = attempts()
                this.clock.advance(days=31)
                until(lambda: charged(this) - asked)
                time.sleep(after)
            finally:
                for pid in living:
                    processes.kill(pid)
            primary.archived()
            primary.kill()
            other.recovers(archive, moment)
            address.leads_to(other)
            connection.close()
            lost = there - other.ask(AT_THAT_MOMENT)[0][1]
            report.found = {"lost": [f"{lost} invoices"] if lost > 0 else [], **goes_on(this, report, moment)}
    report.seconds = time.monotonic() - started
    return report


def attempts() -> set[str]:
    """Keys of all that the database knows of, answered or not: a charge of one of them is no surprise to it later."""
    from billing.models import Payment

    return set(Payment.objects.values_list("key", flat=True))


def charged(this: Round) -> set[str]:
    return {
        charge["metadata"]["tandem_key"]
        for charge in this.provider.charges()
        if charge["status"] == "succeeded"
    }


# The time of the database, and how many invoices it had then.
AT_THAT_MOMENT = "select clock_timestamp(), count(*) from billing_invoice where number <> ''"


def goes_on(this: Round, report: Report, dumped: datetime) -> dict[str, list[str]]:
    """As docs/operating.md says it."""
    from django.utils import timezone

    from billing import collecting, noticing, refunding, tallying
    from billing.models import Invoice

    # An attempt of the world's time, months ago, has no answer for longer than a day (I-17).
    found = {"books of the dump": [row for row in judging.broken_books() if not row.startswith("I-17 ")]}
    for reconcile in (collecting.reconcile, refunding.reconcile):
        reconcile(now=timezone.now(), older_than=work.NO_WAIT)
    noticing.reconcile(now=timezone.now())
    later = tallying.differences(since=dumped, until=timezone.now())
    found["later charges that nobody tells of"] = sorted(later_charges(this) - {one.key for one in later})
    report.counts.update({"charged after the dump": len(later), "invoices in it": Invoice.objects.count()})
    for one in later:
        say_what_it_was(this, one)
    work.finish(this.clock)
    report.counts["invoices in the end"] = Invoice.objects.count()
    found |= {"books": judging.broken_books(), "set aside": judging.set_aside()}
    found["asked twice"] = asked_twice(this)
    found["never heard"] = judging.against_receiver(this.receiver)["never heard"] if this.receiver else []
    return found


def later_charges(this: Round) -> set[str]:
    from billing.models import Payment

    known = set(Payment.objects.values_list("provider_id", flat=True))
    return {
        charge["metadata"]["tandem_key"]
        for charge in this.provider.charges()
        if charge["status"] == "succeeded" and charge["payment_intent"] not in known
    }


def say_what_it_was(this: Round, one: "Difference") -> None:
    """Staff: what pays an invoice that the dump has is booked there; the rest goes back to the card."""
    from billing import collecting
    from billing.gateway import gateway
    from billing.models import Invoice

    kept = left_of(this, one.intent_id)
    if not kept:
        return
    invoice = Invoice.objects.filter(pk=one.key.rpartition("-")[0], status="open").first()
    if invoice is None:
        gateway().refund(
            key=f"restored-{one.key}", payment_intent=one.intent_id, amount=kept, currency=one.currency
        )
        return
    collecting.record_transfer(
        invoice=invoice, amount=kept, reference=one.intent_id, paid_at=this.clock(), now=this.clock(),
        actor="system",
    )  # fmt: skip


def left_of(this: Round, intent: str) -> int:
    """What has not gone back to the card since."""
    charges = (row for row in this.provider.charges() if row["payment_intent"] == intent)
    return sum(row["amount"] - row["amount_refunded"] for row in charges if row["status"] == "succeeded")


def asked_twice(this: Round) -> list[str]:
    """Customers from whose cards more was taken, and not given back, than their invoices asked for."""
    from django.db.models import Sum

    from billing.models import Customer

    taken: dict[str, int] = {}
    for charge in this.provider.charges():
        if charge["status"] == "succeeded":
            who = charge["customer"]
            taken[who] = taken.get(who, 0) + charge["amount"] - charge["amount_refunded"]
    asked = dict(
        Customer.objects.exclude(provider_id="")
        .annotate(asked=Sum("invoices__total"))
        .values_list("provider_id", "asked")
    )
    return [
        f"{who}: {amount} taken, {asked.get(who)} asked for"
        for who, amount in taken.items()
        if amount > (asked.get(who) or 0)
    ]
