"""One of everything that the API has an address for."""

import logging

import pytest

from tests.fixtures_billing import NOON


@pytest.fixture
def things(sales_catalogue, make_customer, subscribe):
    """One of everything in the sandbox, by the names that addresses use."""
    from billing import correcting, customers, metering, webhooks_out
    from billing.models import Discount, Payment, PaymentMethod, Plan, SignOff, TestClock, UsageImport
    from checkout import sessions
    from sales import deals, leads, quoting, watching

    endpoint, _ = webhooks_out.create(url="https://8.8.8.8/", livemode=False, actor="system", now=NOON)
    customer = make_customer(external_id="acme")
    subscription = subscribe(customer)
    invoice = subscription.invoices.get()
    note = correcting.credit(invoice=invoice, amount=100, reason="Test", now=customer.now, actor="system")
    member = customers.add_member(customer=customer, email="a@acme.example", now=NOON, actor="system")
    card = PaymentMethod.objects.create(
        customer=customer, provider_id="pm_1", brand="visa", last4="4242", exp_month=1, exp_year=2030
    )
    payment = Payment.objects.create(
        customer=customer, invoice=invoice, amount=100, currency="USD", key="k", status="failed"
    )
    event = {"id": "used-1", "customer": "acme", "event_name": "api_call", "properties": {"value": 1}}
    metering.record(events=[event], livemode=False, now=customer.now)
    clock = TestClock.objects.create(now=NOON, series_code="none")
    session = sessions.start(
        plan="pro", interval="month", now=NOON, livemode=False, email="b@acme.example",
        success_url="", cancel_url="",
    )  # fmt: skip
    lead = leads.contact(
        name="A", email="c@acme.example", company="Acme", now=NOON, actor="system", livemode=False
    )
    signal = watching.report(customer=customer, rule="engagement", occurred_at=NOON, now=NOON, actor="system")
    deal = deals.open_deal(name="Acme", customer=customer, now=NOON)
    quote = quoting.draft(
        plan=Plan.objects.get(code="pro"), customer=customer, now=NOON, actor="system", quantity=3
    )
    sign_off = SignOff.objects.create(
        kind="write_off", customer=customer, invoice=invoice, amount=100, currency="USD", asked_by="key:tk_test_abc",
        asked_at=NOON,
    )  # fmt: skip
    return {
        "sign_off": sign_off.pk, "customer": customer.pk, "member": member.pk, "payment_method": card.pk, "plan": "pro",
        "meter": "api_calls", "discount": Discount.objects.create(percent_off=5).pk,
        "subscription": subscription.pk, "change": "none", "credit_note": note.pk,
        "key": "used-1", "invoice": invoice.pk, "payment": payment.pk,
        "usage_import": UsageImport.objects.create(format="csv", content=b"", lines=0, actor="system").pk,
        "event": customer.events.first().public_id, "clock": clock.pk, "session": session.pk, "lead": lead.pk,
        "signal": signal.pk, "task": lead.handoff_tasks.get().pk, "deal": deal.pk, "quote": quote.pk,
        "figure": "mrr", "endpoint": endpoint.pk, "delivery": endpoint.deliveries.first().pk,
    }  # fmt: skip


@pytest.fixture
def lines():
    """Every line of the log, of whatever level."""
    kept, root = [], logging.getLogger()

    class Kept(logging.Handler):
        def emit(self, record):
            kept.append((record.name, self.format(record)))

    handler, level = Kept(), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)
