"""Pages that gather much keep to their statements whatever there is: a page six, the list of automations four."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.models import Plan
from sales import automating, handing_over, leads, offering, quoting
from sales.models import ApprovalRule, Automation, AutomationRun, QuoteComment
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
PAGE, LIST = 6, 4
# The session, and who it is of.
SIGNING_IN = re.compile(
    r'SAVEPOINT|FROM "django_session"|FROM "billing_user" WHERE "billing_user"."id" = \d+ LIMIT 21'
)


def statements(browser, where):
    """What the page asks for besides who reads it."""
    browser.get(where)
    with CaptureQueriesContext(connection) as seen:
        assert browser.get(where).status_code == 200
    return [each["sql"] for each in seen if not SIGNING_IN.search(each["sql"])]


@pytest.fixture
def quote(on_pro, rita):
    subscription = on_pro()
    return quoting.draft(
        plan=Plan.objects.get(code="enterprise"), customer=subscription.customer, subscription=subscription, by=rita,
        now=subscription.customer.now, actor=f"user:{rita.pk}", quantity=30,
    )  # fmt: skip


def keeps_to(browser, where, most, grow):
    few = statements(browser, where)
    grow()
    many = statements(browser, where)
    assert len(few) <= most, few
    assert len(many) <= most, many


def test_a_quote_with_options_years_and_words(browser, quote, rita, address):
    def grow():
        now, terms = quote.customer.now, {"actor": f"user:{rita.pk}", "by": rita}
        years = [{"year": year, "quantity": 30 + year, "discount_percent": 30} for year in (2, 3)]
        quoting.edit(quote=quote, now=now, actor="user:1", term_months=36, ramp=years)
        for name in ("Two years", "Three years"):
            offering.add_option(quote=quote, now=now, name=name, **terms)
        QuoteComment.objects.bulk_create(
            QuoteComment(quote=quote, author="Ada", text="?", by_buyer=True, at=now) for _ in range(9)
        )

    keeps_to(browser, address(quote), PAGE, grow)


def test_a_revised_quote_that_waits_for_a_decision(browser, boss, quote, rita, address):
    now, terms = quote.customer.now, {"actor": f"user:{rita.pk}", "by": rita}
    quoting.edit(quote=quote, now=now, actor="user:1", contact_email="ada@nova.example")
    quoting.send(quote=quote, now=now, actor="user:1")
    revised = quoting.revise(quote=quote, now=now, **terms)
    ApprovalRule.objects.create(name="All", measure="term_months", over=0, role="manager", position=9)
    quoting.edit(quote=revised, now=now, actor="user:1", discount_percent=25)

    def grow():
        quoting.submit(quote=revised, now=now, **terms)

    keeps_to(browser, address(revised), PAGE, grow)
    assert len(statements(boss, address(revised))) <= PAGE


@pytest.mark.parametrize("who", ["browser", "boss", "admin_client"])
def test_the_overview(request, who, sales_catalogue, quote, on_pro):
    def grow():
        for n in range(4):
            leads.contact(
                name="A", email=f"{n}@more.example", company="A", now=NOON, actor="system", plan="enterprise"
            )
            customer = on_pro().customer
            handing_over.raise_by_hand(customer=customer, reason="Call", now=NOON, actor="system")

    keeps_to(request.getfixturevalue(who), "/admin/", PAGE, grow)


@pytest.fixture
def ran(on_pro):
    """ran(number, at) -> an automation with so many more failed runs."""
    customer, automation = on_pro().customer, Automation.objects.first()

    def make(number, at=None):
        first = AutomationRun.objects.count()
        terms = {
            "automation": automation,
            "customer": customer,
            "status": "failed",
            "at": at or timezone.now(),
        }
        AutomationRun.objects.bulk_create(AutomationRun(key=str(first + n), **terms) for n in range(number))
        return automation

    return make


def test_an_automation_and_its_list(boss, ran, address):
    automation = ran(1)
    keeps_to(boss, address(automation), PAGE, lambda: ran(30))
    keeps_to(boss, "/admin/sales/automation/?o=1", LIST, lambda: ran(30))


def test_the_list_counts_the_runs_of_the_last_month_by_index(boss, ran):
    ran(8_000, at=timezone.now() - automating.LATELY - timedelta(days=1))
    automation = ran(1_200)
    page = boss.get("/admin/sales/automation/", {"q": automation.name})
    assert page.text.count(">1,200<") == 2, "runs, and failed ones"
    with connection.cursor() as cursor:
        cursor.execute("analyze sales_automationrun")
    plan = AutomationRun.objects.filter(at__gte=timezone.now() - automating.LATELY).explain()
    assert "automation_lately" in plan
