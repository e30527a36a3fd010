"""Sessions before money moves: who may have one, how they end, promotion codes."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.utils import timezone

from billing import redirecting, sending_again, typed
from billing.models import Discount, Event, Mail, Plan, User
from billing.refusals import Refused
from billing.subscribing import InvalidQuantity, PlanNeedsQuote, UnknownPrice
from checkout import sessions
from checkout.models import CheckoutSession
from sales.models import Lead
from tests.races import at_once

pytestmark = pytest.mark.django_db


def test_it_is_open_for_a_day_behind_a_secret_address(session):
    stored = CheckoutSession.objects.get()
    assert stored.status == "open"
    assert stored.expires_at - stored.created_at == timedelta(hours=24)
    assert len(stored.token) >= 43
    assert stored.token in stored.url
    assert stored.pk not in stored.url


@pytest.mark.parametrize(
    ("fields", "refusal", "code", "field"),
    [
        ({"plan": "nothing"}, sessions.UnknownPlan, "unknown_plan", "plan"),
        ({"plan": "a\x00b"}, sessions.UnknownPlan, "unknown_plan", "plan"),
        ({"plan": "enterprise"}, PlanNeedsQuote, "plan_needs_quote", "plan"),
        ({"plan": "business"}, sessions.PlanNeedsDemo, "plan_needs_demo", "plan"),
        ({"interval": "decade"}, UnknownPrice, "unknown_price", "interval"),
        ({"interval": "quarter"}, UnknownPrice, "unknown_price", "interval"),
        ({"currency": "JPY"}, UnknownPrice, "unknown_price", "currency"),
        ({"currency": "moon"}, typed.UnknownCurrency, "unknown_currency", "currency"),
        ({"quantity": 0}, InvalidQuantity, "invalid_quantity", "quantity"),
        ({"quantity": -1}, InvalidQuantity, "invalid_quantity", "quantity"),
        ({"quantity": 10**9}, InvalidQuantity, "invalid_quantity", "quantity"),
        ({"quantity": 101}, InvalidQuantity, "invalid_quantity", "quantity"),
        ({"plan": "starter", "quantity": 2}, InvalidQuantity, "invalid_quantity", "quantity"),
        ({"email": "nobody"}, typed.InvalidEmail, "invalid_email", "email"),
        ({"trial_days": -1}, sessions.InvalidTrial, "invalid_trial", "trial_days"),
        ({"trial_days": 5000}, sessions.InvalidTrial, "invalid_trial", "trial_days"),
        (
            {"success_url": "https://evil.example/"},
            redirecting.RedirectNotAllowed,
            "redirect_not_allowed",
            "success_url",
        ),
        (
            {"success_url": "//evil.example"},
            redirecting.RedirectNotAllowed,
            "redirect_not_allowed",
            "success_url",
        ),
        (
            {"cancel_url": "/\\evil.example"},
            redirecting.RedirectNotAllowed,
            "redirect_not_allowed",
            "cancel_url",
        ),
        (
            {"cancel_url": "javascript:alert(1)"},
            redirecting.RedirectNotAllowed,
            "redirect_not_allowed",
            "cancel_url",
        ),
    ],
)
def test_it_refuses_by_name_and_makes_nothing(make_session, fields, refusal, code, field):
    with pytest.raises(refusal) as told:
        make_session(**fields)
    assert (told.value.code, told.value.field) == (code, field)
    assert not CheckoutSession.objects.exists()


def test_it_leads_back_to_listed_hosts(make_session, settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.lumen.example"]
    made = make_session(
        success_url="https://app.lumen.example/done?s={CHECKOUT_SESSION_ID}", cancel_url="/pricing/"
    )
    assert made.success_url.startswith("https://app.lumen.example")


def test_an_archived_plan_is_not_for_sale(make_session):
    Plan.objects.filter(code="pro").update(archived_at=timezone.now())
    with pytest.raises(sessions.UnknownPlan):
        make_session()


def test_a_demo_that_took_place_opens_the_plan(make_session):
    given = {"name": "Ada", "company": "Nova", "email": "ada@nova.example", "demo_done_at": timezone.now()}
    Lead.objects.create(**given, plan_code="business")
    assert make_session(plan="business", email="Ada@nova.example").plan.code == "business"
    with pytest.raises(sessions.PlanNeedsDemo):
        make_session(plan="business", email="bob@nova.example")


def test_a_rep_may_let_a_buyer_past_sales(make_session):
    assert make_session(plan="business", unlocked_by="user:7", origin="rep").unlocked_by == "user:7"


def test_a_subscriber_does_not_buy_again(make_session, make_customer, subscribe):
    customer = make_customer()
    subscribe(customer)
    with pytest.raises(sessions.AlreadySubscribed):
        make_session(customer=customer)


# -- Ended --------------------------------------------------------------------------------------------------


def test_an_untouched_session_expires_and_a_started_one_is_abandoned(make_session):
    untouched, started = make_session(), make_session(email="ada@nova.example")
    sessions.remember(started, {"company": "Nova"})
    sessions.keep(started)
    CheckoutSession.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert sessions.expire_due(now=timezone.now()) == 2
    assert sessions.expire_due(now=timezone.now()) == 0
    states = dict(CheckoutSession.objects.values_list("pk", "status"))
    assert states == {untouched.pk: "expired", started.pk: "abandoned"}
    assert Event.objects.filter(type="checkout.expired").count() == 2


def left(session, **fields):
    """Somebody typed, went away, and the day is over."""
    sessions.remember(session, {"name": "Ada Lovelace", "company": "Nova"})
    sessions.keep(session)
    CheckoutSession.objects.filter(pk=session.pk).update(
        expires_at=timezone.now() - timedelta(minutes=1), **fields
    )


def test_who_left_gets_one_mail_with_the_way_back(make_session, client):
    session = make_session(email="ada@nova.example")
    left(session)
    sessions.expire_due(now=timezone.now())
    mail = Mail.objects.get(template="checkout_abandoned")
    assert mail.recipient == "ada@nova.example"
    assert session.url in mail.text
    assert "Start again where I was" in client.get(f"/checkout/{session.token}/").content.decode()


@pytest.mark.parametrize("fields", [{"email": ""}, {"lead_id": "lead_x"}])
def test_nobody_is_written_to_who_is_not_waiting(make_session, fields):
    left(make_session(email="ada@nova.example"), **fields)
    sessions.expire_due(now=timezone.now())
    assert not Mail.objects.filter(template="checkout_abandoned").exists()


def test_who_came_back_by_another_way_gets_no_mail(make_session):
    first = make_session(email="ada@nova.example")
    make_session(email="Ada@nova.example")
    left(first)
    sessions.expire_due(now=timezone.now())
    assert not Mail.objects.filter(template="checkout_abandoned").exists()


def test_a_sandbox_session_ends_by_its_own_clock(make_session, clock, advance):
    session = make_session(now=clock.now, test_clock=clock)
    assert sessions.expire_due(now=timezone.now() + timedelta(days=9)) == 0
    type(clock).objects.filter(pk=clock.pk).update(now=clock.now + timedelta(hours=25))
    assert sessions.expire_due(now=timezone.now()) == 1
    assert Event.objects.get(type="checkout.expired").at == session.expires_at


def test_a_session_that_is_being_paid_does_not_expire(session):
    CheckoutSession.objects.update(expires_at=timezone.now() - timedelta(days=1), attempted_at=timezone.now())
    assert sessions.expire_due(now=timezone.now()) == 0
    with pytest.raises(sessions.NotOpen):
        sessions.expire(session=session, now=timezone.now(), actor="key:x")


def test_it_begins_again_with_everything_typed(session):
    sessions.remember(session, {"company": "Nova", "tax_id": "wrong"}, quantity=5)
    assert sessions.keep(session)
    sessions.expire(session=session, now=timezone.now(), actor="system")
    fresh = sessions.again(session=session, now=timezone.now())
    assert (fresh.status, fresh.quantity, fresh.answers) == (
        "open",
        5,
        {"company": "Nova", "tax_id": "wrong"},
    )
    assert fresh.token != session.token


def test_it_begins_again_with_one_of_what_is_sold_as_a_whole(make_session):
    """Seats that were typed while another interval was chosen are nobody's wish any more."""
    session = make_session("starter")
    sessions.remember(session, {"company": "Nova"}, quantity=5)
    assert sessions.keep(session)
    assert sessions.again(session=session, now=timezone.now()).quantity == 1


def test_unlocking_opens_an_ended_session_for_a_day(session):
    sessions.expire(session=session, now=timezone.now(), actor="system")
    sessions.unlock(session=session, now=timezone.now(), actor="user:7")
    stored = CheckoutSession.objects.get()
    assert (stored.status, stored.unlocked_by) == ("open", "user:7")


def test_the_buyer_hears_that_the_way_is_open(make_session):
    session = make_session(email="ada@nova.example")
    sessions.unlock(session=session, now=timezone.now(), actor="system")
    sent = Mail.objects.get()
    assert (sent.template, sent.recipient) == ("checkout_link", "ada@nova.example")
    assert session.url in sent.text


def test_a_rep_sends_the_link_with_words_of_their_own(make_session):
    rep = User.objects.create_user("rep@lumen.example", name="Rae", is_staff=True)
    session = make_session(email="ada@nova.example", origin="rep")
    for _ in range(2):
        sessions.send_link(session=session, now=timezone.now(), actor=f"user:{rep.pk}", message="As agreed.")
    sent = Mail.objects.get()
    assert "Rae has prepared your checkout of Pro" in sent.text
    assert "As agreed." in sent.text


def test_a_link_goes_out_again_while_it_opens(make_session):
    session = make_session(email="ada@nova.example", origin="rep")
    sessions.send_link(session=session, now=timezone.now(), actor="system")
    first = Mail.objects.get()
    Mail.objects.update(sent_at=timezone.now())
    first.refresh_from_db()
    assert sending_again.send_again(source=first, now=timezone.now(), actor="system").text == first.text
    sessions.expire(session=session, now=timezone.now(), actor="system")
    with pytest.raises(sessions.NotOpen, match="Send a new one"):
        sending_again.send_again(source=first, now=timezone.now() + timedelta(hours=1), actor="system")


def test_a_link_needs_somebody_to_go_to(session):
    with pytest.raises(typed.Missing):
        sessions.send_link(session=session, now=timezone.now(), actor="system")


# -- Promotion codes ----------------------------------------------------------------------------------------


def code(**fields):
    return Discount.objects.create(
        **{"code": "LAUNCH", "percent_off": Decimal(20), "duration": "forever", **fields}
    )


def find(text="launch", currency="USD"):
    plan = Plan.objects.get(code="pro")
    return sessions.usable(
        sessions.coded(sessions.plain_code(text) or "-").first(),
        plan=plan,
        currency=currency,
        now=timezone.now(),
    )


def test_it_finds_a_code_whatever_its_case(catalogue):
    assert code() == find(" Launch ") == find("launch")


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_at": timezone.now() - timedelta(days=1)},
        {"max_redemptions": 1, "redemptions": 1},
        {"percent_off": None, "amount_off": 500, "currency": "EUR"},
    ],
)
def test_it_refuses_a_code_that_no_longer_works(catalogue, fields):
    code(**fields)
    with pytest.raises(sessions.CodeRefused) as refusal:
        find()
    assert refusal.value.field == "promotion_code"


def test_it_refuses_a_code_of_another_plan(catalogue):
    code().plans.add(Plan.objects.get(code="starter"))
    with pytest.raises(sessions.CodeRefused):
        find()


@pytest.mark.parametrize("text", ["", "  ", "nope", "%", "\x00", "' or 1=1"])
def test_it_refuses_a_code_that_is_none(catalogue, text):
    code()
    with pytest.raises(sessions.CodeRefused):
        find(text)


def test_the_last_redemption_goes_to_one_session(make_session):
    last = code(max_redemptions=1)
    one, two = make_session(), make_session()
    one.discount = two.discount = last
    sessions.hold_discount(one)
    sessions.hold_discount(one)
    with pytest.raises(sessions.CodeRefused):
        sessions.hold_discount(two)
    sessions.release_discount(one)
    sessions.hold_discount(two)
    last.refresh_from_db()
    assert last.redemptions == 1


def test_sixteen_buyers_and_one_redemption(transactional_db, make_session):
    last = code(max_redemptions=1)
    rows = [make_session() for _ in range(16)]

    def hold(row):
        row.discount = last
        try:
            sessions.hold_discount(row)
            return True
        except Refused:
            return False

    assert sum(at_once(*[partial(hold, row) for row in rows])) == 1
    last.refresh_from_db()
    assert last.redemptions == 1
