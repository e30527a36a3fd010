"""How people get in: Alice is a member, Sam works for the seller, Charlie is a stranger."""

import re
from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from billing.models import Seller, User

pytestmark = pytest.mark.django_db
ASK = "/accounts/login/code/"
CONFIRM = "/accounts/login/code/confirm/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def fresh():
    cache.clear()


@pytest.fixture
def alice():
    return User.objects.create_user("alice@nova.example", name="Alice")


@pytest.fixture
def sam():
    return User.objects.create_user("sam@tandem.example", PASSWORD, name="Sam", is_staff=True)


def code_in(sent):
    return re.search(r"\d{4}-\d{4}", sent.body)[0]


def test_it_signs_a_member_in_with_a_code(client, alice):
    asked = client.post(ASK, {"email": "alice@nova.example"})
    assert asked.url.startswith(CONFIRM)
    done = client.post(CONFIRM, {"code": code_in(mail.outbox[0])})
    assert done.url == "/portal/"
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_it_finds_the_address_whatever_its_case(client, alice):
    client.post(ASK, {"email": "ALICE@Nova.example"})
    assert re.search(r"\d{4}-\d{4}", mail.outbox[0].body)


def test_it_takes_the_code_without_its_dash(client, alice):
    client.post(ASK, {"email": alice.email})
    assert client.post(CONFIRM, {"code": code_in(mail.outbox[0]).replace("-", "")}).status_code == 302


def test_it_goes_on_to_the_page_that_was_asked_for(client, alice):
    client.post(ASK, {"email": alice.email, "next": "/portal/invoices/"})
    done = client.post(CONFIRM, {"code": code_in(mail.outbox[0]), "next": "/portal/invoices/"})
    assert done.url == "/portal/invoices/"


def test_it_does_not_go_on_to_another_host(client, alice):
    client.post(ASK, {"email": alice.email, "next": "https://evil.example/"})
    done = client.post(CONFIRM, {"code": code_in(mail.outbox[0]), "next": "https://evil.example/"})
    assert done.url == "/portal/"


def test_it_answers_the_same_for_addresses_that_it_does_not_know(client, alice):
    known = client.post(ASK, {"email": "alice@nova.example"})
    client.cookies.clear()
    unknown = client.post(ASK, {"email": "charlie@nowhere.example"})
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)
    shown = client.get(unknown.url)
    assert shown.status_code == 200
    assert "charlie@nowhere.example" in shown.text


@pytest.mark.parametrize("address", [ASK, "/accounts/password/reset/"])
def test_a_mail_server_that_is_away_is_told_kindly_whoever_asks(client, alice, monkeypatch, address):
    def away(self, *args, **options):
        raise SMTPServerDisconnected("Connection unexpectedly closed: mail.example")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", away)
    client.raise_request_exception = False
    known, unknown = (client.post(address, {"email": e}) for e in (alice.email, "charlie@nowhere.example"))
    for answer in (known, unknown):
        assert (answer.status_code, answer["Retry-After"]) == (503, "60")
        assert "our mail server does not answer" in answer.text
        assert "mail.example" not in answer.text
    assert known.content == unknown.content


def test_a_stranger_gets_no_code_and_no_account(client):
    client.post(ASK, {"email": "charlie@nowhere.example"})
    assert "There is no account for it" in mail.outbox[0].body
    assert not re.search(r"\d{4}-\d{4}", mail.outbox[0].body)
    assert client.post(CONFIRM, {"code": "1234-5678"}).status_code == 200
    assert "_auth_user_id" not in client.session
    assert not User.objects.exists()


def test_a_wrong_code_is_told_and_the_third_ends_it(client, alice):
    client.post(ASK, {"email": alice.email})
    assert "not the code" in client.post(CONFIRM, {"code": "0000-0000"}).text
    client.post(CONFIRM, {"code": "0000-0000"})
    client.post(CONFIRM, {"code": "0000-0000"})
    client.post(CONFIRM, {"code": code_in(mail.outbox[0])})
    assert "_auth_user_id" not in client.session


def test_a_code_is_used_once(client, alice):
    client.post(ASK, {"email": alice.email})
    code = code_in(mail.outbox[0])
    client.post(CONFIRM, {"code": code})
    client.post("/accounts/logout/")
    assert "_auth_user_id" not in client.session
    client.post(CONFIRM, {"code": code})
    assert "_auth_user_id" not in client.session


def test_an_old_code_is_refused(client, alice, monkeypatch):
    client.post(ASK, {"email": alice.email})
    later = timezone.now().timestamp() + timedelta(minutes=11).total_seconds()
    monkeypatch.setattr("time.time", lambda: later)
    client.post(CONFIRM, {"code": code_in(mail.outbox[0])})
    assert "_auth_user_id" not in client.session


def test_the_code_can_be_typed_on_a_phone(client, alice):
    client.post(ASK, {"email": alice.email})
    box = re.search(r'<input[^>]*name="code"[^>]*>', client.get(CONFIRM).text)[0]
    assert 'autocomplete="one-time-code"' in box
    assert 'inputmode="numeric"' in box


def test_the_mail_is_the_sellers_in_text_and_html(client, alice):
    Seller.objects.create(
        pk=1, name="Nordlicht & Co", legal_name="Nordlicht GmbH", email="hi@nordlicht.example"
    )
    client.post(ASK, {"email": alice.email})
    sent = mail.outbox[0]
    html, kind = sent.alternatives[0]
    assert kind == "text/html"
    assert sent.subject == f"{code_in(sent)} is your sign-in code"
    assert "Nordlicht &amp; Co" in html
    assert code_in(sent) in html
    assert "Nordlicht GmbH" in sent.body


def test_nobody_signs_up_alone(client):
    page = client.get("/accounts/signup/")
    assert "No account needed yet" in page.text
    client.post("/accounts/signup/", {"email": "charlie@nowhere.example", "password1": PASSWORD})
    assert not User.objects.exists()


def test_staff_come_in_by_password_and_land_at_work(client, sam):
    done = client.post("/accounts/login/", {"login": sam.email, "password": PASSWORD})
    assert done.url == "/admin/"


def test_staff_are_shown_the_password_first(client):
    page = client.get("/accounts/login/?next=/admin/").text
    assert 'name="password"' in page
    assert 'id="code_email"' not in page


def test_a_wrong_password_keeps_the_address_typed(client, sam):
    page = client.post("/accounts/login/", {"login": sam.email, "password": "wrong"}).text
    assert 'value="sam@tandem.example"' in page
    assert "is not right" in page


def test_a_member_without_a_password_cannot_use_one(client, alice):
    client.post("/accounts/login/", {"login": alice.email, "password": ""})
    assert "_auth_user_id" not in client.session


def test_signing_out_needs_a_press(client, sam):
    client.force_login(sam)
    assert client.get("/accounts/logout/").status_code == 200
    assert "_auth_user_id" in client.session


def test_a_mailbox_is_not_flooded_with_codes(alice):
    answers = [Client().post(ASK, {"email": alice.email}) for _ in range(6)]
    assert len(mail.outbox) == 3
    assert "wait a minute" in answers[-1].text


def test_one_place_cannot_try_address_after_address(alice):
    answers = [Client().post(ASK, {"email": f"{n}@nova.example"}) for n in range(25)]
    assert len(mail.outbox) < 25
    assert "wait a minute" in answers[-1].text


def test_the_second_factor_is_asked_after_the_code(client, alice):
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    TOTP.activate(alice, generate_totp_secret())
    client.post(ASK, {"email": alice.email})
    done = client.post(CONFIRM, {"code": code_in(mail.outbox[0])})
    assert done.url.startswith("/accounts/2fa/authenticate/")
    assert "_auth_user_id" not in client.session


# What a page says, before and after a second proof is set up.
SECURITY = {
    "2fa/": "Sign-in security",
    "2fa/webauthn/": "Passkeys",
    "2fa/webauthn/add/": "Sign in with this alone",
    "2fa/totp/activate/": "Or type this key into the app",
    "password/change/": "Password now",
    "logout/": "Sign out?",
    "reauthenticate/": "Is it you?",
}
SECURED = {
    "2fa/": "Recovery codes",
    "2fa/webauthn/": "Work laptop",
    "2fa/webauthn/keys/{key}/edit/": "Rename a passkey",
    "2fa/webauthn/keys/{key}/remove/": "Remove this passkey?",
    "2fa/recovery-codes/": "10 of 10 are left",
    "2fa/recovery-codes/generate/": "stop working at once",
    "2fa/totp/deactivate/": "Switch off the authenticator app?",
    "2fa/reauthenticate/": "one of your recovery codes",
    "reauthenticate/": "Use a code from my app",
}
ENTRANCE = {
    "password/reset/": "We send a link",
    "password/reset/done/": "a link is on its way",
    "password/reset/key/1-abc/": "This link is over",
    "password/reset/key/done/": "Your new password is saved",
    "inactive/": "switched off",
}


def told(client, pages, **names):
    """Every page in our clothes and words, one heading each."""
    for address, words in pages.items():
        page = client.get(f"/accounts/{address.format(**names)}", follow=True)
        assert page.status_code == 200, address
        assert "gate__card" in page.text, address
        assert words in " ".join(page.text.split()), address
        assert page.text.count("<h1") == 1, address


def test_security_pages_wear_our_clothes(client, sam):
    from allauth.mfa.models import Authenticator
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    told(client, ENTRANCE)
    client.post("/accounts/login/", {"login": sam.email, "password": PASSWORD})
    told(client, {"2fa/totp/activate/": "ask for your password once more"})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    told(client, SECURITY)
    TOTP.activate(sam, generate_totp_secret())
    RecoveryCodes.activate(sam)
    key = Authenticator.objects.create(
        user=sam, type="webauthn", data={"name": "Work laptop", "passwordless": True, "credential": {}}
    )
    told(client, SECURED, key=key.pk)


def test_dead_ends_speak_to_who_stands_there(client, sam, alice):
    client.force_login(sam)
    assert "Back to the overview" in client.get("/admin/billing/invoice/none/change/").text
    assert "Whoever manages the users" in client.get("/admin/billing/user/add/").text
    client.force_login(alice)
    assert "Go to my account" in client.get("/nowhere/").text
