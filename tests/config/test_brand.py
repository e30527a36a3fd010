"""The seller's name and logo on every page."""

import pytest

from billing.models import Seller

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
    assert client.get("/logo", headers={"If-None-Match": answer["ETag"]}).status_code == 304


@pytest.mark.parametrize("content", [None, b"", b"<svg onload='x'>", b"GIF89a"])
def test_it_serves_nothing_else(client, seller, content):
    show_logo(seller, content)
    assert client.get("/logo").status_code == 404


def test_pages_show_the_logo_with_its_name(client, seller):
    show_logo(seller, PNG)
    assert (
        '<img class="brand__logo" src="/logo" alt="Nordlicht &amp; Co">'
        in client.get("/accounts/login/").text
    )


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
