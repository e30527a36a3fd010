"""A shop to open in the browser, and people who are signed in."""

import pytest
from django.conf import settings as django_settings
from django.test import Client

from tests.browser.looking import watched


@pytest.fixture
def site(live_server, catalogue, settings, tmp_path, monkeypatch):
    """The shipped catalogue on a live server, with a stand-in in a file, which threads can share."""
    import stripe

    from billing import gateway
    from billing.fakestripe import FakeStripe, FakeStripeHTTPClient, SqliteStore, site
    from checkout import catalogue as shipped
    from tests.fixtures_billing import NOON
    from tests.fixtures_stripe import KEY

    shipped.ship(now=NOON)
    settings.SITE_URL = live_server.url
    store = SqliteStore(tmp_path / "stripe.sqlite3")
    fake = FakeStripe(store, base_url=f"{live_server.url}/fakestripe", sleep=lambda seconds: None)
    http = FakeStripeHTTPClient(fake)
    monkeypatch.setattr(stripe, "default_http_client", http)
    site.give(fake)
    with gateway.use(gateway.Gateway(gateway.client(http, KEY))):
        yield live_server.url
    site.give(None)


@pytest.fixture
def people(site, sales_catalogue):
    """(the seller, her manager)"""
    from django.contrib.auth.models import Group

    from billing.models import User
    from sales.catalogue import REPS

    made = []
    for name, group in (("rita", REPS), ("max", "Sales managers")):
        user = User.objects.create_user(f"{name}@seller.example", name=name.title(), is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        made.append(user)
    return made


@pytest.fixture
def open_page(real_browser, site):
    """open_page(address="", width, user=None, **options) -> the page, watched; it talks to nobody but the site."""
    opened = []

    def make(address="", width=1280, user=None, scripts=True):
        context = real_browser.new_context(
            viewport={"width": width, "height": 860}, java_script_enabled=scripts
        )
        opened.append(page := watched(context.new_page()))
        page.site = site
        if user:
            client = Client()
            client.force_login(user)
            name = django_settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": site}])
        if address:
            page.goto(address if address.startswith("http") else f"{site}{address}")
        return page

    yield make
    for page in opened:
        page.context.close()
        assert page.hosts <= {site.split("/")[2]}
