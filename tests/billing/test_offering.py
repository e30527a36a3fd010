"""What a subscription that does not exist yet would cost: equal, to the cent, to what is then billed."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing import offering, subscribing, taxes
from billing.models import Discount, Invoice, Plan, Seller

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def offer(make_clock, make_customer):
    """offer(plan, interval, quantity, country, **terms) -> (customer, offer) on 31 January."""

    def make(plan="pro", interval="month", quantity=3, country="DE", **terms):
        customer = make_customer(make_clock(NOON), country=country)
        chosen = Plan.objects.get(code=plan)
        items = subscribing.choose_items(chosen, interval=interval, currency="USD", quantity=quantity)
        specs = offering.terms(customer=customer, plan=chosen, items=items, now=NOON, **terms)
        made = offering.price(
            customer=customer, specs=specs, now=NOON, seller=Seller.objects.get(), taxes=taxes.rates()
        )
        return customer, made

    return make


@pytest.mark.parametrize(
    ("wish", "today", "next_on", "then"),
    [
        ({}, 10353, date(2026, 2, 28), 10353),
        ({"country": "US"}, 8700, date(2026, 2, 28), 8700),
        ({"interval": "year"}, 103530, date(2027, 1, 31), 103530),
        ({"plan": "starter", "quantity": 1}, 2261, date(2026, 2, 28), 2261),
        ({"plan": "starter", "quantity": 1, "interval": "year"}, 22610, date(2027, 1, 31), 22610),
        ({"trial_days": 14}, 0, date(2026, 2, 14), 10353),
    ],
)
def test_it_says_today_and_next(offer, wish, today, next_on, then):
    _customer, made = offer(**wish)
    assert (made.today.total, made.next_on, made.next.total) == (today, next_on, then)


@pytest.mark.parametrize(
    ("duration", "periods", "then"), [("once", None, 10353), ("repeating", 3, 8282), ("forever", None, 8282)]
)
def test_a_discount_lasts_as_long_as_it_says(offer, duration, periods, then):
    twenty = Discount.objects.create(percent_off=Decimal(20), duration=duration, periods=periods)
    _customer, made = offer(discount=twenty)
    assert (made.today.total, made.next.total) == (8282, then)


def test_an_amount_off_is_taken_once(offer):
    ten = Discount.objects.create(amount_off=1000, currency="USD", duration="once")
    _customer, made = offer(discount=ten, country="US")
    assert (made.today.total, made.next.total) == (7700, 8700)


@pytest.mark.parametrize(
    "wish",
    [
        {}, {"country": "US"}, {"interval": "year"}, {"trial_days": 14}, {"quantity": 7},
        {"plan": "starter", "quantity": 1}, {"plan": "starter", "quantity": 1, "interval": "year"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("discounted", [False, True])
def test_what_is_offered_is_what_is_billed(offer, advance, books, wish, discounted):
    if discounted:
        wish = {
            **wish,
            "discount": Discount.objects.create(percent_off=Decimal(15), duration="repeating", periods=2),
        }
    customer, made = offer(**wish)
    _, bill = subscribing.sell(
        customer=customer, phases=made.specs, now=NOON, actor="buyer", origin="checkout", source="cs_1",
        seller=Seller.objects.get(), rates=taxes.rates(),
    )  # fmt: skip
    assert (bill.total, bill.tax_total) == (made.today.total, made.today.tax_total)
    assert [line.net for line in bill.lines] == [line.net for line in made.today.lines]
    advance(customer.test_clock, to=datetime.combine(made.next_on, datetime.max.time(), tzinfo=UTC))
    totals = list(Invoice.objects.filter(total__gt=0).order_by("issued_at").values_list("total", flat=True))
    assert totals == [total for total in (made.today.total, made.next.total) if total]
