"""Who has to agree to a quote before it goes out, and what they said."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import DateField, DateTimeField, F, Func, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce

from billing import customers, mail
from billing.events import record, staff_of
from billing.maths.money import exponent
from billing.models import Event, Seller, User
from billing.moves import move
from billing.refusals import Refused
from sales import addresses, comparing, proposing
from sales.models import Approval, ApprovalDelegate, ApprovalRule, Quote, Role, SalesSettings
from sales.proposing import Figures

PERMISSIONS = {Role.MANAGER: "sales.approve_quote", Role.DIRECTOR: "sales.approve_quote_as_director"}
GROUPS = {Role.MANAGER: "Sales managers", Role.DIRECTOR: "Directors"}
Measure = ApprovalRule.Measure


class OwnQuote(Refused):
    """A seller cannot approve what they made, own or submitted, nor an exception for their own customer."""

    code = "own_quote"


class NotForYou(Refused):
    """Nothing is waiting that this person may decide."""

    code = "approval_not_allowed"


class NotReady(Refused):
    """Something is missing that a quote needs before it goes out; `field` names it."""

    code = "quote_not_ready"


def rules_in_force() -> QuerySet[ApprovalRule]:
    return ApprovalRule.objects.filter(enabled=True)


def needed(
    quote: Quote,
    figures: Figures,
    rules: Iterable[ApprovalRule] | None = None,
    among: customers.Bands | None = None,
) -> Iterator[tuple[ApprovalRule, str]]:
    """The rules that the quote meets, with the figure in words. `rules` in force and the segments `among` which it would
    be: what the caller has read."""
    for rule in rules_in_force() if rules is None else rules:
        words = _met(rule, quote, figures, among)
        if words:
            yield rule, words


def _met(rule: ApprovalRule, quote: Quote, figures: Figures, among: customers.Bands | None) -> str:
    if rule.measure == Measure.PLAN:
        return f"{rule.name}: {quote.plan}" if rule.plan_id == quote.plan_id else ""
    if rule.measure == Measure.PAYMENT:
        return (
            f"{rule.name}: {quote.get_collection_method_display()}"
            if breaks_payment_rule(quote, figures, among)
            else ""
        )
    value = _measured(rule.measure, quote, figures)
    if rule.over is None or value <= rule.over:
        return ""
    return f"{rule.name}: {_said(rule.measure, value, quote.currency)}"


def _said(measure: str, value: Decimal, currency: str) -> str:
    """A measured figure with its unit: 25 %, $120,000.00, 36 months."""
    if measure == Measure.TCV:
        return addresses.money(int(value.scaleb(exponent(currency))), currency)
    return f"{value.normalize():f}\u00a0{UNITS[measure]}"


UNITS: dict[str, str] = {Measure.DISCOUNT: "%", Measure.TERM: "months", Measure.NET_DAYS: "days"}


def _measured(measure: str, quote: Quote, figures: Figures) -> Decimal:
    """In the unit of the rule: percent, major units, months or days."""
    if measure == Measure.DISCOUNT:
        return figures.discount_percent
    if measure == Measure.TCV:
        return Decimal(figures.tcv).scaleb(-exponent(quote.currency))
    return Decimal(quote.term_months if measure == Measure.TERM else quote.net_days)


def breaks_payment_rule(quote: Quote, figures: Figures, among: customers.Bands | None = None) -> bool:
    """Does the segment that the quote leads to not allow how it is to be paid? `among` saves a statement."""
    day = figures.start_on
    if quote.customer is not None:
        segment = customers.segment_with(quote.customer, figures.arr, day, among)
    else:
        segment = customers.segment_for(figures.arr, quote.currency, day, among)
    return segment is not None and not segment.allows(quote.collection_method)


@transaction.atomic
def submit(*, quote: Quote, now: datetime, actor: str, by: User | None = None) -> None:
    """Ask for what approvals each option needs; one that needs none is approved at once.

    Raises NotReady, IllegalMove, StaleMove.
    """
    rows = [quote if row.pk == quote.pk else row for row in quote.options()]
    drafts = [row for row in rows if row.state == Quote.State.DRAFT] or [quote]
    for row in drafts:
        _check_ready(row)
    found = [(row, list(needed(row, proposing.price(row, now=now)))) for row in drafts]
    events = [_hand_in(row, rules, now=now, actor=actor, by=by) for row, rules in found]
    if any(rules for _, rules in found):
        _ask(rows, events[0], now)


def _hand_in(
    quote: Quote, rules: Sequence[tuple[ApprovalRule, str]], *, now: datetime, actor: str, by: User | None
) -> Event:
    to = Quote.State.IN_APPROVAL if rules else Quote.State.APPROVED
    fields: dict[str, Any] = {"submitted_at": now, "submitted_by": by, "approved_at": None if rules else now}
    move(quote, to, event=None, actor=actor, now=now, **fields)
    data = {**_named(quote), "approvals": [words for _, words in rules]}
    event = record("quote.submitted", subject=quote, actor=actor, now=now, data=data)
    if not rules:
        record("quote.approved", subject=quote, actor="system", now=now, data={**data, "why": "no rule met"})
    Approval.objects.bulk_create(
        Approval(
            quote=quote, rule=rule, words=words[:200], needed_role=rule.role, step=rule.step, asked_at=now
        )
        for rule, words in rules
    )  # fmt: skip
    return event


def _named(quote: Quote) -> dict[str, Any]:
    return {"number": quote.number, "version": quote.version, "option": quote.option}


def _check_ready(quote: Quote) -> None:
    if not quote.lines.filter(kind="recurring").exists():
        raise NotReady("A quote needs a recurring line.", field="lines")
    if not quote.contact_email:
        raise NotReady("Say who the quote is for.", field="contact_email")


def due(quote: Quote) -> list[Approval]:
    """What waits for a decision now: of each option the lowest step that is not agreed to."""
    return _due(quote.options())


def _due(rows: Sequence[Quote]) -> list[Approval]:
    waiting = Approval.objects.filter(quote__in=rows, decision=Approval.Decision.WAITING)
    return due_of(waiting.select_related("quote__customer", "rule"))


def due_of(approvals: Iterable[Approval]) -> list[Approval]:
    """The same of approvals that were read."""
    waiting = [each for each in approvals if each.decision == Approval.Decision.WAITING]
    lowest: dict[str, int] = {}
    for each in waiting:
        lowest[each.quote_id] = min(each.step, lowest.get(each.quote_id, each.step))
    return [each for each in waiting if each.step == lowest[each.quote_id]]


def _ask(rows: Sequence[Quote], event: Event | str, now: datetime) -> None:
    """A mail to everybody who could decide about the present step, except who made the quote."""
    quote, asked = rows[0], _due(rows)
    for person in _deciding({each.needed_role for each in asked}, rows, now):
        context = {**_mail_facts(quote), "approvals": asked}
        mail.compose(template="quote_approval", to=person.email, context=context, event=event, now=now)


def _deciding(roles: Iterable[str], rows: Sequence[Quote], now: datetime) -> QuerySet[User]:
    """Who may decide as one of these, or stands in for who may, except who made the quote."""
    groups = [GROUPS[Role(role)] for role in sorted(roles)]
    members = Q(groups__name__in=groups) | Q(
        delegated_by__in=_standing_in(now), delegated_by__person__groups__name__in=groups
    )
    return User.objects.filter(members, is_active=True).exclude(pk__in=_authors(rows)).distinct()


def is_own(options: Sequence[Quote], user: User) -> bool:
    """Nobody decides about a quote that they made, own or handed in."""
    return user.pk in _authors(options)


def _authors(rows: Sequence[Quote]) -> set[int]:
    """Who made, owns or handed in any of the options: none of them decides about one."""
    return {
        pk for row in rows for pk in (row.created_by_id, row.owner_id, row.submitted_by_id) if pk is not None
    }


def _standing_in(now: datetime) -> QuerySet[ApprovalDelegate]:
    """Who does so on the day that it is where the seller is."""
    zone = Subquery(Seller.objects.values("timezone")[:1])
    there = Func(zone, Value(now), function="timezone", output_field=DateTimeField())
    today = Cast(there, DateField())
    return ApprovalDelegate.objects.filter(since__lte=today, until__gte=today, person__is_active=True)


def _mail_facts(quote: Quote) -> dict[str, Any]:
    return {
        "quote": quote,
        "rep": quote.owner and quote.owner.get_full_name(),
        "total": addresses.money(quote.tcv, quote.currency),
        "url": addresses.staff_url(quote),
    }


@transaction.atomic
def approve(*, quote: Quote, by: User, now: datetime, note: str = "", seen: str = "") -> None:
    """Agree to all that waits, on every option, and that this person may decide; the last one approves.

    Who may decide about the next step as well agrees to it at once. `seen` is the fingerprint of what they looked at.

    Raises OwnQuote, NotForYou, ChangedMeanwhile, IllegalMove, StaleMove.
    """
    rows = quote.options(held=("self",))
    comparing.refuse_stale(rows, seen)
    _decide(rows, Approval.Decision.APPROVED, by, now, note)
    roles = roles_of(by, now)
    while any(each.needed_role in roles and not _for_own_customer(each, by) for each in _due(rows)):
        _decide(rows, Approval.Decision.APPROVED, by, now, note)
    waiting = _due(rows)
    if waiting:
        _ask(rows, f"step:{quote.pk}:{waiting[0].pk}", now)
    still = {each.quote_id for each in waiting}
    for row in _in_approval(rows):
        if row.pk not in still:
            data = {**_named(row), "note": note[:300]}
            actor = staff_of(by.pk)
            move(row, "approved", event="quote.approved", actor=actor, now=now, approved_at=now, data=data)
    quote.refresh_from_db(fields=["state", "approved_at"])


@transaction.atomic
def reject(*, quote: Quote, by: User, now: datetime, note: str = "", seen: str = "") -> None:
    """Send the quote back to its author with a note; `seen` and refusals as in `approve`."""
    rows = quote.options(held=("self",))
    comparing.refuse_stale(rows, seen)
    _decide(rows, Approval.Decision.REJECTED, by, now, note)
    Approval.objects.filter(quote__in=rows, decision__in=_STANDING).update(decision=Approval.Decision.VOID)
    for row in _in_approval(rows):
        data = {**_named(row), "note": note[:300]}
        move(row, "draft", event="quote.rejected", actor=staff_of(by.pk), now=now, data=data)
    for row in rows:
        reopen(row, now=now, actor=staff_of(by.pk))
    quote.refresh_from_db(fields=["state"])


_STANDING = (Approval.Decision.WAITING, Approval.Decision.APPROVED)


def _in_approval(rows: Sequence[Quote]) -> list[Quote]:
    return [row for row in rows if row.state == Quote.State.IN_APPROVAL]


def _decide(rows: Sequence[Quote], decision: str, by: User, now: datetime, note: str) -> None:
    if by.pk in _authors(rows):
        raise OwnQuote("Somebody else has to decide about your quote.")
    roles = roles_of(by, now)
    due = [each for each in _due(rows) if each.needed_role in roles]
    mine = [each.pk for each in due if not _for_own_customer(each, by)]
    if due and not mine:
        raise OwnQuote("The customer is yours: somebody else decides how it may pay.")
    decided = Approval.objects.filter(decision=Approval.Decision.WAITING, pk__in=mine)
    if not decided.update(decision=decision, decided_by=by, decided_at=now, note=note[:1000]):
        raise NotForYou("Nothing is waiting for your decision.")


def _for_own_customer(approval: Approval, by: User) -> bool:
    """A way of paying that the segment does not allow, for a customer of theirs."""
    customer = approval.quote.customer
    return approval.rule.measure == Measure.PAYMENT and customer is not None and customer.owner_id == by.pk


def roles_of(user: User, now: datetime) -> list[str]:
    """What the user may approve as, alone or in a colleague's place; a director may do what a manager may."""
    roles = set(_own_roles(user))
    if roles == set(Role.values):
        return sorted(roles)
    for row in _standing_in(now).filter(delegate=user).select_related("person"):
        roles |= set(_own_roles(row.person))
    return sorted(roles)


def _own_roles(user: User) -> list[str]:
    if user.has_perm(PERMISSIONS[Role.DIRECTOR]):
        return [Role.MANAGER, Role.DIRECTOR]
    return [Role.MANAGER] if user.has_perm(PERMISSIONS[Role.MANAGER]) else []


def reopen(quote: Quote, *, now: datetime, actor: str) -> None:
    """An edit makes every agreement void and the quote a draft again."""
    if quote.state == Quote.State.DRAFT:
        return
    quote.approvals.filter(decision__in=_STANDING).update(decision=Approval.Decision.VOID)
    move(
        quote,
        "draft",
        event=None,
        actor=actor,
        now=now,
        approved_at=None,
        submitted_at=None,
        escalated_at=None,
    )


def escalate(*, now: datetime) -> int:
    """Approvals that have waited longer than the setting, each on its buyer's clock: the directors are told, once.
    Answers how many."""
    waits = timedelta(hours=SalesSettings.current().approval_hours)
    rows = Quote.objects.filter(state="in_approval", escalated_at__isnull=True).select_related("lead")
    present = Coalesce("customer__test_clock__now", Value(now, DateTimeField()))
    late = rows.alias(present=present).filter(present__gte=F("submitted_at") + waits)
    return sum(
        _escalate(quote, quote.customer.on_clock(now) if quote.customer else now)
        for quote in late.select_related("customer__test_clock")
    )


@transaction.atomic
def _escalate(quote: Quote, now: datetime) -> bool:
    mine = Quote.objects.filter(pk=quote.pk, state="in_approval", escalated_at__isnull=True)
    if not mine.update(escalated_at=now):
        return False
    rows = quote.options()
    Quote.objects.filter(pk__in=[row.pk for row in rows], state="in_approval").update(escalated_at=now)
    waiting = list(Approval.objects.filter(quote__in=rows, decision="waiting").select_related("quote"))
    for person in _deciding([Role.DIRECTOR], rows, now):
        context = {**_mail_facts(quote), "approvals": waiting, "late": True}
        cause = f"late:{quote.pk}:{int(quote.submitted_at.timestamp()) if quote.submitted_at else 0}"
        mail.compose(template="quote_approval", to=person.email, context=context, event=cause, now=now)
    return True
