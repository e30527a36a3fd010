"""What a billing run would do, before it does it: nothing of what is billed is written or held.

Each subscription is walked through its due days by the functions that bill it, on rows that are never saved. Staff ask
for a rehearsal, which a job finds out page by page; each page and how far it is are one transaction, so a job that was
killed goes on where it stopped.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from heapq import nlargest
from typing import Any, Self

from django.db import transaction
from django.db.models import Sum
from django_q.tasks import async_task

from billing import apportioning, falling_due, invoicing, issuing, owing, running, sharing, timelines
from billing.models import (
    BillingFailure,
    BillingRehearsal,
    Customer,
    InvoiceLine,
    Seller,
    Subscription,
    TestClock,
    User,
)
from billing.refusals import Refused

log = logging.getLogger(__name__)
PAGE = 500
OUTLIERS = 10
ASIDES = 500
FAR = 2
"""A paper of more than so many times the last, or of less than its so-manyth part, is far from it."""
AT_ONCE = 100
AHEAD = timedelta(days=100)
KEPT = 20


class InvalidDay(Refused):
    """A rehearsal goes up to today, or to a day of the next hundred."""

    code = "invalid_day"


class StillRehearsing(Refused):
    """One at a time: the last has not come to its end."""

    code = "still_rehearsing"


@dataclass(frozen=True, slots=True)
class Paper:
    """An invoice (or, below zero, a credit note) that would be issued; minor units. `subscription` is the first of
    those that share it, `before` what their last invoices asked for them."""  # fmt: skip

    customer: str
    subscription: str
    on: date
    currency: str
    total: int
    before: int | None
    segment: str = ""

    @property
    def gap(self) -> int:
        """How much more it asks than the last one; nothing where there is none to compare with."""
        return 0 if self.before is None else self.total - self.before

    @property
    def change(self) -> int:
        return abs(self.gap)

    @property
    def far(self) -> str:
        """“above” or “below” its customer's last ones; "" for neither, and for the first."""
        if self.before is None or self.total == self.before:
            return ""
        if self.total > FAR * max(self.before, 0):
            return "above"
        return "below" if self.total * FAR < self.before else ""

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> Self:
        return cls(**{**stored, "on": date.fromisoformat(stored["on"])})

    def stored(self) -> dict[str, Any]:
        return {**asdict(self), "on": self.on.isoformat()}


@dataclass(frozen=True, slots=True)
class Aside:
    """A subscription that would not be billed, and why."""

    customer: str
    subscription: str
    reason: str


@dataclass(slots=True)
class Rehearsal:
    """Totals are minor units by currency, and by (segment, currency) without what is credited. The outliers are at most
    a few of each currency, largest first; of those set aside, `refused` is the number and `aside` the first of them."""

    until: datetime
    subscriptions: int = 0
    invoices: int = 0
    credit_notes: int = 0
    invoiced: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    largest: list[Paper] = field(default_factory=list)
    most_changed: list[Paper] = field(default_factory=list)
    firsts: int = 0
    above: int = 0
    below: int = 0
    by_segment: Counter[tuple[str, str]] = field(default_factory=Counter)
    papers_of: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: int = 0
    aside: list[Aside] = field(default_factory=list)

    def add(self, papers: Sequence[Paper], most: int) -> None:
        for paper in papers:
            if paper.total < 0:
                self.credit_notes += 1
                self.credited[paper.currency] -= paper.total
            else:
                self.invoices += 1
                self.invoiced[paper.currency] += paper.total
            self._compare(paper)
        changed = [paper for paper in papers if paper.change]
        self.largest = _outliers([*self.largest, *papers], lambda p: abs(p.total), most)
        self.most_changed = _outliers([*self.most_changed, *changed], lambda p: p.change, most)

    def _compare(self, paper: Paper) -> None:
        self.firsts += paper.before is None
        self.above += paper.far == "above"
        self.below += paper.far == "below"
        self.by_segment[paper.segment, paper.currency] += paper.total
        self.papers_of[paper.segment, paper.currency] += 1

    def set_aside(self, one: Aside) -> None:
        self.refused += 1
        if len(self.aside) < ASIDES:
            self.aside.append(one)

    def stored(self) -> dict[str, Any]:
        """For a JSON field; `restored` is the way back."""
        lists = {name: [paper.stored() for paper in getattr(self, name)] for name in PAPERS}
        segments = [[*pair, self.papers_of[pair], total] for pair, total in sorted(self.by_segment.items())]
        numbers = {name: getattr(self, name) for name in (*NUMBERS, *TOTALS)}
        return {**numbers, **lists, "segments": segments, "aside": [asdict(one) for one in self.aside]}

    @classmethod
    def restored(cls, until: datetime, stored: dict[str, Any]) -> Self:
        found = cls(until)
        for name in NUMBERS:
            setattr(found, name, stored.get(name, 0))
        for name in TOTALS:
            setattr(found, name, Counter(stored.get(name, {})))
        for name in PAPERS:
            setattr(found, name, [Paper.restored(each) for each in stored.get(name, ())])
        for segment, currency, papers, total in stored.get("segments", ()):
            found.by_segment[segment, currency], found.papers_of[segment, currency] = total, papers
        found.aside = [Aside(**each) for each in stored.get("aside", ())]
        return found


NUMBERS = ("subscriptions", "invoices", "credit_notes", "firsts", "above", "below", "refused")
TOTALS = ("invoiced", "credited")
PAPERS = ("largest", "most_changed")


def rehearse(
    *,
    until: datetime,
    clock: TestClock | None = None,
    most: int = OUTLIERS,
    progress: Callable[[Rehearsal], None] | None = None,
) -> Rehearsal:
    """What a run at `until` would bill (a clock's own subscriptions, or everybody's without one)."""
    found = Rehearsal(until)
    _begin(found, clock)
    seller = Seller.objects.get()
    for _, page in _pages(until, clock):
        _rehearse(page, seller, found, most)
        if progress:
            progress(found)
    return found


def _begin(found: Rehearsal, clock: TestClock | None) -> None:
    for row in _failures(found.until, clock):
        found.set_aside(_kept_aside(row))


def _failures(until: datetime, clock: TestClock | None) -> Iterator[BillingFailure]:
    rows = BillingFailure.objects.filter(subscription__next_due_at__lte=until, subscription__test_clock=clock)
    yield from rows.select_related("subscription").order_by("id")


def _kept_aside(row: BillingFailure) -> Aside:
    return Aside(row.subscription.customer_id, row.subscription_id, row.reason)


def _pages(
    until: datetime, clock: TestClock | None, last: str = ""
) -> Iterator[tuple[str, list[Subscription]]]:
    """Everything due, whole customers at a time: (the last of them, what is due)."""
    customers = Customer.objects.filter(pk__in=falling_due.due_at(until, clock).values("customer")).order_by(
        "pk"
    )
    while page := list(
        (customers.filter(pk__gt=last) if last else customers).values_list("pk", flat=True)[:PAGE]
    ):
        rows = falling_due.due_at(until, clock).filter(customer__in=page)
        last = page[-1]
        known = rows.select_related("customer__test_clock", "customer__segment")
        yield last, list(known.order_by("customer", "next_due_at", "pk"))


def _rehearse(rows: Sequence[Subscription], seller: Seller, found: Rehearsal, most: int) -> None:
    specs, facts, before = timelines.read(rows), owing.gather(rows, seller=seller), _last_totals(rows)
    drafts: list[issuing.Draft] = []
    for row in rows:
        try:
            for draft in _walk(row, specs[row.pk], facts, found.until):
                drafts.append(draft)  # noqa: PERF402 - those before a failure stay
        except Exception as error:
            found.set_aside(Aside(row.customer_id, row.pk, running.reason_of(error)))
    papers = {paper.id: paper for paper in sharing.together(drafts).values()}
    found.subscriptions += len(rows)
    found.add([_paper(draft, before) for draft in papers.values()], most)


def _walk(
    row: Subscription, specs: Sequence[timelines.PhaseSpec], facts: owing.Facts, until: datetime
) -> Iterator[issuing.Draft]:
    """One due day after the other, as `running` does it. What a paper says counts for the next one."""
    said = dict(facts.said.get(row.pk, {}))
    facts = replace(facts, said={row.pk: said})
    while row.next_due_at is not None and row.next_due_at <= until:
        day = timelines.local_day(row, row.next_due_at)
        specs = timelines.ended(specs, day) if row.end_on == day else specs
        draft = invoicing.drafted(invoicing.Due(row, day, until, day, specs=specs), facts, "system")
        if draft is not None:
            yield draft if row.customer.consolidate_invoices else _possible(draft)
            owing.tell(said, draft.lines)
        if row.end_on == day:
            return
        timelines.refresh(row, specs)


def _possible(draft: issuing.Draft) -> issuing.Draft:
    """Raises NothingToCredit, as issuing it would."""
    if draft.total < 0:
        apportioning.shares(draft.customer, draft.lines, -draft.total)
    return draft


def _paper(draft: issuing.Draft, before: dict[str, int]) -> Paper:
    """The paper of a draft, which is then the last one of its subscriptions in `before`."""
    assert draft.cycle_on is not None
    asked: Counter[str] = Counter()
    for line in draft.lines:
        asked[str(line.subscription_id)] += line.net + line.tax_amount
    known = [before[pk] for pk in asked if pk in before]
    before.update(asked)
    customer, first = draft.customer, next(iter(asked))
    return Paper(
        customer.pk, first, draft.cycle_on, customer.currency, draft.total, sum(known) if known else None,
        customer.segment.name if customer.segment else "",
    )  # fmt: skip


def _last_totals(rows: Sequence[Subscription]) -> dict[str, int]:
    """What the last invoice of each subscription asked for it."""
    lines = InvoiceLine.objects.filter(
        subscription__in=[row.pk for row in rows], invoice__voided_at__isnull=True
    )
    newest = lines.order_by("subscription", "-invoice__issued_at", "-invoice").distinct("subscription")
    last = dict(newest.values_list("subscription", "invoice"))
    sums = InvoiceLine.objects.filter(invoice__in=last.values(), subscription__in=last).order_by()
    grouped = sums.values_list("subscription", "invoice").annotate(asked=Sum("net") + Sum("tax_amount"))
    return {pk: asked for pk, invoice, asked in grouped if last[pk] == invoice}


def _outliers(papers: Sequence[Paper], size: Callable[[Paper], int], most: int) -> list[Paper]:
    """The largest of each currency."""
    by_currency: dict[str, list[Paper]] = defaultdict(list)
    for paper in papers:
        by_currency[paper.currency].append(paper)
    return [p for currency in sorted(by_currency) for p in nlargest(most, by_currency[currency], key=size)]


# -- Asked for by staff --------------------------------------------------------------------------------------


def end_of(day: date) -> datetime:
    """The last second of a day in UTC: what is due on it is due by then."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC) - timedelta(seconds=1)


def ask(*, day: date, now: datetime, by: User) -> BillingRehearsal:
    """Have it found out what a run at the end of a day would do: at once where that is little, else by a job.

    Raises InvalidDay, StillRehearsing. The last few are kept.
    """
    if not now.date() <= day <= (now + AHEAD).date():
        raise InvalidDay(f"Choose today or a day up to {now + AHEAD:%-d %B %Y}.", field="day")
    if BillingRehearsal.objects.filter(status__in=BillingRehearsal.OPEN, asked_at__gt=now - RIPE).exists():
        raise StillRehearsing("The last dry run has not come to its end yet.")
    until = end_of(day)
    with transaction.atomic():
        due = falling_due.due_at(until, None).count()
        row = BillingRehearsal.objects.create(until=until, due=due, asked_at=now, asked_by=by)
        kept = BillingRehearsal.objects.order_by("-asked_at").values("pk")[:KEPT]
        BillingRehearsal.objects.exclude(pk__in=kept).delete()
        if due > AT_ONCE:
            async_task("billing.tasks.rehearse", row.pk)
            return row
    return work(rehearsal_id=row.pk, clock=lambda: now) or row


RIPE = timedelta(hours=1)
"""After so long nobody waits for a rehearsal whose job never came."""


def work(
    *, rehearsal_id: str, clock: Callable[[], datetime], enough: Callable[[], bool] = lambda: False
) -> BillingRehearsal | None:
    """Go on with it, until its end or until there is `enough`. None when it is gone.

    May run twice, also at once: a page is taken by who holds the row. What goes wrong ends it, and is kept.
    """
    try:
        while (row := _page(rehearsal_id, clock())) is not None and row.status in BillingRehearsal.OPEN:
            if enough():
                break
    except Exception as error:
        log.exception("The dry run %s could not be finished.", rehearsal_id)
        return _failed(rehearsal_id, error, clock())
    return row


def _failed(rehearsal_id: str, error: Exception, now: datetime) -> BillingRehearsal | None:
    BillingRehearsal.objects.filter(pk=rehearsal_id).update(
        status=BillingRehearsal.Status.FAILED, problem=running.reason_of(error), finished_at=now
    )
    return BillingRehearsal.objects.filter(pk=rehearsal_id).first()


@transaction.atomic
def _page(rehearsal_id: str, now: datetime) -> BillingRehearsal | None:
    """The next customers, and what was found so far."""
    row = BillingRehearsal.objects.select_for_update().filter(pk=rehearsal_id).first()
    if row is None or row.status not in BillingRehearsal.OPEN:
        return row
    found = Rehearsal.restored(row.until, row.found)
    if row.status == BillingRehearsal.Status.WAITING:
        _begin(found, None)
    page = next(_pages(row.until, None, row.last), None)
    if page is None:
        row.status, row.finished_at = BillingRehearsal.Status.DONE, now
    else:
        row.status, row.last = BillingRehearsal.Status.RUNNING, page[0]
        _rehearse(page[1], Seller.objects.get(), found, OUTLIERS)
    row.found = found.stored()
    row.save()
    return row
