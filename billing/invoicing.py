"""From what is owed to issued papers. One way for one subscription or a thousand.

`prepare` reads what a set of subscriptions owes and has been told (a fixed number of queries);
pure functions turn that into drafts; `issue` writes invoices, credit notes, lines, journal and events
(a fixed number of statements) and takes the numbers last.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, Sum

from billing import (
    apportioning,
    bulk,
    journal,
    numbering,
    quantities,
    returning,
    settling,
    sharing,
    taxes,
    timelines,
)
from billing.events import Fact, record_many
from billing.maths import splitting, statement, tax, timeline
from billing.maths.periods import ONE_DAY, midnight
from billing.models import (
    BalanceEntry,
    CollectionMethod,
    CreditNote,
    CreditNoteLine,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Plan,
    Posting,
    Price,
    Seller,
    Subscription,
)
from billing.models.ids import new_id
from billing.timelines import PhaseSpec

POLICIES = {
    "proration": "whole days of the whole period",
    "change_day": "belongs to the new terms",
    "cancel_day": "counts as used",
    "rounding": "once per line, half away from zero",
    "tax": "per line, from its net amount",
}
# How many days on which something may be due are looked at for the next charge.
MOST_LOOKED_AT = 13


def grace() -> timedelta:
    """For so long a late usage event may still add to what its own, already invoiced, period owed: as long as it is
    taken, and three days at least."""
    return timedelta(days=max(settings.USAGE_GRACE_DAYS, 3))


@dataclass(slots=True)
class DraftLine:
    """A line before it is on a paper; amounts in minor units, half-open local days."""

    kind: str
    description: str
    gross: int
    discount: int
    net: int
    quantity: Decimal
    unit_amount: Decimal | None
    price_id: str | None = None
    subscription_id: str | None = None
    entry_key: str = ""
    billed: str = "advance"
    cycle_start: date | None = None
    cycle_end: date | None = None
    period_start: date | None = None
    period_end: date | None = None
    tax_percentage: Decimal = Decimal(0)
    tax_category: str = "O"
    tax_reason: str = ""
    tax_amount: int = 0
    tax_in_gross: int = 0
    tax_in_discount: int = 0
    explanation: dict[str, Any] = field(default_factory=dict)

    @property
    def priced(self) -> tuple[int, int]:
        """Gross and discount as the price says them, with the tax that it contains."""
        return self.gross + self.tax_in_gross, self.discount + self.tax_in_discount

    @property
    def shown(self) -> tuple[int, int]:
        """Gross and discount as a buyer is shown them: with the tax that is in the price, if it is charged."""
        return self.priced if self.tax_amount else (self.gross, self.discount)


@dataclass(slots=True)
class Draft:
    """A paper that may be issued. A negative total becomes a credit note. `subscription` is None where several share
    it (and for one-offs)."""  # fmt: skip

    customer: Customer
    subscription: Subscription | None
    lines: list[DraftLine]
    now: datetime
    actor: str
    collection_method: str
    net_days: int
    motion: str
    cycle_on: date | None = None
    source: str | None = None
    po_number: str = ""
    memo: str = ""
    id: str = field(default_factory=lambda: new_id("inv"))

    @property
    def subtotal(self) -> int:
        return sum(line.gross for line in self.lines)

    @property
    def discount_total(self) -> int:
        return sum(line.discount for line in self.lines)

    @property
    def tax_total(self) -> int:
        return sum(line.tax_amount for line in self.lines)

    @property
    def total(self) -> int:
        return self.subtotal - self.discount_total + self.tax_total


@dataclass(slots=True)
class Issued:
    """An invoice as it was written. The model instance is made only if somebody asks for it."""

    draft: Draft
    row: dict[str, Any]
    _made: Invoice | None = None

    @property
    def invoice(self) -> Invoice:
        if self._made is None:
            self._made = Invoice(**self.row)
            self._made.customer, self._made.subscription = self.draft.customer, self.draft.subscription
        return self._made


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement says, and the papers that say it (none where nothing was owed or nothing was written).
    `off_invoices`: what of a credit lowers invoices that are not paid; the rest goes to the balance."""

    lines: Sequence[DraftLine]
    subtotal: int
    tax_total: int
    total: int
    issued: Issued | None = None
    credit_notes: Sequence[CreditNote] = ()
    off_invoices: int = 0

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
        first.off_invoices + second.off_invoices,
    )  # fmt: skip


# -- Reading: a fixed number of queries, whatever the number of subscriptions --------------------------


@dataclass(slots=True)
class Facts:
    """Everything that pricing a set of subscriptions needs."""

    seller: Seller
    taxes: taxes.Table
    said: Mapping[str, Mapping[str, tuple[int, int]]]
    usage: Callable[[Customer], timeline.Usage]


def gather(
    subscriptions: Sequence[Subscription],
    *,
    seller: Seller | None = None,
    rates: taxes.Table | None = None,
) -> Facts:
    """`seller` and `rates` save their statements where the caller has read them."""
    since = {s.pk: since_of(s) for s in subscriptions}
    return Facts(
        seller=seller or Seller.objects.get(),
        taxes=taxes.rates() if rates is None else rates,
        said=_said(since),
        usage=quantities.reader(
            {s.customer_id for s in subscriptions}, since=_usage_from(subscriptions, since)
        ),
    )


def _usage_from(subscriptions: Sequence[Subscription], since: Mapping[str, date]) -> date | None:
    """A day before which no unsettled period can have begun: one whole period before the running one."""
    floors = []
    for row in subscriptions:
        start, end = row.current_period_start, row.current_period_end
        floors.append(min(start, since[row.pk]) - (end - start) - grace() if start and end else since[row.pk])
        if row.trial_end_at and row.trial_end_at.date() >= floors[-1]:
            floors.append(row.start_on)  # what is used in a trial is asked for as one
    return min(floors, default=None)


def since_of(subscription: Subscription) -> date:
    """Periods that ended up to this day are settled for good."""
    if subscription.billed_through is None:
        return subscription.start_on
    since = subscription.billed_through - grace()
    if subscription.reopened_on is not None:
        since = min(since, subscription.reopened_on)
    return max(subscription.start_on, since)


def _said(since: Mapping[str, date]) -> dict[str, dict[str, tuple[int, int]]]:
    """What earlier papers said, by subscription and entry key. A credit note's lines count against. A void invoice
    has spoken too: what it asked for is forgiven, not asked for again."""
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    if not since:
        return found
    invoiced = _sums(InvoiceLine.objects.all(), 1, since)
    credited = _sums(CreditNoteLine.objects.all(), -1, since)
    for sub, key, cycle_end, gross, discount in invoiced.union(credited, all=True).order_by():
        if cycle_end > since[sub]:
            before = found[sub].get(key, (0, 0))
            found[sub][key] = (before[0] + gross, before[1] + discount)
    return found


def tell(said: dict[str, tuple[int, int]], lines: Iterable[DraftLine]) -> None:
    """Count lines as said that no paper says yet: what is asked next follows them."""
    for line in lines:
        if not line.entry_key:
            continue  # it says nothing of the timeline
        gross, discount = said.get(line.entry_key, (0, 0))
        more, off = line.priced
        said[line.entry_key] = gross + more, discount + off


def _sums(lines: QuerySet[Any], sign: int, since: Mapping[str, date]) -> QuerySet[Any, Any]:
    rows = lines.filter(subscription__id__any=list(since), cycle_end__gt=min(since.values())).exclude(
        entry_key=""
    )
    grouped = rows.order_by().values_list("subscription_id", "entry_key", "cycle_end")
    return grouped.annotate(
        g=Sum(F("gross") + F("tax_in_gross")) * sign, d=Sum(F("discount") + F("tax_in_discount")) * sign
    )


# -- Pricing: pure ------------------------------------------------------------------------------------------


def draft_lines(
    *, subscription: Subscription, specs: Sequence[PhaseSpec], facts: Facts, until: date
) -> list[DraftLine]:
    """Owed minus said, up to and including `until`, with tax; nothing is given back twice."""
    lines = statement.unsaid(
        timelines.pure(subscription, specs),
        facts.said.get(subscription.pk, {}),
        since=since_of(subscription),
        until=until,
        usage=facts.usage(subscription.customer),
    )
    return returning.returned_once(_taxed(lines, subscription, specs, facts))


def _taxed(
    lines: Sequence[statement.Line], subscription: Subscription, specs: Sequence[PhaseSpec], facts: Facts
) -> list[DraftLine]:
    """The lines as a paper says them, each with the tax of what its price is for."""
    sold = {price.pk: (price, spec.plan) for spec in specs for price, _ in spec.items}
    if not sold.keys() >= {line.price_key for line in lines}:
        sold |= _no_longer_in(sold, lines)
    rate_of, charged = (
        taxes.rate_of(subscription.customer, facts.seller, facts.taxes),
        _charged(lines, subscription),
    )
    return [
        taxed(
            _line(line, subscription, price),
            charged.get((line.price_key, line.period.start)) or rate_of(taxes.category_of(price, plan)),
        )
        for line in lines
        for price, plan in [sold[line.price_key]]
    ]


def _charged(
    lines: Sequence[statement.Line], subscription: Subscription
) -> Mapping[returning.Period, tax.TaxRate]:
    """For periods of which something is given back: the tax that was charged for them."""
    periods = {(line.price_key, line.period.start) for line in lines if line.net < 0}
    return returning.charged_rates(subscription.pk, periods) if periods else {}


def _no_longer_in(known: Collection[str], lines: Iterable[statement.Line]) -> dict[str, tuple[Price, Plan]]:
    """The prices of lines that take back what no phase has any more."""
    missing = {line.price_key for line in lines} - set(known)
    found = Price.objects.select_related("plan").filter(pk__in=missing)
    return {price.pk: (price, price.plan) for price in found}


def _line(line: statement.Line, subscription: Subscription, price: Price) -> DraftLine:
    label = line.label or price.label
    label = f"Minimum spend: {label}" if line.true_up else label
    return DraftLine(
        kind=_kind(line, price), description=_words(line, label), gross=line.gross, discount=line.discount,
        net=line.net, quantity=line.quantity, unit_amount=_unit(line, price), price_id=line.price_key,
        subscription_id=subscription.pk, entry_key=line.key, billed=line.billed, cycle_start=line.period.start,
        cycle_end=line.period.end, period_start=line.span.start, period_end=line.span.end,
        explanation=line.explanation,
    )  # fmt: skip


def _kind(line: statement.Line, price: Price) -> str:
    if line.correction:
        return "reversal"
    if line.kind == timeline.CREDIT:
        return "credit"
    return "minimum" if line.true_up else price.kind


def _words(line: statement.Line, label: str) -> str:
    if line.correction:
        return f"Correction: {label}"
    if line.kind == timeline.CREDIT:
        return f"Unused time: {label}"
    return label


def _unit(line: statement.Line, price: Price) -> Decimal | None:
    return price.unit_amount if price.model in ("flat", "per_unit") and not line.true_up else None


def taxed(line: DraftLine, rate: tax.TaxRate) -> DraftLine:
    """The line with its own tax, from its own net amount; what the price contains is taken out of it."""
    told = tax.taxed(line.gross, line.discount, rate)
    line.gross, line.discount, line.tax_amount, line.tax_in_gross, line.tax_in_discount = told
    line.net = told.net
    line.tax_percentage, line.tax_category, line.tax_reason = (
        rate.percentage,
        rate.category,
        rate.reason or "",
    )
    return line


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


# -- One subscription -----------------------------------------------------------------------------------------


def draft(*, subscription: Subscription, specs: Sequence[PhaseSpec], now: datetime) -> Result:
    """What would be billed for these phases, up to today; writes nothing."""
    day = timelines.local_day(subscription, now)
    result = _stated(subscription, specs, gather([subscription]), day)
    if result.total >= 0:
        return result
    off = apportioning.off_invoices(subscription.customer, result.lines, -result.total)
    return replace(result, off_invoices=off)


def _stated(subscription: Subscription, specs: Sequence[PhaseSpec], facts: Facts, until: date) -> Result:
    return _result(draft_lines(subscription=subscription, specs=specs, facts=facts, until=until))


def _result(
    lines: Sequence[DraftLine], issued: Issued | None = None, notes: Sequence[CreditNote] = (), off: int = 0
) -> Result:
    net, tax_total = sum(line.net for line in lines), sum(line.tax_amount for line in lines)
    return Result(lines, net, tax_total, net + tax_total, issued, notes, off)


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
    """Say what is owed and not yet said, as an issued invoice or a credit note; with `returns_only` no more than the
    credits for unused time. Call inside a transaction that holds the subscription. Moves `billed_through`."""
    day = until or cycle_on or timelines.local_day(subscription, now)
    due = Due(subscription, day, now, cycle_on, source, returns_only=returns_only)
    return bill_many([due], actor=actor)[0]


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
    facts = gather([due.subscription for due in dues], seller=seller, rates=rates)
    drafts = [drafted(due, facts, actor) for due in dues]
    ahead()
    on = sharing.together([draft for draft in drafts if draft is not None])
    papers = issue(list({paper.id: paper for paper in on.values()}.values()), facts.seller)
    results = [_result(draft.lines, *papers[on[draft.id].id]) if draft else nothing() for draft in drafts]
    if any(result.off_invoices for result in results):
        _late_no_more([due.subscription for due in dues])
    return results


def _late_no_more(rows: Sequence[Subscription]) -> None:
    """Credit may have paid for what was late: the rows say so too."""
    found = dict(Subscription.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "status"))
    for row in rows:
        row.status = found[row.pk]


def of_nothing_yet(seller: Seller, rates: taxes.Table) -> Facts:
    """The facts of subscriptions that have just been made: no paper has said anything, and nothing is used."""
    return Facts(seller, rates, {}, lambda _customer: _no_usage)


def _no_usage(_meter: str, _start: date, _end: date) -> Decimal:
    return Decimal(0)


def issued(draft: Draft | None, seller: Seller) -> Result:
    """One draft as a paper; nothing where nothing was owed."""
    return _result(draft.lines, *issue([draft], seller)[draft.id]) if draft else nothing()


def drafted(due: Due, facts: Facts, actor: str) -> Draft | None:
    """The paper that is due, if anything is owed. What is due by the day counts as said from here on."""
    row = due.subscription
    specs = timelines.specs_of(row) if due.specs is None else due.specs
    lines = draft_lines(subscription=row, specs=specs, facts=facts, until=due.day)
    if due.returns_only:
        lines = _returns(lines)
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
    facts: Facts | None = None,
    specs: Sequence[PhaseSpec] | None = None,
    after: date | None = None,
) -> Upcoming:
    """The next paper: its day and what it will say, by the function that will make it. `specs`: other phases
    than the subscription has now; `after`: as if billed up to that day."""
    specs = timelines.specs_of(subscription) if specs is None else specs
    billed = after or subscription.billed_through or subscription.start_on - ONE_DAY
    waits = subscription.status == Subscription.Status.INCOMPLETE
    if not (subscription.is_live or waits):
        return Upcoming(None, nothing(), subscription.customer.collection_method)
    facts, first = facts or gather([subscription]), None
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


# -- Issuing: a fixed number of statements --------------------------------------------------------------------


# The invoice or the credit notes that a draft became, and what those took off unpaid invoices.
type Papers = tuple[Issued | None, Sequence[CreditNote], int]


def issue(drafts: Sequence[Draft], seller: Seller) -> dict[str, Papers]:
    """Number, freeze and write the papers, their journal entries and events. Numbers are taken last.

    Returns, by draft id, the invoice or the credit notes that it became.
    """
    owing = [d for d in drafts if d.total >= 0]
    papers: dict[str, Papers] = {i.draft.id: (i, (), 0) for i in _issue_invoices(owing, seller)}
    papers.update({d.id: (None, *_credit(d, seller)) for d in drafts if d.total < 0})
    return papers


def _issue_invoices(drafts: Sequence[Draft], seller: Seller) -> list[Issued]:
    snapshot = seller_snapshot(seller)
    numbers = numbering.take([(_series(d), d.now) for d in drafts], seller)
    issued = [Issued(d, _invoice(d, seller, snapshot, n)) for d, n in zip(drafts, numbers, strict=True)]
    balance = _apply_balances(issued)
    bulk.copy(Invoice, [i.row for i in issued])
    bulk.copy(InvoiceLine, [line for d in drafts for line in line_rows(d.lines, "invoice_id", d.id, "line")])
    bulk.copy(Payment, balance.payments)
    bulk.copy(BalanceEntry, balance.entries)
    bulk.copy(Posting, [p for i in issued for p in journal.of_invoice(i.row, i.draft.lines)])
    bulk.copy(Posting, balance.postings)
    record_many([fact for i in issued for fact in _facts_of(i)])
    return issued


def _series(draft: Draft) -> str:
    return numbering.series_of(draft.customer)


def _invoice(
    draft: Draft, seller: Seller, snapshot: dict[str, Any], number: numbering.Number
) -> dict[str, Any]:
    """The row of the invoice that a draft becomes."""
    starts = [line.period_start for line in draft.lines if line.period_start]
    ends = [line.period_end for line in draft.lines if line.period_end]
    by_card = draft.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY
    net_days = 0 if by_card else draft.net_days
    due_on = number.issued_on + timedelta(days=net_days)
    total = draft.total
    return {
        "id": draft.id, "status": "open" if total else "paid", "livemode": draft.customer.livemode,
        "series_id": number.series, "sequence": number.sequence, "number": number.text,
        "customer_id": draft.customer.pk, "subscription_id": draft.subscription and draft.subscription.pk,
        "cycle_on": draft.cycle_on, "source": draft.source, "motion": draft.motion,
        "collection_method": draft.collection_method, "net_days": net_days, "currency": _currency(draft),
        "period_start": min(starts, default=None), "period_end": max(ends, default=None), "issued_at": draft.now,
        "issued_on": number.issued_on, "due_on": due_on, "due_at": midnight(due_on + ONE_DAY, seller.timezone),
        "subtotal": draft.subtotal, "discount_total": draft.discount_total, "tax_total": draft.tax_total,
        "total": total, "amount_paid": 0, "amount_credited": 0, "seller": snapshot,
        "bill_to": customer_snapshot(draft.customer), "po_number": draft.po_number, "memo": draft.memo,
        "policies": POLICIES, "line_count": len(draft.lines), "paid_at": None if total else draft.now,
        "next_attempt_at": draft.now if by_card and total else None, "created_at": draft.now,
    }  # fmt: skip


def _currency(draft: Draft) -> str:
    return draft.subscription.currency if draft.subscription else draft.customer.currency


def seller_snapshot(seller: Seller) -> dict[str, Any]:
    """What a paper prints of the seller, copied so that it stays as it was."""
    names = (
        "name legal_name address email phone website tax_id registration bank_name iban bic footer".split()
    )
    return {name: getattr(seller, name) for name in names}


def customer_snapshot(customer: Customer) -> dict[str, Any]:
    """What a paper prints of the customer, copied so that it stays as it was."""
    return {
        "id": customer.pk, "name": customer.name, "email": customer.email, "tax_id": customer.tax_id,
        "country": customer.country, "address": customer.billing_address,
    }  # fmt: skip


_LINE_COLUMNS = (
    "kind description price_id subscription_id entry_key cycle_start cycle_end period_start period_end quantity "
    "unit_amount gross discount net tax_percentage tax_category tax_reason tax_amount tax_in_gross tax_in_discount "
    "explanation"
).split()


_SIGNED = ("gross", "discount", "net", "tax_amount", "tax_in_gross", "tax_in_discount")


def line_rows(
    lines: Sequence[DraftLine], owner: str, owner_id: str, prefix: str, sign: int = 1
) -> Iterable[dict[str, Any]]:
    """The rows of a paper's lines, numbered from 1; `owner` is the column that names the paper."""
    for position, line in enumerate(lines, start=1):
        row = {name: getattr(line, name) for name in _LINE_COLUMNS}
        for name in _SIGNED:
            row[name] = sign * row[name]
        yield {"id": new_id(prefix), owner: owner_id, "position": position, **row}


def _facts_of(issued: Issued) -> Iterable[Fact]:
    draft, row = issued.draft, issued.row
    money = {"number": row["number"], "total": row["total"], "currency": row["currency"]}
    due = row["total"] - row["amount_paid"] - row["amount_credited"]
    data = {
        **money, "motion": row["motion"], "collection_method": row["collection_method"], "amount_due": due,
        "due_on": row["due_on"].isoformat(), "subscription": row["subscription_id"],
    }  # fmt: skip
    about = (draft.id, row["customer_id"], row["livemode"], draft.actor, draft.now)
    yield Fact("invoice.finalized", *about, data)
    if row["status"] == "paid":
        yield Fact("invoice.paid", *about, money)


# -- Balance: credit is used before money is asked for ------------------------------------------------------


@dataclass(slots=True)
class _Balance:
    payments: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    postings: list[dict[str, Any]] = field(default_factory=list)


def _apply_balances(issued: Sequence[Issued]) -> _Balance:
    """Pay new invoices from their customers' credit, as far as it goes."""
    used = _Balance()
    with_credit = {i.draft.customer.pk for i in issued if i.draft.customer.balance > 0 and i.row["total"] > 0}
    if not with_credit:
        return used
    left = dict(
        Customer.objects.select_for_update(no_key=True)
        .filter(pk__in=with_credit)
        .order_by("pk")
        .values_list("pk", "balance")
    )
    for paper in issued:
        customer_id = paper.draft.customer.pk
        amount = min(left.get(customer_id, 0), paper.row["total"])
        if amount > 0:
            left[customer_id] -= amount
            _use_balance(used, paper, amount)
    bulk.update(Customer, [{"id": pk, "balance": balance} for pk, balance in left.items()], ["balance"])
    return used


def _use_balance(used: _Balance, paper: Issued, amount: int) -> None:
    invoice, now = paper.row, paper.draft.now
    invoice["amount_paid"] += amount
    if invoice["amount_paid"] == invoice["total"]:
        invoice["status"], invoice["paid_at"], invoice["next_attempt_at"] = "paid", now, None
    payment_id = new_id("pay")
    about = {
        "customer_id": invoice["customer_id"],
        "invoice_id": invoice["id"],
        "currency": invoice["currency"],
    }
    used.payments.append(
        {
            **about, "id": payment_id, "status": "succeeded", "method": "balance", "amount": amount,
            "key": f"balance-{invoice['id']}", "livemode": invoice["livemode"], "created_at": now, "settled_at": now,
        }
    )  # fmt: skip
    used.entries.append(
        {
            **about, "id": new_id("bal"), "amount": -amount, "reason": f"Used for {invoice['number']}",
            "payment_id": payment_id, "at": now,
        }
    )  # fmt: skip
    used.postings.extend(journal.of_balance_use(invoice, payment_id, amount))


# -- Credit notes -------------------------------------------------------------------------------------------------


def _credit(draft: Draft, seller: Seller) -> tuple[list[CreditNote], int]:
    """A statement that gives money back: off what is due for that very time, else to the customer's balance. Answers the
    notes, one for each invoice that it takes to carry the amount, and what was taken off."""
    shares = apportioning.shares(draft.customer, draft.lines, -draft.total, held=True)
    pieces = _pieces(draft.lines, [share.amount for share in shares])
    series = numbering.credit_series_of(draft.customer)
    numbers = numbering.take([(series, draft.now)] * len(shares), seller)
    notes = [
        _credit_note(draft, seller, share, lines, number)
        for share, lines, number in zip(shares, pieces, numbers, strict=True)
    ]
    record_many([_fact_of_note(draft, note) for note in notes])
    for share in shares:
        if share.off:
            settling.count_credit(share.invoice, share.off, now=draft.now, actor=draft.actor)
    return notes, sum(share.off for share in shares)


def _credit_note(
    draft: Draft,
    seller: Seller,
    share: apportioning.Share,
    lines: Sequence[DraftLine],
    number: numbering.Number,
) -> CreditNote:
    net, tax_total = sum(line.net for line in lines), sum(line.tax_amount for line in lines)
    note = CreditNote(
        livemode=draft.customer.livemode, series_id=number.series, sequence=number.sequence, number=number.text,
        customer=draft.customer, invoice=share.invoice, currency=_currency(draft),
        to="invoice" if share.off == share.amount else "balance",
        reason="Change of subscription", issued_at=draft.now, issued_on=number.issued_on,
        subtotal=-net, tax_total=-tax_total, total=-net - tax_total,
        seller=seller_snapshot(seller), bill_to=customer_snapshot(draft.customer), created_at=draft.now,
    )  # fmt: skip
    note.save(force_insert=True)
    bulk.copy(CreditNoteLine, list(line_rows(lines, "credit_note_id", note.pk, "cnl", sign=-1)))
    if rest := share.amount - share.off:
        reason = f"Credit note {note.number}"
        add_balance(draft.customer, rest, note.currency, reason=reason, now=draft.now, credit_note=note)
    given_up = share.invoice.status == Invoice.Status.UNCOLLECTIBLE
    postings = journal.of_credit_note(note, lines, off=share.off, given_up=given_up, sign=-1)
    bulk.copy(Posting, list(postings))
    return note


def _fact_of_note(draft: Draft, note: CreditNote) -> Fact:
    data = {"number": note.number, "total": note.total, "invoice": note.invoice_id, "to": note.to}
    return Fact("credit_note.issued", note.pk, note.customer_id, note.livemode, draft.actor, draft.now, data)


_SPLIT = ("gross", "discount", "tax_amount", "tax_in_gross", "tax_in_discount")


def _pieces(lines: Sequence[DraftLine], parts: Sequence[int]) -> list[list[DraftLine]]:
    """The lines of each note. A line that nothing of is left for a note is not on it."""
    given = [tax.Taxed(*(-getattr(line, name) for name in _SPLIT)) for line in lines]
    return [
        [_piece(line, amounts) for line, amounts in zip(lines, piece, strict=True) if any(amounts)]
        for piece in splitting.split(given, parts)
    ]


def _piece(line: DraftLine, amounts: tax.Taxed) -> DraftLine:
    said: dict[str, Any] = {name: -amount for name, amount in zip(_SPLIT, amounts, strict=True)}
    return replace(line, **said, net=said["gross"] - said["discount"])


def add_balance(
    customer: Customer, amount: int, currency: str, *, reason: str, now: datetime, **refs: Any
) -> BalanceEntry:
    """Put credit on the customer's balance (minor units, positive)."""
    entry = BalanceEntry.objects.create(
        customer=customer, amount=amount, currency=currency, reason=reason, at=now, **refs
    )
    Customer.objects.filter(pk=customer.pk).update(balance=F("balance") + amount)
    customer.refresh_from_db(fields=["balance"])
    return entry
