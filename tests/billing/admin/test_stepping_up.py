"""Who sits at the desk: a second factor for staff, and a question before money goes out."""

import time

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.admin import site
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from billing.admin import stepping_up
from billing.admin.base import Screen
from billing.models import ApiKey, Seller, User
from tests.billing.test_logos import picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
PASSWORD = "a long enough one 7"
KEYS = "/admin/billing/apikey/add/"
KEY = {"name": "Shop", "scopes": ["read"], "livemode": "test"}


@pytest.fixture
def sam():
    made = User.objects.create_user(
        "sam@seller.example", PASSWORD, name="Sam", is_staff=True, is_superuser=True
    )
    made.user_permissions.set(Permission.objects.all())
    return made


@pytest.fixture
def browser(sam):
    """Sam's, signed in by password a moment ago."""
    client = Client()
    assert client.post("/accounts/login/", {"login": sam.email, "password": PASSWORD}).status_code == 302
    return client


def grow_old(browser, seconds=stepping_up.BELIEVED + 1):
    """So long ago was the sign-in."""
    session = browser.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - seconds
    session.save()


def test_a_fresh_sign_in_is_believed(browser):
    assert "tk_test_" in browser.post(KEYS, KEY).text
    assert ApiKey.objects.count() == 1


def test_a_key_waits_until_its_maker_has_said_who_they_are(browser):
    grow_old(browser)
    browser.handler.enforce_csrf_checks = True

    def post(where, typed):
        browser.get(where)
        return browser.post(where, {**typed, "csrfmiddlewaretoken": browser.cookies["csrftoken"].value})

    asked = post(KEYS, KEY)
    assert asked.url.startswith("/accounts/reauthenticate/?next=")
    assert not ApiKey.objects.exists()
    assert post(asked.url, {"password": "wrong"}).status_code == 200
    assert not ApiKey.objects.exists()
    made = post(asked.url, {"password": PASSWORD})
    assert "tk_test_" in made.text, "what was typed is carried out, and nobody types it again"
    assert ApiKey.objects.get().name == "Shop"
    grow_old(browser, stepping_up.BELIEVED - 60)
    assert post(KEYS, KEY).status_code == 200


def test_bank_details_wait_and_the_footer_does_not(browser):
    seller = Seller.objects.get()
    where = f"/admin/billing/seller/{seller.pk}/change/"
    form = browser.get(where).context["adminform"].form
    typed = {field.html_name: field.value() for field in form if field.value() not in (None, False, "")}
    grow_old(browser)
    assert browser.post(where, {**typed, "footer": "Thank you"}).url == "/admin/billing/seller/"
    typed["footer"] = "Thank you"
    moved = {**typed, "iban": "DE89370400440532013000"}
    asked = browser.post(where, moved)
    assert asked.url.startswith("/accounts/reauthenticate/")
    assert Seller.objects.get().iban == seller.iban
    assert browser.post(asked.url, {"password": PASSWORD}).status_code == 302
    assert Seller.objects.get().iban == moved["iban"]


def test_a_logo_that_comes_with_bank_details_is_asked_for_again(browser):
    where = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"
    page = browser.get(where)
    assert "Save it by itself" in page.text
    form = page.context["adminform"].form
    typed = {field.html_name: field.value() for field in form if field.value() not in (None, False, "")}
    grow_old(browser)
    logo = SimpleUploadedFile("logo.png", picture(), "image/png")
    moved = {**typed, "iban": "DE89370400440532013000", "footer": "Thanks", "new_logo": logo}
    asked = browser.post(where, moved)
    browser.post(asked.url, {"password": PASSWORD})
    seller = Seller.objects.get()
    assert (seller.iban, seller.footer, seller.logo_hash) == ("DE89370400440532013000", "Thanks", None)
    assert "The file is not: choose it once more." in browser.get(where).text


# Acts by which money goes out, somebody else's wish is signed, or what is held about people leaves or ends.
GRAVE = {"credit", "write_off", "pay_out", "give", "export", "erase"}


def test_whatever_moves_money_or_opens_doors_is_guarded():
    screens = [screen for screen in site._registry.values() if isinstance(screen, Screen)]
    grave = {(screen.model, name) for screen in screens for name in GRAVE & screen.acts.keys()}
    guarded = {(screen.model, name) for screen in screens for name in screen.guarded}
    assert {name for _, name in grave} == GRAVE
    assert guarded == {*grave, (ApiKey, "make")}


def test_staff_without_a_second_factor_are_led_to_it(browser, sam, settings):
    assert browser.get("/admin/").status_code == 200
    settings.STAFF_SECOND_FACTOR = True
    for page in ("/admin/", "/admin/billing/customer/", "/admin/metrics/", "/admin/billing/apikey/add/"):
        assert browser.get(page).url == "/accounts/2fa/"
    assert browser.post(KEYS, KEY).url == "/accounts/2fa/"
    assert not ApiKey.objects.exists()
    assert "Set one of them up to go on" in browser.get("/accounts/2fa/").text
    TOTP.activate(sam, generate_totp_secret())
    assert browser.get("/admin/").status_code == 200
    again = Client().post("/accounts/login/", {"login": sam.email, "password": PASSWORD})
    assert again.url.startswith("/accounts/2fa/authenticate/"), "and from then on it is asked for"


def test_members_of_customers_need_none(settings, client):
    settings.STAFF_SECOND_FACTOR = True
    User.objects.create_user("ada@buyer.example", PASSWORD)
    client.post("/accounts/login/", {"login": "ada@buyer.example", "password": PASSWORD})
    assert "Set one of them up" not in client.get("/accounts/2fa/").text
