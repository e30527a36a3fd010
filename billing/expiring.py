"""Cards that run out: their customers hear of it once, in the last month of the card that is charged."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet

from billing import mail
from billing.events import record
from billing.maths.periods import local_date
from billing.models import PaymentMethod, Subscription
from billing.templatetags.tandem import ending


def warn(*, now: datetime) -> int:
    """Write to each customer whose default card ends this month, or did last month. `now` is real time; a sandbox
    customer's month is that of its clock. Returns how many were told; a second call tells nobody twice."""
    return sum(_tell(card) for card in list(_ending(now)))


def _ending(now: datetime) -> Iterator[PaymentMethod]:
    for card in _charged().select_related("customer__test_clock"):
        today = local_date(card.customer.on_clock(now), card.customer.timezone)
        if 0 <= (today.year - card.exp_year) * 12 + today.month - card.exp_month <= 1:
            yield card


def _charged() -> QuerySet[PaymentMethod]:
    """The default cards of which something will be charged: not a card that lies there for customers with invoices."""
    live = Subscription.objects.filter(customer=OuterRef("customer"), status__in=Subscription.LIVE)
    ours = PaymentMethod.objects.filter(is_default=True, detached_at__isnull=True)
    by_card = Q(customer__collection_method="charge_automatically")
    return (
        ours.filter(by_card, Exists(live))
        .annotate(
            next_at=Min(
                "customer__subscriptions__next_due_at",
                filter=Q(customer__subscriptions__status__in=Subscription.LIVE),
            )
        )
        .order_by(F("next_at").asc(nulls_last=True), "pk")
    )


@transaction.atomic
def _tell(card: PaymentMethod) -> bool:
    """The mail is written once for a card and its end; whoever writes it records the fact."""
    customer, until = card.customer, f"{card.exp_month}/{card.exp_year}"
    context = {
        "card": ending(card), "expires": until,
        "next_on": card.next_at, "url": mail.portal_url("payment/"),  # type: ignore[attr-defined]
    }  # fmt: skip
    written = mail.compose(
        template="payment_method_expiring", to=customer.email, context=context, event=f"expiring-{card.pk}-{until}",
        now=customer.now, customer=customer,
    )  # fmt: skip
    if written is None:
        return False
    data = {"brand": card.brand, "last4": card.last4, "exp_month": card.exp_month, "exp_year": card.exp_year}
    record(
        "payment_method.expiring",
        subject=card,
        customer=customer,
        actor="system",
        now=customer.now,
        data=data,
    )
    return True
