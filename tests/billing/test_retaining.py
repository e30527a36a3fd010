"""What is past its time goes, when somebody has set one; what the law keeps cannot be let go earlier."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from billing import printing, retaining
from billing.models import Document, Event, Invoice, Mail, PaperRemoved, ProviderEvent, RetentionRule, User
from billing.removing import removing
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/billing/retentionrule/"


@pytest.fixture
def now(catalogue):
    retaining_rows = [RetentionRule(kind=kind) for kind in retaining.KINDS]
    RetentionRule.objects.bulk_create(retaining_rows, ignore_conflicts=True)
    return timezone.now()


def keep(kind, days):
    RetentionRule.objects.filter(kind=kind).update(days=days)


def aged(model, days, **columns):
    """The rows as if they had been written so many days earlier: guards are asleep meanwhile, as for a restore."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        for column in columns.get("of", ()):
            cursor.execute(f"update \"{table}\" set {column} = {column} - interval '{int(days)} days'")
        cursor.execute("set local session_replication_role = origin")


@pytest.fixture
def invoice(make_customer, subscribe, now):
    invoice = subscribe(make_customer(tax_exempt=True)).invoices.get()
    printing.print_invoice(invoice.pk)
    Invoice.objects.update(status="uncollectible", next_attempt_at=None)
    return invoice


def test_nothing_goes_without_a_setting(invoice, now):
    aged(Document, 5000, of=["created_at"])
    aged(Event, 5000, of=["recorded_at"])
    assert retaining.due(now=now) == []
    assert retaining.apply(now=now, actor="system") == []
    assert Document.objects.get().read()


@pytest.mark.parametrize(("kind", "days"), [("papers", 3652), ("events", 30), ("mails", 1)])
def test_a_time_that_is_too_short_is_refused_in_words(now, kind, days):
    with pytest.raises(retaining.TooShort, match="At least"):
        retaining.check(kind, days)
    keep(kind, days)
    with pytest.raises(retaining.TooShort):
        retaining.apply(now=now, actor="system")


def test_papers_go_after_their_time_and_numbers_stay(invoice, now):
    keep("papers", retaining.TEN_YEARS)
    aged(Document, retaining.TEN_YEARS - 1, of=["created_at"])
    aged(Invoice, retaining.TEN_YEARS - 1, of=["issued_at"])
    assert [each.rows for each in retaining.due(now=now)] == [0]
    aged(Document, 2, of=["created_at"])
    aged(Invoice, 2, of=["issued_at"])
    assert [each.rows for each in retaining.due(now=now)] == [2]
    assert [each.rows for each in retaining.apply(now=now, actor="system")] == [2]
    with pytest.raises(PaperRemoved):
        printing.print_invoice(invoice.pk).read()
    after = Invoice.objects.get()
    assert (after.number, after.total, after.bill_to) == (invoice.number, invoice.total, retaining.NOBODY)
    assert Document.objects.get().sha256
    assert retaining.apply(now=now, actor="system") == []


def test_the_database_keeps_papers_ten_years_whatever_is_asked(invoice, now):
    with pytest.raises(IntegrityError), removing("retention"):
        Document.objects.update(content=b"")
    with pytest.raises(IntegrityError), removing("retention"):
        Invoice.objects.update(bill_to=retaining.NOBODY)
    with pytest.raises(IntegrityError), removing("retention"):
        Event.objects.all().delete()
    aged(Document, retaining.TEN_YEARS, of=["created_at"])
    with pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.update(content=b"")
    with pytest.raises(IntegrityError), removing("erasure"):
        Document.objects.update(content=b"")


def test_an_old_invoice_that_still_asks_for_money_keeps_its_paper(invoice, now):
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute("update billing_invoice set status = 'open'")
        cursor.execute("set local session_replication_role = origin")
    keep("papers", retaining.TEN_YEARS)
    aged(Document, 5000, of=["created_at"])
    aged(Invoice, 5000, of=["issued_at"])
    assert retaining.apply(now=now, actor="system") == []


def test_old_rows_go_and_young_ones_stay(now, make_customer):
    customer = make_customer()
    for days in (100, 10):
        at = now - timedelta(days=days)
        ProviderEvent.objects.create(provider_id=f"evt_{days}", type="x", payload={}, applied_at=at)
        Mail.objects.create(
            event=f"e{days}", template="t", recipient="a@b.example", customer=customer, subject="s", text="t",
            html="h", created_at=at, sent_at=at,
        )  # fmt: skip
    ProviderEvent.objects.create(provider_id="evt_waits", type="x", payload={})
    keep("provider_events", 30)
    keep("mails", 90)
    assert {each.kind: each.rows for each in retaining.apply(now=now, actor="user:1")} == {
        "mails": 1,
        "provider_events": 1,
    }
    assert set(ProviderEvent.objects.values_list("provider_id", flat=True)) == {"evt_10", "evt_waits"}
    assert Mail.objects.get().event == "e10"
    fact = Event.objects.get(type="retention.applied", object_id="ret_mails")
    assert (fact.actor, fact.data["rows"]) == ("user:1", 1)


def test_facts_and_log_entries_go_after_a_year_and_the_books_hold(make_customer, subscribe, now, books):
    subscribe(make_customer(tax_exempt=True))
    before = Event.objects.count()
    user = User.objects.create_user("sam@seller.example", is_staff=True)
    LogEntry.objects.create(user=user, object_repr="x", action_flag=CHANGE)
    aged(Event, 400, of=["recorded_at"])
    aged(LogEntry, 400, of=["action_time"])
    aged(Invoice, 400, of=["created_at"])
    keep("events", 380)
    keep("log_entries", 380)
    done = {each.kind: each.rows for each in retaining.apply(now=now, actor="system")}
    assert done == {"events": before, "log_entries": 1}
    assert set(Event.objects.values_list("type", flat=True)) == {"retention.applied"}


def test_its_command_says_first_and_does_it_when_asked(now):
    ProviderEvent.objects.create(
        provider_id="evt_1", type="x", payload={}, applied_at=now - timedelta(days=60)
    )
    keep("provider_events", 30)
    out = StringIO()
    call_command("retain", stdout=out)
    assert "1  provider_events" in out.getvalue()
    assert "nothing was removed" in out.getvalue()
    assert ProviderEvent.objects.exists()
    call_command("retain", "--yes", "--reason", "The yearly clearing out", stdout=out)
    assert not ProviderEvent.objects.exists()
    keep("papers", 10)
    with pytest.raises(CommandError, match="At least 3654 days"):
        call_command("retain")


def test_its_list_says_what_would_go_and_refuses_what_is_too_short(now):
    browser = signed_in("view_retentionrule", "change_retentionrule")
    ProviderEvent.objects.create(
        provider_id="evt_1", type="x", payload={}, applied_at=now - timedelta(days=60)
    )
    keep("provider_events", 30)
    assert "What Stripe told" in browser.get(LIST).text
    rows = list(RetentionRule.objects.order_by("kind"))
    form = {"form-TOTAL_FORMS": len(rows), "form-INITIAL_FORMS": len(rows), "_save": "Save"}
    for n, row in enumerate(rows):
        form |= {
            f"form-{n}-kind": row.kind,
            f"form-{n}-days": "30" if row.kind == "papers" else row.days or "",
        }
        form[f"initial-form-{n}-days"] = row.days or ""
    page = browser.post(LIST, form)
    assert "At least 3654 days" in page.text
    assert RetentionRule.objects.get(kind="papers").days is None
    assert signed_in("view_retentionrule").post(LIST, form).status_code in (200, 403)
    assert RetentionRule.objects.get(kind="papers").days is None
