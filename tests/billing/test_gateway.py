"""The gateway: our words in, our values out, and never two charges for one key."""

import random
from datetime import UTC, datetime, timedelta

import iso4217
import pytest
import stripe

from billing import gateway as module
from billing.fakestripe.cards import CARDS
from billing.fakestripe.currencies import STEP as STRIPES_STEP
from billing.fakestripe.currencies import SUPPORTED
from billing.gateway import (
    Card,
    CardRefused,
    Gateway,
    GatewayMisuse,
    InvalidSignature,
    Outcome,
    ProviderUnreachable,
    UnchargeableAmount,
    from_provider,
    to_provider,
    verify_webhook,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
BACK = "https://shop.example/back/"


@pytest.fixture
def door(card_gateway):
    return card_gateway


@pytest.fixture
def customer(door):
    return door.create_customer(
        key="cus-1", name="Alice GmbH", email="alice@example.com", reference="cus_alice"
    )


@pytest.fixture
def order(customer):
    """The arguments of a charge of 20.00 USD."""

    def order(**more):
        asked = {"key": "pay-1", "customer": customer, "payment_method": "pm_card_visa", "amount": 2000}
        return asked | {"currency": "USD", "reference": "inv_1", "metadata": {"payment": "pay_1"}} | more

    return order


def paid(fake):
    return [charge for charge in fake.rows("charge") if charge["paid"]]


# -- Charging -----------------------------------------------------------------------------------------


def test_it_charges(door, order, fake_stripe):
    outcome = door.charge(**order())
    charge = paid(fake_stripe)[0]
    assert outcome.state == "succeeded"
    assert (outcome.charge_id, outcome.intent_id) == (charge["id"], charge["payment_intent"])
    assert (outcome.amount, outcome.currency) == (2000, "USD")
    assert (outcome.card.brand, outcome.card.last4) == ("visa", "4242")
    assert str(outcome.card) == "Visa •••• 4242"
    assert outcome.reference == "inv_1"
    assert outcome.metadata["payment"] == "pay_1"
    assert outcome.decline_code is outcome.message is outcome.action_url is None


def test_it_charges_once_per_key(door, order, fake_stripe):
    first, second = door.charge(**order()), door.charge(**order())
    assert (first.replayed, second.replayed) == (False, True)
    assert first.intent_id == second.intent_id
    assert len(paid(fake_stripe)) == 1
    assert door.charge(**order(key="pay-2")).intent_id != first.intent_id


def test_it_keeps_the_card_when_asked(door, order, customer):
    assert door.charge(**order()).card not in door.cards(customer)
    kept = door.charge(**order(key="pay-2", save=True)).card
    assert door.cards(customer) == [kept]


def test_it_charges_a_saved_card_off_session(door, order, customer):
    card = door.attach(key="att-1", customer=customer, payment_method="pm_card_mastercard")
    outcome = door.charge(**order(payment_method=card.id, off_session=True))
    assert (outcome.state, outcome.card) == ("succeeded", card)


DECLINING = [card for card in CARDS if card.decline and card.authentication == "never"]
NEXT = {
    "generic_decline": "retry",
    "insufficient_funds": "retry",
    "card_velocity_exceeded": "retry",
    "processing_error": "retry",
    "expired_card": "new_card",
    "incorrect_cvc": "new_card",
    "lost_card": "new_card",
    "stolen_card": "new_card",
    "fraudulent": "new_card",
}


@pytest.mark.parametrize("card", DECLINING, ids=lambda card: card.key)
def test_it_tells_a_decline_in_the_buyers_words(door, order, fake_stripe, card):
    outcome = door.charge(**order(payment_method=card.key))
    code = card.decline[1]
    assert (outcome.state, outcome.decline_code, outcome.next_step) == ("failed", code, NEXT[code])
    assert (outcome.message, outcome.next_step) == module.words_of(code)
    assert outcome.message.endswith((".", "?"))
    assert outcome.intent_id.startswith("pi_")
    assert outcome.charge_id == fake_stripe.rows("charge")[0]["id"]
    assert outcome.card.last4 == card.number[-4:]
    assert outcome.amount == 2000


def test_it_tells_no_thief_that_a_card_is_known_as_stolen(door, order):
    told = {code: module.words_of(code) for code in ("lost_card", "stolen_card", "fraudulent", "pickup_card")}
    assert len(set(told.values())) == 1
    assert "stolen" not in str(told.values())


def test_it_has_words_for_a_reason_that_it_does_not_know():
    assert module.words_of("brand_new_reason") == module.words_of("generic_decline") == module.words_of(None)


def test_it_repeats_a_decline_without_asking_the_bank_again(door, order, fake_stripe):
    asked = order(payment_method="pm_card_chargeDeclined")
    first, second = door.charge(**asked), door.charge(**asked)
    assert (second.state, second.decline_code, second.replayed) == ("failed", "generic_decline", True)
    assert second.intent_id == first.intent_id
    assert len(fake_stripe.rows("charge")) == 1


# -- 3-D Secure ---------------------------------------------------------------------------------------


def test_it_sends_the_buyer_to_the_bank_and_back(door, order, fake_stripe):
    waiting = door.charge(**order(payment_method="pm_card_authenticationRequired", return_url=BACK))
    assert waiting.state == "requires_action"
    assert "/fakestripe/challenge/" in waiting.action_url
    assert waiting.client_secret.startswith(waiting.intent_id)
    assert door.resume(waiting.intent_id).state == "requires_action"
    fake_stripe.authenticate(waiting.intent_id)
    done = door.resume(waiting.intent_id)
    assert (done.state, done.amount, done.card.last4) == ("succeeded", 2000, "3184")


def test_it_fails_when_the_bank_does_not_know_the_buyer(door, order, fake_stripe):
    waiting = door.charge(**order(payment_method="pm_card_authenticationRequired", return_url=BACK))
    fake_stripe.authenticate(waiting.intent_id, ok=False)
    outcome = door.resume(waiting.intent_id)
    assert (outcome.state, outcome.decline_code) == ("failed", "authentication_failed")
    assert outcome.next_step == "authenticate"
    assert outcome.card.last4 == "3184"


def test_it_confirms_with_the_buyer_what_failed_without(door, order, customer, fake_stripe):
    name = "pm_card_authenticationRequiredOnSetup"
    card = door.attach(key="att-1", customer=customer, payment_method=name)
    failed = door.charge(**order(payment_method=card.id, off_session=True))
    assert (failed.decline_code, failed.next_step) == ("authentication_required", "authenticate")
    waiting = door.confirm(
        key="pay-1-again", payment_intent=failed.intent_id, payment_method=card.id, return_url=BACK
    )
    assert (waiting.state, waiting.intent_id) == ("requires_action", failed.intent_id)
    fake_stripe.authenticate(waiting.intent_id)
    assert door.resume(waiting.intent_id).state == "succeeded"
    assert len(paid(fake_stripe)) == 1


def test_it_gives_up_a_charge(door, order):
    waiting = door.charge(**order(payment_method="pm_card_authenticationRequired", return_url=BACK))
    given_up = door.cancel(key="cancel-1", payment_intent=waiting.intent_id)
    assert (given_up.state, given_up.decline_code) == ("failed", "canceled")
    assert door.resume(waiting.intent_id).decline_code == "canceled"


def test_it_tells_that_what_was_to_be_given_up_is_paid(door, order):
    outcome = door.charge(**order())
    assert door.cancel(key="cancel-1", payment_intent=outcome.intent_id).state == "succeeded"


def test_it_waits_for_a_payment_in_processing(door, order, fake_stripe):
    fake_stripe.faults.add("processing", times=1)
    outcome = door.charge(**order())
    assert outcome.state == "processing"
    fake_stripe.settle(outcome.intent_id)
    assert door.resume(outcome.intent_id).state == "succeeded"


# -- Outcomes that we did not see ---------------------------------------------------------------------

UNSEEN = ["lose_answer", "time_out", "half_answer", "error_500_after"]
UNDONE = ["refused", "black_hole", "rate_limited", "unavailable", "conflict", "error_500"]


@pytest.mark.parametrize("mode", UNSEEN + UNDONE)
def test_it_says_unknown_and_raises_nothing(door, order, fake_stripe, mode):
    fake_stripe.faults.add(mode, path="/v1/payment_intents", times=1)
    assert door.charge(**order()).state == "unknown"
    assert len(paid(fake_stripe)) == (mode in UNSEEN)


@pytest.mark.parametrize("mode", UNSEEN)
def test_it_looks_up_what_happened(door, order, customer, fake_stripe, mode):
    fake_stripe.faults.add(mode, path="/v1/payment_intents", times=1)
    door.charge(**order())
    found = door.look_up(key="pay-1", customer=customer, since=datetime.now(UTC))
    assert (found.state, found.amount, found.reference) == ("succeeded", 2000, "inv_1")
    assert door.look_up(key="pay-1") == door.look_up(reference="inv_1") == found
    assert door.look_up(payment_intent=found.intent_id) == found


@pytest.mark.parametrize("mode", UNDONE)
def test_it_looks_up_that_nothing_happened(door, order, customer, fake_stripe, mode):
    fake_stripe.faults.add(mode, path="/v1/payment_intents", times=1)
    door.charge(**order())
    assert door.look_up(key="pay-1", customer=customer) is None
    assert door.look_up(payment_intent="pi_never") is None


def test_it_looks_up_a_decline_too(door, order, customer, fake_stripe):
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    assert door.charge(**order(payment_method="pm_card_chargeDeclinedExpiredCard")).state == "unknown"
    found = door.look_up(key="pay-1", customer=customer)
    assert (found.state, found.decline_code, found.next_step) == ("failed", "expired_card", "new_card")


def test_it_does_not_look_up_nothing(door):
    with pytest.raises(GatewayMisuse):
        door.look_up()


@pytest.mark.parametrize("how", [{"key": "pay-1"}, {"payment_intent": "pi_1"}])
def test_it_does_not_take_silence_for_absence(door, customer, fake_stripe, how):
    fake_stripe.faults.add("refused", method="GET")
    assert door.look_up(customer=customer, **how).state == "unknown"


def test_it_finds_the_attempt_among_many(door, order, customer, fake_stripe):
    for number in range(230):
        door.charge(**order(key=f"other-{number}", reference=f"inv_{number}", amount=5000 + number))
    assert door.look_up(key="other-0", customer=customer).amount == 5000
    assert door.look_up(key="other-229").amount == 5229
    assert door.look_up(key="other-230") is None


def test_it_does_not_know_where_the_list_is_too_long(door, order, fake_stripe, stripe_clock, monkeypatch):
    monkeypatch.setattr(Gateway._list, "__defaults__", (None, timedelta(minutes=10), 1))
    for number in range(130):
        door.charge(**order(key=f"other-{number}", reference=f"inv_{number}"))
    assert door.look_up(key="other-0").state == "unknown"
    stripe_clock.advance(minutes=2)
    assert door.look_up(key="other-0").state == "succeeded"
    assert door.look_up(key="never").state == "unknown"


def find_out(door, asked, sent_at, now):
    return door.find_out(sent_at=sent_at, now=now, **asked)


@pytest.mark.parametrize("mode", UNSEEN + UNDONE)
def test_it_finds_out_and_charges_once(door, order, fake_stripe, mode):
    sent_at = datetime.now(UTC)
    fake_stripe.faults.add(mode, path="/v1/payment_intents", times=1)
    assert door.charge(**order()).state == "unknown"
    outcome = find_out(door, order(), sent_at, sent_at + timedelta(minutes=2))
    if mode == "error_500":
        # Stripe keeps repeating the 500 for this key, and its list says that there was no charge.
        assert (outcome.state, outcome.decline_code) == ("failed", "never_made")
        assert paid(fake_stripe) == []
    else:
        assert outcome.state == "succeeded"
        assert len(paid(fake_stripe)) == 1
    assert find_out(door, order(), sent_at, sent_at + timedelta(minutes=3)).state == outcome.state


def test_it_finds_out_with_other_arguments_than_the_first_call_had(door, order, fake_stripe):
    sent_at = datetime.now(UTC)
    fake_stripe.faults.add("error_500", path="/v1/payment_intents", times=1)
    assert door.charge(**order(return_url=BACK)).state == "unknown"
    outcome = find_out(door, order(), sent_at, sent_at + timedelta(minutes=2))
    assert (outcome.state, outcome.decline_code) == ("failed", "never_made")


def test_it_does_not_send_an_old_key_again(door, order, fake_stripe):
    sent_at = datetime.now(UTC)
    outcome = find_out(door, order(), sent_at, sent_at + timedelta(hours=23))
    assert (outcome.state, outcome.decline_code) == ("failed", "never_made")
    assert fake_stripe.rows("payment_intent") == []


def test_it_stays_unknown_while_stripe_is_away(door, order, fake_stripe):
    fake_stripe.faults.add("refused", method="")
    sent_at = datetime.now(UTC)
    assert find_out(door, order(), sent_at, sent_at + timedelta(hours=30)).state == "unknown"


@pytest.mark.parametrize("seed", range(3))
def test_it_never_charges_twice_in_200_lost_answers(door, customer, fake_stripe, seed):
    """Every call may go wrong in any way, again and again; each order is asked about until it is known."""
    dice = random.Random(seed)
    fake_stripe.faults.seed(seed)
    cards = ["pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_chargeDeclined"]
    buyers = [customer] + [
        door.create_customer(key=f"cus-{n}", name="B", email="b@example.com", reference=f"cus_{n}")
        for n in range(2, 11)
    ]
    for mode in UNSEEN + UNDONE:
        fake_stripe.faults.add(mode, method="", path="/v1/payment_intents", share=0.05)
    sent_at = datetime.now(UTC)
    ends = {}
    for number in range(200):
        asked = {
            "key": f"pay-{number}",
            "customer": buyers[number % 10],
            "payment_method": dice.choice(cards),
            "amount": 1000 + number,
            "currency": "USD",
            "reference": f"inv_{number}",
        }
        outcome = door.charge(**asked)
        for _ in range(60):
            if outcome.state != "unknown":
                break
            outcome = find_out(door, asked, sent_at, sent_at + timedelta(minutes=1))
        ends[number] = outcome
    fake_stripe.faults.clear()
    assert {end.state for end in ends.values()} == {"succeeded", "failed"}
    by_reference = {}
    for charge in paid(fake_stripe):
        by_reference.setdefault(charge["metadata"]["tandem_reference"], []).append(charge)
    assert all(len(charges) == 1 for charges in by_reference.values())
    recorded = {f"inv_{number}" for number, end in ends.items() if end.state == "succeeded"}
    assert recorded == set(by_reference)
    assert all(
        by_reference[f"inv_{n}"][0]["amount"] == 1000 + n for n, e in ends.items() if e.state == "succeeded"
    )


# -- Refusals and mistakes ----------------------------------------------------------------------------


def test_it_fails_with_a_card_that_is_gone(door, order, customer):
    card = door.attach(key="att-1", customer=customer, payment_method="pm_card_visa")
    door.detach(key="det-1", payment_method=card.id)
    outcome = door.charge(**order(payment_method=card.id))
    assert (outcome.state, outcome.decline_code) == ("failed", "payment_method_missing")
    assert (
        door.charge(**order(key="pay-2", payment_method="pm_gone")).decline_code == "payment_method_missing"
    )


def test_it_fails_with_a_customer_that_is_gone(door, order):
    assert door.charge(**order(customer="cus_gone")).decline_code == "customer_missing"


def test_it_fails_with_an_amount_too_small_for_cards(door, order):
    outcome = door.charge(**order(amount=12))
    assert (outcome.state, outcome.decline_code, outcome.next_step) == ("failed", "amount_too_small", "")


@pytest.mark.parametrize(
    "wrong", [{"amount": 0}, {"amount": -1}, {"key": ""}, {"key": "a b"}, {"key": "k" * 256}]
)
def test_it_raises_for_what_makes_no_sense(door, order, fake_stripe, wrong):
    with pytest.raises(GatewayMisuse):
        door.charge(**order(**wrong))
    assert fake_stripe.rows("payment_intent") == []


def test_it_raises_when_a_key_is_used_for_two_things(door, order):
    door.charge(**order())
    with pytest.raises(GatewayMisuse, match="idempotent"):
        door.charge(**order(amount=2001))


def test_it_raises_for_a_wrong_secret_key(fake_stripe, order):
    from billing.fakestripe import FakeStripeHTTPClient

    wrong = Gateway(module.client(FakeStripeHTTPClient(fake_stripe), "sk_test_wrong"))
    with pytest.raises(GatewayMisuse, match="Invalid API Key"):
        wrong.charge(**order())


# -- Amounts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency", "stripes"),
    [
        (2000, "USD", 2000),
        (500, "JPY", 500),
        (500, "KRW", 500),
        (500, "ISK", 50_000),
        (5000, "UGX", 500_000),
        (500, "MGA", 5),
        (5120, "KWD", 5120),
        (100, "HUF", 100),
    ],
)
def test_it_translates_amounts(amount, currency, stripes):
    assert to_provider(amount, currency) == stripes
    assert from_provider(stripes, currency) == amount


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (1, "BHD"), (1005, "TND"), (501, "MGA")])
def test_it_refuses_an_amount_that_no_card_can_carry(amount, currency):
    with pytest.raises(UnchargeableAmount):
        to_provider(amount, currency)


def test_it_gives_back_no_amount_that_no_card_can_carry(card_gateway, fake_stripe):
    answer = card_gateway.refund(key="k-1", payment_intent="pi_1", amount=5124, currency="KWD")
    assert (answer.state, fake_stripe.rows("refund")) == ("failed", [])


# Stripe's currencies without decimals, by its own list.
WITHOUT_DECIMALS = set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())


@pytest.mark.parametrize("currency", sorted(SUPPORTED))
def test_it_knows_every_currency_in_which_stripe_differs_from_iso(currency):
    code = currency.upper()
    try:
        iso = iso4217.Currency(code).exponent
    except ValueError:
        iso = 2  # retired, and had two
    stripes = 0 if currency in WITHOUT_DECIMALS else 3 if iso == 3 else 2
    up, down = module.RATIO.get(code, (1, 1))
    assert up * 10**iso == down * 10**stripes
    assert module.STEP.get(code, 1) * up == STRIPES_STEP.get(currency, 1)


@pytest.mark.parametrize(("amount", "currency"), [(900, "JPY"), (900, "ISK"), (50_000, "MGA"), (5120, "KWD")])
def test_it_charges_special_currencies(door, order, fake_stripe, amount, currency):
    outcome = door.charge(**order(amount=amount, currency=currency))
    assert (outcome.state, outcome.amount, outcome.currency) == ("succeeded", amount, currency)
    assert paid(fake_stripe)[0]["amount"] == to_provider(amount, currency)


# -- Customers and cards ------------------------------------------------------------------------------


def test_it_makes_a_customer_once(door, customer, fake_stripe):
    args = {"key": "cus-1", "name": "Alice GmbH", "email": "alice@example.com", "reference": "cus_alice"}
    assert door.create_customer(**args) == customer
    door.update_customer(key="cus-2", customer=customer, name="Alice AG", email="ag@example.com")
    [row] = fake_stripe.rows("customer")
    assert (row["name"], row["metadata"]["tandem_reference"]) == ("Alice AG", "cus_alice")


def test_it_saves_lists_and_forgets_cards(door, customer):
    first = door.attach(key="a-1", customer=customer, payment_method="pm_card_visa")
    second = door.attach(key="a-2", customer=customer, payment_method="pm_card_amex")
    assert door.cards(customer) == [second, first]
    assert door.card(first.id) == first
    assert isinstance(first, Card)
    door.detach(key="d-1", payment_method=first.id)
    door.detach(key="d-2", payment_method=first.id)
    door.detach(key="d-3", payment_method="pm_of_another_account")
    assert door.cards(customer) == [second]


def test_it_tells_why_a_card_cannot_be_saved(door, customer, fake_stripe):
    fake_stripe.declines_attach = True
    with pytest.raises(CardRefused) as caught:
        door.attach(key="a-1", customer=customer, payment_method="pm_card_chargeDeclinedExpiredCard")
    assert (caught.value.decline_code, caught.value.next_step) == ("expired_card", "new_card")
    with pytest.raises(CardRefused) as caught:
        door.attach(key="a-2", customer=customer, payment_method="pm_nothing")
    assert caught.value.decline_code == "payment_method_missing"


@pytest.mark.parametrize("mode", ["refused", "lose_answer", "error_500"])
def test_it_says_when_stripe_cannot_be_reached(door, customer, fake_stripe, mode):
    fake_stripe.faults.add(mode, method="")
    for call in (
        lambda: door.create_customer(key="c-9", name="B", email="b@example.com", reference="cus_b"),
        lambda: door.attach(key="a-9", customer=customer, payment_method="pm_card_visa"),
        lambda: door.cards(customer),
    ):
        with pytest.raises(ProviderUnreachable):
            call()


def test_it_makes_no_second_customer_after_a_lost_answer(door, fake_stripe):
    args = {"key": "c-9", "name": "B", "email": "b@example.com", "reference": "cus_b"}
    fake_stripe.faults.add("lose_answer", times=1)
    with pytest.raises(ProviderUnreachable):
        door.create_customer(**args)
    door.create_customer(**args)
    assert len(fake_stripe.rows("customer")) == 1


def test_it_saves_a_card_without_a_payment(door, customer, fake_stripe):
    outcome = door.setup(key="s-1", customer=customer, payment_method="pm_card_visa", return_url=BACK)
    assert outcome.state == "succeeded"
    assert door.cards(customer) == [outcome.card]
    assert fake_stripe.rows("charge") == []


def test_it_saves_a_card_with_the_banks_consent(door, customer, fake_stripe, order):
    name = "pm_card_authenticationRequiredOnSetup"
    waiting = door.setup(key="s-1", customer=customer, payment_method=name, return_url=BACK)
    assert waiting.state == "requires_action"
    assert "/challenge/" in waiting.action_url
    fake_stripe.authenticate(waiting.setup_id)
    done = door.resume_setup(waiting.setup_id)
    assert done.state == "succeeded"
    assert door.charge(**order(payment_method=done.card.id, off_session=True)).state == "succeeded"


def test_it_tells_why_a_card_was_not_set_up(door, customer, fake_stripe):
    outcome = door.setup(key="s-1", customer=customer, payment_method="pm_card_chargeDeclined")
    assert (outcome.state, outcome.decline_code) == ("failed", "generic_decline")
    waiting = door.setup(
        key="s-2", customer=customer, payment_method="pm_card_authenticationRequired", return_url=BACK
    )
    fake_stripe.authenticate(waiting.setup_id, ok=False)
    assert door.resume_setup(waiting.setup_id).decline_code == "authentication_failed"
    fake_stripe.faults.add("lose_answer")
    assert door.setup(key="s-3", customer=customer, payment_method="pm_card_visa").state == "unknown"


# -- Refunds ------------------------------------------------------------------------------------------


@pytest.fixture
def sold(door, order):
    return door.charge(**order()).intent_id


def test_it_gives_money_back_once_per_key(door, sold, fake_stripe):
    for _ in range(2):
        outcome = door.refund(key="r-1", payment_intent=sold, amount=500, currency="USD")
    assert (outcome.state, outcome.amount, outcome.currency) == ("succeeded", 500, "USD")
    assert fake_stripe.rows("charge")[0]["amount_refunded"] == 500


def test_it_does_not_give_back_more_than_was_paid(door, sold):
    outcome = door.refund(key="r-1", payment_intent=sold, amount=2001, currency="USD")
    assert outcome.state == "failed"
    assert "greater" in outcome.message


def test_it_looks_up_an_unknown_refund(door, sold, fake_stripe):
    fake_stripe.faults.add("lose_answer", path="/v1/refunds", times=1)
    assert door.refund(key="r-1", payment_intent=sold, amount=500, currency="USD").state == "unknown"
    assert door.look_up_refund(key="r-1", payment_intent=sold).amount == 500
    assert door.look_up_refund(key="r-2", payment_intent=sold) is None
    assert door.refund(key="r-1", payment_intent=sold, amount=500, currency="USD").state == "succeeded"
    assert fake_stripe.rows("charge")[0]["amount_refunded"] == 500


def test_it_waits_for_a_refund_on_its_way(door, order, fake_stripe):
    late = door.charge(**order(key="p-9", payment_method="pm_card_pendingRefund")).intent_id
    assert door.refund(key="r-1", payment_intent=late, amount=2000, currency="USD").state == "processing"


# -- Reconciling --------------------------------------------------------------------------------------


def test_it_lists_what_stripe_has(door, order, fake_stripe, stripe_clock):
    since = datetime.now(UTC) - timedelta(seconds=5)
    door.charge(**order())
    door.charge(**order(key="pay-2", payment_method="pm_card_chargeDeclined"))
    stripe_clock.advance(days=1)
    door.charge(**order(key="pay-3"))
    listed = list(door.payments(since=since, until=since + timedelta(hours=1)))
    assert [(one.state, one.metadata["tandem_key"]) for one in listed] == [
        ("failed", "pay-2"),
        ("succeeded", "pay-1"),
    ]


# -- Webhooks -----------------------------------------------------------------------------------------

BODY = b'{"object": "event"}'


def signed(secret, at=NOW):
    return stripe.WebhookSignature.generate_signature_header(BODY.decode(), secret, int(at.timestamp()))


def test_it_accepts_what_stripe_signed_with_any_of_our_secrets():
    verify_webhook(BODY, signed("whsec_new"), ["whsec_new", "whsec_old"], NOW)
    verify_webhook(BODY, signed("whsec_old"), ["whsec_new", "whsec_old"], NOW)
    both = signed("whsec_old") + ",v1=" + signed("whsec_new").split("v1=")[1]
    verify_webhook(BODY, both, ["whsec_new"], NOW)


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_it_accepts_clocks_that_differ_a_little(seconds):
    verify_webhook(BODY, signed("whsec_a", NOW + timedelta(seconds=seconds)), ["whsec_a"], NOW)


BAD = [
    ("", ["whsec_a"]),
    ("nonsense", ["whsec_a"]),
    ("t=abc,v1=00", ["whsec_a"]),
    ("t=" + "9" * 30 + ",v1=00", ["whsec_a"]),
    (signed("whsec_b"), ["whsec_a"]),
    (signed("whsec_a"), []),
    (signed(""), [""]),
    (signed("whsec_a", NOW - timedelta(seconds=301)), ["whsec_a"]),
    (signed("whsec_a", NOW + timedelta(seconds=301)), ["whsec_a"]),
    (signed("whsec_a").replace("v1=", "v0="), ["whsec_a"]),
]


@pytest.mark.parametrize(("signature", "secrets"), BAD)
def test_it_refuses_what_stripe_did_not_sign_just_now(signature, secrets):
    with pytest.raises(InvalidSignature):
        verify_webhook(BODY, signature, secrets, NOW)


@pytest.mark.parametrize("body", [b'{"object": "event" }', b"\xff\xfe", b""])
def test_it_refuses_another_body(body):
    with pytest.raises(InvalidSignature):
        verify_webhook(body, signed("whsec_a"), ["whsec_a"], NOW)


# -- Which gateway ------------------------------------------------------------------------------------


def test_it_is_the_one_in_use(card_gateway, fake_stripe):
    assert module.gateway() is card_gateway
    other = Gateway(None)
    with module.use(other):
        assert module.gateway() is other
    assert module.gateway() is card_gateway


def test_it_is_made_of_the_settings_and_never_retries(settings, monkeypatch):
    monkeypatch.setattr(stripe, "default_http_client", None)
    made = module._configured("sk_test_" + "m" * 24, False, "http://127.0.0.1:9")
    assert made is module._configured("sk_test_" + "m" * 24, False, "http://127.0.0.1:9")
    http = stripe.default_http_client
    assert (http.name, http._timeout) == ("requests", module.TIME_OUT)
    assert stripe.max_network_retries == 0
    assert stripe.enable_telemetry is False
    monkeypatch.setattr(stripe, "api_base", stripe.DEFAULT_API_BASE)
    assert made.look_up(payment_intent="pi_1") == Outcome("unknown")


def test_it_uses_the_stand_in_where_no_key_was_given(settings):
    assert settings.STRIPE_FAKE
    module._configured.cache_clear()
    made = module.gateway()
    customer = made.create_customer(key="x-1", name="A", email="a@example.com", reference="cus_a")
    assert made.cards(customer) == []


def test_only_the_gateway_and_the_stand_in_import_stripe():
    import ast
    from pathlib import Path

    root = Path(module.__file__).resolve().parent.parent
    guilty = []
    for app in ("billing", "checkout", "portal", "sales", "config"):
        for path in (root / app).rglob("*.py"):
            if "fakestripe" in path.parts or "djstripe_migrations" in path.parts or path.name == "gateway.py":
                continue
            names = [
                alias.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in [*node.names, ast.alias(getattr(node, "module", "") or "")]
            ]
            guilty += [str(path) for name in names if name.split(".")[0] == "stripe"]
    assert guilty == []
