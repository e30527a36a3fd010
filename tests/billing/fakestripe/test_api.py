"""The stand-in's API against the stripe library: shapes, lists, errors, what a browser may do."""

import ast
import inspect

import pytest
import stripe

from billing.fakestripe.routes import ROUTES

# -- Shapes -------------------------------------------------------------------------------------------


def declared_fields(name):
    """Every field that the stripe library declares for a resource, and those that are always there."""
    cls = getattr(stripe, name)
    tree = ast.parse(inspect.getsource(inspect.getmodule(cls)))
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    found = {n.target.id: ast.unparse(n.annotation) for n in node.body if isinstance(n, ast.AnnAssign)}
    found.pop("OBJECT_NAME")
    return set(found), {field for field, kind in found.items() if not kind.startswith("Optional")}


@pytest.fixture
def everything(api, fake, pay, customer, typed, browser):
    """One stored row of every kind."""
    intent = pay("pm_card_createDispute")
    paid = pay()
    api.refunds.create({"payment_intent": paid.id, "amount": 100})
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    api.setup_intents.create({"customer": customer, "payment_method": method, "confirm": True})
    card = {"payment_method_data[type]": "card", "payment_method_data[card][number]": "4242424242424242"}
    card |= {"payment_method_data[card][exp_month]": "12", "payment_method_data[card][exp_year]": "2034"}
    assert browser("POST", "/v1/confirmation_tokens", **card).status == 200
    assert intent.status == "succeeded"
    return fake


KINDS = {
    "customer": "Customer",
    "payment_method": "PaymentMethod",
    "payment_intent": "PaymentIntent",
    "setup_intent": "SetupIntent",
    "charge": "Charge",
    "refund": "Refund",
    "dispute": "Dispute",
    "event": "Event",
    "balance_transaction": "BalanceTransaction",
    "confirmation_token": "ConfirmationToken",
}
# Sent by Stripe on charges although the library does not declare them.
UNDECLARED = {"charge": {"destination", "dispute"}}


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_the_fields_that_the_library_declares(everything, kind):
    declared, always = declared_fields(KINDS[kind])
    for row in everything.rows(kind):
        assert set(row) - UNDECLARED.get(kind, set()) <= declared
        assert always <= set(row)


def test_it_never_shows_its_own_notes(everything, api, pay):
    intent = pay(expand=["payment_method", "latest_charge.balance_transaction", "customer"])
    assert "_" not in {key[0] for key in intent.payment_method.to_dict()} | {
        key[0] for key in intent.to_dict()
    }


def test_it_sends_only_event_types_that_stripe_has(everything):
    known = inspect.getsource(inspect.getmodule(stripe.Event))
    for event in everything.rows("event"):
        assert f'"{event["type"]}"' in known
        assert event["request"]["id"].startswith("req_")


def test_it_answers_the_account_and_the_balance(api, everything):
    assert api.accounts.retrieve_current().charges_enabled
    usd = next(part for part in api.balance.retrieve().pending if part.currency == "usd")
    # Two charges less 2.9 % and 30 each, a refund of 100, a dispute of 2000 and its fee of 1500.
    assert usd.amount == 2 * (2000 - 58 - 30) - 100 - 2000 - 1500


# -- Customers ----------------------------------------------------------------------------------------


def test_it_keeps_customers(api):
    made = api.customers.create({"email": "a@example.com", "metadata": {"one": "1", "two": "2"}})
    api.customers.update(made.id, {"name": "Ada", "metadata": {"one": "", "three": "3"}})
    found = api.customers.retrieve(made.id)
    assert (found.name, found.email, found.metadata.to_dict()) == (
        "Ada",
        "a@example.com",
        {"two": "2", "three": "3"},
    )


def test_it_marks_a_deleted_customer_and_lets_its_cards_go(api, customer):
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    assert api.customers.delete(customer).deleted
    assert api.customers.retrieve(customer).deleted
    assert api.payment_methods.retrieve(method).customer is None
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create({"amount": 100, "currency": "usd", "customer": customer})
    assert caught.value.code == "resource_missing"


def test_it_keeps_a_default_card_only_of_the_customer(api, customer):
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    settings = {"invoice_settings": {"default_payment_method": method}}
    assert api.customers.update(customer, settings).invoice_settings.default_payment_method == method
    other = api.customers.create({})
    with pytest.raises(stripe.InvalidRequestError):
        api.customers.update(other.id, settings)


# -- Payment methods ----------------------------------------------------------------------------------


def test_it_makes_a_new_method_of_a_test_name_each_time(api, customer):
    first = api.payment_methods.attach("pm_card_visa", {"customer": customer})
    second = api.payment_methods.attach("pm_card_visa", {"customer": customer})
    assert first.id != second.id
    assert first.card.fingerprint == second.card.fingerprint
    assert [m.id for m in api.customers.payment_methods.list(customer).data] == [second.id, first.id]


def test_it_does_not_take_a_detached_card_again(api, customer, pay):
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    api.payment_methods.detach(method)
    for use in (lambda: api.payment_methods.attach(method, {"customer": customer}), lambda: pay(method)):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            use()
        assert caught.value.code == "payment_method_unexpected_state"


def test_it_does_not_take_a_card_paid_with_once_and_not_saved(pay, typed):
    method = typed("4242424242424242")["id"]
    assert pay(method).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        pay(method)


def test_it_does_not_take_another_customers_card(api, pay):
    other = api.customers.create({}).id
    method = api.payment_methods.attach("pm_card_visa", {"customer": other}).id
    with pytest.raises(stripe.InvalidRequestError) as caught:
        pay(method)
    assert caught.value.code == "payment_method_customer_mismatch"


# -- Payments and refunds -----------------------------------------------------------------------------


def test_it_confirms_in_a_second_call(api, customer):
    intent = api.payment_intents.create({"amount": 500, "currency": "eur", "customer": customer})
    assert intent.status == "requires_payment_method"
    assert api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.confirm(intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"


def test_it_cancels_what_is_open_and_nothing_else(api, pay):
    waiting = pay("pm_card_authenticationRequired")
    assert api.payment_intents.cancel(waiting.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.cancel(pay().id)
    assert caught.value.error.payment_intent.status == "succeeded"


def test_it_saves_the_card_only_when_asked(api, pay, customer):
    assert api.payment_methods.retrieve(pay().payment_method).customer is None
    saved = pay(setup_future_usage="off_session").payment_method
    assert api.payment_methods.retrieve(saved).customer == customer


BAD_PAYMENTS = [
    ({"amount": 49}, "amount", "amount_too_small"),
    ({"amount": 0}, "amount", "parameter_invalid_integer"),
    ({"amount": -5}, "amount", "parameter_invalid_integer"),
    ({"amount": 100_000_000}, "amount", "amount_too_large"),
    ({"amount": "12.5"}, "amount", "parameter_invalid_integer"),
    ({"currency": "xyz"}, "currency", None),
    ({"currency": "kwd", "amount": 5124}, "amount", "parameter_invalid_integer"),
    ({"currency": "isk", "amount": 5050}, "amount", "parameter_invalid_integer"),
    ({"customer": "cus_nobody"}, "customer", "resource_missing"),
    ({"payment_method": "pm_nothing"}, "payment_method", "resource_missing"),
    ({"colour": "red"}, "colour", "parameter_unknown"),
    ({"metadata": {"k" * 41: "v"}}, "metadata", None),
    ({"setup_future_usage": "sometimes"}, "setup_future_usage", None),
    ({"payment_method_types": ["ideal"]}, "payment_method_types", "payment_intent_invalid_parameter"),
]


@pytest.mark.parametrize(("wrong", "param", "code"), BAD_PAYMENTS)
def test_it_refuses_what_stripe_refuses(api, fake, customer, wrong, param, code):
    params = {"amount": 2000, "currency": "usd", "customer": customer, "payment_method": "pm_card_visa"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create({**params, "confirm": True, **wrong})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.http_status == 400
    assert fake.rows("payment_intent") == fake.rows("charge") == []


def test_it_names_a_missing_parameter(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create({"currency": "usd"})
    assert (caught.value.param, caught.value.code) == ("amount", "parameter_missing")


def test_it_refunds_in_parts_up_to_the_whole(api, pay):
    intent = pay()
    api.refunds.create({"payment_intent": intent.id, "amount": 1500})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.refunds.create({"payment_intent": intent.id, "amount": 501})
    assert caught.value.param == "amount"
    assert api.refunds.create({"payment_intent": intent.id}).amount == 500
    charge = api.charges.retrieve(intent.latest_charge)
    assert (charge.refunded, charge.amount_refunded) == (True, 2000)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"


def test_it_refunds_late_or_fails_late(api, pay, fake):
    late = api.refunds.create({"payment_intent": pay("pm_card_pendingRefund").id})
    assert late.status == "pending"
    assert fake.settle_refund(late.id)["status"] == "succeeded"
    fails = api.refunds.create({"payment_intent": pay("pm_card_refundFail").id})
    assert fails.status == "succeeded"
    assert fake.settle_refund(fails.id, ok=False)["status"] == "failed"
    assert api.charges.retrieve(fails.charge).amount_refunded == 0


# -- Lists --------------------------------------------------------------------------------------------


def test_it_pages_newest_first(api, pay):
    made = [pay().id for _ in range(7)]
    page = api.payment_intents.list({"limit": 3})
    assert [row.id for row in page.data] == made[:-4:-1]
    assert page.has_more
    assert [row.id for row in page.auto_paging_iter()] == made[::-1]
    back = api.payment_intents.list({"limit": 2, "ending_before": made[3]})
    assert [row.id for row in back.data] == [made[5], made[4]]


def test_it_filters_by_customer_and_time(api, pay, stripe_clock, fake):
    old = pay().id
    stripe_clock.advance(days=2)
    new = pay().id
    other = api.payment_intents.create({"amount": 100, "currency": "usd"}).id
    since = int(fake.clock()) - 3600
    assert {row.id for row in api.payment_intents.list({"created": {"gte": since}}).data} == {new, other}
    assert [row.id for row in api.payment_intents.list({"created": {"lt": since}}).data] == [old]
    customer = api.payment_intents.retrieve(old).customer
    assert [row.id for row in api.payment_intents.list({"customer": customer}).data] == [new, old]


def test_it_finds_by_search_what_is_a_minute_old(api, pay, stripe_clock):
    made = pay(metadata={"order": "77"}).id
    query = {"query": "metadata['order']:'77' AND status:'succeeded'"}
    assert api.payment_intents.search(query).data == []
    stripe_clock.advance(seconds=61)
    assert [row.id for row in api.payment_intents.search(query).data] == [made]
    with pytest.raises(stripe.InvalidRequestError):
        api.payment_intents.search({"query": "metadata like 77"})


def test_it_lists_events_by_type(api, pay):
    pay()
    types = {
        event.type for event in api.events.list({"types": ["charge.succeeded", "customer.created"]}).data
    }
    assert types == {"charge.succeeded", "customer.created"}
    event = api.events.list({"type": "charge.succeeded"}).data[0]
    assert api.events.retrieve(event.id).data.object.id == event.data.object.id


def test_it_refuses_to_expand_what_is_no_reference(api, pay):
    with pytest.raises(stripe.InvalidRequestError):
        api.payment_intents.retrieve(pay().id, {"expand": ["amount.currency"]})


# -- Who may call -------------------------------------------------------------------------------------


def ask(fake, method, path, key, body=""):
    return fake.handle(method, path, {"Authorization": f"Bearer {key}"} if key else {}, body)


@pytest.mark.parametrize("key", ["", "sk_test_short", "nonsense", "sk_test_" + "!" * 24])
def test_it_wants_a_test_key_of_stripes_form(fake, key):
    assert ask(fake, "GET", "/v1/account", key).status == 401


def test_it_says_404_in_stripes_words(fake):
    answer = ask(fake, "GET", "/v1/nothing", "sk_test_" + "t" * 24)
    assert (answer.status, answer.json["error"]["code"]) == (404, "url_invalid")
    answer = ask(fake, "GET", "/v1/charges/ch_none", "sk_test_" + "t" * 24)
    assert (answer.status, answer.json["error"]["code"]) == (404, "resource_missing")


@pytest.mark.parametrize("route", [r for r in ROUTES if not r.browser], ids=lambda r: f"{r.method} {r.path}")
def test_it_lets_a_browser_do_nothing_of_the_servers(fake, browser, route):
    answer = browser(route.method, route.path.replace("{id}", "x_1"))
    assert (answer.status, answer.json["error"]["code"]) == (403, "secret_key_required")


def test_it_shows_an_intent_to_a_browser_that_knows_its_secret(api, browser, customer):
    intent = api.payment_intents.create(
        {"amount": 900, "currency": "usd", "customer": customer, "metadata": {"a": "b"}}
    )
    assert browser("GET", f"/v1/payment_intents/{intent.id}?client_secret=wrong").status == 400
    row = browser("GET", f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}").json
    assert row["amount"] == 900
    assert not {"metadata", "customer", "latest_charge"} & set(row)


def test_it_lets_a_browser_confirm_and_authenticate(api, browser, typed):
    intent = api.payment_intents.create({"amount": 900, "currency": "usd"})
    known = {"client_secret": intent.client_secret, "use_stripe_sdk": "true"}
    method = typed("4000002760003184")["id"]
    row = browser("POST", f"/v1/payment_intents/{intent.id}/confirm", payment_method=method, **known).json
    assert row["next_action"]["type"] == "use_stripe_sdk"
    end = {"client_secret": intent.client_secret, "outcome": "complete"}
    assert browser("POST", f"/v1/sandbox/authentications/{intent.id}", **end).json["status"] == "succeeded"


def test_it_turns_a_confirmation_token_into_a_card_once(api, browser, customer):
    card = {"payment_method_data[type]": "card", "payment_method_data[card][number]": "4242424242424242"}
    card |= {"payment_method_data[card][exp_month]": "12", "payment_method_data[card][exp_year]": "2034"}
    token = browser("POST", "/v1/confirmation_tokens", setup_future_usage="off_session", **card).json
    assert token["payment_method_preview"]["card"]["last4"] == "4242"
    params = {"amount": 500, "currency": "usd", "customer": customer, "confirm": True}
    intent = api.payment_intents.create({**params, "confirmation_token": token["id"]})
    assert intent.status == "succeeded"
    assert [m.id for m in api.customers.payment_methods.list(customer).data] == [intent.payment_method]
    with pytest.raises(stripe.InvalidRequestError):
        api.payment_intents.create({**params, "confirmation_token": token["id"]})
