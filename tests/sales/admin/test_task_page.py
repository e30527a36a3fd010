"""Tasks, signals, customers and the first page."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.events import TYPES
from billing.models import Customer, Invoice, Mail, Segment, Seller
from sales import leads, quoting, watching
from sales.admin.customers import KINDS, WORDS, events_of
from sales.models import HandoffTask, Quote, Signal, TargetDomain

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(on_pro, rita, run_jobs):
    customer = on_pro().customer
    leads.ask(customer=customer, about="demo", now=customer.now, actor="member:1", text="Show us roles")
    run_jobs()
    task = HandoffTask.objects.get(customer=customer)
    HandoffTask.objects.filter(pk=task.pk).update(owner=rita)
    return task


def test_it_says_who_why_and_what_to_do(browser, address, task):
    page = browser.get(address(task)).text
    assert task.customer.name in page
    assert "Demo requested" in page
    assert "Route to sales" in page


def test_a_personal_mail_is_drafted(browser, address, task):
    Customer.objects.filter(pk=task.customer.pk).update(name="Nova & Söhne")
    said = {"occurred_at": task.customer.now, "now": task.customer.now, "actor": "user:1"}
    watching.report(customer=task.customer, rule="team_growing", **said)
    page = browser.get(address(task)).text
    assert f"mailto:{task.customer.email}?subject=Your%20team%20is%20growing&amp;body=Hello" in page
    assert "Nova%20%26%20S%C3%B6hne%20has%20grown" in page
    assert page.count("Open the draft of the e-mail") == 1


def test_the_timeline_has_words_for_everything_that_happens():
    # drafts are told when they are issued, looks at features when a rule hears them; what is sold is no one customer's,
    # nor are endpoints and clocks
    nobodys = ("plan.", "meter.", "discount.", "tax_rate.", "webhook_endpoint.", "test_clock.")
    of_nobody = {type_ for type_ in TYPES if type_.startswith(nobodys)}
    assert TYPES - set(WORDS) == {"invoice.created", "feature.viewed"} | of_nobody
    assert not set(WORDS) - TYPES


@pytest.mark.parametrize("kind", [name for name, _, begins in KINDS if name and begins])
def test_each_tab_of_the_timeline_tells_its_kind(task, happen, kind):
    customer, (begins,) = task.customer, [begins for name, _, begins in KINDS if name == kind]
    for type_ in WORDS:
        happen(customer, type_, {}, jobs=False)
    told = {event.type for event in events_of(customer, kind)}
    assert told
    assert all(type_.startswith(begins) for type_ in told)
    assert not told - set(WORDS)


def test_the_timeline_has_the_mails(browser, address, task):
    page = browser.get(address(task.customer))
    (shown,) = [each for each in page.context["timeline"] if each.title.startswith("Mail")][:1]
    kept = Mail.objects.filter(customer=task.customer).order_by("-created_at", "-pk").first()
    assert shown.text == f"{kept.subject} · {kept.recipient}"
    assert address(kept) in page.text
    mails = browser.get(f"{address(task.customer)}?show=mail").context["timeline"]
    assert {each.title for each in mails} <= {"Mail", "Mail, waiting to be sent"}
    assert len(mails) == Mail.objects.filter(customer=task.customer).count()
    others = browser.get(f"{address(task.customer)}?show=signal").context["timeline"]
    assert not any(each.title.startswith("Mail") for each in others)


@pytest.mark.parametrize(
    ("act", "status"), [("accept", "accepted"), ("won", "won"), ("lost", "lost"), ("return", "returned")]
)
def test_it_is_worked(browser, address, task, act, status):
    assert browser.post(address(task), {"action": act, "note": "Called them"}).status_code == 302
    task.refresh_from_db()
    assert task.status == status
    assert act == "accept" or "Called them" in task.note


def test_it_says_when_a_move_is_too_late(browser, address, task):
    browser.post(address(task), {"action": "won"})
    page = browser.post(address(task), {"action": "lost"}, follow=True)
    task.refresh_from_db()
    assert task.status == "won"
    assert "alert--bad" in page.text


def test_one_click_makes_a_quote(browser, address, task):
    answer = browser.post(address(task), {"action": "quote"})
    quote = Quote.objects.get()
    assert answer.url == address(quote)
    assert (quote.task, quote.customer) == (task, task.customer)


def test_a_signal_shows_its_evidence_and_is_dismissed(browser, address, task):
    signal = Signal.objects.get(customer=task.customer)
    said = {"used": "42000.5", "limit": 50000, "seen": None, "percent": 84, "meter": "api_calls"}
    Signal.objects.filter(pk=signal.pk).update(evidence=said)
    page = browser.get(address(signal)).text
    for words in ("Evidence", "<dt>Used</dt>", "42,000.5", "50,000", "–", "84 %", "API calls"):
        assert words in page, words
    Signal.objects.filter(pk=signal.pk).update(evidence={"used": "nearly all", "meter": "faxes"})
    page = browser.get(address(signal)).text  # as the API may say
    assert "nearly all" in page
    assert "faxes" in page
    browser.post(address(signal), {"action": "dismiss", "reason": "A student"})
    signal.refresh_from_db()
    assert (signal.status, signal.dismissed_reason) == ("dismissed", "A student")


def test_a_customer_is_on_one_page(browser, address, task):
    page = browser.get(address(task.customer))
    number = Invoice.objects.get().number
    for words in (number, "Demo requested", "Subscription started", "API calls", "$174.00"):
        assert words in page.text, words
    assert address(task.customer.subscriptions.get()) in page.text


def test_the_timeline_can_be_narrowed(browser, address, task):
    page = browser.get(address(task.customer) + "?show=invoice")
    assert {each.title for each in page.context["timeline"]} == {"Invoice issued"}


def test_a_customer_without_a_subscription_has_a_page(browser, address, make_customer):
    assert "No running subscription" in browser.get(address(make_customer())).text


def test_a_quote_is_proposed_from_the_customer(browser, address, task):
    answer = browser.post(address(task.customer), {"action": "quote"})
    assert answer.url == address(Quote.objects.get())


def test_the_first_page_shows_what_waits(browser, boss, task, draft):
    quote = draft(customer=task.customer, discount_percent="25")
    quoting.submit(quote=quote, now=quote.now, actor="user:1")
    mine, theirs = browser.get("/admin/"), boss.get("/admin/")
    assert mine.context["tasks"] == [task]
    assert mine.context["decisions"] is None
    assert theirs.context["mine"] == 0
    assert theirs.context["tasks"] == [task]  # who has none sees everybody's, with whose they are
    assert f"<bdi>{task.owner}</bdi>" in theirs.text
    assert theirs.context["decisions"] == [quote]
    assert "$174.00" in theirs.text


def test_the_first_page_is_kind_when_there_is_nothing(browser):
    page = browser.get("/admin/").text
    assert "Nothing waits for you" in page
    assert "Everything is paid on time" in page


def test_it_says_why_it_is_not_done_now(browser, address, task):
    page = browser.post(address(task), {"action": "later", "note": "In spring", "why": "price"})
    assert page.status_code == 422
    assert "Say on which day to come back." in page.text
    assert "In spring" in page.text
    day = f"{timezone.localdate() + timedelta(days=40)}"
    task_now = task.customer.now.date() + timedelta(days=40)
    assert browser.post(address(task), {"action": "snooze", "until": str(task_now)}).status_code == 302
    assert "Snoozed" in browser.get(address(task)).text
    assert browser.post(address(task), {"action": "snooze", "until": "2019-01-01"}).status_code == 422
    assert browser.post(address(task), {"action": "later", "why": "price", "day": day}).status_code in (
        302,
        422,
    )


def test_the_queue_can_leave_out_what_sleeps(browser, address, task):
    HandoffTask.objects.update(snoozed_until=timezone.localdate() + timedelta(days=9))
    assert task.customer.name in browser.get("/admin/sales/handofftask/?queue=snoozed").text
    assert task.reason not in browser.get("/admin/sales/handofftask/?queue=mine").text


def test_staff_say_what_a_company_is_like(browser, address, task, run_jobs):
    customer = task.customer
    page = browser.post(address(customer), {"action": "company", "employees": "-1", "industry": "Freight"})
    assert page.status_code == 422
    assert "Freight" in page.text
    browser.post(address(customer), {"action": "company", "employees": "400", "industry": "Freight"})
    run_jobs()
    assert Signal.objects.filter(customer=customer, rule__code="company_size").exists()


def test_a_manager_pins_a_segment_with_a_reason_and_releases_it(boss, browser, address, task):
    customer = task.customer
    segment = Segment.objects.get(code="enterprise")
    assert (
        browser.post(address(customer), {"action": "pin", "segment": segment.pk, "reason": "x"}).status_code
        == 403
    )
    assert boss.post(address(customer), {"action": "pin", "segment": segment.pk}).status_code == 422
    boss.post(address(customer), {"action": "pin", "segment": segment.pk, "reason": "Group contract"})
    page = boss.get(address(customer)).text
    assert "Group contract" in page
    assert "Enterprise" in page
    boss.post(address(customer), {"action": "pin", "segment": "", "reason": ""})
    customer.refresh_from_db()
    assert (customer.segment.code, customer.segment_pinned_reason) == ("smb", "")


def test_the_rules_say_how_many_of_their_tasks_were_won(boss, address, task, browser):
    browser.post(address(task), {"action": "won"})
    page = boss.get("/admin/sales/rule/").text
    assert "1 of 1 (100\N{NO-BREAK SPACE}%)" in page


def test_target_domains_come_from_a_file(browser):
    page = browser.get("/admin/import/?kind=domains")
    assert "Company data" in page.text
    bad = browser.post("/admin/import/", {"kind": "domains", "lines": ""})
    assert bad.status_code == 422
    done = browser.post("/admin/import/", {"kind": "domains", "lines": "domain\nnova.example\n!!"})
    assert "Why it was left out" in done.text
    assert TargetDomain.objects.get().domain == "nova.example"
    file = SimpleUploadedFile("x.csv", b"\xff\xfe")
    refused = browser.post("/admin/import/", {"kind": "domains", "file": file})
    assert "Save the file as UTF-8 text." in refused.text


def test_dates_are_said_in_the_sellers_zone(browser, address, task):
    Seller.objects.update(timezone="Asia/Tokyo")
    raised = timezone.localtime(task.raised_at, ZoneInfo("Asia/Tokyo"))
    assert f"{raised:%H:%M}" in browser.get(address(task)).text


def statements(browser, where):
    with CaptureQueriesContext(connection) as found:
        assert browser.get(where).status_code == 200
    return len(found)


def test_pages_take_no_more_statements_with_a_long_history(
    browser, address, task, advance, add_members, on_pro
):
    customer = task.customer
    shown = [address(row) for row in (customer, task)]
    before = [statements(browser, where) for where in shown]
    assert before[0] == 6, "of a customer, three of them to sign in"
    add_members(customer, 12)
    advance(customer.test_clock, days=400)
    for n in range(15):
        watching.report(
            customer=customer,
            rule="engagement",
            occurred_at=customer.now,
            now=customer.now,
            actor="key:x",
            key=str(n),
        )
    after = [statements(browser, where) for where in shown]
    assert after[0] == 6
    assert all(many <= few + 2 for few, many in zip(before, after, strict=True)), (before, after)
    assert max(after) <= 60


def test_the_queue_takes_no_statement_for_each_task(browser, task, make_customer):
    where = "/admin/sales/handofftask/?queue=now"
    before = statements(browser, where)
    for _ in range(8):
        customer = make_customer()
        leads.ask(customer=customer, about="quote", now=customer.now, actor="member:1")
    assert statements(browser, where) <= before + 1


def test_a_form_left_open_puts_nothing_back_that_a_colleague_changed(browser, address, task):
    customer = task.customer
    shown = {"initial-domain": customer.domain, "initial-employees": "", "initial-industry": ""}
    sent = {"action": "company", "domain": customer.domain, "employees": "", "industry": "Freight"}
    assert 'name="initial-employees"' in browser.get(address(customer)).text
    browser.post(address(customer), {"action": "company", "domain": customer.domain, "employees": "450"})
    browser.post(address(customer), {**shown, **sent, "initial-consolidate_invoices": "False"})
    customer.refresh_from_db()
    assert (customer.employees, customer.industry) == (450, "Freight")


def test_taking_a_colleagues_task_over_says_so(staff, browser, address, task):
    assert "Take it over" not in browser.get(address(task)).text
    sanne = Client()
    sanne.force_login(staff("sanne"))
    assert "Take it over" in sanne.get(address(task)).text
    browser.post(address(task), {"action": "accept"})
    late = sanne.post(address(task), {"action": "accept"}, follow=True)
    assert "this handoff task is “in progress” by now" in late.text
    task.refresh_from_db()
    assert task.owner.name == "Rita"
