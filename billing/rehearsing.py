"""What a billing run would do, before it does it. Nothing is written and nothing is held.

Each subscription is walked through its due days by the functions that bill it, on rows that are never saved.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from heapq import nlargest

from django.db.models import Sum

from billing import apportioning, invoicing, issuing, owing, running, sharing, timelines
from billing.models import BillingFailure, Customer, InvoiceLine, Seller, Subscription, TestClock

PAGE = 500
OUTLIERS = 10


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

    @property
    def change(self) -> int:
        """How far it is from the last one; nothing where there is none to compare with."""
        return 0 if self.before is None else abs(self.total - self.before)


@dataclass(frozen=True, slots=True)
class Aside:
    """A subscription that would not be billed, and why."""

    customer: str
    subscription: str
    reason: str


@dataclass(slots=True)
class Rehearsal:
    """Totals are minor units by currency. The outliers are at most a few of each currency, largest first."""

    until: datetime
    subscriptions: int = 0
    invoices: int = 0
    credit_notes: int = 0
    invoiced: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    largest: list[Paper] = field(default_factory=list)
    most_changed: list[Paper] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)

    def add(self, papers: Sequence[Paper], most: int) -> None:
        for paper in papers:
            if paper.total < 0:
                self.credit_notes += 1
                self.credited[paper.currency] -= paper.total
            else:
                self.invoices += 1
                self.invoiced[paper.currency] += paper.total
        changed = [paper for paper in papers if paper.change]
        self.largest = _outliers([*self.largest, *papers], lambda p: abs(p.total), most)
        self.most_changed = _outliers([*self.most_changed, *changed], lambda p: p.change, most)


def rehearse(
    *,
    until: datetime,
    clock: TestClock | None = None,
    most: int = OUTLIERS,
    progress: Callable[[Rehearsal], None] | None = None,
) -> Rehearsal:
    """What a run at `until` would bill (a clock's own subscriptions, or everybody's without one)."""
    found = Rehearsal(until)
    found.aside = [_kept_aside(row) for row in _failures(until, clock)]
    seller = Seller.objects.get()
    for page in _pages(until, clock):
        _rehearse(page, seller, found, most)
        if progress:
            progress(found)
    return found


def _failures(until: datetime, clock: TestClock | None) -> Iterator[BillingFailure]:
    rows = BillingFailure.objects.filter(subscription__next_due_at__lte=until, subscription__test_clock=clock)
    yield from rows.select_related("subscription").order_by("id")


def _kept_aside(row: BillingFailure) -> Aside:
    return Aside(row.subscription.customer_id, row.subscription_id, row.reason)


def _pages(until: datetime, clock: TestClock | None) -> Iterator[list[Subscription]]:
    """Everything due, whole customers at a time."""
    last = None
    customers = Customer.objects.filter(pk__in=running.due_at(until, clock).values("customer")).order_by("pk")
    while page := list(
        (customers.filter(pk__gt=last) if last else customers).values_list("pk", flat=True)[:PAGE]
    ):
        rows = running.due_at(until, clock).filter(customer__in=page)
        yield list(rows.select_related("customer__test_clock").order_by("customer", "next_due_at", "pk"))
        last = page[-1]


def _rehearse(rows: Sequence[Subscription], seller: Seller, found: Rehearsal, most: int) -> None:
    specs, facts, before = timelines.read(rows), owing.gather(rows, seller=seller), _last_totals(rows)
    drafts: list[issuing.Draft] = []
    for row in rows:
        try:
            for draft in _walk(row, specs[row.pk], facts, found.until):
                drafts.append(draft)  # noqa: PERF402 - those before a failure stay
        except Exception as error:
            found.aside.append(Aside(row.customer_id, row.pk, running.reason_of(error)))
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
        customer.pk, first, draft.cycle_on, customer.currency, draft.total, sum(known) if known else None
    )


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
