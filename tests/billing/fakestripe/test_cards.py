"""Every test card of Stripe does here what it does there."""

import pytest
import stripe

from billing.fakestripe.cards import BY_NAME, CARDS, passes_luhn

DECLINES = [
    ("4000000000000002", "pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    ("4000000000000002", "pm_card_chargeDeclined", "card_declined", "generic_decline"),
    (
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
    ),
    ("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("4000000000000119", "pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    (
        "4000000000006975",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "card_declined",
        "card_velocity_exceeded",
    ),
    ("4000000000000341", "pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ("4100000000000019", "pm_card_radarBlock", "card_declined", "fraudulent"),
]
PAYING = [card for card in CARDS if not card.decline and card.authentication == "never"]
AUTHENTICATING = [card for card in CARDS if card.authentication != "never"]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.key)
def test_it_knows_only_numbers_with_a_right_check_digit(card):
    assert passes_luhn(card.number)


@pytest.mark.parametrize("card", PAYING, ids=lambda card: card.key)
def test_it_pays_with_a_good_card(pay, card):
    intent = pay(card.key, expand=["latest_charge"])
    assert intent.status == "succeeded"
    assert intent.amount_received == 2000
    assert intent.latest_charge.payment_method_details.card.last4 == card.number[-4:]
    assert intent.latest_charge.payment_method_details.card.brand == card.brand


@pytest.mark.parametrize(("number", "name", "code", "decline_code"), DECLINES)
def test_it_declines_by_name(pay, fake, number, name, code, decline_code):
    with pytest.raises(stripe.CardError) as caught:
        pay(name)
    error = caught.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    assert error.error.payment_intent.status == "requires_payment_method"
    assert error.error.payment_intent.last_payment_error.code == code
    assert fake.rows("charge")[0]["status"] == "failed"
    assert fake.rows("charge")[0]["id"] == error.error.charge


@pytest.mark.parametrize(("number", "name", "code", "decline_code"), DECLINES)
def test_it_declines_by_number_in_the_same_way(pay, typed, number, name, code, decline_code):
    with pytest.raises(stripe.CardError) as caught:
        pay(typed(number)["id"])
    assert caught.value.error.decline_code == decline_code


def test_it_lets_the_buyer_try_another_card_on_the_same_intent(pay, api):
    with pytest.raises(stripe.CardError) as caught:
        pay("pm_card_visa_chargeDeclinedInsufficientFunds")
    id = caught.value.error.payment_intent.id
    intent = api.payment_intents.confirm(id, {"payment_method": "pm_card_visa"})
    assert intent.status == "succeeded"
    assert intent.last_payment_error is None
    assert len(api.charges.list({"payment_intent": id}).data) == 2


@pytest.mark.parametrize("card", AUTHENTICATING, ids=lambda card: card.key)
def test_it_asks_for_authentication_on_session(pay, card):
    intent = pay(card.key, return_url="https://shop.example/back?x=1")
    assert intent.status == "requires_action"
    assert intent.next_action.type == "redirect_to_url"
    assert intent.id in intent.next_action.redirect_to_url.url
    assert intent.next_action.redirect_to_url.return_url == "https://shop.example/back?x=1"
    assert intent.latest_charge is None


def test_it_asks_in_the_page_when_there_is_nowhere_to_return_to(pay):
    assert pay("pm_card_authenticationRequired").next_action.type == "use_stripe_sdk"


def test_it_charges_after_authentication(pay, fake, api):
    intent = pay("pm_card_authenticationRequired", return_url="https://shop.example/")
    fake.authenticate(intent.id, ok=True)
    assert api.payment_intents.retrieve(intent.id).status == "succeeded"


def test_it_does_not_charge_after_failed_authentication(pay, fake, api):
    intent = pay("pm_card_authenticationRequired", return_url="https://shop.example/")
    fake.authenticate(intent.id, ok=False)
    after = api.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    assert fake.rows("charge") == []


def test_it_declines_3178_even_after_authentication(pay, fake, api, typed):
    intent = pay(typed("4000008260003178")["id"], return_url="https://shop.example/")
    fake.authenticate(intent.id, ok=True)
    after = api.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error.decline_code == "insufficient_funds"


def test_it_authenticates_once_only(pay, fake):
    intent = pay("pm_card_authenticationRequired", return_url="https://shop.example/")
    fake.authenticate(intent.id, ok=True)
    fake.authenticate(intent.id, ok=False)
    fake.authenticate(intent.id, ok=True)
    assert [charge["status"] for charge in fake.rows("charge")] == ["succeeded"]


def off_session(pay, method):
    return pay(method, off_session=True)


def test_it_declines_3155_off_session_until_it_is_set_up(pay, api, customer):
    method = api.payment_methods.attach("pm_card_authenticationRequiredOnSetup", {"customer": customer}).id
    with pytest.raises(stripe.CardError) as caught:
        off_session(pay, method)
    assert caught.value.code == "authentication_required"
    assert caught.value.error.payment_intent.status == "requires_payment_method"


def test_it_pays_3155_off_session_after_a_payment_that_set_it_up(pay, api, fake, customer):
    intent = pay(
        "pm_card_authenticationRequiredOnSetup",
        setup_future_usage="off_session",
        return_url="https://a.example/",
    )
    fake.authenticate(intent.id)
    method = api.payment_intents.retrieve(intent.id).payment_method
    assert api.payment_methods.retrieve(method).customer == customer
    assert off_session(pay, method).status == "succeeded"


def test_it_pays_3155_off_session_after_a_setup_intent(pay, api, fake, customer):
    params = {
        "customer": customer,
        "payment_method": "pm_card_authenticationRequiredOnSetup",
        "confirm": True,
    }
    setup = api.setup_intents.create({**params, "return_url": "https://a.example/"})
    assert setup.status == "requires_action"
    fake.authenticate(setup.id)
    setup = api.setup_intents.retrieve(setup.id)
    assert setup.status == "succeeded"
    assert off_session(pay, setup.payment_method).status == "succeeded"


def test_it_always_asks_3184(pay, api, fake, customer):
    intent = pay(
        "pm_card_authenticationRequired", setup_future_usage="off_session", return_url="https://a.example/"
    )
    fake.authenticate(intent.id)
    with pytest.raises(stripe.CardError) as caught:
        off_session(pay, api.payment_intents.retrieve(intent.id).payment_method)
    assert caught.value.code == "authentication_required"


def test_it_takes_0446_as_set_up_already(pay, api, customer):
    name = "pm_card_authenticationRequiredSetupForOffSession"
    method = api.payment_methods.attach(name, {"customer": customer}).id
    assert off_session(pay, method).status == "succeeded"


def test_it_declines_a_card_that_expires_while_it_is_saved(pay, api, customer, stripe_clock):
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    stripe_clock.advance(days=800)
    with pytest.raises(stripe.CardError) as caught:
        off_session(pay, method)
    assert caught.value.code == "expired_card"


def test_it_can_refuse_to_save_declining_cards_as_stripe_does(api, fake, customer):
    api.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    fake.declines_attach = True
    with pytest.raises(stripe.CardError):
        api.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    assert (
        api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer}).customer == customer
    )


BAD_TYPING = [
    ({"card[number]": "4242424242424241"}, "incorrect_number", "number"),
    ({"card[number]": "4242"}, "incorrect_number", "number"),
    ({"card[number]": "4929000000006"}, "card_declined", None),
    ({"card[exp_month]": "13"}, "invalid_expiry_month", "exp_month"),
    ({"card[exp_year]": "1995"}, "invalid_expiry_year", "exp_year"),
    ({"card[cvc]": "99"}, "invalid_cvc", "cvc"),
]


@pytest.mark.parametrize(("typing", "code", "param"), BAD_TYPING)
def test_it_refuses_a_card_typed_wrongly(typed, typing, code, param):
    number = typing.get("card[number]", "4242424242424242")
    error = typed(number, **{k: v for k, v in typing.items() if k != "card[number]"})["error"]
    assert (error["type"], error["code"], error.get("param")) == ("card_error", code, param)


def test_it_forgets_the_number(typed, fake):
    typed("4242 4242 4242 4242")
    everything = "".join(body for (body,) in fake.store._open().execute("select body from objects"))
    assert "4242424242424242" not in everything.replace(" ", "")


def test_it_takes_no_card_numbers_from_a_server(fake):
    headers = {"Authorization": "Bearer sk_test_" + "t" * 24}
    body = "type=card&card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=2034"
    answer = fake.handle("POST", "/v1/payment_methods", headers, body)
    assert answer.status == 400
    assert "generally unsafe" in answer.json["error"]["message"]


def test_it_opens_a_dispute_for_the_disputed_card(pay, fake, api):
    intent = pay("pm_card_createDispute")
    dispute = api.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.reason, dispute.status, dispute.amount) == ("fraudulent", "needs_response", 2000)
    assert fake.rows("charge")[0]["disputed"]
    api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert api.disputes.retrieve(dispute.id).status == "won"
    types = [event["type"] for event in fake.rows("event")]
    assert types[-2:] == ["charge.dispute.closed", "charge.dispute.funds_reinstated"]


def test_it_knows_every_name_once():
    names = [name for card in CARDS for name in card.names]
    assert len(names) == len(set(names)) == len(BY_NAME)
