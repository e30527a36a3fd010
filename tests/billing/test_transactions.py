"""What single events cost: the database adds up what a few lines of Python say one by one."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from fractions import Fraction as F

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import cataloguing, metering
from billing.maths.pricing import InvalidPrice, PerTransaction, Price, PriceKind, PriceModel
from billing.models import Meter, Plan, UsageEvent
from billing.models import Price as Row
from checkout import wording

START = datetime(2026, 1, 1, tzinfo=UTC)


def price(meter="meter", rate="2.5", included="0", **terms):
    return Price(
        "p", PriceKind.USAGE, PriceModel.PERCENTAGE, "month", "USD", D(rate), meter=meter, included=D(included),
        per_transaction=PerTransaction(**terms),
    )  # fmt: skip


def one_by_one(values, rate, terms):
    """(events, wholly free, free sum, exact cents)"""
    seen, before, wholly, free_sum, cents = 0, D(0), 0, D(0), F(0)
    for value in values:
        if value <= 0:
            cents += F(value) * F(rate)
            continue
        seen += 1
        free = D(0)
        if not terms.free_events or seen <= terms.free_events:
            left = max(terms.free_amount - before, D(0))
            free = min(left, value) if terms.free_amount else value if terms.free_events else D(0)
        before, free_sum = before + value, free_sum + free
        if free == value:
            wholly += 1
            continue
        fee = F(value - free) * F(rate) + F(terms.fixed_amount) * 100
        fee = fee if terms.minimum is None else max(fee, F(terms.minimum) * 100)
        cents += fee if terms.maximum is None else min(fee, F(terms.maximum) * 100)
    return len(values), wholly, free_sum, cents


AMOUNTS = st.decimals("0", "500", places=3)
TERMS = st.builds(
    PerTransaction,
    fixed_amount=AMOUNTS,
    minimum=st.none() | st.decimals("0", "5", places=2),
    maximum=st.none() | st.decimals("5", "50", places=2),
    free_events=st.integers(0, 4),
    free_amount=st.just(D(0)) | AMOUNTS,
)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(
        st.tuples(st.decimals("-50", "1000", places=4), st.integers(0, 3), st.booleans()), max_size=8
    ),
    terms=TERMS,
    rate=st.decimals("0", "10", places=5),
)
def test_the_database_adds_up_what_each_event_costs(make_customer, sent, terms, rate):
    with transaction.atomic():
        customer, meter = make_customer(), Meter.objects.create(code="volume", event_name="volume")
        rows = [
            UsageEvent(
                key=f"e{n}", customer=customer, meter=meter, event_name="volume", value=value,
                occurred_at=START + timedelta(hours=hour), day=START.date(), voided_at=START if voided else None,
            )
            for n, (value, hour, voided) in enumerate(sent)
        ]  # fmt: skip
        UsageEvent.objects.bulk_create(rows)
        counted = sorted(
            (row for row in rows if not row.voided_at), key=lambda row: (row.occurred_at, row.key)
        )
        asked = Price(
            "p", PriceKind.USAGE, PriceModel.PERCENTAGE, "month", "USD", rate, meter=meter.pk, per_transaction=terms
        )  # fmt: skip
        fees = metering.fees(customer, asked, date(2026, 1, 1), date(2026, 2, 1))
        assert tuple(fees) == one_by_one([row.value for row in counted], rate, terms)
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: price(minimum=D(5), maximum=D(4)), "per_transaction.minimum"),
        (lambda: price(fixed_amount=D(-1)), "per_transaction.fixed_amount"),
        (lambda: price(free_events=-1), "per_transaction.free_events"),
        (lambda: price(included="3"), "included"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(wrong, field):
    with pytest.raises(InvalidPrice, match=f"^{field}: "):
        wrong()


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"model": "per_unit", "meter": "volume"}, "prices.0.per_transaction"),
        ({"model": "percentage"}, "prices.0.per_transaction"),
        ({"model": "percentage", "meter": "calls"}, "prices.0.per_transaction"),
    ],
)
def test_only_a_percentage_of_a_sum_is_taken_of_every_event(db, terms, field):
    Meter.objects.create(code="volume", event_name="volume")
    Meter.objects.create(code="calls", event_name="calls", aggregation="count")
    with pytest.raises(cataloguing.InvalidPriceTerms) as refused:
        cataloguing.create_plan(
            code="p", name="P", motion="self_serve", now=START, actor="test", livemode=False,
            prices=[{**terms, "per_transaction": {"fixed_amount": D(1)}}],
        )  # fmt: skip
    assert refused.value.field == field


def test_a_form_says_what_is_wrong_with_the_terms(catalogue):
    row = Meter.objects.create(code="volume", event_name="volume")
    made = catalogue_price(row)
    made.per_transaction = {"fixed_amount": "much"}
    with pytest.raises(ValidationError, match="each a number"):
        made.clean()


def catalogue_price(meter):
    return Row(
        plan=Plan.objects.first(), code="v", kind="usage", model="percentage", interval="month", meter=meter
    )


def test_a_buyer_reads_what_is_taken_of_each(catalogue):
    row = catalogue_price(Meter.objects.create(code="volume", event_name="volume", name="Volume"))
    row.label, row.unit_amount, row.per_transaction = "Volume", D("1.3"), {"fixed_amount": "2"}
    assert wording.usage_notes([row]) == ["Volume: 1.3 % + $2.00 each"]


def test_a_buyer_reads_what_a_plan_costs_at_least():
    row = Row(kind="minimum", minimum=D(500), interval="month", currency="USD")
    assert wording.usage_notes([row]) == ["At least $500.00 a month, usage included"]
