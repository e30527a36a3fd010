"""Alice, Bob and Charlie each follow every link that the portal shows them: none leads to anything of somebody else."""

import re
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from django.urls import reverse

from billing import cards
from portal.urls import urlpatterns

pytestmark = pytest.mark.django_db
LINK = re.compile(r'(?:href|action)="([^"#]+)')
FORMS_ONLY = {
    "leave", "pay", "check", "role", "remove_member", "confirm", "cancel", "keep", "default_card", "remove_card",
    "method", "unplan", "pause", "resume",
}  # fmt: skip
# Not linked to: the way in from outside, and what a bank or a member of several customers is sent to.
FROM_OUTSIDE = {"enter", "choose", "card_back"}


@pytest.fixture
def house(make_customer, make_clock, subscribe, enter, member_of, fake_stripe, sales_catalogue):
    """house(name, owner) -> (customer, browser), with one of everything that the portal shows."""

    def build(name, owner):
        customer = make_customer(make_clock(), name=name, email=f"bills@{owner}.example")
        browser = enter(customer, email=f"{owner}@{owner}.example")
        member_of(customer, f"colleague@{owner}.example", "viewer")
        subscription = subscribe(customer)
        cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
        cards.save(
            customer=customer,
            payment_method="pm_card_mastercard",
            now=customer.now,
            actor="system",
            default=False,
        )
        browser.post(f"/portal/plan/{subscription.pk}/confirm/", {})
        browser.post("/portal/help/", {"about": "help", "text": f"Words of {name}"})
        return customer, browser

    return build


def owned(customer):
    """What only this customer's people may read: ids, names, addresses."""
    rows = [customer, *customer.invoices.all(), *customer.members.all(), *customer.payment_methods.all()]
    rows += [*customer.subscriptions.all()]
    return (
        {row.pk for row in rows}
        | {customer.name, customer.email}
        | {m.user.email for m in customer.members.all()}
    )


def crawl(browser):
    """{address: page} of everything that can be reached from the first page by links, without their queries."""
    waiting, seen = ["/portal/"], {}
    while waiting:
        address = waiting.pop()
        path = urlsplit(address).path
        if path in seen or not path.startswith("/portal/") or not routes(path).isdisjoint(FORMS_ONLY):
            continue
        answer = browser.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        kind = answer["Content-Type"]
        seen[path] = answer.text if kind.startswith("text/html") else ""
        waiting += [urljoin(address, unescape(found)) for found in LINK.findall(seen[path])]
    return seen


def routes(path):
    from django.urls import resolve

    return {resolve(path).url_name}


def test_nobody_reaches_anything_of_another_customer(house):
    houses = {
        who: house(name, who)
        for who, name in (("alice", "Nova <b>"), ("bob", "Kiosk & Co"), ("charlie", "Żółw"))
    }
    secrets = {who: owned(customer) for who, (customer, _) in houses.items()}
    for who, (customer, browser) in houses.items():
        pages = crawl(browser)
        missed = {p.name for p in urlpatterns} - {name for path in pages for name in routes(path)}
        assert missed - FORMS_ONLY - FROM_OUTSIDE <= {"credit_note_pdf"}
        told = unescape("\n".join(pages.values()))
        assert customer.name in told
        strange = set().union(*(secrets[other] for other in houses if other != who))
        assert [secret for secret in strange if secret in told] == []


def test_a_card_leads_to_no_strange_invoice(house):
    (_, browser), (other, _) = house("Nova", "alice"), house("Far", "bob")
    theirs = other.invoices.get().pk
    assert browser.get(f"{reverse('portal:card')}?invoice={theirs}").status_code == 404
    posted = browser.post(reverse("portal:card"), {"payment_method": "pm_card_visa", "invoice": theirs})
    assert posted.status_code == 404
