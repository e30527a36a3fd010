"""The checkout page while it is filled in: what is shown, what is kept, what is refused."""

import re
from decimal import Decimal

import pytest
from django.utils import timezone

from billing import cataloguing
from billing.models import Discount, Payment
from checkout.models import CheckoutSession
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def show(client):
    def get(session, status=200):
        answer = client.get(f"/checkout/{session.token}/")
        assert answer.status_code == status
        return answer.content.decode()

    return get


def test_it_shows_what_is_due_and_what_follows(session, show):
    html = show(session)
    assert "3 seats × $29.00" in html
    assert "Pay $87.00 and start" in html
    assert "Then $87.00 a month from" in html
    assert "50,000 API calls a month included, then $0.0015 each" in html


def test_it_asks_the_database_at_most_five_times(session, show, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        show(session)


def test_it_keeps_no_copy_and_tells_nobody(session, client):
    answer = client.get(f"/checkout/{session.token}/")
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy


def test_a_wrong_address_is_not_found(catalogue, client):
    assert client.get(f"/checkout/{'x' * 43}/").status_code == 404
    assert client.get("/checkout/cs_1/").status_code == 404


def test_the_plan_without_seats_asks_for_none(make_session, show):
    html = show(make_session(plan="starter"))
    assert 'name="quantity"' not in html
    assert "Pay $19.00 and start" in html


# -- Filling in ---------------------------------------------------------------------------------------------


def test_it_adds_the_tax_of_the_country(session, press, show):
    assert press(session, action="update").status_code == 302
    html = show(session)
    assert "VAT 19%" in html
    assert "Pay $103.53 and start" in html


def test_it_adds_each_tax_of_the_province(session, press, show):
    cataloguing.create_tax_rate(
        now=NOON, name="Quebec", country="CA", state="QC",
        taxes=[{"name": "GST", "percentage": Decimal(5)}, {"name": "QST", "percentage": Decimal("9.975")}],
    )  # fmt: skip
    press(session, action="update", country="CA", state="Ontario")
    assert "GST" not in show(session)
    press(session, action="update", country="CA", state="Québec")
    html = show(session)
    assert "GST 5%" in html
    assert "QST 9.975%" in html
    assert "Pay $100.03 and start" in html  # 87.00 + 4.35 + 8.68


def test_a_company_with_a_vat_number_accounts_for_it_itself(session, press, show):
    press(session, action="update", tax_id="136 695 976")
    html = show(session)
    assert "Reverse charge" in html
    assert "Pay $87.00 and start" in html


def test_it_keeps_what_is_typed_right_or_wrong(session, press, show, fresh):
    press(session, action="update", email="not yet", tax_id="DE1", company="<b>Nova</b>")
    html = show(session)
    for text in ('value="not yet"', 'value="DE1"', "&lt;b&gt;Nova&lt;/b&gt;", 'value="Hauptstr. 1"'):
        assert text in html
    assert fresh(session).email == ""


def test_it_says_what_a_year_saves(show, session):
    assert "Yearly, save 16%" in show(session)


def test_htmx_gets_the_summary_alone(session, press):
    answer = press(session, action="update", interval="year", headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "<html" not in html
    assert html.index('id="summary"') < html.index('id="summary-total"')
    assert "$1,035.30" in html
    assert 'id="address"' not in html


def test_a_new_country_brings_its_own_words(session, press):
    headers = {"HX-Request": "true"}
    html = press(session, action="update", asked_for="", country="US", headers=headers).content.decode()
    assert "ZIP code" in html
    assert re.search(r">\s*State\s*<", html)
    html = press(session, action="update", asked_for="", country="AE", headers=headers).content.decode()
    assert "ZIP" not in html


@pytest.mark.parametrize("quantity", ["0", "-1", "1000000000", "1.5", "١٠", "1e3", " ", "101", "a\x00"])
@pytest.mark.parametrize("action", ["pay", "update"])
def test_a_wrong_number_of_seats_is_told_beside_the_field(session, press, quantity, action):
    answer = press(session, action=action, quantity=quantity)
    html = answer.content.decode()
    if action == "update" and not quantity.strip():
        assert answer.status_code == 302
        return
    assert answer.status_code == 422
    assert 'id="id_quantity_error"' in html
    assert 'value="Nova Robotics"' in html
    assert 'value="Bonn"' in html
    assert CheckoutSession.objects.get().quantity == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "a@b.de\r\nBcc: x@y.de"),
        ("email", "a" * 300 + "@b.de"),
        ("email", "jörg@b.de"),
        ("email", '"a b"@b.de'),
        ("email", ""),
        ("company", "   "),
        ("company", "\u200b"),
        ("company", "x" * 201),
        ("name", ""),
        ("employees", ""),
        ("employees", "many"),
        ("country", ""),
        ("country", "ZZ"),
        ("line1", ""),
        ("city", ""),
        ("postal_code", ""),
        ("tax_id", "DE1"),
        ("terms", None),
        ("company", "a\x00b"),
        ("interval", "decade"),
        ("promotion_code", "NOPE"),
    ],
)
def test_a_field_that_is_not_right_is_told_and_nothing_is_charged(session, press, fake_stripe, field, value):
    answer = press(session, **{field: value})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "field__error" in html
    assert 'value="Hauptstr. 1"' in html or field == "line1"
    assert fake_stripe.rows("payment_intent") == []


def test_where_a_region_is_needed_it_is_asked_for(session, press, fake_stripe):
    answer = press(session, country="US", postal_code="94105", city="San Francisco")
    assert answer.status_code == 422
    assert 'id="id_state_error"' in answer.content.decode()


def test_the_card_is_needed(session, press, fake_stripe):
    for token in ("", "4242424242424242", "pm_" + "x" * 200, "javascript:1"):
        answer = press(session, card=token)
        assert answer.status_code == 422
        assert "Please enter your card." in answer.content.decode()


# -- Promotion codes ----------------------------------------------------------------------------------------


@pytest.fixture
def launch(catalogue):
    return Discount.objects.create(
        code="LAUNCH20", label="Launch, 20% off", percent_off=Decimal(20), duration="forever"
    )


def test_a_code_takes_its_part_off(session, press, show, launch):
    press(session, action="update", promotion_code="launch20")
    html = show(session)
    assert "Launch, 20% off" in html
    assert "−$17.40" in html
    assert "Pay $82.82 and start" in html


def test_a_code_for_once_is_for_the_first_period(session, press, show, launch):
    Discount.objects.update(duration="once")
    press(session, action="update", promotion_code="LAUNCH20")
    html = show(session)
    assert "Pay $82.82 and start" in html
    assert "Then $103.53 a month" in html


def test_a_code_can_be_taken_away(session, press, show, launch):
    press(session, action="update", promotion_code="LAUNCH20")
    press(session, action="update", promotion_code="")
    assert "Launch" not in show(session)


def test_a_wrong_code_is_told_beside_it(session, press, launch):
    press(session, action="update", promotion_code="LAUNCH20")
    answer = press(session, action="update", promotion_code="LAUNCH21")
    assert answer.status_code == 422
    assert "We do not know this code." in answer.content.decode()
    assert CheckoutSession.objects.get().discount is None


def test_a_session_may_take_no_codes(make_session, press, show, launch):
    session = make_session(allow_promotion_codes=False)
    press(session, action="update", promotion_code="LAUNCH20")
    html = show(session)
    assert "Promotion code" not in html
    assert "Launch" not in html


# -- Other states -------------------------------------------------------------------------------------------


def test_an_ended_session_offers_to_begin_again(session, press, show, client):
    press(session, action="update")
    CheckoutSession.objects.update(expires_at=timezone.now())
    assert "Start again where I was" in show(session, 410)
    assert press(session).status_code == 410
    answer = client.post(f"/checkout/{session.token}/again/")
    renewed = CheckoutSession.objects.exclude(pk=session.pk).get()
    assert answer["Location"] == f"/checkout/{renewed.token}/"
    assert 'value="Nova Robotics"' in show(renewed)


@pytest.mark.parametrize("action", ["update", "pay"])
def test_it_says_that_a_price_is_no_longer_sold(session, press, show, fake_stripe, action):
    session.plan.prices.update(active=False)
    assert "Pro has no month price in USD." in show(session, 422)
    answer = press(session, action=action)
    assert (answer.status_code, "Back to the plans" in answer.text) == (422, True)
    assert not Payment.objects.exists()


@pytest.mark.parametrize("address", ["check/", "another-card/", "again/"])
def test_nothing_is_done_by_following_a_link_which_leads_to_the_page(session, client, address):
    for ask in (client.get, client.head):
        answer = ask(f"/checkout/{session.token}/{address}")
        assert (answer.status_code, answer["Location"]) == (302, f"/checkout/{session.token}/")
    assert client.put(f"/checkout/{session.token}/{address}").status_code == 405
    assert CheckoutSession.objects.count() == 1


@pytest.mark.parametrize("address", ["", "check/", "another-card/", "again/"])
def test_a_form_of_another_site_is_refused(session, address):
    from django.test import Client

    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post(f"/checkout/{session.token}/{address}", {"action": "update"}).status_code == 403


def test_a_lost_cookie_loses_nothing(session, press, show):
    from django.test import Client

    press(session, action="update")
    html = Client().get(f"/checkout/{session.token}/").content.decode()
    assert 'value="Nova Robotics"' in html
