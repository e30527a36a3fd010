"""Every page of the portal in a real browser, for a customer with a long name from right to left: readable, and sound."""

import pytest

from billing import cards, customers, subscribing
from billing.models import Plan
from tests.browser.looking import sound

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAME = "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 4
PAGES = ("", "usage/", "invoices/", "team/", "plan/", "plan/features/", "payment/", "payment/card/", "details/",
         "quotes/", "help/")  # fmt: skip


@pytest.fixture
def member(site, make_customer):
    """(the user, the subscription) of somebody who has a bit of everything."""
    customer = make_customer(name=NAME)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    subscription = subscribing.subscribe(
        customer=customer, plan=Plan.objects.get(code="pro"), interval="month", quantity=3, now=customer.now,
        actor="system", origin="api",
    )  # fmt: skip
    subscribing.bill_now(subscription=subscription, now=customer.now, actor="system")
    someone = customers.add_member(
        customer=customer, email="ada@nova.example", role="owner", now=customer.now, actor="system"
    )
    return someone.user, subscription


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_sound(open_page, member, width):
    user, subscription = member
    page = open_page("/portal/", width, user)
    change = f"plan/{subscription.pk}/?plan=pro&interval=year&quantity=5"
    for address in (*PAGES, change, f"invoices/{subscription.invoices.get().pk}/"):
        page.goto(f"{page.site}/portal/{address}")
        assert page.locator("h1").count() == 1, address
        sound(page)
