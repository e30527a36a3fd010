"""Getting paid: card attempts, bank transfers, answers that come late or twice, and what follows each.

An attempt is a row with its idempotency key, committed before the provider is called. No lock is held over the
network. An unknown outcome is asked about (`reconcile`), never guessed; nothing else is tried meanwhile.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import (
    Case,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)

from billing import (
    bulk,
    correcting,
    customers,
    dunning,
    hosted,
    issuing,
    journal,
    mail,
    moves,
    reasons,
    receipts,
    settling,
)
from billing.events import record, together
from billing.gateway import Card, GatewayMisuse, Outcome, gateway
from billing.maths.periods import local_date
from billing.models import Customer, Event, Invoice, Mail, Payment, PaymentMethod, Posting, Seller, TestClock
from billing.models.ids import uuid7
from billing.moves import move
from billing.refusals import Refused
from billing.remembering import RememberedSQL
from billing.templatetags.tandem import money

log = logging.getLogger(__name__)

# How many invoices one call charges or sends.
AT_ONCE = 500
CLOCK_SKEW = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(minutes=10)
# The seller is told of an attempt that has had no answer for so long.
TOLD_AFTER = timedelta(hours=24)
# A charge that the provider never made is tried anew every hour for a day, then daily, as long as a refused one.
ANEW_AFTER = timedelta(hours=1)
ANEW_DAILY_AFTER = timedelta(days=1)
ANEW_FOR = timedelta(days=dunning.RETRY_DAYS[-1])
# How long a buyer may take to confirm a payment with the bank: who pays is at the screen, and may have closed it; whose
# card was charged is asked by mail. Nothing else is tried meanwhile.
CONFIRMED_AT_SCREEN_WITHIN = timedelta(hours=1)
CONFIRMED_BY_MAIL_WITHIN = timedelta(hours=24)


class NothingDue(Refused):
    code = "nothing_due"


class NoCard(Refused):
    code = "no_card"


class AttemptOpen(Refused):
    """Another attempt has no answer yet; a second one might charge twice."""

    code = "payment_in_progress"


class InvalidAmount(Refused):
    code = "invalid_amount"


class PaymentNotSettled(Exception):
    """What is disputed or given back has no final answer here yet: ask again later."""


# Who makes what a payment was for, when that is not an invoice yet: prefix of `Payment.source` -> function of the
# locked payment, the card that paid and now, which gives the payment its customer and its invoice, and answers whether
# the invoice counts it already.
type OnPaid = Callable[[Payment, Card | None, datetime], bool]
on_source_paid: dict[str, OnPaid] = {}
# Rows that say that a customer (held) is paying for a subscription of its own choice just now; who sells so registers it.
undecided: list[Callable[[Customer], QuerySet[Any]]] = []
# What it sets in the payment; it is stored with the payment's own move.
SOLD = ("customer_id", "invoice_id", "payment_method_id", "card_label")
# Who may try again after a payment for it failed.
on_source_failed: dict[str, Callable[[Payment, datetime], None]] = {}


# -- Card attempts --------------------------------------------------------------------------------------


def attempt(
    *,
    invoice: Invoice,
    now: datetime,
    actor: str,
    payment_method: PaymentMethod | None = None,
    off_session: bool = True,
    return_url: str = "",
    carry: bool = False,
) -> Payment:
    """Try to charge a card for what is due. Must not run inside a transaction.

    `carry`: with it, what is `too_little` for a card by itself; for charges of which nobody was told an amount.
    Raises NothingDue, NoCard, AttemptOpen. The answer is in the payment's status; unknown means wait.
    """
    payment = _open_attempt(invoice, now, payment_method, off_session, carry)
    outcome = call(payment, return_url=return_url)
    return apply(payment_id=payment.pk, outcome=outcome, now=now, actor=actor)


def resumed(*, invoice: Invoice, since: datetime, now: datetime) -> Payment | None:
    """The attempt that a request had begun when it was killed, asked about as `reconcile` does; None: there is none.
    `since` and `now` are real time. Must not run inside a transaction."""
    rows = Payment.objects.filter(invoice=invoice, method="card", recorded_at__gte=since)
    joined = rows.select_related("customer__test_clock", "payment_method", "invoice")
    payment = joined.order_by("-recorded_at").first()
    waits = payment is not None and payment.status in ("new", "sent", "unknown")
    return _settle_unknown(payment, now) if payment is not None and waits else payment


def _open_attempt(
    invoice: Invoice,
    now: datetime,
    payment_method: PaymentMethod | None,
    off_session: bool,
    carry: bool = False,
) -> Payment:
    """The attempt's row, committed. While it is open the invoice is not due for another."""
    refuse_nothing_due(invoice)
    card = payment_method or customers.default_card(invoice.customer)
    if card is None:
        raise NoCard("There is no saved card.", field="payment_method")
    try:
        with transaction.atomic():
            fresh = (
                Invoice.objects.select_for_update(of=("customer", "self"), no_key=True)
                .select_related("customer")
                .get(pk=invoice.pk)
            )
            refuse_nothing_due(fresh)
            # Read, not left to the index alone: an insert would wait for the answer that is being written to the
            # other attempt, which itself waits for this invoice.
            if fresh.payments.filter(method="card", status__in=Payment.OPEN).exists():
                raise AttemptOpen("A payment for this invoice is still being decided.")
            number = fresh.payments.filter(method="card").count() + 1
            amount = fresh.amount_due + (_due(too_little(fresh)) if carry else 0)
            payment = Payment.objects.create(
                customer=fresh.customer, invoice=fresh, livemode=fresh.livemode, amount=amount,
                currency=fresh.currency, key=f"{fresh.pk}-{number}", payment_method=card, card_label=str(card),
                off_session=off_session, created_at=now,
            )  # fmt: skip
            Invoice.objects.filter(pk=fresh.pk).update(next_attempt_at=None)
            return payment
    except (IntegrityError, AttemptOpen) as error:
        Invoice.objects.filter(pk=invoice.pk).update(next_attempt_at=None)
        raise AttemptOpen("A payment for this invoice is still being decided.") from error


def refuse_nothing_due(invoice: Invoice) -> None:
    if invoice.status not in ("open", "uncollectible") or invoice.amount_due <= 0:
        raise NothingDue(f"Nothing is due on {invoice}.", field="invoice")


def too_little(invoice: Invoice) -> QuerySet[Invoice]:
    """The customer's other open invoices of which a card said that they are too little to be charged: they are charged
    with this one."""
    said = Payment.objects.filter(invoice=OuterRef("pk"), decline_code="amount_too_small")
    others = Invoice.objects.filter(
        customer=invoice.customer_id, currency=invoice.currency, status=Invoice.Status.OPEN, amount_due__gt=0,
        collection_method="charge_automatically",
    )  # fmt: skip
    return others.filter(Exists(said)).exclude(pk=invoice.pk)


def _due(invoices: QuerySet[Invoice]) -> int:
    return int(invoices.aggregate(due=Sum("amount_due", default=0))["due"])


def call(payment: Payment, *, return_url: str = "") -> Outcome:
    """Ask the provider to move the money of a committed attempt. Repeating it with the same key charges once."""
    return gateway().charge(**_charge(payment), return_url=return_url)


def _charge(payment: Payment) -> dict[str, Any]:
    assert payment.payment_method is not None
    assert payment.customer is not None
    return {
        "key": payment.key, "customer": payment.customer.provider_id,
        "payment_method": payment.payment_method.provider_id, "amount": payment.amount, "currency": payment.currency,
        "reference": payment.pk, "metadata": {"payment": payment.pk, "invoice": payment.invoice_id or ""},
        "off_session": payment.off_session, "livemode": payment.livemode,
    }  # fmt: skip


@transaction.atomic
@together()
def apply(
    *, payment_id: str, outcome: Outcome, now: datetime, actor: str, make: OnPaid | None = None
) -> Payment:
    """Write down what became of an attempt. The same answer twice changes nothing. `make` stands in for the registered
    maker of what was paid for, where the caller has at hand what that one would read."""
    payment = locked(payment_id)
    if outcome.state not in Payment.MOVES[payment.status]:
        return payment  # it says so already, has gone further, or there is nothing to say yet
    fields: dict[str, Any] = {
        "provider_id": outcome.intent_id or payment.provider_id, "decline_code": outcome.decline_code or "",
        "message": outcome.message or "", "client_secret": outcome.client_secret or "",
        "action_url": outcome.action_url or "",
    }  # fmt: skip
    if outcome.state == "succeeded":
        succeeded(payment, now=now, actor=actor, card=outcome.card, make=make, **fields)
    elif outcome.state == "failed":
        failed(payment, now=now, actor=actor, **fields)
    else:
        move(payment, outcome.state, event=None, actor=actor, now=now, **fields)
        if outcome.state == "requires_action" and payment.invoice and payment.off_session:
            _ask_to_confirm(payment, now)
    return payment


def locked(payment_id: str) -> Payment:
    """The attempt as it is now, held until the transaction ends; its customer first, where it has one yet."""
    key = UUID(hex=payment_id.partition("_")[2])
    for payment in _held().fetch([key, key]):
        return cast(Payment, payment)
    raise Payment.DoesNotExist(payment_id)


@cache
def _held() -> RememberedSQL:
    return RememberedSQL(Payment, _HELD)


# The condition on the owner is met before the payment is looked for, so the customer is held first.
_HELD = """
with owner as materialized (
    select "billing_customer".id from "billing_customer" join billing_payment p on p.customer_id = "billing_customer".id
    where p.id = %s for no key update of "billing_customer"
)
select {columns} from "billing_payment" where id = %s and (select count(*) from owner) >= 0
for no key update of "billing_payment"
"""


def succeeded(
    payment: Payment,
    *,
    now: datetime,
    actor: str,
    card: Card | None = None,
    make: OnPaid | None = None,
    **fields: Any,
) -> None:
    """The money has moved: settle what it was for."""
    counted = False
    with moves.together():
        if payment.invoice_id is None and payment.source:
            counted = (make or on_source_paid[payment.source.partition("_")[0]])(payment, card, now)
            fields |= {name: getattr(payment, name) for name in SOLD}
        data = {
            "amount": payment.amount,
            "currency": payment.currency,
            "method": payment.method,
            "invoice": payment.invoice_id,
        }
        move(
            payment, "succeeded", event="payment.succeeded", actor=actor, now=now, customer=payment.customer,
            settled_at=now, data=data, **fields,
        )  # fmt: skip
    if payment.invoice_id is not None and not counted:
        invoice = settle(payment=payment, now=now, actor=actor)
        if payment.method == Payment.Method.CARD and not payment.source:
            receipts.plan(payment, invoice, now=now)


def settle(*, payment: Payment, now: datetime, actor: str) -> Invoice:
    """Put a succeeded payment to its invoice; what is over goes to the customer's balance. In a transaction."""
    assert payment.invoice_id is not None
    zone = Subquery(Seller.objects.values("timezone")[:1])
    rows = Invoice.objects.select_for_update(of=("customer", "self"), no_key=True).select_related(
        "customer", "subscription"
    )
    invoice = rows.annotate(seller_zone=zone).get(pk=payment.invoice_id)
    written_off = invoice.status == Invoice.Status.UNCOLLECTIBLE
    to_invoice = min(payment.amount, invoice.amount_due) if invoice.status in ("open", "uncollectible") else 0
    over = payment.amount - to_invoice
    if to_invoice:
        settling.count(invoice, to_invoice, now=now, actor=actor)
    carried = (
        too_little(invoice) if over and payment.method == Payment.Method.CARD else Invoice.objects.none()
    )
    if over:
        with_it = (
            f"Charged with {invoice.number}" if carried.exists() else f"Over-payment of {invoice.number}"
        )
        issuing.add_balance(
            invoice.customer, over, payment.currency, reason=with_it, now=now, payment=payment
        )
        settling.use_balance(customer=invoice.customer, now=now, actor=actor, invoices=carried, most=over)
    on = local_date(now, invoice.seller_zone)
    bulk.copy(
        Posting, list(journal.of_payment(payment, invoice, to_invoice, over, on, written_off=written_off))
    )
    return invoice


def failed(payment: Payment, *, now: datetime, actor: str, **fields: Any) -> None:
    """The card said no: say so once. An invoice by card goes on to its next step; one that is paid by transfer keeps
    its reminders. Where no card was asked, since the provider was out of order, it is tried anew and nobody is late."""
    data = {
        "amount": payment.amount,
        "currency": payment.currency,
        "reason": fields.get("decline_code", ""),
        "invoice": payment.invoice_id,
    }
    move(payment, "failed", event="payment.failed", actor=actor, now=now, settled_at=now, data=data, **fields)
    # Held: it may be paid in another way at this moment, and nobody is late for what is paid.
    invoice = correcting.locked(payment.invoice) if payment.invoice else None
    if invoice is None:
        on_source_failed[payment.source.partition("_")[0]](payment, now)
    elif dunning.no_step(payment):
        _plan_again(invoice, payment)
        _say_failed(invoice, payment, now, actor)
    elif _follows_up(invoice, payment) and payment.decline_code == "never_made":
        _try_anew(invoice, payment, now)
    elif _follows_up(invoice, payment):
        dunning.failed(
            invoice,
            reason=payment.decline_code,
            message=payment.message,
            payment=payment,
            now=now,
            actor=actor,
        )
    else:
        _say_failed(invoice, payment, now, actor)


def _say_failed(invoice: Invoice, payment: Payment, now: datetime, actor: str) -> None:
    next_at = invoice.next_attempt_at
    data = {
        "attempt": invoice.attempts, "reason": payment.decline_code, "next_attempt_at": next_at and next_at.isoformat(),
    }  # fmt: skip
    record("invoice.payment_failed", subject=invoice, actor=actor, now=now, data=data)


def _plan_again(invoice: Invoice, payment: Payment) -> None:
    """What failed was no step of the customer's own: that comes when it would have, or now if that was while this
    attempt stood in its way."""
    if invoice.status == Invoice.Status.OPEN and invoice.collection_method == "charge_automatically":
        invoice.next_attempt_at = dunning.next_step(invoice, payment.created_at)
        Invoice.objects.filter(pk=invoice.pk).update(next_attempt_at=invoice.next_attempt_at)


def _try_anew(invoice: Invoice, payment: Payment, now: datetime) -> None:
    """No card was asked, so nobody is late. When it has gone on too long it ends, and the seller is told."""
    lasted = now - _unheard_since(invoice)
    pause = ANEW_AFTER if lasted < ANEW_DAILY_AFTER else ANEW_DAILY_AFTER
    next_at = now + pause if lasted < ANEW_FOR else None
    Invoice.objects.filter(pk=invoice.pk).update(next_attempt_at=next_at)
    if next_at is None:
        _mail_seller("payment_not_made", f"not-made-{payment.pk}", payment, now)


def _unheard_since(invoice: Invoice) -> datetime:
    """When the first of the attempts was made that never reached the provider, after the last one that did."""
    tries = invoice.payments.filter(method=Payment.Method.CARD).order_by("-created_at", "-id")
    lost = list(takewhile(lambda each: each.decline_code == "never_made", tries))
    return lost[-1].created_at


def _follows_up(invoice: Invoice, payment: Payment) -> bool:
    """Whether another try or another card could help. What is too little for any card is nobody's fault: it stays
    open until the next charge takes it along (`too_little`), and nobody is late for it."""
    by_card = invoice.collection_method == "charge_automatically"
    return invoice.status == Invoice.Status.OPEN and by_card and payment.decline_code != "amount_too_small"


def _ask_to_confirm(payment: Payment, now: datetime) -> None:
    invoice = payment.invoice
    assert invoice is not None
    mail.compose(
        template="payment_failed", to=invoice.customer.email, event=payment.pk, now=now, customer=invoice.customer,
        context={"invoice": invoice, "payment": payment, "amount": money(payment.amount, payment.currency),
                 "reason": "Your bank asks you to confirm this payment.", "url": mail.portal_url("invoices/")},
    )  # fmt: skip


def collect_due(
    *,
    now: datetime,
    clock: TestClock | None = None,
    limit: int = AT_ONCE,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Try the open card invoices whose time has come, at most so many, or until it is `enough`. Returns how many were
    tried."""
    due = Invoice.objects.filter(
        status="open", next_attempt_at__lte=now, collection_method="charge_automatically", customer__test_clock=clock
    ).select_related("customer").order_by("next_attempt_at", "id")[:limit]  # fmt: skip
    return sum(_collect(invoice, now) for invoice in _until(enough, due))


def _until(enough: Callable[[], bool], rows: Iterable[Invoice]) -> Iterator[Invoice]:
    """One at least."""
    for row in rows:
        yield row
        if enough():
            return


def _collect(invoice: Invoice, now: datetime) -> bool:
    """Try the card, or ask for one where trying is no use."""
    if dunning.wants_card(invoice, customers.default_card(invoice.customer)):
        dunning.ask_for_card(invoice=invoice, now=now, actor="system")
        return False
    try:
        attempt(invoice=invoice, now=now, actor="system", carry=True)
    except (NothingDue, NoCard, AttemptOpen):
        return False
    except GatewayMisuse:
        # Its attempt is asked about like any other.
        log.exception("The provider refused to try %s.", invoice.pk)
        return False
    return True


# -- Bank transfers --------------------------------------------------------------------------------------


@transaction.atomic
def record_transfer(
    *, invoice: Invoice, amount: int | None, reference: str, paid_at: datetime, now: datetime, actor: str
) -> Payment:
    """Staff saw the money on the account; without an amount all that was due. Partial is fine; what is over goes to
    the customer's balance.

    Raises InvalidAmount, NothingDue. The same reference for the same invoice and amount is one payment; without an amount
    what is still due is always another one.
    """
    if amount is not None and not 0 < amount <= 10**15:
        raise InvalidAmount("The amount must be more than nothing.", field="amount")
    if paid_at > now:
        raise InvalidAmount("A transfer cannot arrive in the future.", field="paid_at")
    fresh = (
        Invoice.objects.select_for_update(of=("customer", "self"), no_key=True)
        .select_related("customer")
        .get(pk=invoice.pk)
    )
    due = fresh.status in ("open", "uncollectible")
    if reference and not (due and amount is None):
        said = {} if amount is None else {"amount": amount}
        known = fresh.payments.filter(method="bank_transfer", reference=reference, **said).first()
        if known:
            return known
    if not due:
        raise NothingDue(
            f"{fresh} is {fresh.get_status_display().lower()}: nothing is due on it.", field="invoice"
        )
    amount = fresh.amount_due if amount is None else amount
    payment = Payment.objects.create(
        customer=fresh.customer, invoice=fresh, livemode=fresh.livemode, amount=amount, currency=fresh.currency,
        method="bank_transfer", key=f"transfer-{uuid7().hex}", reference=reference, created_at=paid_at,
    )  # fmt: skip
    succeeded(payment, now=now, actor=actor)
    return payment


# -- Answers that come on their own ------------------------------------------------------------------------


def apply_provider_event(event: Mapping[str, Any], now: datetime) -> None:
    """Act on a provider's verified event. Its order and number do not matter: we look the payment up as it is now."""
    kind, thing = event["type"], event["data"]["object"]
    if not kind.startswith("payment_intent."):
        return
    reference = (thing.get("metadata") or {}).get("payment", "")
    payment = Payment.objects.filter(provider_id=thing["id"]).first() or _by_reference(reference)
    if payment is not None:
        look(payment, now=now_of(payment, now), actor="provider")


def _by_reference(reference: str) -> Payment | None:
    return Payment.objects.filter(pk=reference).first() if reference.startswith("pay_") else None


def settled_of(intent_id: str | None, *, now: datetime, actor: str) -> Payment | None:
    """The payment that the provider speaks of, asked about first where it has no answer here yet; None: it is none of
    ours. `now` is real time. Raises PaymentNotSettled."""
    payment = _of_intent(intent_id) if intent_id else None
    if payment is None or payment.status == Payment.Status.SUCCEEDED:
        return payment
    payment = look(payment, now=now_of(payment, now), actor=actor)
    if payment.status != Payment.Status.SUCCEEDED:
        raise PaymentNotSettled(f"{payment.pk} is {payment.status}")
    return payment


def _of_intent(intent_id: str) -> Payment | None:
    """By the intent; by our own reference where the answer to the charge has not reached us yet."""
    rows = Payment.objects.select_related("customer__test_clock")
    known = rows.filter(provider_id=intent_id).first()
    if known is not None:
        return known
    reference = gateway().resume(intent_id).reference
    return rows.filter(pk=reference).first() if reference.startswith("pay_") else None


def now_of(payment: Payment, now: datetime) -> datetime:
    """A sandbox payment's events happen on its customer's clock."""
    return payment.customer.on_clock(now) if payment.customer else now


def look(payment: Payment, *, now: datetime, actor: str) -> Payment:
    """Ask the provider what became of an attempt and write it down."""
    if payment.status not in (*Payment.OPEN, "failed", "canceled"):
        return payment
    outcome = gateway().look_up(
        payment_intent=payment.provider_id, key=payment.key, since=payment.recorded_at - CLOCK_SKEW
    )
    if outcome is None:
        return payment
    return apply(payment_id=payment.pk, outcome=outcome, now=now, actor=actor)


def reconcile(*, now: datetime, older_than: timedelta = timedelta(minutes=1)) -> int:
    """Ask about every attempt without a final answer. `now` is real time. Returns how many got one.

    An attempt on a saved card that the provider never saw is sent again with its own key; one that waited for a
    buyer at checkout is given up after ten minutes, when no call can be on its way any more.
    """
    waiting = Payment.objects.filter(status__in=("new", "sent", "unknown"), recorded_at__lte=now - older_than)
    done = 0
    joins = ("customer__test_clock", "payment_method", "invoice")
    for payment in waiting.select_related(*joins).order_by("recorded_at")[:500]:
        done += _settled(payment, now)
    return done


def give_up_unconfirmed(*, now: datetime, clock: TestClock | None = None) -> int:
    """End the attempts that a buyer was to confirm with the bank and did not: they stand in the way of every other. What
    was to be charged meanwhile is charged at once, so that who opens one after another holds nothing up. Returns how
    many have an end, which may be that they were paid. Without a clock `now` is real time."""
    done = 0
    for payment in unconfirmed(clock, now).select_related("customer__test_clock"):
        if _given_up(payment, now):
            done += 1
            _charge_what_waited(payment, now_of(payment, now))
    return done


def unconfirmed(clock: TestClock | None, until: datetime) -> QuerySet[Payment]:
    """The attempts that are to be given up until then, the oldest first."""
    late: QuerySet[Payment] = _waiting(clock).filter(given_up_at__lte=until)
    return late


def next_given_up(clock: TestClock, until: datetime) -> datetime | None:
    """When the next attempt is given up that lies ahead of the clock, if it is so until then."""
    ahead = _waiting(clock).filter(given_up_at__gt=clock.now, given_up_at__lte=until)
    first: datetime | None = ahead.aggregate(first=Min("given_up_at"))["first"]
    return first


def _waiting(clock: TestClock | None) -> Any:
    """The attempts that wait for their buyer, with when they are given up, the first before the others."""
    since = F("created_at" if clock else "recorded_at")
    patience = Case(
        When(off_session=True, then=Value(CONFIRMED_BY_MAIL_WITHIN)),
        default=Value(CONFIRMED_AT_SCREEN_WITHIN),
    )
    moment = ExpressionWrapper(since + patience, output_field=DateTimeField())
    rows = Payment.objects.filter(status=Payment.Status.REQUIRES_ACTION, customer__test_clock=clock)
    return rows.annotate(given_up_at=moment).order_by("given_up_at")


def _given_up(payment: Payment, now: datetime) -> bool:
    """Asked of the provider, which knows whether the buyer was quicker; its answer is written down."""
    assert payment.provider_id is not None
    try:
        outcome = gateway().cancel(key=f"{payment.key}-cancel", payment_intent=payment.provider_id)
    except GatewayMisuse:
        log.exception("The provider will not give up %s.", payment.pk)
        return False
    fresh = apply(payment_id=payment.pk, outcome=outcome, now=now_of(payment, now), actor="system")
    return fresh.status not in Payment.OPEN


def _charge_what_waited(payment: Payment, now: datetime) -> None:
    for invoice in _by_card(payment.invoice_id).filter(next_attempt_at__lte=now).select_related("customer"):
        _collect(invoice, now)


def _settled(payment: Payment, now: datetime) -> bool:
    """One that the provider will not answer about holds up no other; after a day somebody is told, once."""
    try:
        payment = _settle_unknown(payment, now)
    except GatewayMisuse:
        log.exception("The provider will not answer about %s.", payment.pk)
    if payment.status in ("new", "sent", "unknown") and payment.recorded_at <= now - TOLD_AFTER:
        _tell_seller(payment, now)
    return payment.status not in Payment.OPEN


@transaction.atomic
def _tell_seller(payment: Payment, now: datetime) -> None:
    told = _mail_seller("payment_unknown", f"unknown-{payment.pk}", payment, now)
    if told is not None:
        data = {"amount": payment.amount, "currency": payment.currency, "invoice": payment.invoice_id,
                "since": payment.recorded_at.isoformat(), "reference": payment.key}  # fmt: skip
        record("payment.unanswered", subject=payment, actor="system", now=now_of(payment, now), data=data)


def _mail_seller(template: str, event: str, payment: Payment, now: datetime) -> Mail | None:
    """About an attempt that somebody has to look at."""
    return mail.compose(
        template=template, to=Seller.objects.get().email, event=event, now=now, customer=payment.customer, invoice=None,
        context={"invoice": payment.invoice, "amount": money(payment.amount, payment.currency),
                 "since": payment.recorded_at, "reference": payment.key,
                 "url": f"{settings.SITE_URL}/admin/billing/payment/{payment.pk}/change/"},
    )  # fmt: skip


def _settle_unknown(payment: Payment, now: datetime) -> Payment:
    at = now_of(payment, now)
    if payment.invoice and not _asks_for(payment.invoice, payment.amount):
        return _look_only(payment, now)
    if payment.invoice_id and payment.payment_method and payment.customer:
        outcome = gateway().find_out(sent_at=payment.recorded_at, now=now, **_charge(payment))
        return apply(payment_id=payment.pk, outcome=outcome, now=at, actor="provider")
    fresh = look(payment, now=at, actor="provider")
    if fresh.status in ("new", "sent", "unknown") and payment.recorded_at < now - GIVE_UP_AFTER:
        never = Outcome(state="failed", decline_code="never_made", message="The payment was not made.")
        return apply(payment_id=payment.pk, outcome=never, now=at, actor="system")
    return fresh


def _asks_for(invoice: Invoice, amount: int) -> bool:
    """With what was carried along, if that is open still."""
    if invoice.status not in ("open", "uncollectible") or invoice.amount_due == 0:
        return False
    return invoice.amount_due >= amount or invoice.amount_due + _due(too_little(invoice)) >= amount


def _look_only(payment: Payment, now: datetime) -> Payment:
    """For an invoice that was paid otherwise meanwhile: a charge that was never made is not made now. What is due
    still, where it was paid in part, is charged anew."""
    at = now_of(payment, now)
    outcome = gateway().look_up(key=payment.key, since=payment.recorded_at - CLOCK_SKEW)
    if outcome is not None:
        return apply(payment_id=payment.pk, outcome=outcome, now=at, actor="provider")
    with transaction.atomic():
        fresh = locked(payment.pk)
        if fresh.status in ("new", "sent", "unknown") and now - fresh.recorded_at > GIVE_UP_AFTER:
            move(fresh, "canceled", event=None, actor="system", now=at, message="Paid otherwise.")
            _by_card(fresh.invoice_id).update(next_attempt_at=at)
    return fresh


def _by_card(invoice_id: str | None) -> QuerySet[Invoice]:
    """The invoice, where a card is to be charged for it still."""
    return Invoice.objects.filter(
        pk=invoice_id, status=Invoice.Status.OPEN, amount_due__gt=0, collection_method="charge_automatically"
    )


# -- Sending and net terms ------------------------------------------------------------------------------------


def send_new(
    *,
    now: datetime,
    clock: TestClock | None = None,
    limit: int = AT_ONCE,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Mail issued invoices that are paid by transfer and were not sent yet, at most so many, or until it is `enough`.
    Returns how many were sent."""
    rows = Invoice.objects.filter(
        status="open", collection_method="send_invoice", sent_at__isnull=True, customer__test_clock=clock
    ).select_related("customer")  # fmt: skip
    found = rows.order_by("issued_at", "id")[:limit]
    return sum(send(invoice=invoice, now=now, actor="system") for invoice in _until(enough, found))


@transaction.atomic
def send(*, invoice: Invoice, now: datetime, actor: str) -> bool:
    """Mail an invoice with its paper. Once; a second call changes nothing and answers False."""
    reminder_at = dunning.first_reminder(invoice, now, Seller.objects.get().timezone)
    unsent = Invoice.objects.filter(pk=invoice.pk, sent_at__isnull=True)
    if not unsent.update(sent_at=now, next_reminder_at=reminder_at):
        return False
    record("invoice.sent", subject=invoice, actor=actor, now=now, data={"number": invoice.number})
    write_invoice(invoice, event=f"sent-{invoice.pk}", now=now)
    return True


def write_invoice(invoice: Invoice, *, event: Event | str, now: datetime) -> Mail | None:
    """The mail that brings an invoice with its paper, and says what is to be paid of it now, if anything is."""
    lines, closes_at = list(invoice.lines.all()), hosted.ends_at(invoice)
    open_to_all = closes_at is None or closes_at > now
    url = hosted.url(invoice) if open_to_all else mail.portal_url(f"invoices/{invoice.pk}/")
    return mail.compose(
        template="invoice", to=invoice.customer.email, event=event, now=now, customer=invoice.customer, invoice=invoice,
        context={"asks": invoice.payable, "by_transfer": invoice.collection_method == "send_invoice",
                 "due_on": invoice.due_on, "url": url, "lines": lines, "taxes": reasons.taxes(lines)},
    )  # fmt: skip


def mail_out(*, invoice: Invoice, now: datetime, actor: str) -> None:
    """`send`, for one that somebody names. Raises NotOpen: nobody is asked for what is not due."""
    if invoice.status != Invoice.Status.OPEN:
        raise correcting.NotOpen(f"{invoice} is {invoice.get_status_display().lower()}.", field="invoice")
    send(invoice=invoice, now=now, actor=actor)


def overdue(*, now: datetime, clock: TestClock | None = None) -> int:
    """Say once of each open invoice that its due day has passed; its subscriptions are past due."""
    late = Invoice.objects.filter(
        status="open", due_at__lte=now, customer__test_clock=clock, collection_method="send_invoice", attempts=0
    ).select_related("customer", "subscription")  # fmt: skip
    said = 0
    for invoice in late.order_by("due_at", "id"):
        said += _say_overdue(invoice, now)
    return said


@transaction.atomic
def _say_overdue(invoice: Invoice, now: datetime) -> bool:
    customers.hold(invoice.customer_id)
    claimed = Invoice.objects.filter(pk=invoice.pk, status="open", attempts=0).update(attempts=1)
    if claimed:
        record("invoice.overdue", subject=invoice, actor="system", now=now, data={"number": invoice.number})
        dunning.late(invoice, now=now, actor="system")
    return bool(claimed)
