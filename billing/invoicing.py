"""From what is owed to issued papers. One way for one subscription or a thousand.

`owing` says what is owed and not yet said, a pure function makes drafts of it, `issuing` writes them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from django.db import models

from billing import apportioning, bulk, issuing, owing, returning, sharing, taxes, timelines
from billing.issuing import Draft, DraftLine, Issued, Paid
from billing.maths import timeline
from billing.maths.periods import ONE_DAY
from billing.models import CreditNote, Invoice, Seller, Subscription
from billing.timelines import PhaseSpec

# How many days on which something may be due are looked at for the next charge.
MOST_LOOKED_AT = 13


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement says, and the papers that say it (none where nothing was owed or nothing was written).
    Of a credit `off_invoices` lowers invoices that are not paid and `held_back` is what a bank has taken already; the
    rest goes to the balance."""

    lines: Sequence[DraftLine]
    subtotal: int
    tax_total: int
    total: int
    issued: Issued | None = None
    credit_notes: Sequence[CreditNote] = ()
    off_invoices: int = 0
    held_back: int = 0

    @property
    def invoice(self) -> Invoice | None:
        return self.issued.invoice if self.issued else None


def nothing() -> Result:
    return Result(lines=(), subtotal=0, tax_total=0, total=0)


def joined(first: Result, second: Result) -> Result:
    """Two statements as one; the invoice of the later."""
    return Result(
        [*first.lines, *second.lines], first.subtotal + second.subtotal, first.tax_total + second.tax_total,
        first.total + second.total, second.issued or first.issued, [*first.credit_notes, *second.credit_notes],
        first.off_invoices + second.off_invoices, first.held_back + second.held_back,
    )  # fmt: skip


def draft(
    *, subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime, until: date | None = None
) -> Result:
    """What would be billed for these phases, up to a day, or the one that has come; writes nothing."""
    day = until or timelines.reached(subscription, specs, now)
    result = _stated(subscription, specs, owing.gather([subscription]), day)
    if result.total >= 0:
        return result
    credit = (subscription.customer, result.lines, -result.total)
    return replace(
        result, off_invoices=apportioning.off_invoices(*credit), held_back=apportioning.held_back(*credit)
    )


def _stated(
    subscription: Subscription, specs: Sequence[PhaseSpec], facts: owing.Facts, until: date
) -> Result:
    return _result(owing.draft_lines(subscription=subscription, specs=specs, facts=facts, until=until))


def _result(
    lines: Sequence[DraftLine], issued: Issued | None = None, notes: Sequence[CreditNote] = (), off: int = 0,
    held: int = 0,
) -> Result:  # fmt: skip
    net, tax_total = sum(line.net for line in lines), sum(line.tax_amount for line in lines)
    return Result(lines, net, tax_total, net + tax_total, issued, notes, off, held)


@dataclass(frozen=True, slots=True)
class Due:
    """A subscription and the local day up to which it is to be billed, at `now`; its phases if they were read."""

    subscription: Subscription
    day: date
    now: datetime
    cycle_on: date | None = None
    source: str | None = None
    specs: Sequence[PhaseSpec] | None = None
    returns_only: bool = False


def bill(
    *,
    subscription: Subscription,
    now: datetime,
    actor: str,
    cycle_on: date | None = None,
    until: date | None = None,
    source: str | None = None,
    returns_only: bool = False,
) -> Result:
    """Say what is owed and not yet said up to a day, or the one that has come, as an issued invoice or a credit note;
    with `returns_only` no more than the credits for unused time. Call inside a transaction that holds the subscription.
    Moves `billed_through`, unless it says returns only."""
    specs = timelines.specs_of(subscription)
    day = until or cycle_on or timelines.reached(subscription, specs, now)
    due = Due(subscription, day, now, cycle_on, source, specs, returns_only)
    return bill_many([due], actor=actor)[0]


def bill_many(
    dues: Sequence[Due],
    *,
    actor: str,
    seller: Seller | None = None,
    rates: taxes.Table | None = None,
    ahead: Callable[[], None] = lambda: None,
) -> list[Result]:
    """`bill` for many subscriptions (locked, customers loaded) with a fixed number of statements; `seller` and `rates`
    save theirs where the caller has read them. `ahead` is done when everything is priced: from the numbers on, nobody
    else of the series can issue until the transaction ends."""
    until = max((due.day for due in dues), default=None)
    facts = owing.gather([due.subscription for due in dues], seller=seller, rates=rates, until=until)
    drafts = [drafted(due, facts, actor) for due in dues]
    ahead()
    on = sharing.together([draft for draft in drafts if draft is not None])
    papers = issuing.issue(list({paper.id: paper for paper in on.values()}.values()), facts.seller)
    results = [_result(draft.lines, *papers[on[draft.id].id]) if draft else nothing() for draft in drafts]
    if any(result.off_invoices for result in results):
        _late_no_more([due.subscription for due in dues])
    return results


def _late_no_more(rows: Sequence[Subscription]) -> None:
    """Credit may have paid for what was late: the rows say so too."""
    found = dict(Subscription.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "status"))
    for row in rows:
        row.status = found[row.pk]


def issued(
    draft: Draft | None,
    seller: Seller | None,
    beside: Sequence[models.Model] = (),
    paid: Paid | None = None,
) -> Result:
    """One draft as a paper; nothing where nothing was owed. `beside` is stored in any case, by the same statement."""
    if draft is None or seller is None:
        bulk.store(beside)
        return nothing()
    result = _result(draft.lines, *issuing.issue([draft], seller, beside, paid)[draft.id])
    if result.off_invoices and draft.subscription is not None:
        _late_no_more([draft.subscription])
    return result


def drafted(due: Due, facts: owing.Facts, actor: str) -> Draft | None:
    """The paper that is due, if anything is owed. What is due by the day counts as said from here on, unless only
    returns are: what else is owed is still to be asked for, however long ago it fell due."""
    row = due.subscription
    specs = timelines.specs_of(row) if due.specs is None else due.specs
    lines = owing.draft_lines(subscription=row, specs=specs, facts=facts, until=due.day)
    if due.returns_only:
        lines = _returns(lines)
    else:
        row.billed_through = max(due.day, row.billed_through or due.day)
    return _draft(due, specs, lines, facts.seller, actor) if lines else None


def _returns(lines: Sequence[DraftLine]) -> list[DraftLine]:
    """The credits for unused time, with what answers them; nothing where that leaves nothing."""
    found = [line for line in lines if line.kind == "credit" or returning.answers(line)]
    return found if sum(line.net for line in found) < 0 else []


def _draft(due: Due, specs: Sequence[PhaseSpec], lines: list[DraftLine], seller: Seller, actor: str) -> Draft:
    method, net_days, motion, po_number = terms(due.subscription, specs, due.day, seller)
    return Draft(
        customer=due.subscription.customer, subscription=due.subscription, lines=lines, now=due.now, actor=actor,
        collection_method=method, net_days=net_days, motion=motion, po_number=po_number, cycle_on=due.cycle_on,
        source=due.source,
    )  # fmt: skip


def terms(
    subscription: Subscription, specs: Sequence[PhaseSpec], on: date, seller: Seller
) -> tuple[str, int, str, str]:
    """(collection method, net days, motion, PO number) in force on a day; most specific net days win."""
    spec = timelines.spec_on(specs, on) or specs[-1]
    days = spec.net_days
    if days is None:
        days = subscription.customer.net_days
    if days is None:
        days = seller.net_days
    return spec.collection_method, days, spec.motion, spec.po_number


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next charge of a subscription, if nothing changes and nothing more is used: not a day on which only usage
    would be due of which there is none."""  # fmt: skip

    on: date | None
    result: Result
    collection_method: str


def upcoming(
    *,
    subscription: Subscription,
    now: datetime,
    facts: owing.Facts | None = None,
    specs: Sequence[PhaseSpec] | None = None,
    after: date | None = None,
) -> Upcoming:
    """The next paper: its day and what it will say, by the function that will make it. `specs`: other phases
    than the subscription has now; `after`: as if billed up to that day."""
    specs = timelines.specs_of(subscription) if specs is None else specs
    billed = after or subscription.billed_through or subscription.start_on - ONE_DAY
    if subscription.status == Subscription.Status.CANCELED:
        return Upcoming(None, nothing(), subscription.customer.collection_method)
    facts, first = facts or owing.gather([subscription]), None
    pure = timelines.pure(subscription, specs)
    for on in _due_days(pure, billed):
        result = _stated(subscription, specs, facts, on)
        method = (timelines.spec_on(specs, on) or specs[-1]).collection_method
        found = Upcoming(on, result, method)
        if result.lines:
            return found
        first = first or found
    if first is None or first.on == pure.end:
        return Upcoming(None, nothing(), subscription.customer.collection_method)
    return first


def _due_days(pure: timeline.Timeline, after: date) -> Iterator[date]:
    """The next days on which something may fall due."""
    for _ in range(MOST_LOOKED_AT):
        day = timeline.next_due(pure, after=after)
        if day is None:
            return
        yield day
        after = day
