"""Changing the plan: previewed, then charged to the cent; ending and undoing; asking sales."""

from datetime import date, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from billing import correcting
from billing.models import Dispute, Event, Invoice, Payment, Plan, Seller
from portal import wording

pytestmark = pytest.mark.django_db


def at(sub, name="change"):
    return reverse(f"portal:{name}", args=[sub.pk])


def wish(plan="pro", interval="month", **more):
    return {"plan": plan, "interval": interval, **more}


def preview(browser, sub, **wanted):
    return browser.get(at(sub) + "?" + urlencode(wish(**wanted)))


def confirm(browser, sub, page, **wanted):
    return browser.post(at(sub, "confirm"), {**wish(**wanted), "shown": page.context["shown"].token})


def test_more_seats_are_charged_as_previewed(alice, nova, sub, clock, advance, books):
    advance(clock, days=10)
    page = preview(alice, sub, quantity=5)
    shown = page.context["shown"]
    assert shown.effective == "now"
    assert confirm(alice, sub, page, quantity=5).status_code == 302
    invoice = Invoice.objects.filter(customer=nova).order_by("-sequence").first()
    assert invoice.total == shown.change.due_now > 0
    nova.refresh_from_db()
    assert nova.mrr == 5 * 29_00


def test_a_preview_writes_nothing(alice, nova, sub):
    before = list(sub.phases.values()), Event.objects.count()
    assert preview(alice, sub, quantity=9).status_code == 200
    assert (list(sub.phases.values()), Event.objects.count()) == before


def test_a_preview_says_what_is_charged_next(alice, sub):
    less = preview(alice, sub, quantity=2)
    assert less.context["shown"].change.next.result.subtotal == 2 * 29_00
    assert "is on 15 February 2026, tax included." in less.text
    more = preview(alice, sub, interval="year", quantity=2)
    assert "15 January 2027, tax included." in more.text


def test_what_a_goodwill_note_gave_is_named_after_what_it_was_for(alice, nova, sub):
    invoice = nova.invoices.get()
    correcting.credit(invoice=invoice, amount=10_00, reason="Sorry", now=nova.now, actor="system")
    page = preview(alice, sub, interval="year", quantity=3).text
    assert "Given back before: Pro seat" in page
    assert "Given back before: Correction" not in page


def test_fewer_seats_wait_for_the_periods_end(alice, nova, sub):
    page = preview(alice, sub, quantity=2)
    shown = page.context["shown"]
    assert (shown.effective, shown.change.effective_on, shown.change.due_now) == (
        "period_end",
        date(2026, 2, 15),
        0,
    )
    confirm(alice, sub, page, quantity=2)
    assert nova.invoices.count() == 1
    assert "From 15 February 2026: Pro, 2 seats, monthly, by card" in alice.get("/portal/plan/").text


def test_a_lower_plan_waits_too(alice, sub):
    assert preview(alice, sub, plan="starter").context["shown"].effective == "period_end"


def test_changed_figures_are_shown_again_and_nothing_is_done(alice, nova, sub, clock, advance):
    page = preview(alice, sub, quantity=5)
    advance(clock, days=10)
    again = confirm(alice, sub, page, quantity=5)
    assert again.status_code == 409
    assert "The figures have changed meanwhile" in again.text
    assert nova.invoices.count() == 1
    assert confirm(alice, sub, again, quantity=5).status_code == 302


def test_yearly_from_monthly_is_noted_when_asked_for(alice, sub):
    answer = alice.post(at(sub), wish(interval="year", quantity=3))
    assert answer.status_code == 302
    assert Event.objects.get(type="feature.viewed").data["feature"] == "annual_prices"
    page = alice.get(answer.url)
    assert page.context["shown"].change.due_now > 0


@pytest.mark.parametrize("plan", ["business", "enterprise"])
@pytest.mark.parametrize("name", ["change", "confirm"])
def test_plans_sold_by_people_cannot_be_taken(alice, nova, sub, plan, name):
    answer = alice.post(at(sub, name), wish(plan=plan, quantity=3, shown="x"))
    assert answer.status_code == 422
    assert sub.phases.count() == 1


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "1e3", "many", "99999999", "101", "١٢"])
def test_bad_seats_are_refused_and_kept(alice, sub, quantity):
    answer = alice.get(at(sub) + "?" + urlencode(wish(quantity=quantity)))
    assert answer.status_code == 422
    assert f'value="{quantity}"' in answer.text
    assert sub.phases.count() == 1


def test_what_is_there_already_is_said(alice, sub):
    assert "This is what you have" in preview(alice, sub, quantity=3).text


def test_an_upgrade_charges_the_card_at_once(alice, nova, sub, card):
    page = preview(alice, sub, quantity=6)
    answer = confirm(alice, sub, page, quantity=6)
    invoice = Invoice.objects.filter(customer=nova).order_by("-sequence").first()
    assert answer.url == reverse("portal:invoice", args=[invoice.pk])
    assert invoice.status == "paid"
    assert "was paid with" in alice.get(answer.url).text


def test_it_ends_at_the_periods_end_and_can_be_taken_back(alice, nova, sub):
    alice.post(at(sub, "cancel"), {"reason": "Too expensive", "words": "for <us>"})
    sub.refresh_from_db()
    assert (sub.end_on, sub.cancel_reason, sub.status) == (
        date(2026, 2, 15),
        "Too expensive: for <us>",
        "active",
    )
    page = alice.get("/portal/plan/").text
    assert "Pro ends on 15 February 2026" in page
    assert "for &lt;us&gt;" in page
    alice.post(at(sub, "keep"))
    sub.refresh_from_db()
    assert sub.end_on is None


def test_taking_back_twice_is_said_plainly(alice, sub):
    assert "There is no cancellation to undo" in alice.post(at(sub, "keep"), follow=True).text


def test_a_trial_changes_at_its_end_for_nothing(enter, make_customer, clock, subscribe, sales_catalogue):
    customer = make_customer(clock)
    trial = subscribe(customer, trial_days=14)
    browser = enter(customer)
    assert "<dt>Free until</dt><dd>29 January 2026</dd>" in browser.get("/portal/plan/").text
    page = preview(browser, trial, quantity=8)
    assert page.context["shown"].change.effective_on == date(2026, 1, 29)
    confirm(browser, trial, page, quantity=8)
    assert trial.phases.get(end_on=None).items.filter(quantity=Decimal(8)).exists()


def test_looking_closer_at_a_feature_is_an_event(alice, nova, run_jobs):
    assert Event.objects.filter(type="feature.viewed").count() == 0
    for _ in range(2):
        alice.post("/portal/plan/features/", {"feature": "sso"})
        nova.test_clock.now += timedelta(hours=1)
    run_jobs()
    assert nova.signals.filter(rule__code="enterprise_features").count() == 1


def test_a_feature_that_nobody_sells_does_not_exist(alice):
    assert alice.post("/portal/plan/features/", {"feature": "reports"}).status_code == 404


def test_less_begins_at_once_where_the_seller_has_it_so(alice, nova, sub, books):
    Seller.objects.update(downgrades_at_once=True)
    page = preview(alice, sub, quantity=1)
    assert "Starts today." in page.text
    assert "Credit to your account" in page.text
    assert confirm(alice, sub, page, quantity=1).status_code == 302
    nova.refresh_from_db()
    assert (nova.mrr, nova.balance) == (2900, page.context["shown"].change.credit_to_balance)
    assert nova.balance == 2 * 3567


def test_credit_that_a_bank_has_taken_is_not_promised(alice, nova, sub):
    Seller.objects.update(downgrades_at_once=True)
    paid = Payment.objects.create(
        customer=nova, invoice=nova.invoices.get(), amount=107_01, currency=nova.currency, key="k", status="succeeded"
    )  # fmt: skip
    Dispute.objects.create(
        customer=nova, payment=paid, provider_id="du_1", status="needs_response", amount=107_01, withdrawn=107_01,
        currency=nova.currency, fee_currency=nova.currency, opened_at=nova.now,
    )  # fmt: skip
    page = preview(alice, sub, quantity=1)
    assert "Taken back by your bank already" in page.text
    assert "Credit to your account" not in page.text
    assert "To pay today" not in page.text


def test_less_lowers_an_invoice_that_is_not_paid_and_says_so(alice, nova, sub):
    """What nobody has paid for is not money: the invoice asks for less."""
    Seller.objects.update(downgrades_at_once=True)
    Payment.objects.create(
        customer=nova, invoice=nova.invoices.get(), amount=1, currency=nova.currency, key="k", status="failed"
    )
    page = preview(alice, sub, quantity=1)
    assert "Off your unpaid invoice" in page.text
    assert "Credit to your account" not in page.text


def test_a_plan_says_what_it_costs_at_least(catalogue):
    plan = Plan.objects.get(code="pro")
    plan.prices.create(
        code="least", kind="minimum", model="flat", interval="month", billed="arrears", minimum=Decimal(500)
    )
    shown = wording.offer(plan, currency="USD", current=None)
    assert shown.prices[-1] == "at least $500.00 a month, usage included"
