"""Random quotes, signed and lived through on a test clock: what was signed is what is invoiced, to the cent."""

import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from billing import metering
from billing.maths.periods import local_date
from billing.models import Invoice, TaxRate
from sales import promises, proposing, quoting
from sales.models import ApprovalRule, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")


def random_terms(dice, follows):
    """Everything that a quote may have, at odd amounts."""
    years = dice.choice([1, 2, 3])
    terms = {
        "interval": dice.choice(["month", "year"]), "term_months": 12 * years, "quantity": dice.randint(1, 300),
        "fees": [{"description": "Onboarding", "unit_amount": str(Decimal(dice.randint(1, 10**6)) / 100)}],
        "ramp": [
            {"year": year, "quantity": dice.choice([None, dice.randint(1, 400)]),
             "discount_percent": dice.choice([None, str(Decimal(dice.randint(0, 4000)) / 100)])}
            for year in range(2, years + 1)
        ],
    }  # fmt: skip
    discount = dice.choice(["none", "percent", "amount"])
    if discount == "percent":
        terms["discount_percent"] = Decimal(dice.randint(1, 999_999)) / 10_000
    if discount == "amount":
        terms["discount_amount"] = dice.randint(1, 5000_00)
    if dice.random() < 0.5:
        terms["escalator_percent"] = Decimal(dice.randint(1, 1500)) / 100
    terms["quantities"] = {"api-calls": dice.choice([0, 5_000_000, dice.randint(5_000_001, 10**9)])}
    starts = dice.choice(["now", "date", *(["period_end"] if follows else [])])
    terms["starts"] = starts
    if starts == "date":
        terms["starts_on"] = date(2026, 1, 15) + timedelta(days=dice.randint(1, 60))
    return terms


def invoiced(quote):
    """{day: (net, tax)} of the subscription's papers, by the customer's day; a paper prints the seller's."""
    found = {}
    for row in Invoice.objects.filter(subscription=quote.subscription):
        day = (row.cycle_on or local_date(row.issued_at, quote.customer.timezone)).isoformat()
        net, tax = found.get(day, (0, 0))
        found[day] = (net + row.subtotal - row.discount_total, tax + row.tax_total)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_was_signed_is_what_is_invoiced(
    make_customer, on_pro, draft, sign, advance, run_jobs, books, seed
):
    dice = random.Random(seed)
    ApprovalRule.objects.update(enabled=False)
    TaxRate.objects.get_or_create(country="DE", defaults={"name": "USt", "percentage": Decimal(19)})
    company = {"country": "DE", "timezone": dice.choice(["UTC", "Europe/Berlin", "America/Los_Angeles"])}
    follows = on_pro(dice.randint(1, 20), **company) if seed % 2 else None
    customer = follows.customer if follows else make_customer(**company)
    quote = draft(customer=customer, subscription=follows, **random_terms(dice, follows))
    quoting.send(quote=quote, now=customer.now, actor="user:1")
    printed = Quote.objects.get(pk=quote.pk)
    assert (
        printed.tcv
        == sum(row["amount"] for row in printed.schedule) + proposing.price(printed, now=NOON).credit
    )
    signed = sign(printed)
    for _ in range(quote.term_months // 6 + 1):
        advance(customer.test_clock, days=160)
    run_jobs()
    signed.refresh_from_db()
    assert signed.state == "converted"
    # What is committed of the last period is asked for when it is over, beside the first period of the next term.
    rows = [row for row in signed.schedule if row is not signed.schedule[-1] or not row.get("committed")]
    found, planned = invoiced(signed), {row["date"]: (row["amount"], row["tax"]) for row in rows}
    assert {day: found.get(day) for day in planned} == planned
    assert {row.state for row in promises.of(signed, now=signed.now)} <= {"kept", "to_come"}
    books()


def test_what_is_committed_is_paid_for_and_more_as_it_is_used(
    make_customer, draft, sign, advance, run_jobs, books
):
    ApprovalRule.objects.update(enabled=False)
    customer = make_customer(country="US")
    quote = draft(customer=customer, quantity=1, quantities={"api-calls": 7_000_000})
    quoting.send(quote=quote, now=customer.now, actor="user:1")
    signed = sign(quote)
    used = {"customer": customer.pk, "event_name": "api_call"}
    for day, calls in (("2026-01-20", 6_000_000), ("2026-02-20", 9_000_000)):
        at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        event = {**used, "id": day, "properties": {"value": calls}}
        advance(customer.test_clock, to=at)
        metering.record(events=[event], livemode=False, now=at)
    advance(customer.test_clock, days=60)
    run_jobs()
    net = {day: amount for day, (amount, _) in invoiced(signed).items()}
    assert net == {
        "2026-01-15": 990_00, "2026-02-15": 1600_00, "2026-03-15": 3200_00, "2026-04-15": 1600_00,
    }  # fmt: skip
    states = [row.state for row in promises.of(signed, now=signed.now)]
    assert states == ["kept"] * 4 + ["to_come"] * 9
    books()
