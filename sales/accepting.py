"""What the buyer does with a quote behind its signed link: read, ask, decline, accept; and what follows.

A quote is accepted at most once, on the version that was shown: the row is held, its state moves by
compare-and-set, and the subscription's source is the quote's id, which the database keeps unique.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, Q
from django_q.tasks import async_task

from billing import (
    bulk,
    collecting,
    customers,
    falling_due,
    mail,
    movements,
    moves,
    sending_again,
    subscribing,
    timelines,
    typed,
)
from billing.events import record, together
from billing.maths.periods import local_date
from billing.models import Customer, Discount, Mail, Member, MrrMovement, Price, Segment, Seller, Subscription
from billing.models.ids import IdField
from billing.moves import IllegalMove, StaleMove, move
from billing.papers.data import SignatureRecord
from billing.refusals import Refused
from billing.timelines import PhaseSpec
from sales import addresses, approving, deals, handing_over, leads, offering, proposing, quote_papers
from sales.models import HandoffTask, Quote, QuoteComment
from sales.proposing import Figures, Proposal

BUYER = "buyer"
MOST_COMMENTS = 20
ACCEPTED = (Quote.State.ACCEPTED, Quote.State.CONVERTED)
BUYING = "A card payment for a plan of yours is being decided. Please try again in a minute."
WAITS = "Another quote was accepted and has not begun. Ask us to withdraw this one."


class UnknownLink(Refused):
    """No quote opens with this link: it was never sent, or somebody changed the address."""

    code = "unknown_link"


class QuoteClosed(Refused):
    """The quote can no longer be accepted; the subclasses say why."""

    code = "quote_closed"


class TermsChanged(Refused):
    """The seller has other terms of service than those that the buyer was asked to accept."""

    code = "terms_changed"


class TooManyComments(Refused):
    """More than a buyer writes within an hour."""

    code = "too_many_comments"


class PurchaseOnItsWay(Refused):
    """The customer pays by card for a subscription just now; the quote follows that one in a moment."""

    code = "purchase_on_its_way"


class Superseded(QuoteClosed):
    code = "quote_superseded"


class Withdrawn(QuoteClosed):
    code = "quote_withdrawn"


class AlreadyAccepted(QuoteClosed):
    code = "quote_already_accepted"


class Declined(QuoteClosed):
    code = "quote_declined"


class QuoteExpired(QuoteClosed):
    code = "quote_expired"


class AnotherAccepted(QuoteClosed):
    """Another accepted quote waits for the same subscription."""

    code = "another_quote_accepted"


# -- Reading -------------------------------------------------------------------------------------------------


def find(token: str) -> Quote:
    """The quote that a link opens, whatever has become of it, with the other versions and options of its number.
    Raises UnknownLink, also for one never sent."""
    key = _id(token)
    number = Quote.objects.filter(pk=key).values("number")
    rows = list(Quote.joined().filter(number__in=number).order_by("version", "option"))
    quote = next((row for row in rows if row.pk == key), None)
    if quote is None or not quote.opens_with(token) or quote.sent_at is None:
        raise UnknownLink("This link does not open a quote.")
    for row in rows:
        row.family = [each for each in rows if each is not row]
    return quote


def _id(token: str) -> str:
    body = token.partition(".")[0]
    if len(body) != 32 or not body.isalnum() or not body.isascii():
        raise UnknownLink("This link does not open a quote.")
    field = Quote._meta.pk
    assert isinstance(field, IdField)
    try:
        return str(field.to_python(body))
    except ValidationError:
        raise UnknownLink("This link does not open a quote.") from None


def refuse_closed(
    quote: Quote, *, now: datetime, version: int | None = None, family: Sequence[Quote] | None = None
) -> None:
    """Say plainly why a quote can no longer be accepted; nothing when it can. `family`: the other rows of its number,
    where they were read later than with it."""
    family = quote.family if family is None else family
    if family is None:
        family = list(Quote.objects.filter(number=quote.number).exclude(pk=quote.pk))
    mine = [quote, *(each for each in family if each.version == quote.version)]
    signed = next((each for each in mine if each.state in ACCEPTED), None)
    if signed is not None:
        what = signed.option_words or "this quote"
        raise AlreadyAccepted(f"{signed.accepted_name} accepted {what} on {signed.accepted_at:%-d %B %Y}.")
    if any(
        each.version > quote.version and (each.sent_at or each.revision_of_id == quote.pk) for each in family
    ):
        raise Superseded("There is a newer version of this quote.")
    if version is not None and version != quote.version:
        raise Superseded("There is a newer version of this quote.", field="version")
    gone = quote.customer is not None and quote.customer.deleted_at is not None
    if quote.state == Quote.State.WITHDRAWN or gone:
        raise Withdrawn("This quote was withdrawn.")
    if quote.state == Quote.State.DECLINED:
        raise Declined("This quote was declined.")
    if quote.standing_at(now) == Quote.State.EXPIRED:
        raise QuoteExpired("This quote has expired.")
    if quote.state not in Quote.OUT:
        raise UnknownLink("This link does not open a quote.")


def still_open(source: Mail, now: datetime) -> None:
    """For a mail that brought a quote: nobody is sent again to one that is closed. Raises QuoteClosed."""
    event = sending_again.cause(source)
    quote = Quote.objects.filter(pk=event.object_id).first() if event else None
    if quote is None:
        raise UnknownLink("The quote is no longer there.")
    refuse_closed(quote, now=now)


def view(*, quote: Quote, now: datetime) -> None:
    """The buyer has opened it; the first time is a fact."""
    if quote.standing_at(now) == Quote.State.SENT:
        _opened(quote, now)


@transaction.atomic
def _opened(quote: Quote, now: datetime) -> None:
    data = {"number": quote.number, "version": quote.version}
    try:
        move(quote, "viewed", event="quote.viewed", actor=BUYER, now=now, viewed_at=now, data=data)
    except StaleMove:
        quote.refresh_from_db()
        return
    if quote.option:
        others = Quote.objects.filter(number=quote.number, version=quote.version, state=Quote.State.SENT)
        others.update(state=Quote.State.VIEWED, viewed_at=now)


@transaction.atomic
def comment(*, quote: Quote, author: str, text: str, by_buyer: bool, now: datetime) -> QuoteComment:
    """Say something; a buyer's words are mailed to the owner. Raises Missing, TooLong, QuoteClosed,
    TooManyComments."""
    if by_buyer:
        refuse_closed(quote, now=now)
        _refuse_flood(quote, now)
    name = typed.text(author, "author", limit=200, required=True)
    if not isinstance(text, str) or not text.strip():
        raise typed.Missing("Write something first.", field="text")
    if len(text) > 4000:
        raise typed.TooLong("This can have at most 4,000 characters.", field="text")
    words = "\n".join(typed.text(line, "text", limit=4000) for line in text.splitlines()).strip()
    row = QuoteComment.objects.create(quote=quote, author=name, text=words, by_buyer=by_buyer, at=now)
    if by_buyer and quote.owner:
        context = {"quote": quote, "comment": row, "url": addresses.staff_url(quote)}
        cause = f"comment:{row.pk}"
        mail.compose(template="quote_comment", to=quote.owner.email, context=context, event=cause, now=now)
    return row


def _refuse_flood(quote: Quote, now: datetime) -> None:
    """Each of a buyer's comments is a mail to the owner."""
    recent = QuoteComment.objects.filter(quote=quote, by_buyer=True, at__gt=now - timedelta(hours=1))
    if recent.count() >= MOST_COMMENTS:
        raise TooManyComments("That was a lot within an hour. Please wait a little, or answer our mail.")


@transaction.atomic
def decline(*, quote: Quote, reason: str, now: datetime, version: int | None = None) -> None:
    """The buyer says no to all that was offered, and why. Raises QuoteClosed as `accept` does."""
    rows = quote.options(held=("self",))
    row = next(each for each in rows if each.pk == quote.pk)
    refuse_closed(row, now=now, version=version)
    why = typed.text(reason, "reason", limit=1000)
    data = {"number": row.number, "version": row.version, "reason": why}
    fields: dict[str, Any] = {"declined_at": now, "decline_reason": why}
    for each in rows:
        event = "quote.declined" if each is row else None
        move(each, "declined", event=event, actor=BUYER, now=now, data=data, **fields)
    quote.refresh_from_db()


# -- Accepting -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    """Who accepted, as checked."""

    name: str
    title: str
    email: str
    typed: str
    po_number: str
    ip: str | None
    user_agent: str
    terms_url: str


def accept(
    *,
    quote: Quote,
    name: str,
    title: str,
    email: str,
    signature: str,
    now: datetime,
    po_number: str = "",
    option: str = "",
    version: int | None = None,
    ip: str | None = None,
    user_agent: str = "",
    terms_url: str | None = None,
) -> Quote:
    """The buyer signs. Exactly once: freezes the signed paper, makes the phases, wins the deal, mails both.

    `quote` as `find` answers it; `version` is the one that was shown, `option` the letter that was chosen; the other
    options are closed with it. `terms_url` is where the terms of service were when the buyer was asked for them, None for
    where they are now. Raises NoOption; TermsChanged; Superseded, Withdrawn, AlreadyAccepted, Declined, QuoteExpired,
    AnotherAccepted (all QuoteClosed); PurchaseOnItsWay; Missing and others naming a field; PaperToolsMissing.
    The signed paper is typeset before anything is held.
    """
    refuse_closed(quote, now=now, version=version)
    quote = offering.chosen(quote, option)
    signed_by = Signature(
        name=typed.text(name, "name", limit=200, required=True), title=typed.text(title, "title", limit=200),
        email=typed.email(email), typed=typed.text(signature, "signature", limit=200, required=True),
        po_number=typed.text(po_number, "po_number", limit=60), ip=ip or None, user_agent=user_agent[:400],
        terms_url=Seller.objects.get().terms_url if terms_url is None else terms_url[:500],
    )  # fmt: skip
    paper = quote_papers.signed(quote.paper, _record(quote, signed_by, now))
    content = quote_papers.print_paper(paper)
    return _accept(quote, signed_by, paper, content, now, version)


def _record(quote: Quote, signature: Signature, now: datetime) -> SignatureRecord:
    assert quote.document is not None
    return SignatureRecord(
        name=signature.name, title=signature.title, email=signature.email, signed_at=now,
        typed=signature.typed, document_sha256=quote.document.sha256, address=signature.ip or "",
        po_number=signature.po_number, terms_url=signature.terms_url,
    )  # fmt: skip


@transaction.atomic
@together()
def _accept(
    quote: Quote, signature: Signature, paper: Any, content: bytes, now: datetime, version: int | None
) -> Quote:
    rows = quote.options(held=_held_with(quote))
    row = next(each for each in rows if each.pk == quote.pk)
    customer = _customer(row, signature, now, held=quote.customer_id is not None)
    known = _current(row, customer, now)
    refuse_closed(row, now=now, version=version, family=known.family)
    if known.undecided:
        raise PurchaseOnItsWay(BUYING)
    buyers = [] if customer else _become(row, signature, known.bands, now)
    assert row.document is not None
    assert row.customer is not None
    if known.priced.seller.terms_url != signature.terms_url:
        raise TermsChanged(
            "The terms of service have changed since you opened this page. Please read them, and accept once more.",
            field="agreed",
        )
    row.subscription = _running(row, row.customer, known)
    proposal = proposing.proposal_of(row, now=now, known=known.priced)
    figures = proposing.figures(proposal)
    document = quote_papers.document(paper, content, now=now)
    beside = [*buyers, document]
    subscription = _agree(row, known, proposal, figures, signature.po_number, beside, now)
    starts_now = figures.start_on <= local_date(now, row.customer.timezone)
    with moves.together() as gathered:
        move(
            row, "converted" if starts_now else "accepted", through="accepted" if starts_now else "", event=None,
            actor=BUYER, now=now, subscription=subscription,
            signed_document=document, accepted_at=now, accepted_name=signature.name,
            accepted_title=signature.title, accepted_email=signature.email, accepted_signature=signature.typed,
            accepted_ip=signature.ip, accepted_user_agent=signature.user_agent,
            accepted_sha256=row.document.sha256, accepted_terms_url=signature.terms_url,
            po_number=signature.po_number, starts_on=figures.start_on,
            schedule=[each.stored() for each in figures.schedule], converted_at=now if starts_now else None,
        )  # fmt: skip
        for other in rows:
            if other is not row:
                move(other, "withdrawn", event=None, actor=BUYER, now=now, withdrawn_at=now)
        gathered.beside += _tell(row, figures, signature, known, now)
        if starts_now:
            _converted(row, row.customer, now)
    return row


def _held_with(quote: Quote) -> tuple[str, ...]:
    """The quote first, as what sells; then its customer, and what runs of that. A lead that becomes one, before its
    quotes."""
    if quote.customer_id is None:
        return ("lead", "self")
    return ("self", "customer", "subscription") if quote.subscription_id else ("self", "customer")


def _customer(quote: Quote, signature: Signature, now: datetime, *, held: bool) -> Customer | None:
    """The customer, held; None where a lead is to become one."""
    if quote.customer is not None:
        if not held:  # another quote of the lead has made one since the link was opened
            customers.hold(quote.customer.pk)
        return quote.customer
    lead = quote.lead
    assert lead is not None
    if lead.customer_id is None:
        return None
    customer = quote.customer = _held(lead.customer_id)
    if not customer.members.filter(removed_at__isnull=True).exists():
        customers.add_member(
            customer=customer, email=signature.email, name=signature.name, role="owner", now=now, actor=BUYER
        )
    leads.convert(lead=lead, customer=customer, now=now, actor=BUYER)
    return customer


def _held(customer_id: str) -> Customer:
    rows = Customer.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("test_clock").get(pk=customer_id)


def _become(
    quote: Quote, signature: Signature, bands: customers.Bands, now: datetime
) -> list[Customer | Member]:
    """The lead becomes a customer, with whoever signs as its first member; to be stored with what is sold."""
    lead = quote.lead
    assert lead is not None
    if quote.owner_id == lead.owner_id:
        lead.owner = quote.owner
    quote.customer = customers.begun(
        name=lead.company, email=quote.contact_email or signature.email, livemode=lead.livemode, now=now,
        actor=BUYER, country=lead.country, billing_address=lead.address, employees=lead.employees,
        industry=lead.industry, segments=bands,
        currency=quote.currency, collection_method=quote.collection_method, net_days=quote.net_days,
    )  # fmt: skip
    member = customers.first_member(
        customer=quote.customer, name=signature.name, email=signature.email, now=now, actor=BUYER
    )
    leads.convert(lead=lead, customer=quote.customer, now=now, actor=BUYER)
    return [quote.customer, member]


@dataclass(frozen=True, slots=True)
class _Known:
    """What an acceptance depends on, as it is now that nobody else can change it."""

    priced: proposing.Known
    family: Sequence[Quote]
    bands: customers.Bands
    subscriptions: Sequence[Subscription]
    waiting: Sequence[Quote]
    tasks: Sequence[HandoffTask]
    undecided: bool
    last: Sequence[MrrMovement] | None = None


def _current(quote: Quote, customer: Customer | None, now: datetime) -> _Known:
    """What is known, after what falls due for the customer has happened."""
    known = _read(quote, customer)
    if customer is None or not falling_due.catch_up(known.subscriptions, now):
        return known
    customer.refresh_from_db()
    if quote.subscription is not None:
        quote.subscription = falling_due.locked(quote.subscription)
    return _read(quote, customer)


def _read(quote: Quote, customer: Customer | None) -> _Known:
    """All of it by one statement, after the rows are held: a newer version may have come while this waited. Tells the
    customer its segment, and the subscription that was held its phases."""
    priced = proposing.wanted(quote.pk)
    running = quote.subscription if quote.subscription_id else None
    phases = timelines.wanted(running) if running else ()
    about = Q(customer=customer) | Q(lead=quote.lead) if quote.lead_id else Q(customer=customer)
    others = Quote.objects.exclude(pk=quote.pk)
    tables = bulk.read(
        *priced,
        *phases,
        *([movements.last_of(running)] if running else []),
        others.filter(number=quote.number).only(*FAMILY),
        Segment.objects.all(),
        Subscription.objects.filter(
            customer=customer, status__in=(*Subscription.LIVE, "incomplete", "paused")
        ).order_by("created_at", "id"),
        others.filter(state="accepted", subscription__customer=customer).only("subscription"),
        HandoffTask.objects.filter(about, status__in=HandoffTask.OPEN),
        *(asked(customer).only("pk") for asked in collecting.undecided if customer),
    )
    rest = iter(tables)
    known = proposing.known_of(list(islice(rest, len(priced))))
    last = None
    if running is not None:
        timelines.remember(running, list(islice(rest, len(phases))))
        last = next(rest)
    family, segments, subscriptions, waiting, tasks, *undecided = rest
    if customer is not None:
        customer.segment = next((each for each in segments if each.pk == customer.segment_id), None)
    bands = customers.Bands(known.seller.currency, segments)
    return _Known(known, family, bands, subscriptions, waiting, tasks, any(undecided), last)


# What `refuse_closed` asks of other versions and options.
FAMILY = (
    "version", "state", "sent_at", "revision_of", "option", "option_name", "accepted_name", "accepted_at",
)  # fmt: skip


def _running(quote: Quote, customer: Customer, known: _Known) -> Subscription | None:
    """The subscription that the terms follow, held, with its phases: the quote's own, or what the customer bought
    meanwhile.

    Raises AnotherAccepted when other accepted terms wait for it.
    """
    waited_for = {each.subscription_id for each in known.waiting}
    live = [each for each in known.subscriptions if each.is_live]
    if any(each.pk in waited_for for each in known.subscriptions if each.status == "incomplete"):
        raise AnotherAccepted(WAITS)
    found = next((each for each in live if each.pk == quote.subscription_id), live[0] if live else None)
    if found is None:
        return None
    if found.pk in waited_for:
        raise AnotherAccepted(WAITS)
    if found.pk == quote.subscription_id:
        row = quote.subscription  # held with the quote, and its phases read since
        assert row is not None
    else:
        row = falling_due.locked(found)
        timelines.remember(row, bulk.read(*timelines.wanted(row)))
    row.customer = customer
    return row


def _agree(
    quote: Quote,
    known: _Known,
    proposal: Proposal,
    figures: Figures,
    po_number: str,
    beside: Sequence[Model],
    now: datetime,
) -> Subscription:
    """Make the phases: after what runs, or as a new subscription; what starts today is billed today. What was signed, and
    who by where that is new, is stored with them (`beside`)."""
    specs = [replace(spec, po_number=po_number) for spec in proposing.phases(proposal)]
    terms: dict[str, Any] = {
        "phases": specs, "now": now, "actor": BUYER, "source": quote.pk, "seller": known.priced.seller,
        "contract": subscribing.Contract(quote.term_months, quote.auto_renew), "rates": known.priced.rates,
        "payment_rule_override": _override(quote, figures, known.bands), "among": known.bands,
        "beside": [*_new_rows(specs), *beside],
    }  # fmt: skip
    if quote.subscription is None:
        assert quote.customer is not None
        return subscribing.sell(customer=quote.customer, origin="quote", **terms)[0]
    # What else was bought meanwhile has movements of its own.
    last = known.last if known.last and known.last[0].subscription_id == quote.subscription.pk else None
    subscribing.follow_on(subscription=quote.subscription, last=last, **terms)
    return quote.subscription


def _override(quote: Quote, figures: Figures, bands: customers.Bands) -> str:
    """The approval, given with the quote, that lets the buyer pay in a way its segment does not."""
    return f"agreed in quote {quote}" if approving.breaks_payment_rule(quote, figures, bands) else ""


def _new_rows(specs: Sequence[PhaseSpec]) -> list[Discount | Price]:
    """What the phases need that is in no catalogue: the quote's discounts and its fees as prices."""
    discounts = {spec.discount.pk: spec.discount for spec in specs if spec.discount}
    prices = {price.pk: price for spec in specs for price, _ in spec.items if price._state.adding}
    return [*discounts.values(), *prices.values()]


def _pay_as_agreed(quote: Quote, customer: Customer, subscription: Subscription, now: datetime) -> None:
    """The customer pays as the terms say from the day on which they begin."""
    before, after = customer.collection_method, quote.collection_method
    subscribing.set_collection(customer, after, actor=BUYER, now=now, before=before)
    if before != after and after == "send_invoice":
        data = {"source": quote.pk, "plan": quote.plan.code, "collection_method": after}
        record("subscription.converted_to_invoice", subject=subscription, actor=BUYER, now=now, data=data)
    async_task("billing.tasks.after_issue")


def _tell(quote: Quote, figures: Figures, signature: Signature, known: _Known, now: datetime) -> list[Mail]:
    """The acceptance as a fact, the deal won, the task done, and a mail to both with the signed paper, to be stored."""
    data = {
        "number": quote.number, "version": quote.version, "option": quote.option, "name": signature.name,
        "sha256": quote.accepted_sha256, "arr": figures.arr, "tcv": figures.tcv, "currency": quote.currency,
        "starts_on": figures.start_on.isoformat(), "subscription": quote.subscription_id,
        "plan": quote.plan.code,
    }  # fmt: skip
    event = record("quote.accepted", subject=quote, actor=BUYER, now=now, data=data)
    _win(quote, figures, known.tasks, now)
    context = {
        "quote": quote, "starts_on": figures.start_on, "url": quote.url, "seller": known.priced.seller,
    }  # fmt: skip
    ways = {quote.owner.email: addresses.staff_url(quote)} if quote.owner else {}
    ways[signature.email] = addresses.portal_url()
    letters = [
        mail.written(
            template="quote_accepted", to=to, context={**context, "url": url}, event=event, now=now,
            customer=quote.customer, document=quote.signed_document,
        )
        for to, url in ways.items()
    ]  # fmt: skip
    for letter in letters:
        mail.send_soon(letter)
    return letters


def _win(quote: Quote, figures: Figures, tasks: Sequence[HandoffTask], now: datetime) -> None:
    """The deal is won; and the handoff led to this: the open task about the buyer too."""
    deal = quote.deal
    if deal is not None and deal.is_open:
        if deal.customer_id in (None, quote.customer_id):
            deal.customer = quote.customer
        deals.win(deal=deal, amount=figures.acv, currency=quote.currency, now=now, actor=BUYER)
    for task in tasks:
        if task.customer_id in (None, quote.customer_id):
            task.customer = quote.customer
        note = f"Quote {quote} accepted"
        handing_over.complete(task=task, outcome="won", note=note, now=now, actor=BUYER)


# -- When the new terms begin ------------------------------------------------------------------------------


@transaction.atomic
def convert(*, quote: Quote, now: datetime) -> bool:
    """The first of the quote's phases has begun: it is converted. False when there is nothing to do."""
    subscription = quote.subscription
    if quote.state != Quote.State.ACCEPTED or subscription is None:
        return False
    first: date | None = (
        subscription.phases.filter(source=quote.pk)
        .order_by("start_on")
        .values_list("start_on", flat=True)
        .first()
    )
    if first is None or first > local_date(now, subscription.timezone):
        return False
    try:
        with transaction.atomic():
            move(quote, "converted", event=None, actor="system", now=now, converted_at=now)
    except (StaleMove, IllegalMove):
        return False
    _say_converted(quote, now)
    if subscription.source == quote.pk:
        _pay_as_agreed(quote, subscription.customer, subscription, now)
    return True


def _converted(quote: Quote, customer: Customer, now: datetime) -> None:
    """Terms that begin with the signature: they are converted at once, and paid as they say from now on."""
    assert quote.subscription is not None
    _say_converted(quote, now)
    _pay_as_agreed(quote, customer, quote.subscription, now)


def _say_converted(quote: Quote, now: datetime) -> None:
    data = {
        "from": "accepted", "to": "converted", "number": quote.number, "version": quote.version,
        "subscription": quote.subscription_id,
    }  # fmt: skip
    record("quote.converted", subject=quote, actor="system", now=now, data=data)
