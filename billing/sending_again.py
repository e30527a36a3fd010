"""A mail that its reader has not got, or not kept, goes out again.

An invoice and an invitation are written anew, with what is due and who has access now. Any other mail goes out as it was,
and only while what it says holds: nobody is asked again for money that came, or sent to a link that has closed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from billing import collecting, customers, mail
from billing.events import record
from billing.models import Customer, Event, Invoice, Mail, Member, Payment
from billing.refusals import Refused
from billing.templatetags.tandem import money

# A second press, or a colleague's, within this time sends nothing.
APART = timedelta(minutes=5)
AGAIN = "mail.sent_again"
# Written to the customer's own address, which may be another one by now; the rest was written to somebody by name.
TO_CUSTOMER = frozenset({"invoice", "invoice_reminder", "payment_failed", "receipt"})
TO_SOMEBODY = frozenset({"checkout_link", "quote_accepted", "quote_sent", "team_invitation"})


class NotSentAgain(Refused):
    """Of a kind that goes out once, or one that is still on its way by itself."""

    code = "mail_not_sent_again"


class Overtaken(Refused):
    """What the mail says no longer holds."""

    code = "mail_overtaken"


class NoAccess(Refused):
    """Whom it invited is no longer on the team."""

    code = "no_access"


class JustSent(Refused):
    code = "mail_just_sent"


# By template: raises Overtaken where the mail, as it was written first, no longer holds. Packages above add theirs.
holding: dict[str, Callable[[Mail, datetime], None]] = {}


def may_go(source: Mail) -> bool:
    """Is it of a kind that is sent again?"""
    return source.template in TO_CUSTOMER | TO_SOMEBODY


# -- Which, and to whom ------------------------------------------------------------------------------------


def refusal(source: Mail, now: datetime) -> Refused | None:
    """Why it cannot go out again now; None where it can."""
    try:
        recipient(source)
        _check(source, now)
        _refuse_soon(_subject(source), now)
    except Refused as said:
        return said
    return None


def recipient(source: Mail) -> str:
    """Where it would go: where it went, unless the customer has another address by now. Raises NotSentAgain, NoAccess."""
    if not may_go(source):
        raise NotSentAgain("A mail of this kind goes out once.")
    customer = source.customer
    if customer is None:
        return source.recipient
    if customer.deleted_at is not None:
        raise NotSentAgain("This customer was deleted.")
    if source.template == "team_invitation":
        return _invited(source).user.email
    if source.template in TO_SOMEBODY or _belongs(source.recipient, customer):
        return source.recipient
    return customer.email


def _belongs(address: str, customer: Customer) -> bool:
    """Is it the customer's, or of somebody on the team?"""
    if address.lower() == customer.email.lower():
        return True
    return _team(customer).filter(user__email__iexact=address).exists()


def _team(customer: Customer) -> Any:
    return Member.objects.filter(customer=customer.account, removed_at__isnull=True).select_related("user")


def _invited(source: Mail) -> Member:
    assert source.customer is not None
    subject = _subject(source)
    found = _team(source.customer)
    member: Member | None = found.filter(pk=subject).first() if subject.startswith("mem_") else None
    if member is None:
        raise NoAccess("This person is no longer on the team; somebody who is can invite them.")
    return member


def _check(source: Mail, now: datetime) -> None:
    """Raises NotSentAgain, Overtaken."""
    if source.sent_at is None and source.attempts < mail.MOST_ATTEMPTS:
        raise NotSentAgain("It is still on its way: it is tried by itself until it goes out.")
    if not source.text:
        raise NotSentAgain("Its words are not kept.")
    if source.template == "invoice" and source.invoice is not None:
        _refuse_void(source.invoice)
    elif source.template in holding:
        holding[source.template](_first(source), now)


def _first(source: Mail) -> Mail:
    """The mail that this one repeats, or itself."""
    event = cause(source)
    if event is None or event.type != AGAIN or "mail" not in event.data:
        return source
    return Mail.objects.filter(pk=event.data["mail"]).first() or source


def causes(source: Mail) -> QuerySet[Event]:
    """The event that a mail tells of; none for one that was sent by a schedule."""
    kind, _, key = source.event.partition("_")
    try:
        return Event.objects.filter(id=UUID(hex=key)) if kind == "evt" else Event.objects.none()
    except ValueError:
        return Event.objects.none()


def cause(source: Mail) -> Event | None:
    return causes(source).first()


def _subject(source: Mail) -> str:
    """The id of what goes out again: an invoice, a member, or the first mail itself."""
    if source.template == "invoice" and source.invoice_id:
        return str(source.invoice_id)
    if source.template == "team_invitation":
        event = cause(source)
        return event.object_id if event else ""
    return str(_first(source).pk)


def _refuse_void(invoice: Invoice) -> None:
    if invoice.status in (Invoice.Status.DRAFT, Invoice.Status.VOID):
        raise Overtaken(f"{invoice} is {invoice.get_status_display().lower()}: nobody should pay or keep it.")


def _still_due(source: Mail, now: datetime) -> None:
    """A mail that asks for money names what was due then."""
    invoice = _asked_for(source)
    if invoice is None or invoice.status != Invoice.Status.OPEN or invoice.amount_due <= 0:
        raise Overtaken("What it asks for is settled. The invoice itself can be mailed from its page.")
    due = str(money(invoice.amount_due, invoice.currency))
    if due not in source.text:
        raise Overtaken(
            f"Something else is due by now, {due}. The invoice itself can be mailed from its page."
        )
    if _asked_since(source, invoice):
        raise Overtaken("There is a later one about the same invoice. Send that one again.")


def _asked_for(source: Mail) -> Invoice | None:
    """The invoice that a reminder carries, or whose id (or whose payment's) a failed charge was told under."""
    if source.invoice is not None:
        return source.invoice
    if source.event.startswith("pay_"):
        payment = Payment.objects.select_related("invoice").filter(pk=source.event).first()
        return payment.invoice if payment else None
    return (
        Invoice.objects.filter(pk=source.event.rpartition("-")[2]).first()
        if "-inv_" in source.event
        else None
    )


def _asked_since(source: Mail, invoice: Invoice) -> bool:
    later = Mail.objects.filter(
        customer=source.customer, template=source.template, created_at__gt=source.created_at
    )
    return later.filter(event__endswith=f"-{invoice.pk}").exists()


holding |= {"invoice_reminder": _still_due, "payment_failed": _still_due}


# -- Out it goes -------------------------------------------------------------------------------------------


def send_again(*, source: Mail, now: datetime, actor: str) -> Mail:
    """Raises NotSentAgain, NoAccess, Overtaken, JustSent."""
    to = recipient(source)
    _check(source, now)
    if source.template == "invoice" and source.invoice is not None:
        return mail_invoice(invoice=source.invoice, now=now, actor=actor)
    if source.template == "team_invitation":
        return invite_again(member=_invited(source), now=now, actor=actor)
    return _repeat(_first(source), to, now, actor)


@transaction.atomic
def _repeat(first: Mail, to: str, now: datetime, actor: str) -> Mail:
    """Word for word, with the same papers."""
    event = _say(first, first.customer, first.template, now, actor, {"mail": first.pk})
    copy = Mail(
        event=event.public_id, template=first.template, recipient=to, customer=first.customer, created_at=now,
        invoice=first.invoice, document=first.document, subject=first.subject, text=first.text, html=first.html,
    )  # fmt: skip
    mail.post([copy])
    copy.more_documents.set(first.more_documents.all())
    return copy


@transaction.atomic
def mail_invoice(*, invoice: Invoice, now: datetime, actor: str) -> Mail:
    """An invoice with its paper, as it stands now, to the customer's address: to pay, or to keep. Raises Overtaken,
    JustSent."""
    _refuse_void(invoice)
    event = _say(invoice, invoice.customer, "invoice", now, actor)
    return _written(collecting.write_invoice(invoice, event=event, now=now))


@transaction.atomic
def invite_again(*, member: Member, now: datetime, actor: str) -> Mail:
    """The way in, to the address that the member signs in with now. Raises NoAccess, JustSent."""
    if member.removed_at is not None:
        raise NoAccess("This person is no longer on the team.")
    event = _say(member, member.customer, "team_invitation", now, actor)
    return _written(customers.invite(member, event=event, now=now, actor=actor))


def _written(row: Mail | None) -> Mail:
    assert row is not None, "its event is its own"
    return row


def _say(
    subject: Any, customer: Customer | None, template: str, now: datetime, actor: str, data: Any = None
) -> Event:
    """Raises JustSent. Whoever presses at the same moment waits here for the other, and is told of it."""
    if customer is not None:
        customers.hold(customer.pk)
    else:
        Mail.objects.select_for_update(no_key=True, of=("self",)).get(pk=subject.pk)
    _refuse_soon(subject.pk, now)
    side = customer.livemode if customer is not None else settings.STRIPE_LIVE_MODE
    return record(
        AGAIN, subject=subject, customer=customer, actor=actor, now=now, livemode=side,
        data={"template": template, **(data or {})},
    )  # fmt: skip


def _refuse_soon(subject: str, now: datetime) -> None:
    """Of the same thing, whoever sent it."""
    said = Event.objects.filter(object_id=subject, type=AGAIN, at__gt=now - APART).order_by("-number").first()
    if said is not None:
        by = customers.name_of(said.actor)
        raise JustSent(
            f"It was sent again a moment ago{f' by {by}' if by else ''}. Wait a few minutes before the next one."
        )
