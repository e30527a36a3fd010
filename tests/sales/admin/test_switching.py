"""Staff switch a customer between card and invoice; what the segment forbids needs a reason and the right to it."""

import pytest

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
    refused = ask(browser, address, customer, reason="They asked nicely")
    assert "A manager has to approve this." in refused.text
    assert "They asked nicely" in refused.text


def test_a_manager_gives_a_reason_and_terms(boss, address, customer):
    answer = ask(boss, address, customer, reason="Agreed", net_days="45")
    assert "From the next invoice on" in answer.text
    assert customer.collection_method == "send_invoice"
    assert customer.subscriptions.get().phases.order_by("-start_on", "-id").first().net_days == 45


def test_a_wrong_choice_is_told_at_its_field(boss, address, customer):
    answer = ask(boss, address, customer, method="barter")
    assert answer.status_code == 422
    assert customer.collection_method == "charge_automatically"
