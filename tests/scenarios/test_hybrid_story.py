"""The hybrid story, whole, through the real doors on a test clock: a buyer checks out by card, uses the product, is
noticed by sales, accepts a quote and is converted to invoice billing at renewal. Every stop asserts cents."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core import mail as outbox
from django.test import Client

from billing import books, keys, running
from billing.models import (
    Customer,
    Event,
    Invoice,
    KeptMail,
    Mail,
    Member,
    Payment,
    Plan,
    Subscription,
    TestClock,
    User,
)
from billing.numbering import open_series
from checkout import catalogue as checkout_catalogue
from checkout.models import CheckoutSession
from sales import catalogue as sales_catalogue
from sales import metrics
from sales.models import HandoffTask, Lead, Quote, Signal

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 15, 10, 5, tzinfo=UTC)
BUYER = {
    "interval": "month", "quantity": "3", "name": "Ada Noor", "email": "ada@harbourworks.example",
    "company": "Harbour Works", "employees": "42", "country": "IE", "line1": "7 Merrion Row", "line2": "",
    "postal_code": "D02 KW86", "city": "Dublin", "state": "", "tax_id": "", "promotion_code": "",
    "timezone": "Europe/Dublin", "payment_method": "pm_card_visa", "terms": "on", "action": "pay",
}  # fmt: skip


class Story:
    """Who takes part, and the moves that several stops need."""

    def __init__(self, run_jobs):
        self.run_jobs = run_jobs
        open_series("story", "ST-")
        self.clock = TestClock.objects.create(name="story", now=START, series_code="story")
        self.rep = self._staff("riley@lumen.example", "Riley Okafor", sales_catalogue.REPS)
        self.finance = self._staff("fionn@lumen.example", "Fionn Byrne", sales_catalogue.FINANCE)
        self.buyer, self.member = Client(), Client()

    def _staff(self, email, name, group):
        user = User.objects.create_user(email, "correct horse battery", name=name, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        return user

    def desk(self, user):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def advance(self, to):
        self.clock.refresh_from_db()
        running.advance(clock=self.clock, to=to, actor="system")
        self.run_jobs()

    @property
    def customer(self):
        return Customer.objects.get(email=BUYER["email"])

    @property
    def subscription(self):
        return Subscription.objects.get(customer=self.customer)


@pytest.fixture
def story(catalogue, fake_stripe, run_jobs):
    sales_catalogue.ship(now=START)
    checkout_catalogue.ship(now=START)
    return Story(run_jobs)


def typed(page):
    """What the builder's form holds, as a browser would send it back."""
    form = page.context["form"]
    values = {field.html_name: field.value() for field in form}
    return {name: value for name, value in values.items() if value not in (None, False, "")}


def check_out(story):
    """1. The pricing page, the checkout page, the card, the receipt."""
    page = story.buyer.get("/pricing/").content.decode()
    assert "Pro" in page
    assert "Contact sales" in page or "Talk to sales" in page
    answer = story.buyer.post(
        "/checkout/start/", {"plan": "pro", "interval": "month", "quantity": "3", "currency": "EUR"}
    )
    assert answer.status_code == 302
    session = CheckoutSession.objects.get()
    CheckoutSession.objects.filter(pk=session.pk).update(
        test_clock=story.clock, created_at=START, expires_at=START + timedelta(hours=24)
    )
    answer = story.buyer.post(answer["Location"], BUYER)
    assert answer.status_code == 302, answer.content.decode()[:3000]
    receipt = story.buyer.get(f"/checkout/{session.token}/receipt/").content.decode()
    assert "107.01" in receipt
    story.run_jobs()
    invoice = Invoice.objects.get()
    assert (invoice.number, invoice.status) == ("ST-000001", "paid")
    assert (invoice.subtotal, invoice.tax_total, invoice.total) == (87_00, 20_01, 107_01)
    assert (invoice.motion, invoice.collection_method) == ("self_serve", "charge_automatically")
    payment = Payment.objects.get()
    assert (payment.status, payment.amount, payment.invoice_id) == ("succeeded", 107_01, invoice.pk)
    assert Mail.objects.filter(template="receipt", recipient=BUYER["email"], invoice=invoice).exists()


def use_the_portal(story):
    """2. Sign in by the mailed code; look; invite five people."""
    KeptMail.objects.all().delete()
    outbox.outbox = []
    story.member.post("/accounts/login/code/", {"email": BUYER["email"]})
    text = " ".join([m.body for m in outbox.outbox] + [k.text for k in KeptMail.objects.all()])
    code = re.search(r"(?<![\w-])(\d{4}[ -]?\d{4})(?![\w-])", text).group(1)
    answer = story.member.post("/accounts/login/code/confirm/", {"code": code})
    assert answer.status_code == 302
    home = story.member.get("/portal/").content.decode()
    assert "Pro" in home
    assert "107.01" in home  # the next charge is as the first
    for address in ("usage/", "invoices/", "team/", "plan/", "payment/"):
        assert story.member.get(f"/portal/{address}").status_code == 200
    invoice = Invoice.objects.get()
    pdf = story.member.get(f"/portal/invoices/{invoice.pk}/pdf/")
    assert pdf.status_code == 200
    body = b"".join(pdf.streaming_content) if pdf.streaming else pdf.content
    assert body.startswith(b"%PDF")
    for n in range(5):
        answer = story.member.post(
            "/portal/team/",
            {"email": f"person{n}@harbourworks.example", "name": f"Person {n}", "role": "viewer"},
        )
        assert answer.status_code == 302, answer.content.decode()[:2000]
    assert Member.objects.filter(customer=story.customer).count() == 6
    story.run_jobs()


def use_the_product(story):
    """3. Usage through the API; past 80 % a signal, five members a signal; one task."""
    _, secret = keys.issue(name="product", scopes=["usage", "read"], livemode=False, now=START)
    api = {"HTTP_AUTHORIZATION": f"Bearer {secret}", "content_type": "application/json"}
    story.advance(START + timedelta(days=12))
    batch = {
        "events": [
            {"id": f"use-{n}", "customer": story.customer.pk, "event_name": "api_call",
             "timestamp": (START + timedelta(days=n)).isoformat(), "properties": {"value": "4001"}}
            for n in range(1, 11)
        ]
    }  # fmt: skip
    for accepted, duplicates in ((10, 0), (0, 10)):
        answer = story.buyer.post("/api/v1/usage_events", json.dumps(batch), **api)
        assert answer.status_code == 202, answer.content
        assert (answer.json()["accepted"], answer.json()["duplicates"]) == (accepted, duplicates)
    story.run_jobs()
    assert Event.objects.filter(type="usage.threshold_reached").count() == 1
    codes = set(Signal.objects.filter(customer=story.customer).values_list("rule__code", flat=True))
    assert len(codes) == 2, codes
    task = HandoffTask.objects.get(customer=story.customer)
    assert task.signals.count() == 2
    assert task.owner is not None
    assert Mail.objects.filter(template="handoff_task", recipient=task.owner.email).count() == 1


def make_the_quote(story):
    """4. The rep opens the task, quotes from the live subscription, sends the link."""
    task = HandoffTask.objects.get()
    desk = story.desk(task.owner)
    page = desk.get(f"/admin/sales/handofftask/{task.pk}/change/")
    assert page.status_code == 200
    assert "Harbour Works" in page.content.decode()
    assert desk.get(f"/admin/billing/customer/{story.customer.pk}/change/").status_code == 200
    desk.post(f"/admin/sales/handofftask/{task.pk}/change/", {"action": "accept"})
    answer = desk.post(f"/admin/sales/handofftask/{task.pk}/change/", {"action": "quote"})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    quote = Quote.objects.get()
    builder = f"/admin/sales/quote/{quote.pk}/change/"
    assert answer["Location"] == builder
    terms = {
        "plan": Plan.objects.get(code="enterprise").pk, "interval": "year", "quantity": "50", "discount_percent": "15",
        "term_months": "24", "net_days": "30", "seats_2": "70", "starts": "period_end",
    }  # fmt: skip
    answer = desk.post(builder, {**typed(desk.get(builder)), **terms, "action": "edit"})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert "42,075.00" in desk.get(builder).content.decode()
    answer = desk.post(builder, {**typed(desk.get(builder)), "action": "send"})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    quote.refresh_from_db()
    assert quote.state == "sent"
    # 50 seats of 990.00 a year less 15 %, then 70 seats; 23 % VAT on each invoice.
    assert (quote.arr, quote.tcv) == (42_075_00, 42_075_00 + 58_905_00)
    assert [(row["date"], row["amount"], row["tax"]) for row in quote.schedule] == [
        ("2026-02-15", 42_075_00, 9_677_25),
        ("2027-02-15", 58_905_00, 13_548_15),
    ]
    story.run_jobs()
    assert Mail.objects.filter(template="quote_sent", recipient=BUYER["email"]).count() == 1
    # While the quote is open the next invoice is what it was.
    from billing import invoicing

    assert invoicing.upcoming(subscription=story.subscription, now=story.clock.now).result.total == 107_01
    return quote


def sign(story, quote):
    """5. The buyer reads and signs; a second time is answered plainly and changes nothing."""
    address = f"/quotes/{quote.token}/"
    page = story.buyer.get(address)
    assert page.status_code == 200
    assert "42,075.00" in page.content.decode()
    signature = {
        "name": "Ada Noor", "title": "COO", "email": BUYER["email"], "po_number": "PO-77", "signature": "Ada Noor",
        "agreed": "on", "version": str(quote.version),
    }  # fmt: skip
    incomplete = story.buyer.post(f"{address}accept/", {**signature, "title": "", "agreed": ""})
    assert incomplete.status_code == 422
    assert "PO-77" in incomplete.content.decode()
    assert story.buyer.post(f"{address}accept/", signature).status_code == 302
    assert story.buyer.post(f"{address}accept/", signature).status_code == 409
    quote.refresh_from_db()
    assert (quote.state, quote.accepted_name, quote.starts_on) == ("accepted", "Ada Noor", date(2026, 2, 15))
    assert quote.accepted_sha256 == quote.document.sha256
    assert bytes(quote.signed_document.content).startswith(b"%PDF")
    assert "Ada Noor" in story.buyer.get(address).content.decode()
    assert Invoice.objects.count() == 1
    story.run_jobs()


def convert(story, quote):
    """6. The old terms run to the end of what was paid; then one invoice, Net 30, and its transfer."""
    old_end = datetime(2026, 2, 14, 23, 0, tzinfo=UTC)
    story.advance(old_end)
    assert Invoice.objects.count() == 1
    assert story.subscription.phases.filter(plan__code="enterprise").exists()
    story.advance(START + timedelta(days=33))
    quote.refresh_from_db()
    assert quote.state == "converted"
    first, second = Invoice.objects.order_by("sequence")
    assert (first.period_start, first.period_end) == (date(2026, 1, 15), date(2026, 2, 15))
    assert (second.status, second.collection_method, second.motion) == ("open", "send_invoice", "sales_led")
    assert (second.subtotal - second.discount_total, second.tax_total, second.total) == (
        42_075_00,
        9_677_25,
        51_752_25,
    )
    assert (second.due_on - second.issued_on).days == 30
    assert (second.period_start, second.po_number) == (date(2026, 2, 15), "PO-77")
    assert story.customer.collection_method == "send_invoice"
    assert Payment.objects.count() == 1
    assert Mail.objects.filter(template="invoice", invoice=second).count() == 1
    story.advance(START + timedelta(days=50))
    desk = story.desk(story.finance)
    answer = desk.post(
        f"/admin/billing/invoice/{second.pk}/change/",
        {"action": "transfer", "amount": "51752.25", "paid_on": "2026-03-05", "reference": "SEPA 4711"},
    )
    assert answer.status_code == 302, answer.content.decode()[:3000]
    second.refresh_from_db()
    assert (second.status, second.amount_due) == ("paid", 0)


def measure(story):
    """7. The five figures, and they agree with the invoices."""
    scope = {"start": START, "end": START + timedelta(days=60), "currency": "EUR"}
    found = metrics.hybrid(**scope)
    assert (found.revenue.self_serve, found.revenue.sales_led) == (87_00, 42_075_00)
    assert found.revenue.total == sum(i.subtotal - i.discount_total for i in Invoice.objects.all())
    assert found.revenue.self_serve_share == Decimal("0.21")
    assert found.revenue.sales_assisted_share == Decimal("99.79")
    assert (found.conversion.began, found.conversion.converted) == (1, 1)
    later = metrics.hybrid(**{**scope, "start": START + timedelta(days=20)})
    assert later.expansion.rows == (("sales_led", "plan", 3506_25 - 87_00),)
    page = story.desk(story.rep).get("/admin/metrics/?from=2026-01-01&to=2026-04-01&currency=EUR")
    assert page.status_code == 200
    assert "99.79" in page.content.decode()
    assert [f"{b.id} {b.words}: {b.found}" for b in books.check()] == []
    year = START + timedelta(days=400)
    story.advance(year)
    third = Invoice.objects.order_by("sequence").last()
    assert (third.subtotal - third.discount_total, third.period_start) == (58_905_00, date(2027, 2, 15))
    assert [f"{b.id} {b.words}: {b.found}" for b in books.check()] == []


def test_it_runs_from_the_pricing_page_to_the_paid_invoice(story):
    check_out(story)
    use_the_portal(story)
    use_the_product(story)
    quote = make_the_quote(story)
    sign(story, quote)
    convert(story, quote)
    measure(story)


def test_it_sends_a_big_company_to_sales_and_loses_nothing_that_was_typed(story):
    answer = story.buyer.post(
        "/checkout/start/", {"plan": "pro", "interval": "month", "quantity": "3", "currency": "EUR"}
    )
    address = answer["Location"]
    answer = story.buyer.post(address, {**BUYER, "employees": "140"})
    story.run_jobs()
    page = story.buyer.get(address).content.decode()
    assert not Customer.objects.exists()
    assert not Payment.objects.exists()
    assert "Harbour Works" in page or "sales" in page.lower()
    lead = Lead.objects.get()
    assert (lead.company, lead.employees) == ("Harbour Works", 140)
    assert lead.owner is not None
    assert HandoffTask.objects.get(lead=lead).owner == lead.owner


def test_it_makes_a_lead_with_owner_and_task_from_contact_sales(story):
    answer = story.buyer.post(
        "/contact-sales/",
        {"plan": "enterprise", "name": "Iris Berg", "email": "iris@bigco.example", "company": "BigCo", "employees": "900",
         "country": "DE", "need": "Single sign-on", "demo_wanted": "on", "website": ""},
    )  # fmt: skip
    assert answer.status_code == 302, answer.content.decode()[:2000]
    story.run_jobs()
    lead = Lead.objects.get()
    assert (lead.plan_code, lead.demo_wanted, lead.owner) == ("enterprise", True, story.rep)
    assert Mail.objects.filter(template="lead_received", recipient="iris@bigco.example").count() == 1
    assert Mail.objects.filter(template="lead_owner", recipient=story.rep.email).count() == 1
    assert {t.owner for t in HandoffTask.objects.filter(lead=lead)} == {story.rep}
