"""The story's pages in a real browser, at a phone's and a desktop's width: checkout by card (declined, then 3-D Secure,
then paid), the portal by mailed code, the rep's task and quote, and the buyer's signature.

Set TANDEM_PICTURES to a folder to keep a picture of every page.
"""

import re

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from billing import metering
from billing.models import Customer, Invoice, KeptMail, Payment, User
from sales import catalogue as sales_catalogue
from sales.models import HandoffTask, Quote
from tests.browser.looking import fits, open_to_everybody

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
EMAIL = "ada@harbourworks.example"


@pytest.fixture
def rep(site, settings):
    settings.DEMO = True
    settings.EMAIL_BACKEND = "billing.mail.KeepingBackend"
    if hasattr(settings, "MAILERS"):
        settings.MAILERS = {"default": {"BACKEND": "billing.mail.KeepingBackend"}}
    sales_catalogue.ship(now=timezone.now())
    rep = User.objects.create_user(
        "riley@lumen.example", "correct horse battery", name="Riley Okafor", is_staff=True
    )
    rep.groups.add(Group.objects.get(name=sales_catalogue.REPS))
    return rep


def fill_in(page):
    page.get_by_label("E-mail", exact=False).first.fill(EMAIL)
    page.locator("[name=name]").fill("Ada Noor")
    page.locator("[name=company]").fill("Harbour Works")
    page.locator("[name=employees]").fill("42")
    page.locator("[name=country]").select_option("IE")
    page.wait_for_load_state("networkidle")
    page.locator("[name=line1]").fill("7 Merrion Row")
    page.locator("[name=city]").fill("Dublin")
    page.locator("[name=postal_code]").fill("D02 KW86")


def card(page, number):
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry date").fill("12 / 34")
    page.get_by_label("Security code").fill("123")


def pay(page):
    page.locator("[name=terms]").check()
    page.locator("button[name=action][value=pay]").click()


def test_it_can_be_clicked_through(site, open_page, rep, run_jobs):
    page = open_page("/pricing/", 390)
    fits(page, "pricing")
    page.get_by_role("button", name="Choose Pro").click()
    page.wait_for_url("**/checkout/**")
    fits(page, "checkout")
    fill_in(page)
    card(page, "4000000000000002")
    pay(page)
    page.get_by_text("Your card was not charged").wait_for()
    fits(page, "checkout-declined")
    assert page.locator("[name=company]").input_value() == "Harbour Works"
    assert not Customer.objects.exists()
    card(page, "4242424242424242")
    pay(page)
    page.wait_for_url("**/receipt/")
    fits(page, "receipt")
    assert Payment.objects.filter(status="succeeded").count() == 1
    assert Invoice.objects.get().status == "paid"
    run_jobs()

    member = open_page("/accounts/login/code/", 390)
    member.locator("[name=email]").fill(EMAIL)
    member.locator("main form button[type=submit]").first.click()
    member.locator("[name=code]").wait_for()
    text = KeptMail.objects.filter(recipient=EMAIL).latest("id").text
    member.locator("[name=code]").fill(re.search(r"(?<![\w-])(\d{4}[ -]?\d{4})(?![\w-])", text).group(1))
    member.locator("main form button[type=submit]").first.click()
    member.wait_for_url("**/portal/**")
    for name in ("", "usage", "invoices", "team", "plan", "payment", "help"):
        member.goto(f"{site}/portal/{name}/" if name else f"{site}/portal/")
        fits(member, f"portal-{name or 'overview'}")

    customer = Customer.objects.get()
    now = timezone.now().isoformat()
    metering.record(
        events=[{"id": "much", "customer": customer.pk, "event_name": "api_call",
                 "timestamp": now, "properties": {"value": "41000"}}],
        livemode=False, now=timezone.now(),
    )  # fmt: skip
    run_jobs()
    task = HandoffTask.objects.get()
    desk = open_page("/accounts/login/?next=/admin/")
    desk.locator("[name=login]").fill("riley@lumen.example")
    desk.locator("[name=password]").fill("correct horse battery")
    desk.locator("main form:has([name=password]) button[type=submit]").first.click()
    desk.wait_for_url("**/admin/**")
    desk.goto(f"{site}/admin/sales/handofftask/{task.pk}/change/")
    open_to_everybody(desk)
    fits(desk, "admin-task")
    desk.goto(f"{site}/admin/billing/customer/{customer.pk}/change/")
    open_to_everybody(desk)
    fits(desk, "admin-customer")
    desk.goto(f"{site}/admin/sales/handofftask/{task.pk}/change/")
    desk.locator(
        "button[name=action][value=quote], form:has([name=action][value=quote]) button"
    ).first.click()
    desk.wait_for_url("**/sales/quote/**")
    desk.get_by_label("Plan", exact=True).select_option(label="Enterprise")
    desk.get_by_label("Seats", exact=True).first.fill("50")
    desk.get_by_label("Discount").first.fill("15")
    desk.get_by_label("Term", exact=True).fill("24")
    desk.get_by_role("button", name="Update figures").click()
    desk.get_by_text("$42,075.00").first.wait_for()
    open_to_everybody(desk)
    fits(desk, "admin-quote")
    desk.get_by_role("button", name="Send quote").click()
    desk.wait_for_load_state("networkidle")
    quote = Quote.objects.get()
    assert quote.state == "sent"
    run_jobs()

    page.goto(f"{site}/quotes/{quote.token}/")
    fits(page, "quote")
    page.locator("[name=title]").fill("Chief Operating Officer")
    page.locator("#accept [name=name]").fill("Ada Noor")
    page.locator("[name=signature]").fill("Ada Noor")
    page.locator("[name=agreed]").check()
    page.locator("#accept button[type=submit]").click()
    page.get_by_text("Accepted").first.wait_for()
    fits(page, "quote-accepted")
    quote.refresh_from_db()
    assert quote.state in ("accepted", "converted")
    assert Invoice.objects.filter(status="paid").count() == 1
    for visitor in (page, member, desk):
        assert [words for words in visitor.complaints if "402" not in words and "422" not in words] == []
