"""What is old enough goes: each kind of rows after the days that somebody set for it, and none without a setting.

Numbers, amounts and hashes never go. What an issued paper was printed on, and to whom it was, may go after ten years;
the database refuses it earlier, whatever is set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import CASCADE, Q, QuerySet
from django_q.models import Task

from billing.events import record
from billing.models import (
    CreditNote,
    Document,
    Event,
    Invoice,
    KeptMail,
    Mail,
    ProviderEvent,
    RetentionRule,
)
from billing.refusals import Refused
from billing.removing import removing

# The longest months and leap years of ten years, and a day.
TEN_YEARS = 3654
YEAR = 367
NOBODY = {"name": "No longer kept"}
AT_ONCE = 1000


class TooShort(Refused):
    """The law, or what Tandem still needs the rows for, asks for longer."""

    code = "retention_too_short"


def _delete(rows: QuerySet[Any]) -> int:
    return int(rows.delete()[0])


def _forget_facts(facts: QuerySet[Event]) -> int:
    """By the database: no role but the table's owner may delete them. What is about them goes first."""
    keys = list(facts.values_list("pk", flat=True))
    for relation in Event._meta.related_objects:
        if relation.on_delete is CASCADE:
            relation.related_model._default_manager.filter(**{f"{relation.field.name}__in": keys}).delete()
    with connection.cursor() as cursor:
        cursor.execute("select tandem_forget_facts(%s)", [keys])
        (gone,) = cursor.fetchone()
    return int(gone)


def _empty(papers: QuerySet[Any]) -> int:
    return papers.update(content=b"")


def _forget_buyer(papers: QuerySet[Any]) -> int:
    return papers.update(bill_to=NOBODY)


def _settled(before: datetime) -> QuerySet[Invoice]:
    """An old invoice that still asks for money keeps to whom it was."""
    asking = Q(status=Invoice.Status.OPEN)
    return Invoice.objects.filter(issued_at__lt=before).exclude(asking).exclude(bill_to=NOBODY)


def _papers(before: datetime) -> QuerySet[Document]:
    open_ones = Invoice.objects.filter(status=Invoice.Status.OPEN, document__isnull=False)
    return (
        Document.objects.filter(created_at__lt=before)
        .exclude(content=b"")
        .exclude(pk__in=open_ones.values("document"))
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """`parts` are (the rows older than a time, what is done with them; it answers how many). `least` is in days."""

    words: str
    least: int
    why: str
    parts: tuple[tuple[Callable[[datetime], QuerySet[Any]], Callable[[QuerySet[Any]], int]], ...]


KINDS: dict[str, Kind] = {
    "papers": Kind(
        "PDFs of invoices, credit notes and quotes, and to whom they were", TEN_YEARS, "the law: ten years",
        (
            (_papers, _empty), (_settled, _forget_buyer),
            (lambda before: CreditNote.objects.filter(issued_at__lt=before).exclude(bill_to=NOBODY), _forget_buyer),
        ),
    ),
    "events": Kind(
        "Facts: the timeline of customers and who did what", YEAR, "audits look back a year",
        ((lambda before: Event.objects.filter(recorded_at__lt=before, deliveries__isnull=True), _forget_facts),),
    ),
    "log_entries": Kind(
        "What was changed in the admin’s forms", YEAR, "audits look back a year",
        ((lambda before: LogEntry.objects.filter(action_time__lt=before), _delete),),
    ),
    "mails": Kind(
        "Mails that were sent", 90, "reminders look back at what was written",
        (
            (lambda before: Mail.objects.filter(sent_at__lt=before), _delete),
            (lambda before: KeptMail.objects.filter(at__lt=before), _delete),
        ),
    ),
    "provider_events": Kind(
        "What Stripe told", 30, "Stripe may tell it again",
        ((lambda before: ProviderEvent.objects.filter(applied_at__lt=before), _delete),),
    ),
    "jobs": Kind(
        "Jobs that failed; done ones go after 7 days", 7, "somebody may still look into them",
        ((lambda before: Task.objects.filter(stopped__lt=before), _delete),),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Due:
    """What one rule would remove: rows of `kind` from before `before`."""

    kind: str
    before: datetime
    rows: int


def check(kind: str, days: int | None) -> None:
    """Raises TooShort."""
    least = KINDS[kind].least
    if days is not None and days < least:
        raise TooShort(f"At least {least} days: {KINDS[kind].why}. Empty keeps them for ever.", field="days")


def due(*, now: datetime) -> list[Due]:
    """What would go now; changes nothing. Kinds without a setting are not named. Raises TooShort."""
    rules = RetentionRule.objects.filter(days__isnull=False, kind__in=KINDS).order_by("kind")
    return [due_of(rule, now=now) for rule in rules]


def due_of(rule: RetentionRule, *, now: datetime) -> Due:
    """What one rule that has days would remove now. Raises TooShort."""
    assert rule.days is not None
    check(rule.kind, rule.days)
    before = now - timedelta(days=rule.days)
    return Due(rule.kind, before, sum(rows(before).count() for rows, _ in KINDS[rule.kind].parts))


def apply(*, now: datetime, actor: str) -> list[Due]:
    """Remove what is due, piece by piece, and write down how much of what. Repeatable; answers what went."""
    return [done for each in due(now=now) if (done := _applied(each, now, actor)).rows]


def _applied(each: Due, now: datetime, actor: str) -> Due:
    gone = (
        sum(_piecemeal(rows(each.before), remove) for rows, remove in KINDS[each.kind].parts)
        if each.rows
        else 0
    )
    if gone:
        with removing("retention"):
            rule = RetentionRule.objects.select_for_update().get(pk=each.kind)
            rule.removed_before = max(filter(None, (rule.removed_before, each.before)))
            rule.save(update_fields=["removed_before"])
            data = {"kind": each.kind, "before": each.before.isoformat(), "rows": gone}
            subject = SimpleNamespace(pk=f"ret_{each.kind}")
            record("retention.applied", subject=subject, actor=actor, now=now, data=data, livemode=True)
    return Due(each.kind, each.before, gone)


def _piecemeal(rows: QuerySet[Any], remove: Callable[[QuerySet[Any]], int]) -> int:
    """Oldest first, a thousand in a transaction: nobody waits long, and a death loses one piece of work."""
    gone = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        with removing("retention"):
            remove(rows.model._default_manager.filter(pk__in=keys))
        gone += len(keys)
    return gone
