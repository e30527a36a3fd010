"""A quote from the builder to the signature in a real browser: readable on a phone, sound, and without scripts too."""

import os
import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from billing.models import User
from sales import catalogue, quoting
from sales.models import Quote
from tests.browser.test_checkout import browser, site, sound  # noqa: F401 - fixtures
from tests.fixtures_billing import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAME = "Donaudampfschifffahrtsgesellschaft Nord-Süd & Töchter Aktiengesellschaft"
PICTURES = os.environ.get("TANDEM_PICTURES")


@pytest.fixture
def people(site):  # noqa: F811
    """(the seller, her manager)"""
    from django.contrib.auth.models import Group

    catalogue.ship(now=NOON)
    made = []
    for name, group in (("rita", catalogue.REPS), ("max", "Sales managers")):
        user = User.objects.create_user(f"{name}@seller.example", name=name.title(), is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        made.append(user)
    return made


def key_of(user):
    client = Client()
    client.force_login(user)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def open_page(browser, site):  # noqa: F811
    """open_page(address, width, user=None, scripts=True) -> the page, watched for complaints."""
    contexts = []

    def make(address, width=1280, user=None, scripts=True):
        context = browser.new_context(viewport={"width": width, "height": 860}, java_script_enabled=scripts)
        contexts.append(context)
        if user:
            context.add_cookies(
                [{"name": django_settings.SESSION_COOKIE_NAME, "value": key_of(user), "url": site}]
            )
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda m: m.type in ("error", "warning") and page.complaints.append(m.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address if address.startswith("http") else f"{site}{address}")
        return page

    yield make
    for context in contexts:
        context.close()


def picture(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.fixture
def quote(make_customer, people):
    rita = people[0]
    from billing.models import Plan

    return quoting.draft(
        customer=make_customer(name=NAME), plan=Plan.objects.get(code="enterprise"), quantity=60, by=rita,
        now=timezone.now(), actor=f"user:{rita.pk}", discount_percent="25", title="Enterprise für alle Standorte",
        fees=[{"description": "Einführung vor Ort", "unit_amount": "2500"}],
    )  # fmt: skip


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_built_agreed_to_and_signed(open_page, people, quote, width):
    rita, manager = people
    address = f"/admin/sales/quote/{quote.pk}/change/"
    page = open_page(address, width, rita)
    sound(page)
    picture(page, f"builder-{width}")
    page.get_by_label("Name of the new option").fill("Drei Jahre, mit allem, was dazugehört")
    page.get_by_role("button", name="Add an option").click()
    page.get_by_label("Term", exact=True).fill("36")
    page.get_by_label("Recommend this option to the buyer").check()
    page.get_by_role("button", name="Update figures").click()
    expect(page.get_by_role("heading", name="Options side by side")).to_be_visible()
    sound(page)
    picture(page, f"builder-options-{width}")
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("Waits for approval.")).to_be_visible()

    page = open_page(address, width, manager)
    sound(page)
    picture(page, f"approval-{width}")
    page.get_by_role("button", name="Approve").click()

    page = open_page(address, width, rita)
    page.get_by_role("button", name="Send quote").click()
    expect(page.get_by_role("heading", name="With the buyer")).to_be_visible()
    sound(page)
    sent = Quote.objects.get(pk=quote.pk)

    page = open_page(f"/quotes/{sent.token}/", width)
    sound(page)
    picture(page, f"buyer-{width}")
    page.get_by_role("link", name="Choose option B").click()
    expect(page.get_by_role("radio", name=re.compile("Option B"))).to_be_checked()
    page.get_by_role("button", name="Accept and sign").click()
    expect(page.get_by_text("Tick this to accept the quote.")).to_be_visible()
    page.complaints[:] = [words for words in page.complaints if "422" not in words]  # the refused form itself
    sound(page)
    picture(page, f"buyer-errors-{width}")
    sign(page)
    expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    sound(page)
    picture(page, f"buyer-signed-{width}")
    assert [each.state for each in sent.options()] == ["withdrawn", "converted"]


def sign(page):
    page.get_by_label("Your name").first.fill("Ada Byron")
    page.get_by_label("Job title").fill("CFO")
    page.get_by_label("E-mail").fill("ada@nova.example")
    page.get_by_label("Type your full name to sign").fill("Ada Byron")
    page.get_by_label("I have read the quote").check()
    page.get_by_role("button", name="Accept and sign").click()


def test_it_is_signed_without_scripts(open_page, people, quote):
    now = timezone.now()
    quoting.edit(quote=quote, now=now, actor="user:1", discount_percent=10)
    quoting.add_option(quote=quote, now=now, actor="user:1", name="Two years", term_months=24)
    quoting.send(quote=quote, now=now, actor="user:1")
    page = open_page(f"/quotes/{Quote.objects.get(pk=quote.pk).token}/", 390, scripts=False)
    page.get_by_role("radio", name=re.compile("Option B")).check()
    sign(page)
    expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    assert Quote.objects.get(option="B").state == "converted"
