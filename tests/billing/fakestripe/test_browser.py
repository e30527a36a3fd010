"""Our stand-in for Stripe.js in a real browser, under the site's strict policy."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

KEY = "pk_test_" + "t" * 24
MOUNT = """([key, options]) => {
    window.stripe = Stripe(key);
    window.elements = stripe.elements(options);
    window.card = elements.create("payment", {fields: {billingDetails: {address: "never"}}});
    window.changes = [];
    card.on("change", (event) => changes.push(event));
    return new Promise((ready) => { card.on("ready", () => ready(true)); card.mount("#card"); });
}"""


@pytest.fixture
def page(real_browser, live_server, settings, fake):
    settings.ROOT_URLCONF = "tests.billing.fakestripe.pages"
    fake.base_url = f"{live_server.url}/fakestripe"
    context = real_browser.new_context(viewport={"width": 480, "height": 800})
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(f"{live_server.url}/pay/")
    assert page.evaluate(MOUNT, [KEY, {"mode": "payment", "amount": 2000, "currency": "usd"}])
    yield page
    context.close()


def type_card(page, number="4242424242424242", expiry="1234", cvc="123"):
    page.get_by_label("Card number").press_sequentially(number)
    page.get_by_label("Expiry date").press_sequentially(expiry)
    page.get_by_label("Security code").press_sequentially(cvc)


def value(page, label):
    return page.get_by_label(label).input_value()


def test_it_groups_and_moves_on_while_typing(page):
    page.get_by_label("Card number").focus()
    page.keyboard.type("42424242424242421234123")
    assert value(page, "Card number") == "4242 4242 4242 4242"
    assert value(page, "Expiry date") == "12 / 34"
    assert value(page, "Security code") == "123"
    last = page.evaluate("changes.at(-1)")
    assert (last["complete"], last["brand"], last["elementType"]) == (True, "visa", "payment")
    assert page.locator(".fakestripe-brand").inner_text() == "Visa"
    assert page.complaints == []


def test_it_keeps_the_caret_while_a_digit_is_mended(page):
    field = page.get_by_label("Card number")
    field.press_sequentially("4242424242424241")
    for _ in range(11):
        field.press("ArrowLeft")
    field.press("Backspace")
    field.press("2")
    assert field.evaluate("field => field.selectionStart") < 12


def test_it_knows_amex(page):
    type_card(page, "378282246310005", cvc="1234")
    assert value(page, "Card number") == "3782 822463 10005"
    assert value(page, "Security code") == "1234"


def test_it_sends_no_card_data_with_the_pages_form(page):
    type_card(page)
    inputs = "[...document.forms[0].elements].filter((one) => one.tagName === 'INPUT').map((one) => one.name)"
    assert page.evaluate(inputs) == ["session"]
    assert page.locator("#card input[name], #card input[autocomplete^=cc]").count() == 0
    page.locator("#send").click()
    page.wait_for_url("**/sent/**")
    assert page.locator("p").inner_text() == "session=cs_1"


def test_it_sends_the_pages_form_on_enter(page):
    type_card(page)
    page.get_by_label("Security code").press("Enter")
    page.wait_for_url("**/sent/?session=cs_1")


WRONG = [
    ({"number": "4242424242424241"}, "Card number", "Your card number is invalid."),
    ({"number": "42424242"}, "Card number", "Your card number is incomplete."),
    ({"expiry": "0120"}, "Expiry date", "Your card's expiration date is in the past."),
    ({"cvc": "1"}, "Security code", "Your card's security code is incomplete."),
]


@pytest.mark.parametrize(("typed", "label", "words"), WRONG)
def test_it_says_what_is_wrong_beside_the_field(page, typed, label, words):
    type_card(page, **typed)
    error = page.evaluate("elements.submit().then((result) => result.error)")
    assert (error["type"], error["message"]) == ("validation_error", words)
    field = page.get_by_label(label)
    assert field.get_attribute("aria-invalid") == "true"
    told = page.locator(f"#{field.get_attribute('aria-describedby')}")
    assert told.inner_text() == words
    assert field.evaluate("field => field === document.activeElement")


def test_it_makes_a_payment_method(page, fake):
    type_card(page)
    details = {"billing_details": {"name": "Alice", "address": {"postal_code": "10115", "line2": ""}}}
    made = page.evaluate("(params) => stripe.createPaymentMethod({elements, params})", details)
    row = fake.rows("payment_method")[0]
    assert made["paymentMethod"]["id"] == row["id"]
    assert (row["card"]["last4"], row["card"]["exp_year"]) == ("4242", 2034)
    assert row["billing_details"]["address"]["postal_code"] == "10115"
    assert page.complaints == []


def test_it_makes_a_confirmation_token(page, fake, api, customer):
    type_card(page)
    page.evaluate("elements.update({setupFutureUsage: 'off_session'})")
    made = page.evaluate(
        "stripe.createConfirmationToken({elements, params: {return_url: 'https://a.example/'}})"
    )
    token = made["confirmationToken"]
    assert (token["setup_future_usage"], token["return_url"]) == ("off_session", "https://a.example/")
    params = {"amount": 500, "currency": "usd", "customer": customer, "confirm": True}
    assert api.payment_intents.create({**params, "confirmation_token": token["id"]}).status == "succeeded"


def test_it_shows_what_the_stand_in_refuses(page):
    type_card(page, "4000056655665556")
    page.get_by_label("Card number").fill("4111 1111 1111 1111")
    made = page.evaluate("stripe.createPaymentMethod({elements})")
    assert made["error"]["decline_code"] == "test_mode_live_card"


@pytest.fixture
def intent(api, customer):
    return api.payment_intents.create({"amount": 2000, "currency": "usd", "customer": customer})


CONFIRM = "(clientSecret) => stripe.confirmPayment({elements, clientSecret, redirect: 'if_required'})"


def test_it_confirms_a_payment(page, intent, api):
    type_card(page)
    result = page.evaluate(CONFIRM, intent.client_secret)
    assert result["paymentIntent"]["status"] == "succeeded"
    assert api.payment_intents.retrieve(intent.id).amount_received == 2000


def test_it_tells_a_decline(page, intent):
    type_card(page, "4000000000009995")
    error = page.evaluate(CONFIRM, intent.client_secret)["error"]
    assert (error["type"], error["decline_code"]) == ("card_error", "insufficient_funds")
    assert error["payment_intent"]["status"] == "requires_payment_method"


@pytest.mark.parametrize(
    ("button", "status"), [("Complete", "succeeded"), ("Fail", "requires_payment_method")]
)
def test_it_asks_for_3d_secure_in_the_page(page, intent, api, button, status):
    type_card(page, "4000002500003155")
    page.evaluate(f"(secret) => {{ window.end = ({CONFIRM})(secret); }}", intent.client_secret)
    dialog = page.get_by_role("dialog", name="3-D Secure test page")
    dialog.get_by_role("button", name=button).click()
    result = page.evaluate("end")
    assert ("error" in result) == (button == "Fail")
    assert api.payment_intents.retrieve(intent.id).status == status
    assert page.locator("dialog").count() == 0


def test_it_goes_to_the_return_address_when_told(page, intent, live_server):
    type_card(page)
    script = """([clientSecret, return_url]) => {
        stripe.confirmPayment({elements, clientSecret, confirmParams: {return_url}}); }"""
    page.evaluate(script, [intent.client_secret, f"{live_server.url}/sent/?a=1"])
    page.wait_for_url("**/sent/**")
    told = page.locator("p").inner_text()
    assert told.startswith("a=1&payment_intent=pi_")
    assert told.endswith("redirect_status=succeeded")


def test_it_takes_up_a_next_action_on_the_banks_page(page, pay, live_server, api):
    waiting = pay("pm_card_authenticationRequired", return_url=f"{live_server.url}/sent/")
    page.evaluate("(clientSecret) => { stripe.handleNextAction({clientSecret}); }", waiting.client_secret)
    page.get_by_role("button", name="Complete").click()
    page.wait_for_url("**/sent/**")
    assert api.payment_intents.retrieve(waiting.id).status == "succeeded"
    assert page.complaints == []


def test_it_confirms_a_setup(page, api, customer):
    setup = api.setup_intents.create({"customer": customer})
    type_card(page)
    script = "(clientSecret) => stripe.confirmSetup({elements, clientSecret, redirect: 'if_required'})"
    result = page.evaluate(script, setup.client_secret)
    assert result["setupIntent"]["status"] == "succeeded"
    assert len(api.customers.payment_methods.list(customer).data) == 1


def test_it_fills_in_a_test_card(page):
    page.get_by_text("Test mode: use a test card").click()
    page.get_by_role("button", name="Asks for 3-D Secure").click()
    assert value(page, "Card number") == "4000 0025 0000 3155"
    assert page.evaluate("changes.at(-1).complete")


def test_it_says_when_the_network_is_gone(page, live_server):
    type_card(page)
    page.context.set_offline(True)
    error = page.evaluate("stripe.createPaymentMethod({elements}).then((made) => made.error)")
    page.context.set_offline(False)
    assert error["type"] == "api_connection_error"


@pytest.mark.parametrize("key", ["pk_live_" + "a" * 24, "pk_test_short", "sk_test_" + "a" * 24, ""])
def test_it_takes_test_keys_only(page, key):
    refused = "(key) => { try { Stripe(key); } catch (error) { return error.message; } return ''; }"
    assert "pk_test_" in page.evaluate(refused, key)


def test_it_is_open_to_everybody(page):
    from axe_playwright_python.sync_playwright import Axe

    page.get_by_text("Test mode: use a test card").click()
    page.evaluate("elements.submit()")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
