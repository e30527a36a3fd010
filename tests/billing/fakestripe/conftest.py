import pytest
import stripe

from billing.fakestripe import FakeStripeHTTPClient

KEY = "sk_test_" + "t" * 24


@pytest.fixture
def fake(fake_stripe):
    return fake_stripe


@pytest.fixture
def api(fake_stripe):
    """The stripe library, talking to the stand-in."""
    return stripe.StripeClient(KEY, http_client=FakeStripeHTTPClient(fake_stripe), max_network_retries=0).v1


@pytest.fixture
def customer(api):
    return api.customers.create({"email": "alice@example.com", "name": "Alice"}).id


@pytest.fixture
def pay(api, customer):
    """Pay 20.00 USD; more parameters as Stripe has them."""

    def pay(payment_method="pm_card_visa", key=None, **more):
        params = {"amount": 2000, "currency": "usd", "customer": customer, "confirm": True, **more}
        options = {"idempotency_key": key} if key else {}
        return api.payment_intents.create({**params, "payment_method": payment_method}, options)

    return pay


@pytest.fixture
def browser(fake_stripe):
    """Call as a browser does: with the publishable key, form-encoded."""
    from urllib.parse import urlencode

    def call(method, path, **params):
        headers = {"Authorization": "Bearer pk_test_" + "t" * 24}
        return fake_stripe.handle(method, path, headers, urlencode(params))

    return call


CARD = {"type": "card", "card[exp_month]": "12", "card[exp_year]": "2034", "card[cvc]": "123"}


@pytest.fixture
def typed(browser):
    """A payment method from a typed card number, as our stripe.js makes it."""

    def typed(number, **more):
        answer = browser("POST", "/v1/payment_methods", **{**CARD, "card[number]": number, **more})
        return answer.json

    return typed
