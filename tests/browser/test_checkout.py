"""Buying in a real browser, on a phone and at a desk: it works, by keyboard too, and talks to nobody else."""

import os

import pytest

from billing.models import Customer, Invoice, Payment
from checkout.models import CheckoutSession
from config import chromium as installed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
# Every script of the payment page, and why it is there.
SCRIPTS = {
    "/static/tandem/tandem.js": "steppers, one submit at a time",
    "/static/vendor/htmx/htmx.min.js": "the live summary",
    "/static/fakestripe/v1/stripe.js": "the card field (Stripe's own, with a real key)",
    "/static/checkout/checkout.js": "a token from the card field",
}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=installed.find_chromium(), args=FLAGS)
        yield opened
        opened.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(live_server, settings, tmp_path, monkeypatch):
    """The shipped catalogue on a live server, with a stand-in in a file, which threads can share."""
    import stripe

    from billing import gateway
    from billing.catalogue import ship
    from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, SqliteStore, site
    from checkout import catalogue as shipped
    from tests.fixtures_billing import NOON
    from tests.fixtures_stripe import KEY

    ship(now=NOON)
    shipped.ship(now=NOON)
    settings.SITE_URL = live_server.url
    store = SqliteStore(tmp_path / "stripe.sqlite3")
    fake = FakeStripe(store, base_url=f"{live_server.url}/fakestripe", sleep=lambda seconds: None)
    http = FakeStripeHTTPClient(fake)
    monkeypatch.setattr(stripe, "default_http_client", http)
    site.give(fake)
    with gateway.use(gateway.Gateway(gateway.client(http, KEY))):
        yield live_server.url
    site.give(None)


@pytest.fixture(params=[390, 1280])
def page(request, browser, site):
    context = browser.new_context(viewport={"width": request.param, "height": 860})
    opened = context.new_page()
    opened.complaints, opened.hosts, opened.scripts = [], set(), set()
    opened.on("console", lambda m: m.type in ("error", "warning") and opened.complaints.append(m.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda r: opened.hosts.add(r.url.split("/")[2]))
    opened.on("request", lambda r: r.resource_type == "script" and opened.scripts.add(r.url.split("?")[0]))
    yield opened
    assert opened.hosts == {site.split("/")[2]}
    context.close()


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


# What a finger cannot hit on a phone: less than 44 px high, and no word inside a sentence. A label counts with its box.
TOO_SMALL = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary, textarea')]
    .filter(one => {
        const box = (one.closest('label') ?? one.labels?.[0] ?? one).getBoundingClientRect()
        const own = one.getBoundingClientRect()
        const seen = own.width > 1 && own.height > 1 && own.right > 0 && getComputedStyle(one).visibility !== 'hidden'
        const inText = one.closest('p, dd, footer, .visually-hidden, .skip, .fakestripe, #card-element')
        return seen && !inText && Math.max(box.height, own.height) < 43.5
    })
    .map(one => `${one.tagName} ${one.innerText || one.name} ${one.className}`)"""


def sound(page):
    """No complaint of the browser, no finding of axe, no sideways scrolling, nothing too small for a finger."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.viewport_size["width"] > 640 or page.evaluate(TOO_SMALL) == []
    assert page.complaints == []


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


def test_a_double_click_buys_once(page, site):
    begin(page, site)
    fill(page)
    page.dblclick("button[value=pay]")
    page.wait_for_url("**/receipt/")
    assert CheckoutSession.objects.get().attempts == 1


def test_the_bank_asks(page, site):
    begin(page, site, plan="starter")
    fill(page, card="4000002760003184")
    page.click("button[value=pay]")
    page.wait_for_url("**/challenge/**")
    page.click("button[value=complete]")
    page.wait_for_url("**/receipt/")
    assert page.complaints == []


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


@pytest.fixture
def phone(browser, site):
    """One narrow page, for what does not depend on the width."""
    context = browser.new_context(viewport={"width": 390, "height": 860})
    opened = context.new_page()
    opened.complaints = []
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    yield opened
    context.close()


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


def test_a_long_name_from_right_to_left_fits(page, site):
    long_name = "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 4
    begin(page, site, plan="starter")
    fill(page)
    page.fill("#id_company", long_name)
    sound(page)
    page.click("button[value=pay]")
    page.wait_for_url("**/receipt/")
    sound(page)
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/receipt-{page.viewport_size['width']}.png", full_page=True)
    assert Customer.objects.get().name == long_name


def test_a_large_company_is_told_and_handed_over(page, site):
    begin(page, site)
    fill(page, employees="250")
    page.click("text=Continue with our team")
    page.wait_for_selector("text=Someone from our team writes to ada@nova.example")
    sound(page)


def test_seats_and_interval_change_what_is_due(page, site):
    begin(page, site)
    page.click("[aria-label=More]")
    page.locator("#pay-label", has_text="$116.00").wait_for()
    page.click("text=Yearly")
    page.locator("#pay-label", has_text="$1,160.00").wait_for()
    sound(page)


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
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "pay"
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt/")


def test_without_scripts_everything_but_the_card_works(browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 860}, java_script_enabled=False)
    page = context.new_page()
    begin(page, site)
    page.fill("#id_quantity", "5")
    page.select_option("#id_country", "DE")
    page.click(".summary-panel__toggle")
    page.click("text=Apply")
    page.locator(".summary-panel__total", has_text="$172.55").wait_for()
    assert "The card form needs JavaScript" in page.content()
    context.close()
