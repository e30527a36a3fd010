"""An invoice of very many lines on the pages that show it."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import correcting, hosted, issuing, leafing
from billing.models import Invoice, Member, Seller, User
from tests.fixtures_billing import NOON
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
LINES = 2 * leafing.A_PAGE + 50


@pytest.fixture
def long_invoice(make_customer, catalogue):
    """Of 450 lines, each of 1.00 with 19 or 7 % of tax."""
    taxes = [(Decimal(19), 19), (Decimal(7), 7)]
    lines = [
        issuing.DraftLine(
            kind="usage", description=f"Line {n}", gross=100, discount=0, net=100, quantity=Decimal(1),
            unit_amount=Decimal(1), period_start=NOON.date(), period_end=NOON.date() + timedelta(days=1),
            tax_percentage=taxes[n % 2][0], tax_category="S", tax_amount=taxes[n % 2][1],
        )
        for n in range(LINES)
    ]  # fmt: skip
    draft = issuing.Draft(
        customer=make_customer(), subscription=None, lines=lines, now=NOON, actor="system",
        collection_method="send_invoice", net_days=30, motion="sales_led",
    )  # fmt: skip
    return Invoice.objects.get(pk=issuing.issue([draft], Seller.objects.get())[draft.id][0].row["id"])


def of_hosted(invoice):
    return Client(), f"/invoices/{hosted.token(invoice)}/"


def of_portal(invoice):
    user = User.objects.create_user(email="ada@long.example")
    Member.objects.create(customer=invoice.customer, user=user, role="owner", added_at=NOON)
    browser = Client()
    browser.force_login(user)
    return browser, f"/portal/invoices/{invoice.pk}/"


def of_staff(invoice):
    return signed_in("view_invoice"), f"/admin/billing/invoice/{invoice.pk}/change/"


def test_a_credit_note_of_very_many_lines_is_shown_by_pages_too(long_invoice):
    note = correcting.credit(invoice=long_invoice, reason="Wrong", now=NOON, actor="system")
    browser, seen = signed_in("view_creditnote"), []
    for page, count in (("1", leafing.A_PAGE), ("2", leafing.A_PAGE), ("3", 50)):
        text = browser.get(f"/admin/billing/creditnote/{note.pk}/change/", {"lines": page}).text
        found = re.findall(r"Line \d+", text)
        assert len(set(found)) == count
        seen += found
    assert len(set(seen)) == LINES


@pytest.mark.parametrize("where", [of_hosted, of_portal, of_staff])
def test_a_page_shows_some_of_its_lines_and_leads_to_the_others(long_invoice, where):
    browser, address = where(long_invoice)
    seen = []
    for page, count in (("1", leafing.A_PAGE), ("2", leafing.A_PAGE), ("3", 50)):
        text = browser.get(address, {"lines": page}).text
        found = list(dict.fromkeys(re.findall(r"\bLine (\d+)", text)))
        assert len(found) == count
        assert ("?lines=" in text) is True
        seen += found
    assert seen == [str(n) for n in range(LINES)]


@pytest.mark.parametrize("where", [of_hosted, of_portal])
def test_its_taxes_are_those_of_all_lines(long_invoice, where):
    browser, address = where(long_invoice)
    for page in ("1", "3"):
        rows = browser.get(address, {"lines": page}).context["taxes"]
        assert sum(row.amount for row in rows) == long_invoice.tax_total == 225 * 26


@pytest.mark.parametrize("wanted", ["", "0", "-1", "4", "last", "9" * 30])
def test_a_page_that_there_is_not_is_another(long_invoice, wanted):
    browser, address = of_hosted(long_invoice)
    assert browser.get(address, {"lines": wanted}).status_code == 200


def test_a_page_takes_one_statement_more_than_that_of_a_short_one(long_invoice, make_customer, subscribe):
    short = subscribe(make_customer()).invoices.get()
    counts = []
    for invoice in (short, long_invoice):
        browser, address = of_hosted(invoice)
        browser.get(address)
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1
