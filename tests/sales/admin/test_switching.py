"""Staff switch a customer between card and invoice; what the segment forbids needs a reason and the right to it."""

import pytest
from django.test import Client

from billing import customers
from billing.models import Mail, User
from sales import catalogue as shipped
from sales import excepting
from sales.models import PaymentException

pytestmark = pytest.mark.usefixtures("sales_catalogue")


@pytest.fixture
def customer(make_customer, subscribe):
    customer = make_customer()
    subscribe(customer)
    customer.refresh_from_db()
    return customer


def ask(browser, address, customer, **given):
    answer = browser.post(
        address(customer), {"action": "switch", "method": "send_invoice", **given}, follow=True
    )
    customer.refresh_from_db()
    return answer


def test_a_rep_is_told_what_the_segment_allows(browser, address, customer):
    answer = ask(browser, address, customer)
    assert (answer.status_code, customer.collection_method) == (422, "charge_automatically")
    assert "do not pay by invoice" in answer.text
    asked = ask(browser, address, customer, reason="They asked nicely", net_days="45")
    assert "somebody who may allow it has been told" in asked.text
    assert "They asked nicely" in asked.text
    assert customer.collection_method == "charge_automatically"


def test_a_manager_allows_what_a_rep_asked_for(browser, boss, address, customer, rita):
    ask(browser, address, customer, reason="They asked nicely", net_days="45")
    mail = Mail.objects.get(template="payment_exception")
    assert (mail.recipient, "They asked nicely" in mail.text) == ("mara@seller.example", True)
    assert "wants to pay by" in boss.get("/admin/").text
    assert browser.post(address(customer), {"action": "allow"}).status_code == 403
    page = boss.post(address(customer), {"action": "allow"}, follow=True)
    customer.refresh_from_db()
    assert customer.collection_method == "send_invoice"
    assert customer.subscriptions.get().phases.order_by("-start_on", "-id").first().net_days == 45
    assert "waits for approval" not in page.text
    wish = PaymentException.objects.get()
    assert (wish.decision, wish.asked_by, wish.decided_by.name) == ("approved", rita, "Mara")
    assert "decided already" in boss.post(address(customer), {"action": "allow"}, follow=True).text


def test_a_manager_refuses_and_nothing_changes(browser, boss, address, customer):
    ask(browser, address, customer, reason="They asked nicely")
    boss.post(address(customer), {"action": "refuse"})
    customer.refresh_from_db()
    assert customer.collection_method == "charge_automatically"
    assert excepting.waiting_for(customer) is None


def test_nobody_allows_it_for_a_customer_of_their_own(boss, address, customer, staff):
    mara = User.objects.get(name="Mara")
    customers.assign_owner(customer=customer, owner=mara, now=customer.now, actor="system", why="test")
    asked = ask(boss, address, customer, reason="A friend of mine")
    assert "somebody who may allow it has been told" in asked.text
    assert "Somebody else decides." in asked.text
    assert "wants to pay by" not in boss.get("/admin/").text
    own = boss.post(address(customer), {"action": "allow"})
    assert (own.status_code, "Somebody else has to decide" in own.text) == (422, True)
    customer.refresh_from_db()
    assert customer.collection_method == "charge_automatically"
    other = Client()
    other.force_login(staff("dora", shipped.DIRECTORS))
    other.post(address(customer), {"action": "allow"})
    customer.refresh_from_db()
    assert customer.collection_method == "send_invoice"


def test_the_owner_does_not_allow_what_a_rep_asks_for(browser, boss, address, customer):
    mara = User.objects.get(name="Mara")
    customers.assign_owner(customer=customer, owner=mara, now=customer.now, actor="system", why="test")
    ask(browser, address, customer, reason="They asked nicely")
    assert boss.post(address(customer), {"action": "allow"}).status_code == 422
    assert not Mail.objects.filter(template="payment_exception").exists()


def test_a_manager_gives_a_reason_and_terms(boss, address, customer):
    answer = ask(boss, address, customer, reason="Agreed", net_days="45")
    assert "From the next invoice on" in answer.text
    assert customer.collection_method == "send_invoice"
    assert customer.subscriptions.get().phases.order_by("-start_on", "-id").first().net_days == 45


def test_a_wrong_choice_is_told_at_its_field(boss, address, customer):
    answer = ask(boss, address, customer, method="barter")
    assert answer.status_code == 422
    assert customer.collection_method == "charge_automatically"
