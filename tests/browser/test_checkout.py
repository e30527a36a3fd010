"""Buying in a real browser, on a phone and at a desk: it works, by keyboard too, and talks to nobody else."""

from decimal import Decimal
from itertools import pairwise

import pytest

from billing.models import Customer, Discount, Invoice, Payment
from checkout.models import CheckoutSession
from tests.browser.looking import sound

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# Every script of the payment page, and why it is there.
SCRIPTS = {
    "/static/tandem/tandem.js": "steppers, one submit at a time",
    "/static/vendor/htmx/htmx.min.js": "the live summary",
    "/static/fakestripe/v1/stripe.js": "the card field (Stripe's own, with a real key)",
    "/static/checkout/checkout.js": "a token from the card field",
}


@pytest.fixture(params=[390, 1280])
def page(request, open_page):
    return open_page(width=request.param)


@pytest.fixture
def phone(open_page):
    """One narrow page, for what does not depend on the width."""
    return open_page(width=390)


def begin(page, site, plan="pro"):
    page.goto(f"{site}/pricing/")
    page.click(f"#{plan} button[type=submit]")
    page.wait_for_url("**/checkout/*/")


def type_card(page, number):
    """Into the card's own fields; what they held is gone with every page."""
    fields = page.locator(".fakestripe-input")
    for field, text in enumerate((number, "1230", "123")):
        fields.nth(field).click()
        page.keyboard.type(text)


def fill(page, card="4242424242424242", employees="12"):
    page.fill("#id_email", "ada@nova.example")
    page.fill("#id_name", "Ada Lovelace")
    page.fill("#id_company", "Nova Robotics")
    page.fill("#id_employees", employees)
    page.select_option("#id_country", "DE")
    page.locator("#summary", has_text="19%").wait_for(state="attached")
    page.fill("#id_line1", "Hauptstr. 1")
    page.fill("#id_postal_code", "53111")
    page.fill("#id_city", "Bonn")
    if employees == "12":
        if card:
            type_card(page, card)
        page.check("#id_terms")


def test_a_card_buys(page, site):
    begin(page, site)
    sound(page)
    assert {script.removeprefix(site) for script in page.scripts} == set(SCRIPTS)
    fill(page)
    sound(page)
    page.click("button[value=pay]")
    page.wait_for_url("**/receipt/")
    assert "We received $103.53" in page.inner_text("main")
    sound(page)
    page.go_back()
    page.wait_for_url("**/receipt/")
    assert CheckoutSession.objects.get().status == "completed"


def test_a_double_click_buys_once(phone, site):
    begin(phone, site)
    fill(phone)
    phone.dblclick("button[value=pay]")
    phone.wait_for_url("**/receipt/")
    assert CheckoutSession.objects.get().attempts == 1


def test_a_press_outlasts_the_new_summary(phone, site):
    """The last field left is left by pressing the button, and a finger is slower than the server's answer."""
    begin(phone, site, plan="starter")
    fill(phone)
    phone.fill("#id_company", "Nova Robotics and Daughters")
    button = phone.locator("button[value=pay]")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    phone.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    with phone.expect_response(lambda answer: answer.request.headers.get("hx-request")):
        phone.mouse.down()
    phone.wait_for_timeout(200)  # until the answer stands on the page
    phone.mouse.up()
    phone.wait_for_url("**/receipt/")
    assert Customer.objects.get().name == "Nova Robotics and Daughters"


@pytest.mark.parametrize("held", [True, False])
def test_a_press_that_meets_another_way_to_order_is_answered(phone, site, held):
    """The last entry makes the order one for a person. A press of that moment, be it still held or already at work, buys
    nothing and is not lost without a word."""
    begin(phone, site)
    fill(phone)
    phone.fill("#id_employees", "250")
    button = phone.locator("#pay")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    phone.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    phone.mouse.down()
    if held:
        phone.wait_for_selector("text=Continue with our team")
    phone.mouse.up()
    phone.wait_for_selector("text=press the button again")
    assert phone.evaluate("document.activeElement.id") == "pay"
    assert (phone.get_attribute("#pay", "aria-busy"), CheckoutSession.objects.get().attempts) == (None, 0)
    sound(phone)
    phone.keyboard.press("Enter")
    phone.wait_for_selector("text=Someone from our team writes to ada@nova.example")


def test_the_bank_asks(phone, site):
    begin(phone, site, plan="starter")
    fill(phone, card="4000002760003184")
    phone.click("button[value=pay]")
    phone.wait_for_url("**/challenge/**")
    phone.click("button[value=complete]")
    phone.wait_for_url("**/receipt/")
    assert phone.complaints == []


def press_again(page, card="4242424242424242"):
    """Another card, after the first came to nothing: all but the card is still there."""
    assert page.input_value("#id_company") == "Nova Robotics"
    type_card(page, card)
    page.check("#id_terms")
    page.click("button[value=pay]")
    page.wait_for_url("**/receipt/")


def test_a_declined_card_is_replaced(page, site):
    begin(page, site, plan="starter")
    fill(page, card="4000000000009995")
    page.click("button[value=pay]")
    page.wait_for_selector("text=does not have enough funds")
    sound(page)
    press_again(page)
    assert Invoice.objects.filter(status="paid").count() == 1


def test_it_says_what_is_missing_and_keeps_the_card(phone, site):
    begin(phone, site, plan="starter")
    type_card(phone, "4242424242424242")
    phone.fill("#id_email", "ada@")
    phone.click("button[value=pay]")
    phone.wait_for_selector("#id_company_missing")
    assert phone.evaluate("document.activeElement.id") == "id_email"
    said = phone.locator("form [aria-invalid=true]").evaluate_all("all => all.map(one => one.name)")
    assert said == ["email", "name", "company", "employees", "country", "line1", "city", "terms"]
    sound(phone)
    fill(phone, card="")
    assert phone.locator("[aria-invalid=true], .field__error:visible").count() == 0
    phone.click("button[value=pay]")
    phone.wait_for_url("**/receipt/")


def test_the_bank_says_no_and_another_card_pays(phone, site):
    begin(phone, site, plan="starter")
    fill(phone, card="4000002760003184")
    phone.click("button[value=pay]")
    phone.wait_for_url("**/challenge/**")
    phone.click("button[value=fail]")
    phone.wait_for_selector("text=Your card was not charged")
    sound(phone)
    press_again(phone)
    assert Payment.objects.filter(status="succeeded").count() == 1


def test_who_leaves_the_bank_goes_on_or_takes_another_card(phone, site):
    begin(phone, site, plan="starter")
    here = phone.url
    fill(phone, card="4000002760003184")
    phone.click("button[value=pay]")
    phone.wait_for_url("**/challenge/**")
    phone.goto(here)
    phone.wait_for_selector("text=Nothing is charged until you confirm it there.")
    sound(phone)
    assert "/challenge/" in phone.get_attribute("text=Confirm with my bank", "href")
    phone.click("text=Use another card")
    phone.wait_for_selector("#checkout-form")
    press_again(phone)
    assert Invoice.objects.filter(status="paid").count() == 1


def test_two_tabs_buy_once(phone, site):
    begin(phone, site, plan="starter")
    other = phone.context.new_page()
    other.goto(phone.url)
    fill(other)
    fill(phone)
    phone.click("button[value=pay]")
    phone.wait_for_url("**/receipt/")
    other.click("button[value=pay]")
    other.wait_for_url("**/receipt/")
    assert (Invoice.objects.count(), Payment.objects.count()) == (1, 1)


def test_a_long_name_from_right_to_left_fits(phone, site):
    long_name = "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 4
    begin(phone, site, plan="starter")
    fill(phone)
    phone.fill("#id_company", long_name)
    sound(phone)
    phone.click("button[value=pay]")
    phone.wait_for_url("**/receipt/")
    sound(phone)
    assert Customer.objects.get().name == long_name


@pytest.fixture
def nova(site):
    """A known customer with two cards, and a session of its own; the second card is the default, and declined."""
    from datetime import timedelta

    from django.utils import timezone

    from billing import cards, customers
    from checkout import sessions

    now = timezone.now() - timedelta(minutes=1)
    nova = customers.create(
        name="Nova Robotics", email="ada@nova.example", country="DE", employees=12, livemode=False, now=now,
        actor="user:1", billing_address={"line1": "Hauptstr. 1", "postal_code": "53111", "city": "Bonn"},
    )  # fmt: skip
    for card in ("pm_card_mastercard", "pm_card_chargeCustomerFail"):
        cards.save(customer=nova, payment_method=card, now=now, actor="user:1")
    return sessions.start(
        plan="pro", interval="month", quantity=3, now=now, livemode=False, customer=nova, origin="api"
    )


def test_a_saved_card_pays_and_a_declined_one_gives_way(phone, site, nova):
    phone.goto(f"{site}/checkout/{nova.token}/")
    assert phone.is_checked("label:has-text('Visa •••• 0341') input")
    assert phone.locator("#card-element").is_hidden()
    sound(phone)
    phone.click("text=Use another card")
    phone.locator("#card-element").wait_for()
    sound(phone)
    phone.click("text=Visa •••• 0341")
    phone.click("button[value=pay]")
    phone.wait_for_selector("#id_terms_missing")
    phone.check("#id_terms")
    phone.click("button[value=pay]")
    phone.wait_for_selector("text=Your card was not charged")
    assert phone.is_checked("label:has-text('Mastercard •••• 4444') input")
    sound(phone)
    phone.click("button[value=pay]")
    phone.wait_for_url("**/receipt/")
    sound(phone)
    assert Payment.objects.get(status="succeeded").payment_method.last4 == "4444"


def test_a_saved_card_needs_no_scripts(open_page, site, nova):
    page = open_page(width=390, scripts=False)
    page.goto(f"{site}/checkout/{nova.token}/")
    page.click("text=Mastercard •••• 4444")
    page.check("#id_terms")
    page.fill("#id_city", "Berlin")
    page.press("#id_city", "Enter")  # takes over what was typed, and does not pay
    page.wait_for_url("**#summary")
    assert (page.input_value("#id_city"), Payment.objects.count()) == ("Berlin", 0)
    page.click("text=Mastercard •••• 4444")
    page.check("#id_terms")
    assert "The card form needs JavaScript" not in page.inner_text("main")
    page.click("button[value=pay]")
    page.wait_for_url("**/receipt/")
    assert Payment.objects.get(status="succeeded").payment_method.last4 == "4444"


def test_a_large_company_is_told_and_handed_over(phone, site):
    begin(phone, site)
    fill(phone, employees="250")
    phone.click("text=Continue with our team")
    phone.wait_for_selector("text=Someone from our team writes to ada@nova.example")
    sound(phone)


def test_seats_and_interval_change_what_is_due(phone, site):
    begin(phone, site)
    phone.click("[aria-label=More]")
    phone.locator("#pay-label", has_text="$116.00").wait_for()
    phone.click("text=Yearly")
    phone.locator("#pay-label", has_text="$1,160.00").wait_for()
    sound(phone)


def test_a_new_country_brings_its_words_however_fast_one_types(phone, site):
    """Of the requests that wait for the first answer the last alone is made, and the country's is not the last."""
    begin(phone, site, plan="starter")
    typed = {"employees": "12", "country": "DE", "line1": "Hauptstr. 1", "city": "Bonn"}
    phone.evaluate(
        """typed => Object.entries(typed).forEach(([name, value]) => {
            const field = document.getElementById(`id_${name}`)
            field.value = value
            field.dispatchEvent(new Event("change", {bubbles: true}))
        })""",
        typed,
    )
    phone.locator("label[for=id_tax_id]", has_text="VAT number").wait_for()
    assert [phone.input_value(f"#id_{name}") for name in ("line1", "city")] == ["Hauptstr. 1", "Bonn"]
    assert not phone.is_visible("#id_state")


def test_a_code_counts_when_it_is_typed_and_the_return_key_does_not_pay(phone, site):
    Discount.objects.create(code="TEN", percent_off=Decimal(10), duration="once")
    begin(phone, site)
    fill(phone)
    phone.click(".summary-panel__toggle")
    for code, words in (("NINE", "We do not know this code."), ("TEN", "TEN is applied")):
        phone.fill("#id_promotion_code", code)
        phone.press("#id_promotion_code", "Enter")
        phone.locator("#promotion-note", has_text=words).wait_for()
        assert phone.url.endswith("/checkout/" + phone.url.split("/")[4] + "/")
    sound(phone)
    phone.fill("#id_promotion_code", "")
    phone.click("#id_city")
    phone.locator("#pay-label", has_text="$103.53").wait_for()
    phone.fill("#id_promotion_code", "TEN")
    phone.click("button[value=pay]")
    phone.wait_for_url("**/receipt/")
    assert Invoice.objects.get().discount_total == 8_70


def test_the_public_pages_are_open_to_everybody(page, site):
    for address in (
        "/pricing/?interval=year",
        "/contact-sales/?plan=enterprise",
        "/checkout/start/?plan=pro&seats=3",
    ):
        page.goto(site + address)
        sound(page)


def test_it_buys_by_keyboard_alone(page, site):
    begin(page, site, plan="starter")
    fill(page)
    page.focus("#id_terms")
    for words in ("terms of service", "privacy policy"):
        page.keyboard.press("Tab")
        assert words in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "pay"
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt/")


def test_a_phone_is_read_in_the_order_in_which_it_is_walked(open_page, site):
    page = open_page(width=390)
    begin(page, site)
    tops = page.evaluate(
        """() => [...document.querySelectorAll('main :is(a, button, input:not([type=hidden]), select, summary)')]
            .filter(one => one.checkVisibility() && !one.closest('#card-element'))
            .map(one => [one.getBoundingClientRect().top + scrollY, one.id || one.name || one.innerText])"""
    )
    assert [name for top, name in tops if "Your order" in name] == [tops[0][1]]
    for (top, name), (below, after) in pairwise(tops):
        assert below > top - 30, (name, after)


def test_without_scripts_everything_but_the_card_works(open_page, site):
    page = open_page(width=390, scripts=False)
    begin(page, site)
    page.fill("#id_quantity", "5")
    page.select_option("#id_country", "DE")
    page.click(".summary-panel__toggle")
    page.click("text=Apply")
    page.locator(".summary-panel__total", has_text="$172.55").wait_for()
    assert "The card form needs JavaScript" in page.content()
