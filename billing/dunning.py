"""What follows when money does not come: retries and requests by card, reminders for invoices, and the end.

Cards: days 1, 3, 7 and 14 after the first failure. A decline that no retry can mend is not tried again on the
same card; on those days the customer is asked for another one. Invoices: three days before they are due, on the
day, 7 and 14 days after. Each step is an instant on the invoice's row and mails once; paying clears it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction
from django.db.models import Q, QuerySet

from billing import correcting, customers, declines, ending, falling_due, hosted, mail, pausing, settling
from billing.events import record
from billing.maths.periods import midnight
from billing.models import (
    CollectionMethod,
    Customer,
    Invoice,
    Payment,
    Seller,
    Subscription,
    TestClock,
)
from billing.moves import move
from billing.templatetags.tandem import money

RETRY_DAYS = (1, 3, 7, 14)
REMINDER_DAYS = (-3, 0, 7, 14)
# A week after the last reminder.
END_DAYS = 21
# What the provider answers of a payment that was given up.
CANCELED = "canceled"


def hopeless(payment: Payment | None) -> bool:
    """Whether the card itself was the reason, so that trying it again is no use."""
    return payment is not None and declines.words_of(payment.decline_code)[1] == "new_card"


# -- Cards ----------------------------------------------------------------------------------------------


def failed(
    invoice: Invoice, *, reason: str, message: str, payment: Payment | None, now: datetime, actor: str
) -> None:
    """A step without money: say so once, plan the next, and mark the subscription late. After the last step, the
    seller's end. `payment` is None where there was no card to try. In a transaction."""
    number = invoice.attempts + 1
    step_at = _next_step(invoice, number, now)
    Invoice.objects.filter(pk=invoice.pk).update(attempts=number, next_attempt_at=step_at)
    invoice.attempts, invoice.next_attempt_at = number, step_at
    retry_at = None if payment is None or hopeless(payment) else step_at
    data = {"attempt": number, "reason": reason, "next_attempt_at": retry_at and retry_at.isoformat()}
    record("invoice.payment_failed", subject=invoice, actor=actor, now=now, data=data)
    if payment is not None or _tried(invoice):
        late(invoice, now=now, actor=actor)
    context = {
        "invoice": invoice, "payment": payment, "amount": money(invoice.amount_due, invoice.currency),
        "reason": message, "retry_at": retry_at,
        "url": mail.portal_url("payment/"),
    }  # fmt: skip
    mail.compose(
        template="payment_failed", to=invoice.customer.email, event=f"try-{number}-{invoice.pk}", now=now,
        customer=invoice.customer, context=context,
    )  # fmt: skip
    if step_at is None:
        end(invoice, now=now, actor=actor)


def next_step(invoice: Invoice, since: datetime) -> datetime | None:
    """When an open invoice is tried next, as if nobody had tried another card since then; None after the last step."""
    return _next_step(invoice, invoice.attempts, since) if invoice.attempts else since


def _next_step(invoice: Invoice, number: int, now: datetime) -> datetime | None:
    """The next of the days after the first failure that still lies ahead: a customer who tries card after card in
    between uses none of them up."""
    failures = _failures(invoice).order_by("created_at")
    first = failures.values_list("created_at", flat=True).first() or _first_asked(invoice, number, now)
    steps = [first + timedelta(days=days) for days in RETRY_DAYS]
    return next((step for step in steps if step > now), None)


def no_step(failure: Payment) -> bool:
    """Whether this says nothing of the customer's own cards: one that was typed for this invoice alone was refused, or
    whoever paid by themselves left the bank's page."""
    method = failure.payment_method
    return (method is not None and method.single_use) or (
        not failure.off_session and failure.decline_code == CANCELED
    )


def _failures(invoice: Invoice) -> QuerySet[Payment]:
    """Of the customer's own cards: those that are a step (`no_step`)."""
    tried = invoice.payments.filter(status=Payment.Status.FAILED, method=Payment.Method.CARD)
    return tried.exclude(payment_method__single_use=True).exclude(off_session=False, decline_code=CANCELED)


def _first_asked(invoice: Invoice, number: int, now: datetime) -> datetime:
    """Without a card there was no attempt: the count began when the invoice was issued."""
    return invoice.issued_at if number > 1 and invoice.issued_at else now


def wants_card(invoice: Invoice, card: Any) -> bool:
    """Whether trying this card is no use: there is none, or it is the one that was refused for good."""
    if card is None:
        return True
    last = _failures(invoice).order_by("-created_at", "-id").first()
    return last is not None and hopeless(last) and last.payment_method_id == card.pk


@dataclass(frozen=True, slots=True)
class NeedsCard:
    """What an invoice waits for that only its customer can do. `message` may be shown; `action_url` is where the bank
    asks, where there is such a page; `pay_url` is the invoice in the portal, where all of it can be done."""

    reason: Literal["no_card", "card_declined", "authentication_required"]
    message: str
    invoice: str | None
    action_url: str
    pay_url: str


ADD_A_CARD = "Please add a card that we can charge."


def needs_card(invoice: Invoice) -> NeedsCard | None:
    """None: nothing is due by card, or it is still being tried without anybody's help. Reads the invoice's payments
    (prefetched or not) and the customer's card."""
    by_card = invoice.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY
    if invoice.status != Invoice.Status.OPEN or not by_card:
        return None
    tries = sorted(
        (p for p in invoice.payments.all() if p.method == "card"), key=lambda p: (p.created_at, p.pk)
    )
    last = tries[-1] if tries else None
    if last is not None and last.status in Payment.OPEN:
        asked = last.status == Payment.Status.REQUIRES_ACTION
        return _needs(invoice, "authentication_required", last) if asked else None
    card = customers.default_card(invoice.customer)
    if card is None:
        return _needs(invoice, "no_card", None)
    if last is None or last.status != Payment.Status.FAILED:
        return None
    if declines.words_of(last.decline_code)[1] == "authenticate":
        return _needs(invoice, "authentication_required", last)
    refused = hopeless(last) and last.payment_method_id == card.pk
    return _needs(invoice, "card_declined", last) if refused or invoice.next_attempt_at is None else None


def _needs(
    invoice: Invoice,
    reason: Literal["no_card", "card_declined", "authentication_required"],
    last: Payment | None,
) -> NeedsCard:
    words = ADD_A_CARD
    if last is not None:
        words = declines.words_of(last.decline_code if reason == "card_declined" else reason)[0]
    url = last.action_url if last is not None and last.status in Payment.OPEN else ""
    return NeedsCard(reason, words, invoice.pk, url, mail.portal_url(f"invoices/{invoice.pk}/"))


def subscription_needs_card(subscription: Subscription) -> NeedsCard | None:
    """The oldest of its invoices that waits for its customer; a trial by card that has none to go on with."""
    rows = Invoice.objects.of(subscription).filter(status=Invoice.Status.OPEN).order_by("issued_at", "id")
    for invoice in rows.select_related("customer").prefetch_related("payments")[:5]:
        if (found := needs_card(invoice)) is not None:
            return found
    if subscription.status != Subscription.Status.TRIALING or not _begins_by_card(subscription):
        return None
    if customers.default_card(subscription.customer) is not None:
        return None
    return NeedsCard("no_card", ADD_A_CARD, None, "", mail.portal_url("payment/card/"))


def _begins_by_card(subscription: Subscription) -> bool:
    """Whether what follows its trial is charged to a card."""
    after = subscription.phases.filter(free=False).order_by("start_on").first()
    return after is not None and after.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY


@transaction.atomic
def ask_for_card(*, invoice: Invoice, now: datetime, actor: str) -> None:
    """A step on a day on which there is nothing to try."""
    fresh = (
        Invoice.objects.select_for_update(of=("customer", "self"), no_key=True)
        .select_related("customer", "subscription")
        .get(pk=invoice.pk)
    )
    if fresh.status != Invoice.Status.OPEN or fresh.next_attempt_at is None or fresh.next_attempt_at > now:
        return
    failed(
        fresh,
        reason="no_card",
        message=ADD_A_CARD,
        payment=None,
        now=now,
        actor=actor,
    )


def card_changed(customer: Customer, *, now: datetime) -> None:
    """Another card was saved: what failed, or could not be tried, is tried again at once."""
    unheard = Q(next_attempt_at=None, payments__decline_code="never_made")
    Invoice.objects.filter(
        Q(attempts__gt=0) | unheard,
        customer=customer,
        status="open",
        collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
    ).exclude(payments__status__in=Payment.OPEN).update(next_attempt_at=now)


def _tried(invoice: Invoice) -> bool:
    return invoice.payments.filter(method="card").exists()


def late(invoice: Invoice, *, now: datetime, actor: str) -> None:
    """The subscriptions that it asks money for are past due, if they are running: asked of the rows, since another
    of their invoices may have said so a moment ago."""
    held = Subscription.objects.select_for_update(no_key=True)
    for subscription in invoice.subscriptions:
        subscription.refresh_from_db(fields=["status"], from_queryset=held)
        if subscription.status in ("active", "trialing"):
            move(subscription, "past_due", event="subscription.past_due", actor=actor, now=now)


# -- Invoices with terms ----------------------------------------------------------------------------------


def first_reminder(invoice: Invoice, now: datetime, tz: str) -> datetime | None:
    """When to remind of an invoice that was sent now; `tz` is the seller's."""
    return _reminder_after(invoice, now, tz)


def _steps(invoice: Invoice, tz: str) -> list[datetime]:
    assert invoice.due_on is not None
    return [midnight(invoice.due_on + timedelta(days=days), tz) for days in (*REMINDER_DAYS, END_DAYS)]


def _reminder_after(invoice: Invoice, now: datetime, tz: str) -> datetime | None:
    return next((at for at in _steps(invoice, tz) if at > now), None)


def remind(*, now: datetime, clock: TestClock | None = None, limit: int = 500) -> int:
    """Every reminder that is due, and the end of what stayed unpaid. Returns how many steps were taken."""
    rows = Invoice.objects.filter(status="open", next_reminder_at__lte=now, customer__test_clock=clock)
    seller = Seller.objects.get()
    return sum(
        _remind(pk, seller, now)
        for pk in rows.order_by("next_reminder_at", "id").values_list("pk", flat=True)[:limit]
    )


@transaction.atomic
def _remind(pk: str, seller: Seller, now: datetime) -> bool:
    invoice = (
        Invoice.objects.select_for_update(of=("customer", "self"), no_key=True, skip_locked=True)
        .select_related("customer__test_clock", "subscription")
        .filter(pk=pk, status="open", next_reminder_at__lte=now)
        .first()
    )
    if invoice is None:
        return False
    at = invoice.next_reminder_at
    assert at is not None
    over = at >= _steps(invoice, seller.timezone)[-1]
    invoice.next_reminder_at = None if over else _reminder_after(invoice, now, seller.timezone)
    invoice.reminders += not over
    invoice.save(update_fields=["next_reminder_at", "reminders"])
    if over:
        end(invoice, now=now, actor="system")
    else:
        _mail_reminder(invoice, now)
    return True


def _mail_reminder(invoice: Invoice, now: datetime) -> None:
    assert invoice.due_at is not None
    context = {
        "invoice": invoice, "amount": money(invoice.amount_due, invoice.currency),
        "due_on": invoice.due_on, "upcoming": now < invoice.due_at, "url": hosted.url(invoice),
    }  # fmt: skip
    mail.compose(
        template="invoice_reminder", to=invoice.customer.email, event=f"reminder-{invoice.reminders}-{invoice.pk}",
        now=now, customer=invoice.customer, invoice=invoice, context=context,
    )  # fmt: skip


# -- The end ------------------------------------------------------------------------------------------------


def end(invoice: Invoice, *, now: datetime, actor: str) -> None:
    """What the seller has decided for an invoice that nobody pays. In a transaction that holds the invoice.

    One for which there never was a card to try is not given up by itself: nobody has refused to pay it.
    """
    wanted = Seller.objects.get().unpaid_end
    asked = invoice.collection_method == CollectionMethod.SEND_INVOICE or _tried(invoice)
    if wanted == "uncollectible" and asked:
        correcting.mark_uncollectible(invoice=invoice, now=now, actor=actor)
    for subscription in invoice.subscriptions:
        if wanted in ("cancel", "pause"):
            _stop(subscription, wanted, now=now, actor=actor)
    if wanted == "pause":
        settling.use_balance(customer=invoice.customer, now=now, actor=actor)


def _stop(subscription: Subscription, wanted: str, *, now: datetime, actor: str) -> None:
    subscription = falling_due.current(subscription, now)
    if not subscription.is_live:
        return
    if wanted == "cancel":
        ending.cancel(
            subscription=subscription,
            now=now,
            actor=actor,
            effective="now",
            reason="unpaid",
            credit_unused=False,
        )
    if wanted == "pause" and subscription.status != Subscription.Status.TRIALING:
        pausing.pause(subscription=subscription, now=now, actor=actor, reason="unpaid")
