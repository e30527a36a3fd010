"""Every page of the portal in a real browser, for a customer with a long name from right to left: readable, and sound."""

import pytest
from playwright.sync_api import expect

from billing import cards, customers, subscribing
from billing.models import PaymentMethod, Plan
from tests.browser.looking import sound
from tests.browser.test_checkout import type_card

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAME = "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 4
PAGES = ("", "usage/", "invoices/", "team/", "plan/", "plan/features/", "payment/", "payment/card/", "details/",
         "quotes/", "help/")  # fmt: skip


@pytest.fixture
def member(site, make_customer):
    """(the user, the subscription) of somebody who has a bit of everything."""
    customer = make_customer(name=NAME)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    subscription = subscribing.subscribe(
        customer=customer, plan=Plan.objects.get(code="pro"), interval="month", quantity=3, now=customer.now,
        actor="system", origin="api",
    )  # fmt: skip
    subscribing.bill_now(subscription=subscription, now=customer.now, actor="system")
    someone = customers.add_member(
        customer=customer, email="ada@nova.example", role="owner", now=customer.now, actor="system"
    )
    return someone.user, subscription


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_sound(open_page, member, width):
    user, subscription = member
    page = open_page("/portal/", width, user)
    change = f"plan/{subscription.pk}/?plan=pro&interval=year&quantity=5"
    for address in (*PAGES, change, f"invoices/{subscription.invoices.get().pk}/"):
        page.goto(f"{page.site}/portal/{address}")
        assert page.locator("h1").count() == 1, address
        sound(page)
    page.set_viewport_size({"width": 320, "height": 640})  # what 1280 px are at 400 %
    for address in (*PAGES, change):
        page.goto(f"{page.site}/portal/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") == 320, address


def test_what_is_chosen_shows_in_colours_of_the_readers_own(open_page, member):
    """Grounds and shadows are not drawn then."""
    page = open_page("/portal/usage/", 390, member[0])
    page.emulate_media(forced_colors="active")
    looks = """name => {
        const seen = getComputedStyle(document.querySelector(name))
        return [seen.backgroundColor, seen.color, seen.borderTopWidth]
    }"""
    chosen, other = (
        page.evaluate(looks, f".bottomnav a{which}") for which in ("[aria-current]", ":not([aria-current])")
    )
    assert chosen[0] != other[0]
    assert chosen[1] != other[1]
    assert page.evaluate(looks, ".bar")[2] == "1px"


def test_cards_are_added_chosen_removed_and_told_when_they_are_over(open_page, member):
    user, _ = member
    PaymentMethod.objects.update(exp_month=1, exp_year=2020)  # the one that the customer has
    page = open_page("/portal/payment/", 390, user)
    expect(page.get_by_text("Expired")).to_be_visible()
    sound(page, "cards-expired")

    page.get_by_role("link", name="Add a card").click()
    type_card(page, "4000000000000002")
    page.get_by_role("button", name="Save the card").click()
    expect(page.locator(".alert--bad, #card-error:not(:empty)").first).to_be_visible()
    page.goto(f"{page.site}/portal/payment/card/")
    type_card(page, "5555555555554444")
    page.get_by_role("button", name="Save the card").click()
    page.wait_for_url("**/portal/payment/")
    mine = page.locator(".list > li", has_text="Mastercard")
    expect(mine.get_by_text("Default")).to_be_visible()

    old = page.locator(".list > li", has_text="Visa")
    old.get_by_role("button", name="Use this").click()
    expect(page.get_by_text("Default")).to_have_count(1)
    mine.get_by_role("button", name="Use this").click()
    expect(mine.get_by_text("Default")).to_be_visible()
    old.get_by_text("Remove").first.click()
    old.get_by_role("button", name="Remove Visa").press("Enter")
    expect(page.locator(".list > li")).to_have_count(1)
    page.complaints[:] = [
        words for words in page.complaints if "status of 4" not in words
    ]  # the declined card
    sound(page, "cards")
