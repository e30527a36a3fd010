"""The page on which buyers pay, as it comes over the network, is the one that was released (S-42)."""

import json

import pytest

from billing.models import Mail
from checkout import inventory
from checkout.models import CheckoutSession
from config import payment_page
from tests.config.test_settings import SECRETS, evaluated


@pytest.fixture
def site(live_server, catalogue, settings):
    """The real server, and real requests to it."""
    settings.SITE_URL = live_server.url


def tampered(change):
    """fetch, with the page changed on its way."""

    real = payment_page.fetch

    def get(url):
        status, headers, body = real(url)
        return (status, *change(dict(headers), body)) if "/checkout/" in url else (status, headers, body)

    return get


def test_the_live_page_is_as_released_and_leaves_nothing_behind(site):
    assert payment_page.watch() == 0
    assert not CheckoutSession.objects.exists()
    assert not Mail.objects.exists()


def header(name, value):
    return lambda headers, body: ({k: v for k, v in headers.items() if k != name} | value, body)


def text(old, new):
    return lambda headers, body: (headers, body.replace(old, new))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (header("X-Frame-Options", {}), "X-Frame-Options is missing"),
        (header("Content-Security-Policy", {"Content-Security-Policy": "default-src *"}), "is default-src *"),
        (text(b"</head>", b"<script>steal()</script></head>"), "a <script> of its own"),
        (text(b"<body", b"<body onload='steal()'"), "onload on <body>"),
        (text(b"/static/checkout/checkout.js", b"/static/checkout/other.js"), "other.js is not as listed"),
        (text(b"checkout/checkout.js", b"tandem/tandem.js"), "/static/checkout/checkout.js is missing"),
    ],
)
def test_what_was_changed_on_its_way_is_mailed_once(site, monkeypatch, change, words):
    monkeypatch.setattr(payment_page, "fetch", tampered(change))
    assert payment_page.watch() >= 1
    payment_page.watch()
    assert words in Mail.objects.get(template="payment_page_changed").text


def test_a_page_that_cannot_be_opened_is_nobodys_attack(catalogue, settings):
    settings.SITE_URL = "http://127.0.0.1:1"
    assert payment_page.watch() == 0


def test_the_released_policy_with_real_keys_is_what_the_settings_say():
    build = "__import__('django.utils.csp', fromlist=['x']).build_policy(settings.CARD_PAGE_CSP)"
    done = evaluated(build, **SECRETS)
    released = json.loads(inventory.HEADERS.read_text())
    assert done.stdout.strip() == released["stripe"]["Content-Security-Policy"]
    seconds = evaluated("settings.SECURE_HSTS_SECONDS", **SECRETS).stdout.strip()
    assert f"max-age={seconds}; includeSubDomains; preload" == released["https"]["Strict-Transport-Security"]
