"""The stand-in mounted in the site: API over HTTP, and the bank's page."""

from urllib.parse import parse_qs, urlsplit

import pytest

SECRET = {"HTTP_AUTHORIZATION": "Bearer sk_test_" + "t" * 24}


def post(browser, path, body, **headers):
    kind = "application/x-www-form-urlencoded"
    return browser.post(path, body, content_type=kind, **SECRET, **headers)


@pytest.fixture
def waiting(pay):
    return pay("pm_card_authenticationRequired", return_url="https://shop.example/back?session=7")


def page_of(intent):
    url = intent.next_action.redirect_to_url.url
    assert url.startswith("http://127.0.0.1:8000/fakestripe/challenge/")
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_it_answers_the_api(client, fake):
    answer = post(client, "/fakestripe/v1/customers", "email=a@example.com&metadata[x]=y")
    assert answer.status_code == 200
    assert answer.json()["metadata"] == {"x": "y"}
    assert answer.headers["Request-Id"].startswith("req_")
    assert fake.rows("customer")[0]["email"] == "a@example.com"
    assert (
        client.get("/fakestripe/v1/customers?limit=1", **SECRET).json()["data"][0]["id"]
        == answer.json()["id"]
    )
    assert client.get("/fakestripe/v1/customers").status_code == 401


def test_it_replays_over_http(client, fake):
    for _ in range(2):
        answer = post(client, "/fakestripe/v1/customers", "email=a@example.com", HTTP_IDEMPOTENCY_KEY="k")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(fake.rows("customer")) == 1


def test_it_breaks_an_answer_off(client, fake):
    fake.faults.add("half_answer", times=1)
    answer = post(client, "/fakestripe/v1/customers", "email=a@example.com")
    stream = iter(answer.streaming_content)
    assert next(stream).startswith(b"{")
    with pytest.raises(ConnectionResetError):
        next(stream)
    assert len(fake.rows("customer")) == 1


def test_it_refuses_a_large_body(client, fake):
    assert post(client, "/fakestripe/v1/customers", "name=" + "a" * 70_000).status_code == 413


def test_it_shows_the_banks_page(client, fake, waiting):
    page = client.get(page_of(waiting))
    html = page.content.decode()
    assert page.status_code == 200
    assert "20.00 USD" in html
    assert "Complete" in html
    assert "csrfmiddlewaretoken" in html
    assert "<script" not in html
    assert "style=" not in html


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [("complete", "succeeded", "succeeded"), ("fail", "requires_payment_method", "failed")],
)
def test_it_sends_the_buyer_back(client, fake, waiting, api, outcome, status, told):
    answer = client.post(page_of(waiting), {"outcome": outcome})
    assert answer.status_code == 302
    parts = urlsplit(answer.url)
    assert (parts.netloc, parts.path) == ("shop.example", "/back")
    assert parse_qs(parts.query) == {
        "session": ["7"],
        "payment_intent": [waiting.id],
        "payment_intent_client_secret": [waiting.client_secret],
        "redirect_status": [told],
    }
    assert api.payment_intents.retrieve(waiting.id).status == status


def test_it_decides_once(client, fake, waiting, api):
    client.post(page_of(waiting), {"outcome": "complete"})
    again = client.post(page_of(waiting), {"outcome": "fail"})
    assert "redirect_status=succeeded" in again.url
    assert "redirect_status=succeeded" in client.get(page_of(waiting)).url
    assert len(fake.rows("charge")) == 1


def test_it_is_nobodys_page_without_the_secret(client, fake, waiting, db):
    assert client.get(f"/fakestripe/challenge/{waiting.id}/?client_secret=guess").status_code == 404
    assert client.get(f"/fakestripe/challenge/{waiting.id}/").status_code == 404
    assert client.get("/fakestripe/challenge/pi_none/?client_secret=").status_code == 404


def test_it_wants_a_csrf_token_on_the_banks_page(fake, waiting, db):
    from django.test import Client

    assert Client(enforce_csrf_checks=True).post(page_of(waiting), {"outcome": "complete"}).status_code == 403


def test_it_confirms_a_card_that_is_only_saved(client, api, customer):
    params = {"customer": customer, "payment_method": "pm_card_authenticationRequired", "confirm": True}
    setup = api.setup_intents.create({**params, "return_url": "https://shop.example/cards"})
    assert "Confirm this card?" in client.get(page_of(setup)).content.decode()
    answer = client.post(page_of(setup), {"outcome": "complete"})
    assert f"setup_intent={setup.id}" in answer.url
    assert api.setup_intents.retrieve(setup.id).status == "succeeded"


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(123456, "usd", "1,234.56 USD"), (5000, "jpy", "5,000 JPY"), (12340, "kwd", "12.340 KWD")],
)
def test_it_writes_the_amount_in_the_currency(client, pay, amount, currency, shown):
    intent = pay(
        "pm_card_authenticationRequired", amount=amount, currency=currency, return_url="https://a.example/"
    )
    assert shown in client.get(page_of(intent)).content.decode()
