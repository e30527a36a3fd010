"""What sales does with a quote: draft, edit, submit, send, revise, withdraw, let expire.

The front door to quotes: drafting is in `sales.drafting`, approvals in `sales.approving`, what the buyer does
in `sales.accepting`; what a quote comes to is computed by `sales.proposing` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from billing import mail, numbering
from billing.events import record
from billing.maths.periods import local_date
from billing.models import Event, Seller, User
from billing.moves import StaleMove, move
from billing.papers.data import QuotePaper
from billing.refusals import Refused
from sales import addresses, approving, deals, drafting, offering, proposing, quote_papers
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
from sales.drafting import NotEditable, created, draft, draft_from_subscription, edit, settle
from sales.models import Quote
from sales.models.quotes import lapsed_at
from sales.offering import NoOption, TooManyOptions, add_option, remove_option
from sales.proposing import Figures, price
from sales.quote_terms import InvalidQuote

__all__ = [
    "AlreadyAccepted",
    "AnotherAccepted",
    "Declined",
    "InvalidQuote",
    "NeedsApproval",
    "NoOption",
    "NotEditable",
    "NotForYou",
    "NotReady",
    "OwnQuote",
    "QuoteClosed",
    "QuoteExpired",
    "Superseded",
    "TooManyOptions",
    "UnknownLink",
    "Withdrawn",
    "accept",
    "add_option",
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
    "remove_option",
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
    quote: Quote
    paper: QuotePaper
    content: bytes
    figures: Figures


def send(*, quote: Quote, now: datetime, actor: str, message: str = "") -> Quote:
    """Freeze the paper of every option, store them, and mail the link. A draft that no rule meets is approved on
    the way.

    Raises NeedsApproval, NotReady, QuoteExpired, IllegalMove, StaleMove (somebody edited it meanwhile),
    PaperToolsMissing. Nothing is held while papers are typeset.
    """
    if any(row.state == Quote.State.DRAFT for row in quote.options()):
        _approve_if_free(quote, now, actor)
    rows = quote.options()
    if any(row.state == Quote.State.IN_APPROVAL for row in rows):
        raise NeedsApproval(f"Quote {quote} waits for approval.")
    if quote.expires_at is None or quote.expires_at <= now:
        raise QuoteExpired("Give the quote a later last day.", field="expires_at")
    printed = [_print(quote if row.pk == quote.pk else row, now) for row in rows]
    return _send(quote, printed, now, actor, message)


@transaction.atomic
def _approve_if_free(quote: Quote, now: datetime, actor: str) -> None:
    drafts = [row for row in quote.options() if row.state == Quote.State.DRAFT]
    rules = [
        f"{row.option_words}, {words}" if row.option else words
        for row in drafts
        for _, words in approving.needed(row, proposing.price(row, now=now))
    ]
    if rules:
        raise NeedsApproval(f"This needs approval: {'; '.join(rules)}.")
    approving.submit(quote=quote, now=now, actor=actor)


def preview(*, quote: Quote, now: datetime) -> bytes:
    """The paper as it would go out now; nothing is stored. Raises as `send` does when it cannot be made."""
    return _print(quote, now).content


def paper(*, quote: Quote, now: datetime) -> bytes:
    """The PDF that counts: the signed one, else what was sent, else a preview. Raises as `preview`."""
    kept = quote.signed_document or quote.document
    return kept.read() if kept is not None else preview(quote=quote, now=now)


def _print(quote: Quote, now: datetime) -> _Printed:
    proposal = proposing.proposal_of(quote, now=now)
    figures = proposing.figures(proposal)
    today = local_date(now, proposing.zone_of(quote))
    paper = quote_papers.paper_of(quote, proposal, figures, issued_on=today)
    return _Printed(quote, paper, quote_papers.print_paper(paper), figures)


@transaction.atomic
def _send(quote: Quote, printed: Sequence[_Printed], now: datetime, actor: str, message: str) -> Quote:
    rows = {row.pk: row for row in quote.options(held=("self",))}
    if rows.keys() != {each.quote.pk for each in printed}:
        raise StaleMove(f"the options of quote {quote} were changed while it was printed")
    sent = [_freeze(rows[each.quote.pk], each, now, actor) for each in printed]
    lead = Quote.leading(sent)
    data = {
        "number": lead.number, "version": lead.version, "tcv": lead.tcv, "currency": lead.currency,
        "options": len(sent),
    }  # fmt: skip
    assert lead.document is not None
    event = record(
        "quote.sent", subject=sent[0], actor=actor, now=now, data={**data, "sha256": lead.document.sha256}
    )
    _mail_out(sent, lead, message, event, now)
    deals.advance(lead.deal, "proposal", now=now, actor=actor)
    quote.refresh_from_db()
    return rows[quote.pk]


def _freeze(row: Quote, printed: _Printed, now: datetime, actor: str) -> Quote:
    """What was printed counts if it is still what the row says."""
    again = proposing.proposal_of(row, now=now)
    today = local_date(now, proposing.zone_of(row))
    if quote_papers.paper_of(row, again, proposing.figures(again), issued_on=today) != printed.paper:
        raise StaleMove(f"quote {row} was changed while it was printed")
    document = quote_papers.keep(printed.paper, printed.content, now=now)
    fields = {**proposing.store(row, printed.figures), "document": document, "paper": printed.paper.to_json()}
    move(row, "sent", event=None, actor=actor, now=now, sent_at=now, **fields)
    return row


def _mail_out(sent: Sequence[Quote], lead: Quote, message: str, event: Event, now: datetime) -> None:
    """One mail with the paper, or with that of every option and what each comes to."""
    papers = [row.document for row in sent if row.document is not None]
    options = [(row, addresses.money(row.tcv, row.currency)) for row in sent if row.option]
    context = {
        "quote": lead, "url": sent[0].url, "message": message, "rep": lead.owner and lead.owner.get_full_name(),
        "total": "" if options else addresses.money(lead.tcv, lead.currency), "options": options,
    }  # fmt: skip
    mail.compose(
        template="quote_sent", to=lead.contact_email, context=context, event=event, now=now,
        customer=lead.customer, document=papers[0], more_documents=papers[1:],
    )  # fmt: skip


# -- New versions, and the end -----------------------------------------------------------------------------


@transaction.atomic
def revise(*, quote: Quote, now: datetime, actor: str, by: User | None = None, **terms: Any) -> Quote:
    """A new version with the same number and options; the old one's link is closed. Answers the new draft.

    Raises NotEditable for one that can be edited instead, was accepted, or has a newer version.
    """
    rows = quote.options(held=("self",))
    _refuse_revising(quote, rows)
    for row in rows:
        _lapse(row, now)
        if row.state in Quote.OUT:
            _withdraw(row, now, actor, event=row is rows[0], why="a newer version")
    made = {row.pk: offering.copied(row, by, now) for row in rows}
    new = made[quote.pk]
    if terms:
        new = edit(quote=new, now=now, actor=actor, **terms)
    for each in made.values():
        if each.pk != new.pk or not terms:
            settle(each, now)
    for each in made.values():
        created(each, now, actor)
    quote.refresh_from_db()
    return new


def _refuse_revising(quote: Quote, rows: Sequence[Quote]) -> None:
    final = (Quote.State.ACCEPTED, Quote.State.CONVERTED)
    for row in rows:
        if row.editable or row.state in final:
            raise NotEditable(f"Quote {row} is {row.get_state_display().lower()}.")
    if Quote.objects.filter(revision_of__in=rows).exists():
        raise NotEditable("There is a newer version already.")


@transaction.atomic
def copy(*, quote: Quote, now: datetime, actor: str, by: User | None = None) -> Quote:
    """A new quote with the terms of an earlier one, whatever became of that: an option beside it, or its renewal.

    A start that has passed becomes “when accepted”; what it would have followed is followed while it runs.
    """
    number = numbering.take([(QUOTE_SERIES, now)], Seller.objects.get())[0].text
    over: dict[str, Any] = {
        "number": number, "version": 1, "revision_of": None, "task": None, "history": {}, "option": "",
        "option_name": "", "recommended": False,
    }  # fmt: skip
    if quote.deal is not None and not quote.deal.is_open:
        over["deal"] = None
    if quote.subscription is not None and not quote.subscription.is_live:
        over["subscription"] = None
    if _start_is_over(quote, now) or "subscription" in over:
        over |= {"starts": Quote.Starts.NOW, "starts_on": None}
    new = offering.copied(quote, by, now, **over)
    if new.deal is None:
        new.deal = drafting.deal_for(new, now, actor)
        new.save(update_fields=["deal"])
    settle(new, now)
    created(new, now, actor)
    return new


def _start_is_over(quote: Quote, now: datetime) -> bool:
    if quote.starts != Quote.Starts.DATE or quote.starts_on is None:
        return False
    return quote.starts_on <= local_date(now, proposing.zone_of(quote))


@transaction.atomic
def withdraw(*, quote: Quote, now: datetime, actor: str, reason: str = "") -> None:
    """Take it back with its options; the link says so. Raises IllegalMove once it is accepted or closed, StaleMove."""
    rows = [quote if row.pk == quote.pk else row for row in quote.options(held=("self",))]
    for row in rows:
        _lapse(row, now)
    open_ones = [row for row in rows if "withdrawn" in Quote.MOVES[row.state]]
    for n, row in enumerate(open_ones or [quote]):
        _withdraw(row, now, actor, event=n == 0, why=reason[:300])


def _withdraw(row: Quote, now: datetime, actor: str, *, event: bool, why: str) -> None:
    """One fact for the version, whatever the number of its options."""
    data = {"number": row.number, "version": row.version, "why": why}
    name = "quote.withdrawn" if event else None
    move(row, "withdrawn", event=name, actor=actor, now=now, withdrawn_at=now, data=data)


def expire(*, now: datetime) -> int:
    """Close what was not accepted in time, each on its buyer's clock. Answers how many."""
    over = Quote.objects.filter(lapsed_at(now)).select_related("customer__test_clock", "lead")
    on_clock = [(quote, quote.now if quote.customer and quote.customer.test_clock else now) for quote in over]
    return sum(_expire(quote, present) for quote, present in on_clock)


@transaction.atomic
def _expire(quote: Quote, now: datetime) -> bool:
    """The buyer may be accepting it this moment: who is first wins."""
    try:
        with transaction.atomic():
            _lapse(quote, now)
    except StaleMove:
        return False
    return True


def _lapse(quote: Quote, now: datetime) -> None:
    """Write down that its last day is over, if it is. Raises StaleMove."""
    if quote.state in Quote.OUT and quote.standing_at(now) == Quote.State.EXPIRED:
        data = {"number": quote.number, "version": quote.version}
        move(quote, "expired", event="quote.expired", actor="system", now=now, data=data)
