"""The seller's name and logo on every page."""

from hashlib import md5

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import mail
from billing.models import Customer, Member, Seller, User
from checkout import sessions

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


@pytest.fixture
def seller():
    return Seller.objects.create(
        pk=1, name="Nordlicht & Co", legal_name="Nordlicht GmbH", email="hi@nordlicht.example"
    )


def show_logo(seller, content):
    seller.logo = content
    seller.save()


def test_it_serves_the_logo(client, seller):
    show_logo(seller, PNG)
    answer = client.get("/logo")
    assert (answer.content, answer["Content-Type"]) == (PNG, "image/png")
    assert "max-age=86400" in answer["Cache-Control"]
    assert client.get("/logo", headers={"If-None-Match": answer["ETag"]}).status_code == 304


@pytest.mark.parametrize("content", [None, b"", b"<svg onload='x'>", b"GIF89a"])
def test_it_serves_nothing_else(client, seller, content):
    show_logo(seller, content)
    assert client.get("/logo").status_code == 404


def shown(client, url):
    """The page without line breaks."""
    return " ".join(client.get(url).text.split())


def img(content, tone=""):
    return f'<img class="brand__logo{tone}" src="/logo?v={md5(content).hexdigest()[:8]}" alt="Nordlicht &amp; Co">'


def test_pages_show_the_logo_with_its_name(client, seller):
    show_logo(seller, PNG)
    assert img(PNG) in shown(client, "/accounts/login/")


@pytest.mark.usefixtures("catalogue")
def test_pages_that_read_the_seller_themselves_show_it_too(client):
    """Without one statement more, and without its bytes."""
    Seller.objects.update(name="Nordlicht & Co", logo=PNG, logo_tone="light")
    session = sessions.start(
        plan="starter", interval="month", now=timezone.now(), currency="USD", livemode=False
    )
    customer = Customer.objects.create(name="Acme", email="a@acme.example", created_at=timezone.now())
    user = User.objects.create_user("a@acme.example")
    Member.objects.create(customer=customer, user=user, role="owner", added_at=timezone.now())
    for url in ("/pricing/", f"/checkout/{session.token}/", "/portal/", "/portal/plan/"):
        if url == "/portal/":
            client.force_login(User.objects.get(email="a@acme.example"))
        with CaptureQueriesContext(connection) as made:
            assert img(PNG, " brand__logo--light") in shown(client, url), url
        assert not [each for each in made if '"logo",' in each["sql"] or '"logo" ' in each["sql"]], url


def test_mails_show_it(seller):
    show_logo(seller, PNG)
    context = {"seller": Seller.objects.get(), "site_url": "https://pay.example"}
    html = mail.render("trial_started", context)["html"]
    assert (
        f'<img src="https://pay.example/logo?v={md5(PNG).hexdigest()[:8]}" alt="Nordlicht &amp; Co"' in html
    )
    show_logo(seller, None)
    assert "<img" not in mail.render("trial_started", {**context, "seller": Seller.objects.get()})["html"]


def test_pages_show_initials_without_one(client, seller):
    page = client.get("/accounts/login/").text
    assert '<span class="brand__initials" aria-hidden="true">NC</span>' in page
    assert "Nordlicht &amp; Co</span>" in page


def test_pages_stand_before_the_seller_is_set_up(client):
    Seller.objects.all().delete()
    assert "Tandem" in client.get("/accounts/login/").text


def test_the_seller_is_one_query_and_the_logo_none(client, seller, django_assert_num_queries):
    show_logo(seller, PNG)
    with django_assert_num_queries(1) as queries:
        client.get("/accounts/login/")
    assert '"logo",' not in queries.captured_queries[0]["sql"]


def test_the_front_door_leads_to_the_prices(client):
    assert client.get("/").url == "/pricing/"
