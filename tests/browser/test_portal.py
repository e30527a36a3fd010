"""Every page of the portal in a real browser, for a customer with a long name from right to left: readable, and sound."""

import pytest
from django.conf import settings as django_settings
from django.test import Client

from billing import cards, customers, subscribing
from billing.models import Plan
from tests.browser.test_checkout import browser, site, sound  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAME = "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 4
PAGES = ("", "usage/", "invoices/", "team/", "plan/", "plan/features/", "payment/", "payment/card/", "details/",
         "quotes/", "help/")  # fmt: skip


@pytest.fixture
def member(site, make_customer):  # noqa: F811
    """(the id of a signed-in session, the subscription) of somebody who has a bit of everything."""
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
    client = Client()
    client.force_login(someone.user)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value, subscription


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_sound(browser, site, member, width):  # noqa: F811
    key, subscription = member
    context = browser.new_context(viewport={"width": width, "height": 860})
    context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
    page = context.new_page()
    page.complaints, hosts = [], set()
    page.on("console", lambda m: m.type in ("error", "warning") and page.complaints.append(m.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda r: hosts.add(r.url.split("/")[2]))
    change = f"plan/{subscription.pk}/?plan=pro&interval=year&quantity=5"
    for address in (*PAGES, change, f"invoices/{subscription.invoices.get().pk}/"):
        page.goto(f"{site}/portal/{address}")
        assert page.locator("h1").count() == 1, address
        sound(page)
    assert hosts == {site.split("/")[2]}
    context.close()
