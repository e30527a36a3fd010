"""What browsers are told on the buyers' pages (ASVS 3.4, 3.5, 3.7; PCI DSS 6.4.3): checked on every address."""

import json
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from billing import hosted
from checkout import inventory
from checkout.urls import urlpatterns as of_checkout
from config import doctor
from portal.urls import urlpatterns as of_portal
from tests.config.test_settings import SECRETS, evaluated

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
PUBLIC = ("/pricing/", "/contact-sales/", "/contact-sales/thanks/", "/checkout/start/?plan=pro")
PRIVATE = ("/portal/", "/portal/payment/card/", "/portal/invoices/", "/portal/team/")
STRICT = (
    "default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'",
)  # fmt: skip


@pytest.fixture
def checkout(catalogue):
    from django.utils import timezone

    from checkout import sessions

    return sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)


@pytest.fixture
def member(client, make_customer):
    """A browser in somebody's portal."""
    from billing import customers

    customer = make_customer()
    made = customers.add_member(
        customer=customer, email="ada@nova.example", role="owner", now=customer.now, actor="system"
    )
    client.force_login(made.user)
    return client


def test_every_page_says_how_a_browser_must_treat_it(checkout, member):
    where = f"/checkout/{checkout.token}/"
    for address in (*PUBLIC, where, *PRIVATE):
        answer = member.get(address)
        assert answer.status_code == 200, address
        policy = answer["Content-Security-Policy"]
        assert all(directive in policy for directive in STRICT), address
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["X-Frame-Options"] == "DENY"
        if address in (where, *PRIVATE):
            assert "no-store" in answer["Cache-Control"]


def test_with_real_keys_only_stripe_comes_in_and_only_where_the_card_is():
    both = "[{k: [str(v) for v in vs] for k, vs in csp.items()} for csp in (settings.CARD_PAGE_CSP, settings.SECURE_CSP)]"
    done = evaluated(f"__import__('json').dumps([*{both}, settings.SECURE_HSTS_SECONDS])", **SECRETS)
    with_card, others, seconds = json.loads(done.stdout)
    hosts = {part for values in with_card.values() for part in values if "//" in part}
    assert "https://js.stripe.com" in hosts
    assert all(re.fullmatch(r"https://([\w*]+\.)*stripe\.com", host) for host in hosts)
    assert not [part for values in others.values() for part in values if "//" in part]
    assert with_card["default-src"] == others["default-src"]
    assert seconds >= 31_536_000


def forms():
    """Every address of a buyer's that takes a POST, with any words in its gaps."""
    for prefix, patterns in (("", of_checkout), ("portal/", of_portal)):
        for pattern in patterns:
            route = str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
            route = re.sub(r"\(\?P<token>[^)]*\)", "t" * 43, re.sub(r"<str:\w+>", "x", route))
            yield "/" + prefix + re.sub(r"\(\?P<pk>[^)]*\)", "x", route)


@pytest.mark.parametrize("address", list(forms()))
def test_nothing_is_taken_without_the_token_of_its_page(address):
    answer = Client(enforce_csrf_checks=True).post(address)
    assert answer.status_code == 403 or answer.status_code == 405, address


def test_no_field_of_ours_takes_a_card():
    ours = [
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "checkout").rglob("*.py"),
        *(ROOT / "portal").rglob("*.py"),
    ]
    ours += [*(ROOT / "static" / "checkout").glob("*.js"), *(ROOT / "static" / "portal").glob("*.js")]
    assert [
        path.name for path in ours if re.search(r"autocomplete[\"']?\s*[:=]\s*[\"']cc-", path.read_text())
    ] == []


# -- Scripts ------------------------------------------------------------------------------------------------


def test_every_script_of_the_card_pages_is_as_listed():
    """A script was changed? Read the change, then: manage.py payment_scripts --write"""
    assert list(inventory.differences()) == []


def sources(html):
    return set(re.findall(r"<script[^>]*\bsrc=\"([^\"?]+)", html))


def test_the_card_pages_load_what_is_listed_and_nothing_else(
    checkout, member, make_customer, subscribe, settings
):
    settings.STRIPE_FAKE = False
    pages = {
        "checkout": f"/checkout/{checkout.token}/",
        "portal": "/portal/payment/card/",
        "invoice": f"/invoices/{hosted.token(subscribe(make_customer()).invoices.get())}/",
    }
    for page, address in pages.items():
        listed = {script.src for script in inventory.listed() if page in script.pages}
        assert sources(member.get(address).text) == listed, page


def test_the_command_tells_of_a_changed_script(monkeypatch, capsys):
    call_command("payment_scripts")
    monkeypatch.setattr(inventory, "fingerprint", lambda src: "sha384-other")
    with pytest.raises(CommandError, match=r"tandem\.js is sha384-other"):
        call_command("payment_scripts")


# -- Going live -----------------------------------------------------------------------------------------------


def test_the_way_to_real_money_names_every_event_that_settles_a_payment():
    text = (ROOT / "docs" / "going-live.md").read_text()
    for event in doctor.NEEDED_EVENTS:
        assert f"`{event}`" in text
    assert "/webhooks/stripe/" in text
