"""The provider's list against ours: what differs is told, and nothing is changed."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing import cards, collecting, tallying
from billing.models import Mail, Payment, Seller
from billing.templatetags.tandem import money
from config import schedules

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(make_customer, subscribe, fake_stripe):
    """Two payments by card that both sides know."""

    def pay():
        customer = make_customer()
        cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
        invoice = subscribe(customer).invoices.get()
        return collecting.attempt(invoice=invoice, now=timezone.now(), actor="system")

    return [pay(), pay()]


def told():
    now = timezone.now()
    found = tallying.differences(since=now - timedelta(days=1), until=now)
    return [(one.words, one.key, one.amount) for one in found]


def test_both_sides_agree(paid):
    assert told() == []


def test_a_charge_that_a_restore_has_forgotten_is_told(paid, without_triggers):
    lost = paid[0]
    with without_triggers():
        Payment.objects.filter(pk=lost.pk).update(status="failed", provider_id=None)
    assert told() == [("charged, not recorded", lost.key, lost.amount)]


def test_a_charge_that_was_never_made_or_made_otherwise_is_told(paid, without_triggers):
    first, second = paid
    with without_triggers():
        Payment.objects.filter(pk=first.pk).update(provider_id="pi_nowhere")
        Payment.objects.filter(pk=second.pk).update(amount=1)
    assert sorted(told()) == [
        ("charged, not recorded", first.key, first.amount),
        (f"charged, recorded as 1 {second.currency}", second.key, second.amount),
        ("recorded, not charged", first.key, first.amount),
    ]


def test_an_attempt_without_an_answer_is_left_to_who_asks(paid, make_customer, subscribe, fake_stripe):
    customer = make_customer()
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    invoice = subscribe(customer).invoices.get()
    assert collecting.attempt(invoice=invoice, now=timezone.now(), actor="system").status == "unknown"
    assert told() == []


def test_the_command_says_so_and_refuses_what_is_no_time(paid, without_triggers):
    said = StringIO()
    call_command("compare_charges", since="2026-01-01T00:00Z", stdout=said)
    assert "No differences since 2026-01-01 00:00 UTC" in said.getvalue()
    with without_triggers():
        Payment.objects.filter(pk=paid[0].pk).update(status="failed", provider_id=None)
    with pytest.raises(SystemExit):
        call_command("compare_charges", since="2026-01-01T00:00Z", stderr=said)
    assert paid[0].key in said.getvalue()
    for wrong in ("yesterday", "2026-01-31T03:00", "2026-02-31T03:00Z"):
        with pytest.raises(CommandError, match="a time with an offset"):
            call_command("compare_charges", since=wrong)


def test_every_night_the_seller_hears_once_of_what_differs(paid, without_triggers):
    now = timezone.now()
    tomorrow = now + timedelta(days=1)
    assert tallying.watch(now=tomorrow) == 0
    with without_triggers():
        Payment.objects.filter(pk=paid[0].pk).update(status="failed", provider_id=None)
    assert tallying.watch(now=now) == 0  # too fresh to say
    assert [tallying.watch(now=tomorrow), tallying.watch(now=tomorrow)] == [1, 1]
    told = Mail.objects.get(template="charges_differ")
    assert told.recipient == Seller.objects.get().email
    assert f"charged, not recorded: {money(paid[0].amount, paid[0].currency)}" in told.text
    assert paid[0].key in told.text
    assert tallying.watch(now=now + timedelta(days=6)) == 0


def test_the_night_has_a_job_for_it():
    assert "billing.tasks.compare_charges" in {job.function for job in schedules.JOBS if job.at}
