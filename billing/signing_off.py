"""What needs a second person: money back above the seller's limit, and write-offs above it.

One asks (a colleague, or a program with its key), another one with the permission signs. What was given back to one
customer within thirty days counts together, so that nothing is got past the limit in slices. What the engine does by
itself, by the seller's own settings, asks nobody.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum

from billing import customers, exchanging, mail, typed
from billing.events import record, staff_of
from billing.maths.money import to_major
from billing.models import Customer, Invoice, Payment, Refund, Seller, SignOff, User
from billing.moves import move
from billing.refusals import Refused
from billing.templatetags.tandem import money

PERMISSION = "billing.give_sign_off"
TOGETHER = timedelta(days=30)


class NeedsSignOff(Refused):
    """Nothing was done: it is above the limit. `amount` is what it would move, in minor units."""

    code = "sign_off_needed"

    def __init__(self, amount: int, currency: str) -> None:
        super().__init__(f"{to_major(amount, currency)} {currency} needs a second person.", field="amount")
        self.amount, self.currency = amount, currency


class AnotherWaits(Refused):
    """Something else of this customer waits for a sign-off; it is decided first."""

    code = "sign_off_waits"


class OwnWish(Refused):
    """Nobody signs what they asked for."""

    code = "own_wish"


# -- What needs one -----------------------------------------------------------------------------------------


def check_back(customer: Customer, amount: int, *, now: datetime, actor: str) -> None:
    """After `amount` (minor units of the customer's currency) was reserved to go back, in the same transaction.

    Raises NeedsSignOff.
    """
    limit = _limit(actor)
    if limit is None:
        return
    recent = Refund.objects.filter(customer=customer, elsewhere=False, created_at__gt=now - TOGETHER)
    recent = recent.exclude(status=Refund.Status.FAILED)
    back: int = recent.aggregate(sum=Sum("amount", default=0))["sum"]
    if _above(limit, back, customer.currency, now):
        raise NeedsSignOff(amount, customer.currency)


def check_write_off(invoice: Invoice, *, now: datetime, actor: str) -> None:
    """Raises NeedsSignOff."""
    limit = _limit(actor)
    if limit is not None and _above(limit, invoice.amount_due, invoice.currency, now):
        raise NeedsSignOff(invoice.amount_due, invoice.currency)


def _limit(actor: str) -> int | None:
    """People and programs of others have one, if the seller has set it; what runs by itself has none."""
    if not actor.startswith(("user:", "key:", "member:")):
        return None
    return Seller.objects.values_list("sign_off_over", flat=True).get()


def _above(limit: int, amount: int, currency: str, now: datetime) -> bool:
    """What nobody has typed a rate for may be anything, so it is above."""
    worth = exchanging.worth(amount, currency, now.date())
    return worth is None or worth > limit


# -- Asked --------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(
    *,
    kind: str,
    customer: Customer,
    amount: int,
    terms: dict[str, Any],
    now: datetime,
    actor: str,
    reason: str = "",
    invoice: Invoice | None = None,
    payment: Payment | None = None,
) -> SignOff:
    """The wish that now waits; the same one asked again is the one that is there. Who may sign it gets a mail.

    Raises AnotherWaits.
    """
    customers.hold(customer.pk)
    same = {
        "kind": kind,
        "amount": amount,
        "invoice": invoice,
        "payment": payment,
        "terms": terms,
        "asked_by": actor,
    }
    waiting = SignOff.objects.filter(customer=customer, status=SignOff.Status.WAITING).first()
    if waiting is not None:
        return _same(waiting, same)
    row = SignOff.objects.create(
        **same, customer=customer, livemode=customer.livemode, currency=customer.currency,
        reason=typed.text(reason, "reason", limit=300), asked_at=now,
    )  # fmt: skip
    event = record("sign_off.requested", subject=row, actor=actor, now=now, data=_said(row))
    context = {
        "sign_off": row, "amount": money(row.amount, row.currency), "url": _url(row),
        "asker": customers.name_of(actor) or actor,
    }  # fmt: skip
    for person in deciders(actor):
        mail.compose(template="sign_off", to=person.email, context=context, event=event, now=now)
    return row


def _same(waiting: SignOff, wanted: dict[str, Any]) -> SignOff:
    if any(getattr(waiting, name) != value for name, value in wanted.items()):
        raise AnotherWaits(f"{waiting} waits for a sign-off: have it decided first.")
    return waiting


def _url(row: SignOff) -> str:
    return f"{settings.SITE_URL}/admin/billing/signoff/{row.pk}/change/"


def _said(row: SignOff) -> dict[str, Any]:
    return {
        "kind": row.kind, "amount": row.amount, "currency": row.currency, "reason": row.reason,
        "invoice": row.invoice_id, "payment": row.payment_id, "asked_by": row.asked_by,
    }  # fmt: skip


def deciders(asker: str) -> list[User]:
    """Everybody who may sign what this one asked for."""
    app, _, code = PERMISSION.partition(".")
    by_group = Q(groups__permissions__codename=code, groups__permissions__content_type__app_label=app)
    own = Q(user_permissions__codename=code, user_permissions__content_type__app_label=app)
    right = by_group | own | Q(is_superuser=True)
    people = User.objects.filter(right, is_active=True, is_staff=True).distinct()
    return [person for person in people if not is_own(asker, person)]


def is_own(asked_by: str, user: User) -> bool:
    return asked_by == staff_of(user.pk)


# -- Decided ------------------------------------------------------------------------------------------------


@transaction.atomic
def sign(*, sign_off: SignOff, by: User, now: datetime) -> SignOff:
    """It may be done now; `carrying_out.give` does it. Raises OwnWish, IllegalMove, StaleMove."""
    if is_own(sign_off.asked_by, by):
        raise OwnWish("Somebody else has to sign it: you asked for it.")
    return _decide(sign_off, "given", by, now)


@transaction.atomic
def refuse(*, sign_off: SignOff, by: User, now: datetime) -> SignOff:
    """It is not done; also how who asked takes it back. Raises IllegalMove, StaleMove."""
    return _decide(sign_off, "refused", by, now)


SAID = {"given": "sign_off.given", "refused": "sign_off.refused"}


def _decide(row: SignOff, to: str, by: User, now: datetime) -> SignOff:
    actor = staff_of(by.pk)
    move(row, to, event=SAID[to], actor=actor, now=now, data=_said(row), decided_by=by, decided_at=now)
    return row
