"""Sales' own screens in a real browser: the board by hand and by mouse, and rules that are tried."""

import pytest
from playwright.sync_api import expect

from billing.models import User
from sales import deals
from sales.models import Deal, Rule
from tests.browser.looking import sound
from tests.fixtures_billing import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def in_column(page, stage):
    return page.locator(f"[data-stage={stage}] .board__card")


def test_cards_are_dragged_refused_and_put_back(open_page, people, make_customer):
    rita: User = people[0]
    customer = make_customer(name="Nova")
    rows = [
        deals.open_deal(name=name, customer=customer, now=NOON, amount=1000_00)
        for name in ("First", "Second")
    ]
    page = open_page("/admin/sales/deal/board/", 1280, rita)
    sound(page)
    in_column(page, "discovery").filter(has_text="First").drag_to(page.locator("[data-stage=negotiation]"))
    expect(page.get_by_text("First: negotiation.")).to_be_visible()
    expect(in_column(page, "negotiation")).to_have_count(1)
    assert Deal.objects.get(pk=rows[0].pk).stage == "negotiation"

    deals.set_stage(deal=rows[1], stage="won", now=NOON, actor="user:1")  # a colleague was faster
    in_column(page, "discovery").drag_to(page.locator("[data-stage=proposal]"))
    expect(page.get_by_text("this deal is “won” by now")).to_be_visible()
    expect(in_column(page, "proposal")).to_have_count(0)

    page.context.set_offline(True)
    in_column(page, "negotiation").drag_to(page.locator("[data-stage=proposal]"))
    expect(page.get_by_text("It was not moved")).to_be_visible()
    expect(in_column(page, "negotiation")).to_have_count(1)
    page.context.set_offline(False)

    page.get_by_label("Move to").select_option("lost")
    page.get_by_role("button", name="Move", exact=True).press("Enter")
    expect(page.get_by_text("First: lost.")).to_be_visible()
    in_column(page, "lost").drag_to(page.locator("[data-stage=won]"))
    expect(page.get_by_text("It may go to: Discovery, Proposal, Negotiation.")).to_be_visible()
    page.complaints[:] = [words for words in page.complaints if "DISCONNECTED" not in words]
    sound(page)


def test_a_rule_is_tried_by_keyboard_on_a_phone(open_page, people, make_customer):
    make_customer(name="Nova", email="ada@nova.example", employees=60)
    rule = Rule.objects.get(code="company_size")
    page = open_page(f"/admin/sales/rule/{rule.pk}/try/", 390, people[0])
    page.get_by_label("Customer").fill("Nova")
    page.get_by_label("Threshold").fill("50")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="It would fire now")).to_be_visible()
    sound(page)
    assert Rule.objects.get(pk=rule.pk).threshold == 100
