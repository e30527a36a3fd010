"""The story's pages in a real browser, at a phone's and a desktop's width: checkout by card (declined, then 3-D Secure,
then paid), the portal by mailed code, the rep's task and quote, and the buyer's signature.

Set SCREENSHOTS to a folder to keep a picture of every page.
"""

import os
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from billing import metering
from billing.models import Customer, Invoice, KeptMail, Payment, User
from checkout import catalogue as checkout_catalogue
from config import chromium as finder
from sales import catalogue as sales_catalogue
from sales.models import HandoffTask, Quote

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
EMAIL = "ada@harbourworks.example"


@pytest.fixture
def world(catalogue, fake_stripe, settings):
    settings.DEMO = True
    settings.EMAIL_BACKEND = "billing.mail.KeepingBackend"
    if hasattr(settings, "MAILERS"):
        settings.MAILERS = {"default": {"BACKEND": "billing.mail.KeepingBackend"}}
    sales_catalogue.ship(now=timezone.now())
    checkout_catalogue.ship(now=timezone.now())
    rep = User.objects.create_user(
        "riley@lumen.example", "correct horse battery", name="Riley Okafor", is_staff=True
    )
    rep.groups.add(Group.objects.get(name=sales_catalogue.REPS))
    return rep


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=finder.find_chromium(), args=FLAGS)
        yield running
        running.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Visitor:
    """A page that remembers what its browser complained of."""

    def __init__(self, browser, width, address):
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.width, self.address, self.complaints = width, address, []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda m: (
                m.type == "error"
                and "402" not in m.text
                and "422" not in m.text
                and self.complaints.append(m.text)
            ),
        )
        self.page.set_default_timeout(20_000)

    def open(self, path):
        self.page.goto(self.address + path)
        self.page.wait_for_load_state("networkidle")

    def look(self, name):
        """No sideways scrolling, no finding of axe; a picture where one is wanted."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.wait_for_load_state("networkidle")
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}-{self.width}.png", full_page=True)
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, name
        found = Axe().run(self.page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], name


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


@pytest.mark.parametrize("width", [390, 1280])
def test_it_can_be_clicked_through(world, browser, live_server, fake_stripe, width, run_jobs):
    fake_stripe.base_url = f"{live_server.url}/fakestripe"
    buyer = Visitor(browser, width, live_server.url)
    page = buyer.page
    buyer.open("/pricing/")
    buyer.look("pricing")
    page.get_by_role("button", name="Choose Pro").click()
    page.wait_for_url("**/checkout/**")
    buyer.look("checkout")
    fill_in(page)
    card(page, "4000000000000002")
    pay(page)
    page.get_by_text("Your card was not charged").wait_for()
    buyer.look("checkout-declined")
    assert page.locator("[name=company]").input_value() == "Harbour Works"
    assert not Customer.objects.exists()
    card(page, "4242424242424242")
    pay(page)
    page.wait_for_url("**/receipt/")
    buyer.look("receipt")
    assert Payment.objects.filter(status="succeeded").count() == 1
    assert Invoice.objects.get().status == "paid"
    run_jobs()

    member = Visitor(browser, width, live_server.url)
    member.open("/accounts/login/code/")
    member.page.locator("[name=email]").fill(EMAIL)
    member.page.locator("main form button[type=submit]").first.click()
    member.page.locator("[name=code]").wait_for()
    text = KeptMail.objects.filter(recipient=EMAIL).latest("id").text
    member.page.locator("[name=code]").fill(re.search(r"(?<![\w-])(\d{4}[ -]?\d{4})(?![\w-])", text).group(1))
    member.page.locator("main form button[type=submit]").first.click()
    member.page.wait_for_url("**/portal/**")
    for name in ("", "usage", "invoices", "team", "plan", "payment", "help"):
        member.open(f"/portal/{name}/" if name else "/portal/")
        member.look(f"portal-{name or 'overview'}")

    customer = Customer.objects.get()
    now = timezone.now().isoformat()
    metering.record(
        events=[{"id": "much", "customer": customer.pk, "event_name": "api_call",
                 "timestamp": now, "properties": {"value": "41000"}}],
        livemode=False, now=timezone.now(),
    )  # fmt: skip
    run_jobs()
    task = HandoffTask.objects.get()
    rep = Visitor(browser, width, live_server.url)
    rep.open("/accounts/login/?next=/admin/")
    rep.page.locator("[name=login]").fill("riley@lumen.example")
    rep.page.locator("[name=password]").fill("correct horse battery")
    rep.page.locator("main form:has([name=password]) button[type=submit]").first.click()
    rep.page.wait_for_url("**/admin/**")
    rep.open(f"/admin/sales/handofftask/{task.pk}/change/")
    rep.look("admin-task")
    rep.open(f"/admin/billing/customer/{customer.pk}/change/")
    rep.look("admin-customer")
    rep.open(f"/admin/sales/handofftask/{task.pk}/change/")
    rep.page.locator(
        "button[name=action][value=quote], form:has([name=action][value=quote]) button"
    ).first.click()
    rep.page.wait_for_url("**/sales/quote/**")
    rep.page.get_by_label("Plan", exact=True).select_option(label="Enterprise")
    rep.page.get_by_label("Seats", exact=True).first.fill("50")
    rep.page.get_by_label("Discount").first.fill("15")
    rep.page.get_by_label("Term", exact=True).fill("24")
    rep.page.get_by_role("button", name="Update figures").click()
    rep.page.get_by_text("$42,075.00").first.wait_for()
    rep.look("admin-quote")
    rep.page.get_by_role("button", name="Send quote").click()
    rep.page.wait_for_load_state("networkidle")
    quote = Quote.objects.get()
    assert quote.state == "sent"
    run_jobs()

    buyer.open(f"/quotes/{quote.token}/")
    buyer.look("quote")
    page.locator("[name=title]").fill("Chief Operating Officer")
    page.locator("#accept [name=name]").fill("Ada Noor")
    page.locator("[name=signature]").fill("Ada Noor")
    page.locator("[name=agreed]").check()
    page.locator("#accept button[type=submit]").click()
    page.get_by_text("Accepted").first.wait_for()
    buyer.look("quote-accepted")
    quote.refresh_from_db()
    assert quote.state in ("accepted", "converted")
    assert Invoice.objects.filter(status="paid").count() == 1
    for visitor in (buyer, member, rep):
        assert visitor.complaints == []
