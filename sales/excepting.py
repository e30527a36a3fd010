"""Paying in a way that the segment does not allow: one of the staff asks, another one allows it.

Whoever has the right may also allow it at once, giving the reason, but never for a customer of their own.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from billing import customers, mail, switching, typed
from billing.events import staff_of
from billing.models import CollectionMethod, Customer, User
from billing.refusals import Refused
from sales import addresses
from sales.models import PaymentException

PERMISSION = "billing.approve_payment_rule"
Decision = PaymentException.Decision


class OwnCustomer(Refused):
    """Nobody allows an exception for a customer they own, or one that they asked for."""

    code = "own_customer"


class NothingWaits(Refused):
    """The wish was decided already, or there was none."""

    code = "nothing_waits"


def waiting_for(customer: Customer) -> PaymentException | None:
    """The wish that waits for a decision, with who asked."""
    rows = PaymentException.objects.filter(customer=customer, decision=Decision.WAITING)
    return rows.select_related("asked_by").first()


def is_own(customer: Customer, user: User, wish: PaymentException | None = None) -> bool:
    """Does the customer belong to this person, or the wish?"""
    return user.pk == customer.owner_id or (wish is not None and user.pk == wish.asked_by_id)


def waiting_on(user: User) -> QuerySet[PaymentException]:
    """The wishes that this person may decide, oldest first."""
    if not user.has_perm(PERMISSION):
        return PaymentException.objects.none()
    rows = PaymentException.objects.filter(decision=Decision.WAITING).exclude(asked_by=user)
    return (
        rows.exclude(customer__owner=user).select_related("customer", "asked_by").order_by("asked_at", "id")
    )


@transaction.atomic
def switch(
    *, customer: Customer, method: str, net_days: int | None, reason: str, by: User, now: datetime
) -> PaymentException | None:
    """Switch at once where the segment or this person may allow it; else the wish that now waits for somebody.

    Raises CollectionNotAllowed without a reason, and what `switching.switch` does.
    """
    allowed = customers.allowed(customer, method)
    if reason and not allowed and (is_own(customer, by) or not by.has_perm(PERMISSION)):
        return _ask(customer, method, net_days, reason, by, now)
    _switch(customer, method, net_days, reason="" if allowed else reason, by=by, now=now)
    return None


def _ask(
    customer: Customer, method: str, net_days: int | None, reason: str, by: User, now: datetime
) -> PaymentException:
    """A newer wish takes the place of one that waits. Whoever may decide gets a mail."""
    why = typed.text(reason, "reason", limit=300, required=True)
    Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    PaymentException.objects.filter(customer=customer, decision=Decision.WAITING).delete()
    wish = PaymentException.objects.create(
        customer=customer, method=method, net_days=net_days, reason=why, asked_by=by, asked_at=now
    )
    context = {"wish": wish, "url": addresses.customer_url(customer)}
    for person in _deciders(customer, by):
        cause = f"payment-exception:{wish.pk}"
        mail.compose(template="payment_exception", to=person.email, context=context, event=cause, now=now)
    return wish


def _deciders(customer: Customer, asker: User) -> list[User]:
    app, _, code = PERMISSION.partition(".")
    right = Q(groups__permissions__codename=code, groups__permissions__content_type__app_label=app)
    people = User.objects.filter(right | Q(is_superuser=True), is_active=True, is_staff=True).distinct()
    return [person for person in people if person.pk != asker.pk and person.pk != customer.owner_id]


@transaction.atomic
def allow(*, customer: Customer, by: User, now: datetime) -> None:
    """Raises OwnCustomer, NothingWaits, and what `switching.switch` does."""
    wish = _decide(customer, Decision.ALLOWED, by, now)
    _switch(customer, wish.method, wish.net_days, reason=wish.reason, by=by, now=now)


@transaction.atomic
def refuse(*, customer: Customer, by: User, now: datetime) -> None:
    """The customer pays as before. Raises OwnCustomer, NothingWaits."""
    _decide(customer, Decision.REFUSED, by, now)


def _decide(customer: Customer, decision: str, by: User, now: datetime) -> PaymentException:
    rows = PaymentException.objects.select_for_update(of=("self",))
    wish = rows.filter(customer=customer, decision=Decision.WAITING).select_related("asked_by").first()
    if wish is None:
        raise NothingWaits("This was decided already.")
    if is_own(customer, by, wish):
        raise OwnCustomer("Somebody else has to decide: you asked for it, or the customer is yours.")
    wish.decision, wish.decided_by, wish.decided_at = decision, by, now
    wish.save(update_fields=["decision", "decided_by", "decided_at"])
    return wish


def _switch(
    customer: Customer, method: str, net_days: int | None, *, reason: str, by: User, now: datetime
) -> None:
    by_invoice = method == CollectionMethod.SEND_INVOICE
    switching.switch(
        customer=customer, method=method, now=now, actor=staff_of(by.pk), net_days=net_days if by_invoice else None,
        override=reason,
    )  # fmt: skip
