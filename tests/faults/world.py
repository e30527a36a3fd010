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


class Tally:
    """How many tasks were begun, by all processes; about, since nobody holds it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def __call__(self) -> int:
        return int(struct.unpack("q", self._memory[:8])[0])

    def one_more(self) -> None:
        self._memory[:8] = struct.pack("q", self() + 1)


def make(clock: Clock, dice: Random, *, customers: int, receiver_url: str = "") -> None:
    """Everything there is at the beginning, made without a fault."""
    from billing import catalogue, webhooks_out

    catalogue.ship(now=clock())
    if receiver_url:
        webhooks_out.create(url=receiver_url, livemode=False, actor="system", now=clock())
    for number in range(customers):
        clock.advance(hours=dice.randint(1, 36))
        newcomer(clock(), dice, number)


def someone(now: datetime, dice: Random, number: int | None = None) -> Any:
    from django.db import transaction

    from billing import customers

    number = dice.randrange(10**9) if number is None else number
    with transaction.atomic():
        return customers.create(
            name=f"Firm {number}", email=f"it@firm{number}.example", livemode=False, now=now, actor="system",
            country=dice.choice(["IE", "DE", "FR", "US"]), consolidate_invoices=dice.random() < 0.5,
        )  # fmt: skip


def subscribe(customer: Any, now: datetime, *, by_card: bool = False, quantity: int = 3, **terms: Any) -> Any:
    """A monthly subscription whose first invoice is issued."""
    from django.db import transaction

    from billing import subscribing
    from billing.models import Plan

    with transaction.atomic():
        subscription = subscribing.subscribe(
            customer=customer, plan=Plan.objects.get(code="pro"), interval="month", quantity=quantity, now=now,
            actor="system", origin="api", collection_method=None if by_card else "send_invoice",
            payment_rule_override="" if by_card else "agreed", **terms,
        )  # fmt: skip
        subscribing.bill_now(subscription=subscription, now=now, actor="system")
    return subscription


def on_account(now: datetime, dice: Random) -> Any:
    """The subscription of somebody who pays by invoice."""
    return subscribe(someone(now, dice), now)


def newcomer(now: datetime, dice: Random, number: int) -> Any:
    """A customer with a subscription; most have a card."""
    from billing import cards

    customer = someone(now, dice, number)
    by_card = dice.random() < 0.8
    if by_card:
        cards.save(customer=customer, payment_method=dice.choice(CARDS), now=now, actor="system")
    for _ in range(dice.choice([1, 1, 2])):
        subscribe(customer, now, by_card=by_card, quantity=dice.randint(1, 9))
    return customer
