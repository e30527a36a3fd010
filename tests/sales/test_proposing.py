"""What quotes come to: totals, ramps, discounts and schedules, as tables of cents."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.maths.periods import MONTHS, Interval
from billing.maths.tax import TaxRate as TaxValue
from billing.models import Customer, Meter, Plan, Price, TaxRate
from sales import proposing, quoting
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")
START = date(2026, 1, 15)
NO_TAX = TaxValue("none", Decimal(0), category="O", reason="not taxed")


def of(quote):
    return proposing.price(quote, now=quote.now)


@pytest.mark.parametrize(
    ("terms", "mrr", "arr", "acv", "tcv"),
    [
        # Enterprise: 990.00 a seat and year, 99.00 a month
        ({"quantity": 48}, 3960_00, 47520_00, 47520_00, 47520_00),
        ({"quantity": 48, "interval": "month"}, 4752_00, 57024_00, 57024_00, 57024_00),
        ({"quantity": 48, "term_months": 36}, 3960_00, 47520_00, 47520_00, 142560_00),
        ({"quantity": 48, "discount_percent": Decimal(15)}, 3366_00, 40392_00, 40392_00, 40392_00),
        ({"quantity": 48, "discount_amount": 520_00}, 3916_67, 47000_00, 47000_00, 47000_00),
        ({"quantity": 7, "discount_percent": Decimal("33.3333")}, 385_00, 4620_00, 4620_00, 4620_00),
        (
            {"quantity": 48, "fees": [{"description": "Onboarding", "unit_amount": "2500", "quantity": 2}]},
            3960_00, 47520_00, 47520_00, 52520_00,
        ),
        (
            {"quantity": 48, "term_months": 24, "discount_percent": Decimal(10),
             "fees": [{"description": "Onboarding", "unit_amount": "2500"}]},
            3564_00, 42768_00, 42768_00, 87786_00,
        ),
    ],
)  # fmt: skip
def test_it_adds_up(make_customer, draft, terms, mrr, arr, acv, tcv):
    found = of(draft(customer=make_customer(), **terms))
    assert (found.mrr, found.arr, found.acv, found.tcv) == (mrr, arr, acv, tcv)
    assert found.list_total - found.discount_total == found.tcv
    assert sum(each.amount for each in found.schedule) == tcv


def test_it_counts_what_is_committed_of_usage(make_customer, draft):
    """7,000,000 calls a month, 5,000,000 of them included, then 0.0008 each: 1,600.00 a month, used or not."""
    found = of(draft(customer=make_customer(), quantity=1, quantities={"api-calls": 7_000_000}))
    assert (found.mrr, found.arr) == (82_50, 990_00)
    assert found.tcv == found.acv == 990_00 + 12 * 1600_00
    assert [(each.date.isoformat(), each.amount) for each in found.schedule[:3]] == [
        ("2026-01-15", 990_00), ("2026-02-15", 1600_00), ("2026-03-15", 1600_00),
    ]  # fmt: skip
    assert found.schedule[-1].date == found.end_on
    words = [line.description for line in found.lines]
    assert words[1] == "API calls: 7,000,000 committed each month, $1,600.00 at least"


def test_a_discount_reaches_what_is_committed(make_customer, draft):
    terms = {
        "quantity": 1,
        "quantities": {"api-calls": 7_000_000},
        "discount_percent": Decimal(25),
        "interval": "month",
    }
    found = of(draft(customer=make_customer(), **terms))
    assert [each.amount for each in found.schedule] == [74_25, *[74_25 + 1200_00] * 11, 1200_00]
    assert found.list_total - found.discount_total == found.tcv


def test_what_is_committed_stays_until_it_is_named(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=3, quantities={"api-calls": 7_000_000})
    now, plain = quote.now, quote.tcv - 12 * 1600_00
    quoting.edit(quote=quote, now=now, actor="user:1", interval="month")
    assert quote.lines.get(price__kind="usage").quantity == 7_000_000
    quoting.edit(quote=quote, now=now, actor="user:1", interval="year", quantities={"api-calls": 0})
    assert [line.quantity for line in quote.lines.all()] == [3, 0]
    assert quote.tcv == plain


@pytest.mark.parametrize("quantity", [-1, 10**9 + 1, "many"])
def test_it_refuses_a_commitment_by_name(make_customer, draft, quantity):
    with pytest.raises(quoting.InvalidQuote) as refused:
        draft(customer=make_customer(), quantities={"api-calls": quantity})
    assert refused.value.field == "quantities.api-calls"


def test_it_stores_what_it_comes_to(make_customer, draft):
    quote = draft(customer=make_customer(), discount_percent=Decimal(15))
    assert (quote.mrr, quote.arr, quote.acv, quote.tcv) == (3366_00, 40392_00, 40392_00, 40392_00)
    assert (quote.list_total, quote.discount_total) == (47520_00, 7128_00)
    assert quote.schedule == [
        {
            "date": "2026-01-15",
            "amount": 40392_00,
            "tax": 9290_16,
            "total": 49682_16,
            "words": "Enterprise seat",
        }
    ]


def test_it_raises_prices_every_year(make_customer, draft):
    quote = draft(
        customer=make_customer(), term_months=36, escalator_percent="5", ramp=[{"year": 3, "quantity": 50}]
    )
    found = of(quote)
    # 990.00, 1,039.50, 1,091.475 -> 1,091.48
    assert [(y.quantity, y.amount) for y in found.years] == [(48, 47520_00), (48, 49896_00), (50, 54574_00)]
    assert [each.amount for each in found.schedule] == [47520_00, 49896_00, 54574_00]
    assert found.tcv == 151990_00


TERMS = st.fixed_dictionaries({
    "interval": st.sampled_from(["month", "quarter", "half_year", "year"]),
    "periods": st.integers(1, 12), "seats": st.integers(1, 5000), "unit": st.integers(1, 10**7),
    "percent": st.none() | st.decimals(0, 100, places=4), "rise": st.none() | st.decimals(0, 100, places=2),
    "ramp": st.dictionaries(
        st.integers(1, 12), st.tuples(st.integers(1, 5000), st.none() | st.decimals(0, 100, places=2))
    ),
    "fee": st.none() | st.integers(0, 10**7), "least": st.none() | st.integers(1, 10**7),
    "start": st.dates(date(2024, 1, 1), date(2030, 12, 31)),
})  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(TERMS)
def test_its_totals_its_years_and_its_schedule_are_the_same_money(terms):
    plan = Plan(code="enterprise", name="Enterprise", motion="sales_led")
    price = Price(plan=plan, code="seat", kind="recurring", model="per_unit", interval=terms["interval"],
                  unit_amount=Decimal(terms["unit"]) / 100)  # fmt: skip
    items = [(price, Decimal(terms["seats"]))]
    if terms["fee"] is not None:
        fee = Price(
            plan=plan, code="fee", kind="one_time", model="per_unit", unit_amount=Decimal(terms["fee"]) / 100
        )
        items.append((fee, Decimal(1)))
    if terms["least"] is not None:
        calls = Price(
            plan=plan, code="calls", kind="usage", model="per_unit", interval="month", billed="arrears",
            unit_amount=Decimal(1), minimum=Decimal(terms["least"]) / 100, meter=Meter(code="calls"),
        )  # fmt: skip
        items.append((calls, Decimal(1)))
    months = MONTHS[Interval(terms["interval"])] * terms["periods"]
    years = [
        proposing.Year(n, Decimal(seats), percent) for n, (seats, percent) in sorted(terms["ramp"].items())
    ]
    found = proposing.figures(proposing.Proposal(
        number="Q-1", plan=plan, interval=Interval(terms["interval"]), currency="USD", items=tuple(items),
        years=tuple(y for y in years if y.number <= -(-months // 12)), percent=terms["percent"], amount=None,
        escalator=terms["rise"], term_months=months, collection_method="send_invoice", net_days=30,
        motion="sales_led", start_on=terms["start"], source="quote_x", rate_of=lambda _category: NO_TAX,
    ))  # fmt: skip
    assert (
        found.tcv == sum(each.amount for each in found.schedule) == sum(year.amount for year in found.years)
    )
    assert found.list_total - found.discount_total == found.tcv
    assert found.discount_total >= 0
    assert found.credit == found.tax_total == 0
    days = [each.date for each in found.schedule if each.amount != each.committed]
    assert len(days) <= terms["periods"]
    assert all(found.start_on <= day < found.end_on for day in days)
    days = [each.date for each in found.schedule]
    assert days == sorted(set(days))
    assert all(found.start_on <= day <= found.end_on for day in days)
    assert bool(sum(each.committed for each in found.schedule)) <= (terms["least"] is not None)


def test_it_ramps_by_year(make_customer, draft):
    ramp = [{"year": 2, "quantity": 60}, {"year": 3, "quantity": 80, "discount_percent": "20"}]
    found = of(draft(customer=make_customer(), term_months=36, discount_percent=Decimal(10), ramp=ramp))
    rows = [(y.number, y.start_on, y.quantity, y.percent, y.arr, y.amount) for y in found.years]
    assert rows == [
        (1, date(2026, 1, 15), 48, 10, 42768_00, 42768_00),
        (2, date(2027, 1, 15), 60, 10, 53460_00, 53460_00),
        (3, date(2028, 1, 15), 80, 20, 63360_00, 63360_00),
    ]
    assert [(each.date, each.amount) for each in found.schedule] == [(row[1], row[5]) for row in rows]
    assert (found.arr, found.exit_arr, found.acv, found.tcv) == (42768_00, 63360_00, 53196_00, 159588_00)
    assert found.discount_percent == 20


def test_it_makes_a_phase_only_for_a_year_that_differs(make_customer, draft):
    quote = draft(customer=make_customer(), term_months=48, ramp=[{"year": 3, "quantity": 60}])
    specs = proposing.phases(proposing.proposal_of(quote, now=NOON))
    assert [(s.start_on, s.end_on, s.anchor_on) for s in specs] == [
        (START, date(2028, 1, 15), START),
        (date(2028, 1, 15), None, START),
    ]


def test_it_schedules_every_invoice_of_a_quarterly_quote(make_customer, draft):
    from billing.models import Plan, Price

    Price.objects.create(
        plan=Plan.objects.get(code="enterprise"), code="seats-quarter", label="Enterprise seat",
        kind="recurring", model="per_unit", interval="quarter", currency="USD", unit_amount=Decimal("280.01"),
    )  # fmt: skip
    quote = draft(customer=make_customer(), interval="quarter", quantity=3, discount_percent=Decimal("12.5"))
    found = of(quote)
    assert [each.date.isoformat() for each in found.schedule] == [
        "2026-01-15",
        "2026-04-15",
        "2026-07-15",
        "2026-10-15",
    ]
    assert {each.amount for each in found.schedule} == {735_03}  # 840.03 less R(105.00375)
    assert found.tcv == 2940_12
    assert found.arr == 2940_11  # exact: 4 * 735.02625, rounded once


def test_it_taxes_each_line_as_the_invoice_will(make_customer, draft):
    fees = [{"description": "Onboarding", "unit_amount": "0.33"}]
    for country, tax in (("IE", 114_00), ("DE", 94_00), ("US", 0)):
        found = of(
            draft(customer=make_customer(country=country), quantity=1, fees=fees, discount_amount=494_36)
        )
        assert found.schedule[0].amount == 495_64 + 33
        assert found.schedule[0].tax == tax + {"IE": 8, "DE": 23, "US": 0}[country]


def test_it_proposes_the_next_plan_for_the_seats_and_the_usage(make_customer, on_pro, subscribe):
    from billing import metering

    subscription = on_pro(6)
    customer = subscription.customer
    assert quoting.draft_from_subscription(
        subscription=subscription, now=customer.now, actor="user:1"
    ).plan.code == "business"  # fmt: skip
    event = {"id": "u", "customer": customer.pk, "event_name": "api_call", "properties": {"value": 600_000}}
    metering.record(events=[event], livemode=False, now=customer.now)
    quote = quoting.draft_from_subscription(subscription=subscription, now=customer.now, actor="user:1")
    assert quote.plan.code == "enterprise"
    terms = (quote.starts, quote.interval, quote.collection_method, quote.net_days)
    assert terms == (
        "period_end",
        "year",
        "send_invoice",
        30,
    )
    assert quote.history["arr_now"] == 2088_00
    assert quote.history["arr_proposed"] == 5940_00
    (usage,) = quote.history["usage"]
    assert len(usage["months"]) == 12
    assert usage["months"][-1] == {"month": "2026-01", "quantity": "600000"}
    assert usage["months"][0] == {"month": "2025-02", "quantity": "0"}


def test_it_starts_at_the_end_of_the_paid_period(on_pro, draft):
    quote = draft(subscription=on_pro(6), starts="period_end")
    found = of(quote)
    assert found.start_on == date(2026, 2, 15)
    assert found.credit == 0
    assert [(each.date, each.amount) for each in found.schedule] == [(date(2026, 2, 15), 47520_00)]


def test_it_credits_what_was_paid_beyond_a_start_in_between(on_pro, draft):
    quote = draft(subscription=on_pro(6), starts="date", starts_on=date(2026, 1, 25), quantity=10)
    found = of(quote)
    assert found.credit == 117_87  # 174.00 for 31 days, 21 of them unused
    assert found.schedule[0].amount == 9900_00 - 117_87
    assert "credit for unused time" in found.schedule[0].words
    assert found.tcv == 9900_00


def test_it_prices_a_lead_by_its_country(draft, rita):
    from sales import leads

    lead = leads.contact(
        name="Ada",
        email="ada@nova.example",
        company="Nova",
        country="DE",
        livemode=False,
        now=NOON,
        actor="buyer",
    )
    TaxRate.objects.filter(country="DE").update(percentage=Decimal(19))
    quote = draft(lead=lead, quantity=10, currency="EUR")
    assert quote.currency == "EUR"
    assert quote.tax_total == 1881_00
    assert not Customer.objects.exists()


def test_a_minimum_spend_is_said_and_counts_when_it_is_known(make_customer, draft):
    """What it adds depends on what is used; a quote's totals are what is sure."""
    plan = Plan.objects.get(code="enterprise")
    before = of(draft(customer=make_customer(), quantity=10))
    Price.objects.create(
        plan=plan, code="least", label="Committed", kind="minimum", model="flat", interval="year", billed="arrears",
        minimum=Decimal(50_000),
    )  # fmt: skip
    quote = draft(customer=make_customer(), quantity=10)
    found = of(quote)
    assert (found.tcv, found.schedule) == (before.tcv, before.schedule)
    line = quote.lines.get(price__code="least")
    assert (line.kind, line.unit_amount) == ("usage", None)
    assert line.description == "Committed: at least $50,000.00 each period, usage included"
    assert [(each.list_amount, each.kind) for each in found.lines if each.price.code == "least"] == [
        (0, "usage")
    ]
