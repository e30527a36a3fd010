"""Smooth transition, each promise to the cent: history is preserved, billing is maintained while a quote is open, an
upgrade is proposed from what runs, and the terms convert at renewal, in mid-period, or on a date; and back to card."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from billing import books, cards, metering, switching
from billing.models import Customer, Event, Invoice, Meter, Phase, Plan, Subscription
from sales import drafting, promises, quoting
from sales.admin import reading
from sales.admin.customers import events_of, mails_of, moments
from sales.models import ApprovalRule, Quote

pytestmark = pytest.mark.django_db
ADA = {"name": "Ada Noor", "title": "COO", "email": "ada@nova.example", "signature": "Ada Noor"}
# Six seats of Pro for January 15 to February 15, and ten of Enterprise for a year; Ireland's 23 %.
PRO, ENTERPRISE = 174_00, 9900_00


@pytest.fixture(autouse=True)
def printed(monkeypatch, sales_catalogue):
    ApprovalRule.objects.update(enabled=False)
    monkeypatch.setattr("sales.quote_papers.print_paper", lambda paper: f"%PDF {paper.number}".encode())


@pytest.fixture
def card_customer(make_customer, subscribe, clock, fake_stripe):
    """A customer of monthly Pro by card, six seats, billed and paid from 15 January on."""

    def make():
        customer = make_customer(clock, email="ada@nova.example")
        cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="buyer")
        return subscribe(customer, "pro", "month", 6)

    return make


@pytest.fixture
def offer(clock):
    """offer(subscription, **terms) -> a quote for ten seats of Enterprise by the year, sent."""

    def make(subscription, **terms):
        clock.refresh_from_db()
        subscription.refresh_from_db()
        given = {"plan": Plan.objects.get(code="enterprise"), "quantity": Decimal(10), "starts": "period_end"}
        quote = drafting.draft_from_subscription(
            subscription=subscription, now=clock.now, actor="user:1", **{**given, **terms}
        )
        quoting.send(quote=quote, now=clock.now, actor="user:1")
        return quote

    return make


def sign(quote, now):
    return quoting.accept(quote=quoting.find(quote.token), now=now, version=quote.version, **ADA)


def papers(subscription):
    rows = Invoice.objects.filter(subscription=subscription).order_by("issued_at", "sequence")
    return [(row.cycle_on or row.issued_on, row.subtotal - row.discount_total, row.total) for row in rows]


def terms_of(subscription):
    rows = Phase.objects.filter(subscription=subscription).order_by("start_on")
    return [(p.start_on, p.end_on, p.plan.code, p.collection_method) for p in rows if p.start_on != p.end_on]


def with_tax(net):
    return round(net * 123 / 100)


# -- Preserve history


def test_it_keeps_one_history_of_one_customer(card_customer, offer, advance, clock, run_jobs):
    subscription = card_customer()
    customer = subscription.customer

    def use(key, calls):
        one = {"id": key, "customer": customer.pk, "event_name": "api_call", "properties": {"value": calls}}
        metering.record(events=[one], livemode=False, now=clock.now)

    use("before", 300)
    sign(offer(subscription), clock.now)
    advance(clock, to=datetime(2026, 2, 20, 12, tzinfo=UTC))
    clock.refresh_from_db()
    use("after", 40)
    run_jobs()
    assert (Customer.objects.count(), Subscription.objects.count()) == (1, 1)
    customer.refresh_from_db()
    (usage,) = drafting.usage_by_month(customer, clock.now, Meter.objects.in_bulk())
    assert [m["quantity"] for m in usage["months"] if m["quantity"] != "0"] == ["300", "40"]
    shown = reading.read(customer, events_of(customer), mails_of(customer), customer.now)
    told = [moment.title for moment in moments(shown)]
    for title in ("Became a customer", "Card saved", "Subscription started", "Invoice issued", "Quote accepted",
                  "New terms began", "Converted to invoice", "Way of paying changed", "Mail"):  # fmt: skip
        assert title in told, title
    assert [row[0] for row in papers(subscription)] == [date(2026, 1, 15), date(2026, 2, 15)]
    assert books.check() == []


# -- Maintain billing


def open_(quote, clock, advance):
    quoting.view(quote=quote, now=clock.now)


def decline(quote, clock, advance):
    quoting.decline(quote=quote, reason="Too dear", now=clock.now)


def withdraw(quote, clock, advance):
    quoting.withdraw(quote=quote, now=clock.now, actor="user:1")


def expire(quote, clock, advance):
    Quote.objects.filter(pk=quote.pk).update(expires_at=clock.now + timedelta(days=3))
    advance(clock, days=4)
    assert quoting.expire(now=clock.now) == 1


def revise(quote, clock, advance):
    quoting.revise(quote=quote, now=clock.now, actor="user:1", quantity=99)


@pytest.mark.parametrize("happens", [open_, decline, withdraw, expire, revise])
def test_an_open_quote_changes_no_invoice(card_customer, offer, advance, clock, happens):
    subscription = card_customer()
    before = terms_of(subscription)
    happens(offer(subscription), clock, advance)
    advance(clock, to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert papers(subscription) == [
        (date(2026, 1, 15), PRO, with_tax(PRO)),
        (date(2026, 2, 15), PRO, with_tax(PRO)),
        (date(2026, 3, 15), PRO, with_tax(PRO)),
    ]
    assert terms_of(subscription) == before
    subscription.customer.refresh_from_db()
    assert subscription.customer.collection_method == "charge_automatically"
    assert books.check() == []


# -- Propose upgrade


def test_a_proposal_shows_what_is_used_and_what_it_comes_to(card_customer, clock):
    subscription = card_customer()
    one = {
        "id": "u",
        "customer": subscription.customer_id,
        "event_name": "api_call",
        "properties": {"value": 700},
    }
    metering.record(events=[one], livemode=False, now=clock.now)
    quote = drafting.draft_from_subscription(
        subscription=subscription, now=clock.now, actor="user:1", plan=Plan.objects.get(code="enterprise")
    )
    assert (quote.history["plan"], quote.history["seats"]) == ("Pro", 6)
    assert (quote.history["arr_now"], quote.history["arr_proposed"]) == (12 * PRO, 6 * 990_00)
    (usage,) = quote.history["usage"]
    assert len(usage["months"]) == 12
    assert usage["months"][-1] == {"month": "2026-01", "quantity": "700"}


# -- Convert


@pytest.mark.parametrize(
    ("terms", "signed_on", "starts_on", "credit"),
    [
        # Nothing is left of the paid period at its end: 15 February.
        ({"starts": "period_end"}, 20, date(2026, 2, 15), 0),
        # 25 January to 15 February are 21 of 31 days: 17,400 × 21/31 = 11,787.1
        ({"starts": "now"}, 25, date(2026, 1, 25), 117_87),
        # 28 January: 18 of 31 days: 10,103.2
        ({"starts": "date", "starts_on": date(2026, 1, 28)}, 20, date(2026, 1, 28), 101_03),
        # 1 March lies in the second period, 14 of whose 28 days are left: 8,700
        ({"starts": "date", "starts_on": date(2026, 3, 1)}, 20, date(2026, 3, 1), 87_00),
    ],
)
def test_it_converts_without_gap_overlap_or_double_charge(
    card_customer, offer, advance, clock, run_jobs, terms, signed_on, starts_on, credit
):
    subscription = card_customer()
    advance(clock, to=datetime(2026, 1, signed_on, 12, tzinfo=UTC))
    quote = offer(subscription, **terms)
    sign(quote, clock.now)
    advance(clock, to=datetime(2026, 3, 20, 12, tzinfo=UTC))
    clock.refresh_from_db()
    run_jobs()
    first = [(date(2026, 1, 15), PRO, with_tax(PRO))]
    if starts_on > date(2026, 2, 15):
        first.append((date(2026, 2, 15), PRO, with_tax(PRO)))
    net = ENTERPRISE - credit
    found = papers(subscription)
    assert found[:-1] == first
    assert found[-1][:2] == (starts_on, net)
    assert terms_of(subscription) == [
        (date(2026, 1, 15), starts_on, "pro", "charge_automatically"),
        (starts_on, None, "enterprise", "send_invoice"),
    ]
    last = Invoice.objects.get(subscription=subscription, subtotal=net)
    assert (last.collection_method, last.net_days, last.motion) == ("send_invoice", 30, "sales_led")
    assert (last.due_on - last.issued_on).days == 30
    quote.refresh_from_db()
    assert quote.state == "converted"
    assert {each.state for each in promises.of(quote, now=clock.now)} == {"kept"}
    assert books.check() == []


def test_card_to_net_thirty_and_back(card_customer, offer, advance, clock, run_jobs):
    subscription = card_customer()
    sign(offer(subscription, interval="month", term_months=12), clock.now)
    advance(clock, to=datetime(2026, 2, 20, 12, tzinfo=UTC))
    clock.refresh_from_db()
    run_jobs()
    subscription = Subscription.objects.get()
    assert subscription.customer.collection_method == "send_invoice"
    switching.switch(
        customer=subscription.customer,
        method="charge_automatically",
        now=clock.now,
        actor="user:1",
        override="agreed",
    )
    advance(clock, to=datetime(2026, 3, 20, 12, tzinfo=UTC))
    clock.refresh_from_db()
    run_jobs()
    rows = Invoice.objects.order_by("issued_at", "sequence")
    assert [(row.subtotal, row.collection_method, row.net_days) for row in rows][1:] == [
        (990_00, "send_invoice", 30), (990_00, "charge_automatically", 0),
    ]  # fmt: skip
    issued = rows[1]
    assert (issued.due_on - issued.issued_on).days == 30  # what was issued keeps its terms
    changes = Event.objects.filter(type="customer.collection_method_changed").order_by("number")
    assert [(e.data["from"], e.data["to"]) for e in changes] == [
        ("charge_automatically", "send_invoice"), ("send_invoice", "charge_automatically"),
    ]  # fmt: skip
    assert books.check() == []
