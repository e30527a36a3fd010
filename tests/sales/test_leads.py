"""Who asks for sales: taken in, owned, answered; and what becomes of them."""

from datetime import timedelta

import pytest

from billing.models import Customer, Event, Mail
from billing.moves import IllegalMove
from billing.refusals import Refused
from sales import handing_over, leads
from sales.models import Deal, HandoffTask, Lead, Signal
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")


@pytest.fixture
def ask(rita):
    def contact(**other):
        ada = {"name": "Ada Byron", "email": "ada@nova.example", "company": "Nova", "livemode": False}
        return leads.contact(**{**ada, "now": NOON, "actor": "buyer", **other})

    return contact


def test_it_makes_a_lead_with_an_owner_a_task_and_two_mails(ask, rita):
    lead = ask(employees=120, country="de", need="SSO\nand audit", plan="enterprise", seats=80)
    assert (lead.owner, lead.country, lead.need, lead.seats) == (rita, "DE", "SSO\nand audit", 80)
    task = HandoffTask.objects.get()
    assert (task.lead, task.owner, task.reason) == (lead, rita, "Asked for sales: Enterprise")
    assert set(Mail.objects.values_list("template", "recipient")) == {
        ("lead_received", "ada@nova.example"),
        ("lead_owner", rita.email),
    }
    assert list(Event.objects.order_by("number").values_list("type", flat=True)) == [
        "lead.created",
        "handoff.raised",
    ]


def test_it_says_that_a_demo_is_wanted(ask):
    ask(demo_wanted=True)
    assert HandoffTask.objects.get().reason == "Demo requested"
    assert Event.objects.filter(type="demo.requested").count() == 1


def test_it_takes_the_owner_that_a_rule_named(ask, staff):
    sam = staff("sam")
    assert ask(owner=sam, why="Named by a rule").owner == sam
    assert "Named by a rule" in Mail.objects.get(template="lead_owner").text


def test_it_answers_a_double_click_with_one_lead(ask):
    first = ask(need="SSO")
    assert ask(need="SSO", now=NOON + timedelta(minutes=9)) == first
    assert ask(need="Other") != first
    assert ask(need="SSO", now=NOON + timedelta(hours=1)) != first
    assert Lead.objects.count() == 3


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"email": "ada"}, "email"),
        ({"company": ""}, "company"),
        ({"company": "x" * 201}, "company"),
        ({"country": "Narnia"}, "country"),
        ({"employees": -1}, "employees"),
        ({"employees": True}, "employees"),
        ({"need": "x" * 4001}, "need"),
        ({"need": "a\x00b"}, "need"),
        ({"plan": "gold"}, "plan"),
        ({"country": "US", "state": "Bavaria"}, "state"),
        ({"country": "DE", "state": "x" * 101}, "state"),
    ],
)
def test_it_refuses_bad_input_by_field_and_keeps_nothing(ask, wrong, field):
    with pytest.raises(Refused) as refusal:
        ask(**wrong)
    assert refusal.value.field == field
    assert not Lead.objects.exists()
    assert not Mail.objects.exists()


def test_it_knows_a_customer_who_writes(ask, make_customer, run_jobs):
    customer = make_customer(None, email="ada@nova.example")
    lead = ask(demo_wanted=True)
    run_jobs()
    assert lead.customer == customer
    task = HandoffTask.objects.get()
    assert (task.customer, task.lead) == (customer, lead)
    assert Signal.objects.get().task == task
    assert task.reason == "Demo requested"


def test_it_joins_the_open_task_of_a_customer_who_writes(ask, make_customer):
    customer = make_customer(None, email="ada@nova.example")
    task = handing_over.raise_by_hand(customer=customer, reason="By hand", now=NOON, actor="user:1")
    lead = ask()
    task.refresh_from_db()
    assert HandoffTask.objects.count() == 1
    assert (task.lead, task.reason) == (lead, "By hand, Asked for sales")


def test_it_becomes_a_customer_with_all_it_has(ask, make_customer, rita):
    lead, customer = ask(), make_customer()
    leads.convert(lead=lead, customer=customer, now=NOON, actor="user:1")
    leads.convert(lead=lead, customer=customer, now=NOON, actor="user:1")
    customer.refresh_from_db()
    assert (lead.status, customer.owner) == ("converted", rita)
    assert HandoffTask.objects.get().customer == customer


# -- Customers who ask


def test_it_makes_a_signal_and_a_task_of_a_demo_request(make_customer, rita, run_jobs):
    customer = make_customer()
    task = leads.ask(customer=customer, about="demo", text="Please", now=NOON, actor="key:app")
    run_jobs()
    assert Signal.objects.get().task == task
    assert Signal.objects.get().sentence == "Asked for a demo: “Please”"


def test_it_makes_a_signal_of_a_wish_for_annual_billing(make_customer, rita):
    customer = make_customer()
    assert leads.ask(customer=customer, about="annual", now=NOON, actor="key:app") is None
    assert Signal.objects.get().rule.code == "wants_annual"


def test_it_makes_a_task_of_the_rest(make_customer, rita):
    task = leads.ask(customer=make_customer(), about="quote", text="40 seats", now=NOON, actor="key:app")
    assert (task.reason, task.note, task.owner) == ("Asked for a quote", "40 seats", rita)


def test_it_refuses_another_wish(make_customer):
    with pytest.raises(leads.UnknownWish):
        leads.ask(customer=make_customer(), about="pony", now=NOON, actor="key:app")


# -- A customer and a deal, without typing twice


def test_a_stranger_becomes_a_customer_with_a_deal_at_once(ask, rita):
    lead = ask(plan="enterprise", employees=120, country="DE", industry="Robotics")
    customer, deal = leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert (customer.name, customer.email, customer.country, customer.employees, customer.industry) == (
        "Nova", "ada@nova.example", "DE", 120, "Robotics"
    )  # fmt: skip
    assert [(m.user.email, m.user.name, m.role) for m in customer.members.all()] == [
        ("ada@nova.example", "Ada Byron", "owner")
    ]
    assert (deal.name, deal.customer, deal.lead, deal.owner, deal.motion) == (
        "Nova: Enterprise", customer, lead, rita, "sales_led"
    )  # fmt: skip
    assert (lead.status, lead.customer) == ("converted", customer)
    task = HandoffTask.objects.get()
    assert (task.customer, deal.task) == (customer, task)
    assert customer.owner == rita


def test_a_second_click_answers_the_same(ask):
    lead = ask()
    first = leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert leads.take_on(lead=Lead.objects.get(), now=NOON, actor="user:1") == first
    assert Customer.objects.count() == Deal.objects.count() == 1


def test_it_offers_who_it_may_be_and_why(ask, make_customer, add_members):
    make_customer(None, name="Sandbox on a clock", domain="other.example")
    by_domain = make_customer(None, name="Nova Berlin", email="it@nova.example")
    by_mail = make_customer(None, name="Nova Inc", email="ADA@nova.example")
    other_side = make_customer(None, name="Live Nova", email="x@nova.example")
    Customer.objects.filter(pk=other_side.pk).update(livemode=True)
    found = leads.lookalikes(ask())
    assert [each.customer for each in found] == [by_mail, by_domain]
    assert [each.why for each in found][1:] == ["the same domain, nova.example"]


def test_somebody_says_which_it_is(ask, make_customer):
    nova = make_customer(None, name="Nova Inc", email="it@nova.example")
    lead = ask()
    with pytest.raises(leads.LooksKnown) as refusal:
        leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert refusal.value.field == "customer"
    customer, deal = leads.take_on(lead=lead, customer=nova, now=NOON, actor="user:1")
    assert (customer, deal.customer, Customer.objects.count()) == (nova, nova, 1)


def test_or_that_it_is_new(ask, make_customer):
    make_customer(None, name="Nova Inc", email="it@nova.example")
    customer, _ = leads.take_on(lead=ask(), new=True, now=NOON, actor="user:1")
    assert Customer.objects.count() == 2
    assert customer.name == "Nova"


def test_a_colleague_at_a_free_mail_address_looks_like_nobody(ask, make_customer):
    make_customer(None, email="someone@gmail.com")
    assert leads.lookalikes(ask(email="ada@gmail.com")) == []


def test_a_closed_lead_is_opened_first(ask):
    lead = ask()
    leads.close(lead=lead, now=NOON, actor="user:1")
    with pytest.raises(IllegalMove):
        leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert not Customer.objects.exists()
