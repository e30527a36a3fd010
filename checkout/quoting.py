"""What a session would cost with what is typed so far, and that offer frozen while it is being paid.

A frozen quote is plain JSON: whom to bill, which prices and how many, what was due. Completing works from it
alone, so nothing that is repriced or typed in between can change what was agreed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from billing import customers, offering, subscribing, taxes, typed
from billing.choosing import Items
from billing.models import Customer, Discount, PaymentMethod, Plan, Price, Segment, Seller, TaxRate
from billing.offering import Offer
from billing.refusals import Refused
from billing.remembering import RememberedTables, Slot
from billing.timelines import PhaseSpec
from checkout import sessions
from checkout.models import CheckoutSession, RoutingRule


@dataclass(frozen=True, slots=True)
class Table:
    """What every price and every decision needs, read once a request."""

    seller: Seller
    taxes: taxes.Table
    rules: Sequence[RoutingRule]
    segments: customers.Bands
    prices: Sequence[Price]
    cards: Sequence[PaymentMethod]
    subscribed: bool
    coded: Discount | None


def table(session: CheckoutSession, code: str = "") -> Table:
    """Also gives the plan its prices. Of a known customer the cards that are saved, the default first, and whether it has
    a subscription; and what a promotion code stands for."""
    plan = session.plan
    sellers, rates, rules, segments, prices, cards, subscribed, discounts, its_plans = _tables().fetch(
        {"plan": plan, "customer": session.customer, "code": sessions.plain_code(code)}
    )
    for price in prices:
        price.plan = plan
    for discount in discounts:
        discount._prefetched_objects_cache = {"plans": its_plans}
    plan._prefetched_objects_cache = {"prices": prices}  # type: ignore[attr-defined]
    bands = customers.Bands(sellers[0].currency, segments)
    found = discounts[0] if discounts else None
    return Table(sellers[0], taxes.Table(rates), rules, bands, prices, cards, bool(subscribed), found)


@cache
def _tables() -> RememberedTables:
    """Every page and every press of a button reads them."""
    customer, coded = Slot("customer"), sessions.coded(Slot("code"))
    cards = PaymentMethod.objects.filter(customer=customer, detached_at=None)
    return RememberedTables(
        Seller.objects.all(),
        TaxRate.objects.filter(active=True),
        RoutingRule.objects.filter(active=True),
        Segment.objects.all(),
        Price.objects.filter(plan=Slot("plan")).order_by("kind", "created_at", "id"),
        cards.order_by("-is_default", "-created_at", "id"),
        sessions.subscribed(customer).only("pk")[:1],
        coded[:1],
        Plan.objects.filter(discount__in=coded.values("pk")[:1]),
    )


# -- While it is filled in ----------------------------------------------------------------------------------


def buyer(session: CheckoutSession) -> Customer:
    """Whoever would be billed, as far as the answers tell; never saved."""
    if session.customer is not None:
        return session.customer
    answers = session.answers
    country = _or_nothing(typed.country, answers.get("country", ""))
    return Customer(
        name=answers.get("company", ""),
        email=session.email,
        currency=session.currency,
        country=country,
        billing_address={"state": answers.get("state", "")},
        tax_id=_or_nothing(lambda value: typed.tax_id(value, country), answers.get("tax_id", "")),
        timezone=_or_nothing(typed.timezone, answers.get("timezone", "")) or "UTC",
        test_clock=session.test_clock,
    )


def _or_nothing(clean: Any, value: str) -> str:
    """While somebody is typing, a wrong value counts as none."""
    try:
        return str(clean(value))
    except Refused:
        return ""


def offer(
    session: CheckoutSession, table: Table, *, now: datetime, customer: Customer | None = None
) -> Offer:
    """Today and next, by the functions that will bill it. Raises UnknownPrice, InvalidQuantity."""
    payer = customer or buyer(session)
    return offering.price(
        customer=payer, specs=phases(session, payer, items_of(session), now), now=now, seller=table.seller,
        taxes=table.taxes,
    )  # fmt: skip


def items_of(session: CheckoutSession) -> Items:
    return subscribing.choose_items(
        session.plan, interval=session.interval, currency=session.currency, quantity=session.quantity
    )


def phases(session: CheckoutSession, customer: Customer, items: Items, now: datetime) -> list[PhaseSpec]:
    return offering.terms(
        customer=customer, plan=session.plan, items=items, now=now,
        discount=session.discount, trial_days=session.trial_days, source=session.pk,
    )  # fmt: skip


# -- Frozen -------------------------------------------------------------------------------------------------


def frozen(
    session: CheckoutSession, made: Offer, customer: Customer, fields: Mapping[str, Any], seller: Seller
) -> dict[str, Any]:
    """The offer as JSON, with the terms of service that were agreed to. `fields` are those of `customers.create`, or of
    `update` for a known customer."""
    items = next(spec for spec in made.specs if not spec.free).items
    return {
        "customer": dict(fields),
        "person": session.answers.get("name", ""),
        "timezone": customer.timezone,
        "items": [[price.pk, str(quantity)] for price, quantity in items],
        "discount": session.discount_id,
        "lines": lines_of(made),
        "total": made.today.total,
        "tax": made.today.tax_total,
        "next_on": made.next_on.isoformat() if made.next_on else None,
        "next_total": made.next.total,
        "terms_url": seller.terms_url,
    }


def lines_of(made: Offer) -> list[dict[str, Any]]:
    """What is due today, line by line, as plain values."""
    return [
        {
            "description": line.description,
            "quantity": f"{line.quantity.normalize():f}",
            "gross": line.shown[0],
            "net": line.net,
        }
        for line in made.today.lines
    ]


def thawed(
    session: CheckoutSession, customer: Customer, known: Mapping[str, Price] | None = None
) -> list[PhaseSpec]:
    """The phases that were agreed, from the quote: the same prices, quantities and discount. `known` prices are not
    read again: one that was used never changes."""
    wanted = {key: Decimal(quantity) for key, quantity in session.quote["items"]}
    prices = known or {price.pk: price for price in Price.objects.filter(pk__in=wanted)}
    items = tuple((prices[key], quantity) for key, quantity in wanted.items())
    at = session.quoted_at
    assert at is not None
    session.discount_id = session.quote["discount"]
    return phases(session, customer, items, at)
