"""The five figures, each against a small world that was added up by hand; then random worlds, counted anew."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import collecting, correcting, ending, figures, subscribing
from billing.models import CreditNote, Figure, Invoice, MrrMovement, Plan
from billing.refusals import Refused
from sales import metrics
from tests.fixtures_billing import NOON
from tests.sales import recount

pytestmark = pytest.mark.django_db

YEAR = {"start": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2027, 1, 1, tzinfo=UTC), "currency": "USD"}
LATER = {**YEAR, "start": datetime(2026, 2, 1, tzinfo=UTC)}


@pytest.fixture
def buyer(make_customer, subscribe):
    """buyer("pro", 3) -> a monthly subscription, billed at noon on 15 January; without tax."""

    def make(plan="pro", seats=3, **options):
        return subscribe(make_customer(country="US"), plan, "month", seats, **options)

    return make


def pay(subscription, when=NOON):
    invoice = Invoice.objects.filter(subscription=subscription).order_by("issued_at").first()
    collecting.record_transfer(
        invoice=invoice, amount=invoice.amount_due, reference="T", paid_at=when, now=when, actor="user:1"
    )
    return invoice


def taken_on(subscription, on, seats=10):
    """Sales takes it on: Business by the month from a day on."""
    return subscribing.change(
        subscription=subscription, now=on, actor="user:1", plan=Plan.objects.get(code="business"),
        quantity=Decimal(seats), motion="sales_assisted", source="quote",
    )  # fmt: skip


# -- Revenue ------------------------------------------------------------------------------------------------


def test_shares_are_of_what_was_invoiced_and_sum_to_a_hundred(buyer):
    buyer("pro", 3)  # 87.00 self-serve
    buyer("pro", 6, motion="sales_led")  # 174.00
    found = metrics.hybrid(**YEAR).revenue
    assert (found.self_serve, found.sales_assisted, found.sales_led) == (8_700, 0, 17_400)
    assert found.self_serve_share == Decimal("33.33")
    assert found.self_serve_share + found.sales_assisted_share == 100


def test_revenue_agrees_with_the_invoices(buyer, advance, clock):
    buyer("pro", 3)
    buyer("pro", 6, motion="sales_led")
    advance(clock, days=70)
    rows = Invoice.objects.exclude(status__in=["draft", "void"])
    assert rows.count() == 6
    net = sum(row.subtotal - row.discount_total for row in rows) - sum(
        n.subtotal for n in CreditNote.objects.all()
    )
    found = metrics.hybrid(**YEAR).revenue
    assert found.total == net
    assert sum(amount for *_, amount in metrics.behind("revenue", **YEAR)) == net


def test_credit_notes_lessen_revenue_and_stand_in_its_drill_down(buyer):
    row = buyer("pro", 5)
    subscribing.change(
        subscription=row, now=NOON + timedelta(days=10), actor="user:1", quantity=Decimal(1), effective="now"
    )
    notes = sum(note.subtotal for note in CreditNote.objects.all())
    total = metrics.hybrid(**YEAR).revenue.total
    assert total == sum(i.subtotal - i.discount_total for i in Invoice.objects.all()) - notes
    assert [amount for *_, amount in metrics.behind("revenue", **YEAR)] == [total]


def test_nothing_invoiced_has_no_share(catalogue):
    found = metrics.hybrid(**YEAR)
    assert found.revenue.self_serve_share is None
    assert found.revenue.sales_assisted_share is None
    assert found.conversion.share is None
    assert found.land_and_expand.ratio is None


def test_other_currencies_and_times_stay_out(buyer, make_customer, subscribe):
    buyer("pro", 3)
    subscribe(make_customer(country="US", currency="EUR"), "pro", "month", 3)
    assert metrics.hybrid(**YEAR).revenue.total == 8_700
    assert metrics.hybrid(**LATER).revenue.total == 0
    assert set(metrics.currencies()) == {"USD", "EUR"}


# -- Conversion ---------------------------------------------------------------------------------------------


def test_conversion_counts_who_began_self_serve_and_was_taken_on(buyer):
    stays, goes = buyer("pro", 3), buyer("pro", 4)
    for row in (stays, goes):
        pay(row)
    taken_on(goes, NOON + timedelta(days=40))
    found = metrics.hybrid(**YEAR).conversion
    assert (found.began, found.converted, found.share) == (2, 1, Decimal("50.00"))
    cohorts = metrics.conversion_by_cohort(**YEAR)
    assert [(month, c.began, c.converted) for month, c in cohorts] == [("2026-01", 2, 1)]
    assert [what for *_, what, _ in metrics.behind("conversion", **YEAR)] == ["converted", "self_serve"]


def test_who_began_with_sales_or_never_paid_did_not_convert(buyer):
    pay(buyer("pro", 3, motion="sales_led"))
    buyer("pro", 3)
    assert metrics.hybrid(**YEAR).conversion == metrics.Conversion(0, 0)


# -- Expansion ----------------------------------------------------------------------------------------------


def test_expansion_is_what_customers_of_before_added_by_cause(buyer):
    seats, plan = buyer("pro", 3), buyer("pro", 2)
    on = NOON + timedelta(days=30)
    subscribing.change(subscription=seats, now=on, actor="member:1", quantity=Decimal(5))  # + 2 × 29.00
    taken_on(plan, on, 10)  # 790.00 - 58.00
    subscribing.change(
        subscription=seats, now=on + timedelta(days=1), actor="member:1", quantity=Decimal(4), effective="now"
    )
    found = metrics.hybrid(**LATER).expansion
    assert found.rows == (("sales_assisted", "plan", 73_200), ("self_serve", "seats", 5_800))
    assert sum(amount for *_, amount in metrics.behind("expansion", **LATER)) == found.total == 79_000


def test_new_customers_do_not_expand(buyer):
    row = buyer("pro", 3)
    subscribing.change(subscription=row, now=NOON + timedelta(days=5), actor="member:1", quantity=Decimal(9))
    assert metrics.hybrid(**YEAR).expansion.total == 0


# -- Land and expand ----------------------------------------------------------------------------------------


def move(subscription, at, arr, kind="new"):
    MrrMovement.objects.create(
        customer=subscription.customer, subscription=subscription, at=at, kind=kind, cause="start", motion="self_serve",
        mrr=arr // 12, arr=arr, currency="USD",
    )  # fmt: skip


def test_land_and_expand_compares_month_twelve_with_the_close(buyer):
    grows, leaves, young = (buyer("pro", n) for n in (10, 5, 1))
    MrrMovement.objects.all().delete()
    old = datetime(2025, 1, 10, tzinfo=UTC)
    move(grows, old, 120_000)
    move(grows, old + timedelta(days=200), 60_000, "expansion")
    move(grows, old + timedelta(days=400), 999_600, "expansion")  # after month 12
    move(leaves, old, 60_000)
    move(leaves, old + timedelta(days=100), -60_000, "churn")
    move(young, datetime(2026, 6, 1, tzinfo=UTC), 12_000)
    found = metrics.hybrid(**YEAR).land_and_expand
    assert (found.customers, found.at_close, found.at_month_12) == (2, 180_000, 180_000)
    assert found.ratio == Decimal("1.00")
    assert found.ratio_without_churned == Decimal("1.50")
    rows = metrics.behind("land_and_expand", **YEAR)
    assert [(int(close), at_12) for *_, close, at_12 in rows] == [(120_000, 180_000), (60_000, 0)]


# -- Retention ----------------------------------------------------------------------------------------------


def test_retention_is_of_who_had_mrr_when_the_range_began(buyer):
    grows, shrinks, leaves = buyer("pro", 2), buyer("pro", 4), buyer("pro", 1)
    on = NOON + timedelta(days=30)
    subscribing.change(subscription=grows, now=on, actor="member:1", quantity=Decimal(5))  # 58.00 to 145.00
    subscribing.change(
        subscription=shrinks, now=on, actor="member:1", quantity=Decimal(3), effective="now"
    )  # 116.00 to 87.00
    ending.cancel(subscription=leaves, now=on, actor="member:1", effective="now")  # 29.00 to nothing
    found = metrics.retention(**LATER)
    assert (found.customers, found.at_start, found.at_end, found.kept) == (3, 203_00, 232_00, 145_00)
    assert (found.net, found.gross) == (Decimal("114.29"), Decimal("71.43"))
    rows = metrics.behind("retention", **LATER)
    assert [(int(before), after) for *_, before, after in rows] == [
        (116_00, 87_00), (58_00, 145_00), (29_00, 0),
    ]  # fmt: skip
    before = metrics.retention(**YEAR)
    assert (before.customers, before.net, before.gross) == (0, None, None)


def test_who_joins_in_the_range_is_not_retained(buyer):
    buyer("pro", 2)
    late = {**LATER, "start": NOON - timedelta(days=3)}
    assert metrics.retention(**late).at_end == 0


# -- Months -------------------------------------------------------------------------------------------------


def test_months_add_up_to_the_mrr_at_their_end(buyer):
    row = buyer("pro", 3)
    subscribing.change(subscription=row, now=NOON + timedelta(days=30), actor="member:1", quantity=Decimal(5))
    rows = metrics.months(start=YEAR["start"], end=datetime(2026, 4, 1, tzinfo=UTC), currency="USD")
    assert [(m.month, m.new, m.expansion, m.mrr) for m in rows] == [
        ("2026-01", 8_700, 0, 8_700), ("2026-02", 0, 5_800, 14_500), ("2026-03", 0, 0, 14_500),
    ]  # fmt: skip


def test_figures_take_few_statements_whatever_the_number_of_customers(buyer):
    for seats in (1, 2, 3):
        buyer("pro", seats)
    with CaptureQueriesContext(connection) as seen:
        metrics.overview(**YEAR)
        metrics.currencies()
    assert len(seen) == 2


def test_drill_down_refuses_an_unknown_figure(catalogue):
    with pytest.raises(KeyError):
        metrics.behind("luck", **YEAR)


def test_drill_down_is_cut_where_it_is_asked(buyer):
    for seats in (1, 2, 3):
        buyer("pro", seats)
    assert len(metrics.behind("revenue", **YEAR, limit=2)) == 2
    assert len(metrics.behind("revenue", **YEAR, limit=None)) == 3


# -- Kept and counted ---------------------------------------------------------------------------------------------


def deeds(rng, rows, now):
    """What may happen to a subscription, each as likely: some of it is refused."""
    row, papers = rng.choice(rows), Invoice.objects.order_by("pk")
    row.refresh_from_db()
    mine = papers.filter(customer=row.customer)
    open_one = mine.filter(status="open", total__gt=0).first()
    said = {"now": now, "actor": "user:1"}

    def paid():
        if open_one is not None:
            amount = open_one.amount_due
            collecting.record_transfer(invoice=open_one, amount=amount, reference="T", paid_at=now, **said)

    return rng.choice(
        [
            paid, paid, paid,
            lambda: taken_on(row, now, rng.randrange(5, 40)),
            lambda: taken_on(row, now + timedelta(days=rng.randrange(40))),
            lambda: subscribing.change(
                subscription=row, **said, quantity=Decimal(rng.randrange(1, 12)), effective="now"),
            lambda: open_one and correcting.void(invoice=open_one, **said),
            lambda: correcting.credit(invoice=mine.first(), amount=500, reason="", **said),
            lambda: ending.cancel(subscription=row, **said, effective="now"),
        ]
    )  # fmt: skip


RANGES = [
    (datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)),
    (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)),
    (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC)),
    (datetime(2026, 2, 17, tzinfo=UTC), datetime(2026, 6, 9, tzinfo=UTC)),
    (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("seed", [2, 3])
def test_what_is_kept_is_what_is_counted_after_random_lives(make_customer, subscribe, advance, clock, seed):
    rng = random.Random(seed)
    rows = []
    for step in range(16):
        clock.refresh_from_db()
        if step < 5 or rng.random() < 0.2:
            motion = rng.choice(["self_serve", "self_serve", "sales_assisted", "sales_led"])
            customer = (
                rng.choice(rows).customer if rows and rng.random() < 0.3 else make_customer(country="US")
            )
            rows.append(
                subscribe(
                    customer, rng.choice(["pro", "starter"]), "month", rng.randrange(1, 5), motion=motion
                )
            )
        with suppress(Refused):
            deeds(rng, rows, clock.now)()
        if rng.random() < 0.5:
            advance(clock, days=rng.choice([0, 3, 20, 45]))
    advance(clock, days=120)
    assert {row.name for row in Figure.objects.all()} == set(Figure.Name.values)
    for start, end in RANGES:
        scope = {"start": start, "end": end, "currency": "USD"}
        assert metrics.overview(**scope) == (recount.hybrid(**scope), recount.months(**scope))
        assert metrics.conversion_by_cohort(**scope) == recount.cohorts(**scope)
        found = metrics.hybrid(**scope)
        assert len(metrics.behind("conversion", **scope, limit=None)) == found.conversion.began
        assert sum(n for *_, n in metrics.behind("expansion", **scope)) == found.expansion.total
        assert (
            sum(n for *_, n in metrics.behind("land_and_expand", **scope))
            == found.land_and_expand.at_month_12
        )
    assert figures.check() == []
