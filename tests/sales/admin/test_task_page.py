"""Tasks, signals, customers and the first page."""

import pytest

from billing.models import Invoice
from sales import leads, quoting
from sales.models import HandoffTask, Quote, Signal

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
    assert "Evidence" in browser.get(address(signal)).text
    browser.post(address(signal), {"action": "dismiss", "reason": "A student"})
    signal.refresh_from_db()
    assert (signal.status, signal.dismissed_reason) == ("dismissed", "A student")


def test_a_customer_is_on_one_page(browser, address, task):
    page = browser.get(address(task.customer))
    number = Invoice.objects.get().number
    for words in (number, "Demo requested", "Subscription started", "API calls", "$174.00"):
        assert words in page.text, words


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
    assert theirs.context["tasks"] == []
    assert theirs.context["decisions"] == [quote]
    assert "$174.00" in theirs.text


def test_the_first_page_is_kind_when_there_is_nothing(browser):
    page = browser.get("/admin/").text
    assert "Nothing waits for you" in page
    assert "Everything is paid on time" in page
