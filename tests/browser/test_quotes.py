"""A quote from the builder to the signature in a real browser: readable on a phone, sound, and without scripts too."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from sales import quoting
from sales.models import Quote
from tests.browser.looking import sound

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAME = "Donaudampfschifffahrtsgesellschaft Nord-Süd & Töchter Aktiengesellschaft"


@pytest.fixture
def quote(make_customer, people):
    rita = people[0]
    from billing.models import Plan

    return quoting.draft(
        customer=make_customer(name=NAME), plan=Plan.objects.get(code="enterprise"), quantity=60, by=rita,
        now=timezone.now(), actor=f"user:{rita.pk}", discount_percent="25", title="Enterprise für alle Standorte",
        fees=[{"description": "Einführung vor Ort", "unit_amount": "2500"}],
    )  # fmt: skip


def test_it_is_built_agreed_to_and_signed(open_page, people, quote):
    rita, manager = people
    address = f"/admin/sales/quote/{quote.pk}/change/"
    page = open_page(address, 1280, rita)
    sound(page, "builder")
    page.get_by_label("Name of the new option").fill("Drei Jahre, mit allem, was dazugehört")
    page.get_by_role("button", name="Add an option").click()
    page.get_by_label("Term", exact=True).fill("36")
    page.get_by_label("Recommend this option to the buyer").check()
    page.get_by_role("button", name="Update figures").click()
    expect(page.get_by_role("heading", name="Options side by side")).to_be_visible()
    sound(page, "builder-options")
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("Waits for approval.")).to_be_visible()

    page = open_page(address, 390, manager)
    sound(page, "approval")
    page.get_by_role("button", name="Approve").click()

    page = open_page(address, 1280, rita)
    page.get_by_role("button", name="Send quote").click()
    expect(page.get_by_role("heading", name="With the buyer")).to_be_visible()
    sound(page)
    sent = Quote.objects.get(pk=quote.pk)

    page = open_page(f"/quotes/{sent.token}/", 390)
    sound(page, "buyer")
    page.get_by_role("link", name="Choose option B").click()
    expect(page.get_by_role("radio", name=re.compile("Option B"))).to_be_checked()
    page.get_by_role("button", name="Accept and sign").click()
    expect(page.get_by_text("Tick this to accept the quote.")).to_be_visible()
    page.complaints[:] = [words for words in page.complaints if "422" not in words]  # the refused form itself
    sound(page, "buyer-errors")
    sign(page)
    expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    sound(page, "buyer-signed")
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
