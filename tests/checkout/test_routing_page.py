"""Buyers that a rule sends to a person: nothing is lost, nothing is charged, a rep may let them finish."""

import pytest
from django.utils import timezone

from billing import cataloguing
from billing.models import Customer, Plan, User
from checkout import sessions
from checkout.models import CheckoutSession, RoutingRule
from sales import leads
from sales.models import Lead

pytestmark = pytest.mark.django_db


@pytest.fixture
def routed(session, press, fake_stripe):
    assert press(session, employees="250", card="", terms=None).status_code == 302
    return session


def test_more_than_a_hundred_people_get_a_person(routed, client, fake_stripe):
    lead = Lead.objects.get()
    assert (lead.company, lead.employees, lead.seats, lead.plan_code) == ("Nova Robotics", 250, 3, "pro")
    assert (lead.email, lead.source) == ("ada@nova.example", "checkout")
    html = client.get(f"/checkout/{routed.token}/").content.decode()
    assert "A person helps you with this" in html
    assert "ada@nova.example" in html
    assert fake_stripe.rows("payment_intent") == []


def test_the_decision_is_kept_with_rule_and_inputs(routed, fresh):
    routing = fresh(routed).routing
    assert (routing["outcome"], routing["rule"]) == ("contact_sales", "More than 100 people")
    assert routing["because"] == ["employees 250 is over 100"]
    assert routing["inputs"]["domain"] == "nova.example"


def test_pressing_again_makes_no_second_lead_and_no_charge(routed, press, fake_stripe):
    press(routed, employees="250")
    press(routed, employees="5")
    assert Lead.objects.count() == 1
    assert fake_stripe.rows("payment_intent") == []
    assert not Customer.objects.exists()


def test_it_is_enforced_on_submit_whatever_was_shown(session, press, fake_stripe):
    press(session, action="update", employees="5")
    press(session, employees="101")
    assert Lead.objects.get().employees == 101
    assert fake_stripe.rows("payment_intent") == []


def test_a_hundred_buy_alone(session, press, fake_stripe, fresh):
    press(session, employees="100")
    assert fresh(session).status == "completed"


def test_the_page_says_so_before_the_button_is_pressed(session, press):
    def shown(way, employees):
        asked = {"action": "update", "way": way, "employees": employees}
        return press(session, **asked, headers={"HX-Request": "true"}).text

    assert "Continue with our team" in shown("card", "250")
    assert "Continue with our team" in shown("card", "251")  # the answer before was lost on its way
    assert 'id="pay-part"' not in shown("team", "252")
    assert "card-element" in shown("team", "25")
    assert 'id="pay-part"' not in shown("card", "26")


def test_a_person_needs_to_know_whom_to_call(session, press):
    answer = press(session, employees="250", email="", card="", terms=None, line1="", city="")
    assert answer.status_code == 422
    html = answer.content.decode()
    assert 'id="id_email_error"' in html
    assert 'id="id_line1_error"' not in html
    assert not Lead.objects.exists()


@pytest.mark.parametrize(("state", "kept"), [("Texas", "Texas"), ("TX", "TX"), ("Bavaria", "")])
def test_what_is_no_state_turns_nobody_away(session, press, state, kept):
    press(session, employees="250", country="US", state=state)
    assert Lead.objects.get().state == kept


def test_a_rep_lets_the_buyer_finish_with_everything_typed(routed, client, press, fresh):
    sessions.unlock(session=routed, now=timezone.now(), actor="user:7")
    html = client.get(f"/checkout/{routed.token}/").content.decode()
    assert 'value="Nova Robotics"' in html
    assert "card-element" in html
    press(routed, employees="250")
    assert fresh(routed).status == "completed"
    assert Customer.objects.get().employees == 250


def test_a_rule_may_name_an_owner(session, press):
    rep = User.objects.create_user("rep@lumen.example", name="Rae", is_staff=True)
    RoutingRule.objects.create(
        position=1, name="Germany", conditions={"country": ["DE"]}, outcome="owner", owner=rep
    )
    press(session)
    assert Lead.objects.get().owner == rep


def test_a_rule_may_ask_for_a_demo_first(session, press):
    RoutingRule.objects.create(position=1, name="Demo", conditions={"seats": {"at_least": 3}}, outcome="demo")
    press(session)
    assert Lead.objects.get().demo_wanted


def test_a_purchase_of_the_size_of_an_invoice_customer_goes_to_sales(session, press, fake_stripe):
    """100 seats of Pro by the month are 34,800 a year; the rule of payment starts at 50,000."""
    from billing.models import Segment

    Segment.objects.filter(code="mid-market").update(max_arr=20_000_00)
    Segment.objects.filter(code="enterprise").update(min_arr=20_000_00)
    press(session, quantity="100")
    assert Lead.objects.get().seats == 100
    assert CheckoutSession.objects.get().routing["rule"] == "Paid by invoice at this size"
    assert fake_stripe.rows("payment_intent") == []


@pytest.mark.parametrize(
    ("sold", "outcome", "demo"),
    [({"requires_demo": True}, "demo", True), ({"quote_only": True}, "contact_sales", False)],
)
def test_a_plan_that_is_sold_otherwise_by_now_hands_the_buyer_over(
    session, press, client, fake_stripe, fresh, sold, outcome, demo
):
    Plan.objects.filter(pk=session.plan_id).update(**sold)
    assert (
        "Continue with our team"
        in press(session, action="update", way="card", headers={"HX-Request": "true"}).text
    )
    assert press(session).status_code == 302
    assert fake_stripe.rows("payment_intent") == []
    lead, row = Lead.objects.get(), fresh(session)
    assert (lead.demo_wanted, lead.company, lead.seats) == (demo, "Nova Robotics", 3)
    assert (row.status, row.routing["outcome"], row.answers["city"]) == ("open", outcome, "Bonn")
    assert "A person helps you with this" in client.get(f"/checkout/{session.token}/").text

    sessions.unlock(session=row, now=timezone.now(), actor="user:1")
    press(session)
    assert fresh(session).status == "completed"


def test_who_has_seen_the_demo_buys_also_when_it_became_needed_meanwhile(session, press, fake_stripe, fresh):
    Plan.objects.filter(pk=session.plan_id).update(requires_demo=True)
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", source="contact_form", now=timezone.now(),
        actor="buyer", plan="pro", demo_wanted=True,
    )  # fmt: skip
    Lead.objects.filter(pk=lead.pk).update(demo_done_at=timezone.now())
    press(session)
    assert fresh(session).status == "completed"


def test_a_plan_that_is_sold_no_longer_is_honoured_while_the_session_lives(
    session, press, client, fake_stripe, fresh, books
):
    shown = client.get(f"/checkout/{session.token}/").text
    cataloguing.archive_plan(plan=session.plan, now=timezone.now())
    assert "$87.00" in shown
    assert "$87.00" in client.get(f"/checkout/{session.token}/").text
    press(session)
    row = fresh(session)
    assert (row.status, row.invoice.subtotal) == ("completed", 8700)
    with pytest.raises(sessions.UnknownPlan):
        sessions.again(session=row, now=timezone.now())
