"""How a customer pays, for everything it has at once: card to invoice and back, from the next invoice on.

Issued papers keep their terms, and a charge that has begun goes on. The segment decides what is allowed; somebody with
the right may allow more, and says why.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from billing import customers, falling_due, subscribing
from billing.maths.periods import local_date
from billing.models import CollectionMethod, Customer, Subscription
from billing.refusals import Refused


class CardMissing(Refused):
    """There is no card to charge from now on, or it has expired."""

    code = "card_missing"


@transaction.atomic
def switch(
    *,
    customer: Customer,
    method: str,
    now: datetime,
    actor: str,
    net_days: int | None = None,
    override: str = "",
) -> int:
    """All subscriptions that run or are paused, or none of them, and what starts later. Answers how many changed.

    Raises CollectionNotAllowed, CardMissing.
    """
    customers.hold(customer.pk)
    if method == CollectionMethod.CHARGE_AUTOMATICALLY:
        _refuse_without_card(customer, now)
    if not override and not customers.allowed(customer, method):
        words = "invoice" if method == CollectionMethod.SEND_INVOICE else "card"
        raise subscribing.CollectionNotAllowed(
            f"Customers in the segment {customer.segment} do not pay by {words}.", field="collection_method"
        )
    going = (*Subscription.LIVE, Subscription.Status.PAUSED)
    found = Subscription.objects.filter(customer=customer, status__in=going)
    found = found.select_related("customer__test_clock", "customer__segment").order_by("pk")
    if falling_due.catch_up(falling_due.of_customer(customer, now), now):
        customer.refresh_from_db()
    rows = list(found)
    for row in rows:
        subscribing.change(
            subscription=row, now=now, actor=actor, collection_method=method, net_days=net_days, override=override,
            source="switch",
        )  # fmt: skip
    customer.refresh_from_db(fields=["collection_method"])
    subscribing.set_collection(customer, method, actor=actor, now=now, before=customer.collection_method)
    return len(rows)


@transaction.atomic
def change_customer(
    *, customer: Customer, now: datetime, actor: str, collection_method: str | None = None, **fields: Any
) -> None:
    """`customers.update`, and a `switch` where it is named and another: both or neither."""
    customers.update(customer=customer, now=now, actor=actor, **fields)
    if collection_method not in (None, customer.collection_method):
        switch(customer=customer, method=str(collection_method), now=now, actor=actor)


def _refuse_without_card(customer: Customer, now: datetime) -> None:
    card = customers.default_card(customer)
    if card is None:
        raise CardMissing("Save a card first.", field="collection_method")
    if card.expired(local_date(now, customer.timezone)):
        raise CardMissing("The saved card has expired: save another one first.", field="collection_method")
