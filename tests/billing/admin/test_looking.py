"""A payment and a subscription, as staff look at them: in words and money, and by whoever may."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import cards, invoicing, running
from billing.admin import looking
from billing.maths.periods import local_date
from billing.models import BillingFailure, BillingRun, Payment, Phase, Plan
from tests.staff import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(make_customer, subscribe, clock):
    customer = make_customer(clock, name="Nova <Robotics>", country="US")
    cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="system")
    return subscribe(customer, "pro", "month", 3)


def at(row):
    return f"/admin/billing/{row._meta.model_name}/{row.pk}/change/"


def read(browser, row):
    return " ".join(browser.get(at(row)).text.split())


def statements(browser, row):
    with CaptureQueriesContext(connection) as asked:
        browser.get(at(row))
    return len(asked)


def test_a_subscription_shows_what_holds_when(subscription, fake_stripe, clock, advance):
    browser = signed_in("view_subscription")
    page = read(browser, subscription)
    for words in (
        "Nova &lt;Robotics&gt;",
        "$87.00",
        "Timeline",
        "3 × ",
        ">Now</span>",
        "Card",
        "Subscription started",
        subscription.pk,
    ):
        assert words in page
    assert ">subscription.created<" not in page
    first = statements(browser, subscription)
    advance(clock, days=70)
    assert subscription.invoices.count() > 2
    assert statements(browser, subscription) == first <= 5
    assert signed_in("view_invoice").get(at(subscription)).status_code == 403


def test_a_payment_shows_its_money_and_never_its_secret(subscription, fake_stripe):
    invoice = subscription.invoices.get()
    payment = Payment.objects.create(
        customer=subscription.customer, invoice=invoice, amount=8700, currency="USD", key="k", status="failed",
        client_secret="pi_1_secret_x", card_label="Visa •••• 4242", message="Your bank said no.",
        decline_code="do_not_honor", provider_id="pi_1",
    )  # fmt: skip
    page = read(signed_in("view_payment"), payment)
    for words in (
        "$87.00",
        "Failed",
        "Visa •••• 4242",
        "Your bank said no.",
        "do_not_honor",
        invoice.number,
        "Nothing of it went back.",
    ):
        assert words in page
    assert "secret" not in page
    assert signed_in("view_invoice").get(at(payment)).status_code == 403


def test_the_list_tells_each_plan_where_its_customer_is(make_customer, subscribe, clock):
    """One who changes, one who is to begin later; each on its own clock."""
    changing = subscribe(make_customer(clock, name="Changing"), "starter", "month")
    later = subscribe(make_customer(name="Later"), "pro", "month", bill=False)
    day = local_date(clock.now, "UTC") + timedelta(days=20)
    Phase.objects.filter(subscription=changing).update(end_on=day)
    Phase.objects.create(
        subscription=changing, plan=Plan.objects.get(code="pro"), start_on=day, anchor_on=day, motion="self_serve",
        collection_method="charge_automatically",
    )  # fmt: skip
    Phase.objects.filter(subscription=later).update(start_on=day + timedelta(days=9000))
    browser = signed_in("view_subscription")

    def listed(query=""):
        page = browser.get(f"/admin/billing/subscription/?{query}")
        return {row.customer.name: row.plan_name for row in page.context["cl"].result_list}

    assert listed("o=2") == {"Changing": "Starter", "Later": "Pro"}
    assert listed("plan=starter") == {"Changing": "Starter"}
    assert listed("plan=nothing") == {}
    clock.now += timedelta(days=30)
    clock.save()
    assert listed("o=2") == {"Changing": "Pro", "Later": "Pro"}
    assert listed("plan=pro") == {"Changing": "Pro"}


def test_a_billing_run_shows_what_it_issued_and_left_aside(make_customer, subscribe, monkeypatch):
    well, ill = (
        subscribe(make_customer(name=name), "pro", "month", 3, bill=False) for name in ("Well", "Ill")
    )
    bill_many = invoicing.bill_many

    def fail_for_one(dues, **options):
        if any(due.subscription.pk == ill.pk for due in dues):
            raise RuntimeError("no rate for this day")
        return bill_many(dues, **options)

    monkeypatch.setattr(invoicing, "bill_many", fail_for_one)
    running.run(now=max(well.next_due_at, ill.next_due_at))
    row = BillingRun.objects.get()
    assert row.failures == 1
    assert row.started_at <= row.finished_at
    page = signed_in("view_billingrun").get(at(row))
    invoice = well.invoices.get()
    for words in (
        invoice.number,
        "Well",
        "RuntimeError: no rate for this day",
        ">Ill<",
        "Left something aside",
    ):
        assert words in page.text
    assert page.context["sums"] == [(invoice.currency, 1, invoice.total)]
    assert signed_in("view_invoice").get(at(row)).status_code == 403


def test_runs_that_found_nothing_are_out_of_the_way(catalogue):
    running.run(now=timezone.now())
    browser = signed_in("view_billingrun")
    assert "Nothing has been billed yet" in browser.get("/admin/billing/billingrun/", follow=True).text
    assert "Nothing was due" in browser.get("/admin/billing/billingrun/?did=nothing").text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (59.4, "59 s"), (200, "3 min 20 s"), (-5, "0.0 s")],
)
def test_it_says_how_long_a_run_took(seconds, words):
    assert looking.duration(timedelta(seconds=seconds)).replace(looking.JOINED, " ") == words


def test_what_could_not_be_billed_is_seen_at_once_and_billed_again(make_customer, subscribe):
    row = subscribe(make_customer(name="Nova"), "pro", "month", 3, bill=False)
    failure = BillingFailure.objects.create(subscription=row, reason="no such price", at=timezone.now())
    browser = signed_in("view_billingfailure", "delete_billingfailure", "view_subscription")
    assert "One subscription could not be billed" in browser.get("/admin/").text
    listed = browser.get("/admin/billing/billingfailure/")
    for words in ("no such price", ">Nova<", at(row)):
        assert words in listed.text
    chosen = {"action": "again", "_selected_action": failure.pk}
    looking_only = signed_in("view_billingfailure")
    assert "could not be billed" not in looking_only.get("/admin/").text
    looking_only.post("/admin/billing/billingfailure/", chosen)
    assert BillingFailure.objects.exists()
    answer = browser.post("/admin/billing/billingfailure/", chosen, follow=True)
    assert "The next run bills it again." in answer.text
    assert not BillingFailure.objects.exists()
    assert "could not be billed" not in browser.get("/admin/").text
    assert running.run(now=timezone.now()).invoices
