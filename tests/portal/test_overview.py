"""The home page: what it says, and in how few statements."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import ending, invoicing, metering, subscribing
from billing.models import Invoice, Plan
from billing.templatetags.tandem import money
from billing.timelines import PhaseSpec, specs_of

pytestmark = pytest.mark.django_db
OF_EVERY_PAGE = ("django_session", "billing_user")


def use(nova, calls, key="use"):
    event = {"id": key, "customer": nova.pk, "event_name": "api_call", "properties": {"value": calls}}
    event["timestamp"] = nova.now.isoformat()
    metering.record(events=[event], livemode=False, now=nova.now)


def statements(browser):
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/portal/").status_code == 200
    return [q["sql"] for q in queries if not any(f'FROM "{table}"' in q["sql"] for table in OF_EVERY_PAGE)]


def test_it_says_the_plan_and_the_next_charge_as_it_will_be_made(alice, nova, sub):
    coming = invoicing.upcoming(subscription=sub, now=nova.now)
    page = alice.get("/portal/").text
    assert "Pro, monthly" in page
    assert money(coming.result.total, "USD") in page
    assert "15 Feb 2026" in page


def test_the_next_charge_is_what_is_then_charged(alice, nova, sub, clock, advance):
    use(nova, 60_000)
    shown = alice.get("/portal/").context["running"][0].next
    advance(clock, days=31)
    charged = Invoice.objects.filter(customer=nova).first()
    assert (charged.total, charged.issued_on) == (shown.result.total, shown.on)
    assert charged.total > 87_00


def test_it_reads_six_statements_at_most(alice, nova, sub, subscribe, clock, advance):
    use(nova, 45_000)
    few = statements(alice)
    assert len(few) <= 6, few
    subscribe(nova, plan="starter", quantity=None)
    for n in range(12):
        use(nova, 10, f"more-{n}")
    advance(clock, days=3)
    assert len(statements(alice)) <= 6


def test_it_shows_usage_against_the_limit(alice, nova):
    use(nova, 45_000)
    page = alice.get("/portal/").text
    assert "45,000" in page
    assert "50,000" in page
    assert "90%" in page


def test_it_shows_terms_that_wait(alice, nova, sub):
    spec = specs_of(sub)[0]
    plan = Plan.objects.get(code="enterprise")
    items = subscribing.choose_items(plan, interval="year", currency="USD", quantity=50)
    later = spec.start_on + timedelta(days=45)
    waiting = PhaseSpec(
        plan=plan,
        items=items,
        start_on=later,
        end_on=None,
        anchor_on=later,
        collection_method="send_invoice",
        motion="sales_led",
    )
    subscribing.follow_on(
        subscription=sub,
        phases=[waiting],
        now=nova.now,
        actor="user:1",
        source="quote_x",
        payment_rule_override="agreed",
    )
    assert "From 1 March 2026: Enterprise, 50 seats, yearly, by invoice" in alice.get("/portal/").text


def test_it_offers_to_undo_a_cancellation(alice, vera, nova, sub):
    ending.cancel(subscription=sub, now=nova.now, actor="system", effective="period_end")
    page = alice.get("/portal/").text
    assert "Pro ends on 15 February 2026" in page
    assert f"/portal/plan/{sub.pk}/keep/" in page
    assert "/keep/" not in vera.get("/portal/").text


def test_it_says_when_the_trial_ends(enter, make_customer, clock, subscribe, sales_catalogue):
    customer = make_customer(clock)
    subscribe(customer, trial_days=14)
    page = enter(customer).get("/portal/").text
    assert "Your trial ends on 29 January 2026" in page
    assert "Save a card" in page


def test_it_asks_for_money_that_is_late(alice, nova):
    Invoice.objects.filter(customer=nova).update(attempts=1)
    page = alice.get("/portal/").text
    assert "We could not charge your card for invoice" in page


def test_it_is_kind_to_who_has_nothing_yet(enter, make_customer, sales_catalogue):
    page = enter(make_customer()).get("/portal/")
    assert page.status_code == 200
    assert "No plan is running" in page.text
    assert "No invoices yet" in page.text


def test_looking_changes_nothing(alice, nova):
    from billing.models import Event

    before = Event.objects.count(), list(Invoice.objects.values()), list(nova.subscriptions.values())
    for place in (
        "",
        "usage/",
        "invoices/",
        "team/",
        "plan/",
        "plan/features/",
        "payment/",
        "payment/card/",
        "details/",
        "help/",
    ):
        alice.get(f"/portal/{place}")
    assert (
        Event.objects.count(),
        list(Invoice.objects.values()),
        list(nova.subscriptions.values()),
    ) == before


def test_it_shows_quotes_that_wait(alice, nova):
    from billing.models import Document
    from sales.models import Quote

    paper = Document.objects.create(name="Q.pdf", content=b"%PDF", sha256="0" * 64)
    quote = Quote.objects.create(
        number="Q-1", state="sent", customer=nova, plan=Plan.objects.get(code="enterprise"), document=paper,
        sent_at=nova.now, expires_at=nova.now + timedelta(days=30), arr=594_000,
    )  # fmt: skip
    page = alice.get("/portal/").text
    assert f"/quotes/{quote.token}/" in page
    assert "open until 14 February 2026" in page
    assert '<span class="count">1</span>' in page
    assert f"/quotes/{quote.token}/" in alice.get("/portal/quotes/").text
