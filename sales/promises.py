"""What was signed against what is invoiced: every invoice of a quote's schedule, kept, changed, or an alarm.

A schedule holds as long as the quote's own terms are in force. From the day on which something else was agreed
(seats, another plan, an end), later rows are shown as changed and alarm nobody.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from billing.events import record
from billing.maths.periods import local_date
from billing.models import Event, InvoiceLine, Phase
from sales import addresses, handing_over
from sales.models import Quote

DIFFERS = "quote.schedule_differs"
GRACE = timedelta(days=2)
BATCH = 200
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What stands on the papers of one day, without usage, and what usage came to; minor units."""

    amount: int = 0
    tax: int = 0
    numbers: tuple[str, ...] = ()
    used: int = 0
    used_tax: int = 0

    @property
    def total(self) -> int:
        return self.amount + self.tax


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the schedule and what became of it; `invoiced` is None before there is anything."""

    date: date
    words: str
    amount: int
    tax: int
    invoiced: Invoiced | None
    state: str

    @property
    def total(self) -> int:
        return self.amount + self.tax

    @property
    def broken(self) -> bool:
        return self.state in ("differs", "missing")


STATES = {
    "to_come": ("To come", ""), "kept": ("As signed", "good"), "changed": ("Terms changed since", ""),
    "differs": ("Differs", "bad"), "missing": ("Not invoiced", "bad"),
}  # fmt: skip


# -- Comparing: pure ---------------------------------------------------------------------------------------


def compare(
    schedule: Iterable[Mapping[str, Any]],
    invoiced: Mapping[date, Invoiced],
    *,
    changed_on: date | None,
    today: date,
) -> list[Promise]:
    """The rows of a schedule with their state on `today`; `changed_on` is the first day of other terms."""
    made = []
    for row in schedule:
        day = date.fromisoformat(row["date"])
        committed = Invoiced(row.get("committed", 0), row.get("committed_tax", 0))
        alone = committed.amount == row["amount"]
        found = _with_committed(invoiced.get(day), committed, alone)
        state = _state(row["amount"], row["tax"], found, late=day + GRACE < today)
        if changed_on is not None and day >= changed_on and state not in ("kept", "to_come"):
            state = "changed"
        made.append(Promise(day, row["words"], row["amount"], row["tax"], found, state))
    return made


def _with_committed(found: Invoiced | None, committed: Invoiced, alone: bool) -> Invoiced | None:
    """Where so much of usage was promised, so much of what was asked for it counts, or all if it is less.

    `alone`: nothing else was promised for the day, on which the next term may begin.
    """
    if found is None or not committed.amount:
        return found
    whole = found.used >= committed.amount
    more, tax = (committed.amount, committed.tax) if whole else (found.used, found.used_tax)
    rest = (0, 0) if alone else (found.amount, found.tax)
    return replace(found, amount=rest[0] + more, tax=rest[1] + tax)


def _state(amount: int, tax: int, found: Invoiced | None, *, late: bool) -> str:
    if found is not None:
        return "kept" if (found.amount, found.tax) == (amount, tax) else "differs"
    if amount + tax <= 0:
        return "kept"  # a credit, or nothing: there is no invoice to wait for
    return "missing" if late else "to_come"


# -- Reading -------------------------------------------------------------------------------------------------


def of(quote: Quote, *, now: datetime) -> list[Promise]:
    """The schedule of a signed quote and how it was kept; nothing for one that nobody signed."""
    return _all([quote], {quote.pk: now}).get(quote.pk, [])


def _all(quotes: Sequence[Quote], moments: Mapping[str, datetime]) -> dict[str, list[Promise]]:
    signed = [
        q for q in quotes if q.state in (Quote.State.ACCEPTED, Quote.State.CONVERTED) and q.subscription_id
    ]
    papers = _papers([str(q.subscription_id) for q in signed])
    ends = _changes(signed)
    return {
        q.pk: compare(
            q.schedule, papers.get(str(q.subscription_id), {}), changed_on=ends.get(q.pk),
            today=local_date(moments[q.pk], q.customer.timezone if q.customer else "UTC"),
        )
        for q in signed
    }  # fmt: skip


def _papers(subscriptions: Sequence[str]) -> dict[str, dict[date, Invoiced]]:
    rows = InvoiceLine.objects.filter(subscription__in=subscriptions).exclude(
        invoice__status__in=["draft", "void"]
    )
    sums: dict[str, dict[date, Invoiced]] = defaultdict(dict)
    wanted = (
        "subscription_id", "invoice__cycle_on", "invoice__issued_at", "subscription__customer__timezone",
        "invoice__number", "price__kind", "net", "tax_amount",
    )  # fmt: skip
    for pk, cycle_on, at, zone, number, of, net, tax in rows.order_by("invoice__number").values_list(*wanted):
        # The day in the customer's zone, as in the schedule; papers print the seller's.
        day = cycle_on or local_date(at, zone)
        before = sums[pk].get(day, Invoiced())
        numbers = before.numbers if number in before.numbers else (*before.numbers, number)
        sums[pk][day] = replace(_more(before, str(of), net, tax), numbers=numbers)
    return sums


def _more(before: Invoiced, of: str, net: int, tax: int) -> Invoiced:
    """With another line, by the kind of its price; what a plan's minimum spend adds was promised by nobody."""
    if of == "minimum":
        return before
    if of == "usage":
        return replace(before, used=before.used + net, used_tax=before.used_tax + tax)
    return replace(before, amount=before.amount + net, tax=before.tax + tax)


def _changes(quotes: Sequence[Quote]) -> dict[str, date]:
    """The first day on which something other than the quote's own terms is in force, after they began."""
    by_subscription: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    rows = Phase.objects.filter(subscription__in=[q.subscription_id for q in quotes]).order_by("start_on")
    for row in rows.values("subscription_id", "source", "start_on", "end_on"):
        by_subscription[row["subscription_id"]].append(row)
    found = {}
    for quote in quotes:
        phases = [p for p in by_subscription[quote.subscription_id] if p["end_on"] != p["start_on"]]
        own = [p for p in phases if p["source"] == quote.pk]
        day = _first_other(own, phases)
        if day is not None:
            found[quote.pk] = day
    return found


def _first_other(own: Sequence[Mapping[str, Any]], phases: Sequence[Mapping[str, Any]]) -> date | None:
    if not own:
        return date.min  # replaced before it began
    others = [p["start_on"] for p in phases if p not in own and p["start_on"] >= own[0]["start_on"]]
    ended = [own[-1]["end_on"]] if own[-1]["end_on"] else []
    return min([*others, *ended], default=None)


# -- Watching --------------------------------------------------------------------------------------------------


def check(*, now: datetime) -> int:
    """Nightly: compare every signed schedule with its invoices. A difference alarms once; answers how many new."""
    rows = Quote.objects.filter(
        state__in=[Quote.State.ACCEPTED, Quote.State.CONVERTED], subscription__isnull=False
    )
    rows = rows.select_related("customer__test_clock", "customer__owner", "owner").order_by("pk")
    return sum(_check(batch, now) for batch in _batches(rows))


def _batches(rows: Any) -> Iterable[list[Quote]]:
    last: str | None = None
    while batch := list((rows.filter(pk__gt=last) if last else rows)[:BATCH]):
        yield batch
        last = batch[-1].pk


def _check(quotes: Sequence[Quote], now: datetime) -> int:
    moments = {q.pk: q.customer.on_clock(now) if q.customer else now for q in quotes}
    found = _all(quotes, moments)
    return sum(_alarm(q, each, moments[q.pk]) for q in quotes for each in found.get(q.pk, ()) if each.broken)


@transaction.atomic
def _alarm(quote: Quote, promise: Promise, now: datetime) -> bool:
    """Once for each row of a schedule: the fact, the log, and work for the owner."""
    row = Quote.objects.select_for_update(of=("self",)).select_related("customer", "owner").get(pk=quote.pk)
    day = promise.date.isoformat()
    if row.customer is None or Event.objects.filter(object_id=row.pk, type=DIFFERS, data__date=day).exists():
        return False
    words = words_of(row, promise)
    found = promise.invoiced or Invoiced()
    data = {
        "date": day, "promised": promise.total, "invoiced": found.total, "currency": row.currency,
        "invoices": list(found.numbers), "reason": words,
    }  # fmt: skip
    record(DIFFERS, subject=row, actor="system", now=now, data=data)
    log.error("signed schedule not kept: %s", words)
    handing_over.raise_by_hand(
        customer=row.customer, reason=words, now=now, actor="system", owner=row.owner or row.customer.owner
    )
    return True


def words_of(quote: Quote, promise: Promise) -> str:
    """“Quote Q-0007: 1 March 2026 was signed as $100.00, invoiced are $90.00 (INV-12)”."""
    signed = addresses.money(promise.total, quote.currency)
    start = f"Quote {quote}: {promise.date:%-d %B %Y} was signed as {signed}"
    if promise.invoiced is None:
        return f"{start}, nothing was invoiced"
    found = addresses.money(promise.invoiced.total, quote.currency)
    return f"{start}, invoiced are {found} ({' '.join(promise.invoiced.numbers)})"
