"""A known customer pays with a card that is saved; nobody else is shown one."""

import pytest
from django.utils import timezone
from django.utils.html import escape

from billing import cards, collecting
from billing.models import Event, Invoice, Payment, PaymentMethod, Subscription
from checkout import completing
from checkout.models import CheckoutSession
from tests.checkout.stories import one_of_everything, to_the_receipt

pytestmark = pytest.mark.django_db

WHERE = {
    "name": None, "email": None, "company": None, "country": "IE", "postal_code": "D02 X285", "city": "Dublin",
}  # fmt: skip


def fresh(row):
    return type(row).objects.get(pk=row.pk)


@pytest.fixture
def show(client):
    return lambda session: client.get(f"/checkout/{session.token}/").text


@pytest.fixture
def customer(make_customer):
    return make_customer(country="IE")


@pytest.fixture
def save(customer, fake_stripe):
    """save("pm_card_visa") -> the card as it is saved."""
    return lambda name="pm_card_visa", **more: cards.save(
        customer=customer, payment_method=name, now=timezone.now(), actor="user:1", **more
    )


@pytest.fixture
def pay(press):
    """pay(session, card) presses the button with a saved card chosen, as a page without scripts sends it."""
    return lambda session, card, **more: press(
        session, card="", saved_card=getattr(card, "pk", card), **{**WHERE, **more}
    )


def test_it_is_offered_with_what_may_be_shown_and_pays(
    make_session, customer, save, show, pay, fake_stripe, books
):
    old, card = save("pm_card_mastercard", default=False), save()
    session = make_session(customer=customer)
    page = show(session)
    assert page.index("Visa •••• 4242") < page.index("Mastercard •••• 4444") < page.index("Use another card")
    assert f"until {card.exp_month:02}/{card.exp_year}" in page
    assert card.provider_id not in page
    to_the_receipt(pay(session, card), session)
    one_of_everything(session, 10701, fake_stripe)
    paid = Payment.objects.get()
    assert (paid.payment_method, paid.card_label) == (card, "Visa •••• 4242")
    assert [row.is_default for row in (fresh(old), fresh(card))] == [False, True]
    assert Event.objects.filter(type="payment_method.attached").count() == 2


def test_the_card_that_pays_is_charged_from_then_on(make_session, customer, save, pay, press, fake_stripe):
    first, other = save(), save("pm_card_mastercard", default=False)
    pay(make_session(customer=customer), other)
    assert [fresh(row).is_default for row in (first, other)] == [False, True]


def test_another_card_is_typed_and_charged_from_then_on(
    make_session, customer, save, press, fake_stripe, advance
):
    saved = save()
    session = make_session(customer=customer)
    to_the_receipt(press(session, card="pm_card_mastercard", saved_card="another", **WHERE), session)
    typed = PaymentMethod.objects.exclude(pk=saved.pk).get()
    assert (typed.brand, typed.is_default, fresh(saved).is_default) == ("mastercard", True, False)
    assert typed.detached_at is None


def test_a_customer_who_was_unknown_to_the_provider_can_be_charged_again(
    make_session, make_customer, clock, press, fake_stripe
):
    customer = make_customer(clock, country="IE")
    session = make_session(customer=customer, now=clock.now)
    to_the_receipt(press(session, **WHERE), session)
    customer.refresh_from_db()
    assert customer.provider_id == completing.fresh(session).provider_customer_id != ""


def test_a_declined_one_loses_nothing_and_another_is_chosen(
    make_session, customer, save, show, pay, fake_stripe
):
    bad, good = save("pm_card_chargeCustomerFail"), save("pm_card_mastercard", default=False)
    session = make_session(customer=customer)
    pay(session, bad)
    page = show(session)
    assert "Your card was not charged" in page
    assert "Choose how to pay" in page
    assert 'value="Dublin"' in page
    assert f'value="{good.pk}" id="id_saved_card_1" checked' in page
    assert not Subscription.objects.exists()
    to_the_receipt(pay(session, good), session)
    one_of_everything(session, 10701, fake_stripe)
    assert fresh(good).is_default


def test_the_only_one_declined_leaves_the_card_form_open(
    make_session, customer, save, show, pay, fake_stripe
):
    bad = save("pm_card_chargeCustomerFail")
    session = make_session(customer=customer)
    pay(session, bad)
    assert 'value="another" id="id_saved_card_1" checked' in show(session)


def test_the_bank_may_ask_about_a_saved_one(make_session, customer, save, pay, client, fake_stripe):
    card = save("pm_card_authenticationRequired")
    session = make_session(customer=customer)
    answer = pay(session, card)
    assert "/challenge/" in answer["Location"]
    payment = Payment.objects.get()
    fake_stripe.authenticate(payment.provider_id)
    client.post(f"/checkout/{session.token}/check/")
    one_of_everything(session, 10701, fake_stripe)
    assert Payment.objects.get().payment_method == card


def test_an_answer_that_was_lost_is_found_and_nothing_is_paid_twice(
    make_session, customer, save, pay, fake_stripe
):
    card = save()
    session = make_session(customer=customer)
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    pay(session, card)
    completing.look(session=completing.fresh(session), now=timezone.now())
    one_of_everything(session, 10701, fake_stripe)
    assert PaymentMethod.objects.get() == card


def test_a_trial_begins_with_it(make_session, customer, save, pay, fake_stripe):
    card = save()
    session = make_session(customer=customer, trial_days=14)
    to_the_receipt(pay(session, card), session)
    assert Subscription.objects.get().status == "trialing"
    assert PaymentMethod.objects.get() == card
    assert not Payment.objects.exists()


def test_one_that_has_expired_or_was_removed_is_not_offered(
    make_session, customer, save, show, pay, fake_stripe
):
    gone, old = save(), save("pm_card_mastercard")
    cards.remove(payment_method=gone, now=timezone.now(), actor="user:1")
    PaymentMethod.objects.filter(pk=old.pk).update(exp_year=2020)
    session = make_session(customer=customer)
    page = show(session)
    assert "•••• 4242" not in page
    assert "•••• 4444" not in page
    answer = pay(session, gone)
    assert answer.status_code == 422
    assert "Please enter your card." in answer.text
    assert not Payment.objects.exists()


def test_one_that_is_removed_while_the_page_is_open_is_named(make_session, customer, save, pay, fake_stripe):
    gone, _left = save("pm_card_mastercard", default=False), save()
    gone = fresh(gone)
    session = make_session(customer=customer)
    cards.remove(payment_method=gone, now=timezone.now(), actor="user:1")
    answer = pay(session, gone)
    assert answer.status_code == 422
    assert "This card is not saved any more" in answer.text
    assert not Payment.objects.exists()


def test_nobody_is_known_by_an_address_that_was_typed(
    make_session, customer, save, show, press, pay, fake_stripe
):
    card = save()
    session = make_session(email=customer.email)
    press(session, action="update", email=customer.email)
    assert "•••• 4242" not in show(session)
    assert "saved_card" not in show(session)
    answer = pay(session, card, name="Eve", email=customer.email, company="Eve & Co")
    assert answer.status_code == 422
    assert not Payment.objects.exists()


def test_a_card_of_somebody_else_cannot_be_chosen(
    make_session, make_customer, customer, save, pay, fake_stripe
):
    mine = save()
    other = make_customer(country="IE")
    theirs = cards.save(customer=other, payment_method="pm_card_visa", now=timezone.now(), actor="user:1")
    answer = pay(make_session(customer=customer), theirs)
    assert answer.status_code == 422
    assert not Payment.objects.exists()
    assert mine.pk != theirs.pk


def test_what_failed_before_is_tried_again_with_another_card(
    make_session, customer, save, press, subscribe, fake_stripe
):
    """Of what was bought and ended before, with the card that is charged from now on."""
    bought = subscribe(customer, plan="pro")
    owed = Invoice.objects.get()
    save("pm_card_chargeCustomerFail")
    collecting.attempt(invoice=owed, now=timezone.now(), actor="system")
    Subscription.objects.filter(pk=bought.pk).update(status="canceled")
    Invoice.objects.filter(pk=owed.pk).update(next_attempt_at=None)
    session = make_session(customer=customer)
    to_the_receipt(press(session, saved_card="another", **WHERE), session)
    assert fresh(owed).next_attempt_at is not None


# -- Who is signed in ---------------------------------------------------------------------------------------


@pytest.fixture
def as_member(client, customer):
    """as_member("owner") signs the browser in as one of the customer's."""
    from billing import customers

    def sign_in(role):
        member = customers.add_member(
            customer=customer, email="ada@nova.example", role=role, now=timezone.now(), actor="system"
        )
        client.force_login(member.user)

    return sign_in


@pytest.mark.parametrize(("role", "known"), [("owner", True), ("billing", True), ("viewer", False)])
def test_who_may_change_the_plan_buys_for_their_customer(
    make_session, customer, save, as_member, client, role, known, fake_stripe
):
    save()
    as_member(role)
    make_session().delete()  # the catalogue is shipped
    address = client.post("/checkout/start/", {"plan": "pro", "seats": "3"})["Location"]
    session = CheckoutSession.objects.get()
    assert (session.customer == customer) is known
    assert ("Visa •••• 4242" in client.get(address).text) is known


def test_who_has_several_customers_says_for_which_and_goes_on(
    make_session, make_customer, customer, as_member, client, fake_stripe
):
    from billing import customers

    as_member("owner")
    other = make_customer(name="Other Works")
    customers.add_member(
        customer=other, email="ada@nova.example", role="owner", now=timezone.now(), actor="system"
    )
    make_session().delete()
    wish = {"plan": "pro", "interval": "year", "seats": "3", "currency": "USD"}
    asked = client.post("/checkout/start/", wish)["Location"]
    assert asked.startswith("/portal/choose/?next=")
    assert "Who is this for?" in client.get(asked).text
    back = client.post(asked, {"customer": other.pk})["Location"]
    page = " ".join(client.get(back).text.split())
    for name, value in wish.items():
        assert f'name="{name}" value="{value}"' in page
    assert "For <strong><bdi>Other Works</bdi></strong>" in page
    assert f'href="{escape(asked)}"' in page
    assert client.get("/portal/choose/?next=//evil.example/").status_code == 200
    assert (
        client.post("/portal/choose/?next=//evil.example/", {"customer": customer.pk})["Location"]
        == "/portal/"
    )
    client.post("/checkout/start/", wish)
    session = CheckoutSession.objects.get()
    assert (session.customer, session.interval, session.quantity) == (customer, "year", 3)


def test_who_has_a_plan_is_led_to_it_and_gets_no_second(make_session, customer, as_member, client, subscribe):
    make_session().delete()
    subscribe(customer, plan="pro")
    as_member("owner")
    answer = client.post("/checkout/start/", {"plan": "pro"})
    assert answer.status_code == 422
    assert "You have a plan already" in answer.text
    assert 'href="/portal/plan/"' in answer.text
    assert not CheckoutSession.objects.exists()


def test_a_session_that_was_open_before_says_it_too(make_session, customer, client, subscribe):
    session = make_session(customer=customer)
    subscribe(customer, plan="pro")
    answer = client.get(f"/checkout/{session.token}/")
    assert (answer.status_code, "You have a plan already" in answer.text) == (422, True)
