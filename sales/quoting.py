"""What sales does with a quote: draft, edit, submit, send, revise, withdraw, let expire.

The front door to quotes: drafting is in `sales.drafting`, approvals in `sales.approving`, what the buyer does
in `sales.accepting`; what a quote comes to is computed by `sales.proposing` alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from billing import mail, numbering
from billing.events import record
from billing.maths.periods import local_date
from billing.models import Seller, User
from billing.moves import StaleMove, move
from billing.papers.data import QuotePaper
from billing.refusals import Refused
from sales import addresses, approving, deals, drafting, proposing, quote_papers
from sales.accepting import (
    AlreadyAccepted,
    AnotherAccepted,
    Declined,
    QuoteClosed,
    QuoteExpired,
    Superseded,
    UnknownLink,
    Withdrawn,
    accept,
    comment,
    convert,
    decline,
    find,
    refuse_closed,
    view,
)
from sales.approving import NotForYou, NotReady, OwnQuote, approve, escalate, reject, submit
from sales.catalogue import QUOTE_SERIES
from sales.drafting import NotEditable, created, draft, draft_from_subscription, edit, held, settle
from sales.models import Quote, SalesSettings
from sales.proposing import Figures, price
from sales.quote_terms import InvalidQuote

__all__ = [
    "AlreadyAccepted",
    "AnotherAccepted",
    "Declined",
    "InvalidQuote",
    "NeedsApproval",
    "NotEditable",
    "NotForYou",
    "NotReady",
    "OwnQuote",
    "QuoteClosed",
    "QuoteExpired",
    "Superseded",
    "UnknownLink",
    "Withdrawn",
    "accept",
    "approve",
    "comment",
    "convert",
    "copy",
    "decline",
    "draft",
    "draft_from_subscription",
    "edit",
    "escalate",
    "expire",
    "find",
    "paper",
    "preview",
    "price",
    "refuse_closed",
    "reject",
    "revise",
    "send",
    "submit",
    "view",
    "withdraw",
]  # fmt: skip


class NeedsApproval(Refused):
    """Somebody has to agree to it first."""

    code = "quote_needs_approval"


# -- Out to the buyer --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Printed:
    paper: QuotePaper
    content: bytes
    figures: Figures


def send(*, quote: Quote, now: datetime, actor: str, message: str = "") -> Quote:
    """Freeze the paper, store it, and mail the link. A draft that no rule meets is approved on the way.

    Raises NeedsApproval, NotReady, QuoteExpired, IllegalMove, StaleMove (somebody edited it meanwhile),
    PaperToolsMissing. Nothing is held while the paper is typeset.
    """
    if quote.state == Quote.State.DRAFT:
        _approve_if_free(quote, now, actor)
    if quote.state == Quote.State.IN_APPROVAL:
        raise NeedsApproval(f"Quote {quote} waits for approval.")
    if quote.expires_at is None or quote.expires_at <= now:
        raise QuoteExpired("Give the quote a later last day.", field="expires_at")
    printed = _print(quote, now)
    return _send(quote, printed, now, actor, message)


@transaction.atomic
def _approve_if_free(quote: Quote, now: datetime, actor: str) -> None:
    rules = [words for _, words in approving.needed(quote, proposing.price(quote, now=now))]
    if rules:
        raise NeedsApproval(f"This needs approval: {'; '.join(rules)}.")
    approving.submit(quote=quote, now=now, actor=actor)


def preview(*, quote: Quote, now: datetime) -> bytes:
    """The paper as it would go out now; nothing is stored. Raises as `send` does when it cannot be made."""
    return _print(quote, now).content


def paper(*, quote: Quote, now: datetime) -> bytes:
    """The PDF that counts: the signed one, else what was sent, else a preview. Raises as `preview`."""
    kept = quote.signed_document or quote.document
    return bytes(kept.content) if kept is not None else preview(quote=quote, now=now)


def _print(quote: Quote, now: datetime) -> _Printed:
    proposal = proposing.proposal_of(quote, now=now)
    figures = proposing.figures(proposal)
    today = local_date(now, proposing.zone_of(quote))
    paper = quote_papers.paper_of(quote, proposal, figures, issued_on=today)
    return _Printed(paper, quote_papers.print_paper(paper), figures)


@transaction.atomic
def _send(quote: Quote, printed: _Printed, now: datetime, actor: str, message: str) -> Quote:
    row = held(quote)
    again = proposing.proposal_of(row, now=now)
    today = local_date(now, proposing.zone_of(row))
    if quote_papers.paper_of(row, again, proposing.figures(again), issued_on=today) != printed.paper:
        raise StaleMove(f"quote {row} was changed while it was printed")
    fields = proposing.store(row, printed.figures)
    document = quote_papers.keep(printed.paper, printed.content, now=now)
    move(
        row,
        "sent",
        event=None,
        actor=actor,
        now=now,
        sent_at=now,
        document=document,
        paper=printed.paper.to_json(),
        **fields,
    )
    data = {"number": row.number, "version": row.version, "tcv": row.tcv, "sha256": document.sha256}
    event = record("quote.sent", subject=row, actor=actor, now=now, data=data)
    context = {
        "quote": row, "url": row.url, "message": message, "rep": row.owner and row.owner.get_full_name(),
        "total": addresses.money(row.tcv, row.currency),
    }  # fmt: skip
    mail.compose(
        template="quote_sent", to=row.contact_email, context=context, event=event, now=now,
        customer=row.customer, document=document,
    )  # fmt: skip
    deals.advance(row.deal, "proposal", now=now, actor=actor)
    quote.refresh_from_db()
    return row


# -- New versions, and the end -----------------------------------------------------------------------------


@transaction.atomic
def revise(*, quote: Quote, now: datetime, actor: str, by: User | None = None, **terms: Any) -> Quote:
    """A new version with the same number; the old one's link is closed. Answers the new draft.

    Raises NotEditable for one that can be edited instead, was accepted, or has a newer version.
    """
    old = held(quote)
    if old.editable or old.state in (Quote.State.ACCEPTED, Quote.State.CONVERTED):
        raise NotEditable(f"Quote {old} is {old.get_state_display().lower()}.")
    if Quote.objects.filter(revision_of=old).exists():
        raise NotEditable("There is a newer version already.")
    if old.state in Quote.OUT:
        data = {"number": old.number, "version": old.version, "why": "a newer version"}
        move(old, "withdrawn", event="quote.withdrawn", actor=actor, now=now, withdrawn_at=now, data=data)
    new = _copy(old, by, now)
    if terms:
        new = edit(quote=new, now=now, actor=actor, **terms)
    settle(new, now)
    created(new, now, actor)
    quote.refresh_from_db()
    return new


COPIED = (
    "number", "customer", "lead", "deal", "task", "owner", "title", "contact_name", "contact_email",
    "currency", "plan", "interval", "discount_percent", "discount_amount", "escalator_percent", "term_months",
    "auto_renew",
    "collection_method", "net_days", "starts", "starts_on", "notes", "internal_notes", "history",
    "subscription",
)  # fmt: skip


@transaction.atomic
def copy(*, quote: Quote, now: datetime, actor: str, by: User | None = None) -> Quote:
    """A new quote with the terms of an earlier one, whatever became of that: an option beside it, or its renewal.

    A start that has passed becomes “when accepted”; what it would have followed is followed while it runs.
    """
    number = numbering.take([(QUOTE_SERIES, now)], Seller.objects.get())[0].text
    over: dict[str, Any] = {"number": number, "version": 1, "revision_of": None, "task": None, "history": {}}
    if quote.deal is not None and not quote.deal.is_open:
        over["deal"] = None
    if quote.subscription is not None and not quote.subscription.is_live:
        over["subscription"] = None
    if _start_is_over(quote, now) or "subscription" in over:
        over |= {"starts": Quote.Starts.NOW, "starts_on": None}
    new = _copy(quote, by, now, **over)
    if new.deal is None:
        new.deal = drafting.deal_for(new, now)
        new.save(update_fields=["deal"])
    settle(new, now)
    created(new, now, actor)
    return new


def _start_is_over(quote: Quote, now: datetime) -> bool:
    if quote.starts != Quote.Starts.DATE or quote.starts_on is None:
        return False
    return quote.starts_on <= local_date(now, proposing.zone_of(quote))


def _copy(old: Quote, by: User | None, now: datetime, **over: Any) -> Quote:
    valid = timedelta(days=SalesSettings.current().quote_valid_days)
    fields = {name: getattr(old, name) for name in COPIED}
    fields |= {"version": old.version + 1, "revision_of": old, **over}
    new = Quote.objects.create(
        **fields, created_at=now, created_by=by or old.created_by, expires_at=now + valid
    )
    for line in old.lines.all():
        line.pk, line.quote = None, new
        line.save(force_insert=True)
    for year in old.ramp.all():
        year.pk, year.quote = None, new
        year.save(force_insert=True)
    return new


@transaction.atomic
def withdraw(*, quote: Quote, now: datetime, actor: str, reason: str = "") -> None:
    """Take it back; the link says so. Raises IllegalMove once it is accepted or closed, StaleMove."""
    data = {"number": quote.number, "version": quote.version, "why": reason[:300]}
    move(quote, "withdrawn", event="quote.withdrawn", actor=actor, now=now, withdrawn_at=now, data=data)


def expire(*, now: datetime) -> int:
    """Close what was not accepted in time, each on its buyer's clock. Answers how many."""
    out = Quote.objects.filter(state__in=Quote.OUT).select_related("customer", "lead")
    present = out.filter(customer__test_clock__isnull=True, expires_at__lte=now)
    clocked = out.filter(customer__test_clock__now__gte=F("expires_at")).select_related(
        "customer__test_clock"
    )
    done = sum(_expire(quote, now) for quote in present)
    return done + sum(_expire(quote, quote.now) for quote in clocked)


@transaction.atomic
def _expire(quote: Quote, now: datetime) -> bool:
    """The buyer may be accepting it this moment: who is first wins."""
    try:
        with transaction.atomic():
            data = {"number": quote.number, "version": quote.version}
            move(quote, "expired", event="quote.expired", actor="system", now=now, data=data)
    except StaleMove:
        return False
    return True
