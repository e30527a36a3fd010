"""Saved cards: with the provider first, then as a row that shows only what may be shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from billing import customers, dunning
from billing.events import record
from billing.gateway import Card, CardRefused, GatewayMisuse, SetupOutcome, gateway
from billing.models import Customer, Invoice, PaymentMethod, Subscription
from billing.models.ids import uuid7
from billing.refusals import Refused


class CardDeclined(Refused):
    code = "card_declined"


class UnknownCard(Refused):
    code = "unknown_payment_method"


class CardNeeded(Refused):
    """The next charge would have nothing to go to."""

    code = "card_needed"


def save(
    *, customer: Customer, payment_method: str, now: datetime, actor: str, default: bool = True
) -> PaymentMethod:
    """Attach a card to the customer, by the provider's id of it. Must not run inside a transaction.

    `payment_method` may be one of the provider's test names in the sandbox. Saving the same card again gives
    the same row. Raises CardDeclined, UnknownCard, ProviderUnreachable.
    """
    provider = ensure_provider_customer(customer)
    try:
        card = gateway().attach(
            key=f"attach-{customer.pk}-{uuid7().hex}", customer=provider, payment_method=payment_method
        )
    except CardRefused as refused:
        if refused.decline_code == "payment_method_missing":
            raise UnknownCard(
                "The provider knows no such payment method.", field="payment_method"
            ) from refused
        raise CardDeclined(str(refused) or "The card was declined.", field="payment_method") from refused
    except GatewayMisuse as misuse:
        raise UnknownCard("The provider knows no such payment method.", field="payment_method") from misuse
    return keep(customer=customer, card=card, now=now, actor=actor, default=default)


def ensure_provider_customer(customer: Customer) -> str:
    """The provider's id of the customer, made there on first need. The key makes a repeat harmless."""
    if not customer.provider_id:
        made = gateway().create_customer(
            key=f"customer-{customer.pk}", name=customer.name, email=customer.email, reference=customer.pk
        )
        Customer.objects.filter(pk=customer.pk, provider_id="").update(provider_id=made)
        customer.refresh_from_db(fields=["provider_id"])
    return customer.provider_id


@transaction.atomic
def keep(*, customer: Customer, card: Card, now: datetime, actor: str, default: bool = True) -> PaymentMethod:
    """Write down a card that the provider has saved. The first one is the default, whatever is asked."""
    customers.hold(customer.pk)
    return kept(customer=customer, card=card, now=now, actor=actor, default=default)


def kept(*, customer: Customer, card: Card, now: datetime, actor: str, default: bool = True) -> PaymentMethod:
    """`keep`, for a customer that the caller holds. Where another card is charged from now on, what failed is tried
    again."""
    row: Any = PaymentMethod.objects.raw(_KEEP, _facts(customer, card, now, default))[0]
    if row.fresh:
        data = {"brand": row.brand, "last4": row.last4, "default": row.is_default}
        record("payment_method.attached", subject=row, customer=customer, actor=actor, now=now, data=data)
    if row.is_default and not row.was_default and row.owes:
        dunning.card_changed(customer, now=now)
    return row


def _facts(customer: Customer, card: Card, now: datetime, default: bool) -> dict[str, Any]:
    return {
        "id": uuid7(), "customer": UUID(hex=customer.pk.partition("_")[2]), "provider_id": card.id, "brand": card.brand,
        "last4": card.last4, "exp_month": card.exp_month, "exp_year": card.exp_year, "default": default, "now": now,
    }  # fmt: skip


# The default gives way before the other card takes its place: what is inserted comes from the first part.
_KEEP = """
with gave_way as (
    update billing_paymentmethod set is_default = false
    where customer_id = %(customer)s and provider_id <> %(provider_id)s and is_default and %(default)s returning 1
), defaults as (
    select provider_id from billing_paymentmethod where customer_id = %(customer)s and is_default
)
insert into billing_paymentmethod as m
    (id, customer_id, provider_id, brand, last4, exp_month, exp_year, is_default, created_at)
select %(id)s, %(customer)s, %(provider_id)s, %(brand)s, %(last4)s, %(exp_month)s, %(exp_year)s,
    %(default)s or not exists (select from defaults), %(now)s
from (select count(*) from gave_way) room
on conflict (provider_id, customer_id) do update set brand = excluded.brand, last4 = excluded.last4,
    exp_month = excluded.exp_month, exp_year = excluded.exp_year, detached_at = null, single_use = false,
    is_default = m.is_default or excluded.is_default
returning m.*, m.id = %(id)s as fresh, exists (select from defaults where provider_id = %(provider_id)s) as was_default,
    exists (select from billing_invoice where customer_id = %(customer)s and status = 'open') as owes
"""


def remove(*, payment_method: PaymentMethod, now: datetime, actor: str) -> None:
    """Forget a card. Must not run inside a transaction. Raises CardNeeded while something is charged to
    it."""
    if payment_method.detached_at is not None:
        return
    _refuse_needed(payment_method)
    gateway().detach(key=f"detach-{payment_method.pk}", payment_method=payment_method.provider_id)
    with transaction.atomic():
        standing = PaymentMethod.objects.filter(pk=payment_method.pk, detached_at__isnull=True)
        if standing.update(detached_at=now, is_default=False):
            data = {"brand": payment_method.brand, "last4": payment_method.last4}
            record("payment_method.detached", subject=payment_method, actor=actor, now=now, data=data)


def _refuse_needed(payment_method: PaymentMethod) -> None:
    customer = payment_method.customer
    if not payment_method.is_default:
        return
    charged = {"collection_method": "charge_automatically"}
    live = Subscription.objects.filter(customer=customer, status__in=Subscription.LIVE)
    if Invoice.objects.filter(customer=customer, status="open", **charged).exists() or (
        customer.collection_method == "charge_automatically" and live.exists()
    ):
        raise CardNeeded(
            "Save another card first: subscriptions are charged to this one.", field="payment_method"
        )


# -- With the buyer present: the bank may ask first -----------------------------------------------------------


def set_up(
    *, customer: Customer, payment_method: str, return_url: str, now: datetime, actor: str
) -> SetupOutcome:
    """Save a card that the buyer has just typed. Must not run inside a transaction.

    Kept when the outcome has succeeded; with `requires_action` the bank asks at `action_url` and `finish` follows.
    Raises CardDeclined, UnknownCard, ProviderUnreachable.
    """
    provider = ensure_provider_customer(customer)
    try:
        outcome = gateway().setup(
            key=f"setup-{customer.pk}-{uuid7().hex}", customer=provider, payment_method=payment_method,
            return_url=return_url, reference=customer.pk, livemode=customer.livemode,
        )  # fmt: skip
    except GatewayMisuse as misuse:
        raise UnknownCard("The provider knows no such payment method.", field="payment_method") from misuse
    return _kept(customer, outcome, now, actor)


def finish(*, customer: Customer, setup_id: str, now: datetime, actor: str) -> SetupOutcome:
    """What became of a card for which the bank asked. `setup_id` is one that `set_up` answered for this customer.

    Must not run inside a transaction; repeating it keeps the card once. Raises CardDeclined.
    """
    return _kept(customer, gateway().resume_setup(setup_id), now, actor)


def _kept(customer: Customer, outcome: SetupOutcome, now: datetime, actor: str) -> SetupOutcome:
    if outcome.state == "failed":
        raise CardDeclined(outcome.message or "The card was declined.", field="payment_method")
    if outcome.state == "succeeded" and outcome.card is not None:
        keep(customer=customer, card=outcome.card, now=now, actor=actor)
    return outcome


def for_once(*, customer: Customer, payment_method: str, now: datetime) -> PaymentMethod:
    """A card that somebody types to pay one invoice: what may be shown of it. It is saved nowhere, and nothing is ever
    charged to it again. Must not run inside a transaction.

    Whoever it is may not be one of the customer's people, so a card that is saved cannot be named here. Raises
    UnknownCard, ProviderUnreachable.
    """
    ensure_provider_customer(customer)
    unknown = UnknownCard("The provider knows no such payment method.", field="payment_method")
    try:
        card = gateway().card(payment_method)
    except (CardRefused, GatewayMisuse) as refused:
        raise unknown from refused
    facts = {"brand": card.brand, "last4": card.last4, "exp_month": card.exp_month, "exp_year": card.exp_year}
    row, _ = PaymentMethod.objects.get_or_create(
        customer=customer, provider_id=card.id,
        defaults={**facts, "single_use": True, "detached_at": now, "created_at": now},
    )  # fmt: skip
    if not row.single_use:
        raise unknown
    return row


@transaction.atomic
def make_default(*, payment_method: PaymentMethod, now: datetime, actor: str) -> None:
    """Charge this card from now on. Raises UnknownCard for one that was removed."""
    Customer.objects.select_for_update(no_key=True).get(pk=payment_method.customer_id)
    row = PaymentMethod.objects.filter(pk=payment_method.pk, detached_at__isnull=True).first()
    if row is None:
        raise UnknownCard("This card is no longer saved.", field="payment_method")
    if row.is_default:
        return
    before = PaymentMethod.objects.filter(customer=row.customer_id, is_default=True).first()
    PaymentMethod.objects.filter(customer=row.customer_id, is_default=True).update(is_default=False)
    PaymentMethod.objects.filter(pk=row.pk).update(is_default=True)
    dunning.card_changed(row.customer, now=now)
    changed = {"before": {"default_card": before and before.pk}, "after": {"default_card": row.pk}}
    record(
        "customer.updated", subject=row.customer, customer=row.customer, actor=actor, now=now, data=changed
    )
