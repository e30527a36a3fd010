"""S-10: web and jobs do all they do as a role that owns no table, and cannot take away what was written."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing import books, cards, correcting, drafting, ending, metering, refunding, retaining
from billing.models import Event, Invoice, InvoiceLine, RetentionRule
from config import doctor, roles
from tests.fixtures_role import ROLE


@pytest.fixture
def lived(clock, make_customer, subscribe, fake_stripe, advance):
    """lived() lets a customer buy, pay, use, be credited and leave; answers their subscription."""

    def live():
        customer = make_customer(clock, tax_exempt=True)
        cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="system")
        subscription = subscribe(customer)
        used = {"id": "e1", "customer": customer.pk, "event_name": "api_call", "properties": {"value": "5"}}
        metering.record(events=[used], livemode=False, now=clock.now)
        advance(clock, days=31)
        first, second = subscription.invoices.order_by("sequence")
        refunding.refund(payment=first.payments.get(), amount=10_00, now=clock.now, actor="system")
        correcting.credit(invoice=second, amount=5_00, reason="", now=clock.now, actor="system")
        for finish in (drafting.finalize, drafting.discard):
            line = drafting.NewLine(description="Work", unit_amount=Decimal(10), quantity=Decimal(2))
            draft = drafting.write(customer=customer, lines=[line], now=clock.now, actor="user:1")
            finish(invoice=draft, now=clock.now, actor="user:1")
        subscription.refresh_from_db()
        ending.cancel(subscription=subscription, now=clock.now, actor="system", effective="now")
        return subscription

    return live


def test_web_and_jobs_do_what_they_do(as_app, lived):
    with as_app():
        lived()
        assert books.check() == []
    assert Invoice.objects.filter(status="paid").exists()
    assert not Invoice.objects.filter(status="draft").exists()


def test_facts_that_are_old_enough_still_go(as_app, make_customer, subscribe, without_triggers):
    subscribe(make_customer())
    long_ago, now = timezone.now() - timedelta(days=400), timezone.now()
    with without_triggers():
        Event.objects.update(recorded_at=long_ago)
    RetentionRule.objects.update_or_create(kind="events", defaults={"days": 380})
    old = Event.objects.count()
    with as_app():
        assert [each.rows for each in retaining.apply(now=now, actor="system")] == [old]
    assert list(Event.objects.values_list("type", flat=True)) == ["retention.applied"]


def refused(statement, words):
    with pytest.raises(DatabaseError, match=words), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_nothing_that_was_written_goes_away(as_app, make_customer, subscribe):
    invoice = subscribe(make_customer()).invoices.get()
    with as_app():
        for table in roles.KEPT:
            refused(f"delete from {table}", "permission denied")
            refused(f"truncate {table} cascade", "permission denied")
        refused("alter table billing_event disable trigger all", "must be owner")
        refused("drop trigger invoice_frozen on billing_invoice", "must be owner")
        refused("set session_replication_role = replica", "permission denied")
        refused("delete from django_migrations", "permission denied")
        refused("create table mine ()", "permission denied")
        with connection.cursor() as cursor:  # these run as the owner, under the guards
            cursor.execute("select tandem_drop_draft(%s)", [invoice.pk.partition("_")[2]])
        refused(
            "select tandem_forget_facts(array(select number from billing_event))", "never changed or deleted"
        )
    assert InvoiceLine.objects.filter(invoice=invoice).exists()


def test_doctor_says_what_the_role_may_that_it_need_not(as_app, settings):
    settings.PRODUCTION = True
    assert doctor.role()[0] == "warn"
    with as_app():
        assert doctor.role() == ("ok", "deletes no papers and no facts")


def test_its_command_says_what_it_grants(as_app, capsys):
    call_command("app_role", ROLE, dry_run=True)
    assert 'revoke delete on "billing_invoice", "billing_invoiceline"' in capsys.readouterr().out
    with pytest.raises(CommandError, match="no role beside"):
        call_command("app_role", "nobody-of-that-name")


def test_every_table_that_a_guard_keeps_is_kept(db):
    """Whoever adds a guard against deleting sees to the role too."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select distinct tgrelid::regclass::text from pg_trigger where not tgisinternal and tgtype & 8 > 0"
            " and (tgname like '%kept' or tgname like '%frozen')"
        )
        guarded = {table for (table,) in cursor.fetchall()}
    assert guarded >= {"billing_invoice", "billing_event", "billing_posting"}
    assert guarded - set(roles.KEPT) == set()
