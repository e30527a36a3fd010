"""Links into the portal: once, within the hour, bound to one customer."""

import re
from datetime import timedelta

import pytest

from billing import portal_links
from billing.models import PortalLink
from tests.fixtures_api import NOON


@pytest.fixture
def customer(make_customer):
    return make_customer()


def test_it_makes_a_link_for_one_customer(api, customer, settings):
    settings.SITE_URL = "https://billing.example"
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.example"]
    answer = api.post(
        "portal_sessions", customer=customer.pk, return_url="https://app.example/x", sections=["usage"]
    )
    body = answer.json()
    assert answer.status_code == 201
    token = body["url"].removeprefix("https://billing.example/portal/enter/").rstrip("/")
    link = PortalLink.objects.get()
    assert re.fullmatch(r"ps_[0-9a-f]{32}", body["id"])
    assert len(token) >= 43
    assert token not in [str(value) for value in vars(link).values()]
    assert (link.customer_id, link.return_url, link.sections) == (
        customer.pk,
        "https://app.example/x",
        ["usage"],
    )
    assert link.expires_at - link.created_at == timedelta(hours=1)
    assert portal_links.redeem(token, now=link.created_at).customer == customer


def _token(customer):
    return portal_links.issue(customer, now=NOON, actor="system")[1].rstrip("/").rpartition("/")[2]


def test_a_link_works_once(customer):
    token = _token(customer)
    assert portal_links.find(token, now=NOON).used_at is None
    portal_links.redeem(token, now=NOON)
    with pytest.raises(portal_links.LinkSpent):
        portal_links.redeem(token, now=NOON)
    with pytest.raises(portal_links.LinkSpent):
        portal_links.find(token, now=NOON)


def test_of_two_who_come_at_once_one_gets_in(customer, monkeypatch):
    token = _token(customer)
    both = portal_links.find(token, now=NOON), portal_links.find(token, now=NOON)
    links = iter(both)
    monkeypatch.setattr(portal_links, "find", lambda token, now: next(links))
    portal_links.redeem(token, now=NOON)
    with pytest.raises(portal_links.LinkSpent):
        portal_links.redeem(token, now=NOON)


def test_a_link_lives_an_hour(customer):
    token = _token(customer)
    portal_links.find(token, now=NOON + timedelta(minutes=59))
    with pytest.raises(portal_links.LinkSpent):
        portal_links.find(token, now=NOON + timedelta(hours=1))
    assert portal_links.forget(now=NOON + timedelta(minutes=59)) == 0
    assert portal_links.forget(now=NOON + timedelta(hours=1)) == 1


def test_an_unknown_link_is_refused(db):
    with pytest.raises(portal_links.LinkSpent):
        portal_links.redeem("nothing", now=NOON)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "/portal",
        "ftp://x.example",
        "https://u:p@x.example",
        "https://",
        "http://[",
        "https://a b",
    ],
)
def test_it_goes_back_to_whole_addresses_only(api, customer, code, url):
    assert code(api.post("portal_sessions", customer=customer.pk, return_url=url)) == (400, "invalid_url")
    assert not PortalLink.objects.exists()


def test_it_goes_back_to_listed_hosts_only(api, customer, code, settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.example"]
    answer = api.post("portal_sessions", customer=customer.pk, return_url="https://app.example.evil.example/")
    assert code(answer) == (422, "redirect_not_allowed")
    assert "return_url" in answer.text
    assert not PortalLink.objects.exists()
