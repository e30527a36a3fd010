"""A seller with customers whose cards work, fail or ask, and who pay by invoice; and a time that moves on."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

START = datetime(2026, 1, 1, 6, 0, tzinfo=UTC)
CARDS = ("pm_card_visa",) * 6 + ("pm_card_chargeCustomerFail", "pm_card_visa_chargeDeclinedInsufficientFunds")


class Clock:
    """The world's time, in memory that all processes share. Read it by calling it."""

    def __init__(self, at: datetime = START) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(at)

    def __call__(self) -> datetime:
        (seconds,) = struct.unpack("d", self._memory[:8])
        return datetime.fromtimestamp(seconds, UTC)

    def set(self, at: datetime) -> None:
        self._memory[:8] = struct.pack("d", at.timestamp())

    def advance(self, **span: float) -> None:
        self.set(self() + timedelta(**span))


def make(clock: Clock, dice: Random, *, customers: int, receiver_url: str = "") -> None:
    """Everything there is at the beginning, made without a fault."""
    from billing import catalogue, webhooks_out

    catalogue.ship(now=clock())
    if receiver_url:
        webhooks_out.create(url=receiver_url, livemode=True, actor="system", now=clock())
    for number in range(customers):
        clock.advance(hours=dice.randint(1, 36))
        newcomer(clock(), dice, number)


def newcomer(now: datetime, dice: Random, number: int) -> Any:
    """A customer with a subscription; its first invoice is issued."""
    from django.db import transaction

    from billing import cards, customers, subscribing
    from billing.models import Plan

    with transaction.atomic():
        customer = customers.create(
            name=f"Firm {number}", email=f"it@firm{number}.example", livemode=True, now=now, actor="system",
            country=dice.choice(["IE", "DE", "FR", "US"]),
        )  # fmt: skip
    by_card = dice.random() < 0.8
    if by_card:
        cards.save(customer=customer, payment_method=dice.choice(CARDS), now=now, actor="system")
    with transaction.atomic():
        subscription = subscribing.subscribe(
            customer=customer, plan=Plan.objects.get(code="pro"), interval="month",
            quantity=dice.randint(1, 9), now=now, actor="system", origin="api",
            collection_method=None if by_card else "send_invoice",
            payment_rule_override="" if by_card else "agreed",
        )  # fmt: skip
        subscribing.bill_now(subscription=subscription, now=now, actor="system")
    return customer
