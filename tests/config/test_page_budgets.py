"""How many statements every page takes: a list of staff at most three, any other page six, whatever there is.

The addresses are the server's own, so that a new page cannot escape: it is opened here, or named with the reason why it
is not. Who reads is asked for by every page and stands apart: the session, its user, and one statement more, for what
staff may do or for which customer somebody is here and what waits for them.
"""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from billing import customers, disclosing, keys, metering
from billing.models import (
    BillingFailure,
    BillingRehearsal,
    BillingRun,
    Customer,
    Discount,
    Dispute,
    Entitlement,
    Invoice,
    Meter,
    Payment,
    Plan,
    Price,
    RetentionRule,
    Segment,
    Subscription,
    TaxRate,
    User,
)
from checkout import sessions
from checkout.models import RoutingRule
from sales import catalogue as shipped
from sales import deals, handing_over, leads, quoting, watching
from sales.models import (
    ApprovalDelegate,
    ApprovalRule,
    HandoffTask,
    Quote,
    Rule,
    SalesSettings,
    Signal,
    TargetDomain,
    TargetProfile,
)
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
LIST, PAGE = 3, 6
OURS = ("billing", "sales", "checkout")
# Every page asks who reads it.
APART = re.compile(
    r'^(SAVEPOINT|RELEASE)|FROM "django_session"|FROM "billing_user" WHERE "billing_user"."id" = \d+ LIMIT 21'
    r'|FROM "auth_permission"|AS "quotes_waiting"'
)
# Pages of staff that are no model's, with what is asked of them.
STAFF = {
    "admin/": "",
    "admin/metrics/": "",
    "admin/audit/": "",
    "admin/import/": "",
    "admin/mails/": "",
    "admin/mails/<slug:name>/<int:variant>/": "",
    "admin/sales/deal/board/": "",
    "admin/sales/rule/try/": "?customer={customer}",
    "admin/sales/rule/<path:rule_id>/try/": "?customer={customer}",
    "admin/checkout/routingrule/try/": "?employees=12",
    "admin/billing/plan/<path:object_id>/prices/": "?quantity=7",
}
MODELS = re.compile(rf"admin/({'|'.join(OURS)})/\w+/(add/|<path:object_id>/change/)?")
PORTAL = {
    "portal/": "",
    "portal/choose/": "",
    "portal/usage/": "",
    "portal/invoices/": "",
    "portal/invoices/<str:pk>/": "invoice",
    "portal/team/": "",
    "portal/plan/": "",
    "portal/plan/features/": "",
    "portal/plan/<str:pk>/": "subscription",
    "portal/payment/": "",
    "portal/payment/card/": "",
    "portal/payment/method/": "",
    "portal/details/": "",
    "portal/quotes/": "",
    "portal/help/": "",
}
PUBLIC = ("pricing/", "contact-sales/", "contact-sales/thanks/")
# Why an address is not opened here.
LEFT_OUT = {
    "Django's own": r"admin/(auth|account|mfa|django_q|djstripe)/|accounts/|.*/(delete|history)/$|admin/\w+/$"
    r"|admin/(login|logout|password_change|jsi18n|autocomplete|r)/|admin/\w+/\w+/<path:object_id>/$|admin/\^?\(\?P",
    "papers and mails, drawn": r".*(/pdf|invoice\.pdf|quote\.pdf|/html|paper|attachment/<int:index>)/?$",
    "of the API: test_api_budgets": r"api/",
    "of one buyer: test_hosted_invoices, test_paying and test_accepting": r"\^?(invoices|checkout|quotes)/",
    "buttons, answered by another page": r"portal/(leave|enter|team/<|payment/(cards|card/back)"
    r"|invoices/<str:pk>/(pay|check)|plan/<str:pk>/(confirm|cancel|keep|unplan|pause|resume))",
    "asks for nothing, or is the demo's": r"$|logo|mail/|healthz|\.well-known|styleguide/|webhooks/|fakestripe/",
}


def routes(resolver=None, before=""):
    for each in (resolver or get_resolver()).url_patterns:
        here = before + str(each.pattern)
        if hasattr(each, "url_patterns"):
            yield from routes(each, here)
        else:
            yield here


def is_opened(route):
    return route in STAFF or route in PORTAL or route in PUBLIC or bool(MODELS.fullmatch(route))


def test_every_address_is_opened_here_or_named():
    unknown = {
        route
        for route in routes()
        if not is_opened(route) and not any(re.match(why, route) for why in LEFT_OUT.values())
    }
    assert unknown == set()


@pytest.fixture
def grow(make_customer, subscribe, things):
    """grow(n): so many more of everything that pages gather, about the customer that they show and beside it."""
    customer = Customer.objects.get(pk=things["customer"])
    pro, subscription = Plan.objects.get(code="pro"), customer.subscriptions.get()
    staff = [
        User.objects.create_user(f"{name}@seller.example", name=name, is_staff=True)
        for name in ("zoe", "yan")
    ]

    def beside(mark):
        other = make_customer(external_id=f"more-{mark}", country="DE")
        subscribe(other, "starter", "year", quantity=None)
        lead = leads.contact(
            name="A", email=f"{mark}@more.example", company="A", now=NOON, actor="system", livemode=False
        )
        deals.open_deal(name=f"Deal {mark}", customer=other, now=NOON)
        sessions.start(
            plan="pro", interval="month", now=NOON, livemode=False, email=f"{mark}@b.example", success_url="",
            cancel_url="",
        )  # fmt: skip
        quoting.draft(plan=pro, customer=other, now=NOON, actor="system", quantity=3)
        handing_over.raise_by_hand(customer=other, reason="Call", now=NOON, actor="system")
        return lead

    def about(mark):
        customers.add_member(customer=customer, email=f"{mark}@acme.example", now=NOON, actor="system")
        for rule in ("engagement", "usage_near_limit"):
            watching.report(
                customer=customer, rule=rule, occurred_at=NOON, now=NOON, actor="system", key=mark,
                evidence={"meter": "api_calls", "used": "1", "limit": "2"},
            )  # fmt: skip
        quoting.draft(
            plan=pro, customer=customer, subscription=subscription, now=NOON, actor="system", quantity=3
        )
        event = {"id": mark, "customer": "acme", "event_name": "api_call", "properties": {"value": 9}}
        metering.record(events=[event], livemode=False, now=customer.now)
        payment = Payment.objects.create(
            customer=customer,
            invoice=customer.invoices.first(),
            amount=1,
            currency="USD",
            key=mark,
            status="failed",
        )
        Dispute.objects.create(
            customer=customer, payment=payment, provider_id=mark, status="needs_response", reason="fraudulent", amount=1,
            currency="USD", fee_currency="USD", opened_at=NOON,
        )  # fmt: skip
        BillingRun.objects.create(due_at=NOON, finished_at=NOON)

    def set_up(mark):
        meter = Meter.objects.create(code=f"m{mark}", name=mark, event_name=mark)
        Entitlement.objects.create(plan=pro, feature=f"f{mark}", name=mark, meter=meter, limit=5)
        Price.objects.create(
            plan=pro, code=f"p{mark}", model="flat", kind="recurring", interval="month", currency="USD"
        )
        Discount.objects.create(percent_off=5, code=f"D{mark}", label=mark).plans.set(Plan.objects.all())
        TargetDomain.objects.create(domain=f"{mark}.example", added_at=NOON)
        TargetProfile.objects.create(name=mark, industry="Law")
        RoutingRule.objects.create(
            position=100 + int(mark), name=mark, outcome="contact_sales", owner=staff[0]
        )
        ApprovalRule.objects.create(
            name=mark, measure="term_months", over=0, role="manager", position=9, plan=pro
        )
        ApprovalDelegate.objects.create(
            person=staff[0], delegate=staff[1], since=NOON.date(), until=NOON.date()
        )
        TaxRate.objects.create(name=mark, percentage=5, country="DE", active=False)
        BillingRehearsal.objects.create(until=NOON, due=1, asked_at=NOON)
        keys.issue(name=mark, livemode=False, now=NOON)
        disclosing.ask(address=f"{mark}@acme.example", reason="Asked", actor=f"user:{staff[0].pk}", now=NOON)

    def make(numbers):
        for n in numbers:
            beside(str(n))
            about(str(n))
            set_up(str(n))

    RetentionRule.objects.get_or_create(kind="mails")
    SalesSettings.objects.get_or_create(pk=1)
    BillingFailure.objects.create(subscription=subscription, reason="No price", at=NOON)
    make(range(100, 101))
    return make


def shown(model, customer):
    """The row whose page is opened: the customer's, where it is one of many."""
    rows = model.objects.all()
    own = {
        HandoffTask: {"customer": customer}, Quote: {"customer": customer, "subscription__isnull": False},
        Subscription: {"customer": customer}, Signal: {"customer": customer, "rule__code": "usage_near_limit"},
        Plan: {"code": "pro"}, Price: {"plan__code": "pro", "code": "seats-month"}, Rule: {"code": "usage_near_limit"},
        Customer: {"pk": customer.pk}, Invoice: {"customer": customer}, Payment: {"customer": customer},
    }  # fmt: skip
    return rows.filter(**own.get(model, {})).order_by("pk").first()


def pages_of_staff(customer):
    """Address -> whether it is a list. That of segments is a form."""
    found = {}
    for model in admin.site._registry:
        if model._meta.app_label in OURS:
            place = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            row = shown(model, customer)
            assert row is not None, f"no {model._meta.verbose_name} to open"
            found |= {place: model is not Segment, f"{place}add/": False, f"{place}{row.pk}/change/": False}
    for route, query in STAFF.items():
        named = route.replace("<path:rule_id>", str(Rule.objects.get(code="usage_near_limit").pk))
        named = named.replace("<path:object_id>", shown(Plan, customer).pk)
        named = named.replace("<slug:name>/<int:variant>", "handoff_task/0")
        found[f"/{named}{query.format(customer=customer.pk)}"] = False
    return found


def statements(browser, address, most):
    """What it asks for, besides who reads it; None where there is no such page. Of too much it is asked again: what a
    process reads once is not the page's."""
    found = opened(browser, address)
    return found if found is None or len(found) <= most else opened(browser, address)


def opened(browser, address):
    with CaptureQueriesContext(connection) as seen:
        answer = browser.get(address)
    if answer.status_code == 302:
        return opened(browser, answer.headers["Location"])
    if answer.status_code in (403, 405):
        return None
    assert answer.status_code == 200, (address, answer.status_code)
    return [each["sql"] for each in seen if not APART.search(each["sql"])]


@pytest.fixture
def desk(sales_catalogue):
    """The browser of somebody who may see everything."""
    user = User.objects.create_user("boss@seller.example", name="Boss", is_staff=True)
    user.groups.add(Group.objects.get(name=shipped.ADMINS))
    browser = Client()
    browser.force_login(user)
    return browser


# What takes more, and why.
MORE = {
    "/admin/sales/rule/try/?customer={}": "asks each rule",
    "/admin/billing/privacyrequest/{}/change/": "looks through every column of every table that may tell of a person",
}


def keep_to(browser, pages, grow):
    """`pages`: how many statements each may take."""
    few = {page: statements(browser, page, most) for page, most in pages.items()}
    grow(range(1, 5))
    many = {page: statements(browser, page, len(few[page] or ())) for page in pages}
    over = {
        page: [len(few[page]), *few[page]]
        for page, most in pages.items()
        if len(few[page] or ()) > most and re.sub(r"\w+_\w{32}|\b\d+\b", "{}", page) not in MORE
    }
    assert over == {}
    assert {
        page: (len(few[page]), *many[page]) for page in pages if len(many[page] or ()) > len(few[page] or ())
    } == {}
    return [page for page in pages if few[page] is not None]


def test_every_page_of_staff_keeps_to_its_statements_at_two_sizes(things, grow, desk):
    customer = Customer.objects.get(pk=things["customer"])
    lists = pages_of_staff(customer)
    assert len(keep_to(desk, {page: LIST if lists[page] else PAGE for page in lists}, grow)) > 90


def test_every_page_of_customers_and_buyers_keeps_to_its_statements_at_two_sizes(things, grow, fake_stripe):
    customer = Customer.objects.get(pk=things["customer"])
    browser = Client()
    browser.force_login(customer.members.order_by("pk").first().user)
    pages = [f"/{route.replace('<str:pk>', things.get(what, ''))}" for route, what in PORTAL.items()]
    keep_to(browser, dict.fromkeys([*pages, *(f"/{route}" for route in PUBLIC)], PAGE), grow)
