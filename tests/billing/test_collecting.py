"""Getting paid twice at once: a transfer arrives while a card attempt has no answer yet."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import cards, collecting, drafting, tasks
from billing.gateway import GatewayMisuse, Outcome
from billing.models import Event, Invoice, Mail, Payment

pytestmark = pytest.mark.usefixtures("fake_stripe")
REAL = datetime.now(UTC)


@pytest.fixture
def invoice(make_customer, subscribe):
    """Open, of a customer with a card; its first attempt has no answer."""
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    return subscribe(customer).invoices.get()


def transfer(invoice):
    given = {"paid_at": invoice.issued_at, "now": invoice.issued_at, "actor": "system", "reference": "T-1"}
    return collecting.record_transfer(invoice=invoice, amount=invoice.amount_due, **given)


def attempt(invoice):
    return collecting.attempt(invoice=invoice, now=invoice.issued_at, actor="system")


def settle(later=timedelta(0)):
    collecting.reconcile(now=datetime.now(UTC) + later, older_than=timedelta(0))


def test_a_transfer_is_booked_while_a_card_has_no_answer(invoice, fake_stripe, books):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    assert attempt(invoice).status == "unknown"
    transfer(invoice)
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    settle()
    invoice.customer.refresh_from_db()
    assert invoice.payments.get(method="card").status == "succeeded"
    assert invoice.customer.balance == invoice.total


def test_a_card_is_not_charged_for_what_was_paid_meanwhile(invoice, fake_stripe, books):
    fake_stripe.faults.add("refused", path="/v1/payment_intents", times=1)
    assert attempt(invoice).status == "unknown"
    transfer(invoice)
    settle()
    assert invoice.payments.get(method="card").status == "unknown"
    settle(later=timedelta(minutes=11))
    assert invoice.payments.get(method="card").status == "canceled"
    assert fake_stripe.rows("charge") == []


def test_the_rest_is_charged_after_it_was_paid_in_part_meanwhile(invoice, fake_stripe, books):
    """The charge of the whole was never made; nothing else would ask for the rest."""
    fake_stripe.faults.add("refused", path="/v1/payment_intents", times=1)
    attempt(invoice)
    given = {"paid_at": invoice.issued_at, "now": invoice.issued_at, "actor": "system", "reference": "T-2"}
    collecting.record_transfer(invoice=invoice, amount=invoice.amount_due - 2000, **given)
    settle(later=timedelta(minutes=11))
    assert invoice.payments.get(method="card").status == "canceled"
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_due) == ("open", 2000)
    collecting.collect_due(now=invoice.next_attempt_at, clock=invoice.customer.test_clock)
    invoice.refresh_from_db()
    assert (invoice.status, [row["amount"] for row in fake_stripe.rows("charge")]) == ("paid", [2000])


def test_it_is_charged_for_what_is_still_due(invoice, fake_stripe, books):
    fake_stripe.faults.add("refused", path="/v1/payment_intents", times=1)
    attempt(invoice)
    settle()
    assert invoice.payments.get().status == "succeeded"
    assert len(fake_stripe.rows("charge")) == 1
    assert Payment.objects.count() == 1


def test_nobody_is_late_for_what_is_too_little_for_a_card(invoice, books):
    """Stripe takes no charge of less than 50 cents: no retry, no other card and no mail can change that."""
    given = {"paid_at": invoice.issued_at, "now": invoice.issued_at, "actor": "system", "reference": "T-2"}
    collecting.record_transfer(invoice=invoice, amount=invoice.amount_due - 16, **given)
    assert attempt(invoice).decline_code == "amount_too_small"
    invoice.refresh_from_db()
    assert (invoice.status, invoice.attempts, invoice.next_attempt_at) == ("open", 0, None)
    assert invoice.subscription.status == "active"
    assert not Mail.objects.filter(template="payment_failed").exists()


@pytest.fixture
def left_over(invoice):
    """16 cents are left of an invoice by card, which said that this is too little."""
    given = {"paid_at": invoice.issued_at, "now": invoice.issued_at, "actor": "system", "reference": "T-2"}
    collecting.record_transfer(invoice=invoice, amount=invoice.amount_due - 16, **given)
    attempt(invoice)
    return invoice


@pytest.fixture
def one_off(left_over):
    """one_off("5.00") -> another open invoice of the same customer, by card."""
    given = {"now": left_over.issued_at, "actor": "system", "collection_method": "charge_automatically"}

    def make(amount):
        lines = [drafting.NewLine("Work", Decimal(amount))]
        draft = drafting.write(customer=left_over.customer, lines=lines, **given)
        return drafting.finalize(invoice=draft, now=left_over.issued_at, actor="system")

    return make


def test_the_next_charge_takes_along_what_was_too_little_for_one(left_over, one_off, fake_stripe, books):
    other = one_off("5.00")
    assert collecting.collect_due(now=left_over.issued_at) == 1
    assert [row["amount"] for row in fake_stripe.rows("charge") if row["paid"]] == [other.total + 16]
    for paper in (left_over, other):
        paper.refresh_from_db()
        assert (paper.status, paper.amount_due) == ("paid", 0)
    left_over.customer.refresh_from_db()
    assert left_over.customer.balance == 0
    assert left_over.payments.get(method="balance").amount == 16
    entries = left_over.customer.balance_entries.order_by("at", "pk").values_list("amount", "reason")
    assert set(entries) == {(16, f"Charged with {other.number}"), (-16, f"Used for {left_over.number}")}


def test_what_is_little_adds_up_until_a_card_can_be_charged(left_over, one_off, fake_stripe, books):
    small = [one_off("0.17"), one_off("0.18")]
    for paper in small:
        collecting.attempt(invoice=paper, now=paper.issued_at, actor="system", carry=True)
    charged = [row["amount"] for row in fake_stripe.rows("charge") if row["paid"]]
    assert charged == [16 + small[0].total + small[1].total]
    assert {paper.status for paper in Invoice.objects.all()} == {"paid"}


def test_who_pays_an_invoice_pays_what_it_shows(left_over, one_off, fake_stripe, books):
    other = one_off("5.00")
    assert attempt(other).amount == other.total
    left_over.refresh_from_db()
    assert left_over.status == "open"


def test_a_lost_answer_about_both_is_found(left_over, one_off, fake_stripe, books):
    other = one_off("5.00")
    fake_stripe.faults.add("refused", path="/v1/payment_intents", times=1)
    assert collecting.collect_due(now=left_over.issued_at) == 1
    settle()
    assert len([row for row in fake_stripe.rows("charge") if row["paid"]]) == 1
    assert {paper.status for paper in Invoice.objects.all()} == {"paid"}
    assert other.payments.get().amount == other.total + 16


def test_what_was_paid_while_it_was_charged_becomes_credit(left_over, one_off, fake_stripe, books):
    other = one_off("5.00")
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    collecting.collect_due(now=left_over.issued_at)
    left_over.refresh_from_db()
    transfer(left_over)
    settle()
    other.refresh_from_db()
    left_over.customer.refresh_from_db()
    assert (other.status, left_over.customer.balance) == ("paid", 16)


def test_a_person_is_told_once_of_what_has_no_answer_for_a_day(invoice, fake_stripe, settings):
    fake_stripe.faults.add("unavailable", method="", path="/v1/payment_intents")
    assert attempt(invoice).status == "unknown"
    settle(later=timedelta(hours=20))
    assert not Mail.objects.filter(template="payment_unknown").exists()
    for _ in range(2):
        settle(later=timedelta(hours=22))
        Payment.objects.update(recorded_at=datetime.now(UTC) - timedelta(hours=3))
        settle(later=timedelta(hours=22))
    told = Mail.objects.get(template="payment_unknown")
    assert invoice.number in told.text
    fact = Event.objects.get(type="payment.unanswered")
    assert (fact.customer_id, fact.data["invoice"]) == (invoice.customer_id, invoice.pk)


def test_one_that_the_provider_chokes_on_holds_up_no_other(invoice, fake_stripe, monkeypatch):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    payment = attempt(invoice)
    real, asked = collecting._settle_unknown, []

    def choke(one, now):
        asked.append(one.pk)
        if len(asked) == 1:
            raise GatewayMisuse("no such key")
        return real(one, now)

    monkeypatch.setattr(collecting, "_settle_unknown", choke)
    settle()
    settle()
    payment.refresh_from_db()
    assert payment.status == "succeeded"


def test_an_answer_that_comes_too_late_changes_nothing(invoice, books):
    payment = attempt(invoice)
    assert payment.status == "succeeded"
    for before, late in [("failed", "requires_action"), ("canceled", "failed"), ("failed", "unknown")]:
        other = Payment.objects.create(
            customer=invoice.customer, invoice=invoice, amount=1, currency="USD", key=f"{before}-{late}", status=before
        )  # fmt: skip
        said = {"payment_id": other.pk, "now": invoice.issued_at, "actor": "provider"}
        assert collecting.apply(outcome=Outcome(late), **said).status == before


@pytest.fixture
def in_dinars(make_customer):
    """Open by card, with a last digit that no card can carry."""
    customer = make_customer(currency="KWD", country="KW")
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    given = {"now": customer.now, "actor": "system", "collection_method": "charge_automatically"}
    lines = [drafting.NewLine("Work", Decimal("5.124"))]
    draft = drafting.write(customer=customer, lines=lines, **given)
    return drafting.finalize(invoice=draft, now=customer.now, actor="system")


def test_what_no_card_can_carry_is_said_and_holds_up_nobody(in_dinars, invoice, fake_stripe, books):
    assert collecting.collect_due(now=invoice.issued_at) == 2
    settle(later=timedelta(hours=1))
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    failed = in_dinars.payments.get()
    assert (failed.status, failed.decline_code) == ("failed", "amount_unchargeable")
    assert "bank transfer" in Mail.objects.get(template="payment_failed").text


def test_one_that_the_provider_refuses_to_try_holds_up_no_other(in_dinars, invoice, monkeypatch, books):
    real = collecting.call

    def choke(payment, **more):
        if payment.currency == "KWD":
            raise GatewayMisuse("no such customer")
        return real(payment, **more)

    monkeypatch.setattr(collecting, "call", choke)
    assert collecting.collect_due(now=invoice.issued_at) == 1
    invoice.refresh_from_db()
    assert (invoice.status, in_dinars.payments.get().status) == ("paid", "new")


def test_a_sandbox_takes_no_real_money(invoice, fake_stripe, settings, books):
    settings.STRIPE_LIVE_MODE = True
    tried = attempt(invoice)
    assert (tried.status, tried.decline_code) == ("failed", "sandbox_on_live")
    assert fake_stripe.rows("payment_intent") == []


def test_a_live_debt_is_not_paid_by_a_test_account(card_gateway, fake_stripe, settings):
    asked = {"key": "k", "customer": "cus_1", "payment_method": "pm_card_visa"}
    charged = card_gateway.charge(**asked, amount=500, currency="EUR", reference="pay_1", livemode=True)
    saved = card_gateway.setup(**asked, livemode=True)
    assert (
        (charged.state, charged.decline_code)
        == (saved.state, saved.decline_code)
        == ("failed", "live_on_test")
    )
    assert "Nothing was charged" in charged.message == saved.message
    assert fake_stripe.rows("payment_intent") == fake_stripe.rows("setup_intent") == []


def test_what_follows_new_invoices_goes_on_in_shifts_until_nothing_is_left(
    invoice, clock, make_customer, subscribe, monkeypatch, books
):
    terms = {"collection_method": "send_invoice", "payment_rule_override": "agreed"}
    for _ in range(2):
        subscribe(make_customer(clock), **terms)
    called = []
    monkeypatch.setattr(tasks, "SHIFT", timedelta(0))
    monkeypatch.setattr(tasks, "async_task", lambda *job: called.append(job))
    unsent = Invoice.objects.filter(collection_method="send_invoice", sent_at__isnull=True)
    left = []
    for _ in range(3):
        tasks.after_issue(clock.pk)
        left.append(unsent.count())
    assert (left, called) == ([1, 0, 0], [("billing.tasks.after_issue", clock.pk)] * 2)
    assert [tasks.collect_due(), tasks.collect_due()] == [1, 0]
    assert called[2:] == [("billing.tasks.collect_due",)]


def test_more_than_one_call_takes_go_on_too(clock, make_customer, subscribe, monkeypatch):
    subscribe(make_customer(clock), collection_method="send_invoice", payment_rule_override="agreed")
    called = []
    monkeypatch.setattr(collecting, "AT_ONCE", 1)
    monkeypatch.setattr(tasks, "async_task", lambda *job: called.append(job))
    tasks.after_issue(clock.pk)
    tasks.after_issue(clock.pk)
    assert called == [("billing.tasks.after_issue", clock.pk)]
