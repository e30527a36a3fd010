"""The seller's terms of service and privacy policy: linked where buyers agree or tell who they are, and kept."""

import pytest

from billing.models import Seller
from checkout.models import CheckoutSession
from tests.checkout.test_admin import sign_in as sign_in
from tests.checkout.test_admin import where

pytestmark = pytest.mark.django_db
TERMS, PRIVACY = "https://seller.example/terms/2026-01", "https://seller.example/privacy?a=1&b=2"
NEW_TAB = 'target="_blank" rel="noopener noreferrer"'


@pytest.fixture
def pages(catalogue):
    """pages(terms_url=…, privacy_url=…) are the seller's."""

    def have(terms_url=TERMS, privacy_url=PRIVACY):
        Seller.objects.update(terms_url=terms_url, privacy_url=privacy_url)

    return have


def link(address, words):
    return f'<a href="{address.replace("&", "&amp;")}" {NEW_TAB}>{words}<span'


def read(client, address):
    """The page as one line: how its template is laid out is no matter."""
    return " ".join(client.get(address).text.split())


TERMS_AT_FOOT, PRIVACY_AT_FOOT = link(TERMS, "Terms"), link(PRIVACY, "Privacy")


def test_the_tick_of_the_checkout_leads_to_the_terms(make_session, client, pages):
    address = f"/checkout/{make_session().token}/"
    pages()
    page = read(client, address)
    assert f"until I cancel. I accept the {link(TERMS, 'terms of service')}" in page
    assert f"How we use your data: our {link(PRIVACY, 'privacy policy')}" in page
    pages("", "")
    page = read(client, address)
    assert "until I cancel. </span>" in page
    assert "_blank" not in page
    assert "How we use your data" not in page


def test_a_trial_without_a_card_agrees_to_them_too(make_session, client, pages):
    pages()
    page = read(client, f"/checkout/{make_session(trial_days=14, needs_card=False).token}/")
    assert f"sets up this trial for my company. I accept the {link(TERMS, 'terms of service')}" in page


@pytest.mark.parametrize("address", ["/pricing/", "/contact-sales/"])
def test_they_stand_at_the_foot_of_public_pages(client, pages, address):
    pages()
    foot = client.get(address).text.partition('<footer class="site-footer">')[2]
    assert TERMS_AT_FOOT in foot
    assert PRIVACY_AT_FOOT in foot
    pages(terms_url="")
    foot = client.get(address).text.partition('<footer class="site-footer">')[2]
    assert "Terms" not in foot
    assert PRIVACY_AT_FOOT in foot
    pages("", "")
    assert "_blank" not in client.get(address).text


def test_they_stand_at_the_foot_of_the_checkout(make_session, client, pages):
    pages()
    page = client.get(f"/checkout/{make_session().token}/").text
    foot = page.partition('<footer class="site-footer">')[2]
    assert TERMS_AT_FOOT in foot
    assert PRIVACY_AT_FOOT in foot


def test_a_seller_without_an_address_has_no_empty_foot(client, pages):
    Seller.objects.update(email="")
    pages("", "")
    assert "<nav" not in client.get("/pricing/").text.partition('<footer class="site-footer">')[2]
    pages(privacy_url="")
    assert TERMS_AT_FOOT in client.get("/pricing/").text.partition('<footer class="site-footer">')[2]


def test_who_asks_for_a_person_is_told_what_becomes_of_the_data(client, pages):
    pages()
    assert (
        f"How we use your data: our {link(PRIVACY, 'privacy policy')}" in client.get("/contact-sales/").text
    )
    pages(privacy_url="")
    assert "How we use your data" not in client.get("/contact-sales/").text


def test_what_was_agreed_to_is_kept_whatever_comes_later(session, press, fresh, fake_stripe, pages, sign_in):
    pages()
    press(session)
    pages(terms_url="https://seller.example/terms/2027-01")
    paid = fresh(session)
    assert paid.status == "completed"
    assert paid.quote["terms_url"] == TERMS
    page = sign_in("view_checkoutsession").get(where(session)).text
    assert link(TERMS, TERMS) in page
    assert "2027-01" not in page


def test_terms_that_changed_meanwhile_are_agreed_to_anew(session, press, client, fresh, fake_stripe, pages):
    other = "https://seller.example/terms/2027-01"
    pages()
    assert (
        f'<input type="hidden" name="terms_url" value="{TERMS}">'
        in client.get(f"/checkout/{session.token}/").text
    )
    pages(terms_url=other)
    again = press(session, terms_url=TERMS)
    assert again.status_code == 422
    assert "The terms of service have changed since you opened this page" in again.text
    assert f'name="terms_url" value="{other}"' in again.text
    assert 'id="id_terms" required checked' not in again.text
    assert (fresh(session).status, fake_stripe.rows("charge")) == ("open", [])
    press(session, terms_url=other)
    paid = fresh(session)
    assert (paid.status, paid.quote["terms_url"]) == ("completed", other)


def test_the_api_says_what_was_agreed_to(session, press, fake_stripe, pages, api):
    pages()
    answer = lambda: api.get(f"checkout_sessions/{session.pk}").json()["accepted_terms_url"]  # noqa: E731
    assert answer() == ""
    press(session, card="pm_card_chargeDeclined")
    assert answer() == ""
    press(session)
    assert answer() == TERMS


def test_a_declined_buyer_agrees_anew(session, press, fresh, fake_stripe, pages):
    pages()
    press(session, card="pm_card_chargeDeclined")
    assert fresh(session).quote["terms_url"] == TERMS
    pages(terms_url="https://seller.example/terms/2027-01")
    press(session)
    paid = fresh(session)
    assert (paid.status, paid.quote["terms_url"]) == ("completed", "https://seller.example/terms/2027-01")


def test_nothing_is_kept_where_there_was_nothing_to_agree_to(
    session, press, fresh, fake_stripe, pages, sign_in
):
    pages("", "")
    press(session)
    assert fresh(session).quote["terms_url"] == ""
    assert "Agreed to" not in sign_in("view_checkoutsession").get(where(session)).text


def test_a_session_from_before_says_nothing(session, press, fake_stripe, sign_in):
    press(session)
    row = CheckoutSession.objects.get(pk=session.pk)
    del row.quote["terms_url"]
    row.save(update_fields=["quote"])
    answer = sign_in("view_checkoutsession").get(where(session))
    assert answer.status_code == 200
    assert "Agreed to" not in answer.text
