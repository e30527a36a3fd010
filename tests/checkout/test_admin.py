"""Staff let a buyer past sales."""

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from billing.models import Mail, User
from checkout import catalogue as shipped
from checkout import sessions
from checkout.models import CheckoutSession, RoutingRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(catalogue):
    return sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)


@pytest.fixture
def sign_in(client):
    def make(*permissions):
        user = User.objects.create_user("sam@seller.example", name="Sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return make


def where(session):
    return f"/admin/checkout/checkoutsession/{session.pk}/change/"


def test_it_unlocks_a_session(session, sign_in):
    browser = sign_in("view_checkoutsession", "unlock_checkout")
    assert browser.post(where(session), {"action": "unlock"}).status_code == 302
    session.refresh_from_db()
    assert session.unlocked_by.startswith("user:")


def test_it_asks_for_the_permission_and_keeps_the_key_to_itself(session, sign_in):
    browser = sign_in("view_checkoutsession")
    assert session.token not in browser.get(where(session)).text
    assert browser.post(where(session), {"action": "unlock"}).status_code == 403
    session.refresh_from_db()
    assert not session.unlocked_by


SEND = "/admin/checkout/checkoutsession/add/"
WISH = {
    "email": "ada@nova.example", "plan": "pro", "interval": "year", "quantity": "5", "currency": "EUR",
    "trial_days": "", "message": "As we said.",
}  # fmt: skip


def test_a_rep_sends_a_checkout_link(catalogue, sign_in):
    browser = sign_in("add_checkoutsession", "view_checkoutsession")
    assert "/checkout/start/?plan=pro&amp;interval=year" in browser.get(SEND).text
    assert browser.post(SEND, WISH).status_code == 302
    made = CheckoutSession.objects.get()
    assert (made.origin, made.interval, made.quantity, made.currency) == ("rep", "year", 5, "EUR")
    assert made.needs_card
    assert not made.unlocked_by
    mail = Mail.objects.get(template="checkout_link")
    assert made.url in mail.text
    assert "As we said." in mail.text


def test_a_wrong_wish_is_told_at_its_field_and_kept(catalogue, sign_in):
    answer = sign_in("add_checkoutsession").post(SEND, {**WISH, "interval": "quarter"})
    assert answer.status_code == 422
    assert "has no quarter price" in answer.text
    assert "As we said." in answer.text
    assert not CheckoutSession.objects.exists()
    assert not Mail.objects.exists()


def test_a_demo_plan_needs_the_right_to_unlock(catalogue, sign_in):
    wish = {**WISH, "plan": "business", "unlock": "on"}
    assert sign_in("add_checkoutsession").post(SEND, wish).status_code == 422
    User.objects.all().delete()
    assert sign_in("add_checkoutsession", "unlock_checkout").post(SEND, wish).status_code == 302
    assert CheckoutSession.objects.get().unlocked_by.startswith("user:")


def test_a_link_may_be_for_a_customer(make_customer, catalogue, sign_in):
    customer = make_customer()
    browser = sign_in("add_checkoutsession")
    assert browser.post(f"{SEND}?customer={customer.pk}", WISH).status_code == 302
    made = CheckoutSession.objects.get()
    assert (made.customer, made.email, made.currency) == (customer, customer.email, customer.currency)
    assert browser.get(f"{SEND}?customer=nobody").status_code == 404


def test_looking_is_not_sending(catalogue, sign_in):
    assert sign_in("view_checkoutsession").get(SEND).status_code == 403


# -- Trying the rules ------------------------------------------------------------------------------------------

TRY = "/admin/checkout/routingrule/try/"


@pytest.fixture
def rules(catalogue):
    shipped.ship(now=timezone.now())
    gov = {"domain": ["*.gov"], "seats": {"over": 5}}
    RoutingRule.objects.create(position=10, name="Public sector", conditions=gov, outcome="demo")
    RoutingRule.objects.create(position=20, name="Off", conditions={}, outcome="demo", active=False)


@pytest.mark.parametrize(
    ("question", "way", "words"),
    [
        ("employees=500", "A person gets in touch", "Rule “More than 100 people” decides."),
        (
            "employees=500&seats=6&email=a@tax.gov",
            "A demo comes first",
            "seats 6 is over 5; domain “tax.gov” is “*.gov”",
        ),
        ("employees=100&email=a@tax.gov", "Buys alone, by card", "does not hold: seats"),
        ("employees=", "Buys alone, by card", "No rule applies"),
    ],
)
def test_it_says_which_way_a_buyer_would_go_and_why(rules, sign_in, question, way, words):
    answer = sign_in("view_routingrule").get(f"{TRY}?{question}")
    assert (answer.status_code, answer.context["way"]) == (200, way)
    assert words in " ".join(answer.text.split())
    assert not CheckoutSession.objects.exists()


def test_a_wrong_question_names_its_field_and_keeps_the_rest(rules, sign_in):
    answer = sign_in("view_routingrule").get(f"{TRY}?employees=many&country=ZZ&need=%00SSO&industry=Law")
    assert answer.status_code == 422
    assert {"employees", "country", "need"} <= answer.context["form"].errors.keys()
    assert 'value="Law"' in answer.text


def test_only_who_sees_the_rules_tries_them(rules, sign_in):
    assert sign_in("view_checkoutsession").get(TRY).status_code == 403


def test_the_list_of_rules_leads_there(rules, sign_in):
    assert TRY in sign_in("view_routingrule").get("/admin/checkout/routingrule/").text


def test_a_rule_is_written_in_lines_and_what_means_nothing_stays_to_be_put_right(sign_in):
    browser = sign_in("add_routingrule", "change_routingrule", "view_routingrule")
    typed = {"position": "7", "name": "Public sector", "outcome": "demo", "active": "on"}
    where = "/admin/checkout/routingrule/add/"
    page = browser.post(where, {**typed, "conditions": "domain *.gov\nemployees many"})
    assert "“employees many” is not understood" in page.text
    assert "domain *.gov" in page.text
    assert browser.post(where, {**typed, "conditions": "domain *.gov\nemployees over 5"}).status_code == 302
    rule = RoutingRule.objects.get(position=7)
    assert rule.conditions == {"domain": ["*.gov"], "employees": {"over": 5}}
    shown = browser.get(f"/admin/checkout/routingrule/{rule.pk}/change/").text
    assert "domain *.gov\nemployees over 5</textarea>" in shown
