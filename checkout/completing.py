"""Paying first, then making what was paid for: one customer, one subscription, one paid invoice, always.

A payment is an intent, a call and a result. `prepare` freezes the quote and commits the attempt with its
key; the provider is called outside of any transaction; `settle` writes the answer down, and whoever hears of
success first - the browser, the provider's webhook, the reconciler - completes the session under its row's
lock. The others find it done. Locks are taken in one order: payment, session, customer.
"""

import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from billing import bulk, cards, collecting, customers, issuing, mail, moves, subscribing
from billing.events import record, together
from billing.gateway import (
    Card,
    CardRefused,
    GatewayMisuse,
    Outcome,
    ProviderUnreachable,
    SetupOutcome,
    UnchargeableAmount,
    gateway,
    to_provider,
)
from billing.models import (
    Customer,
    Invoice,
    Member,
    Payment,
    PaymentMethod,
    Price,
    Subscription,
)
from billing.moves import move
from billing.offering import Offer
from billing.refusals import Refused
from billing.remembering import Remembered, Slot
from checkout import letters, quoting, sessions
from checkout.models import CheckoutSession
from sales.addresses import money

log = logging.getLogger(__name__)

BUYER = "buyer"
MOST_ATTEMPTS = 15
NOT_SENT = "The payment could not be sent just now. Nothing was charged. Please try again."
NEVER_MADE = "The payment was not made. Please try again."


class BeingDecided(Refused):
    """An attempt of this session has no answer yet; a second one might charge twice."""

    code = "payment_in_progress"


class PriceChanged(Refused):
    """What is due is no longer what the buyer saw."""

    code = "price_changed"


class CardMissing(Refused):
    """Something is due, or the card is asked for in any case."""

    code = "card_missing"


class TooManyCards(Refused):
    """So many cards in one session are somebody's list, not a buyer's wallet."""

    code = "too_many_attempts"


@dataclass(frozen=True, slots=True)
class Offered:
    """What the request that made the offer has read, so that completing need not read it again."""

    table: quoting.Table
    prices: Mapping[str, Price]
    known: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A committed intent to charge (`payment`), or to save a card while nothing is due."""

    session: CheckoutSession
    payment: Payment | None
    key: str
    offered: Offered


# -- Paying -------------------------------------------------------------------------------------------------


def pay(
    *,
    session: CheckoutSession,
    card_token: str,
    fields: Mapping[str, Any],
    expected: int | None,
    table: quoting.Table,
    now: datetime,
) -> CheckoutSession:
    """Charge the card for what is due and make what was bought. Not inside a transaction.

    `card_token` is "" for a trial that begins without a card (`asks_no_card`); anything due refuses that by CardMissing.
    `session` carries what was typed (`sessions.remember`); `fields` describe the customer as
    `customers.create` takes them; `expected` is the total that the buyer saw, in minor units. The answer is
    in the session: completed, or open with `message`, or still being decided. Raises NotOpen, BeingDecided,
    CardMissing, PriceChanged, TooManyCards, CodeRefused, AlreadySubscribed, and what refuses the fields.
    """
    clean = _checked(session, fields)
    try:
        if card_token:
            session.provider_customer_id = _provider_customer(session, clean)
    except (ProviderUnreachable, CardRefused):
        return _note(session, NOT_SENT)
    try:
        attempt = prepare(
            typed=session, card_token=card_token, fields=clean, expected=expected, table=table, now=now
        )
    except IntegrityError as error:
        raise BeingDecided("Another checkout of this customer is being paid.") from error
    if attempt.payment is None:
        settle_setup(
            session_id=session.pk,
            outcome=_call_setup(attempt.session, attempt.key),
            now=now,
            offered=attempt.offered,
        )
        return fresh(session)
    payment = collecting.apply(
        payment_id=attempt.payment.pk, outcome=_call(attempt), now=now, actor=BUYER,
        make=partial(paid, offered=attempt.offered),
    )  # fmt: skip
    if payment.status != Payment.Status.SUCCEEDED:
        return fresh(session)
    session.status = "completed"  # all that its buyer is told next; the rest stands in the row
    return session


def fresh(session: CheckoutSession) -> CheckoutSession:
    rows = CheckoutSession.objects.select_related("plan", "discount", "customer__test_clock", "test_clock")
    return rows.get(pk=session.pk)


def _checked(session: CheckoutSession, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The customer's fields as they will be stored, refused now rather than after the money has moved."""
    known = session.customer
    if known is not None:
        _refuse_other_currency(session, known)
        fields = {name: value for name, value in fields.items() if name not in ("name", "email", "currency")}
    return customers.cleaned(fields, known=known)


def _refuse_other_currency(session: CheckoutSession, known: Customer) -> None:
    if known.currency != session.currency:
        raise PriceChanged(
            f"This checkout is in {session.currency}, and {known.name} is billed in {known.currency} now. "
            "Please begin a new one."
        )


def _provider_customer(session: CheckoutSession, fields: Mapping[str, Any]) -> str:
    """The provider's customer for this buyer; the same buyer and session get the same one."""
    known = session.customer.provider_id if session.customer else ""
    if known or session.provider_customer_id:
        return known or session.provider_customer_id
    name = fields.get("name") or (session.customer.name if session.customer else "")
    email = fields.get("email") or session.email
    key = f"{session.pk}-customer-{session.attempts}"
    return gateway().create_customer(key=key, name=name, email=email, reference=session.pk)


@transaction.atomic
def prepare(
    *,
    typed: CheckoutSession,
    card_token: str,
    fields: Mapping[str, Any],
    expected: int | None,
    table: quoting.Table,
    now: datetime,
) -> Attempt:
    """Freeze the quote and commit the attempt with its key, before anybody is called.

    `typed` is the session as the request has it, with what was typed. Its row takes that over if it is still as the
    request read it, and is held from then on.
    """
    session = copy(typed)
    _refuse_closed(session, now)
    payer = _payer(session, fields)
    made = quoting.offer(session, table, now=now, customer=payer)
    _refuse_amount(made.today.total, session.currency, expected)
    if not card_token and not asks_no_card(session, made, table, now):
        raise CardMissing("Please enter your card.")
    session.attempts += 1
    session.attempted_at = session.quoted_at = now
    session.quote = quoting.frozen(session, made, payer, fields, table.seller)
    session.card_token, session.message, session.setup_id, session.setup_url = card_token, "", "", ""
    key = f"{session.pk}-{session.attempts}"
    payment = _payment(session, key, made.today.total, now)
    _claim(session, payment, now)
    return Attempt(session, payment, key, _offered(session, table, made))


def _offered(session: CheckoutSession, table: quoting.Table, made: Offer) -> Offered:
    prices = {price.pk: price for spec in made.specs for price, _ in spec.items}
    return Offered(table, prices, known=session.customer_id is not None)


def _claim(session: CheckoutSession, payment: Payment | None, now: datetime) -> None:
    """Compare-and-set: nobody has paid, ended or tried it since it was read. Stores the attempt to charge with it. Holds
    its row, then its customer's."""
    as_read = bulk.Still(session, {"status": "open", "attempted_at": None, "attempts": session.attempts - 1})
    typed = {name: getattr(session, name) for name in (*sessions.TYPED, *ATTEMPT)}
    typed["discount_held"] = session.discount is not None
    if not bulk.claim(as_read, typed, *([payment] if payment else []), hold=session.customer):
        _refuse_closed(fresh(session), now)
        raise BeingDecided("Your payment is still being decided.")
    if session.customer is not None:
        _refuse_second(session, session.customer)
    sessions.hold_discount(session)


# What an attempt to pay changes.
ATTEMPT = (
    "attempts",
    "attempted_at",
    "quoted_at",
    "quote",
    "card_token",
    "provider_customer_id",
    "message",
    "setup_id",
    "setup_url",
)


def _locked(session_id: str, offered: Offered | None = None) -> CheckoutSession:
    """The customer is held and read with it where it was known before. Else it is not joined: whoever waited here would
    see the session completed, and nobody it belongs to."""
    key = UUID(hex=session_id.partition("_")[2])
    for session in _by_id(with_customer=bool(offered and offered.known)).fetch({"id": key}):
        return cast(CheckoutSession, session)
    raise CheckoutSession.DoesNotExist(session_id)


@cache
def _by_id(*, with_customer: bool) -> Remembered:
    rows = CheckoutSession.objects.select_related("plan", "discount", "test_clock").filter(pk=Slot("id"))
    if not with_customer:
        return Remembered(rows.select_for_update(of=("self",)))
    rows = rows.select_related("customer__test_clock", "customer__owner")
    rows = rows.filter(customer__created_at__isnull=False)  # an outer join cannot be held
    return Remembered(rows.select_for_update(of=("self", "customer"), no_key=True))


def _refuse_closed(session: CheckoutSession, now: datetime) -> None:
    if session.status != "open" or session.expires_at <= now:
        raise sessions.NotOpen("This checkout has ended.")
    if session.attempted_at is not None:
        raise BeingDecided("Your payment is still being decided.")
    if session.attempts >= MOST_ATTEMPTS:
        raise TooManyCards("This was tried too often. Please begin a new checkout, or talk to us.")


def _refuse_second(session: CheckoutSession, customer: Customer) -> None:
    """One purchase of a customer at a time, and none beside what it has: asked while its row is held, before money is
    asked for. Who accepts a quote holds the row too and asks `undecided`, so one of the two sees the other."""
    subscribed, deciding = bulk.read(
        sessions.subscribed(customer).only("pk")[:1],
        undecided(customer).exclude(pk=session.pk).only("pk")[:1],
    )
    if subscribed:
        raise sessions.already_subscribed(customer)
    if deciding:
        raise BeingDecided("Another purchase of yours is still being decided.")


def undecided(customer: Customer) -> QuerySet[CheckoutSession]:
    """The customer's checkouts of which a payment is being decided."""
    return CheckoutSession.objects.filter(customer=customer, status="open", attempted_at__isnull=False)


def asks_no_card(session: CheckoutSession, made: Offer, table: quoting.Table, now: datetime) -> bool:
    """Whether this buyer begins a free trial without a card. A card that is saved would be charged when it ends, so it is
    shown and agreed to."""
    saved = any(not card.expired(now.date()) for card in table.cards)
    return not session.needs_card and made.specs[0].free and made.today.total == 0 and not saved


def _payer(session: CheckoutSession, fields: Mapping[str, Any]) -> Customer:
    """The customer that will be made, or the one there is with what it will be changed to; not saved here."""
    payer = session.customer or Customer(currency=session.currency, test_clock=session.test_clock)
    for name, value in fields.items():
        setattr(payer, name, value)
    return payer


def _refuse_amount(total: int, currency: str, expected: int | None) -> None:
    if expected is not None and expected != total:
        raise PriceChanged(
            f"The price has changed since you saw it: {money(total, currency)} is due today. Please look at it again."
        )
    try:
        to_provider(total, currency)
    except UnchargeableAmount as error:
        raise PriceChanged(str(error)) from error


def _payment(session: CheckoutSession, key: str, total: int, now: datetime) -> Payment | None:
    """Not stored yet."""
    if total == 0:
        return None
    return Payment(
        source=session.pk,
        livemode=session.livemode,
        amount=total,
        currency=session.currency,
        key=key,
        created_at=now,
    )


# -- Calling ------------------------------------------------------------------------------------------------


def _call(attempt: Attempt) -> Outcome:
    payment = attempt.payment
    assert payment is not None
    try:
        return gateway().charge(
            key=attempt.key,
            amount=payment.amount,
            currency=payment.currency,
            reference=payment.pk,
            save=True,
            livemode=payment.livemode,
            metadata={"payment": payment.pk, "checkout": attempt.session.pk},
            **_card_of(attempt.session),
        )
    except GatewayMisuse:
        log.exception("A charge was refused as malformed: %s", payment.pk)
        return Outcome("failed", decline_code="never_made", message=NOT_SENT)


def _call_setup(session: CheckoutSession, key: str) -> SetupOutcome:
    """Save the card while nothing is due; repeating it with the same key saves it once. Where none was asked for,
    there is nobody to call."""
    if not session.card_token:
        return SetupOutcome("succeeded")
    try:
        return gateway().setup(key=key, reference=session.pk, livemode=session.livemode, **_card_of(session))
    except GatewayMisuse:
        log.exception("Saving a card was refused as malformed: %s", session.pk)
        return SetupOutcome("failed", decline_code="never_made", message=NOT_SENT)


def _card_of(session: CheckoutSession) -> dict[str, Any]:
    return {
        "customer": session.provider_customer_id,
        "payment_method": session.card_token,
        "return_url": f"{session.url}return/",
    }


# -- What became of it --------------------------------------------------------------------------------------


def look(*, session: CheckoutSession, now: datetime) -> CheckoutSession:
    """Ask the provider about an attempt without an answer. Repeatable; not inside a transaction."""
    if session.attempted_at is None:
        return session
    payment = open_payment(session)
    if payment is not None:
        collecting.look(payment, now=now, actor="provider")
    elif session.setup_id:
        settle_setup(session_id=session.pk, outcome=gateway().resume_setup(session.setup_id), now=now)
    return fresh(session)


def open_payment(session: CheckoutSession) -> Payment | None:
    """The attempt that has no answer yet."""
    return Payment.objects.filter(source=session.pk, status__in=Payment.OPEN).first()


def use_another_card(*, session: CheckoutSession, now: datetime) -> CheckoutSession:
    """Give up an attempt that waits for the buyer's bank. If it was paid meanwhile, that is the answer."""
    payment = open_payment(session)
    if payment is not None and payment.status == "requires_action" and payment.provider_id:
        outcome = gateway().cancel(key=f"{payment.key}-cancel", payment_intent=payment.provider_id)
        collecting.apply(payment_id=payment.pk, outcome=outcome, now=now, actor=BUYER)
    elif payment is None and session.setup_id:
        canceled = SetupOutcome("failed", session.setup_id, decline_code="canceled")
        settle_setup(session_id=session.pk, outcome=canceled, now=now)
    return fresh(session)


@transaction.atomic
@together()
def settle_setup(
    *, session_id: str, outcome: SetupOutcome, now: datetime, offered: Offered | None = None
) -> None:
    """Write down what became of saving a card; a saved one completes the session. Repeatable."""
    session = _locked(session_id, offered)
    if session.status == "completed" or outcome.state in ("unknown", "processing"):
        return
    if outcome.state == "succeeded":
        complete(session, card=outcome.card, now=now, offered=offered)
    elif outcome.state == "requires_action":
        where = {"setup_id": outcome.setup_id or "", "setup_url": outcome.action_url or ""}
        CheckoutSession.objects.filter(pk=session.pk).update(**where)
    else:
        _let_try_again(session, outcome.message or NEVER_MADE)


def paid(payment: Payment, card: Card | None, now: datetime, *, offered: Offered | None = None) -> bool:
    """Billing tells that a payment for a session went through: make what it paid for, once. Billing stores what is set
    in the payment. Answers whether the invoice counts it already.

    A second payment for a completed session (there should be none) goes to the customer's balance.
    """
    session, counted = _locked(payment.source, offered), False
    if session.status != "completed":
        money = issuing.Paid(payment, now)
        payment.payment_method, counted = complete(session, card=card, now=now, offered=offered, money=money)
    payment.customer, payment.invoice = session.customer, session.invoice
    payment.card_label = str(card) if card else ""
    return counted


def failed(payment: Payment, now: datetime) -> None:
    """Billing tells that a payment for a session failed: the buyer may try again."""
    _let_try_again(_locked(payment.source), payment.message or NEVER_MADE)


def _let_try_again(session: CheckoutSession, message: str) -> None:
    if session.status == "completed":
        return
    sessions.release_discount(session)
    fields: dict[str, Any] = {"attempted_at": None, "setup_id": "", "setup_url": "", "message": message[:300]}
    CheckoutSession.objects.filter(pk=session.pk).update(**fields)


def _note(session: CheckoutSession, message: str) -> CheckoutSession:
    CheckoutSession.objects.filter(pk=session.pk, status="open").update(message=message)
    return fresh(session)


# -- Completing ---------------------------------------------------------------------------------------------


@moves.together()
def complete(
    session: CheckoutSession,
    *,
    card: Card | None,
    now: datetime,
    offered: Offered | None,
    money: issuing.Paid | None = None,
) -> tuple[PaymentMethod | None, bool]:
    """Customer, owner, card, subscription, first invoice, events and mail, all or nothing. The row is locked.

    Everything happens at the instant of the quote, so that it is billed as it was shown. Answers the saved
    card, and whether the invoice counts the money.
    """
    at = session.quoted_at
    assert at is not None
    table = offered.table if offered else quoting.table(session)
    customer, buyers = _customer(session, at, table)
    method = _card(customer, card, at)
    brought = [*buyers, *([method] if method and method._state.adding else [])]
    phases = quoting.thawed(session, customer, offered.prices if offered else None)
    subscription, bill = subscribing.sell(
        customer=customer, phases=phases, seller=table.seller, rates=table.taxes, among=table.segments, now=at,
        actor=BUYER, origin="checkout", source=session.pk, beside=brought, paid=money,
        payment_rule_override=_override(session),
    )  # fmt: skip
    session.customer, session.subscription, session.invoice = customer, subscription, bill.invoice
    letter = letters.planned(session, now)
    move(
        session, "completed", event="checkout.completed", actor=BUYER, now=at, customer=customer,
        data=_facts(session, subscription, bill.invoice), completed_at=now, attempted_at=None, message="",
        card_token="", customer_id=customer.pk, subscription_id=subscription.pk,
        invoice_id=bill.invoice.pk if bill.invoice else None, beside=[letter],
    )  # fmt: skip
    mail.send_soon(letter)
    return method, bill.issued is not None and bill.issued.paid


def _override(session: CheckoutSession) -> str:
    """Staff who let a buyer past sales also approve the card."""
    return f"Checkout unlocked by {session.unlocked_by}" if session.unlocked_by else ""


def _customer(
    session: CheckoutSession, at: datetime, table: quoting.Table
) -> tuple[Customer, list[Customer | Member]]:
    """Who buys, and what of it is new and to be stored."""
    fields = session.quote["customer"]
    if session.customer_id is not None:
        known = _held(session, session.customer_id)
        known.segment = next((each for each in table.segments.segments if each.pk == known.segment_id), None)
        provider = known.provider_id or session.provider_customer_id
        return customers.update(
            customer=known, now=at, actor=BUYER, held=True, provider_id=provider, **fields
        ), []
    customer = customers.begun(
        **fields, livemode=session.livemode, now=at, actor=BUYER, currency=session.currency,
        test_clock=session.test_clock, provider_id=session.provider_customer_id, segments=table.segments,
    )  # fmt: skip
    owner = customers.first_member(customer=customer, name=session.quote["person"], now=at, actor=BUYER)
    return customer, [customer, owner]


def _held(session: CheckoutSession, customer_id: str) -> Customer:
    """Read with the session, which holds it too; else held now."""
    if CheckoutSession.customer.is_cached(session):
        return session.customer  # type: ignore[return-value]
    return customers.held([customer_id])[customer_id]


def _card(customer: Customer, card: Card | None, at: datetime) -> PaymentMethod | None:
    """What may be shown of the card that is charged from now on, not stored yet where the customer is new; the provider
    keeps the card."""
    if card is None:
        return None
    if not customer._state.adding:
        return cards.kept(customer=customer, card=card, now=at, actor=BUYER)
    method = PaymentMethod(
        customer=customer,
        provider_id=card.id,
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        is_default=True,
        created_at=at,
    )
    data = {"brand": card.brand, "last4": card.last4, "default": True}
    record("payment_method.attached", subject=method, customer=customer, actor=BUYER, now=at, data=data)
    return method


def _facts(session: CheckoutSession, subscription: Subscription, invoice: Invoice | None) -> dict[str, Any]:
    return {
        "plan": session.plan.code, "interval": session.interval, "quantity": session.quantity,
        "origin": session.origin, "subscription": subscription.pk, "invoice": invoice.pk if invoice else None,
        "total": session.quote["total"], "currency": session.currency, "discount": session.quote["discount"],
    }  # fmt: skip


# -- Left behind --------------------------------------------------------------------------------------------


def reconcile(*, now: datetime) -> int:
    """Settle sessions that a dead worker left while a card was being saved. Returns how many were settled.

    Attempts to charge are billing's to reconcile; saving a card costs nothing, so the call is made again
    with its own key, which the provider answers as it did before.
    """
    settled = 0
    for session in CheckoutSession.objects.filter(status="open", attempted_at__isnull=False)[:200]:
        if session.quote.get("total") or session.setup_url:
            continue
        outcome = _call_setup(session, f"{session.pk}-{session.attempts}")
        settle_setup(session_id=session.pk, outcome=outcome, now=now)
        settled += outcome.state != "unknown"
    return settled
